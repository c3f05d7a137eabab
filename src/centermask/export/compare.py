"""The objects that a file finds in a picture, set against those that the network finds in PyTorch."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from centermask.images import SoftInstances

NEAR = 1.0
"""Pixels. In float32, boxes that are further apart are of different objects."""
LEAST_IOU = 0.5
"""In less exact numbers, boxes that overlap less are of different objects."""
EDGE = 1e-4
"""Of a score: objects so near to a threshold may fall on either side of it."""
NONE = np.zeros(0, dtype=np.float32)


class Room(NamedTuple):
    """How many objects of a picture there is room for."""

    candidates: int
    """In the network, which keeps the best by box score."""
    places: int
    """In the file, which gives the best of these by score."""


class Differences(NamedTuple):
    """Of the objects that both find, the greatest of each object."""

    boxes: Float[np.ndarray, " pairs"]
    """Pixels."""
    scores: Float[np.ndarray, " pairs"]
    """Of the score and of the box score."""
    masks: Float[np.ndarray, " pairs"]
    """Probability."""


class Compared(NamedTuple):
    """One picture, or several joined."""

    missing: int
    """Objects that only PyTorch finds."""
    extra: int
    """Objects that only the file finds."""
    differences: Differences
    full_masks: Float[np.ndarray, " found"]
    """Of each object of the file: how far from one half its probability is where its full mask says the other side.

    Empty if the file gives no such masks.
    """

    @property
    def objects(self) -> int:
        """All that at least one of the two finds."""
        return self.missing + self.extra + len(self.differences.boxes)

    @property
    def unpaired(self) -> int:
        """Objects that stand alone; one that was exchanged for another counts once."""
        return max(self.missing, self.extra)


def join(parts: list[Compared]) -> Compared:
    """Several pictures as one."""
    none = Differences(NONE, NONE, NONE)
    fields = zip(none, *(part.differences for part in parts), strict=True)
    differences = Differences(*(np.concatenate(field) for field in fields))
    return Compared(
        sum(part.missing for part in parts),
        sum(part.extra for part in parts),
        differences,
        np.concatenate([NONE, *(part.full_masks for part in parts)]),
    )


def compare_exactly(
    expected: SoftInstances,
    found: SoftInstances,
    threshold: float,
    room: Room,
    full_masks: Float[np.ndarray, " found"] = NONE,
) -> Compared:
    """Set side by side what should be the same but for rounding.

    An object may stand alone where rounding decides: with a score at the threshold, with the lowest box score of a
    picture whose candidates are all taken, or with the lowest score of one whose places are. Such are not counted.

    Args:
        expected: Of PyTorch, at threshold 0, all candidates.
        found: Of the file, at ``threshold``.
        threshold: Objects of PyTorch with a lower score are left out.
        room: In the network and in the file.
        full_masks: See ``Compared``.
    """
    last = float(expected.box_scores.min()) if len(expected.box_scores) >= room.candidates else -1.0
    expected = _take(expected, expected.scores >= threshold)
    distance = _distances(expected, found)
    rows, columns = _pair(distance, _same_label(expected, found) & (distance <= NEAR))
    missing, extra = (
        _alone(one, taken) & ~_at(one.scores, threshold) & ~_at(one.box_scores, last)
        for one, taken in ((expected, rows), (found, columns))
    )
    missing &= ~_without_place(expected, found, room, EDGE)
    differences = _differences(_take(expected, rows), _take(found, columns))
    return Compared(int(missing.sum()), int(extra.sum()), differences, full_masks)


def compare_loosely(
    expected: SoftInstances,
    found: SoftInstances,
    threshold: float,
    room: Room,
    slack: float,
    full_masks: Float[np.ndarray, " found"] = NONE,
) -> Compared:
    """Set side by side what is computed with fewer bits: boxes of one object overlap, by half at least.

    Only objects count that one of the two, at least, gives a score that reaches ``threshold``.

    Args:
        expected: Of PyTorch, at threshold 0, all candidates.
        found: Of the file, at threshold 0.
        threshold: Of a score.
        room: In the network and in the file.
        slack: How much better by score an object may be than those that took its place.
        full_masks: See ``Compared``; of all that was found.
    """
    iou = _ious(expected, found)
    rows, columns = _pair(-iou, _same_label(expected, found) & (iou >= LEAST_IOU))
    counts = np.maximum(expected.scores[rows], found.scores[columns]) >= threshold
    missing, extra = (
        _alone(one, taken) & (one.scores >= threshold) for one, taken in ((expected, rows), (found, columns))
    )
    missing &= ~_without_place(expected, found, room, slack)
    differences = _differences(_take(expected, rows[counts]), _take(found, columns[counts]))
    seen = full_masks[found.scores >= threshold] if len(full_masks) else full_masks
    return Compared(int(missing.sum()), int(extra.sum()), differences, seen)


def _without_place(
    expected: SoftInstances, found: SoftInstances, room: Room, slack: float
) -> Bool[np.ndarray, " instances"]:
    """Which objects of PyTorch the file need not give, because others that are no worse have all of its places."""
    if room.places >= room.candidates or len(found.scores) < room.places:
        return np.zeros(len(expected.scores), dtype=bool)
    return expected.scores <= found.scores.min() + slack


def _alone(found: SoftInstances, taken: Int64[np.ndarray, " pairs"]) -> Bool[np.ndarray, " instances"]:
    """Which objects are in no pair."""
    alone = np.ones(len(found.scores), dtype=bool)
    alone[taken] = False
    return alone


def _at(scores: Float[np.ndarray, " instances"], value: float) -> Bool[np.ndarray, " instances"]:
    """Which scores lie so near to a value that rounding decides."""
    return np.abs(scores - value) <= EDGE


def _take(found: SoftInstances, index: np.ndarray) -> SoftInstances:
    return SoftInstances(*(field[index] for field in found))


def _same_label(a: SoftInstances, b: SoftInstances) -> Bool[np.ndarray, "a b"]:
    return a.labels[:, None] == b.labels


def _distances(a: SoftInstances, b: SoftInstances) -> Float[np.ndarray, "a b"]:
    """The largest difference of a coordinate, in pixels."""
    return np.abs(a.boxes[:, None] - b.boxes).max(axis=2)


def _ious(a: SoftInstances, b: SoftInstances) -> Float[np.ndarray, "a b"]:
    least, most = np.minimum(a.boxes[:, None], b.boxes), np.maximum(a.boxes[:, None], b.boxes)
    inner = (least[..., 2:] - most[..., :2]).clip(min=0).prod(axis=2)
    areas = ((one.boxes[:, 2:] - one.boxes[:, :2]).prod(axis=1) for one in (a, b))
    outer = next(areas)[:, None] + next(areas) - inner
    return np.divide(inner, outer, out=np.zeros_like(inner), where=outer > 0)


def _pair(
    distance: Float[np.ndarray, "a b"], allowed: Bool[np.ndarray, "a b"]
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """Each with the nearest that is free, the nearest pair first."""
    rows, columns = np.nonzero(allowed)
    free_rows, free_columns = np.ones(distance.shape[0], dtype=bool), np.ones(distance.shape[1], dtype=bool)
    pairs = []
    for i in np.argsort(distance[rows, columns], kind="stable"):
        row, column = rows[i], columns[i]
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            pairs.append((row, column))
    chosen = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return chosen[:, 0], chosen[:, 1]


def _differences(a: SoftInstances, b: SoftInstances) -> Differences:
    scores = np.maximum(np.abs(a.scores - b.scores), np.abs(a.box_scores - b.box_scores))
    return Differences(np.abs(a.boxes - b.boxes).max(axis=1), scores, np.abs(a.masks - b.masks).max(axis=(1, 2)))
