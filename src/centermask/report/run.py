"""The report of a run: refreshed after each evaluation, from the run's own files and a small store beside it."""

from collections.abc import Sequence
from pathlib import Path

from centermask.report import advice, progress
from centermask.report.evaluation import predicted_now
from centermask.report.metrics import Line, Metrics, read_metrics, read_settings
from centermask.report.page import SetPage, fixed_pictures, set_page, write_page
from centermask.report.sets import Album, EvaluatedSet
from centermask.report.shown import load_training_picture
from centermask.report.store import Kept, headline, keep, kept_until

MOST_TIMES = 12
"""Evaluations at which the fixed pictures are shown: the first, the last and some between."""


def update_report(folder: Path, evaluated: Sequence[EvaluatedSet], *, epoch: int, step: int) -> Path:
    """Write or refresh ``report.html`` in a run's folder, and return its path.

    What the fixed pictures looked like at each evaluation is kept in ``folder/report``. An epoch that is evaluated
    again replaces what was kept of it; what lies after ``step`` is of a run that was begun anew, and is passed over.

    Args:
        epoch: Epochs that are done.
        step: Steps that are done.

    Raises:
        UserError: the folder cannot be written.
    """
    metrics, store = read_metrics(folder, step), folder / "report"
    pages, courses = [], []
    for number, one in enumerate(evaluated, start=1):
        album = Album(one)
        now = predicted_now(album, fixed_pictures(album, len(evaluated)), epoch=float(epoch))
        keep(store, Kept(name=one.name, step=step, scores=headline(one.evaluation), predicted=now))
        kept = kept_until(store, one.name, step)
        courses.append(_course(metrics.val.get(one.name, ()), kept))
        times = [each.predicted for each in pick_times(kept, MOST_TIMES)]
        pages.append(set_page(number, album, times, courses[-1], sets=len(evaluated)))
    _write(folder, metrics, pages, courses, epoch=epoch, step=step)
    return folder / "report.html"


def _write(
    folder: Path,
    metrics: Metrics,
    pages: Sequence[SetPage],
    courses: Sequence[Sequence[Line]],
    *,
    epoch: int,
    step: int,
) -> None:
    shown, settings = load_training_picture(folder), read_settings(folder)
    by_name = {setting.name: setting.value for setting in settings}
    write_page(
        folder / "report.html",
        "run.html.j2",
        title=folder.resolve().name,
        preset=by_name.get("preset", ""),
        epochs=by_name.get("epochs", ""),
        epoch=epoch,
        step=step,
        sets=pages,
        sparklines=[progress.sparkline(course) for course in courses],
        findings=advice.run_findings(metrics, courses[0] if courses else (), shown),
        progress=[progress.score_chart(course, float(epoch)) for course in courses],
        sums=progress.sum_charts(metrics),
        losses=[*progress.loss_charts(metrics), *progress.step_charts(metrics)],
        machine=progress.machine_charts(metrics),
        machine_figures=progress.machine_figures(metrics),
        shown=shown,
        settings=settings,
    )


def _course(lines: Sequence[Line], kept: Sequence[Kept]) -> list[Line]:
    """The figures of a set over the run: what the store holds goes before what metrics.jsonl says."""
    by_epoch = {line["epoch"]: line for line in lines if "epoch" in line}
    by_epoch |= {one.predicted.epoch: {"epoch": one.predicted.epoch, "step": one.step, **one.scores} for one in kept}
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def pick_times(kept: Sequence[Kept], most: int) -> list[Kept]:
    """At most so many evaluations, evenly spread, the first and the last among them."""
    if len(kept) <= most:
        return list(kept)
    return [kept[round(i * (len(kept) - 1) / (most - 1))] for i in range(most)]
