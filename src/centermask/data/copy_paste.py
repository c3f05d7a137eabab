"""Copy-paste: objects of one picture laid over another, for more objects and more of them in front of each other.

Simple copy-paste (Ghiasi et al. 2021). Edges are not blended: the paper found no gain in it, and so every pixel belongs
to exactly one picture.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from centermask.data.augment import Example, visible_truth
from centermask.ops.mask_warp import Bitmap, Mask, as_bitmap, bounds, move
from centermask.size import Size

LEAST_VISIBLE = 0.1
"""The share of an object's pixels that must still be seen under what is pasted; else it is left out."""

Plane = Bool[np.ndarray, "height width"]


def paste_objects(onto: Example, source: Example, rng: np.random.Generator) -> Example:
    """Lay some objects of ``source`` over ``onto``, at a place that is drawn.

    What lies below loses the pixels that are covered: its mask becomes a bitmap, its box shrinks, and it is left out if
    less than a tenth of it, or less than two pixels of a side, is still seen.

    Args:
        onto: The picture below; left as it is.
        source: Another one of the same set, in a view of its own.
        rng: Decides how many objects, which ones, and where.
    """
    size = Size(*onto.pixels.shape[1:])
    x = _place(size.width, source.pixels.shape[2], rng)
    y = _place(size.height, source.pixels.shape[1], rng)
    picked = _pick(len(source.truth.masks), rng)
    masks = [move(source.truth.masks[i], (1.0, 1.0), (float(x), float(y)), size) for i in picked]
    above = visible_truth(masks, source.truth.labels[picked], onto.truth.annotated)
    covered = _cover(above.masks, size)
    below = [_uncovered(mask, covered) for mask in onto.truth.masks]
    labels = torch.cat([onto.truth.labels, above.labels])
    truth = visible_truth([*below, *above.masks], labels, onto.truth.annotated)
    return onto._replace(pixels=_lay(source.pixels, onto.pixels, covered, x, y), truth=truth)


def _place(room: int, length: int, rng: np.random.Generator) -> int:
    """Where a side begins: all of the shorter one of the two lies on the longer one."""
    return int(rng.integers(min(0, room - length), max(0, room - length), endpoint=True))


def _pick(count: int, rng: np.random.Generator) -> list[int]:
    """At least one of ``count`` objects, in their order."""
    return sorted(rng.permutation(count)[: rng.integers(1, count, endpoint=True)].tolist()) if count else []


def _cover(masks: Sequence[Mask], size: Size) -> Plane:
    """Where at least one of the masks is."""
    plane = np.zeros(size, dtype=bool)
    for mask in masks:
        pixels, left, top = as_bitmap(mask, size)
        plane[top : top + pixels.shape[0], left : left + pixels.shape[1]] |= pixels
    return plane


def _uncovered(mask: Mask, covered: Plane) -> Mask:
    """What is still seen of a mask under a cover: the mask itself if all of it, nothing if too little."""
    left, top, right, bottom = bounds(mask).astype(int)
    if not covered[max(top - 1, 0) : bottom + 2, max(left - 1, 0) : right + 2].any():
        return mask
    pixels, left, top = as_bitmap(mask, Size(*covered.shape))
    hidden = covered[top : top + pixels.shape[0], left : left + pixels.shape[1]]
    seen = pixels & ~hidden
    if seen.sum() == pixels.sum():
        return mask
    if seen.sum() < LEAST_VISIBLE * pixels.sum():
        return Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    inner = seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Bitmap(np.ascontiguousarray(inner), left + int(columns[0]), top + int(rows[0]))


def _lay(
    above: UInt8[Tensor, "3 _ _"], below: UInt8[Tensor, "3 height width"], covered: Plane, x: int, y: int
) -> UInt8[Tensor, "3 height width"]:
    """The picture below, with what lies above where it is covered; ``above`` begins at (x, y)."""
    top, bottom = max(y, 0), min(y + above.shape[1], below.shape[1])
    left, right = max(x, 0), min(x + above.shape[2], below.shape[2])
    laid = below.clone()
    shown = above[:, top - y : bottom - y, left - x : right - x]
    np.copyto(laid[:, top:bottom, left:right].numpy(), shown.numpy(), where=covered[top:bottom, left:right])
    return laid
