"""Predictions as annotations: drafts that are corrected by hand and trained on."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from centermask.data.coco_entries import CocoObject
from centermask.data.coco_masks import Segmentation
from centermask.data.convert import check_empty, place_picture, plain_names, whole_folder
from centermask.data.formats.coco_writer import CocoWriter
from centermask.data.formats.corners import few_corners
from centermask.data.formats.cvat_writer import CvatWriter
from centermask.data.formats.labelme_writer import LabelmeWriter
from centermask.data.formats.writer import Labelled, Page, Target, Writer
from centermask.instances import Instances
from centermask.ops import mask_warp
from centermask.ops.mask_warp import Bitmap
from centermask.size import Size

DraftFormat = Literal["coco", "labelme", "cvat"]
WRITERS: Mapping[DraftFormat, Callable[[Target], Writer]] = {
    "coco": CocoWriter,
    "labelme": LabelmeWriter,
    "cvat": CvatWriter,
}


@contextmanager
def open_drafts(
    out: Path,
    format: DraftFormat,
    paths: Sequence[Path],
    class_names: tuple[str, ...],
    category_ids: tuple[int, ...] = (),
) -> Iterator[Callable[[Path, Instances], None]]:
    """A new folder of annotated pictures, which takes its place once the block is left; gives what adds a picture.

    COCO and labelme get polygons of few corners, whose masks differ a little (see ``few_corners``), and can be trained
    on as they are: the pictures are the training split. CVAT gets the masks themselves. Pictures are copied.

    Args:
        out: A folder that is empty or does not exist yet.
        format: ``coco``, ``labelme`` (a JSON file beside each picture), or ``cvat`` (CVAT for images 1.1).
        paths: All pictures that may be added; two of the same name get new ones.
        class_names: All classes, found or not.
        category_ids: COCO's id of each; 1 … C if empty.

    Raises:
        UserError: ``out`` holds something already, or cannot be written.
    """
    check_empty(out)
    names = dict(zip(paths, plain_names(_below_common(paths)), strict=True))
    ids = {path: number for number, path in enumerate(paths, start=1)}
    with whole_folder(out) as folder:
        writer = WRITERS[format](
            Target(folder=folder, class_names=class_names, category_ids=category_ids or _counted(class_names))
        )
        objects = 0

        def add(path: Path, found: Instances) -> None:
            nonlocal objects
            items = list(_objects(found, ids[path], objects, exact=format == "cvat"))
            objects += len(items)
            page = Page(split="train", id=ids[path], name=names[path], size=found.size, objects=items)
            place_picture(path, writer.place(page), link=False)
            writer.write(page)

        yield add
        writer.finish()


def _below_common(paths: Sequence[Path]) -> list[str]:
    """The paths from the deepest folder that holds them all."""
    whole = [Path(os.path.abspath(path)) for path in paths]
    common = os.path.commonpath([path.parent for path in whole]) if whole else ""
    return [path.relative_to(common).as_posix() for path in whole]


def _counted(class_names: Sequence[str]) -> tuple[int, ...]:
    return tuple(range(1, len(class_names) + 1))


def _objects(found: Instances, image_id: int, before: int, *, exact: bool) -> Iterator[Labelled]:
    """The objects of a picture that have pixels; ids go on from ``before``."""
    bitmaps = [mask_warp.from_rle(code) for code in found.rle]
    seen = [i for i, bitmap in enumerate(bitmaps) if bitmap.pixels.any()]
    for number, i in enumerate(seen, start=before + 1):
        left, top, right, bottom = mask_warp.bounds(bitmaps[i])
        item = CocoObject(
            id=number,
            image_id=image_id,
            label=int(found.labels[i]),
            is_crowd=False,
            segmentation=_segmentation(bitmaps[i], found.rle[i]["counts"], found.size, exact=exact),
            area=float(np.count_nonzero(bitmaps[i].pixels)),
            box=(float(left), float(top), float(right - left), float(bottom - top)),
        )
        yield Labelled(item.label, item)


def _segmentation(bitmap: Bitmap, counts: str, size: Size, *, exact: bool) -> Segmentation:
    return counts if exact else few_corners(bitmap, size)
