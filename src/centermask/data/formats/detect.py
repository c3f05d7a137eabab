"""Which format lies in a folder."""

from collections.abc import Callable
from pathlib import Path

from centermask.data.folder import find_splits, has_coco
from centermask.data.formats.coco_layout import coco_labels
from centermask.data.formats.index_png import has_index_png, index_png_labels
from centermask.data.formats.labelme import has_labelme, labelme_labels
from centermask.data.formats.labels import TITLES, Format, Labels
from centermask.data.formats.yolo import has_yolo, yolo_labels
from centermask.errors import UserError

_SIGNS: dict[Format, Callable[[Path], bool]] = {
    "coco": has_coco,
    "yolo": has_yolo,
    "labelme": has_labelme,
    "png": has_index_png,
}


def detect_format(folder: Path) -> Format:
    """The one format whose labels lie in a folder.

    Raises:
        UserError: there is none, or more than one; the message says how to choose.
    """
    found = [format for format, holds in _SIGNS.items() if holds(folder)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"{folder}: it has no annotations that are known: no annotations/NAME_train.json (COCO), no data.yaml or "
            "labels/*.txt (YOLO-seg), no *.json beside the pictures (labelme), no masks/*.png or SegmentationObject "
            "(instance PNGs); put them there, or name COCO files one by one"
        )
    raise UserError(
        f"{folder}: it holds {' and '.join(TITLES[format] for format in found)}; choose one: "
        + " or ".join(f"{format}:{folder}" for format in found)
    )


def choose_format(data: str) -> tuple[Format | None, str]:
    """Part ``FORMAT:FOLDER``; a folder that exists with such a name is taken whole."""
    head, _, rest = data.partition(":")
    known = next((format for format in _SIGNS if format == head), None)
    if not known or not rest or Path(data).is_dir():
        return None, data
    return known, rest


def find_labels(format: Format, data: str) -> list[Labels]:
    """The splits of ``FOLDER`` (``FOLDER:NAME`` for COCO), training first.

    Raises:
        UserError: the folder does not exist, or not as this format needs it.
    """
    if format == "coco":
        return coco_labels(find_splits(data))
    folder = Path(data)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; give one that holds {TITLES[format]} labels")
    match format:
        case "yolo":
            return yolo_labels(folder)
        case "labelme":
            return labelme_labels(folder)
        case "png":
            return index_png_labels(folder)
