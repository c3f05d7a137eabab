"""How long a prediction and a training step of trained contenders take, side by side.

    python benchmarks/versus/timing.py FOLDER... [--pictures 20] [--threads 2] [--steps 5]

The folders are those of rows of one task. Rounds are interleaved, one picture or one batch of each contender after the
other; medians, and ratios to the first. Predictions go from pixels to run-length coded masks, eager, in float32; steps
are those of the rows (bf16 where the row used it).
"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from row import Training
from sets import open_task

from centermask.data.batches import load_epoch
from centermask.predict import Predictor


def trained(folder: Path) -> Training:
    """A row as it was after its last epoch."""
    settings = json.loads((folder / "row.json").read_text())["settings"]
    settings |= {"folder": folder, "data": Path(settings["data"])}
    training = Training(
        SimpleNamespace(**settings),
        open_task(settings["task"], settings["data"], settings["side"], pictures=settings.get("pictures")),
    )  # type: ignore[arg-type]
    training.resume()
    return training


def predictions(runs: dict[str, Training], pictures: int, threshold: float) -> dict[str, float]:
    """Median seconds of a picture."""
    said = next(iter(runs.values())).given
    task = open_task(said.task, said.data, said.side, train=False, pictures=said.pictures)
    test = next(iter(task.tests.values()))
    predictors = {
        name: Predictor(one.average.module.eval(), score_threshold=threshold, max_detections=task.objects)
        for name, one in runs.items()
    }
    taken = defaultdict[str, list[float]](list)
    for index in range(pictures + 1):
        image: Any = test[index % len(test)].image
        for name, predictor in predictors.items():
            began = time.perf_counter()
            predictor(image)
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}


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
    parser.add_argument("--threshold", type=float, default=0.05, help="objects with a lower score are not asked for")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    runs = {folder.name: trained(folder) for folder in given.folders}
    predicted = predictions(runs, given.pictures, given.threshold)
    stepped = steps(runs, given.steps)
    table = Table("row", "prediction ms", "/ first", "step s", "/ first")
    first = next(iter(runs))
    for name in runs:
        table.add_row(name, f"{1000 * predicted[name]:.0f}", f"{predicted[name] / predicted[first]:.2f}",
                      f"{stepped[name]:.2f}", f"{stepped[name] / stepped[first]:.2f}")  # fmt: skip
    Console(width=120).print(table)
    print(
        f"torch {torch.__version__}, {given.threads} threads; medians of {given.pictures} pictures, {given.steps} steps"
    )


if __name__ == "__main__":
    main()
