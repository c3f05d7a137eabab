"""labelme in a folder: a JSON file beside each picture, which names it. Read, and its inverse, written.

Classes stand in ``labels.txt``, a line each, or else are all labels of the folder in the order of their names.
"""

import json
import mmap
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from centermask.data.coco_entries import parse_image
from centermask.data.coco_masks import Segmentation, show
from centermask.data.formats.content import Content
from centermask.data.formats.files import (
    MAX_TEXT_BYTES,
    DataFolder,
    picture_size,
    read_class_names,
    read_text,
    walk,
)
from centermask.data.formats.labelme_shapes import Points, format_shapes, join, parse_shape
from centermask.data.formats.labels import SPLIT_FOLDERS, SPLITS, Labels, OnFault
from centermask.errors import UserError
from centermask.ops.mask_warp import Bitmap
from centermask.size import Size

CLASSES_FILE = "labels.txt"

_SHAPES = re.compile(rb'"shapes"\s*:\s*\[')
_LOOKED_AT = 10
"""Files of which one must be labelme's, for the folder to pass as such."""


class _Object(NamedTuple):
    label: str
    segmentation: Any
    """As COCO's JSON has it."""
    place: str


def has_labelme(folder: Path) -> bool:
    """Whether one of the first JSON files below a folder looks like labelme's."""
    return any(_looks_like_labelme(path) for path in islice(walk(folder, (".json",)), _LOOKED_AT))


def _looks_like_labelme(path: Path) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return len(content) <= MAX_TEXT_BYTES and _SHAPES.search(content) is not None
    except (OSError, ValueError):  # cannot be read, or is empty
        return False


def labelme_labels(folder: Path) -> list[Labels]:
    """The splits of a folder, training first; without folders for them, all of it is for training."""
    data = DataFolder(folder)
    places = {split: [data.require(place) for name in SPLIT_FOLDERS[split] if (place := folder / name).is_dir()]
              for split in SPLITS}  # fmt: skip
    if not any(places.values()):
        places["train"] = [folder]
    files = _Files(folder=data, places=tuple(place for found in places.values() for place in found))
    return [
        Labels(split=split, format="labelme", source=folder, images=folder, read=_LabelmeSplit(files, found).read)
        for split, found in places.items() if found
    ]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Files:
    """All label files of a data set, in which its classes are named."""

    folder: DataFolder
    places: tuple[Path, ...]

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Of ``labels.txt``; without it, every file is read once more."""
        path = self.folder.path / CLASSES_FILE
        if path.is_file():
            return tuple(read_class_names(path))
        found: set[str] = set()
        for place in self.places:
            for file in walk(place, (".json",)):
                found.update(_labels_in(file))
        if not found:
            raise UserError(f"{self.folder.path}: no labelme file in it has a shape; label at least one object")
        return tuple(sorted(found))


def _labels_in(path: Path) -> Iterator[str]:
    try:
        shapes = _read_file(path)["shapes"]
    except ValueError:  # told when the file's own turn comes
        return
    labels = (shape.get("label") for shape in shapes if isinstance(shape, dict))
    yield from (label for label in labels if isinstance(label, str))


def _read_file(path: Path) -> dict[str, Any]:
    """The object in a file, with its list of shapes."""
    try:
        content = json.loads(read_text(path))
    except RecursionError:
        raise ValueError("its lists are nested too deeply for a labelme file") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no complete JSON ({' '.join(str(error).split())}); save it anew") from None
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise ValueError('it has no list "shapes", expected a file of labelme')
    return content


@dataclass(frozen=True)
class _LabelmeSplit:
    """The files below some folders."""

    files: _Files
    places: Sequence[Path]

    def read(self, on_fault: OnFault) -> dict[str, object]:
        """The split as a COCO dictionary."""
        content = Content(self.files.class_names)
        labels = {name: label for label, name in enumerate(self.files.class_names)}
        for path in (path for place in self.places for path in walk(place, (".json",))):
            try:
                self._add(content, path, labels, on_fault)
            except ValueError as error:
                on_fault(path, str(error))
        return content.to_coco()

    def _add(self, content: Content, path: Path, labels: dict[str, int], on_fault: OnFault) -> None:
        origin = self.files.folder.name(path)
        entry = _read_file(path)
        name, size = self._picture(entry, path)
        objects = list(_objects(entry["shapes"], size, path, on_fault))
        content.add_picture(name, size, origin)
        for found in objects:
            if found.label in labels:
                content.add_object(labels[found.label], found.segmentation, f"{origin} {found.place}")
            else:
                on_fault(path, f"{found.place}: the label {show(found.label)} does not stand in {CLASSES_FILE}")

    def _picture(self, entry: dict[str, Any], path: Path) -> tuple[str, Size]:
        given = entry.get("imagePath")
        if not isinstance(given, str) or not given:
            raise ValueError(f"imagePath is {show(given)}, expected the name of the picture")
        picture = path.parent / given.replace("\\", "/")
        name = self.files.folder.name(picture)
        sides = {"height": entry.get("imageHeight"), "width": entry.get("imageWidth")}
        if None in sides.values():
            sides = picture_size(picture)._asdict()
        return name, parse_image({"id": 1, "file_name": name, **sides}, self.files.folder.path).size


def _objects(shapes: list[object], size: Size, path: Path, on_fault: OnFault) -> Iterator[_Object]:
    """Shapes that share their label and ``group_id`` are one object, at the place of the first."""
    groups: dict[object, list[Points | Bitmap]] = {}
    places: dict[object, tuple[str, str]] = {}
    for place, value in enumerate(shapes):
        try:
            shape = parse_shape(value, size)
        except ValueError as error:
            on_fault(path, f"shapes[{place}]: {error}")
            continue
        key: object = place if shape.group is None else (shape.label, shape.group)
        groups.setdefault(key, []).append(shape.outline)
        places.setdefault(key, (shape.label, f"shapes[{place}]"))
    for key, outlines in groups.items():
        label, where = places[key]
        try:
            yield _Object(label, join(outlines, size), where)
        except ValueError as error:
            on_fault(path, f"{where}: {error}")


def format_file(picture: str, size: Size, objects: Sequence[tuple[str, Segmentation]]) -> dict[str, Any]:
    """The file of a picture that lies beside it, with the class and mask of each object."""
    shapes = [
        shape
        for group, (label, segmentation) in enumerate(objects, start=1)
        for shape in format_shapes(label, segmentation, size, group)
    ]
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": picture,
        "imageData": None,
        "imageHeight": size.height,
        "imageWidth": size.width,
    }
