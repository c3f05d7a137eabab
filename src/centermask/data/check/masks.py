"""One object's mask: refused in words by the loader's own parser, or sound and then looked at more closely."""

import numpy as np

from centermask.data.check.findings import Evidence, Fault
from centermask.data.check.outlines import crossing
from centermask.data.coco_masks import MIN_AREA, Segmentation, code, floats
from centermask.ops import rle as rles
from centermask.ops.mask_warp import Polygons, area, bounds
from centermask.size import Size

MAX_POINTS = 100_000
"""Of all polygons of an object together; a careful outline has a few hundred."""

OVER_BORDER = 2.0
"""Pixels that a polygon may reach over the border; many tools draw the outline around the last pixel."""

_KINDS = (
    ("no usable picture", "unknown-picture"),
    ("no category of this file", "unknown-category"),
    ("it has no segmentation", "no-segmentation"),
    ("not finite", "polygon-not-finite"),
    ("enclose no area", "polygon-no-area"),
    ("outside of its picture", "polygon-outside"),
    ("code has the size", "code-size"),
    ("empty mask", "code-empty"),
)
"""Words of the parser's complaints, and the kind of finding that they are."""


def refusal_kind(complaint: str, entry: object) -> str:
    """Of what kind the fault is that ``parse_object`` complains of."""
    for words, kind in _KINDS:
        if words in complaint:
            return "polygon-outside" if kind == "polygon-no-area" and _lies_outside(entry) else kind
    value = entry.get("segmentation") if isinstance(entry, dict) else None
    match value:
        case list() if "segmentation" in complaint or "polygon" in complaint:
            return "polygon-form"
        case dict() if "code" in complaint or "counts" in complaint or "run" in complaint:
            return "code-runs"
        case _:
            return "no-segmentation" if complaint.startswith("segmentation is") else "annotation-entry"


def _lies_outside(entry: object) -> bool:
    """Whether polygons that show nothing inside the picture have an area elsewhere."""
    parts = entry.get("segmentation") if isinstance(entry, dict) else None
    if not isinstance(parts, list):
        return False
    return area(Polygons(tuple(floats(part).reshape(-1, 2) for part in parts))) >= MIN_AREA


def count_points(entry: object) -> int:
    """Points of an object's polygons, whatever else they are."""
    parts = entry.get("segmentation") if isinstance(entry, dict) else None
    return sum(len(part) for part in parts if isinstance(part, list)) // 2 if isinstance(parts, list) else 0


def polygon_faults(mask: Polygons, size: Size) -> list[Fault]:
    """What is wrong with polygons that the loader takes."""
    return [*_overhang(mask, size), *_empty_parts(mask), *_crossings(mask)]


def _overhang(mask: Polygons, size: Size) -> list[Fault]:
    left, top, right, bottom = bounds(mask).tolist()
    over = max(-left, -top, right - size.width, bottom - size.height)
    if over <= OVER_BORDER:
        return []
    what = f"it reaches {over:.0f} pixels over the border of the picture ({size.width} × {size.height})"
    frame = (0.0, 0.0, float(size.width), float(size.height))
    return [Fault("polygon-over-border", what, Evidence(mask=mask, right=frame))]


def _empty_parts(mask: Polygons) -> list[Fault]:
    empty = [part for part in mask.parts if area(Polygons((part,))) < MIN_AREA]
    if not empty:
        return []
    x, y = (float(value) for value in empty[0][0])
    what = f"{len(empty)} of its {len(mask.parts)} polygons enclose no area, the first at x {x:.0f}, y {y:.0f}"
    return [Fault("polygon-part-empty", what, Evidence(mask=mask, marks=((x, y),)))]


def _crossings(mask: Polygons) -> list[Fault]:
    places = tuple(place for part in mask.parts if (place := crossing(part)) is not None)
    if not places:
        return []
    x, y = places[0]
    what = f"the outline crosses itself at x {x:.1f}, y {y:.1f}"
    return [Fault("polygon-crosses", what, Evidence(mask=mask, marks=places))]


def covers_no_pixel(segmentation: Segmentation, size: Size, extent: float) -> bool:
    """Whether a mask vanishes when it is drawn; only small ones (``extent``, square pixels) can."""
    return extent < 4 and rles.area(code(segmentation, size)) == 0


def what_can_be_drawn(entry: object, size: Size) -> Polygons | None:
    """Of polygons that were refused, the points that are numbers within three times the picture's sides around it."""
    parts = entry.get("segmentation") if isinstance(entry, dict) else None
    if not isinstance(parts, list) or count_points(entry) > MAX_POINTS:
        return None
    drawn = []
    for part in parts:
        if isinstance(part, list) and set(map(type, part)) <= {int, float}:
            points = floats(part[: len(part) // 2 * 2]).reshape(-1, 2)
            drawn.append(points[(np.abs(points) < 3 * max(size)).all(axis=1)])  # false for NaN
    return Polygons(tuple(part for part in drawn if len(part)))
