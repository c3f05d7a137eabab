"""Where predictions fail, how, and what it costs: one walk over the pictures, then counting in flat arrays."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from centermask.errors import UserError
from centermask.evaluate.analysis import Analysis, PrecisionCurve
from centermask.evaluate.calibration import mask_iou_bins, score_bins
from centermask.evaluate.cases import worst_cases
from centermask.evaluate.costs import best_cover, error_costs
from centermask.evaluate.curves import Curves, count
from centermask.evaluate.errors import IGNORED, RIGHT, Verdicts, judge_set
from centermask.evaluate.matching import IOUS, Matches
from centermask.evaluate.rows import read_predictions, read_truth
from centermask.evaluate.scores import Evaluation
from centermask.evaluate.strata import heat_cells


def analyse(
    truth: Mapping[str, Any],
    predictions: Sequence[Mapping[str, Any]],
    *,
    evaluation: Evaluation | None = None,
    max_detections: int = 100,
    cases_per_kind: int = 24,
) -> Analysis:
    """Find out where COCO results fail against a COCO truth; masks are compared, neither is changed.

    Predictions and objects are matched as COCO matches them, so AP50 is that of ``evaluate_predictions``.

    Args:
        truth: as in ``evaluate_predictions``, and so ``predictions``.
        evaluation: one of the same predictions; as many detections count as did there.
        max_detections: per picture and class, where no evaluation is given.
        cases_per_kind: of each kind of error, as many cases are kept, the worst ones.

    Raises:
        UserError: as in ``evaluate_predictions``.
    """
    limit = max_detections if evaluation is None else evaluation.max_detections
    if limit < 1:
        raise UserError(f"max_detections is {limit}: expected at least 1")
    true = read_truth(truth)
    found = read_predictions(predictions, true.known)
    names = true.known.class_names
    matches, verdicts = judge_set(true, found, limit)
    point = best_point(matches, verdicts)
    cover = best_cover(matches, verdicts)
    return Analysis(
        class_names=names,
        threshold=point.threshold,
        precision=point.precision,
        recall=point.recall,
        curves=precision_curves(count(matches, len(names), ("all",), (limit,)), names),
        heat=heat_cells(true, matches),
        mask_iou=mask_iou_bins(found, matches, verdicts),
        scores=score_bins(matches, verdicts),
        confusion=confusion_matrix(matches, verdicts, len(names), point.threshold),
        costs=error_costs(matches, verdicts, cover, len(names), point.threshold),
        cases=worst_cases(true, matches, verdicts, cover, point.threshold, cases_per_kind),
    )


class OperatingPoint(NamedTuple):
    """A score from which on predictions are shown, and how good those are at mask IoU 0.5."""

    threshold: float
    precision: float
    """NaN where nothing is shown."""
    recall: float
    """NaN where there is no object."""


def best_point(matches: Matches, verdicts: Verdicts) -> OperatingPoint:
    """Where F1 over all classes together is highest, of equally good scores the highest; 0 if nothing is right.

    It lies half-way between the score of the last prediction that is shown and the next lower one (0, if there is
    none): as good here, and with few objects far better elsewhere than the score of the weakest one that was right.
    """
    counts = verdicts.kinds != IGNORED
    scores, right = matches.scores[counts], verdicts.kinds[counts] == RIGHT
    positives = int(matches.counted[:, 0].sum())
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(right[order])
    if not len(scores) or not hits[-1]:
        return OperatingPoint(0.0, 0.0 if len(scores) else float("nan"), 0.0 if positives else float("nan"))
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + positives)
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # equal scores are shown together
    best = int(ends[f1[ends].argmax()])
    below = scores[best + 1] if best + 1 < len(scores) else 0.0
    return OperatingPoint(
        float(scores[best] + below) / 2, float(hits[best] / (best + 1)), float(hits[best] / positives)
    )


def precision_curves(curves: Curves, class_names: Sequence[str]) -> tuple[PrecisionCurve, ...]:
    """The mean over classes, then each class, at IoU 0.5, at 0.75, and as a mean over all thresholds."""
    precision, scores = curves.precision[..., 0], curves.scores[..., 0]
    lines = []
    for place, name in enumerate(["", *class_names]):
        own = slice(None) if place == 0 else slice(place - 1, place)
        for iou, chosen in ((0.5, IOUS == 0.5), (0.75, np.isclose(IOUS, 0.75)), (0.0, IOUS > 0)):
            lines.append(
                PrecisionCurve(
                    class_name=name,
                    iou=iou,
                    precision=_means(precision[chosen][:, :, own]),
                    scores=_means(scores[chosen][:, :, own]),
                )
            )
    return tuple(lines)


def _means(values: Float64[np.ndarray, "ious recalls classes"]) -> tuple[float, ...]:
    """Over what is defined, for each recall."""
    defined = ~np.isnan(values)
    number = defined.sum(axis=(0, 2))
    totals = np.where(defined, values, 0).sum(axis=(0, 2))
    means: list[float] = np.divide(totals, number, out=np.full(len(number), np.nan), where=number > 0).tolist()
    return tuple(means)


def confusion_matrix(
    matches: Matches, verdicts: Verdicts, classes: int, threshold: float
) -> tuple[tuple[int, ...], ...]:
    """True class by predicted class from the threshold on; the last row is nothing, the last column missed."""
    shown = (matches.scores >= threshold) & (verdicts.kinds != IGNORED)
    partners, predicted = verdicts.confused[shown], matches.labels[shown]
    matrix = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    rows = np.where(partners >= 0, np.append(matches.true_labels, classes)[partners], classes)
    np.add.at(matrix, (rows, predicted), 1)
    missed = matches.counted[:, 0].copy()
    missed[partners[partners >= 0]] = False
    np.add.at(matrix, (matches.true_labels[missed], classes), 1)
    return tuple(tuple(row) for row in matrix.tolist())
