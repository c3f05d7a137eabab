"""The tables of a report: scores by class, recall by size and overlap, what is taken for what, what errors cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from centermask.evaluate.analysis import Analysis, ErrorKind
from centermask.evaluate.scores import Evaluation
from centermask.report.charts import decimals

MOST_CLASSES = 30


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table that is coloured by its value."""

    words: str
    share: float
    """How strong its colour is, 0 to 1."""
    note: str = ""
    """In small letters below the words."""
    hint: str = ""
    kind: str = ""
    """right, wrong or empty."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A coloured table with names on both sides."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    hidden: int = 0
    """Classes left out because others are more frequent."""


@dataclass(frozen=True, kw_only=True)
class ClassBar:
    """How well one class is found."""

    name: str
    instances: int
    ap: float
    ap50: float
    box_ap: float

    @property
    def words(self) -> str:
        """Mask AP in three decimals."""
        return decimals(self.ap)


@dataclass(frozen=True, kw_only=True)
class CostBar:
    """What a kind of error costs, and how often it occurs."""

    kind: ErrorKind
    title: str
    meaning: str
    count: int
    cost: float
    share: float
    """Of the most costly kind."""


MEANINGS: dict[ErrorKind, tuple[str, str]] = {
    "missed": ("Missed", "a true object that nothing found"),
    "false": ("False", "a prediction where there is nothing"),
    "duplicate": ("Duplicate", "a second prediction of an object that is already found"),
    "class": ("Class", "the right place, the wrong class"),
    "mask": ("Mask", "the right class, but a mask of IoU below 0.5"),
    "class and mask": ("Class and mask", "wrong class and poor mask"),
}


def frequent_classes(evaluation: Evaluation) -> list[str]:
    """The most frequent classes, the most frequent first."""
    classes = evaluation.mask.per_class
    return sorted(classes, key=lambda name: (-classes[name].instances, name))[:MOST_CLASSES]


def class_bars(evaluation: Evaluation) -> list[ClassBar]:
    """The scores of the most frequent classes."""
    mask, box = evaluation.mask.per_class, evaluation.box.per_class
    return [
        ClassBar(
            name=name,
            instances=mask[name].instances,
            ap=mask[name].ap,
            ap50=mask[name].ap50,
            box_ap=box[name].ap if name in box else math.nan,
        )
        for name in frequent_classes(evaluation)
    ]


def cost_bars(analysis: Analysis) -> list[CostBar]:
    """Errors by what they cost, the most costly first."""
    worst = max([one.cost for one in analysis.costs if math.isfinite(one.cost)], default=0.0)
    bars = [
        CostBar(
            kind=one.kind,
            title=MEANINGS[one.kind][0],
            meaning=MEANINGS[one.kind][1],
            count=one.count,
            cost=one.cost if math.isfinite(one.cost) else 0.0,
            share=one.cost / worst if worst > 0 and math.isfinite(one.cost) else 0.0,
        )
        for one in analysis.costs
    ]
    return sorted(bars, key=lambda one: -one.cost)


def heat_matrix(analysis: Analysis) -> Matrix:
    """The share of true objects that is found, by size and by overlap."""
    sizes = list(dict.fromkeys(cell.size for cell in analysis.heat))
    overlaps = list(dict.fromkeys(cell.overlap for cell in analysis.heat))
    cells = {(cell.size, cell.overlap): cell for cell in analysis.heat}
    rows = []
    for size in sizes:
        own = []
        for overlap in overlaps:
            cell = cells.get((size, overlap))
            if cell is None or not cell.instances or math.isnan(cell.recall50):
                own.append(Cell(words="–", share=0.0, hint="no object", kind="empty"))
                continue
            hint = (
                f"{cell.instances} objects; recall {cell.recall50:.3f} at mask IoU 0.5, {cell.recall:.3f} in the mean"
            )
            words, note = f"{100 * cell.recall50:.0f} %", f"of {cell.instances}"
            own.append(Cell(words=words, note=note, share=cell.recall50, hint=hint))
        rows.append((size, own))
    return Matrix(columns=overlaps, rows=rows)


def confusion_matrix(analysis: Analysis, order: Sequence[str]) -> Matrix:
    """True classes by predicted ones, each row coloured by its shares; the frequent classes, nothing and missed.

    Args:
        order: The classes to show, in this order; those the analysis does not know are passed over.
    """
    known = {name: place for place, name in enumerate(analysis.class_names)}
    shown = [known[name] for name in order if name in known]
    nothing = len(analysis.class_names)
    names = [analysis.class_names[i] for i in shown]
    rows = []
    for name, i in [*zip(names, shown, strict=True), ("nothing", nothing)]:
        counts = analysis.confusion[i]
        total = sum(counts)
        rows.append((name, [_count_cell(counts[j], total, i, j, nothing) for j in [*shown, nothing]]))
    return Matrix(columns=[*names, "missed"], rows=rows, hidden=len(analysis.class_names) - len(shown))


def _count_cell(count: int, total: int, row: int, column: int, nothing: int) -> Cell:
    if row == column == nothing:
        return Cell(words="", share=0.0, kind="empty")
    share = count / total if total else 0.0
    kind = "right" if row == column else "wrong"
    words = "" if not count else str(count) if count < 10_000 else f"{count / 1000:.0f}k"
    return Cell(words=words, share=share, kind=kind, hint=f"{count} of {total} ({100 * share:.0f} %)")
