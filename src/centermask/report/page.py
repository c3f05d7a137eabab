"""The pages: what each part shows, put together and written as one file that needs no network."""

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from centermask.evaluate.analysis import ErrorKind
from centermask.files import write_whole
from centermask.report import advice, charts, tables
from centermask.report.advice import Finding
from centermask.report.charts import Chart, decimals
from centermask.report.fixed import FixedPicture, Predicted, choose, draw_fixed
from centermask.report.gallery import Case, draw_cases
from centermask.report.metrics import Line, pairs_of
from centermask.report.sets import Album, EvaluatedSet
from centermask.report.tables import ClassBar, CostBar, Matrix

FIXED_PICTURES = 6
CASES = 12
"""Of each kind of error. Both are for one set; several sets share them, so that the page stays small."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number at the head of the page."""

    name: str
    value: str
    note: str = ""
    rise: float = 0.0
    """Since the evaluation before; 0 if there is none."""


@dataclass(frozen=True, kw_only=True)
class SetPage:
    """Everything that is shown of one evaluated set."""

    key: str
    """Of its anchors."""
    name: str
    images: int
    instances: int
    threshold: float
    figures: Sequence[Figure]
    findings: Sequence[Finding]
    times: Sequence[str]
    """Each in words, at which the fixed pictures are shown."""
    fixed: Sequence[FixedPicture]
    costs: Sequence[CostBar]
    cases: dict[ErrorKind, list[Case]]
    classes: Sequence[ClassBar]
    hidden_classes: int
    heat: Matrix
    precision: Chart
    calibrations: Sequence[Chart]
    confusion: Matrix


def set_page(
    number: int, album: Album, times: Sequence[Predicted], course: Sequence[Line] = (), *, sets: int = 1
) -> SetPage:
    """Draw what is shown of one set.

    Args:
        number: Of the set on the page, from 1.
        times: What was predicted on the fixed pictures, in the order of time.
        course: The set's figures over the run.
        sets: On the page, which share the room for pictures.
    """
    one, analysis = album.evaluated, album.evaluated.analysis
    order = tables.frequent_classes(one.evaluation)
    return SetPage(
        key=f"s{number}",
        name=one.name,
        images=one.evaluation.images,
        instances=one.evaluation.instances,
        threshold=one.analysis.threshold,
        figures=head_figures(one, course),
        findings=advice.evaluation_findings(analysis),
        times=[_time_words(time) for time in times],
        fixed=draw_fixed(album, fixed_pictures(album, sets), times),
        costs=tables.cost_bars(analysis),
        cases=draw_cases(album, max(4, CASES // sets)),
        classes=tables.class_bars(one.evaluation),
        hidden_classes=len(one.evaluation.mask.per_class) - len(order),
        heat=tables.heat_matrix(analysis),
        precision=charts.precision_chart(analysis, order),
        calibrations=[
            charts.calibration_chart(analysis.mask_iou, "Mask quality", "predicted mask IoU", "true mask IoU"),
            charts.calibration_chart(analysis.scores, "Score", "score", "share right at IoU 0.5"),
        ],
        confusion=tables.confusion_matrix(analysis, order),
    )


def fixed_pictures(album: Album, sets: int) -> list[int]:
    """The pictures of a set that are always shown."""
    return choose(album, max(2, FIXED_PICTURES // sets))


def _time_words(time: Predicted) -> str:
    ap = "" if math.isnan(time.mask_ap) else f"mask AP {time.mask_ap:.3f}, "
    epoch = "" if math.isnan(time.epoch) else f"epoch {time.epoch:g}: "
    return f"{epoch}{ap}score {time.threshold:.2f} and more"


def head_figures(one: EvaluatedSet, course: Sequence[Line] = ()) -> list[Figure]:
    """The numbers at the head of the page; with a course, what has changed since the evaluation before."""
    mask, box, analysis = one.evaluation.mask, one.evaluation.box, one.analysis
    limit = one.evaluation.max_detections
    return [
        _figure("Mask AP", mask.ap, course, "mask_ap", "IoU 0.5–0.95"),
        _figure("Mask AP50", mask.ap50, course, "mask_ap50", "at IoU 0.50"),
        Figure(name="Mask AP75", value=decimals(mask.ap75), note="at IoU 0.75"),
        _figure("Mask AR", mask.ar_max, course, "mask_ar", f"best {limit} a picture"),
        _figure("Box AP", box.ap, course, "box_ap", "IoU 0.5–0.95"),
        Figure(
            name="Precision",
            value=decimals(analysis.precision),
            note=f"recall {decimals(analysis.recall)}, from score {one.analysis.threshold:.2f}",
        ),
    ]


def _figure(name: str, value: float, course: Sequence[Line], key: str, note: str) -> Figure:
    values = [y for _, y in pairs_of(course, key, "epoch")]
    rise = value - values[-2] if len(values) > 1 and math.isfinite(value) else 0.0
    return Figure(name=name, value=decimals(value), note=note, rise=rise)


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill a template and write it whole.

    Raises:
        UserError: the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("centermask.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["decimals"] = decimals
    environment.filters["share"] = lambda value: f"{min(1.0, max(0.0, value)) if math.isfinite(value) else 0.0:.3f}"
    page = environment.get_template(template).render(
        written=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"), **content
    )
    write_whole(path, page.encode())
