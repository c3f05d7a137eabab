"""Masks by hand: boxes, polygons, bitmaps, and the whole plane behind each."""

import numpy as np
import pytest

from centermask.ops.mask_warp import Bitmap, Mask, Polygons, draw
from centermask.size import Size

PICTURE = Size(60, 80)
NOTHING = Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)
NO_POLYGON = Polygons(())
every_empty_mask = pytest.mark.parametrize(
    "mask", [NOTHING, NO_POLYGON, Bitmap(np.zeros((3, 4), dtype=bool), 5, 6)], ids=["cut", "polygons", "blank"]
)


def box(*sides: float) -> np.ndarray:
    return np.array(sides, dtype=float)


def polygon(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=float)


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def ellipse(x: float, y: float, a: float, b: float) -> Polygons:
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    return Polygons((np.stack([x + a * np.cos(angles), y + b * np.sin(angles)], axis=1),))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width)) < 0.5


def whole_plane(mask: Mask, size: Size) -> np.ndarray:
    if isinstance(mask, Polygons):
        return draw(mask.parts, size)
    plane = np.zeros(size, dtype=bool)
    height, width = mask.pixels.shape
    plane[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
    return plane


def drawn_bitmap(mask: Polygons, size: Size = PICTURE) -> Bitmap:
    return Bitmap(draw(mask.parts, size), 0, 0)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / max((first | second).sum(), 1)
