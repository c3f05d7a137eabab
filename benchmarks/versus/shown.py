"""How good is what is shown: F1 at mask IoU 0.5 from several scores on.

    python benchmarks/versus/shown.py --data DATA FOLDER...

The folders are those of rows of one task. Of the first test set that was scored one half of the pictures says which
score is best, and the other half and the other test sets are judged: from that score on, as trained weights have it,
from 0.35 and 0.5 on, which weights of a preset may have, and from the one on that turns out best there.
"""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from done import read, results, task_of
from rich.console import Console
from rich.table import Table

from centermask.evaluate.analyse import best_point
from centermask.evaluate.errors import IGNORED, RIGHT, judge_set
from centermask.evaluate.rows import read_predictions, read_truth

FIXED = (0.35, 0.5)


def half_of(
    truth: Mapping[str, Any], found: Sequence[Mapping[str, Any]], odd: bool
) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    """A truth and its results with the pictures of odd or of even numbers."""

    def of_half(rows: Sequence[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
        return [row for row in rows if row[key] % 2 == odd]

    kept = {"images": of_half(truth["images"], "id"), "annotations": of_half(truth["annotations"], "image_id")}
    return {**truth, **kept}, of_half(found, "image_id")


def judge(
    truth: Mapping[str, Any], found: Sequence[Mapping[str, Any]], most: int
) -> tuple[float, Callable[[float], float]]:
    """The best score, and F1 in percent of what is shown from any score on."""
    true = read_truth(truth)
    matches, verdicts = judge_set(true, read_predictions(found, true.known), most)
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
    rows = read(given.folders)
    task = task_of(rows, given.data)
    for folder, row in zip(given.folders, rows, strict=True):
        learned, title = math.nan, f"{row['settings']['contender']}, seed {row['settings']['seed']}"
        scored = {name: test for name, test in task.tests.items() if (folder / f"{name}.json").is_file()}
        for name, test in scored.items():
            truth, found = test.truth(), results(folder, name)
            if math.isnan(learned):
                learned = judge(*half_of(truth, found, odd=True), task.judged)[0]
                truth, found = half_of(truth, found, odd=False)
            best, f1 = judge(truth, found, task.judged)
            told = [f"{f1(least):.1f}" for least in (*FIXED, learned, best)]
            table.add_row(title, name, f"{learned:.2f}", *told, f"{best:.2f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
