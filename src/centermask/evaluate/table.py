"""An evaluation, or a comparison of two, as a table for the terminal, 80 columns wide."""

import math
from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from centermask.evaluate.compare import Comparison, Interval
from centermask.evaluate.scores import Evaluation, Scores

MAX_CLASSES = 30


def format_table(evaluation: Evaluation) -> Table:
    """Box and mask AP and AR; under them, for up to 30 classes, each class, the most frequent first."""
    page = Table.grid()
    page.add_row(_summary(evaluation))
    if len(evaluation.mask.per_class) <= MAX_CLASSES:
        page.add_row()
        page.add_row(_classes(evaluation))
    return page


def format_comparison(comparison: Comparison) -> Table:
    """Each score of both, and their difference, with 95 % intervals; a star where the interval leaves zero out."""
    title = f"{comparison.images} images, {comparison.instances} instances, {comparison.resamples} resamples"
    table = _table(title, [""], ["A", "95 %", "B", "95 %", "B − A", "95 %", ""])
    for score in comparison.scores:
        certain = "*" if score.difference.excludes_zero else ""
        numbers = [*_with_range(score.a), *_with_range(score.b), *_with_range(score.difference, sign="+")]
        table.add_row(score.name, *numbers, certain)
    table.caption, table.caption_justify = "* more than the choice of pictures explains", "left"
    return table


def _with_range(interval: Interval, sign: str = "") -> list[str]:
    """The number, and the ends of its range."""
    value, low, high = (_cell(number, sign) for number in (interval.value, interval.low, interval.high))
    return [value, f"{low}…{high}"]


def _summary(evaluation: Evaluation) -> Table:
    title = f"{evaluation.images} images, {evaluation.instances} instances"
    names = ["AP", "AP50", "AP75", "small", "medium", "large", "AR1", "AR10", f"AR{evaluation.max_detections}"]
    table = _table(title, [""], names)
    table.add_row("box", *_cells(_headline(evaluation.box)))
    table.add_row("mask", *_cells(_headline(evaluation.mask)))
    return table


def _headline(scores: Scores) -> list[float]:
    precision = [scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large]
    return [*precision, scores.ar1, scores.ar10, scores.ar_max]


def _classes(evaluation: Evaluation) -> Table:
    table = _table("", ["class"], ["instances", "box AP", "AP50", "AR", "mask AP", "AP50", "AR"])
    boxes, masks = evaluation.box.per_class, evaluation.mask.per_class
    for name in sorted(masks, key=lambda name: -masks[name].instances):
        box, mask = boxes[name], masks[name]
        numbers = _cells([box.ap, box.ap50, box.ar, mask.ap, mask.ap50, mask.ar])
        table.add_row(Text(name), str(mask.instances), *numbers)
    return table


def _table(title: str, words: list[str], numbers: list[str]) -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for name in words:
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=20)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _cells(values: Iterable[float]) -> list[str]:
    return [_cell(value) for value in values]


def _cell(value: float, sign: str = "") -> str:
    """Three decimals, as COCO's tools print them; a dash where nothing is defined."""
    return "–" if math.isnan(value) else f"{value:{sign}.3f}"
