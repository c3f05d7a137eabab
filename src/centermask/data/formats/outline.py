"""A mask as one closed line, for formats that know no holes and no parts.

The line runs along the borders of the pixels, so that COCO's rule draws exactly the mask again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8, Int64

from centermask.data.coco_masks import Segmentation, code, visible_mask
from centermask.ops.mask_warp import Bitmap, Polygons, from_rle, to_rle
from centermask.size import Size

Ring = Float[np.ndarray, "_ 2"]
"""A closed line, (x, y) in pixels of the picture."""

Order = Int64[np.ndarray, " _"]


class _Steps(NamedTuple):
    """Straight pieces of the borders, all across or all along the columns."""

    starts: Int64[np.ndarray, "steps 2"]
    """(x, y)."""
    ends: Int64[np.ndarray, "steps 2"]
    back: Bool[np.ndarray, " steps"]
    """Whether it runs left or up."""


def one_outline(segmentation: Segmentation, size: Size) -> Ring:
    """One line that draws exactly the mask of a segmentation: as annotated if that does, else traced from the pixels.

    Where parts of the annotation lie on each other or are too small to be drawn, one line cannot say the same.
    """
    drawn = code(segmentation, size)
    if isinstance(segmentation, Polygons):
        annotated = visible_mask(segmentation, size)
        joined = bridge([_clockwise(part) for part in annotated.parts]) if isinstance(annotated, Polygons) else None
        if joined is not None and draws(joined, size) == drawn["counts"]:
            return joined
    return bridge(trace(from_rle(drawn)))


def draws(ring: Ring, size: Size) -> str:
    """The run-length counts of what a line encloses."""
    return to_rle(Polygons((ring,)), size)["counts"]


def bridge(rings: Sequence[Ring]) -> Ring:
    """Join lines into one by lines without width: from ring to ring, and the same way back.

    What is walked twice lies twice on the same pixels and cancels out where a polygon is filled by counting crossings,
    as COCO does: drawn is what an odd number of the rings encloses.
    """
    if len(rings) < 2:
        return rings[0] if rings else np.zeros((0, 2))
    turned = [rings[0]]
    for ring in rings[1:]:  # begins where it is nearest to the beginning of the one before: short bridges
        nearest = int(np.abs(ring - turned[-1][0]).sum(axis=1).argmin())
        turned.append(np.roll(ring, -nearest, axis=0))
    closed = [np.concatenate([ring, ring[:1]]) for ring in turned]
    back = np.stack([ring[0] for ring in turned[-2:0:-1]]) if len(turned) > 2 else np.zeros((0, 2))
    return np.concatenate([*closed, back])


def trace(mask: Bitmap) -> list[Ring]:
    """The borders of a bitmap: around each part (pixels that share a side) clockwise, around each hole the other way.

    >>> [ring.tolist() for ring in trace(Bitmap(np.ones((1, 2), dtype=bool), left=5, top=7))]
    [[[5.0, 7.0], [7.0, 7.0], [7.0, 8.0], [5.0, 8.0]]]
    """
    pixels = np.pad(mask.pixels, 1).astype(np.int8)
    # Every side of a pixel is walked with the mask at the right hand: its top to the right, its foot to the left, its
    # left side up, its right side down.
    across = _steps(np.diff(pixels, axis=0), forward=1, swap=False)
    along = _steps(np.diff(pixels, axis=1).T, forward=-1, swap=True)
    # Where two pixels touch only at a corner, two lines meet. Rightward goes on downward, down goes on leftward, and so
    # round, so that each line stays with its own pixels.
    after_across = _follow(across.ends, across.back, along.starts, along.back)
    after_along = _follow(along.ends, along.back, across.starts, ~across.back)
    corners = np.concatenate([across.starts, across.ends], axis=1).astype(np.float64)
    corners += np.array([mask.left - 1, mask.top - 1] * 2)  # the frame of zeros around the mask moved it by one
    return [corners[loop].reshape(-1, 2) for loop in _loops(after_along[after_across])]


def _steps(borders: Int8[np.ndarray, "lines places"], *, forward: int, swap: bool) -> _Steps:
    """Runs of one sign in each line; ``forward`` is the sign of those that run right or down."""
    starts, ends, back = [], [], []
    for sign in (forward, -forward):
        edges = np.diff((borders == sign).astype(np.int8), axis=1)  # the first and last place of a line are no border
        low, high = (np.argwhere(edges == step)[:, ::-1] + 1 for step in (1, -1))  # (place, line)
        starts.append(low if sign == forward else high)
        ends.append(high if sign == forward else low)
        back.append(np.full(len(low), sign != forward))
    order = slice(None, None, -1) if swap else slice(None)
    return _Steps(np.concatenate(starts)[:, order], np.concatenate(ends)[:, order], np.concatenate(back))


def _follow(
    ends: Int64[np.ndarray, "steps 2"],
    end_side: Bool[np.ndarray, " steps"],
    starts: Int64[np.ndarray, "steps 2"],
    start_side: Bool[np.ndarray, " steps"],
) -> Order:
    """For each step the one that begins where it ends; of two, that of the same side."""
    following = np.empty(len(ends), dtype=np.int64)
    following[np.lexsort((end_side, *ends.T))] = np.lexsort((start_side, *starts.T))
    return following


def _loops(following: Order) -> list[Order]:
    """The cycles of a permutation."""
    successors, seen, loops = following.tolist(), np.zeros(len(following), dtype=bool).tolist(), []
    for first in range(len(successors)):
        loop, step = [], first
        while not seen[step]:
            seen[step] = True
            loop.append(step)
            step = successors[step]
        if loop:
            loops.append(np.array(loop))
    return loops


def _clockwise(ring: Ring) -> Ring:
    """So that the areas of several rings add up, instead of cancelling out."""
    x, y = ring[:, 0], ring[:, 1]
    return ring if np.dot(x, np.roll(y, -1)) >= np.dot(y, np.roll(x, -1)) else ring[::-1]
