"""Writes instance PNGs as Pascal VOC has them, with ``labels.txt`` beside them."""

from pathlib import Path

import numpy as np

from centermask.data.coco_masks import code
from centermask.data.formats.index_pixels import Indices, encode_indices, paint
from centermask.data.formats.index_png import CLASSES, CLASSES_FILE, LISTS, OBJECTS, PICTURES
from centermask.data.formats.labels import Split
from centermask.data.formats.writer import Page, Target, countable, text_file, told
from centermask.errors import UserError
from centermask.ops.mask_warp import from_rle

_MOST = 65534
"""Numbers of 16 bits, but for background and what nobody knows."""


class IndexPngWriter:
    """Each pixel goes to one object: of those that overlap, to the smallest."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stems: dict[Split, list[str]] = {}
        self._crowds = self._hidden = self._undrawn = self._pixels = 0

    def place(self, page: Page) -> Path:
        return self._target.folder / PICTURES / page.name

    def write(self, page: Page) -> int:
        objects = countable(page)
        self._crowds += len(page.objects) - len(objects)
        self._stems.setdefault(page.split, []).append(page.stem)
        if len(objects) > _MOST:
            raise UserError(
                f"{page.name}: it has {len(objects)} objects, an index PNG holds {_MOST}; choose YOLO or COCO"
            )
        masks = [from_rle(code(one.item.segmentation, page.size)) for one in objects]
        numbers = paint(masks, range(1, len(masks) + 1), page.size)
        seen = self._count([int(mask.pixels.sum()) for mask in masks], numbers)
        classes = np.array([0, *(one.label + 1 for one in objects)], dtype=np.uint16)[numbers]
        self._save(OBJECTS, page, encode_indices(numbers, largest=len(masks)))
        self._save(CLASSES, page, encode_indices(classes, largest=len(self._target.class_names)))
        return seen

    def _count(self, areas: list[int], numbers: Indices) -> int:
        """Count what is lost; gives how many objects keep a pixel."""
        left = np.bincount(numbers.ravel(), minlength=len(areas) + 1)[1:]
        drawn = np.array(areas, dtype=np.int64)
        self._undrawn += int((drawn == 0).sum())
        self._hidden += int(((left == 0) & (drawn > 0)).sum())
        self._pixels += int((drawn - left).sum())
        return int((left > 0).sum())

    def _save(self, folder: str, page: Page, content: bytes) -> None:
        path = self._target.folder / folder / f"{page.stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def finish(self) -> list[str]:
        for split, stems in self._stems.items():
            text_file(self._target.folder / LISTS / f"{split}.txt", "".join(f"{stem}\n" for stem in stems))
        lines = ["_background_", *self._target.class_names]  # the number of a class is its line, counted from 0
        text_file(self._target.folder / CLASSES_FILE, "".join(f"{line}\n" for line in lines))
        return [
            *told(self._crowds, "crowd region", "left out: an index PNG has only single objects"),
            *told(self._pixels, "pixel", "lost where objects overlap: an index PNG has one number a pixel"),
            *told(self._hidden, "object", "lost: wholly covered by smaller ones"),
            *told(self._undrawn, "object", "lost: smaller than a pixel"),
        ]
