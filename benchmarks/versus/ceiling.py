"""How precise masks could be if every object were found: true masks through the grid that a mask head fills.

    python benchmarks/versus/ceiling.py TASK --data DATA [--pictures 100]

The true masks of each test set are drawn on grids of so many cells in their own boxes, put back into the picture as
predictions of the plus presets are, and scored: what they then lack to 100 is what the grid costs, whatever is learned.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sets import open_task

from centermask.data.sources import Evaluable
from centermask.evaluate import evaluate_predictions
from centermask.images import SoftInstances, restore
from centermask.ops.mask_crop import crop_masks
from centermask.ops.mask_warp import bounds
from centermask.size import Size

SIDES = (14, 28, 56)
"""Cells on a side; heads fill 28."""


def through_grids(test: Evaluable, side: int) -> list[dict[str, Any]]:
    """The truth of a set as COCO results, each mask drawn on a grid in its box."""
    results = []
    for index, record in enumerate(test.records):
        sample = test[index]
        count, size = len(sample.masks), Size(*sample.image.shape[:2])
        boxes = np.array([bounds(mask) for mask in sample.masks]).reshape(-1, 4)
        grids = crop_masks(sample.masks, np.arange(count), boxes, side).grids
        sure = np.ones(count, dtype=np.float32)
        known = SoftInstances(boxes, sure, sure, sample.labels, grids.astype(np.float32))
        found = restore(
            known, fitted=size, original=size, class_names=test.class_names, category_ids=test.category_ids,
            fill_boxes=True,
        )  # fmt: skip
        results += [one | {"image_id": record.id} for one in found.to_coco()["instances"]]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=100)
    given = parser.parse_args()
    table = Table("test set", "objects", "cells", "mask AP", "AP75", "of small objects")
    task = open_task(given.task, given.data, 256, train=False, pictures=given.pictures)
    for name, test in task.tests.items():
        truth = test.truth()
        for side in SIDES:
            mask = evaluate_predictions(truth, through_grids(test, side), max_detections=1000).mask
            table.add_row(name, str(len(truth["annotations"])), f"{side} × {side}", *(
                f"{100 * value:.1f}" for value in (mask.ap, mask.ap75, mask.ap_small)
            ))  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
