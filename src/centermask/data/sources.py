"""A data argument of the command line to the sets behind it.

``FOLDER``, in any of the formats; ``FOLDER:NAME`` where a folder holds several COCO files; ``yolo:FOLDER`` where it
holds several formats; or ``gems:``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from centermask.data.coco import CocoSet, check_coco
from centermask.data.coco_file import OnError
from centermask.data.folder import find_splits, split_name
from centermask.data.formats.coco_layout import coco_labels
from centermask.data.formats.detect import choose_format, detect_format, find_labels
from centermask.data.formats.labels import TITLES, Format, Labels, OnFault, Split, stop_at_fault
from centermask.data.gems import gem_sets
from centermask.data.sample import SampleSet
from centermask.errors import UserError


@runtime_checkable
class Evaluable(SampleSet, Protocol):
    """An annotated set that predictions can be scored against."""

    @property
    def category_ids(self) -> tuple[int, ...]:
        """COCO's id of each class."""

    @property
    def records(self) -> Sequence[Any]:
        """For each picture its ``id`` and ``file_name``."""

    def truth(self) -> dict[str, Any]:
        """What is true, as a COCO dictionary."""


@dataclass(frozen=True, kw_only=True)
class DataSplit:
    """What one data argument stands for."""

    name: str
    format: Format | Literal["gems"]
    train: Evaluable | None
    val: Evaluable | None
    faults: tuple[str, ...] = ()
    """What was left out while label files were read, a line each."""


@dataclass(frozen=True, kw_only=True)
class RawSplit:
    """A split as a COCO dictionary that nobody has checked: any JSON may stand in it."""

    name: Split
    format: Format
    content: dict[str, object]
    """Entries of formats other than COCO tell under ``coco_file.ORIGIN`` where they came from."""
    source: Path
    images: Path


def read_raw(data: str, *, on_fault: OnFault | None = None) -> list[RawSplit]:
    """Read the splits of a data argument, training first, without checking them.

    What cannot be read in a single label file is handed to ``on_fault`` and left out.

    Raises:
        UserError: the argument stands for no files that can be read; or, without ``on_fault``, the first fault.
    """
    return [
        RawSplit(
            name=one.split,
            format=one.format,
            content=one.read(on_fault or stop_at_fault),
            source=one.source,
            images=one.images,
        )
        for one in locate(data)[1]
    ]


def open_data(
    data: str,
    *,
    train_annotations: Path | None = None,
    val_annotations: Path | None = None,
    images: Path | None = None,
    on_error: OnError = "stop",
    evaluation_only: bool = False,
) -> DataSplit:
    """Open a data argument; ``evaluation_only`` leaves the training split closed where there is one for validation.

    ``FOLDER`` is looked at for the format of its labels; ``FORMAT:FOLDER`` says it. Given annotation files are COCO's.

    Raises:
        UserError: it stands for nothing that can be read, or holds bad entries (see ``check_coco``).
    """
    if data.startswith("gems:"):
        if train_annotations or val_annotations or images:
            raise UserError("gems: are drawn, there are no annotation files and pictures to be named; leave these out")
        train, val = gem_sets(data)
        return DataSplit(name="gems", format="gems", train=train, val=val)
    if train_annotations or val_annotations or images:
        found = coco_labels(
            find_splits(data, train_annotations=train_annotations, val_annotations=val_annotations, images=images)
        )
    else:
        found = locate(data)[1]
    if evaluation_only:
        found = [one for one in found if one.split == "val"] or found
    faults: list[str] = []
    opened = {one.split: _open(one, on_error, faults) for one in found}
    return DataSplit(name=_name(data), format=found[0].format, train=opened.get("train"), val=opened.get("val"),
                     faults=tuple(faults))  # fmt: skip


def folder_of(data: str) -> Path | None:
    """The folder that a data argument names; none is named by ``gems:``.

    Raises:
        UserError: there is no such folder.
    """
    return None if data.startswith("gems:") else split_name(choose_format(data)[1])[0]


def locate(data: str) -> tuple[Path, list[Labels]]:
    """The folder that a data argument names, and the labels in it, not yet read.

    Raises:
        UserError: there is no such folder, or no annotations in it.
    """
    if data.startswith("gems:"):
        raise UserError("gems: are drawn, there are no files; write some with: centermask gems FOLDER")
    chosen, place = choose_format(data)
    folder, name = split_name(place)
    return folder, find_labels(chosen or ("coco" if name else detect_format(folder)), place)


def _open(labels: Labels, on_error: OnError, faults: list[str]) -> CocoSet:
    def keep(path: Path, clause: str) -> None:
        faults.append(f"{path}: {clause}")

    content = labels.read(stop_at_fault if on_error == "stop" else keep)
    return check_coco(content, labels.source, labels.images, on_error=on_error)


def _name(data: str) -> str:
    last = data.rpartition(":")[2] or data
    return Path(last).name or Path(last).resolve().name


def describe(split: DataSplit) -> str:
    """What a data argument stands for, in one line.

    >>> describe(open_data("gems:images=10"))
    'gems: drawn stones, train 8 pictures, val 2 pictures, 8 classes'
    """
    sets = {"train": split.train, "val": split.val}
    counts = [f"{name} {_count(len(one), 'picture')}" for name, one in sets.items() if one is not None]
    classes = {name: None for one in sets.values() if one is not None for name in one.class_names}
    title = "drawn stones" if split.format == "gems" else TITLES[split.format]
    return ", ".join([f"{split.name}: {title}", *counts, _count(len(classes), "class")])


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def skipped(split: DataSplit) -> list[str]:
    """What was left out as bad, a line each."""
    sets = [one for one in (split.train, split.val) if isinstance(one, CocoSet)]
    return [*split.faults, *(line for one in sets for line in one.findings.lines)]


def union_of_classes(sets: Sequence[SampleSet]) -> dict[str, int]:
    """All class names of several sets, in the order in which they come, with their category ids.

    The ids are those of the sets as far as they agree on them; else they count from 1.

    Raises:
        UserError: there is none.
    """
    pairs = dict.fromkeys(pair for one in sets for pair in zip(one.class_names, _category_ids(one), strict=True))
    names = dict.fromkeys(name for name, _ in pairs)
    if not names:
        raise UserError("the data annotates no class; give an annotation file with categories")
    agreed = len(pairs) == len(names) == len({category for _, category in pairs})
    return dict(list(pairs)) if agreed else {name: i for i, name in enumerate(names, start=1)}


def _category_ids(one: SampleSet) -> tuple[int, ...]:
    return one.category_ids if isinstance(one, Evaluable) else tuple(range(1, len(one.class_names) + 1))
