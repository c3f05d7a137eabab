"""The door of the metric: a COCO truth and COCO results, checked, and the rows that faster-coco-eval reads.

The rows are copies, because faster-coco-eval writes its own fields into what it is given. Masks stay run-length coded.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask

from centermask.errors import UserError
from centermask.ops import rle as rles
from centermask.ops.mask_warp import Polygons, to_rle
from centermask.ops.rle import RLE
from centermask.size import Size

Row = dict[str, Any]
"""A true or found object with COCO's keys: id, image_id, category_id, bbox (xywh, pixels), area, iscrowd, ..."""


class Truth(NamedTuple):
    """A checked COCO truth."""

    sizes: dict[int, Size]
    """Of each picture, by image id."""
    class_names: dict[int, str]
    """By category id, ascending; no name stands twice."""
    objects: list[Row]
    """Numbered from one: to faster-coco-eval the id 0 means "unmatched"."""


class Found(NamedTuple):
    """A checked COCO result."""

    image_id: int
    category_id: int
    bbox: list[float]
    """xywh, pixels of the picture."""
    score: float
    box_score: float
    mask: RLE


def read_truth(truth: Mapping[str, Any]) -> Truth:
    """Check a COCO annotation dict; an area, a box or a crowd flag that it lacks is filled in.

    Raises:
        UserError: a list is missing, or an annotation's picture, category or mask is missing, unknown or broken.
    """
    missing = {"images", "annotations", "categories"} - set(truth)
    if missing:
        raise UserError(f"the annotation file has no {' and no '.join(sorted(missing))}; expected COCO's format")
    sizes = {image["id"]: Size(image["height"], image["width"]) for image in truth["images"]}
    class_names = _class_names(truth["categories"])
    known = Truth(sizes, class_names, [])
    objects = [_true_row(annotation, number, known) for number, annotation in enumerate(truth["annotations"], start=1)]
    return known._replace(objects=objects)


def _class_names(categories: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Names by id, ascending; names that several categories share are told apart by the id."""
    names = [category["name"] for category in categories]
    return {
        category["id"]: category["name"]
        if names.count(category["name"]) == 1
        else f"{category['name']} ({category['id']})"
        for category in sorted(categories, key=lambda category: int(category["id"]))
    }


def _true_row(annotation: Mapping[str, Any], number: int, truth: Truth) -> Row:
    place = f"annotation {annotation.get('id', f'no. {number}')}"
    code = _mask(annotation, _size(annotation, truth, place), place)
    return {
        "id": number,
        "image_id": annotation["image_id"],
        "category_id": annotation["category_id"],
        "iscrowd": int(annotation.get("iscrowd", 0)),
        "area": annotation["area"] if "area" in annotation else rles.area(code),
        "bbox": list(annotation["bbox"] if "bbox" in annotation else coco_mask.toBbox(code)),
        "segmentation": code,
    }


def read_predictions(predictions: Sequence[Mapping[str, Any]], truth: Truth) -> list[Found]:
    """Check COCO results against the truth they will be measured with.

    Raises:
        UserError: a prediction's picture, category, box, score or mask is missing, unknown or broken.
    """
    return [_found(prediction, f"prediction no. {n}", truth) for n, prediction in enumerate(predictions, start=1)]


def _found(prediction: Mapping[str, Any], place: str, truth: Truth) -> Found:
    size = _size(prediction, truth, place)
    score = prediction.get("score")
    numbers = [*prediction.get("bbox", ()), score, prediction.get("box_score", score)]
    if len(numbers) != 6 or not all(isinstance(n, (int, float, np.number)) and math.isfinite(n) for n in numbers):
        raise UserError(
            f"{place}: expected a bbox of four numbers, a score and perhaps a box_score, all of them finite"
        )
    *bbox, score, box_score = (float(n) for n in numbers)
    return Found(
        prediction["image_id"], prediction["category_id"], bbox, score, box_score, _mask(prediction, size, place)
    )


def box_rows(found: Iterable[Found]) -> list[Row]:
    """Results as boxes, ranked by box score."""
    return [
        {
            "id": number,
            "image_id": result.image_id,
            "category_id": result.category_id,
            "iscrowd": 0,
            "score": result.box_score,
            "area": result.bbox[2] * result.bbox[3],
            "bbox": result.bbox,
        }
        for number, result in enumerate(found, start=1)
    ]


def mask_rows(found: Iterable[Found]) -> list[Row]:
    """Results as masks, ranked by score.

    The area, which decides whether an unmatched result counts among small, medium or large, is the mask's. pycocotools
    takes the box's for results that have a ``bbox``: to compare with it, leave ``bbox`` out of the results given to it.
    """
    return [
        {
            "id": number,
            "image_id": result.image_id,
            "category_id": result.category_id,
            "iscrowd": 0,
            "score": result.score,
            "area": coco_mask.area(result.mask),
            "bbox": result.bbox,
            "segmentation": result.mask,
        }
        for number, result in enumerate(found, start=1)
    ]


def _size(row: Mapping[str, Any], truth: Truth, place: str) -> Size:
    """The size of a row's picture, once its picture and its category are known."""
    image_id, category_id = row.get("image_id"), row.get("category_id")
    if image_id not in truth.sizes:
        raise UserError(f"{place}: the set has no image with id {image_id!r}; is this the right annotation file?")
    if category_id not in truth.class_names:
        known = ", ".join(f"{key} ({name})" for key, name in truth.class_names.items())
        raise UserError(f"{place}: the set has no category with id {category_id!r}; it has {known}")
    return truth.sizes[image_id]


def _mask(row: Mapping[str, Any], size: Size, place: str) -> RLE:
    """A row's mask, given as polygons or as a run-length code that fills a picture of ``size``."""
    try:
        match row.get("segmentation"):
            case list(polygons):
                parts = (np.reshape(np.array(part, dtype=float), (-1, 2)) for part in polygons)
                return to_rle(Polygons(tuple(part for part in parts if len(part) >= 3)), size)
            case {"size": [height, width], "counts": str() | bytes() | list() as counts}:
                return _code(counts, Size(height, width), size)
            case _:
                raise ValueError("expected polygons, or a run-length code with size and counts")
    except ValueError as error:
        raise UserError(f"{place}: its segmentation cannot be read: {error}") from None


def _code(counts: str | bytes | list[int], size: Size, expected: Size) -> RLE:
    """A checked run-length code; its counts come as COCO's string, as its bytes, or as plain runs."""
    if size != expected:
        raise ValueError(
            f"its size is [{size.height}, {size.width}], its image's [{expected.height}, {expected.width}]"
        )
    if isinstance(counts, list):
        runs = np.array(counts, dtype=np.int64)
        rles.check_runs(runs, size)
        return rles.compress(runs, size)
    code = RLE(size=list(size), counts=counts if isinstance(counts, str) else counts.decode("ascii"))
    rles.runs_of(code)
    return code
