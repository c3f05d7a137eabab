"""Writes "CVAT for images 1.1": ``annotations.xml``, and the pictures in ``images/``.

CVAT takes the XML file for a task with pictures of these names. A mask stands there as runs along the rows of its box,
background first.
"""

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from jaxtyping import Bool

from centermask.data.coco_masks import code
from centermask.data.formats.writer import Page, Target, countable, text_file, told
from centermask.ops.mask_warp import from_rle


class CvatWriter:
    """Every object becomes a mask, for a polygon of CVAT's knows no holes."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._root = Element("annotations")
        SubElement(self._root, "version").text = "1.1"
        labels = SubElement(SubElement(SubElement(self._root, "meta"), "task"), "labels")
        for name in target.class_names:
            SubElement(SubElement(labels, "label"), "name").text = name
        self._pictures = self._crowds = 0

    def place(self, page: Page) -> Path:
        return self._target.folder / "images" / page.name

    def write(self, page: Page) -> int:
        size = {"width": str(page.size.width), "height": str(page.size.height)}
        image = SubElement(self._root, "image", {"id": str(self._pictures), "name": page.name, **size})
        self._pictures += 1
        objects = countable(page)
        self._crowds += len(page.objects) - len(objects)
        for label, item in objects:
            pixels, left, top = from_rle(code(item.segmentation, page.size))
            place = {"left": left, "top": top, "width": pixels.shape[1], "height": pixels.shape[0]}
            runs = ", ".join(map(str, row_runs(pixels)))
            SubElement(image, "mask", {
                "label": self._target.class_names[label], "source": "auto", "occluded": "0", "rle": runs,
                **{name: str(value) for name, value in place.items()}, "z_order": "0",
            })  # fmt: skip
        return len(objects)

    def finish(self) -> list[str]:
        indent(self._root)
        xml = tostring(self._root, encoding="unicode")
        text_file(self._target.folder / "annotations.xml", f'<?xml version="1.0" encoding="utf-8"?>\n{xml}\n')
        return told(self._crowds, "crowd region", "left out: CVAT has only single objects")


def row_runs(pixels: Bool[np.ndarray, "height width"]) -> list[int]:
    """The runs of a bitmap along its rows, background first.

    >>> row_runs(np.array([[True, True, False], [False, True, True]]))
    [0, 2, 2, 2]
    """
    flat = np.concatenate([[False], pixels.ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs: list[int] = np.diff(np.concatenate([[0], edges, [pixels.size]])).tolist()
    return runs
