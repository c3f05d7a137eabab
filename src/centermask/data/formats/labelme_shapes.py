"""The shapes of a labelme file: JSON of any form becomes COCO's segmentation, and an object goes back into shapes.

Everything raises nothing but ``ValueError`` with a clause. Holes are what labelme's shape "mask" is for: a PNG of the
pixels in a box.
"""

import base64
import binascii
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from centermask.data.coco_masks import Segmentation, code, floats, parse_segmentation, show
from centermask.data.formats.files import MAX_VERTICES
from centermask.data.formats.index_pixels import read_indices
from centermask.ops.mask_warp import Bitmap, from_rle, to_rle
from centermask.ops.rle import RLE
from centermask.size import Size

Points = Float[np.ndarray, "_ 2"]

ROUNDNESS = 0.1
"""Pixels by which the polygon that stands for a circle may miss it."""


class Shape(NamedTuple):
    """One shape of a file."""

    label: str
    group: object
    """``group_id``: shapes of one class that share it are one object; none if it stands alone."""
    outline: Points | Bitmap


def parse_shape(entry: object, size: Size) -> Shape:
    """A shape in a picture of ``size``."""
    if not isinstance(entry, dict):
        raise ValueError(f"it is {show(entry)}, expected an object with named values")
    label, group = entry.get("label"), entry.get("group_id")
    if not isinstance(label, str):
        raise ValueError(f"label is {show(label)}, expected a text")
    if group is not None and type(group) not in (int, str):
        raise ValueError(f"group_id is {show(group)}, expected a whole number or null")
    points = _points(entry.get("points"))
    match entry.get("shape_type", "polygon"):  # files of the first versions know nothing else
        case "polygon":
            return Shape(label, group, _counted(points, 3, "a polygon", exactly=False))
        case "rectangle":
            return Shape(label, group, _rectangle(_counted(points, 2, "a rectangle")))
        case "circle":
            return Shape(label, group, _circle(_counted(points, 2, "a circle")))
        case "mask":
            return Shape(label, group, _mask(entry.get("mask"), _counted(points, 2, "a mask"), size))
        case other:
            raise ValueError(
                f"shape_type is {show(other)}, which encloses nothing; draw a polygon, rectangle, circle or mask"
            )


def _points(value: object) -> Points:
    if not isinstance(value, list) or len(value) > MAX_VERTICES:
        raise ValueError(f"points are {show(value)}, expected a list of at most {MAX_VERTICES} pairs [x, y]")
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or not set(map(type, pair)) <= {int, float}:
            raise ValueError(f"points hold {show(pair)}, expected pairs [x, y]")
    points = floats([number for pair in value for number in pair]).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a point is not finite (NaN or infinity)")
    return points


def _counted(points: Points, count: int, name: str, *, exactly: bool = True) -> Points:
    if len(points) < count or (exactly and len(points) > count):
        raise ValueError(f"{name} has {len(points)} points, expected {'' if exactly else 'at least '}{count}")
    return points


def _rectangle(corners: Points) -> Points:
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _circle(points: Points) -> Points:
    """From the centre and a point on the line."""
    center, rim = points
    radius = min(float(np.hypot(*(rim - center))), 1e9)
    half = math.acos(1 - min(1.0, ROUNDNESS / max(radius, 1e-9)))  # half the angle between two corners
    corners = int(np.clip(math.ceil(math.pi / half), 8, 1000))
    angles = np.arange(corners) * (2 * math.pi / corners)
    return center + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _mask(value: object, corners: Points, size: Size) -> Bitmap:
    """From a PNG and the box's first and last pixel."""
    if not isinstance(value, str):
        raise ValueError(f"mask is {show(value)}, expected a PNG in base64")
    left, top = (math.floor(side) for side in corners.min(axis=0))
    right, bottom = (math.floor(side) + 1 for side in corners.max(axis=0))
    if left < 0 or top < 0 or right > size.width or bottom > size.height:
        raise ValueError(f"the box {corners.ravel().tolist()} of its mask reaches out of its picture")
    try:
        coded = io.BytesIO(base64.b64decode(value, validate=True))
    except binascii.Error as error:
        raise ValueError(f"its mask is no base64 ({error})") from None
    try:
        pixels = read_indices(coded, Size(bottom - top, right - left)) != 0
    except ValueError as error:
        raise ValueError(f"its mask cannot be used: {error}") from None
    if not pixels.any():
        raise ValueError("its mask is empty")
    return Bitmap(pixels, left, top)


def join(outlines: Sequence[Points | Bitmap], size: Size) -> list[list[float]] | RLE:
    """What shapes of one object cover together, as COCO's JSON has it: polygons if all are, else a run-length code."""
    polygons = [[float(x) for x in outline.ravel()] for outline in outlines if not isinstance(outline, Bitmap)]
    if len(polygons) == len(outlines):
        return polygons
    bitmaps = [outline for outline in outlines if isinstance(outline, Bitmap)]
    if polygons:  # checked before they are drawn
        bitmaps.append(from_rle(code(parse_segmentation(polygons, size), size)))
    return to_rle(_union([bitmap for bitmap in bitmaps if bitmap.pixels.size]), size)


def _union(bitmaps: Sequence[Bitmap]) -> Bitmap:
    left, top = min(one.left for one in bitmaps), min(one.top for one in bitmaps)
    right = max(one.left + one.pixels.shape[1] for one in bitmaps)
    bottom = max(one.top + one.pixels.shape[0] for one in bitmaps)
    pixels = np.zeros((bottom - top, right - left), dtype=bool)
    for one in bitmaps:
        y, x = one.top - top, one.left - left
        pixels[y : y + one.pixels.shape[0], x : x + one.pixels.shape[1]] |= one.pixels
    return Bitmap(pixels, left, top)


def format_shapes(label: str, segmentation: Segmentation, size: Size, group: int) -> list[dict[str, Any]]:
    """An object as labelme's shapes; the inverse of ``parse_shape`` and ``join``. ``group`` joins several parts."""
    if isinstance(segmentation, str):
        return [_mask_shape(label, from_rle(code(segmentation, size)))]
    parts = segmentation.parts
    together = group if len(parts) > 1 else None
    return [_shape(label, "polygon", part.tolist(), group=together) for part in parts]


def _mask_shape(label: str, mask: Bitmap) -> dict[str, Any]:
    coded = io.BytesIO()
    Image.fromarray(mask.pixels.astype(np.uint8)).save(coded, format="PNG")
    height, width = mask.pixels.shape
    last = (mask.left + width - 1, mask.top + height - 1)  # the pixel itself, not what is behind it
    box = [[float(mask.left), float(mask.top)], [float(last[0]), float(last[1])]]
    return _shape(label, "mask", box, mask=base64.b64encode(coded.getvalue()).decode("ascii"))


def _shape(
    label: str, shape_type: str, points: list[list[float]], *, group: int | None = None, mask: str | None = None
) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": shape_type,
        "flags": {},
        "mask": mask,
    }
