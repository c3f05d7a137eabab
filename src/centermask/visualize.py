"""Instances drawn over their picture: translucent fills, outlines that show on any ground, captions that keep apart.

Takes plain arrays. One object at a time is unpacked, and only as large as it is.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from centermask.ops import mask_warp
from centermask.ops.mask_warp import Bitmap
from centermask.ops.rle import RLE
from centermask.size import Size

Picture = UInt8[np.ndarray, "height width 3"]
Colour = UInt8[np.ndarray, "3"]
Rectangle = tuple[int, int, int, int]
"""left, top, right, bottom in pixels."""


class Pen(NamedTuple):
    """How thick things are drawn, in pixels."""

    line: float
    rim: float
    """The dark seam on either side of the line."""
    text: int
    """Height of a caption's letters."""


def overlay(
    image: Picture,
    boxes: Float[np.ndarray, "instances 4"],
    codes: Sequence[RLE],
    captions: Sequence[str],
    colours: UInt8[np.ndarray, "instances 3"],
    opacity: float = 0.4,
) -> Picture:
    """Draw masks and captions over a copy of the picture.

    Small objects lie over large ones. An empty caption is not drawn. Boxes (xyxy, pixels of the picture) are not drawn;
    they tell where the caption of an object without pixels goes.
    """
    canvas = image.copy()
    pen = pick_pen(Size(*image.shape[:2]), len(codes))
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    anchors: list[Rectangle] = [(0, 0, 0, 0)] * len(codes)
    for i in np.argsort(-areas, kind="stable"):
        bitmap = mask_warp.from_rle(codes[i])
        _draw_mask(canvas, bitmap, colours[i], pen, opacity)
        anchors[i] = _extent(bitmap, boxes[i])
    return _draw_captions(canvas, anchors, captions, colours, pen)


def instance_colours(count: int) -> UInt8[np.ndarray, "count 3"]:
    """Bright colours (RGB), each far in hue from the ones before and after it."""
    return number_colours(np.arange(count))


def number_colours(order: Int64[np.ndarray, " count"]) -> UInt8[np.ndarray, "count 3"]:
    """The colours (RGB) of numbers from 0 on, the same for a number each time.

    Hues go round OKLCH by the golden angle, three lightnesses take turns.
    """
    hue = np.radians(25 + 137.508 * order)
    lightness = np.array([0.70, 0.80, 0.62])[order % 3]
    chroma = 0.19
    return _oklab_to_rgb(np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1))


