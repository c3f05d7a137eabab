"""Masks seen through boxes, all those of a picture at once: what a network's masks are trained towards.

A training step asks for up to a thousand such views, so what they share is done once: the sums over an object's pixels,
the shifting of a polygon, the decoding of what was drawn.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Bool, Float, Int64

from centermask.ops.mask_warp import Bitmap, Mask, Polygons, area

HALF = 0.5 - 1e-6
"""A cell of which a bitmap covers this share is set; the little less is for rounding."""

MOST_SUMS = 2**22
"""Pixels of objects that are summed up at once."""

NOTHING = Bitmap(np.zeros((1, 1), dtype=bool), 0, 0)

Boxes = Float[np.ndarray, "_ 4"]
"""xyxy, pixels of the picture: those of one object."""

Grids = Bool[np.ndarray, "rois side side"]


class Crops(NamedTuple):
    """What boxes show of masks."""

    grids: Grids
    """The mask through its box, stretched to the grid; what lies outside the box is cut."""
    shares: Float[np.ndarray, " rois"]
    """The share of the mask that its box shows, in [1e-10, 1] (spec 3: what the box cuts off counts as missed)."""


class _Seen(NamedTuple):
    """A mask that is not quite empty, and the boxes through which it is seen."""

    mask: Mask
    boxes: Boxes


def crop_masks(
    masks: Sequence[Mask], objects: Int64[np.ndarray, " rois"], boxes: Float[np.ndarray, "rois 4"], side: int
) -> Crops:
    """Show ``masks[objects[i]]`` through ``boxes[i]`` on a grid of ``side`` × ``side`` cells, for each i.

    Boxes are xyxy in pixels of the picture. Polygons are drawn by COCO's own rule (spec 2.5); a cell of a bitmap is set
    where the mask covers half of it.
    """
    order = np.argsort(objects, kind="stable")
    used, starts = np.unique(objects[order], return_index=True)
    stretches = np.split(boxes[order], starts)[1:]
    seen = [_Seen(_some(masks[i]), own) for i, own in zip(used.tolist(), stretches, strict=True)]
    by_object = [_crop_alike(portion, side) for portion in _portions(seen)]
    crops = Crops(np.zeros((len(boxes), side, side), dtype=bool), np.zeros(len(boxes)))
    crops.grids[order] = np.concatenate([crops.grids[:0], *(part.grids for part in by_object)])
    crops.shares[order] = np.concatenate([crops.shares[:0], *(part.shares for part in by_object)])
    return crops


def _some(mask: Mask) -> Mask:
    """The mask; a single unset pixel for one of no polygon or no pixel."""
    return mask if (mask.parts if isinstance(mask, Polygons) else mask.pixels.size) else NOTHING


def _portions(seen: Sequence[_Seen]) -> Iterator[list[_Seen]]:
    """Neighbours of one kind, bitmaps of no more than ``MOST_SUMS`` pixels together (but at least one)."""
    portion: list[_Seen] = []
    pixels = 0
    for one in seen:
        more = one.mask.pixels.size if isinstance(one.mask, Bitmap) else 0
        if portion and (type(one.mask) is not type(portion[0].mask) or pixels + more > MOST_SUMS):
            yield portion
            portion, pixels = [], 0
        portion.append(one)
        pixels += more
    if portion:
        yield portion


def _crop_alike(seen: Sequence[_Seen], side: int) -> Crops:
    polygons = [(one.mask, one.boxes) for one in seen if isinstance(one.mask, Polygons)]
    bitmaps = [(one.mask, one.boxes) for one in seen if isinstance(one.mask, Bitmap)]
    grids, inside = _crop_polygons(polygons, side) if polygons else _crop_bitmaps(bitmaps, side)
    areas = np.repeat([area(one.mask) for one in seen], [len(one.boxes) for one in seen])
    return Crops(grids, np.clip(inside / np.maximum(areas, 1e-10), 1e-10, 1.0))


def _crop_polygons(seen: Sequence[tuple[Polygons, Boxes]], side: int) -> tuple[Grids, Float[np.ndarray, " rois"]]:
    """Grids, and how many pixels lie inside each box, on planes of whole pixels as published."""
    small, whole = [], []
    for mask, boxes in seen:
        sizes = boxes[:, 2:] - boxes[:, :2]
        small += _draw(mask, boxes, side / np.maximum(sizes, 0.1), np.full((len(boxes), 2), side))
        whole += _draw(mask, boxes, np.ones_like(sizes), np.maximum(sizes.astype(np.int64), 1))
    return coco_mask.decode(small).transpose(2, 0, 1).astype(bool), coco_mask.area(whole).astype(float)


def _draw(
    mask: Polygons,
    boxes: Float[np.ndarray, "rois 4"],
    scales: Float[np.ndarray, "rois 2"],
    planes: Int64[np.ndarray, "rois 2"],
) -> list[dict[str, object]]:
    """The mask through each box, scaled, on a plane of its own (width, height), by COCO's rule: the C coder's codes."""
    corners = boxes[:, None, :2]
    moved = [((part - corners) * scales[:, None]).reshape(len(boxes), -1).tolist() for part in mask.parts]
    codes = [
        coco_mask.frPyObjects(parts, height, width)
        for *parts, (width, height) in zip(*moved, planes.tolist(), strict=True)
    ]
    return [one[0] if len(one) == 1 else coco_mask.merge(one) for one in codes]


def _crop_bitmaps(seen: Sequence[tuple[Bitmap, Boxes]], side: int) -> tuple[Grids, Float[np.ndarray, " rois"]]:
    """Grids, and the area inside each box.

    The area of a mask left of and above any point is read from running sums over its pixels, between them by linear
    interpolation, which is exact; what lies in a cell is the difference of its four corners.
    """
    masks, counts = [mask for mask, _ in seen], [len(boxes) for _, boxes in seen]
    boxes = np.concatenate([boxes for _, boxes in seen])
    origins = np.array([(mask.left, mask.top, mask.left, mask.top) for mask in masks]).repeat(counts, axis=0)
    sizes = np.array([mask.pixels.shape for mask in masks]).repeat(counts, axis=0)
    sums, starts = _running_sums(masks)
    left, top, right, bottom = (boxes - origins).T
    column, x = _split(left, right, side, sizes[:, 1])
    row, y = _split(top, bottom, side, sizes[:, 0])
    wide = sizes[:, 1] + 1
    at = (starts.repeat(counts)[:, None] + row * wide[:, None])[:, :, None] + column[:, None, :]
    above = sums[at] + x[:, None, :] * (sums[at + 1] - sums[at])
    at += wide[:, None, None]
    below = sums[at] + x[:, None, :] * (sums[at + 1] - sums[at])
    corners = above + y[:, :, None] * (below - above)
    cells = np.diff(np.diff(corners, axis=1), axis=2)
    cell = (right - left) * (bottom - top) / side**2
    inside = corners[:, -1, -1] - corners[:, -1, 0] - corners[:, 0, -1] + corners[:, 0, 0]
    return (cells >= HALF * cell[:, None, None]) & (cell[:, None, None] > 0), inside


def _running_sums(masks: Sequence[Bitmap]) -> tuple[Int64[np.ndarray, " sums"], Int64[np.ndarray, " masks"]]:
    """For each mask (height + 1) × (width + 1) sums over the pixels left and above, in one line; and their starts."""
    shapes = np.array([mask.pixels.shape for mask in masks]) + 1
    ends = np.cumsum(shapes.prod(axis=1))
    starts = ends - shapes.prod(axis=1)
    sums = np.zeros(int(ends[-1]), dtype=np.int64)
    for mask, shape, start, end in zip(masks, shapes.tolist(), starts.tolist(), ends.tolist(), strict=True):
        inner = sums[start:end].reshape(shape)[1:, 1:]
        np.cumsum(mask.pixels, axis=0, out=inner)
        np.cumsum(inner, axis=1, out=inner)
    return sums, starts


def _split(
    start: Float[np.ndarray, " rois"], stop: Float[np.ndarray, " rois"], cells: int, pixels: Int64[np.ndarray, " rois"]
) -> tuple[Int64[np.ndarray, "rois edges"], Float[np.ndarray, "rois edges"]]:
    """The edges of equal cells from start to stop, held within 0 … pixels: the pixel of each, and the rest."""
    edges = start[:, None] + (stop - start)[:, None] * np.linspace(0, 1, cells + 1)
    edges = np.clip(edges, 0, pixels[:, None])
    before = np.minimum(edges.astype(np.int64), pixels[:, None] - 1)
    return before, edges - before
