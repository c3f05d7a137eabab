"""What a format's writer is given, and what it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from centermask.data.coco_entries import CocoObject
from centermask.data.formats.labels import Split
from centermask.size import Size


@dataclass(frozen=True, kw_only=True)
class Target:
    """A new folder, and the classes of what will be written there."""

    folder: Path
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]


class Labelled(NamedTuple):
    """An object, its label counted in the target's classes."""

    label: int
    item: CocoObject


@dataclass(frozen=True, kw_only=True)
class Page:
    """A picture with its objects."""

    split: Split
    id: int
    name: str
    """Of the file, without folders; no two of a split share its stem."""
    size: Size
    objects: Sequence[Labelled]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return Path(self.name).stem


class Writer(Protocol):
    """Writes the labels of a data set, picture by picture."""

    def place(self, page: Page) -> Path:
        """Where the picture itself belongs."""

    def write(self, page: Page) -> int:
        """Write or keep the labels of a picture; gives how many of its objects this format can hold."""

    def finish(self) -> list[str]:
        """Write what stands for the whole set; tell what could not be said in this format, a line each."""


def countable(page: Page) -> list[Labelled]:
    """The objects without the crowds."""
    return [one for one in page.objects if not one.item.is_crowd]


def text_file(path: Path, content: str) -> None:
    """Write a text file, and its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")


def told(number: int, noun: str, rest: str) -> list[str]:
    """A line such as "3 objects ...", or none if there is nothing to tell."""
    return [f"{number:,} {noun}{'' if number == 1 else 's'} {rest}"] if number else []
