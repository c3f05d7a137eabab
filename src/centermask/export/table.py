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
    page.add_row(Text(_limits(parity.limits, parity.full_masks)))
    if parity.warning:
        page.add_row(Text(parity.warning, style="bold yellow"))
    page.add_row(_verdict(parity))
    return page


def _table(parity: Parity, threshold: float) -> Table:
    title = f"{parity.file} ({parity.precision}) and PyTorch, scores from {threshold:g}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("pictures", overflow="ellipsis", no_wrap=True, max_width=30)
    full = ["full masks"] if parity.full_masks else []
    for name in ("objects", "alone", "boxes, px", "scores", "masks", *full):
        table.add_column(name, justify="right", no_wrap=True)
    for row in (*parity.rows, *parity.totals):
        if row.threshold == threshold:
            table.add_row(*_cells(row, parity.limits, parity.full_masks))
    return table


def _cells(row: Row, limits: Limits, full_masks: bool) -> list[str]:
    spreads = (row.boxes, row.scores, row.masks, *([row.full_masks] if full_masks else []))
    differences = (_figure(one, limits) for one in spreads)
    return [row.pictures, str(row.objects), str(row.missing + row.extra), *differences]


def _figure(spread: Spread, limits: Limits) -> str:
    """The figure that is judged; a dash where nothing can be compared."""
    value = spread.largest if limits.of == "largest" else spread.median
    return "–" if value is None else f"{value:.1g}"


def _limits(limits: Limits, full_masks: bool) -> str:
    full = f"full masks {limits.full_masks:g}, " if full_masks else ""
    return (f"the {limits.of} difference is shown; allowed: boxes {limits.boxes:g} px, scores {limits.scores:g}, "
            f"masks {limits.masks:g}, {full}one object in {1 / limits.unpaired:g} alone")  # fmt: skip


def _verdict(parity: Parity) -> Text:
    compared = (
        f"{parity.objects} {'object' if parity.objects == 1 else 'objects'} with scores from {parity.threshold:g}"
    )
    if parity.faults:
        return Text(f"not the same: {'; '.join(parity.faults)}", style="bold red")
    if parity.tested:
        return Text(f"the same within these limits, on {compared}", style="bold green")
    return Text(f"the file is kept, but not judged: there were only {compared}" if parity.objects else
                "the file is kept, but not judged: there was no object to compare", style="bold yellow")  # fmt: skip
