"""A finding as a small picture: the place cut out, the mask in colour, the box as given and as it should be."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from centermask.data.check.findings import Evidence
from centermask.errors import UserError
from centermask.images import Picture, read_image
from centermask.ops.mask_warp import Bitmap, Mask, Polygons, bounds
from centermask.size import Size

SIDE = 224
"""Pixels of a thumbnail's sides, at most."""

ROOM = 0.35
"""Share of what is shown that is put around it."""

LEAST = 48.0
"""Pixels of the picture that a thumbnail shows at least, each way."""

MASK, GIVEN, RIGHT, MARK = (38, 168, 255), (255, 66, 66), (64, 214, 96), (255, 196, 0)
"""Colours of the mask, the box as given, the box as it should be, and of marked points."""

_GROUND, _PAPER = (128, 132, 140), (106, 110, 118)

Frame = tuple[float, float, float, float]


class View(NamedTuple):
    """What of a picture's plane a thumbnail shows."""

    left: float
    top: float
    scale: float
    """Thumbnail pixels of a pixel."""
    size: Size
    """Of the thumbnail."""

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A point of the picture in the thumbnail."""
        return (x - self.left) * self.scale, (y - self.top) * self.scale


def thumbnails(evidence: Evidence) -> list[str]:
    """JPEGs as data addresses, one for each picture; none where no picture can be shown."""
    return [_encode(image) for path in evidence.pictures if (image := _draw(path, evidence)) is not None]


def _draw(path: Path, evidence: Evidence) -> Image.Image | None:
    try:
        picture = read_image(path)
    except UserError:
        return None
    view = _look_at(evidence, Size(*picture.shape[:2]))
    canvas = _cut(picture, view)
    if evidence.mask is not None:
        canvas = _fill(canvas, evidence.mask, view)
    pen = ImageDraw.Draw(canvas)
    for box, colour in ((evidence.right, RIGHT), (evidence.given, GIVEN)):
        if box is not None:
            _outline(pen, box, colour, view)
    for x, y in evidence.marks:
        _mark(pen, view.place(x, y))
    return canvas


def _look_at(evidence: Evidence, size: Size) -> View:
    """A square around all that is drawn; the whole picture if that is nothing."""
    frames: list[Frame] = [box for box in (evidence.given, evidence.right) if box is not None]
    if evidence.mask is not None:
        left, top, right, bottom = bounds(evidence.mask).tolist()
        frames.append((left, top, right, bottom))
    if not frames:
        scale = SIDE / max(size)
        return View(0.0, 0.0, scale, Size(max(1, round(size.height * scale)), max(1, round(size.width * scale))))
    near = [_near(frame, size) for frame in frames]
    left, top = min(frame[0] for frame in near), min(frame[1] for frame in near)
    right, bottom = max(frame[2] for frame in near), max(frame[3] for frame in near)
    side = max((right - left) * (1 + ROOM), (bottom - top) * (1 + ROOM), min(LEAST, float(min(size))))
    x, y = _slide(left, right, side, size.width), _slide(top, bottom, side, size.height)
    return View(x, y, SIDE / side, Size(SIDE, SIDE))


def _slide(low: float, high: float, side: float, limit: int) -> float:
    """Where a window of ``side`` begins that has low … high in its middle, or near it and less beyond the picture."""
    start = (low + high - side) / 2
    inside = min(max(start, 0.0), max(limit - side, 0.0)) if side <= limit else (limit - side) / 2
    return min(max(inside, high + 0.1 * side - side), low - 0.1 * side) if high - low <= 0.8 * side else start


def _near(frame: Frame, size: Size) -> Frame:
    """A frame cut to the picture and half as much around it: a box far away must not make the picture a dot."""
    x, y = size.width / 2, size.height / 2
    a, c = sorted(min(max(side, -x), size.width + x) for side in (frame[0], frame[2]))
    b, d = sorted(min(max(side, -y), size.height + y) for side in (frame[1], frame[3]))
    return a, b, c, d


def _cut(picture: Picture, view: View) -> Image.Image:
    """The picture seen through the view; grey paper beyond its border."""
    canvas = Image.new("RGB", (view.size.width, view.size.height), _GROUND)
    pen = ImageDraw.Draw(canvas)
    for x in range(-view.size.height, view.size.width, 10):
        pen.line((x, view.size.height, x + view.size.height, 0), fill=_PAPER, width=3)
    x0, y0 = max(0, int(view.left)), max(0, int(view.top))
    x1 = min(picture.shape[1], int(view.left + view.size.width / view.scale) + 1)
    y1 = min(picture.shape[0], int(view.top + view.size.height / view.scale) + 1)
    if x1 > x0 and y1 > y0:
        part = Image.fromarray(picture[y0:y1, x0:x1])
        target = (max(1, round((x1 - x0) * view.scale)), max(1, round((y1 - y0) * view.scale)))
        grows = view.scale > 1
        part = part.resize(target, Image.Resampling.BICUBIC if grows else Image.Resampling.BOX)
        corner = view.place(float(x0), float(y0))
        canvas.paste(part, (round(corner[0]), round(corner[1])))
    return canvas


def _fill(canvas: Image.Image, mask: Mask, view: View) -> Image.Image:
    """A translucent mask with a firm edge."""
    layer = Image.new("RGBA", canvas.size, (*MASK, 0))
    pen = ImageDraw.Draw(layer)
    match mask:
        case Polygons(parts):
            for part in parts:
                points = [view.place(float(x), float(y)) for x, y in part]
                if len(points) >= 3:
                    pen.polygon(points, fill=(*MASK, 90))
                    pen.line([*points, points[0]], fill=(*MASK, 255), width=2, joint="curve")
        case Bitmap():
            layer.putalpha(_bitmap_alpha(mask, view))
    return Image.alpha_composite(canvas.convert("RGBA"), layer).convert("RGB")


def _bitmap_alpha(mask: Bitmap, view: View) -> Image.Image:
    height, width = mask.pixels.shape
    alpha = Image.new("L", (view.size.width, view.size.height))
    target = (max(1, round(width * view.scale)), max(1, round(height * view.scale)))
    x, y = view.place(float(mask.left), float(mask.top))
    alpha.paste(Image.fromarray(mask.pixels.astype(np.uint8) * 110).resize(target), (round(x), round(y)))
    return alpha


def _outline(pen: ImageDraw.ImageDraw, box: Frame, colour: tuple[int, int, int], view: View) -> None:
    """A box with a dark seam; sides that lie outside of the view are not drawn."""
    limits = (4.0 * SIDE, 4.0 * SIDE)
    (a, b), (c, d) = view.place(box[0], box[1]), view.place(box[2], box[3])
    x0, x1 = (min(max(side, -limits[0]), limits[0]) for side in sorted((a, c)))
    y0, y1 = (min(max(side, -limits[1]), limits[1]) for side in sorted((b, d)))
    pen.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=(0, 0, 0), width=4)
    pen.rectangle((x0, y0, x1, y1), outline=colour, width=2)


def _mark(pen: ImageDraw.ImageDraw, place: tuple[float, float]) -> None:
    x, y = place
    for radius, colour, width in ((9, (0, 0, 0), 5), (8, MARK, 3)):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=width)


def _encode(image: Image.Image) -> str:
    coded = io.BytesIO()
    image.save(coded, format="JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(coded.getvalue()).decode("ascii")
