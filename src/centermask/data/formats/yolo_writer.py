"""Writes YOLO-seg: ``images/SPLIT`` with the pictures, ``labels/SPLIT`` and ``data.yaml``."""

from pathlib import Path

from centermask.data.coco_masks import parse_segmentation
from centermask.data.formats.labels import SPLITS
from centermask.data.formats.outline import Ring, one_outline
from centermask.data.formats.writer import Labelled, Page, Target, countable, text_file, told
from centermask.data.formats.yolo_line import YoloObject, format_line, parse_line
from centermask.data.formats.yolo_yaml import format_yaml


class YoloWriter:
    """Every object becomes one line that draws its pixels exactly; see ``one_outline``."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._crowds = 0
        self._unseen = 0
        self._too_ragged = 0

    def place(self, page: Page) -> Path:
        return self._target.folder / "images" / page.split / page.name

    def write(self, page: Page) -> int:
        objects = countable(page)
        outlines = [(one, one_outline(one.item.segmentation, page.size)) for one in objects]
        seen = [(one, outline) for one, outline in outlines if len(outline)]
        lines = [line for one, outline in seen if (line := self._line(one, outline, page))]
        self._crowds += len(page.objects) - len(objects)
        self._unseen += len(objects) - len(seen)
        self._too_ragged += len(seen) - len(lines)
        text_file(self._target.folder / "labels" / page.split / f"{page.stem}.txt", "".join(f"{x}\n" for x in lines))
        return len(lines)

    def _line(self, one: Labelled, outline: Ring, page: Page) -> str | None:
        """The line of an object, or none if its outline is longer than the reader takes."""
        line = format_line(YoloObject(one.label, outline), page.size)
        try:
            again = parse_line(line, page.size, range(len(self._target.class_names))).outline
            parse_segmentation([again.ravel().tolist()], page.size)
        except ValueError:
            return None
        return line

    def finish(self) -> list[str]:
        images = self._target.folder / "images"
        places = {str(split): f"images/{split}" for split in SPLITS if (images / split).is_dir()}
        text_file(self._target.folder / "data.yaml", format_yaml(dict(enumerate(self._target.class_names)), places))
        return [
            *told(self._crowds, "crowd region", "left out: YOLO has only single objects"),
            *told(self._unseen, "object", "left out: no pixel of the picture is drawn"),
            *told(self._too_ragged, "object", "left out: the outline is too ragged for one polygon"),
        ]
