"""How well objects are found by their size and by how much they overlap others of their class."""

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Float64, Int64

from centermask.evaluate.analysis import HeatCell
from centermask.evaluate.curves import unpack
from centermask.evaluate.matching import Matches
from centermask.evaluate.rows import Truth

SIZES = ("small", "medium", "large")
OVERLAPS = ("0", "0–0.1", "0.1–0.3", "> 0.3")


def heat_cells(truth: Truth, matches: Matches) -> tuple[HeatCell, ...]:
    """Number and recall of the objects of each size and overlap; crowds are left out."""
    counted = matches.counted[:, 0]
    reached = unpack(matches.reached[counted, 0])
    sizes, overlaps = size_places(truth.objects.areas[counted]), overlap_places(largest_overlaps(truth)[counted])
    cells = []
    for i, size in enumerate(SIZES):
        for j, overlap in enumerate(OVERLAPS):
            own = reached[:, (sizes == i) & (overlaps == j)]
            defined = own.shape[1] > 0
            cells.append(
                HeatCell(
                    size=size,
                    overlap=overlap,
                    instances=own.shape[1],
                    recall50=float(own[0].mean()) if defined else float("nan"),
                    recall=float(own.mean()) if defined else float("nan"),
                )
            )
    return tuple(cells)


def size_places(areas: Float64[np.ndarray, " objects"]) -> Int64[np.ndarray, " objects"]:
    """Places in ``SIZES``: small below 32² pixels, large above 96²."""
    return np.where(areas < 32**2, 0, np.where(areas > 96**2, 2, 1))


def overlap_places(overlaps: Float64[np.ndarray, " objects"]) -> Int64[np.ndarray, " objects"]:
    """Places in ``OVERLAPS``; 0.1 and 0.3 belong to the lower range.

    >>> overlap_places(np.array([0, 0.01, 0.1, 0.11, 0.3, 0.31])).tolist()
    [0, 1, 1, 2, 2, 3]
    """
    return np.searchsorted([0.0, 0.1, 0.3], overlaps, side="left")


def largest_overlaps(truth: Truth) -> Float64[np.ndarray, " objects"]:
    """For each object the largest IoU of its box with that of another one of its class in the picture, crowds apart."""
    largest = np.zeros(len(truth.crowds))
    keys = truth.objects.pictures * len(truth.known.class_names) + truth.objects.labels
    order = np.argsort(keys, kind="stable")
    order = order[~truth.crowds[order]]
    for group in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
        if len(group) > 1:
            boxes = truth.objects.boxes[group].tolist()
            ious = coco_mask.iou(boxes, boxes, [0] * len(group))
            np.fill_diagonal(ious, 0)
            largest[group] = ious.max(axis=1)
    return largest
