"""What rows left behind: their figures, what they found, and the task that they are of."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sets import Task, open_task


def read(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The figures and settings of rows."""
    return [json.loads((folder / "row.json").read_text()) for folder in folders]


def results(folder: Path, test: str) -> list[dict[str, Any]]:
    """What a row found in a test set, as COCO results."""
    found: list[dict[str, Any]] = json.loads((folder / f"{test}.json").read_text())
    return found


def by_contender(rows: Sequence[dict[str, Any]], folders: Sequence[Path]) -> dict[str, Path]:
    """Rows by the name of their contender, of which each must have one.

    Raises:
        SystemExit: two rows are of one contender.
    """
    found = {row["settings"]["contender"]: folder for row, folder in zip(rows, folders, strict=True)}
    if len(found) < len(folders):
        raise SystemExit(f"several rows of one contender; give one each: {', '.join(found)}")
    return found


def task_of(rows: Sequence[dict[str, Any]], data: Path | None = None, *, train: bool = False) -> Task:
    """The task of rows, which must be one.

    Args:
        rows: Their figures and settings.
        data: Where the pictures are, if not where the rows had them.
        train: Whether the training set is needed.

    Raises:
        SystemExit: the rows are of several tasks.
    """
    of = {(row["settings"]["task"], row["settings"]["side"], row["settings"]["pictures"]) for row in rows}
    if len(of) > 1:
        raise SystemExit(f"rows of several tasks or sizes; give those of one: {', '.join(map(str, sorted(of)))}")
    name, side, pictures = of.pop()
    return open_task(name, data or Path(rows[0]["settings"]["data"]), side, train=train, pictures=pictures)
