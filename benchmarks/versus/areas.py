"""Mask AP of a test set by the area of its objects, and the share that is found at an IoU of 0.5 at all.

    python benchmarks/versus/areas.py TEST FOLDER... [--edges 64 144 256 576 1024] [--data DATA]

TEST is a test set of the rows' task; areas are square pixels of the pictures themselves.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from done import read, results, task_of
from rich.console import Console
from rich.table import Table

from centermask.evaluate.curves import count, unpack
from centermask.evaluate.matching import ALL_AREAS, match_set
from centermask.evaluate.rows import read_predictions, read_truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("test", help="val, occluded, ...")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, help="where the pictures are, if not where the rows had them")
    parser.add_argument("--edges", nargs="+", type=float, default=[64, 144, 256, 576, 1024])
    given = parser.parse_args()
    edges = [0.0, *given.edges, 1e10]
    names = [*(f"to {edge:.0f}" for edge in given.edges), "more"]
    ranges = {name: (low, np.nextafter(high, 0)) for name, (low, high) in zip(names, pairwise(edges), strict=True)}
    ranges.update(ALL_AREAS)
    table = Table("row", "figure", *ranges)
    rows = read(given.folders)
    task = task_of(rows, given.data)
    most = task.judged
    true = read_truth(task.tests[given.test].truth())
    for folder, row in zip(given.folders, rows, strict=True):
        found = read_predictions(results(folder, given.test), true.known)
        matches = match_set(true, found, "mask", most, ranges)
        curves = count(matches, len(true.known.class_names), tuple(ranges), [most])
        at_half = unpack(matches.reached.ravel())[0].reshape(matches.reached.shape)
        shares = [at_half[counted, area].mean() for area, counted in enumerate(matches.counted.T)]
        told = f"{row['settings']['contender']}, seed {row['settings']['seed']}"
        table.add_row(told, "objects", *(str(int(n)) for n in matches.counted.sum(axis=0)))
        table.add_row("", "AP", *(f"{100 * curves.ap(area=name):.1f}" for name in ranges))
        table.add_row("", "AP50", *(f"{100 * curves.ap(iou=0.5, area=name):.1f}" for name in ranges))
        table.add_row("", f"AR{most}", *(f"{100 * curves.ar(most, area=name):.1f}" for name in ranges))
        table.add_row("", "found", *(f"{share:.2f}" for share in shares))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
