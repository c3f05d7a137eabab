"""Average precision of resampled sets: each picture counts as often as it was drawn, and is matched only once."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32

from centermask.evaluate.curves import RECALLS, by_class, unpack
from centermask.evaluate.matching import IOUS, Matches

PIECE = 100
"""Resamples counted at a time: some 10 MB for 300 pictures with 100 predictions each."""
Counts = Int32[np.ndarray, "resamples pictures"]
"""How often each picture was drawn."""


class Averages(NamedTuple):
    """One number a resample; NaN where no true object was drawn."""

    ap: Float64[np.ndarray, " resamples"]
    ap50: Float64[np.ndarray, " resamples"]
    ap75: Float64[np.ndarray, " resamples"]
    ar: Float64[np.ndarray, " resamples"]


def draw(pictures: int, resamples: int, seed: int) -> Counts:
    """Draw as many pictures as there are, with repetition, ``resamples`` times."""
    if not pictures:
        return np.zeros((resamples, 0), dtype=np.int32)
    drawn = np.random.default_rng(seed).multinomial(pictures, np.full(pictures, 1 / pictures), size=resamples)
    return drawn.astype(np.int32)


def averages(matches: Matches, counts: Counts, classes: int) -> Averages:
    """AP and AR over all sizes, of each resample, as COCO would count them if every drawn picture were a new one."""
    pieces = [_averages(matches, counts[i : i + PIECE], classes) for i in range(0, len(counts), PIECE)]
    return Averages(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))


def _averages(matches: Matches, counts: Counts, classes: int) -> Averages:
    precision = np.full((classes, len(IOUS), len(counts)), np.nan)
    recall = precision.copy()
    for label, own in enumerate(by_class(matches, classes)):
        positives = _positives(matches, label, counts)
        defined = positives > 0
        if not defined.any():
            continue
        drawn = _Drawn(counts[defined][:, matches.pictures[own]], positives[defined])
        hits, ignored = unpack(matches.hits[own, 0]), unpack(matches.ignored[own, 0])
        for iou in range(len(IOUS)):
            precision[label, iou, defined], recall[label, iou, defined] = drawn.average(hits[iou], ignored[iou])
    return Averages(
        ap=_mean(precision),
        ap50=_mean(precision[:, np.isclose(IOUS, 0.5)]),
        ap75=_mean(precision[:, np.isclose(IOUS, 0.75)]),
        ar=_mean(recall),
    )


def _positives(matches: Matches, label: int, counts: Counts) -> Int32[np.ndarray, " resamples"]:
    """True objects of a class in each resample."""
    chosen = matches.counted[:, 0] & (matches.true_labels == label)
    return counts @ np.bincount(matches.true_pictures[chosen], minlength=counts.shape[1]).astype(np.int32)


class _Drawn:
    """The predictions of a class in resamples; what all IoU thresholds need is counted once."""

    def __init__(
        self, weights: Int32[np.ndarray, "resamples found"], positives: Int32[np.ndarray, " resamples"]
    ) -> None:
        self.weights, self.positives = weights, positives
        self.seen = np.cumsum(weights, axis=1, dtype=np.int32)
        """Predictions down to each one."""
        steps = np.arange(positives.max() + 1) / positives[:, None]
        self.passed = np.searchsorted(RECALLS, steps, side="right").astype(np.int32)
        """How many of COCO's recalls are reached by that many objects found."""

    def average(
        self, hits: Bool[np.ndarray, " found"], ignored: Bool[np.ndarray, " found"]
    ) -> tuple[Float64[np.ndarray, " resamples"], Float64[np.ndarray, " resamples"]]:
        """Precision averaged over COCO's recalls, and the recall that is reached.

        Precision is highest at the right predictions, so only those are looked at. A picture that was drawn k times
        makes k steps at once: the precision between them is never higher than after them.
        """
        right = np.flatnonzero(hits & ~ignored)
        if not len(right):
            return np.zeros(len(self.weights)), np.zeros(len(self.weights))
        found = np.cumsum(self.weights[:, right], axis=1, dtype=np.int32)
        seen = self.seen[:, right]
        if ignored.any():
            seen = seen - np.cumsum(self.weights * ignored, axis=1)[:, right]
        envelope = np.maximum.accumulate((found / np.maximum(seen, 1))[:, ::-1], axis=1)[:, ::-1]
        share = np.diff(np.take_along_axis(self.passed, found, axis=1), axis=1, prepend=0)
        return np.einsum("ij,ij->i", envelope, share) / len(RECALLS), found[:, -1] / self.positives


def _mean(values: Float64[np.ndarray, "classes ious resamples"]) -> Float64[np.ndarray, " resamples"]:
    """Mean over the classes that have objects; NaN if none has."""
    defined = ~np.isnan(values)
    number = defined.sum(axis=(0, 1))
    totals = np.where(defined, values, 0).sum(axis=(0, 1))
    return np.divide(totals, number, out=np.full(values.shape[2], np.nan), where=number > 0)
