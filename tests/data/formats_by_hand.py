"""Small data sets in every format, written by hand, and what they must read as."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from centermask.data.coco import CocoSet
from centermask.data.coco_masks import code
from centermask.data.sources import DataSplit
from centermask.ops.mask_warp import Bitmap, from_rle, to_rle
from centermask.size import Size

SIZE = Size(20, 30)


def picture(path: Path, size: Size = SIZE, **options: Any) -> Path:
    """A grey picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size.width, size.height), "grey").save(path, **options)
    return path


def text(path: Path, content: str) -> Path:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def indices(path: Path, values: np.ndarray) -> Path:
    """A PNG of numbers, 8 or 16 bits by the dtype."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def shape(label: str, points: list[list[float]], shape_type: str = "polygon", **more: Any) -> dict[str, Any]:
    """A shape of labelme."""
    return {"label": label, "points": points, "group_id": None, "shape_type": shape_type, "flags": {}, **more}


def labelme_file(path: Path, *shapes: dict[str, Any], image: str = "a.jpg", size: Size | None = SIZE) -> Path:
    """A file of labelme."""
    sides = {"imageHeight": size.height, "imageWidth": size.width} if size else {}
    return text(
        path, json.dumps({"version": "5.5.0", "shapes": shapes, "imagePath": image, "imageData": None, **sides})
    )


def ring() -> Bitmap:
    """A square with a hole."""
    pixels = np.ones((7, 7), dtype=bool)
    pixels[2:5, 2:5] = False
    return Bitmap(pixels, 3, 4)


def pieces() -> Bitmap:
    """Three parts, of which two touch at a corner."""
    pixels = np.zeros((8, 12), dtype=bool)
    pixels[0:3, 0:3] = pixels[3:5, 3:6] = pixels[6:8, 9:12] = True
    return Bitmap(pixels, 15, 10)


def coco_folder(folder: Path, splits: Sequence[str] = ("train",), names: Sequence[str] = ("cat", "dog")) -> Path:
    """A COCO set: a picture with a polygon, a polygon of two parts, a ring and pieces, and one picture of nothing."""
    for split in splits:
        for name in ("a.jpg", "b.png"):
            picture(folder / split / name)
        segmentations: list[Any] = [
            [[12.5, 1.0, 20.25, 1.5, 16.0, 8.75]],
            [[1, 12, 5, 12, 5, 16, 1, 16], [7, 12, 11, 12, 11, 16, 7, 16]],
            to_rle(ring(), SIZE),
            to_rle(pieces(), SIZE),
        ]
        content = {
            "images": [
                {"id": i, "file_name": name, "height": SIZE.height, "width": SIZE.width}
                for i, name in ((7, "a.jpg"), (9, "b.png"))
            ],
            "annotations": [
                {"id": i, "image_id": 7, "category_id": (3, 8)[i % 2], "segmentation": value, "iscrowd": 0}
                for i, value in enumerate(segmentations, start=1)
            ],
            "categories": [{"id": 3, "name": names[0]}, {"id": 8, "name": names[1]}],
        }
        text(folder / "annotations" / f"pets_{split}.json", json.dumps(content))
    return folder


def bitmaps(split: DataSplit, name: str = "train") -> dict[str, list[tuple[str, Bitmap]]]:
    """For each picture (by its stem) the class and the pixels of each object."""
    one = {"train": split.train, "val": split.val}[name]
    assert isinstance(one, CocoSet)
    return {
        Path(record.file_name).stem: [
            (one.class_names[item.label], from_rle(code(item.segmentation, record.size))) for item in objects
        ]
        for record, objects in zip(one.records, one.objects, strict=True)
    }


def codes(split: DataSplit, name: str = "train") -> dict[str, list[tuple[str, str]]]:
    """The same as run-length counts, which are equal if the pixels are."""
    one = {"train": split.train, "val": split.val}[name]
    assert isinstance(one, CocoSet)
    return {
        Path(record.file_name).stem: [
            (one.class_names[item.label], code(item.segmentation, record.size)["counts"]) for item in objects
        ]
        for record, objects in zip(one.records, one.objects, strict=True)
    }
