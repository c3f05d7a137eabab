"""The course of a run as charts: scores, losses, and what the machine did, over epochs."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from centermask.report.charts import SCORE_HEIGHT, Chart, Key, decimals
from centermask.report.metrics import Line as Figures
from centermask.report.metrics import Metrics, pairs_of
from centermask.report.svg import EMPTY, WIDTH, Axis, Frame, Line, Point, chart, fit_axis, label, smooth, thin

MOST_POINTS = 240
SMALL = 280.0, 170.0
"""Width and height of charts that stand four in a row."""
LOSSES = {
    "classification": "Classification",
    "box": "Box",
    "centerness": "Centerness",
    "mask": "Mask",
    "mask_iou": "Mask IoU",
}
COURSE = {"mask_ap": "mask AP", "mask_ap50": "mask AP50", "mask_ar": "mask AR", "box_ap": "box AP"}


def score_chart(lines: Sequence[Figures], epochs: float) -> Chart:
    """AP and AR of a set over the evaluations."""
    curves = [
        Line(points=pairs_of(lines, name, "epoch"), name=words, colour=f"c{i}", dots=True)
        for i, (name, words) in enumerate(COURSE.items())
    ]
    values = [y for curve in curves for _, y in curve.points]
    x = Axis(low=0.0, high=max(epochs, 1.0), title="epoch")
    frame = Frame(x=x, y=fit_axis(values, from_zero=True), height=SCORE_HEIGHT)
    keys = [Key(colour=one.colour, name=one.name, value=decimals(one.points[-1][1])) for one in curves if one.points]
    return Chart(title="AP and AR", drawing=chart(frame, curves, "AP and AR over epochs"), keys=keys)


def sum_charts(metrics: Metrics) -> list[Chart]:
    """The sum of all losses over epochs, as large as the scores beside it."""
    one = _curve(metrics.series("loss", "epoch"), "Sum of losses", "c0", size=(WIDTH, SCORE_HEIGHT))
    return [one] if one else []


def loss_charts(metrics: Metrics) -> list[Chart]:
    """The five parts of the loss, over epochs."""
    return [one for name, title in LOSSES.items() if (one := _course(metrics, name, title, "c0"))]


def step_charts(metrics: Metrics) -> list[Chart]:
    """Learning rate and norm of the gradient."""
    shown = (_course(metrics, "lr", "Learning rate", "c2", smoothed=False),
             _course(metrics, "grad_norm", "Gradient norm", "c2"))  # fmt: skip
    return [one for one in shown if one]


def machine_charts(metrics: Metrics) -> list[Chart]:
    """Speed, waiting for pictures and memory, as far as the run wrote them down."""
    waiting = [(x, 100 * share) for x, share in waiting_shares(metrics)]
    shown = (
        _course(metrics, "pictures_per_s", "Pictures a second", "c1", from_zero=True),
        _curve(waiting, "Waiting for pictures, %", "c3", from_zero=True),
        _course(metrics, "memory_mb", "Memory, MiB", "c4", smoothed=False, from_zero=True),
    )
    return [one for one in shown if one]


def machine_figures(metrics: Metrics) -> list[Key]:
    """Medians of speed and waiting, and the most memory, as far as the run wrote them down."""
    speed = sorted(value for _, value in metrics.series("pictures_per_s"))
    waiting = sorted(share for _, share in waiting_shares(metrics))
    memory = [value for _, value in metrics.series("memory_mb")]
    told = []
    if speed:
        told.append(Key(colour="", name="pictures a second, median", value=f"{speed[len(speed) // 2]:.3g}"))
    if waiting:
        told.append(
            Key(colour="", name="of the time waiting for pictures", value=f"{100 * waiting[len(waiting) // 2]:.0f} %")
        )
    if memory:
        told.append(Key(colour="", name="MiB of memory at most", value=f"{max(memory):,.0f}".replace(",", " ")))
    return told


def waiting_shares(metrics: Metrics) -> list[Point]:
    """Over epochs the share of a step's time in which it waited for its pictures."""
    both = [(line.get("epoch", math.nan), line.get("data_s", math.nan), line.get("step_s", math.nan))
            for line in metrics.train]  # fmt: skip
    return [(x, min(1.0, data / step)) for x, data, step in both if math.isfinite(x + data + step) and step > 0]


def _course(
    metrics: Metrics, name: str, title: str, colour: str, *, smoothed: bool = True, from_zero: bool = False
) -> Chart | None:
    return _curve(metrics.series(name, "epoch"), title, colour, smoothed=smoothed, from_zero=from_zero)


def _curve(
    points: Sequence[Point],
    title: str,
    colour: str,
    *,
    smoothed: bool = True,
    from_zero: bool = False,
    size: tuple[float, float] = SMALL,
) -> Chart | None:
    """A figure over epochs, pale as it came and strong as a running mean; nothing where there is none."""
    if not points:
        return None
    shown = thin(points, MOST_POINTS)
    even = smooth(shown, len(shown) // 24) if smoothed else shown
    axes = _epochs([x for x, _ in shown]), fit_axis([y for _, y in shown], from_zero=from_zero)
    frame = Frame(x=axes[0], y=axes[1], width=size[0], height=size[1])
    lines = [Line(points=shown, colour=colour, style="faint")] if smoothed and len(shown) > 24 else []
    lines.append(Line(points=even, name=title, colour=colour))
    now = Key(colour="", name="now", value=label(float(f"{even[-1][1]:.3g}")))
    return Chart(title=title, drawing=chart(frame, lines, f"{title} over epochs"), keys=[now])


def _epochs(values: Sequence[float]) -> Axis:
    last = max(values)
    return Axis(low=0.0, high=last if last > 0 else 1.0, title="epoch")


def sparkline(lines: Sequence[Figures]) -> Markup:
    """The course of mask AP without axes; nothing for less than two evaluations."""
    points = pairs_of(lines, "mask_ap", "epoch")
    if len(points) < 2:
        return EMPTY
    x = Axis(low=points[0][0], high=max(points[-1][0], points[0][0] + 1e-9))
    y = fit_axis([value for _, value in points])
    places = [(2 + 96 * x.share(a), 26 - 24 * y.share(b)) for a, b in points]
    path = "M" + " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    return Markup(
        '<svg class="spark" viewBox="0 0 100 28" aria-hidden="true"><path class="line c0" d="{}"/>'
        '<circle class="c0" cx="{:.1f}" cy="{:.1f}" r="2.4"/></svg>'
    ).format(path, *places[-1])
