"""The check of a data set from its argument to its report; it opens files for reading only."""

import os
from collections.abc import Callable
from pathlib import Path

from centermask.data.check.classes import compare_classes
from centermask.data.check.copies import find_copies
from centermask.data.check.entries import check_classes, check_pictures, sayer, take_list
from centermask.data.check.findings import Evidence, Findings
from centermask.data.check.objects import check_objects
from centermask.data.check.overlaps import compare_objects
from centermask.data.check.pictures import find_extra, look_at_pictures
from centermask.data.check.report import CheckReport
from centermask.data.check.split import Split
from centermask.data.check.statistics import count, hints
from centermask.data.folder import find_splits, split_name
from centermask.data.formats.coco_layout import coco_labels
from centermask.data.formats.labels import Labels
from centermask.data.sources import locate
from centermask.errors import UserError
from centermask.images import IMAGE_SUFFIXES


def check_data(
    data: str,
    *,
    train_annotations: Path | None = None,
    val_annotations: Path | None = None,
    images: Path | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> CheckReport:
    """Look for everything that can be wrong with a data set.

    ``workers`` processes decode the pictures, by default one per core, or none for a handful; ``on_progress`` is told
    how many of how many are done. Memory is that of the annotation files, and some hundred bytes a picture.

    Raises:
        UserError: the argument names no folder, or one in which no annotations are found.
    """
    if workers is not None and workers < 0:
        raise UserError(f"workers must not be negative, not {workers}")
    folder, found = _find(data, train_annotations, val_annotations, images)
    findings = Findings()
    roots = [os.path.realpath(path) for path in (folder, *(one.images for one in found))]
    splits = [_read(labels, roots, findings) for labels in found]
    compare_classes(splits, findings)
    seen = look_at_pictures(splits, findings, workers, on_progress)
    find_extra(splits, findings)
    find_copies(seen, findings)
    counted = [count(split) for split in splits]
    return CheckReport(data=data, folder=folder, format=found[0].format, groups=findings.groups(),
                       statistics=tuple(counted), hints=tuple(hints(counted)))  # fmt: skip


def _find(data: str, train: Path | None, val: Path | None, images: Path | None) -> tuple[Path, list[Labels]]:
    """The folder that a data argument names, and the labels in it, not yet read; files that are given are COCO's."""
    if data.startswith("gems:"):
        raise UserError(f"{data}: these pictures are drawn when asked for, there is no file to check; name a folder")
    if train or val or images:
        splits = find_splits(data, train_annotations=train, val_annotations=val, images=images)
        return split_name(data)[0], coco_labels(splits)
    return locate(data)


def _read(labels: Labels, roots: list[str], findings: Findings) -> Split:
    """The annotations of a split, entry by entry."""
    split = Split(name=labels.split, format=labels.format, source=labels.source, images=labels.images)

    def fault(path: Path, clause: str) -> None:
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_relative_to(split.images):  # its size is asked for
            split.listed.add(path)
            name = path.relative_to(split.images).as_posix()
            sayer(findings, split, picture=name)("picture-broken", clause.partition("; ")[0], Evidence)
        else:
            split.complete = False
            findings.add("label-file", clause, split=split.name, file=str(path))

    try:
        content = labels.read(fault)
    except UserError as error:
        fault(labels.source, str(error).removeprefix(f"{labels.source}: "))
        return split
    lists = [take_list(content, name, split, findings) for name in ("categories", "images", "annotations")]
    if None in lists:
        split.complete = False
        return split
    classes, pictures, objects = (one or [] for one in lists)
    check_classes(classes, split, findings)
    check_pictures(pictures, split, roots, findings)
    check_objects(objects, split, _unusable(pictures, split), findings)
    compare_objects(split, findings)
    split.annotations = []  # by far the largest part, and not needed any more
    return split


def _unusable(pictures: list[object], split: Split) -> set[int]:
    """Ids of pictures that have a finding of their own: their objects need not be told as well."""
    ids = (entry.get("id") for entry in pictures if isinstance(entry, dict))
    return {one for one in ids if type(one) is int and one not in split.records}
