"""Whether predicted numbers can be taken at their word: the mask IoU against the true one, the score as a chance."""

import numpy as np
from jaxtyping import Float64

from centermask.evaluate.analysis import CalibrationBin
from centermask.evaluate.errors import BACKGROUND, IGNORED, RIGHT, Verdicts
from centermask.evaluate.matching import Matches
from centermask.evaluate.rows import Found

BINS = 10


def mask_iou_bins(found: Found, matches: Matches, verdicts: Verdicts) -> tuple[CalibrationBin, ...]:
    """The predicted mask IoU against the true one, over predictions that lie on an object of their class.

    The predicted one is the score divided by the box score; a prediction whose box score is 0 has none.
    """
    box_scores = found.box_scores[matches.found]
    chosen = (verdicts.kinds != IGNORED) & (verdicts.nearest >= BACKGROUND) & (box_scores > 0)
    return bins(matches.scores[chosen] / box_scores[chosen], verdicts.nearest[chosen])


def score_bins(matches: Matches, verdicts: Verdicts) -> tuple[CalibrationBin, ...]:
    """The score against the share of predictions that are right at mask IoU 0.5."""
    chosen = verdicts.kinds != IGNORED
    return bins(matches.scores[chosen], (verdicts.kinds[chosen] == RIGHT).astype(np.float64))


def bins(predicted: Float64[np.ndarray, " values"], true: Float64[np.ndarray, " values"]) -> tuple[CalibrationBin, ...]:
    """Ten bins of predicted values from 0 to 1, means of both in each; NaN in empty ones.

    A bin has its lower edge, the last one both. What lies outside 0 to 1 counts as the nearest end.

    >>> [(one.low, one.count, one.true) for one in bins(np.array([0.15, 0.1]), np.array([1.0, 0.0]))][1]
    (0.1, 2, 0.5)
    """
    predicted = np.clip(predicted, 0, 1)
    edges = np.arange(BINS + 1) / BINS
    places = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    sums = (np.bincount(places, weights=values, minlength=BINS) for values in (predicted, true))
    means = [np.divide(total, counts, out=np.full(BINS, np.nan), where=counts > 0) for total in sums]
    return tuple(
        CalibrationBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            count=int(counts[i]),
            predicted=float(means[0][i]),
            true=float(means[1][i]),
        )
        for i in range(BINS)
    )