def _oklab_to_rgb(lab: Float[np.ndarray, "count 3"]) -> UInt8[np.ndarray, "count 3"]:
    """Ottosson's OKLab to sRGB; colours that no screen shows are cut to the nearest in each channel."""
    to_cones = np.array(
        [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = ((lab @ to_cones.T) ** 3 @ to_linear.T).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rgb: UInt8[np.ndarray, "count 3"] = np.rint(encoded * 255).astype(np.uint8)
    return rgb


def pick_pen(size: Size, count: int) -> Pen:
    """Lines and letters that suit the picture's size; smaller letters where objects crowd."""
    scale = (size.height * size.width) ** 0.5
    line = float(np.clip(scale / 260, 1.2, 12))
    crowd = float(np.clip((12 / max(count, 1)) ** 0.25, 0.7, 1))
    return Pen(line=line, rim=max(0.7, line * 0.35), text=int(np.clip(scale / 36 * crowd, 9, 96)))


def _draw_mask(canvas: Picture, bitmap: Bitmap, colour: Colour, pen: Pen, opacity: float) -> None:
    """Fill and outline one object on the canvas, in place.

    The blurred mask tells each pixel's distance to the mask's edge, for an edge blurred by a Gaussian is its
    cumulative distribution; a line is then a range of distances, with soft ends.
    """
    if not bitmap.pixels.size:
        return
    blur = pen.line * 0.6
    margin = int(np.ceil(pen.line / 2 + pen.rim + 2))
    soft, (left, top, right, bottom) = _with_margin(bitmap, margin, Size(*canvas.shape[:2]))
    ground = canvas[top:bottom, left:right].astype(np.float32)
    blurred = soft.filter(ImageFilter.GaussianBlur(blur))
    ground = _blend(ground, colour, np.asarray(soft) * np.float32(opacity / 255))
    ground = _blend(ground, np.zeros(3), 0.6 * _band(blurred, blur, pen.line / 2 + pen.rim))
    ground = _blend(ground, colour, _band(blurred, blur, pen.line / 2))
    canvas[top:bottom, left:right] = np.rint(ground)


def _with_margin(bitmap: Bitmap, margin: int, size: Size) -> tuple[Image.Image, Rectangle]:
    """The mask as a grey image with a margin, as far as the picture goes, and where it stands."""
    pixels, x, y = bitmap
    left, top = max(0, x - margin), max(0, y - margin)
    right, bottom = min(size.width, x + pixels.shape[1] + margin), min(size.height, y + pixels.shape[0] + margin)
    plane = np.zeros((bottom - top, right - left), dtype=np.uint8)
    plane[y - top : y - top + pixels.shape[0], x - left : x - left + pixels.shape[1]] = pixels * np.uint8(255)
    return Image.fromarray(plane), (left, top, right, bottom)


def _band(blurred: Image.Image, blur: float, reach: float) -> Float[np.ndarray, "height width"]:
    """Opacity, 0 to 1, of the pixels nearer to the edge than ``reach``."""
    shares = (np.arange(256) / 255).clip(1e-4, 1 - 1e-4)
    distances = np.array([abs(NormalDist().inv_cdf(share)) * blur for share in shares])
    table = (reach - distances + 0.5).clip(0, 1).astype(np.float32)
    band: Float[np.ndarray, "height width"] = table[np.asarray(blurred)]
    return band


def _blend(
    ground: Float[np.ndarray, "height width 3"], colour: np.ndarray, opacity: Float[np.ndarray, "height width"]
) -> Float[np.ndarray, "height width 3"]:
    blended: Float[np.ndarray, "height width 3"] = ground + (colour.astype(np.float32) - ground) * opacity[:, :, None]
    return blended


def _extent(bitmap: Bitmap, box: Float[np.ndarray, "4"]) -> Rectangle:
    """The rectangle around the pixels, or the box if there are none."""
    if not bitmap.pixels.size:
        left, top, right, bottom = (int(side) for side in box)
        return left, top, right, bottom
    height, width = bitmap.pixels.shape
    return bitmap.left, bitmap.top, bitmap.left + width, bitmap.top + height


def _draw_captions(
    canvas: Picture,
    anchors: Sequence[Rectangle],
    captions: Sequence[str],
    colours: UInt8[np.ndarray, "instances 3"],
    pen: Pen,
) -> Picture:
    picture = Image.fromarray(canvas)
    font = ImageFont.load_default(size=pen.text)
    taken: list[Rectangle] = []
    for anchor, caption, colour in zip(anchors, captions, colours, strict=True):
        if caption:
            place = place_caption(_plate_size(caption, font, pen), anchor, taken, Size(*canvas.shape[:2]))
            taken.append(place)
            _draw_plate(picture, place, caption, colour, font)
    return np.array(picture)


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _plate_size(caption: str, font: Font, pen: Pen) -> Size:
    return Size(round(pen.text * 1.4), round(font.getbbox(caption)[2] + pen.text * 0.7))


def place_caption(plate: Size, anchor: Rectangle, taken: Sequence[Rectangle], picture: Size) -> Rectangle:
    """Where a caption goes: over its object, else in it, under it or beside it; the first that is free, or the freest.

    Every place is moved into the picture. A place on a small object costs too, lest its own caption hide it.
    """
    small = _common_area(anchor, anchor) < 4 * plate.height * plate.width

    def cost(place: Rectangle) -> float:
        return sum(_common_area(place, other) for other in taken) + 0.06 * small * _common_area(place, anchor)

    return min((_move_inside(place, picture) for place in _candidates(plate, anchor)), key=cost)


def _candidates(plate: Size, anchor: Rectangle) -> list[Rectangle]:
    left, top, right, bottom = anchor
    centre, middle = (left + right - plate.width) // 2, (top + bottom - plate.height) // 2
    corners = [
        (centre, top - plate.height),
        (left, top - plate.height),
        (right - plate.width, top - plate.height),
        (centre, middle),
        (centre, bottom),
        (left, bottom),
        (right - plate.width, bottom),
        (right, middle),
        (left - plate.width, middle),
    ]
    ladder = [(x, middle + step * plate.height // 3) for step in range(-9, 10) for x in (left, centre)]
    return [(x, y, x + plate.width, y + plate.height) for x, y in corners + ladder]


def _move_inside(place: Rectangle, picture: Size) -> Rectangle:
    left, top, right, bottom = place
    x, y = max(0, min(left, picture.width - (right - left))), max(0, min(top, picture.height - (bottom - top)))
    return x, y, x + right - left, y + bottom - top


def _common_area(a: Rectangle, b: Rectangle) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _draw_plate(picture: Image.Image, place: Rectangle, caption: str, colour: Colour, font: Font) -> None:
    left, top, right, bottom = place
    width, height = right - left, bottom - top
    fine = Image.new("L", (4 * width, 4 * height))  # four times as fine, for smooth corners
    ImageDraw.Draw(fine).rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), radius=height, fill=255)
    picture.paste(_rgb(colour), (left, top), fine.resize((width, height), Image.Resampling.BOX))
    middle = (left + right) / 2, (top + bottom) / 2
    ImageDraw.Draw(picture).text(middle, caption, fill=_ink(colour), font=font, anchor="mm")


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in colour)
    return red, green, blue


def _ink(colour: Colour) -> str:
    """Black or white, whichever is easier to read on ``colour``."""
    return "black" if colour @ np.array([0.299, 0.587, 0.114]) > 140 else "white"
