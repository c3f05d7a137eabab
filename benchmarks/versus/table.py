"""One table of all rows of a comparison: a line for each contender and test set, the mean of its seeds.

    python benchmarks/versus/table.py FOLDER... [--markdown]

Masks and milliseconds are those of a picture when it was scored, with all that was found.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from done import read
from rich.console import Console
from rich.table import Table

COLUMNS = {
    "mask AP": "mask_ap", "AP50": "mask_ap50", "AP75": "mask_ap75", "AR": "mask_ar", "box AP": "box_ap",
    "AR crowded": "crowded_ar",
}  # fmt: skip
"""Headings and figures; in hundredths."""
APART = ("backbone", "pictures", "epochs", "side", "batch", "lr", "backbone_lr", "warmup", "copy_paste",
         "scale_jitter", "unaveraged", "weights")  # fmt: skip
"""Settings: rows that differ in one of them are no seeds of each other."""
HEADINGS = ["task", "test set", "pictures", "objects", "crowded", "contender", "settings", "seeds", *COLUMNS,
            "s/epoch", "MB", "M parameters", "masks", "ms"]  # fmt: skip


def lines(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A line for each contender, way of training and test set, those that can be compared beside each other.

    Of the settings only those are told in which the rows differ.

    Raises:
        SystemExit: two rows are of one contender, trained in the same way with the same seed.
    """
    differing = [one for one in APART if len({str(row["settings"][one]) for row in rows}) > 1]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        given = row["settings"]
        settings = ", ".join(f"{one} {_shown(given[one])}" for one in differing)
        for test in row["tests"]:
            groups[given["task"], test, given["contender"], settings].append(row)
    for (task, test, name, _), same in groups.items():
        seeds = [row["settings"]["seed"] for row in same]
        if len(set(seeds)) < len(seeds):
            raise SystemExit(f"{task}, {test}, {name}: several rows of one seed ({', '.join(map(str, seeds))})")
    places = list(dict.fromkeys(key[:2] for key in groups))
    return [_line(key, same) for key, same in sorted(groups.items(), key=lambda item: places.index(item[0][:2]))]


def _shown(value: object) -> str:
    return Path(value).stem if isinstance(value, str) else str(value)


def _line(key: tuple[str, ...], same: Sequence[dict[str, Any]]) -> list[str]:
    task, test, name, settings = key
    figures = [row["tests"][test] for row in same]
    seconds = statistics.median(value for row in same for value in row["seconds"])
    return [
        task, test, str(figures[0]["images"]), str(figures[0]["instances"]), str(figures[0]["crowded"]), name,
        settings, str(len(same)), *(_spread([100 * one[figure] for one in figures]) for figure in COLUMNS.values()),
        f"{seconds:.0f}", f"{max(row['memory_mb'] for row in same):.0f}", f"{same[0]['parameters'] / 1e6:.1f}",
        f"{statistics.mean(one['found'] for one in figures):.0f}",
        f"{statistics.median(one['ms'] for one in figures):.0f}",
    ]  # fmt: skip


def _spread(values: Sequence[float]) -> str:
    """The mean, and how far seeds lie from each other."""
    if values[0] != values[0]:
        return "–"
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f}–{max(values):.1f})"


def markdown(found: Sequence[Sequence[str]]) -> str:
    """As a document wants it."""
    head = [f"| {' | '.join(HEADINGS)} |", "|" + "---|" * len(HEADINGS)]
    return "\n".join(head + [f"| {' | '.join(line)} |" for line in found])


def print_table(folders: Sequence[Path], *, as_markdown: bool = False) -> None:
    """Show all rows."""
    found = lines(read(folders))
    if as_markdown:
        print(markdown(found))
        return
    table = Table(*HEADINGS)
    for line in found:
        table.add_row(*line)
    Console(width=280).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--markdown", action="store_true")
    given = parser.parse_args()
    print_table([one for one in given.folders if (one / "row.json").is_file()], as_markdown=given.markdown)
