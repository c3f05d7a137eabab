"""A data argument of the command line to the sets behind it: ``FOLDER``, ``FOLDER:NAME`` or ``gems:``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from centermask.data.coco import CocoSet, load_coco
from centermask.data.coco_file import OnError
from centermask.data.folder import find_splits
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
    train: Evaluable | None
    val: Evaluable | None


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

    Raises:
        UserError: it stands for nothing that can be read, or holds bad entries (see ``load_coco``).
    """
    if data.startswith("gems:"):
        train, val = gem_sets(data)
        return DataSplit(name="gems", train=train, val=val)
    splits = find_splits(data, train_annotations=train_annotations, val_annotations=val_annotations, images=images)
    opened = {
        split: load_coco(source.annotations, source.images, on_error=on_error) if source else None
        for split, source in (("train", None if evaluation_only and splits.val else splits.train), ("val", splits.val))
    }
    return DataSplit(name=Path(data.rpartition(":")[2] or data).name, **opened)


def skipped(split: DataSplit) -> list[str]:
    """What was left out as bad, a line each."""
    sets = [one for one in (split.train, split.val) if isinstance(one, CocoSet)]
    return [line for one in sets for line in one.findings.lines]


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
