"""Precision and recall from matches, as COCO counts them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt16

from centermask.evaluate.matching import IOUS, Matches

RECALLS = np.linspace(0, 1, 101)


class Curves(NamedTuple):
    """Precision and recall at every IoU threshold, class, range of areas and limit of detections; NaN is undefined."""

    precision: Float64[np.ndarray, "ious recalls classes areas"]
    """At recall 0, 0.01 … 1, with the largest limit; 0 where that recall is not reached."""
    scores: Float64[np.ndarray, "ious recalls classes areas"]
    """Of the prediction that reaches it; NaN where none does."""
    recall: Float64[np.ndarray, "ious classes areas limits"]
    areas: tuple[str, ...]
    limits: tuple[int, ...]
    """Detections per picture and class, ascending."""

    def of_class(self, index: int) -> "Curves":
        """The curves of one class."""
        one = slice(index, index + 1)
        return self._replace(
            precision=self.precision[:, :, one], scores=self.scores[:, :, one], recall=self.recall[:, one]
        )

    def ap(self, iou: float | None = None, area: str = "all") -> float:
        """Mean precision, at one IoU threshold or over all."""
        chosen = np.ones(len(IOUS), dtype=bool) if iou is None else np.isclose(IOUS, iou)
        return mean(self.precision[chosen, :, :, self.areas.index(area)])

    def ar(self, limit: int, area: str = "all") -> float:
        """Mean recall over all IoU thresholds with the best ``limit`` detections, or with all if there are fewer."""
        reached = self.limits.index(min(limit, self.limits[-1]))
        return mean(self.recall[:, :, self.areas.index(area), reached])


def mean(values: Float64[np.ndarray, "*any"]) -> float:
    """Mean of what is defined; NaN if nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def count(matches: Matches, classes: int, areas: Sequence[str], limits: Sequence[int]) -> Curves:
    """Precision and recall of each class; a class without an object that counts has none."""
    nothing = np.full((len(IOUS), len(RECALLS), classes, len(areas)), np.nan)
    curves = Curves(
        precision=nothing,
        scores=nothing.copy(),
        recall=np.full((len(IOUS), classes, len(areas), len(limits)), np.nan),
        areas=tuple(areas),
        limits=tuple(limits),
    )
    for label, own in enumerate(by_class(matches, classes)):
        for area in range(len(areas)):
            positives = int(matches.counted[matches.true_labels == label, area].sum())
            if positives:
                _fill(curves, matches, own, label, area, positives)
    return curves


def by_class(matches: Matches, classes: int) -> list[Int64[np.ndarray, " own"]]:
    """The predictions of each class, best first; equal scores stay in the order of the pictures."""
    order = np.lexsort((-matches.scores, matches.labels))
    bounds = np.searchsorted(matches.labels[order], np.arange(classes + 1))
    return [order[start:stop] for start, stop in pairwise(bounds)]


def unpack(bits: UInt16[np.ndarray, " found"]) -> Bool[np.ndarray, "ious found"]:
    """A row for each IoU threshold."""
    return (bits[None, :] >> np.arange(len(IOUS), dtype=np.uint16)[:, None]) & 1 > 0


def _fill(
    curves: Curves, matches: Matches, own: Int64[np.ndarray, " own"], label: int, area: int, positives: int
) -> None:
    hits, ignored = unpack(matches.hits[own, area]), unpack(matches.ignored[own, area])
    right, scores = hits & ~ignored, matches.scores[own]
    for place, limit in enumerate(curves.limits):
        curves.recall[:, label, area, place] = right[:, matches.ranks[own] < limit].sum(axis=1) / positives
    for iou in range(len(IOUS)):
        counted = ~ignored[iou]
        precision, reaching = precision_at_recalls(right[iou, counted], positives)
        curves.precision[iou, :, label, area] = precision
        reached = reaching >= 0
        curves.scores[iou, reached, label, area] = scores[counted][reaching[reached]]


def precision_at_recalls(
    right: Bool[np.ndarray, " found"], positives: int
) -> tuple[Float64[np.ndarray, "101"], Int64[np.ndarray, "101"]]:
    """The best precision at each recall or any higher, of predictions best first; and which of them reaches it first.

    The precision is 0 and the prediction −1 where the recall is not reached.
    """
    hits = np.cumsum(right)
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    reaching = np.searchsorted(hits / positives, RECALLS, side="left")
    reached = reaching < len(hits)
    at_recalls = np.zeros(len(RECALLS))
    at_recalls[reached] = envelope[reaching[reached]]
    return at_recalls, np.where(reached, reaching, -1)
