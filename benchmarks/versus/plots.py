"""Draw a comparison: precision over recall, AP against overlap, AP against the time of an epoch.

    python benchmarks/versus/plots.py OUT FOLDER... [--data DATA]

The folders are those of rows of one task and of one number of epochs. Three pictures are written into OUT.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from done import by_contender, read, results, task_of
from matplotlib import pyplot
from matplotlib.figure import Figure

from centermask.data.sources import Evaluable
from centermask.evaluate.coco_ap import count_set
from centermask.evaluate.curves import unpack
from centermask.evaluate.matching import match_set
from centermask.evaluate.rows import read_predictions, read_truth
from centermask.evaluate.strata import OVERLAPS, largest_overlaps, overlap_places

mpl.use("Agg")
COLOURS = ("#8a8a8a", "#d95f02", "#1b9e77", "#7570b3", "#e7298a")


def read_set(test: Evaluable, folder: Path, name: str) -> tuple[Any, Any]:
    """What is true of a set, and what a row found in it."""
    true = read_truth(test.truth())
    return true, read_predictions(results(folder, name), true.known)


def precision_over_recall(tests: dict[str, Evaluable], folders: dict[str, Path], most: int) -> Figure:
    """At mask IoU 0.5 and 0.75, one panel for each test set."""
    figure, panels = pyplot.subplots(1, len(tests), figsize=(4.2 * len(tests), 3.8), squeeze=False)
    for panel, (test_name, test) in zip(panels[0], tests.items(), strict=True):
        for colour, (name, folder) in zip(COLOURS, folders.items(), strict=False):
            curves = count_set(*read_set(test, folder, test_name), "mask", most)
            for place, style in ((0, "-"), (5, ":")):
                shown = np.nanmean(curves.precision[place, :, :, 0], axis=1)
                panel.plot(np.linspace(0, 1, len(shown)), shown, style, color=colour,
                           label=name if style == "-" else None)  # fmt: skip
        panel.set(title=test_name, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    panels[0, 0].legend(fontsize=8, title="IoU 0.5; dotted 0.75", title_fontsize=8)
    return figure


def recall_against_overlap(tests: dict[str, Evaluable], folders: dict[str, Path], most: int) -> Figure:
    """The share of objects found, by how much their box overlaps another one of their class."""
    figure, panels = pyplot.subplots(1, len(tests), figsize=(4.2 * len(tests), 3.8), squeeze=False)
    for panel, (test_name, test) in zip(panels[0], tests.items(), strict=True):
        for number, (colour, (name, folder)) in enumerate(zip(COLOURS, folders.items(), strict=False)):
            true, found = read_set(test, folder, test_name)
            matches = match_set(true, found, "mask", most)
            counted = matches.counted[:, 0]
            places = overlap_places(largest_overlaps(true)[counted])
            reached = unpack(matches.reached[counted, 0]).mean(axis=0)
            heights = [reached[places == place].mean() if (places == place).any() else 0 for place in range(4)]
            panel.bar(np.arange(4) + (number - len(folders) / 2 + 0.5) * 0.8 / len(folders), heights,
                      0.8 / len(folders), color=colour, label=name)  # fmt: skip
        sizes = [int((places == place).sum()) for place in range(4)]
        panel.set_xticks(range(4), [f"{label}\n{size}" for label, size in zip(OVERLAPS, sizes, strict=True)])
        panel.set(title=test_name, xlabel="box IoU with the nearest of its class; objects", ylabel="AR", ylim=(0, 1))
    panels[0, -1].legend(fontsize=8)
    return figure


def precision_against_time(rows: dict[str, dict[str, Any]], test: str) -> Figure:
    """Mask AP of a test set against the seconds of an epoch."""
    figure, panel = pyplot.subplots(figsize=(4.6, 3.8))
    seconds = [statistics.median(row["seconds"]) for row in rows.values()]
    for colour, (name, row), x in zip(COLOURS, rows.items(), seconds, strict=False):
        y = 100 * row["tests"][test]["mask_ap"]
        panel.plot(x, y, "o", color=colour)
        panel.annotate(name, (x, y), textcoords="offset points", xytext=(6, 4), fontsize=8)
    panel.set(xlabel="seconds of an epoch", ylabel="mask AP", title=test)
    panel.margins(0.25)
    panel.set_xlim(0, 1.3 * max(seconds))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, help="where the pictures are, if not where the rows had them")
    given = parser.parse_args()
    rows = read(given.folders)
    task, folders = task_of(rows, given.data), by_contender(rows, given.folders)
    if len(folders) > len(COLOURS):
        raise SystemExit(f"{len(folders)} contenders; {len(COLOURS)} can be told apart")
    tests = {name: test for name, test in task.tests.items() if all(name in row["tests"] for row in rows)}
    figures = {
        "precision": precision_over_recall(tests, folders, task.judged),
        "overlap": recall_against_overlap(tests, folders, task.judged),
        "time": precision_against_time(dict(zip(folders, rows, strict=True)), next(iter(tests))),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.tight_layout()
        figure.savefig(given.out / f"{task.name}-{name}.png", dpi=110)


if __name__ == "__main__":
    main()
