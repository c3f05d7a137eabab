"""The charts of a report: each with its title, its legend and its drawing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from centermask.evaluate.analysis import Analysis, CalibrationBin, PrecisionCurve
from centermask.report.svg import (
    SHARE,
    Axis,
    Frame,
    Line,
    Point,
    bar,
    chart,
    dot,
    segment,
    text,
)

PLOT_SIDE, SCORE_HEIGHT = 340.0, 260.0
"""Height of the charts whose axes both are shares, and of those that stand two in a row."""
MEANS = {0.5: "mask IoU 0.5", 0.75: "mask IoU 0.75", 0.0: "mean of 0.5 … 0.95"}
"""The IoU of the curves of the mean over classes, in words."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """An entry of a legend."""

    colour: str
    name: str
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A titled chart."""

    title: str
    drawing: Markup
    keys: Sequence[Key] = ()


def decimals(value: float) -> str:
    """Three decimals, as COCO's tools print AP; a dash where nothing is defined.

    >>> decimals(0.4294), decimals(float("nan"))
    ('0.429', '–')
    """
    return "–" if math.isnan(value) else f"{value:.3f}"


def precision_chart(analysis: Analysis, classes: Sequence[str]) -> Chart:
    """The mean curves, those of some classes pale behind them, and the point at which predictions are shown."""
    frame = _square("recall", "precision")
    means = mean_curves(analysis)
    faint = [
        Line(points=_points(one), name=one.class_name, colour="c4", style="faint")
        for one in analysis.curves
        if one.class_name in classes and one.iou == 0.5 and len(classes) > 1
    ]
    lines = [Line(points=_points(curve), name=name, colour=f"c{i}") for i, (name, curve) in enumerate(means.items())]
    here = (analysis.recall, analysis.precision)
    mark = Markup()
    if all(math.isfinite(value) for value in here):
        hint = f"score {analysis.threshold:.2f} and more: precision {here[1]:.3f}, recall {here[0]:.3f}"
        mark = dot(frame.at(here), "c2", hint, 5.0)
    title = "Precision over recall"
    return Chart(
        title=title,
        drawing=chart(frame, [*faint, *lines], title, over=mark),
        keys=[Key(colour=line.colour, name=line.name) for line in lines if line.points]
        + [Key(colour="c2 round", name=f"score {analysis.threshold:.2f}")] * bool(mark),
    )


def mean_curves(analysis: Analysis) -> dict[str, PrecisionCurve]:
    """The curves of the mean over classes, by their IoU in words."""
    return {MEANS[one.iou]: one for one in analysis.curves if not one.class_name and one.iou in MEANS}


def two_precisions(analyses: Mapping[str, Analysis], iou: float) -> Chart:
    """The curves of several runs at one IoU."""
    lines = [
        Line(points=_points(curve), name=name, colour=("c0", "c2")[i % 2])
        for i, (name, analysis) in enumerate(analyses.items())
        if (curve := mean_curves(analysis).get(MEANS[iou]))
    ]
    title = f"Precision over recall, {MEANS[iou]}"
    keys = [Key(colour=line.colour, name=line.name) for line in lines]
    return Chart(
        title=MEANS[iou][0].upper() + MEANS[iou][1:],
        drawing=chart(_square("recall", "precision"), lines, title),
        keys=keys,
    )


def _points(curve: PrecisionCurve) -> list[Point]:
    last = max(1, len(curve.precision) - 1)
    return [(i / last, value) for i, value in enumerate(curve.precision) if math.isfinite(value)]


def calibration_chart(bins: Sequence[CalibrationBin], title: str, x_title: str, y_title: str) -> Chart:
    """What is true over what is predicted; on the diagonal both agree. Bars below tell how many there are."""
    frame = _square(x_title, y_title)
    filled = [one for one in bins if one.count and math.isfinite(one.predicted) and math.isfinite(one.true)]
    total, most = sum(one.count for one in filled), max([one.count for one in filled], default=1)
    bars = Markup("").join(_count_bar(frame, one, most) for one in filled)
    diagonal = segment(frame.at((0.0, 0.0)), frame.at((1.0, 1.0)), "diagonal")
    line = Line(points=[(one.predicted, one.true) for one in filled], colour="c0")
    dots = Markup("").join(_bin_dot(frame, one, most) for one in filled)
    if not filled:
        dots = text("no prediction to compare", frame.width / 2, frame.height / 2, "name mid")
    error = sum(one.count * abs(one.predicted - one.true) for one in filled) / total if total else math.nan
    return Chart(
        title=title,
        drawing=chart(frame, [line], title, under=bars + diagonal, over=dots),
        keys=[Key(colour="", name="mean distance", value="–" if math.isnan(error) else f"{error:.3f}")],
    )


def calibration_shift(bins: Sequence[CalibrationBin]) -> float:
    """How far predicted values lie above the true ones, on average; NaN where there is nothing to compare."""
    filled = [one for one in bins if one.count and math.isfinite(one.predicted) and math.isfinite(one.true)]
    total = sum(one.count for one in filled)
    return sum(one.count * (one.predicted - one.true) for one in filled) / total if total else math.nan


def _bin_dot(frame: Frame, one: CalibrationBin, most: int) -> Markup:
    """The more predictions, the larger."""
    hint = f"predicted {one.predicted:.2f}, true {one.true:.2f}: {one.count}"
    return dot(frame.at((one.predicted, one.true)), "c0", hint, 2.5 + 4 * math.sqrt(one.count / most))


def _count_bar(frame: Frame, one: CalibrationBin, most: int) -> Markup:
    (left, foot), (right, _) = frame.at((one.low, 0.0)), frame.at((one.high, 0.0))
    height = 44 * one.count / most
    hint = f"{one.low:.1f} to {one.high:.1f}: {one.count} predictions"
    return bar(left + 1, foot - height, right - left - 2, height, "count", hint)


def _square(x_title: str, y_title: str) -> Frame:
    x, y = (Axis(low=SHARE.low, high=SHARE.high, title=title) for title in (x_title, y_title))
    return Frame(x=x, y=y, height=PLOT_SIDE)
