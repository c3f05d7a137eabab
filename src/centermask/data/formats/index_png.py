"""Instance masks as one PNG a picture, whose pixels are the numbers of the objects.

As Pascal VOC has it: ``JPEGImages``, ``SegmentationObject`` (0 for background, 255 for what nobody knows, or 65535 in a
PNG of 16 bits; every other number is an object), ``SegmentationClass`` (the class of each pixel in the same way) and
the lists ``ImageSets/Segmentation/{train,val}.txt``. Or in the simplest way, with one class: ``images`` and ``masks``,
where every number but 0 is an object. A class's number is its line in ``labels.txt``, counted from 1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from centermask.data.coco_masks import show
from centermask.data.formats.content import Content
from centermask.data.formats.files import (
    DataFolder,
    picture_size,
    pictures_below,
    read_class_names,
    read_list,
    walk,
)
from centermask.data.formats.index_pixels import Indices, common_classes, read_indices, split_indices, void
from centermask.data.formats.labels import SPLIT_FOLDERS, SPLITS, Labels, OnFault, Split
from centermask.errors import UserError
from centermask.size import Size

PICTURES, OBJECTS, CLASSES = "JPEGImages", "SegmentationObject", "SegmentationClass"
LISTS = "ImageSets/Segmentation"
CLASSES_FILE = "labels.txt"

_VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


class _Item(NamedTuple):
    """A picture with its masks."""

    picture: Path
    objects: Path
    classes: Path | None


def has_index_png(folder: Path) -> bool:
    """Whether a folder holds index masks: PNGs in ``SegmentationObject``, or in ``masks``."""
    parents = [folder, *(folder / name for names in SPLIT_FOLDERS.values() for name in names)]
    places = [folder / OBJECTS, *(parent / "masks" for parent in parents)]
    return any(next(walk(place, (".png",)), None) for place in places)


def index_png_labels(folder: Path) -> list[Labels]:
    """The splits of a folder, training first.

    Raises:
        UserError: it has masks but no pictures where they should be.
    """
    data = DataFolder(folder)
    found = _voc_splits(data) if (folder / OBJECTS).is_dir() else _simple_splits(data)
    return [
        Labels(split=split, format="png", source=folder, images=one.pictures, read=one.read) for split, one in found
    ]


def _voc_splits(data: DataFolder) -> Iterator[tuple[Split, "_PngSplit"]]:
    pictures = data.require(_existing(data.path / PICTURES))
    names = _ClassNames(data)
    lists = {split: data.require(path) for split in SPLITS if (path := data.path / LISTS / f"{split}.txt").is_file()}
    for split in lists or SPLITS[:1]:
        items = partial(_voc_items, data.path, lists.get(split))
        yield split, _PngSplit(data=data, pictures=pictures, names=names, items=items, has_void=True)


def _simple_splits(data: DataFolder) -> Iterator[tuple[Split, "_PngSplit"]]:
    names = _ClassNames(data)
    places = {split: place for split in SPLITS if (place := _simple_place(data.path, split))}
    for split, place in (places or {SPLITS[0]: (data.path / "images", data.path / "masks")}).items():
        pictures, masks = (data.require(_existing(path)) for path in place)
        items = partial(_simple_items, pictures, masks)
        yield split, _PngSplit(data=data, pictures=pictures, names=names, items=items, has_void=False)


def _simple_place(folder: Path, split: Split) -> tuple[Path, Path] | None:
    """The folders of pictures and masks of a split."""
    beside = [(folder / "images" / name, folder / "masks" / name) for name in SPLIT_FOLDERS[split]]
    inside = [(folder / name / "images", folder / name / "masks") for name in SPLIT_FOLDERS[split]]
    return next(((pictures, masks) for pictures, masks in beside + inside if masks.is_dir()), None)


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise UserError(f"{folder}: there are masks, but not this folder of pictures; put the pictures there")
    return folder


def _voc_items(folder: Path, listed: Path | None, on_fault: OnFault) -> Iterator[_Item]:
    """The pictures of a list, or all that have a mask; those without are not annotated."""
    pictures = {_stem(path, folder / PICTURES): path for path in pictures_below(folder / PICTURES)}
    masked = (_stem(path, folder / OBJECTS) for path in walk(folder / OBJECTS, (".png",)))
    for stem in read_list(listed) if listed else masked:
        if stem in pictures:
            classes = folder / CLASSES / f"{stem}.png" if (folder / CLASSES).is_dir() else None
            yield _Item(pictures[stem], folder / OBJECTS / f"{stem}.png", classes)
        else:
            on_fault(listed or folder / OBJECTS, f"there is no picture {show(stem)} in {PICTURES}")


def _simple_items(pictures: Path, masks: Path, on_fault: OnFault) -> Iterator[_Item]:
    """All pictures; a picture without a mask and a mask without a picture are faults, most often a name mistyped."""
    stems = set()
    for path in pictures_below(pictures):
        stems.add(_stem(path, pictures))
        yield _Item(path, masks / f"{_stem(path, pictures)}.png", None)
    for path in walk(masks, (".png",)):
        if _stem(path, masks) not in stems:
            on_fault(path, f"there is no picture of this name below {pictures}; add it, or remove the mask")


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


@dataclass(frozen=True)
class _ClassNames:
    """The classes of a data set."""

    data: DataFolder

    @cached_property
    def all(self) -> tuple[str, ...]:
        """The name of each number from 1: of ``labels.txt``, Pascal VOC's own, or else made from the numbers there are.

        Raises:
            UserError: there are several, but no masks of classes.
        """
        folder = self.data.path
        path = next((folder / name for name in (CLASSES_FILE, "classes.txt") if (folder / name).is_file()), None)
        names = tuple(read_class_names(path)) if path else ()
        if (folder / CLASSES).is_dir():
            return names or (_VOC_CLASSES if (folder / "Annotations").is_dir() else self._numbered())
        if len(names) > 1:
            raise UserError(
                f"{path}: it names several classes, but no folder {CLASSES} tells them apart; keep one name"
            )
        return names or ("object",)

    def _numbered(self) -> tuple[str, ...]:
        """For this, every mask is read once more."""
        largest = 1
        for path in walk(self.data.path / CLASSES, (".png",)):
            try:
                classes = read_indices(path, picture_size(path))
            except ValueError:  # told when the picture's own turn comes
                continue
            largest = max(largest, int(classes[classes != void(classes)].max(initial=0)))
        return tuple(f"class {number}" for number in range(1, largest + 1))


@dataclass(frozen=True, kw_only=True)
class _PngSplit:
    """Pictures with their masks."""

    data: DataFolder
    pictures: Path
    """The folder they lie in."""
    names: _ClassNames
    items: Callable[[OnFault], Iterator[_Item]]
    has_void: bool

    def read(self, on_fault: OnFault) -> dict[str, object]:
        """The split as a COCO dictionary."""
        content = Content(self.names.all)
        for item in self.items(on_fault):
            try:
                name = DataFolder(self.pictures).name(item.picture)
                size = picture_size(item.picture)
            except ValueError as error:
                on_fault(item.picture, str(error))
                continue
            objects = self._read(item.objects, size, on_fault)
            classes = self._read(item.classes, size, on_fault) if item.classes else None
            if objects is not None and (classes is not None or not item.classes):
                content.add_picture(name, size, self.data.name(item.objects))
                self._add_objects(content, item, objects, classes, on_fault)
        return content.to_coco()

    def _read(self, path: Path, size: Size, on_fault: OnFault) -> Indices | None:
        try:
            self.data.name(path)
            return read_indices(path, size)
        except ValueError as error:
            on_fault(path, str(error))
            return None

    def _add_objects(
        self, content: Content, item: _Item, objects: Indices, classes: Indices | None, on_fault: OnFault
    ) -> None:
        origin = self.data.name(item.objects)
        numbers = common_classes(objects, classes) if classes is not None else {}
        for found in split_indices(objects, nothing=(0, void(objects)) if self.has_void else (0,)):
            number = numbers.get(found.number) if classes is not None else 1
            if number is not None and number <= len(self.names.all):
                content.add_object(number - 1, found.code, f"{origin} object {found.number}")
            else:
                known = "has no class" if number is None else f"has the class {number} of {len(self.names.all)}"
                on_fault(item.classes or item.objects, f"object {found.number} {known}")
