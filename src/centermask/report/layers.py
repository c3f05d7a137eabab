"""Transparent drawings that lie over a picture in the page: a palette of few colours, so that each takes few bytes.

A view says which part of a picture is shown, and how large; what is drawn is moved into it object by object.
"""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from centermask.images import Picture
from centermask.ops.mask_warp import Bitmap, move
from centermask.size import Size

JPEG_QUALITY = 80
GREY = 128
RGB = tuple[int, int, int]
Shown = UInt8[np.ndarray, "shown_height shown_width 3"]
"""RGB, at the size of a view."""


class View(NamedTuple):
    """A part of a picture, and the size at which it is shown."""

    left: int
    top: int
    part: Size
    """Pixels of the picture."""
    size: Size
    """Pixels shown."""

    @property
    def scale(self) -> tuple[float, float]:
        """Shown pixels to one of the picture, along x and y."""
        return self.size.width / self.part.width, self.size.height / self.part.height

    def show(self, image: Picture | None) -> Shown:
        """The part of a picture; grey where it could not be read."""
        if image is None:
            return np.full((*self.size, 3), GREY, dtype=np.uint8)
        part = image[self.top : self.top + self.part.height, self.left : self.left + self.part.width]
        shown = Image.fromarray(part).resize((self.size.width, self.size.height), Image.Resampling.LANCZOS)
        return np.asarray(shown)

    def place(self, bitmap: Bitmap) -> Bitmap:
        """What of an object the view shows."""
        if not bitmap.pixels.size:
            return bitmap
        scale = self.scale
        return cast(Bitmap, move(bitmap, scale, (-self.left * scale[0], -self.top * scale[1]), self.size))


def whole(size: Size, longest: int) -> View:
    """A view of a whole picture with a long side of at most ``longest``."""
    scale = min(1.0, longest / max(size))
    return View(0, 0, size, Size(max(1, round(size.height * scale)), max(1, round(size.width * scale))))


class Layer:
    """A drawing of few colours on a transparent ground; each colour has a pale fill and a strong edge.

    Args:
        size: Of the picture below.
        colours: Which there are, 120 at most.
        fill: Opacity of the fill, 0 to 1.
        line: Thickness of the edge in pixels.
    """

    def __init__(self, size: Size, colours: Sequence[RGB], *, fill: float = 0.4, line: int = 2) -> None:
        self.size, self.colours, self.line = size, tuple(colours)[:120], line
        self.opacity = round(fill * 255)
        self.plane = np.zeros(size, dtype=np.uint8)

    def draw(self, bitmap: Bitmap, colour: int) -> None:
        """Fill and edge an object, in pixels of the layer."""
        if not bitmap.pixels.any():
            return
        here = self._under(bitmap)
        kind = 1 + 2 * (colour % len(self.colours))
        here[bitmap.pixels] = kind
        here[bitmap.pixels & ~_core(bitmap.pixels, self.line)] = kind + 1

    def edge(self, bitmap: Bitmap, colour: int) -> None:
        """The edge of an object alone."""
        if bitmap.pixels.any():
            self._under(bitmap)[bitmap.pixels & ~_core(bitmap.pixels, self.line)] = 2 + 2 * (colour % len(self.colours))

    def paint(self, pixels: Bool[np.ndarray, "height width"], colour: int) -> None:
        """Fill all pixels that are set in a plane of the layer's size."""
        self.plane[pixels] = 1 + 2 * (colour % len(self.colours))

    def frame(self, left: float, top: float, right: float, bottom: float, colour: int) -> None:
        """A thin rectangle, as far as it lies on the layer."""
        kind = 2 + 2 * (colour % len(self.colours))
        x0, x1 = (int(np.clip(x, 0, self.size.width - 1)) for x in (left, right))
        y0, y1 = (int(np.clip(y, 0, self.size.height - 1)) for y in (top, bottom))
        for rows, columns in (
            (slice(y0, y0 + 1), slice(x0, x1 + 1)), (slice(y1, y1 + 1), slice(x0, x1 + 1)),
            (slice(y0, y1 + 1), slice(x0, x0 + 1)), (slice(y0, y1 + 1), slice(x1, x1 + 1)),
        ):  # fmt: skip
            self.plane[rows, columns] = kind

    def dot(self, x: float, y: float, colour: int, reach: int = 1) -> None:
        """A small square."""
        column, row = int(x), int(y)
        rows, columns = slice(max(0, row - reach), row + reach + 1), slice(max(0, column - reach), column + reach + 1)
        self.plane[rows, columns] = 2 + 2 * (colour % len(self.colours))

    def png(self) -> bytes:
        """The drawing as a PNG with a palette."""
        image = Image.fromarray(self.plane)
        image.putpalette([0, 0, 0, *(channel for colour in self.colours for _ in range(2) for channel in colour)])
        image.info["transparency"] = bytes([0, *(alpha for _ in self.colours for alpha in (self.opacity, 255))])
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=6)
        return buffer.getvalue()

    def _under(self, bitmap: Bitmap) -> UInt8[np.ndarray, "height width"]:
        height, width = bitmap.pixels.shape
        return self.plane[bitmap.top : bitmap.top + height, bitmap.left : bitmap.left + width]


def _core(pixels: Bool[np.ndarray, "height width"], depth: int) -> Bool[np.ndarray, "height width"]:
    """The pixels that lie deeper than ``depth`` in the mask."""
    core = np.pad(pixels, 1)
    for _ in range(depth):
        inner = core.copy()
        inner[1:] &= core[:-1]
        inner[:-1] &= core[1:]
        inner[:, 1:] &= core[:, :-1]
        inner[:, :-1] &= core[:, 1:]
        core = inner
    return core[1:-1, 1:-1]


def jpeg(image: Shown) -> bytes:
    """A picture as a JPEG for a page."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """A JPEG or PNG as an address that holds the picture itself."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
