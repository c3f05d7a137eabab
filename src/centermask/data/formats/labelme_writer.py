"""Writes labelme: a JSON file beside each picture in ``SPLIT``, and ``labels.txt`` with the classes."""

import json
from pathlib import Path

from centermask.data.formats.labelme import CLASSES_FILE, format_file
from centermask.data.formats.writer import Page, Target, countable, text_file, told


class LabelmeWriter:
    """Polygons stay polygons; what is a run-length code becomes a shape of the kind "mask" (labelme 5.3 and later)."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._crowds = 0

    def place(self, page: Page) -> Path:
        return self._target.folder / page.split / page.name

    def write(self, page: Page) -> int:
        objects = [(self._target.class_names[label], item.segmentation) for label, item in countable(page)]
        self._crowds += len(page.objects) - len(objects)
        content = format_file(page.name, page.size, objects)
        text_file(self.place(page).with_name(f"{page.stem}.json"), json.dumps(content, ensure_ascii=False, indent=2))
        return len(objects)

    def finish(self) -> list[str]:
        lines = ["__ignore__", "_background_", *self._target.class_names]  # as labelme's own tools expect
        text_file(self._target.folder / CLASSES_FILE, "".join(f"{line}\n" for line in lines))
        return told(self._crowds, "crowd region", "left out: labelme has only single objects")
