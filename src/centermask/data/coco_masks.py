"""How a COCO file writes a mask: JSON of any shape becomes polygons or a sound run-length code, and goes back.

Nothing reaches the C decoders, and no mask is allocated, before it is known to be finite, near its picture and of its
picture's size. What is not is refused by a ``ValueError`` whose message is a clause without a full stop.
"""

import reprlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from centermask.ops import rle as rles
from centermask.ops.mask_warp import Mask, Polygons, area, bounds, from_rle, move, to_rle
from centermask.ops.rle import RLE, Runs
from centermask.size import Size

MAX_OUTLINE = 2**21
"""Pixels; drawing takes memory by the length of the outline, and no real object comes near this one."""

MIN_AREA = 1e-4
"""Square pixels; less is a line or a point up to rounding."""

Segmentation = Polygons | str
"""Polygons as annotated (they may reach over the picture), or COCO's compressed counts at the size of the picture."""


def parse_segmentation(value: object, size: Size) -> Segmentation:
    """Polygons or a run-length code, of which something lies inside a picture of ``size``."""
    match value:
        case list():
            return _polygons(value, size)
        case dict():
            return _counts(value, size)
        case None:
            raise ValueError("it has no segmentation, expected polygons or a run-length code")
        case _:
            raise ValueError(f"segmentation is {show(value)}, expected polygons or a run-length code")


def code(segmentation: Segmentation, size: Size) -> RLE:
    """A segmentation as a run-length code."""
    if isinstance(segmentation, str):
        return RLE(size=list(size), counts=segmentation)
    return to_rle(segmentation, size)


def visible_mask(segmentation: Segmentation, size: Size) -> Mask:
    """What of a segmentation lies inside its picture."""
    if isinstance(segmentation, str):
        return from_rle(code(segmentation, size))
    return move(segmentation, (1.0, 1.0), (0.0, 0.0), size)


def pixel_area(segmentation: Segmentation, size: Size) -> float:
    """Pixels of the drawn mask; by the polygons' formula where they are too small to be drawn."""
    return float(rles.area(code(segmentation, size))) or area(visible_mask(segmentation, size))


def visible_box(segmentation: Segmentation, size: Size) -> tuple[float, float, float, float]:
    """The box around what lies inside the picture, in COCO's order: left, top, width, height."""
    left, top, right, bottom = bounds(visible_mask(segmentation, size)).tolist()
    return left, top, right - left, bottom - top


def json_segmentation(segmentation: Segmentation, size: Size) -> list[list[float]] | RLE:
    """A segmentation as COCO's JSON has it; the inverse of ``parse_segmentation``."""
    if isinstance(segmentation, str):
        return code(segmentation, size)
    return [part.ravel().tolist() for part in segmentation.parts]


def _polygons(values: list[object], size: Size) -> Polygons:
    if not values:
        raise ValueError("segmentation is an empty list, expected at least one polygon")
    polygons = Polygons(tuple(_polygon(value, size) for value in values))
    if area(visible_mask(polygons, size)) < MIN_AREA:
        raise ValueError("its polygons enclose no area inside the picture")
    outline = sum(
        float(np.abs(part[1:] - part[:-1]).sum() + np.abs(part[0] - part[-1]).sum()) for part in polygons.parts
    )
    if outline > MAX_OUTLINE:
        raise ValueError(f"the outline of its polygons is {outline:.0f} pixels long, expected at most {MAX_OUTLINE}")
    return polygons


def _polygon(value: object, size: Size) -> Float[np.ndarray, "vertices 2"]:
    """One polygon; float64, because rounding to less would now and then move a pixel of the drawn edge."""
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float}:
        raise ValueError(f"segmentation holds {show(value)}, expected lists of numbers x, y, x, y, ...")
    if len(value) % 2 or len(value) < 6:
        raise ValueError(f"a polygon has {len(value)} coordinates, expected an even number, at least 6")
    points = floats(value).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError("a polygon has a coordinate that is not finite")
    margin = max(size)
    if points.min() < -margin or (points.max(axis=0) > (size.width + margin, size.height + margin)).any():
        raise ValueError(f"a polygon lies more than {margin} pixels outside of its picture")
    return points


def _counts(value: Mapping[str, object], size: Size) -> str:
    if value.get("size") != list(size):
        raise ValueError(f"its code has the size {show(value.get('size'))}, its picture {list(size)} (height, width)")
    runs = _runs(value.get("counts"))
    if runs.size and runs.max() > size.height * size.width:  # before anything is added up, which could overflow
        raise ValueError("its code has a run longer than the picture")
    rles.check_runs(runs, size)
    if not runs[1::2].any():
        raise ValueError("its code is of an empty mask")
    return rles.compress(runs, size)["counts"]  # as the C coder itself writes it: no other spelling reaches C


def _runs(counts: object) -> Runs:
    if isinstance(counts, str):
        return rles.decompress(counts)
    if not isinstance(counts, list) or not set(map(type, counts)) <= {int}:
        raise ValueError(f"counts are {show(counts)}, expected a string or a list of whole numbers")
    try:
        return np.array(counts, dtype=np.int64)
    except OverflowError:
        raise ValueError("its code has a run longer than the picture") from None


def floats(values: list[object]) -> Float[np.ndarray, " values"]:
    """JSON's numbers; a whole number beyond all floats becomes infinite."""
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return np.full(len(values), np.inf)


def show(value: object) -> str:
    """A value in an error message: one line, cut short."""
    return reprlib.repr(value)
