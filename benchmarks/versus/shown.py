"""How good is what is shown: F1 at mask IoU 0.5 from several scores on.

    python benchmarks/versus/shown.py --data DATA FOLDER...

The folders are those of rows. Of the first test set that was scored one half of the pictures says which score is best,
and the other half and the other test sets are judged: from that score on, as trained weights have it, from 0.35 and 0.5
on, which weights of a preset may have, and from the one on that turns out best there.
"""

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sets import open_task

from centermask.evaluate.analyse import best_point
from centermask.evaluate.errors import IGNORED, RIGHT, judge_set
from centermask.evaluate.rows import read_predictions, read_truth

FIXED = (0.35, 0.5)


def half_of(
    truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]], odd: bool
) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    """A truth and its results with the pictures of odd or of even numbers."""

    def of_half(rows: Sequence[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
        return [row for row in rows if row[key] % 2 == odd]

    kept = {"images": of_half(truth["images"], "id"), "annotations": of_half(truth["annotations"], "image_id")}
    return {**truth, **kept}, of_half(results, "image_id")


def judge(
    truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]], most: int
) -> tuple[float, Callable[[float], float]]:
    """The best score, and F1 in percent of what is shown from any score on."""
    true = read_truth(truth)
    matches, verdicts = judge_set(true, read_predictions(results, true.known), most)
    counts = verdicts.kinds != IGNORED
    scores, right = matches.scores[counts], verdicts.kinds[counts] == RIGHT
    objects = np.count_nonzero(matches.counted[:, 0])

    def f1(least: float) -> float:
        shown = scores >= least
        return float(200 * np.count_nonzero(right & shown) / max(1, np.count_nonzero(shown) + objects))

    return best_point(matches, verdicts).threshold, f1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    table = Table("row", "test set", "learned", *(f"F1 from {least} on" for least in FIXED), "learned", "best", "from")
    rows = [json.loads((folder / "row.json").read_text())["settings"] for folder in given.folders]
    open_once = cache(lambda task, side, pictures: open_task(task, given.data, side, train=False, pictures=pictures))
    for folder, row in zip(given.folders, rows, strict=True):
        task, learned = open_once(row["task"], row["side"], row["pictures"]), math.nan
        scored = {name: test for name, test in task.tests.items() if (folder / f"{name}.json").is_file()}
        for name, test in scored.items():
            truth, results = test.truth(), json.loads((folder / f"{name}.json").read_text())
            most = max(100, task.objects)
            if math.isnan(learned):
                learned = judge(*half_of(truth, results, odd=True), most)[0]
                truth, results = half_of(truth, results, odd=False)
            best, f1 = judge(truth, results, most)
            told = [f"{f1(least):.1f}" for least in (*FIXED, learned, best)]
            table.add_row(f"{row['task']} {row['contender']}, seed {row['seed']}", name, f"{learned:.2f}", *told,
                          f"{best:.2f}")  # fmt: skip
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
