"""What each kind of error costs: the AP50 that mending all of its kind would bring."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from centermask.evaluate.analysis import ErrorCost
from centermask.evaluate.curves import mean, precision_at_recalls
from centermask.evaluate.errors import CLASS, IGNORED, KINDS, MASK, MISSED, RIGHT, Verdicts
from centermask.evaluate.matching import Matches


class Ranked(NamedTuple):
    """What AP50 is counted from: predictions that are right or wrong, and how many objects there are."""

    labels: Int64[np.ndarray, " found"]
    scores: Float64[np.ndarray, " found"]
    right: Bool[np.ndarray, " found"]
    positives: Int64[np.ndarray, " classes"]
    wanted: Int64[np.ndarray, " classes"]
    """Of these objects, the ones that are to be found; a class of which none is left to find scores 1."""


def ap50(ranked: Ranked) -> float:
    """Mean over the classes that have objects; NaN if none has."""
    order = np.lexsort((-ranked.scores, ranked.labels))
    bounds = np.searchsorted(ranked.labels[order], np.arange(len(ranked.positives) + 1))
    values = np.full(len(ranked.positives), np.nan)
    for label in np.flatnonzero(ranked.positives).tolist():
        right = ranked.right[order[bounds[label] : bounds[label + 1]]]
        wanted = int(ranked.wanted[label])
        values[label] = precision_at_recalls(right, wanted)[0].mean() if wanted else 1.0
    return mean(values)


def ranked_as_found(matches: Matches, verdicts: Verdicts, classes: int) -> Ranked:
    """Everything as it is, with nothing mended."""
    counts = verdicts.kinds != IGNORED
    positives = np.bincount(matches.true_labels[matches.counted[:, 0]], minlength=classes).astype(np.int64)
    right = verdicts.kinds[counts] == RIGHT
    return Ranked(matches.labels[counts], matches.scores[counts], right, positives, positives)


def best_cover(matches: Matches, verdicts: Verdicts) -> Float64[np.ndarray, " true"]:
    """For each annotation the best score of what finds it, or would with a better mask or another class; else −∞.

    What has none is missed: as in TIDE, an object that an error of mask or class would find is not missed as well.
    """
    cover = np.full(len(matches.true_labels), -np.inf)
    finds = np.isin(verdicts.kinds, (RIGHT, MASK, CLASS))
    np.maximum.at(cover, verdicts.partners[finds], matches.scores[finds])
    return cover


def error_costs(
    matches: Matches, verdicts: Verdicts, cover: Float64[np.ndarray, " true"], classes: int, threshold: float
) -> tuple[ErrorCost, ...]:
    """Each kind's number from the threshold on, and the cost of all of it; the cost is 0 where AP is undefined."""
    ranked = ranked_as_found(matches, verdicts, classes)
    unmended = ap50(ranked)
    shown = verdicts.kinds[matches.scores >= threshold]
    costs = []
    for place, kind in enumerate(KINDS):
        count = int((shown == place).sum())
        if place == MISSED:
            count = int((matches.counted[:, 0] & (cover < threshold)).sum())
            mended = _without_missed(ranked, matches, cover)
        elif place in (MASK, CLASS):
            mended = _corrected(ranked, matches, verdicts, place)
        else:
            mended = _without(ranked, verdicts, place)
        gain = ap50(mended) - unmended
        costs.append(ErrorCost(kind=kind, count=count, cost=0.0 if np.isnan(gain) else max(0.0, gain)))
    return tuple(costs)


def _without_missed(ranked: Ranked, matches: Matches, cover: Float64[np.ndarray, " true"]) -> Ranked:
    """As if what is missed were not there, for no score could be given to what nothing predicts."""
    missed = matches.counted[:, 0] & np.isneginf(cover)
    numbers = np.bincount(matches.true_labels[missed], minlength=len(ranked.positives))
    return ranked._replace(wanted=ranked.positives - numbers)


def _without(ranked: Ranked, verdicts: Verdicts, kind: int) -> Ranked:
    """As if predictions of a kind had not been made."""
    kept = verdicts.kinds[verdicts.kinds != IGNORED] != kind
    return ranked._replace(labels=ranked.labels[kept], scores=ranked.scores[kept], right=ranked.right[kept])


def _corrected(ranked: Ranked, matches: Matches, verdicts: Verdicts, kind: int) -> Ranked:
    """As if masks, or classes, were those of the objects they lie on; what is found twice then is left out."""
    counts = verdicts.kinds != IGNORED
    kinds, partners = verdicts.kinds[counts], verdicts.partners[counts]
    wrong = np.flatnonzero(kinds == kind)
    best_first = wrong[np.argsort(-ranked.scores[wrong], kind="stable")]
    _, first = np.unique(partners[best_first], return_index=True)
    mended = best_first[first]
    mended = mended[(matches.reached[partners[mended], 0] & 1) == 0]
    right, labels, kept = ranked.right.copy(), ranked.labels.copy(), kinds != kind
    right[mended], labels[mended], kept[mended] = True, matches.true_labels[partners[mended]], True
    return ranked._replace(labels=labels[kept], scores=ranked.scores[kept], right=right[kept])
