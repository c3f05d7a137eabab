"""COCO's matching of predictions and true objects, at ten IoU thresholds and for each range of areas.

Whether something is matched at the ten thresholds is one number of ten bits, the lowest for IoU 0.5. So a prediction
takes all it can get at once, and a few small numbers for each object are all that stays in memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt16

from centermask.evaluate.rows import Found, Truth
from centermask.evaluate.scenes import Kind, Scene, ranking, ranks, scenes

IOUS = np.linspace(0.5, 0.95, 10)
ALL = (1 << len(IOUS)) - 1
Ranges = Mapping[str, tuple[float, float]]
"""Of areas, by name; both edges belong to a range."""
ALL_AREAS: Ranges = {"all": (0.0, 1e10)}
AREAS: Ranges = {**ALL_AREAS, "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""COCO's."""


class SceneMatches(NamedTuple):
    """The matches of one picture; bits are those of ``IOUS``."""

    found: Int64[np.ndarray, " found"]
    """Places in the list of predictions, best first."""
    true: Int64[np.ndarray, " true"]
    """Places in the list of annotations."""
    hits: UInt16[np.ndarray, "found areas"]
    ignored: UInt16[np.ndarray, "found areas"]
    """Where a prediction counts neither as right nor as wrong."""
    partners: Int64[np.ndarray, " found"]
    """The annotation matched at IoU 0.5 in the first range of areas; −1 is none."""
    reached: UInt16[np.ndarray, "true areas"]
    """Where a true object is matched."""


class Matches(NamedTuple):
    """The matches of a set: the predictions that count, picture by picture, best first; and all true objects."""

    found: Int64[np.ndarray, " found"]
    """Places in the list of predictions."""
    pictures: Int64[np.ndarray, " found"]
    labels: Int64[np.ndarray, " found"]
    scores: Float64[np.ndarray, " found"]
    ranks: Int64[np.ndarray, " found"]
    """Among those of the class in the picture, the best 0."""
    hits: UInt16[np.ndarray, "found areas"]
    ignored: UInt16[np.ndarray, "found areas"]
    true_pictures: Int64[np.ndarray, " true"]
    true_labels: Int64[np.ndarray, " true"]
    counted: Bool[np.ndarray, "true areas"]
    """Whether an object is to be found: no crowd, and its area within the range."""
    reached: UInt16[np.ndarray, "true areas"]


def match_set(truth: Truth, found: Found, kind: Kind, limit: int, areas: Ranges = AREAS) -> Matches:
    """Match every picture of a set, the best ``limit`` predictions of each class."""
    pictures = [matched for _, matched in matched_scenes(truth, found, kind, limit, areas)]
    return join(pictures, truth, found, kind, areas)


def matched_scenes(
    truth: Truth, found: Found, kind: Kind, limit: int, areas: Ranges
) -> Iterator[tuple[Scene, SceneMatches]]:
    """One picture after the other."""
    sizes = found.objects.areas if kind == "mask" else found.objects.boxes[:, 2] * found.objects.boxes[:, 3]
    outside, counted = outside_areas(sizes, areas), counted_objects(truth, areas)
    for scene in scenes(truth, found, kind, limit):
        yield scene, match_scene(scene, outside[scene.found], counted[scene.true])


def join(pictures: Sequence[SceneMatches], truth: Truth, found: Found, kind: Kind, areas: Ranges) -> Matches:
    """The matches of a set from those of its pictures."""
    none = np.zeros((0, len(areas)), dtype=np.uint16)
    chosen = np.concatenate([np.zeros(0, dtype=np.int64), *(one.found for one in pictures)])
    reached = np.zeros((len(truth.crowds), len(areas)), dtype=np.uint16)
    for one in pictures:
        reached[one.true] = one.reached
    return Matches(
        found=chosen,
        pictures=found.objects.pictures[chosen],
        labels=found.objects.labels[chosen],
        scores=ranking(found, kind)[chosen],
        ranks=ranks(found, kind)[chosen],
        hits=np.concatenate([none, *(one.hits for one in pictures)]),
        ignored=np.concatenate([none, *(one.ignored for one in pictures)]),
        true_pictures=truth.objects.pictures,
        true_labels=truth.objects.labels,
        counted=counted_objects(truth, areas),
        reached=reached,
    )


def outside_areas(values: Float64[np.ndarray, " objects"], areas: Ranges) -> Bool[np.ndarray, "objects areas"]:
    """Which of these areas lie outside each range."""
    low, high = np.array(list(areas.values())).T
    return (values[:, None] < low) | (values[:, None] > high)


def counted_objects(truth: Truth, areas: Ranges) -> Bool[np.ndarray, "true areas"]:
    """Which true objects are to be found in each range of areas."""
    return ~truth.crowds[:, None] & ~outside_areas(truth.objects.areas, areas)


def match_scene(
    scene: Scene, outside: Bool[np.ndarray, "found areas"], counted: Bool[np.ndarray, "true areas"]
) -> SceneMatches:
    """Let each prediction, best first, take the object of its class that it covers best, at each threshold anew.

    An object that does not count is taken only if no other is left to take, and takes its prediction out of the count,
    as a size outside the range does to a prediction that finds nothing. A crowd can be taken many times. Of equal IoU,
    the later object wins.
    """
    areas = counted.shape[1]
    hits = np.zeros((len(scene.found), areas), dtype=np.uint16)
    ignored = np.where(outside, ALL, 0).astype(np.uint16)
    partners = np.full(len(scene.found), -1, dtype=np.int64)
    reached = np.zeros((len(scene.true), areas), dtype=np.uint16)
    candidates = list(_candidates(scene))
    for area in range(areas):
        free, counts, crowds = [ALL] * len(scene.true), counted[:, area].tolist(), scene.crowds.tolist()
        for prediction, options in candidates:
            hit, unjudged = 0, 0
            for wanted in (True, False):
                for true, bits in options:
                    taken = bits & free[true] & ~hit if counts[true] is wanted else 0
                    if not taken:
                        continue
                    hit |= taken
                    unjudged |= 0 if wanted else taken
                    free[true] &= ALL if crowds[true] else ~taken
                    if area == 0 and taken & 1:
                        partners[prediction] = scene.true[true]
            hits[prediction, area] = hit
            ignored[prediction, area] = unjudged | (int(ignored[prediction, area]) & ~hit)
        reached[:, area] = [ALL & ~bits for bits in free]
    return SceneMatches(scene.found, scene.true, hits, ignored, partners, reached)


def _candidates(scene: Scene) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """The predictions that reach objects of their class, best first, each with these, nearest first, and the bits."""
    levels = np.where(scene.same, np.searchsorted(IOUS, scene.ious, side="right"), 0)
    found, true = np.nonzero(levels)
    order = np.lexsort((-true, -scene.ious[found, true], found))
    found, true = found[order], true[order]
    bits = (1 << levels[found, true]) - 1
    triples = zip(found.tolist(), true.tolist(), bits.tolist(), strict=True)
    for prediction, group in groupby(triples, key=lambda triple: triple[0]):
        yield prediction, [(place, reach) for _, place, reach in group]
