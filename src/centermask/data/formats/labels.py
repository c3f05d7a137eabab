"""What every format's reader gives: the labels of one split, found but not yet read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from centermask.errors import UserError

Split = Literal["train", "val"]

Format = Literal["coco", "yolo", "labelme", "png"]

SPLITS: tuple[Split, ...] = ("train", "val")

SPLIT_FOLDERS: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("val", "valid")}
"""Names by which the folder of a split is known."""

TITLES: dict[Format, str] = {"coco": "COCO", "yolo": "YOLO-seg", "labelme": "labelme", "png": "instance PNGs"}

OnFault = Callable[[Path, str], None]
"""Takes a label file and a clause on what is wrong in it; may raise."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of one split."""

    split: Split
    format: Format
    source: Path
    """The file or folder that messages name."""
    images: Path
    """The folder that the pictures' names are relative to."""
    read: Callable[[OnFault], dict[str, object]]
    """Reads everything as a COCO dictionary, unchecked; what cannot be read is handed over and left out."""


def stop_at_fault(path: Path, clause: str) -> None:
    """The strict way to take a fault.

    Raises:
        UserError: always.
    """
    raise UserError(f"{path}: {clause}; correct or remove it, or skip bad entries (--on-error skip)")
