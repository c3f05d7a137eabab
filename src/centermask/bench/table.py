"""A bench as tables for the terminal."""

from rich.table import Table

from centermask.bench.run import Bench, Row


def format_bench(bench: Bench) -> Table:
    """Times beside each other with ratios to the first file; under them, where the time goes."""
    page = Table.grid()
    page.add_row(_overview(bench))
    page.add_row()
    page.add_row(_stages(bench))
    for note in _notes(bench):
        page.add_row(note)
    return page


def _overview(bench: Bench) -> Table:
    kind = "drawn pictures" if bench.drawn else "pictures"
    threads = "" if bench.threads is None else f", {bench.threads} threads"
    title = f"{bench.pictures} {kind}, batches of {bench.batch}, {bench.rounds} interleaved rounds{threads}"
    numbers = ["ms", "p95", "× first", "pictures/s", "objects", "peak MiB", "file MB"]
    table = _table(title, numbers)
    first = bench.rows[0].timing.median
    for row in bench.rows:
        median = row.timing.median
        table.add_row(
            row.name, _ms(median), _ms(row.timing.p95), f"{median / first:.2f}", f"{bench.batch / median:.1f}",
            f"{row.timing.middle.objects / bench.batch:.1f}", _peak(row), f"{row.variant.bytes / 1e6:.1f}",
        )  # fmt: skip
    return table


def _stages(bench: Bench) -> Table:
    title = "of which (median ms of a batch)"
    table = _table(title, ["fit", "dense", "decode + NMS", "RoI + masks", "paste + encode", "all / dense"])
    for row in bench.rows:
        table.add_row(row.name, *_parts(row))
    return table


def _parts(row: Row) -> list[str]:
    middle, shares = row.timing.middle, row.timing.shares
    if shares is None:
        return [_ms(middle.fit), "–", "–", "–", _ms(middle.restore), "–"]
    inside = [_ms(middle.network * share) for share in shares]
    ratio = row.timing.median / (middle.network * shares.dense)
    return [_ms(middle.fit), *inside, _ms(middle.restore), f"{ratio:.2f}"]


def _peak(row: Row) -> str:
    if row.memory is None:
        return "–"
    return f"{row.memory.peak:.0f}" + (f" + GPU {row.memory.gpu:.0f}" if row.memory.gpu else "")


def _notes(bench: Bench) -> list[str]:
    notes = ["From decoded pictures to run-length coded masks; × first: time in proportion to the first file's."]
    if any(row.memory for row in bench.rows):
        notes.append("Peak: of a whole process that does only this, Python and libraries included.")
    notes += [row.trouble for row in bench.rows if row.trouble]
    if not any(row.timing.middle.objects for row in bench.rows):
        notes.append("Nothing was found: masks cost nothing here. Give pictures of your own with --images.")
    return notes


def _table(title: str, numbers: list[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("", overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _ms(seconds: float) -> str:
    """Three figures.

    >>> _ms(0.00123), _ms(0.0456), _ms(1.234)
    ('1.23', '45.6', '1234')
    """
    ms = 1000 * seconds
    return f"{ms:.2f}" if ms < 10 else f"{ms:.1f}" if ms < 100 else f"{ms:.0f}"
