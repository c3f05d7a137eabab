"""What is wrong with each prediction, after TIDE (Bolya et al., ECCV 2020), by masks.

Two thresholds decide: from IoU 0.5 on a prediction lies on an object, below 0.1 it lies on none. Of several errors a
prediction counts as the first that holds, in the order of TIDE's own program: mask, class, duplicate, false, else class
and mask. What COCO ignores (what finds a crowd of its class) is no error.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from centermask.evaluate.analysis import ErrorKind
from centermask.evaluate.matching import ALL_AREAS, Matches, SceneMatches, join, matched_scenes
from centermask.evaluate.rows import Found, Truth
from centermask.evaluate.scenes import Scene

FOREGROUND, BACKGROUND = 0.5, 0.1
KINDS: tuple[ErrorKind, ...] = ("missed", "false", "duplicate", "class", "mask", "class and mask")
RIGHT, IGNORED = -1, -2
"""Beside places in ``KINDS``."""
MISSED, FALSE, DUPLICATE, CLASS, MASK, BOTH = range(6)


class Verdicts(NamedTuple):
    """One for each prediction that counts, in the order of ``Matches``."""

    kinds: Int64[np.ndarray, " found"]
    """Places in ``KINDS``, or RIGHT, or IGNORED."""
    partners: Int64[np.ndarray, " found"]
    """The annotation that it should have found, or found, by its place in the truth; −1 is none."""
    ious: Float64[np.ndarray, " found"]
    """With that annotation."""
    nearest: Float64[np.ndarray, " found"]
    """The highest IoU with an object of the prediction's own class."""
    confused: Int64[np.ndarray, " found"]
    """The annotation found at IoU 0.5 if classes are not looked at, best scores first; −1 is none."""


def judge_set(truth: Truth, found: Found, limit: int) -> tuple[Matches, Verdicts]:
    """Match the masks of a set and say what is wrong with each prediction."""
    matches, verdicts = [], []
    for scene, matched in matched_scenes(truth, found, "mask", limit, ALL_AREAS):
        matches.append(matched)
        verdicts.append(judge(scene, matched))
    return join(matches, truth, found, "mask", ALL_AREAS), _join(verdicts)


def _join(parts: Sequence[Verdicts]) -> Verdicts:
    whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
    empty = Verdicts(whole, whole, real, real, whole)
    return Verdicts(*(np.concatenate(fields) for fields in zip(empty, *parts, strict=True)))


def judge(scene: Scene, matched: SceneMatches) -> Verdicts:
    """Say what is wrong with each prediction of a picture."""
    same, same_place = _best(np.where(scene.same & ~scene.crowds, scene.ious, 0.0))
    other, other_place = _best(np.where(~scene.same & ~scene.crowds, scene.ious, 0.0))
    ignored = (matched.ignored[:, 0] & 1) > 0
    rules = [
        (IGNORED, ignored),
        (RIGHT, (matched.hits[:, 0] & 1) > 0),
        (MASK, (same >= BACKGROUND) & (same < FOREGROUND)),
        (CLASS, other >= FOREGROUND),
        (DUPLICATE, same >= FOREGROUND),
        (FALSE, other < BACKGROUND),
    ]
    kinds = np.select([holds for _, holds in rules], [kind for kind, _ in rules], BOTH).astype(np.int64)
    own, foreign = np.isin(kinds, (MASK, DUPLICATE)), np.isin(kinds, (CLASS, BOTH))
    places = np.where(own, same_place, np.where(foreign, other_place, -1))
    partners = np.where(kinds == RIGHT, matched.partners, np.append(scene.true, -1)[places])
    return Verdicts(kinds, partners, _with_partner(scene, partners), same, _confused(scene, ~ignored))


def _best(ious: Float64[np.ndarray, "found true"]) -> tuple[Float64[np.ndarray, " found"], Int64[np.ndarray, " found"]]:
    """The highest of each row, and its place; 0 and −1 where there is no object."""
    if not ious.shape[1]:
        return np.zeros(len(ious)), np.full(len(ious), -1, dtype=np.int64)
    return ious.max(axis=1), ious.argmax(axis=1)


def _with_partner(scene: Scene, partners: Int64[np.ndarray, " found"]) -> Float64[np.ndarray, " found"]:
    ious = np.zeros(len(partners))
    paired = np.flatnonzero(partners >= 0)
    columns = np.searchsorted(scene.true, partners[paired])  # annotations of a picture stand in ascending order
    ious[paired] = scene.ious[paired, columns]
    return ious


def _confused(scene: Scene, wanted: Bool[np.ndarray, " found"]) -> Int64[np.ndarray, " found"]:
    """Let each prediction, best first, take the free object that it covers best, of equal ones one of its own class."""
    taken: set[int] = set()
    confused = np.full(len(scene.found), -1, dtype=np.int64)
    near = (scene.ious >= FOREGROUND) & ~scene.crowds & wanted[:, None]
    for row in np.flatnonzero(near.any(axis=1)).tolist():
        free = [place for place in np.flatnonzero(near[row]).tolist() if place not in taken]
        if free:
            place = max(free, key=lambda place: (scene.ious[row, place], scene.same[row, place]))
            taken.add(place)
            confused[row] = scene.true[place]
    return confused
