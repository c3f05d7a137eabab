"""How long a prediction and a training step of trained contenders take, side by side.

    python benchmarks/versus/timing.py FOLDER... [--pictures 20] [--threads 2] [--steps 5] [--data DATA]

The folders are those of rows of one task. Rounds are interleaved, one picture or one batch of each contender after the
other; medians, and ratios to the first. Predictions go from pixels to run-length coded masks, eager, in float32: first
of all that a contender finds, as when it is scored, then of what has the score from which on its F1 on the first test
set is highest, as when it is used; boxes of a lower score get no mask. Steps are those of the rows (bf16).
"""

import argparse
import statistics
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from done import read, results, task_of
from rich.console import Console
from rich.table import Table
from row import Training, best_threshold
from sets import Task

from centermask.data.batches import load_epoch
from centermask.data.sources import Evaluable
from centermask.predict import Predictor


def trained(folder: Path, row: dict[str, Any], task: Task) -> Training:
    """A row as it was after its last epoch."""
    told = row["settings"]
    settings: Any = SimpleNamespace(**told | {"folder": folder, "weights": told["weights"] and Path(told["weights"])})
    training = Training(settings, task)
    training.resume()
    return training


class Prediction(NamedTuple):
    """How long a picture takes, and how many masks it gets."""

    seconds: float
    masks: float


def predictions(
    runs: dict[str, Training], test: Evaluable, objects: int, pictures: int, least: dict[str, float]
) -> dict[str, Prediction]:
    """Medians, from the least score of each."""
    predictors = dict[str, Predictor]()
    for name, one in runs.items():
        network: Any = one.scored()
        network.ask(least[name])
        predictors[name] = Predictor(network, score_threshold=least[name], max_detections=objects)
    taken = defaultdict[str, list[Prediction]](list)
    for index in range(pictures + 1):
        image: Any = test[index % len(test)].image
        for name, predictor in predictors.items():
            began = time.perf_counter()
            found = predictor(image)
            taken[name].append(Prediction(time.perf_counter() - began, len(found)))
    return {name: Prediction(*map(statistics.median, zip(*own[1:], strict=True))) for name, own in taken.items()}


def steps(runs: dict[str, Training], count: int) -> dict[str, float]:
    """Median seconds of a step, all on the same batches."""
    first = next(iter(runs.values()))
    taken = defaultdict[str, list[float]](list)
    for index, batch in enumerate(load_epoch(first.pictures, first.plan, 0)):
        if index > count:
            break
        for name, one in runs.items():
            one.network.train()
            began = time.perf_counter()
            one.learn(*batch)
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="where the pictures are, if not where the rows had them")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = read(given.folders)
    task = task_of(rows, given.data, train=True)
    runs = {folder.name: trained(folder, row, task) for folder, row in zip(given.folders, rows, strict=True)}
    test_name, test = next(iter(task.tests.items()))
    truth = test.truth()
    best = {folder.name: best_threshold(truth, results(folder, test_name), task.judged) for folder in given.folders}
    everything, used = (
        predictions(runs, test, task.objects, given.pictures, least) for least in (dict.fromkeys(runs, 0.0), best)
    )
    stepped = steps(runs, given.steps)
    table = Table("row", "all: masks", "ms", "/ first", "used: score", "masks", "ms", "/ first", "step s", "/ first")
    first = next(iter(runs))
    for name in runs:
        whole, part = (
            (f"{each[name].masks:.0f}", f"{1000 * each[name].seconds:.0f}",
             f"{each[name].seconds / each[first].seconds:.2f}")
            for each in (everything, used)
        )  # fmt: skip
        table.add_row(runs[name].given.contender, *whole, f"{best[name]:.2f}", *part,
                      f"{stepped[name]:.2f}", f"{stepped[name] / stepped[first]:.2f}")  # fmt: skip
    Console(width=160).print(table)
    print(
        f"torch {torch.__version__}, {given.threads} threads; medians of {given.pictures} pictures, {given.steps} steps"
    )


if __name__ == "__main__":
    main()
