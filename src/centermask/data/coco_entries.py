"""The door of a COCO file: one entry, JSON of any shape, becomes a checked noun or a sentence that says what is wrong.

Every ``parse_*`` takes whatever JSON may hold and raises nothing but ``ValueError``, whose message is a clause such as
"width is -3, expected a whole number from 1 to ...".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from centermask.data.coco_masks import Segmentation, floats, parse_segmentation, pixel_area, show, visible_box
from centermask.images import MAX_PIXELS
from centermask.size import Size

MAX_ID = 2**53 - 1
"""Up to here every JSON reader and every evaluator keeps whole numbers exact."""

Entry = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """A class, by the number that the file gives it (any, with gaps) and its name."""

    id: int
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoImage:
    """A picture of the set; ``size`` is what the file says."""

    id: int
    file_name: str
    folder: Path
    """In which ``file_name`` is looked up; shared by all, because a path of each would weigh more than the rest."""
    size: Size

    @property
    def path(self) -> Path:
        """Where the picture lies."""
        return self.folder / self.file_name


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CocoObject:
    """One annotated object, or a crowd: a region of many that nobody counted."""

    id: int
    image_id: int
    label: int
    """0 … C−1."""
    is_crowd: bool
    segmentation: Segmentation
    area: float
    """Square pixels."""
    box: tuple[float, float, float, float]
    """COCO's own order: left, top, width, height in pixels."""


def parse_category(entry: object) -> Category:
    """A class."""
    table = _table(entry)
    return Category(id=_whole(table, "id", 0, MAX_ID), name=_text(table, "name"))


def parse_image(entry: object, folder: Path) -> CocoImage:
    """A picture, whose file lies under ``folder``; whether it exists is not looked at."""
    table = _table(entry)
    size = Size(_whole(table, "height", 1, MAX_PIXELS), _whole(table, "width", 1, MAX_PIXELS))
    if size.height * size.width > MAX_PIXELS:
        raise ValueError(f"height × width is {size.height} × {size.width}, expected at most {MAX_PIXELS} pixels")
    name = _text(table, "file_name")
    _check_inside(name)
    return CocoImage(id=_whole(table, "id", 0, MAX_ID), file_name=name, folder=folder, size=size)


def parse_object(entry: object, images: Mapping[int, CocoImage], labels: Mapping[int, int]) -> CocoObject:
    """An object of one of ``images`` (by id); ``labels`` says the label of each category id.

    A box or an area that is missing or senseless is made anew from the mask.
    """
    table = _table(entry)
    identity = _whole(table, "id", 0, MAX_ID)
    image = images.get(_whole(table, "image_id", 0, MAX_ID))
    if image is None:
        raise ValueError(f"image_id is {table['image_id']}, which is no usable picture of this file")
    label = labels.get(_whole(table, "category_id", 0, MAX_ID))
    if label is None:
        raise ValueError(f"category_id is {table['category_id']}, which is no category of this file")
    segmentation = parse_segmentation(table.get("segmentation"), image.size)
    return CocoObject(
        id=identity,
        image_id=image.id,
        label=label,
        is_crowd=_is_crowd(table),
        segmentation=segmentation,
        area=_given_area(table.get("area")) or pixel_area(segmentation, image.size),
        box=_given_box(table.get("bbox"), image.size) or visible_box(segmentation, image.size),
    )


def _is_crowd(table: Entry) -> bool:
    value = table.get("iscrowd", 0)
    if value not in (0, 1):
        raise ValueError(f"iscrowd is {show(value)}, expected 0 or 1")
    return bool(value)


def _given_area(value: object) -> float | None:
    if type(value) not in (int, float):
        return None
    number = float(floats([value])[0])
    return number if math.isfinite(number) and number > 0 else None


def _given_box(value: object, size: Size) -> tuple[float, float, float, float] | None:
    """The box as given, if it is one and reaches into the picture."""
    if not isinstance(value, list) or len(value) != 4 or not set(map(type, value)) <= {int, float}:
        return None
    left, top, width, height = floats(value).tolist()
    inside_width = min(left + width, size.width) - max(left, 0)
    inside_height = min(top + height, size.height) - max(top, 0)
    if not all(map(math.isfinite, (left, top, width, height))) or inside_width <= 0 or inside_height <= 0:
        return None
    return left, top, width, height


def _table(entry: object) -> Entry:
    if not isinstance(entry, dict):
        raise ValueError(f"it is {show(entry)}, expected an object with named values")
    return entry


def _whole(table: Entry, key: str, low: int, high: int) -> int:
    value = table.get(key)
    if type(value) is not int or not low <= value <= high:
        came = f"{key} is {show(value)}" if key in table else f"it has no {key}"
        raise ValueError(f"{came}, expected a whole number from {low} to {high}")
    return value


def _text(table: Entry, key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        came = f"{key} is {show(value)}" if key in table else f"it has no {key}"
        raise ValueError(f"{came}, expected a text of printable characters")
    return value


def _check_inside(name: str) -> None:
    """Refuse a file name that, on any system, leads out of the folder it is looked up in."""
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.anchor or ".." in path.parts:
            raise ValueError(f"file_name is {show(name)}, expected a path that stays inside the picture folder")
