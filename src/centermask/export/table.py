"""What the check of an exported file found, as a table for the terminal, 80 columns wide."""

from rich.table import Table
from rich.text import Text

from centermask.export.parity import Limits, Parity, Row, Spread


def format_parity(parity: Parity) -> Table:
    """Each picture, and all together, at each threshold; under them the limits and the verdict."""
    page = Table.grid()
    for total in parity.totals:
        page.add_row(_table(parity, total.threshold))
        page.add_row()
    page.add_row(Text(_limits(parity.limits)))
    if parity.warning:
        page.add_row(Text(parity.warning, style="bold yellow"))
    page.add_row(Text(_verdict(parity), style="bold green" if parity.passed else "bold red"))
    return page


def _table(parity: Parity, threshold: float) -> Table:
    title = f"{parity.file} ({parity.precision}) and PyTorch, scores from {threshold:g}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("pictures", overflow="ellipsis", no_wrap=True, max_width=30)
    for name in ("objects", "alone", "boxes, px", "scores", "masks"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in (*parity.rows, *parity.totals):
        if row.threshold == threshold:
            table.add_row(*_cells(row, parity.limits))
    return table


def _cells(row: Row, limits: Limits) -> list[str]:
    differences = (_figure(one, limits) for one in (row.boxes, row.scores, row.masks))
    return [row.pictures, str(row.objects), str(row.missing + row.extra), *differences]


def _figure(spread: Spread, limits: Limits) -> str:
    """The figure that is judged; a dash where nothing can be compared."""
    value = spread.largest if limits.of == "largest" else spread.median
    return "–" if value is None else f"{value:.1g}"


def _limits(limits: Limits) -> str:
    return (f"the {limits.of} difference is shown; allowed: boxes {limits.boxes:g} px, scores {limits.scores:g}, "
            f"masks {limits.masks:g}, one object in {1 / limits.unpaired:g} alone")  # fmt: skip


def _verdict(parity: Parity) -> str:
    if parity.faults:
        return f"not the same: {'; '.join(parity.faults)}"
    return f"the same within these limits, on {parity.objects} objects" if parity.tested else "no difference was seen"
