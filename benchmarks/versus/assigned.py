"""Count what locations learn, by each rule of assignment: objects without a location, and objects that are not there.

    python benchmarks/versus/assigned.py TASK --data DATA [--pictures 30] [--stride 4] [--side 256]

Pictures have the short side at which they are learned from. Objects too small to see there are left out.
A location learns what is not there if another object than its own is seen at it. Task-aligned assignment goes by what a
network predicts, and is left out.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sets import as_shown, open_task

from centermask.config import Assignment
from centermask.data.sample import Sample
from centermask.model.detection.locations import make_locations, strides_from
from centermask.model.detection.targets import assign_targets
from centermask.ops.mask_warp import covers

RULES: tuple[Assignment, ...] = ("fcos", "visible", "atss")


def count(sample: Sample, rule: Assignment, stride: int, side: int) -> np.ndarray:
    """Objects, those without a location, locations that learn one, and those where another one is seen."""
    shown = as_shown(sample, side, np.random.default_rng(0))
    masks, (height, width) = shown.truth.masks, shown.pixels.shape[1:]
    objects = len(masks)
    # Each object is a class of its own, so that the owner of a location tells which one it is.
    truth = shown.truth._replace(labels=torch.arange(objects), annotated=torch.ones(objects) > 0)
    sides = [torch.zeros(1, 1, -(-height // step), -(-width // step)) for step in strides_from(stride)]
    locations = make_locations(sides, stride)
    owners = assign_targets(locations, truth, rule).labels
    learning = (owners < objects).nonzero().squeeze(1)
    points = locations.points[learning].double().numpy()
    seen = covers(masks, points).T
    own = seen[owners[learning].numpy(), np.arange(len(points))]
    return np.array([objects, objects - len(owners[learning].unique()), len(points), (seen.any(axis=0) & ~own).sum()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=30)
    parser.add_argument("--stride", type=int, default=4, help="of the finest level: 4 or 8")
    parser.add_argument("--side", type=int, default=256)
    given = parser.parse_args()
    table = Table("test set", "rule", "objects", "without a location", "locations that learn", "where another is seen")
    for name, test in open_task(given.task, given.data, given.side, train=False, pictures=given.pictures).tests.items():
        shown = [sample for sample in map(test.__getitem__, range(min(given.pictures, len(test)))) if sample.masks]
        for rule in RULES:
            total = sum(
                (count(sample, rule, given.stride, given.side) for sample in shown), np.zeros(4, dtype=np.int64)
            )
            table.add_row(name, rule, *map(str, total.tolist()))
    Console().print(table)


if __name__ == "__main__":
    main()
