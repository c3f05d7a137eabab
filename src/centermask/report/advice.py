"""What stands out in an evaluation or a run, in a sentence each: what is wrong, by how much, and the mend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from centermask.evaluate.analysis import Analysis, ErrorKind, HeatCell
from centermask.report.charts import calibration_shift
from centermask.report.metrics import Line, Metrics, pairs_of
from centermask.report.progress import waiting_shares
from centermask.report.shown import ShownPicture

LEAST_COST = 0.01
LEAST_SHIFT = 0.08
LEAST_GAP = 0.15
LEAST_OBJECTS = 10
"""Of a cell of the heat map that is worth a sentence."""
LEAST_CONFUSED = 0.1
LEAST_FALL = 0.02
LEAST_RISE = 0.01
MOST_WAITING = 0.2
MOST_UNLEARNED = 0.1

SUBJECTS: dict[ErrorKind, str] = {
    "missed": "Missed objects",
    "false": "False predictions",
    "duplicate": "Duplicates",
    "class": "Wrong classes",
    "mask": "Poor masks",
    "class and mask": "Wrong classes with poor masks",
}
MENDS: dict[ErrorKind, str] = {
    "missed": "look at which ones below: small ones want a larger --short-side, rare ones more pictures",
    "false": "look whether some of them are real objects that nobody annotated",
    "duplicate": "look whether single objects are annotated in pieces; a lower nms_iou removes second boxes",
    "class": "look at the confusion matrix: the classes may need more pictures, or a clearer rule for annotators",
    "mask": "look at the outlines of truth and prediction: coarse annotations teach coarse masks",
    "class and mask": "look at the pictures: these are the hardest places",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that stands out."""

    what: str
    mend: str
    part: str
    """The part of the page that shows it."""


def evaluation_findings(analysis: Analysis) -> list[Finding]:
    """What stands out in an evaluation, what costs most first."""
    found = [_cost(analysis), _small(analysis), _crowded(analysis), _confused(analysis), _calibration(analysis)]
    return [one for one in found if one]


def run_findings(metrics: Metrics, course: Sequence[Line], shown: Sequence[ShownPicture]) -> list[Finding]:
    """What stands out in the course of a run."""
    return [one for one in (_course(course), _waiting(metrics), _unlearned(shown)) if one]


def _cost(analysis: Analysis) -> Finding | None:
    worst = max(analysis.costs, key=lambda one: one.cost if math.isfinite(one.cost) else -1, default=None)
    if worst is None or not worst.cost >= LEAST_COST:
        return None
    what = f"{SUBJECTS[worst.kind]} cost most: without them AP50 would be {worst.cost:.3f} higher"
    return Finding(what=what, mend=MENDS[worst.kind], part="errors")


def _recall(cells: Sequence[HeatCell]) -> tuple[int, float]:
    """Objects of some cells, and the share of them that is found."""
    filled = [cell for cell in cells if cell.instances and math.isfinite(cell.recall50)]
    total = sum(cell.instances for cell in filled)
    return total, sum(cell.instances * cell.recall50 for cell in filled) / total if total else math.nan


def _small(analysis: Analysis) -> Finding | None:
    small, others = (
        _recall([cell for cell in analysis.heat if (cell.size == "small") == is_small]) for is_small in (True, False)
    )
    if min(small[0], others[0]) < LEAST_OBJECTS or not others[1] - small[1] >= LEAST_GAP:
        return None
    return Finding(
        what=f"Small objects are found less: {100 * small[1]:.0f} % of {small[0]}, "
        f"against {100 * others[1]:.0f} % of the others",
        mend="a larger --short-side shows them larger",
        part="heat",
    )


def _crowded(analysis: Analysis) -> Finding | None:
    overlaps = list(dict.fromkeys(cell.overlap for cell in analysis.heat))
    if len(overlaps) < 2:
        return None
    alone, crowded = (
        _recall([cell for cell in analysis.heat if cell.overlap == one]) for one in (overlaps[0], overlaps[-1])
    )
    if min(alone[0], crowded[0]) < LEAST_OBJECTS or not alone[1] - crowded[1] >= LEAST_GAP:
        return None
    return Finding(
        what=f"Objects that overlap others of their class are found less: {100 * crowded[1]:.0f} % of {crowded[0]}, "
        f"against {100 * alone[1]:.0f} % of those that stand alone",
        mend="pictures with more overlap teach it; --copy-paste 0.5 makes some",
        part="heat",
    )


def _confused(analysis: Analysis) -> Finding | None:
    worst, place = 0.0, (0, 0)
    for i, row in enumerate(analysis.confusion[: len(analysis.class_names)]):
        for j, count in enumerate(row[: len(analysis.class_names)]):
            if i != j and sum(row) >= LEAST_OBJECTS and count / sum(row) > worst:
                worst, place = count / sum(row), (i, j)
    if worst < LEAST_CONFUSED:
        return None
    true, said = (analysis.class_names[i] for i in place)
    return Finding(
        what=f"“{true}” is taken for “{said}” in {100 * worst:.0f} % of cases",
        mend="look whether both are annotated alike, and add pictures that show the difference",
        part="confusion",
    )


def _calibration(analysis: Analysis) -> Finding | None:
    shift = calibration_shift(analysis.mask_iou)
    if not abs(shift) >= LEAST_SHIFT:
        return None
    words = "better" if shift > 0 else "worse"
    return Finding(
        what=f"Masks are rated {words} than they are, by {abs(shift):.2f} IoU in the mean",
        mend="the order of results suffers where ratings differ; longer training usually mends it",
        part="calibration",
    )


def _course(course: Sequence[Line]) -> Finding | None:
    points = pairs_of(course, "mask_ap", "epoch")
    if len(points) < 4:
        return None
    last, (best_epoch, best) = points[-1][1], max(points, key=lambda point: point[1])
    if best - last >= LEAST_FALL:
        return Finding(
            what=f"Mask AP was best at epoch {best_epoch:g} ({best:.3f}) and has fallen since, to {last:.3f}",
            mend="best.safetensors holds the best; more pictures or more --scale-jitter keep it from learning by heart",
            part="progress",
        )
    if last - points[-3][1] >= LEAST_RISE and last == best:
        return Finding(
            what=f"Mask AP still rises: {points[-3][1]:.3f}, {points[-2][1]:.3f}, {last:.3f}",
            mend="more --epochs should bring more",
            part="progress",
        )
    return None


def _waiting(metrics: Metrics) -> Finding | None:
    shares = [share for _, share in waiting_shares(metrics)]
    mean = sum(shares) / len(shares) if shares else 0.0
    if mean < MOST_WAITING:
        return None
    return Finding(
        what=f"The network waits for pictures {100 * mean:.0f} % of the time",
        mend="more --workers, or smaller picture files",
        part="timing",
    )


def _unlearned(shown: Sequence[ShownPicture]) -> Finding | None:
    unlearned = sum(one.unlearned for one in shown)
    total = unlearned + sum(sum(one.levels) for one in shown)
    if not total or unlearned / total < MOST_UNLEARNED:
        return None
    return Finding(
        what=f"{unlearned} of {total} objects of the training batch are learned at no location",
        mend="they are too small, or lie too close to smaller ones: a larger --short-side parts them",
        part="shown",
    )
