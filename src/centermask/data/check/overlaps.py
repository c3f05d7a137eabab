"""Objects of one picture beside each other: how much they overlap, and which were annotated twice."""

from collections.abc import Iterator

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Float, Int64

from centermask.data.check.entries import sayer, title
from centermask.data.check.findings import Evidence, Findings
from centermask.data.check.split import Split
from centermask.data.coco_entries import CocoImage
from centermask.data.coco_masks import code, parse_segmentation, visible_mask

OVERLAP = 0.3
"""Box IoU with another object of the class above which an object counts as overlapped."""

TWIN_BOX, TWIN_MASK = 0.9, 0.95
"""IoU of two boxes from which their masks are compared, and of two masks that show one object."""

MOST, PAIRS = 5_000, 1_000
"""Objects of a picture that are compared, and pairs of their masks: no honest file has more."""

ROWS = 512
"""Objects of a picture that are compared with all of it at once."""


def compare_objects(split: Split, findings: Findings) -> None:
    """Tell objects that were annotated twice, and fill in which ones another of their class overlaps."""
    overlapped = np.zeros(len(split.objects), dtype=bool)
    records = list(split.records.values())
    for picture, rows in _by_picture(split.objects.pictures):
        rows, twins = rows[:MOST], set[int]()
        compared = 0
        for first in range(0, len(rows), ROWS):
            part = rows[first : first + ROWS]
            ious = _box_ious(split.objects.boxes[part], split.objects.boxes[rows])
            ious[np.arange(len(part)), np.arange(first, first + len(part))] = 0
            same = split.objects.labels[part][:, None] == split.objects.labels[rows][None, :]
            overlapped[part] = ((ious > OVERLAP) & same).any(axis=1)
            for i, j in _untold(ious, first, twins):
                compared += 1
                if compared > PAIRS:
                    break
                if _are_twins(split, records[picture], int(rows[i]), int(rows[j]), findings):
                    twins.add(j)
    split.overlapped = overlapped


def _untold(ious: Float[np.ndarray, "some all"], first: int, twins: set[int]) -> Iterator[tuple[int, int]]:
    """Pairs of nearly equal boxes, each once and none of an object that has been told already."""
    for i, j in zip(*(side.tolist() for side in np.nonzero(ious >= TWIN_BOX)), strict=True):
        if first + i < j and first + i not in twins and j not in twins:
            yield first + i, j


def _by_picture(pictures: Int64[np.ndarray, " objects"]) -> Iterator[tuple[int, Int64[np.ndarray, " some"]]]:
    """Each picture that has objects, with their rows."""
    order = np.argsort(pictures, kind="stable")
    names, starts = np.unique(pictures[order], return_index=True)
    yield from zip(names.tolist(), np.split(order, starts[1:]), strict=False)


def _box_ious(a: Float[np.ndarray, "some 4"], b: Float[np.ndarray, "all 4"]) -> Float[np.ndarray, "some all"]:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = (high - low).clip(0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - common
    return common / np.maximum(union, 1e-9)


def _are_twins(split: Split, record: CocoImage, first: int, second: int, findings: Findings) -> bool:
    """Whether two masks show one object; if so it is told."""
    entries = [split.annotations[split.objects.places[row]] for row in (first, second)]
    masks = [parse_segmentation(entry["segmentation"], record.size) for entry in entries if isinstance(entry, dict)]
    codes = [code(mask, record.size) for mask in masks]
    iou = float(coco_mask.iou(codes[:1], codes[1:], [0])[0, 0])
    if iou < TWIN_MASK:
        return False
    names = list(split.classes.values())
    labels = [names[split.objects.labels[row]] for row in (first, second)]
    place = int(split.objects.places[first])
    other = title(entries[0], f"annotations[{place}]")
    say = sayer(findings, split, annotation=title(entries[1], f"annotations[{split.objects.places[second]}]"),
                picture=record.file_name)  # fmt: skip

    def evidence() -> Evidence:
        return Evidence(pictures=(record.path,), mask=visible_mask(masks[1], record.size))

    if labels[0] == labels[1]:
        say("object-twice", f"its mask is that of {other} too (IoU {iou:.2f})", evidence)
    else:
        say("object-two-classes", f"it is {labels[1]!r} and, as {other}, {labels[0]!r} (IoU {iou:.2f})", evidence)
    return True
