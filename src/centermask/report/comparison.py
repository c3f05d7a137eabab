"""Two runs on the same pictures: what differs, how sure that is, and the pictures on which they differ most."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from centermask.evaluate.compare import ComparedScore, Comparison, Interval
from centermask.report import charts, tables
from centermask.report.charts import Chart, decimals
from centermask.report.fixed import LONG_SIDE, Drawn, draw_prediction, draw_true
from centermask.report.layers import data_uri, jpeg, whole
from centermask.report.page import write_page
from centermask.report.pairs import outside_crowds, pair
from centermask.report.sets import Album, EvaluatedSet, Thing
from centermask.report.svg import Axis, bar, fit_axis, segment
from centermask.report.tables import Cell, Matrix
from centermask.size import Size

PICTURES = 8
"""On which the runs differ most: half where the one is better, half where the other is, if there are as many."""
LEAST_DIFFERENCE = 1e-6
INTERVAL_SIZE = 220.0, 22.0


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """A score of both runs in words, and their difference as a drawing."""

    name: str
    a: str
    b: str
    difference: str
    range: str
    clear: bool
    """Whether the interval excludes zero."""
    drawing: Markup


@dataclass(frozen=True, kw_only=True)
class PairBar:
    """A number of both runs, as two bars."""

    name: str
    a: float
    b: float
    share_a: float
    share_b: float
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ComparedPicture:
    """A picture with the answers of both runs."""

    file_name: str
    size: Size
    image: str
    truth: str
    a: Drawn
    b: Drawn
    quality_a: float
    quality_b: float


class Quality(NamedTuple):
    """How well each run did on a picture, 0 to 1."""

    image_id: int
    a: float
    b: float


def write_comparison(path: Path, comparison: Comparison, a: EvaluatedSet, b: EvaluatedSet) -> None:
    """Write two runs side by side as one HTML file; both have predicted the same set, and go by their names.

    Raises:
        UserError: the file cannot be written.
    """
    albums = Album(a), Album(b)
    write_page(
        path,
        "comparison.html.j2",
        title="A and B compared",
        a=a,
        b=b,
        comparison=comparison,
        verdict=verdict(comparison),
        scores=score_rows(comparison),
        costs=_cost_bars(a, b),
        classes=_class_bars(a, b),
        heat=_heat_difference(a, b),
        precision=[_precision(a, b, iou) for iou in charts.MEANS],
        pictures=_draw_pictures(albums),
    )


def verdict(comparison: Comparison) -> str:
    """In a sentence, which run is better by mask AP, as far as that is more than chance."""
    main = next((one for one in comparison.scores if one.name == "mask AP"), None)
    if main is None or math.isnan(main.difference.value):
        return "Nothing can be said: no true object defines mask AP."
    value, span = main.difference.value, _range(main.difference)
    if not main.difference.excludes_zero:
        return f"No clear difference: mask AP of B less A is {value:+.3f}, and lies in {span} with other pictures."
    better = "B" if value > 0 else "A"
    return f"{better} is better: mask AP of B less A is {value:+.3f}, and lies in {span} with other pictures."


def score_rows(comparison: Comparison) -> list[ScoreRow]:
    """All scores, their differences on one common scale."""
    ends = [end for one in comparison.scores for end in (one.difference.low, one.difference.high, 0.0)]
    reach = max(0.01, *(abs(end) for end in ends if math.isfinite(end)))
    axis = fit_axis([-reach, reach])
    return [_score_row(one, axis) for one in comparison.scores]


def _score_row(one: ComparedScore, axis: Axis) -> ScoreRow:
    value = one.difference.value
    return ScoreRow(
        name=one.name,
        a=decimals(one.a.value),
        b=decimals(one.b.value),
        difference="–" if math.isnan(value) else f"{value:+.3f}",
        range=_range(one.difference),
        clear=one.difference.excludes_zero,
        drawing=_draw_interval(one, axis),
    )


def _range(interval: Interval) -> str:
    if math.isnan(interval.low) or math.isnan(interval.high):
        return "–"
    return f"{interval.low:+.3f} … {interval.high:+.3f}"


def _draw_interval(one: ComparedScore, axis: Axis) -> Markup:
    """The difference as a dot, its interval as a bar, zero as a line."""
    width, height = INTERVAL_SIZE
    zero = axis.share(0.0) * width
    parts = [segment((zero, 0.0), (zero, height), "axis")]
    low, value, high = (getattr(one.difference, end) for end in ("low", "value", "high"))
    if all(math.isfinite(end) for end in (low, value, high)):
        left, middle, right = (axis.share(end) * width for end in (low, value, high))
        parts.append(
            bar(left, height / 2 - 3, max(1.0, right - left), 6.0, "span", f"{one.name}: {_range(one.difference)}")
        )
        parts.append(Markup('<circle class="middle" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(middle, height / 2))
    colour = "c4" if not one.difference.excludes_zero else "c1" if value > 0 else "c2"
    return Markup('<svg class="interval {}" role="img" aria-label="{}" viewBox="-6 0 {:g} {:g}">{}</svg>').format(
        colour, f"{one.name} {_range(one.difference)}", width + 12, height, Markup("").join(parts)
    )


def _cost_bars(a: EvaluatedSet, b: EvaluatedSet) -> list[PairBar]:
    """What each kind of error costs both."""
    bars_a, bars_b = ({bar.kind: bar for bar in tables.cost_bars(one.analysis)} for one in (a, b))
    most = max([bar.cost for bars in (bars_a, bars_b) for bar in bars.values()], default=0.0) or 1.0
    return [
        PairBar(
            name=first.title,
            a=first.cost,
            b=bars_b[kind].cost,
            share_a=first.cost / most,
            share_b=bars_b[kind].cost / most,
            note=f"{first.count} → {bars_b[kind].count}",
        )
        for kind, first in bars_a.items()
        if kind in bars_b
    ]


def _class_bars(a: EvaluatedSet, b: EvaluatedSet) -> list[PairBar]:
    """Mask AP of the most frequent classes."""
    bars_b = {bar.name: bar for bar in tables.class_bars(b.evaluation)}
    pairs = [(bar, bars_b[bar.name]) for bar in tables.class_bars(a.evaluation) if bar.name in bars_b]
    return [
        PairBar(name=one.name, a=one.ap, b=two.ap, share_a=one.ap, share_b=two.ap, note=str(one.instances))
        for one, two in pairs
    ]


def _heat_difference(a: EvaluatedSet, b: EvaluatedSet) -> Matrix:
    """How many points more of the objects of each size and overlap B finds."""
    cells_a, cells_b = ({(cell.size, cell.overlap): cell for cell in one.analysis.heat} for one in (a, b))
    rows: dict[str, list[Cell]] = {}
    for key, one in cells_a.items():
        other = cells_b.get(key)
        rise = other.recall50 - one.recall50 if other else math.nan
        if math.isnan(rise):
            cell = Cell(words="–", share=0.0, hint="no object", kind="empty")
        else:
            hint = f"A {100 * one.recall50:.0f} %, B {100 * (one.recall50 + rise):.0f} % of {one.instances}"
            cell = Cell(words=_points(100 * rise), note=f"of {one.instances}", share=min(1.0, 3 * abs(rise)), hint=hint,
                        kind="right" if rise > 0 else "wrong")  # fmt: skip
        rows.setdefault(key[0], []).append(cell)
    return Matrix(columns=list(dict.fromkeys(overlap for _, overlap in cells_a)), rows=list(rows.items()))


def _points(value: float) -> str:
    return f"{value:+.0f}" if round(value) else "0"


def _precision(a: EvaluatedSet, b: EvaluatedSet, iou: float) -> Chart:
    return charts.two_precisions({"A": a.analysis, "B": b.analysis}, iou)


def _draw_pictures(albums: tuple[Album, Album]) -> list[ComparedPicture]:
    shared = [image_id for image_id in albums[0].places if image_id in albums[1].places]
    found = albums[0].predicted(shared), albums[1].predicted(shared)
    chosen = pick_pictures([_quality(albums[0], found, image_id) for image_id in shared], PICTURES)
    return [_draw_picture(albums[0], found, one) for one in chosen]


Found = tuple[Mapping[int, Sequence[Thing]], Mapping[int, Sequence[Thing]]]


def _quality(album: Album, found: Found, image_id: int) -> Quality:
    true, crowds = album.true_things(image_id), album.true_things(image_id, crowds=True)
    a, b = (quality(true, outside_crowds(own[image_id], crowds)) for own in found)
    return Quality(image_id, a, b)


def quality(true: Sequence[Thing], predicted: Sequence[Thing]) -> float:
    """Panoptic quality of a picture, all classes together: the IoUs of what is found, over it and half the errors.

    An empty answer to an empty picture is perfect.
    """
    pairs = pair(true, predicted)
    weight = (len(true) + len(predicted)) / 2
    return sum(pairs.ious) / weight if weight else 1.0


def pick_pictures(qualities: Sequence[Quality], count: int) -> list[Quality]:
    """Where the runs differ most: first where B is better, then where A is, those that differ more first."""
    different = [one for one in qualities if abs(one.b - one.a) > LEAST_DIFFERENCE]
    ranked = sorted(different, key=lambda one: -abs(one.b - one.a))
    better, worse = [one for one in ranked if one.b > one.a], [one for one in ranked if one.b < one.a]
    half = count // 2
    kept = max(half, count - len(worse)), max(half, count - len(better))
    return [*better[: kept[0]], *worse[: kept[1]]]


def _draw_picture(album: Album, found: Found, one: Quality) -> ComparedPicture:
    view = whole(album.size(one.image_id), LONG_SIDE)
    true, crowds = album.true_things(one.image_id), album.true_things(one.image_id, crowds=True)
    a, b = (draw_prediction(view, true, outside_crowds(own[one.image_id], crowds)) for own in found)
    return ComparedPicture(
        file_name=album.caption(one.image_id),
        size=view.size,
        image=data_uri(jpeg(view.show(album.picture(one.image_id)))),
        truth=data_uri(draw_true(view, true)),
        a=a,
        b=b,
        quality_a=one.a,
        quality_b=one.b,
    )
