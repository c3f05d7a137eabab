"""A report for the terminal, 80 columns wide."""

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from centermask.data.check.findings import Group, plain
from centermask.data.check.kinds import KINDS, SEVERITIES, Severity
from centermask.data.check.report import CheckReport
from centermask.data.check.statistics import Statistics
from centermask.data.formats.labels import TITLES

EXAMPLES = 3
"""Findings of a kind that are written out."""

CLASSES = 12
"""Classes that are listed, the most frequent."""

_LEGEND = "median, most: objects of a picture; empty: pictures; overlap: box IoU > 0.3"

_COLOURS: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "dim"}


def format_report(report: CheckReport) -> RenderableType:
    """What the set holds, what was found, what follows, and the verdict.

    Names from files are printed as they are, without markup and control characters.
    """
    parts: list[RenderableType] = [
        Text(plain(f"{report.data}: {TITLES[report.format]}"), style="bold"),
        _splits(report),
    ]
    parts += [Text(_LEGEND, style="dim"), _classes(report)]
    for group in report.groups:
        parts += [Text(), *_group(group)]
    if report.hints:
        parts += [Text(), Text("What follows", style="bold"), *(_line(f"· {plain(hint)}") for hint in report.hints)]
    return Stack(*parts, Text(), _verdict(report))


def _splits(report: CheckReport) -> Table:
    columns = ["split", "pictures", "objects", "small", "medium", "large", "median", "most", "empty", "overlap"]
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for name in columns:
        table.add_column(name, justify="left" if name == "split" else "right", no_wrap=True)
    for one in report.statistics:
        table.add_row(one.split, *_cells(one))
    return table


def _cells(one: Statistics) -> list[str]:
    counts = [one.pictures, one.objects, *one.sizes.values()]
    return [*map(str, counts), f"{one.median_objects:g}", str(one.most_objects), f"{one.empty_pictures:.1%}",
            f"{one.overlapped:.1%}"]  # fmt: skip


def _classes(report: CheckReport) -> Text:
    """The classes with their objects over all splits."""
    counts: dict[str, int] = {}
    for one in report.statistics:
        for name, number in one.classes.items():
            counts[name] = counts.get(name, 0) + number
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])
    named = ", ".join(f"{plain(name)} {number}" for name, number in ranked[:CLASSES])
    more = f", and {len(ranked) - CLASSES} more" if len(ranked) > CLASSES else ""
    return Text(f"{len(ranked)} classes: {named}{more}" if ranked else "no class", overflow="fold")


def _group(group: Group) -> list[RenderableType]:
    kind = KINDS[group.kind]
    head = Text.assemble((kind.severity, _COLOURS[kind.severity]), f"  {group.count} × {kind.title}",
                         (f"  [{group.kind}]", "dim"))  # fmt: skip
    lines = [_line(f"{finding.where}: {finding.what}") for finding in group.findings[:EXAMPLES]]
    if group.count > EXAMPLES:
        lines.append(_line(f"… and {group.count - EXAMPLES} more"))
    return [head, *lines, Padding(Text(f"→ {kind.mend}", style="italic"), (0, 0, 0, 2))]


def _line(text: str) -> Padding:
    return Padding(Text(text, overflow="fold"), (0, 0, 0, 2))


def _verdict(report: CheckReport) -> Text:
    counts = [report.count(severity) for severity in SEVERITIES]
    said = ", ".join(
        f"{number} {word}{'' if number == 1 else 's'}" for number, word in zip(counts, SEVERITIES, strict=True)
    )
    if report.harmful:
        return Text(f"training would be harmed: {said}", style="bold red")
    return Text(f"fit for training: {said}", style="bold green")
