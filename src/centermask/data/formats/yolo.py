"""YOLO-seg in a folder: a text file of polygons beside each picture, and ``data.yaml`` with the names of the classes.

``.../images/.../a.jpg`` has its labels in ``.../labels/.../a.txt``. A picture without the file, or with an empty one,
shows no object.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from centermask.data.formats.content import Content
from centermask.data.formats.files import (
    DataFolder,
    picture_size,
    pictures_below,
    read_class_names,
    read_list,
    read_text,
    walk,
)
from centermask.data.formats.labels import SPLIT_FOLDERS, SPLITS, Labels, OnFault, Split
from centermask.data.formats.yolo_line import parse_line
from centermask.data.formats.yolo_yaml import YoloYaml, find_yaml, names_classes, read_yaml
from centermask.errors import UserError

_NO_LABELS = ("classes.txt", "labels.txt", "train.txt", "val.txt", "readme.txt")
"""Text files that may lie among labels."""


def has_yolo(folder: Path) -> bool:
    """Whether a folder holds YOLO labels: a YAML file that names classes, or text files in a folder ``labels``."""
    yaml = find_yaml(folder)
    places = [folder / "labels", *(folder / name / "labels" for names in SPLIT_FOLDERS.values() for name in names)]
    return (yaml is not None and names_classes(yaml)) or any(_has_text(place) for place in places)


def _has_text(folder: Path) -> bool:
    return next(walk(folder, (".txt",)), None) is not None


def yolo_labels(folder: Path) -> list[Labels]:
    """The splits of a folder, training first.

    Raises:
        UserError: it has no pictures where they should be, or says nothing of its classes.
    """
    path = find_yaml(folder)
    yaml = read_yaml(path) if path else None
    names = yaml.names if yaml else _names_from_text(folder)
    data = DataFolder(folder)
    splits = {
        split: _YoloSplit(folder=data, place=data.require(place), names=names) for split, place in _places(data, yaml)
    }
    if not splits:
        raise UserError(
            f"{folder}: there are no pictures in images/train, train/images or images; put them there, or write "
            "'train: FOLDER' into data.yaml"
        )
    return [
        Labels(split=split, format="yolo", source=folder, images=one.images.path, read=one.read)
        for split, one in splits.items()
    ]


def _names_from_text(folder: Path) -> dict[int, str]:
    for path in (folder / "classes.txt", folder / "labels" / "classes.txt"):
        if path.is_file():
            return dict(enumerate(read_class_names(path)))
    raise UserError(
        f"{folder}: nothing names the classes of its YOLO labels; write {folder / 'data.yaml'} with a line such as "
        "'names: [cat, dog]', or classes.txt with one name a line"
    )


def _places(data: DataFolder, yaml: YoloYaml | None) -> Iterator[tuple[Split, Path]]:
    """The folder or list of pictures of each split."""
    if yaml and (yaml.train or yaml.val):
        given: dict[Split, str] = {"train": yaml.train, "val": yaml.val}
        yield from ((split, yaml.place(text, data)) for split, text in given.items() if text)
        return
    usual = {split: _usual_place(data.path, split) for split in SPLITS}
    if not any(usual.values()) and (data.path / "images").is_dir():
        usual["train"] = data.path / "images"
    yield from ((split, place) for split, place in usual.items() if place)


def _usual_place(folder: Path, split: Split) -> Path | None:
    places = (place for name in SPLIT_FOLDERS[split] for place in (folder / "images" / name, folder / name / "images"))
    return next((place for place in places if place.is_dir()), None)


@dataclass(frozen=True, kw_only=True)
class _YoloSplit:
    """The pictures of a split: all below a folder, or those that a list names."""

    folder: DataFolder
    place: Path
    names: Mapping[int, str]
    """By the numbers that the labels use."""

    @cached_property
    def images(self) -> DataFolder:
        """What the names of the pictures are relative to."""
        return self.folder if self.place.is_file() else DataFolder(self.place)

    def read(self, on_fault: OnFault) -> dict[str, object]:
        """The split as a COCO dictionary; the label of a class is its place in the order of the numbers."""
        content = Content(list(self.names.values()))
        pictures = self._pictures()
        for picture in pictures:
            try:
                self._add_picture(content, picture, on_fault)
            except ValueError as error:
                on_fault(picture, str(error))
        self._find_orphans(pictures, on_fault)
        return content.to_coco()

    def _pictures(self) -> list[Path]:
        if not self.place.is_file():
            return pictures_below(self.place)
        # A list names pictures from the data folder, or with ./ from its own.
        return [
            (self.place.parent if line.startswith("./") else self.folder.path) / line.replace("\\", "/")
            for line in read_list(self.place)
        ]

    def _add_picture(self, content: Content, picture: Path, on_fault: OnFault) -> None:
        label = self._label(picture)
        size = picture_size(picture)
        try:
            origin = self.folder.name(label)
            text = read_text(label) if label.exists() else ""
        except ValueError as error:
            on_fault(label, str(error))
            return  # a picture whose objects are unknown would teach that it has none
        content.add_picture(self.images.name(picture), size, self.folder.name(picture))
        places = {number: place for place, number in enumerate(self.names)}
        for number, line in enumerate(text.split("\n"), start=1):
            try:
                found = parse_line(line, size, places.keys()) if line.strip() else None
            except ValueError as error:
                on_fault(label, f"line {number}: {error}")
                continue
            if found:
                content.add_object(places[found.number], [found.outline.ravel().tolist()], f"{origin} line {number}")

    def _label(self, picture: Path) -> Path:
        """Where the labels of a picture are looked for."""
        parts = list(PurePosixPath(self.folder.name(picture)).parts)
        folders = [i for i, part in enumerate(parts[:-1]) if part == "images"]
        if folders:
            parts[folders[-1]] = "labels"
        return self.folder.path.joinpath(*parts).with_suffix(".txt")

    def _find_orphans(self, pictures: list[Path], on_fault: OnFault) -> None:
        """Labels without a picture: often that of a picture under another name, which would pass as one of nothing."""
        folder = self._label(self.place / "x").parent
        if self.place.is_file() or folder == self.place or not folder.is_dir():
            return
        stems = {picture.relative_to(self.place).with_suffix("") for picture in pictures}
        for path in walk(folder, (".txt",)):
            if path.relative_to(folder).with_suffix("") not in stems and path.name.lower() not in _NO_LABELS:
                on_fault(path, f"there is no picture of this name below {self.place}; add it, or remove the labels")
