"""A mask as polygons with few corners, such as a person would draw and can move."""

from collections.abc import Sequence

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Bool, Float

from centermask.data.formats.outline import Ring, bridge, trace
from centermask.ops.mask_warp import Bitmap, Polygons, to_rle
from centermask.size import Size

TOLERANCES = (1.5, 1.0, 0.75)
"""Pixels that a corner may lie off the new line, largest first."""
LEAST_IOU = 0.97
"""Between the mask and what the polygons draw; else every corner stays."""


def few_corners(mask: Bitmap, size: Size) -> Polygons:
    """Polygons that draw a mask nearly (IoU 0.97 or more), or exactly where that takes every corner.

    Each part is a polygon of its own; where there are holes, all is one line that walks to them and back.

    >>> square = Bitmap(np.ones((20, 20), dtype=bool), left=5, top=5)
    >>> [part.tolist() for part in few_corners(square, Size(30, 30)).parts]
    [[[5.0, 5.0], [25.0, 5.0], [25.0, 25.0], [5.0, 25.0]]]
    """
    rings = trace(mask)
    wanted = to_rle(mask, size)
    for tolerance in TOLERANCES:
        polygons = _polygons([simplify(ring, tolerance) for ring in rings])
        if polygons.parts and coco_mask.iou([wanted], [to_rle(polygons, size)], [0])[0, 0] >= LEAST_IOU:
            return polygons
    return _polygons(rings)


def _polygons(rings: Sequence[Ring]) -> Polygons:
    rings = [ring for ring in rings if len(ring) >= 3]
    has_holes = any(_signed_area(ring) < 0 for ring in rings)
    return Polygons((bridge(rings),) if has_holes else tuple(rings))


def _signed_area(ring: Ring) -> float:
    """Positive clockwise, as rings around parts run; holes run the other way."""
    x, y = ring.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def simplify(ring: Ring, tolerance: float) -> Ring:
    """Leave out corners of a closed line that lie no further than ``tolerance`` off it (Douglas and Peucker)."""
    far = int(((ring - ring[0]) ** 2).sum(axis=1).argmax())
    closed = np.concatenate([ring, ring[:1]])
    kept = np.zeros(len(closed), dtype=bool)
    kept[[0, far, -1]] = True
    _keep_corners(closed, kept, [(0, far), (far, len(ring))], tolerance)
    return closed[:-1][kept[:-1]]


def _keep_corners(
    points: Float[np.ndarray, "_ 2"], kept: Bool[np.ndarray, " _"], spans: list[tuple[int, int]], tolerance: float
) -> None:
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        distances = _distances(points[first + 1 : last], points[first], points[last])
        worst = int(distances.argmax())
        if distances[worst] > tolerance:
            middle = first + 1 + worst
            kept[middle] = True
            spans += [(first, middle), (middle, last)]


def _distances(
    points: Float[np.ndarray, "points 2"], start: Float[np.ndarray, "2"], end: Float[np.ndarray, "2"]
) -> Float[np.ndarray, " points"]:
    """From each point to the piece of a line between two others."""
    along = end - start
    length = float(along @ along)
    share = ((points - start) @ along / length).clip(0, 1) if length else np.zeros(len(points))
    return np.hypot(*(points - start - share[:, None] * along).T)
