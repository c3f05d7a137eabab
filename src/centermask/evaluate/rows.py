"""The door of the metric: a COCO truth and COCO results, checked, as columns of numbers and one buffer of mask codes.

Nothing of the caller's is kept or changed, and a hundred objects take some 20 kB.
"""

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Bool, Float64, Int64

from centermask.errors import UserError
from centermask.evaluate.codes import BrokenCodeError, Codes, measure
from centermask.ops import rle as rles
from centermask.ops.mask_warp import Polygons, to_rle
from centermask.size import Size

UNKNOWN = float("nan")
"""An area or a box that an annotation lacks, until its mask is known to be whole."""


class Pictures(NamedTuple):
    """The pictures and classes of a truth; elsewhere they go by their places here."""

    ids: tuple[int, ...]
    """Ascending."""
    sizes: tuple[Size, ...]
    category_ids: tuple[int, ...]
    """Ascending."""
    class_names: tuple[str, ...]
    """No name stands twice."""


class Objects(NamedTuple):
    """True or found objects, in the order in which they were given."""

    pictures: Int64[np.ndarray, " objects"]
    """Places in ``Pictures.ids``."""
    labels: Int64[np.ndarray, " objects"]
    """Places in ``Pictures.class_names``."""
    boxes: Float64[np.ndarray, "objects 4"]
    """xywh, pixels of the picture."""
    areas: Float64[np.ndarray, " objects"]
    """Pixels: of what is found, those of its mask; of what is true, those that its annotation states."""
    codes: Codes


class Truth(NamedTuple):
    """A checked COCO truth."""

    known: Pictures
    objects: Objects
    crowds: Bool[np.ndarray, " objects"]

    def instances(self) -> Int64[np.ndarray, " classes"]:
        """True objects of each class that are not crowds."""
        return np.bincount(self.objects.labels[~self.crowds], minlength=len(self.known.class_names)).astype(np.int64)


class Found(NamedTuple):
    """Checked COCO results."""

    objects: Objects
    scores: Float64[np.ndarray, " objects"]
    """Masks are ranked by it."""
    box_scores: Float64[np.ndarray, " objects"]
    """Boxes are ranked by it."""


def read_truth(truth: Mapping[str, Any]) -> Truth:
    """Check a COCO annotation dict; an area, a box or a crowd flag that it lacks is filled in.

    Raises:
        UserError: a list is missing, or an annotation's picture, category or mask is missing, unknown or broken.
    """
    missing = {"images", "annotations", "categories"} - set(truth)
    if missing:
        raise UserError(f"the annotation file has no {' and no '.join(sorted(missing))}; expected COCO's format")
    columns = _Columns(_pictures(truth))
    crowds, areas = array("b"), array("d")
    annotations = truth["annotations"]
    for place, annotation in enumerate(annotations):
        try:
            columns.add(annotation, annotation.get("bbox", [UNKNOWN] * 4))
        except ValueError as error:
            raise UserError(f"{_annotation_name(annotations, place)}: {error}") from None
        crowds.append(bool(annotation.get("iscrowd", 0)))
        areas.append(annotation.get("area", UNKNOWN))
    objects = columns.objects(lambda place: _annotation_name(annotations, place))
    stated = np.array(areas, dtype=np.float64)
    filled = objects._replace(areas=np.where(np.isnan(stated), objects.areas, stated))
    return Truth(columns.known, _with_boxes(filled, columns.known), np.array(crowds, dtype=bool))


def _annotation_name(annotations: Sequence[Mapping[str, Any]], place: int) -> str:
    return f"annotation {annotations[place].get('id', f'no. {place + 1}')}"


def _with_boxes(objects: Objects, known: Pictures) -> Objects:
    """The same objects, unknown boxes taken from their masks."""
    boxes = objects.boxes.copy()
    for place in np.flatnonzero(np.isnan(boxes).any(axis=1)).tolist():
        size = known.sizes[objects.pictures[place]]
        boxes[place] = coco_mask.toBbox({"size": list(size), "counts": objects.codes[place]})
    return objects._replace(boxes=boxes)


def _pictures(truth: Mapping[str, Any]) -> Pictures:
    sizes = {image["id"]: Size(image["height"], image["width"]) for image in truth["images"]}
    class_names = _class_names(truth["categories"])
    ids = tuple(sorted(sizes))
    return Pictures(ids, tuple(sizes[key] for key in ids), tuple(class_names), tuple(class_names.values()))


def _class_names(categories: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Names by id, ascending; names that several categories share are told apart by the id."""
    names = [category["name"] for category in categories]
    return {
        category["id"]: category["name"]
        if names.count(category["name"]) == 1
        else f"{category['name']} ({category['id']})"
        for category in sorted(categories, key=lambda category: int(category["id"]))
    }


def read_predictions(predictions: Sequence[Mapping[str, Any]], known: Pictures) -> Found:
    """Check COCO results against the truth they will be measured with; without a box_score, the score stands for it.

    Raises:
        UserError: a prediction's picture, category, box, score or mask is missing, unknown or broken.
    """
    columns = _Columns(known)
    scores, box_scores = array("d"), array("d")
    for place, prediction in enumerate(predictions):
        try:
            *box, score, box_score = _numbers(prediction)
            columns.add(prediction, box)
        except ValueError as error:
            raise UserError(f"{_prediction_name(place)}: {error}") from None
        scores.append(score)
        box_scores.append(box_score)
    objects = columns.objects(_prediction_name)
    return Found(objects, np.array(scores, dtype=np.float64), np.array(box_scores, dtype=np.float64))


def _prediction_name(place: int) -> str:
    return f"prediction no. {place + 1}"


def _numbers(prediction: Mapping[str, Any]) -> list[float]:
    """Box, score and box score."""
    score = prediction.get("score")
    numbers = [*prediction.get("bbox", ()), score, prediction.get("box_score", score)]
    if len(numbers) != 6 or not all(isinstance(n, (int, float, np.number)) and math.isfinite(n) for n in numbers):
        raise ValueError("expected a bbox of four numbers, a score and perhaps a box_score, all of them finite")
    return [float(n) for n in numbers]


class _Columns:
    """Objects as they are read, in columns that grow."""

    def __init__(self, known: Pictures) -> None:
        self.known = known
        self.places: dict[Any, int] = {key: place for place, key in enumerate(known.ids)}
        self.classes: dict[Any, int] = {key: place for place, key in enumerate(known.category_ids)}
        self.pictures, self.labels, self.boxes = array("q"), array("q"), array("d")
        self.counts, self.ends = bytearray(), array("q")

    def add(self, row: Mapping[str, Any], box: Sequence[float | int]) -> None:
        """Append an object; its mask is looked into later, with many others.

        Raises:
            ValueError: its picture or its category is unknown, its box has not four numbers, or its mask is none.
        """
        picture, label = self.places.get(row.get("image_id")), self.classes.get(row.get("category_id"))
        if picture is None:
            image = f"no image with id {row.get('image_id')!r}"
            raise ValueError(f"the set has {image}; is this the right annotation file?")
        if label is None:
            pairs = zip(self.known.category_ids, self.known.class_names, strict=True)
            classes = ", ".join(f"{key} ({name})" for key, name in pairs)
            raise ValueError(f"the set has no category with id {row.get('category_id')!r}; it has {classes}")
        if len(box) != 4:
            raise ValueError(f"its bbox has {len(box)} numbers; expected four")
        try:
            self.counts += _counts(row.get("segmentation"), self.known.sizes[picture])
        except ValueError as error:
            raise ValueError(f"its segmentation cannot be read: {error}") from None
        self.pictures.append(picture)
        self.labels.append(label)
        self.boxes.extend(box)
        self.ends.append(len(self.counts))

    def objects(self, name: Callable[[int], str]) -> Objects:
        """All that was added, once every code is known to be whole; areas are those of the masks."""
        pictures = np.array(self.pictures, dtype=np.int64)
        codes = Codes(bytes(self.counts), np.array(self.ends, dtype=np.int64))
        try:
            areas = measure(codes, [self.known.sizes[picture] for picture in self.pictures])
        except BrokenCodeError as error:
            raise UserError(f"{name(error.place)}: its segmentation cannot be read: {error}") from None
        labels = np.array(self.labels, dtype=np.int64)
        return Objects(pictures, labels, np.array(self.boxes, dtype=np.float64).reshape(-1, 4), areas, codes)


def _counts(segmentation: object, size: Size) -> bytes:
    """COCO's compressed string of a mask given as polygons or as a run-length code that fills a picture of ``size``.

    A string is not looked into.
    """
    match segmentation:
        case {"size": [height, width], "counts": str() | bytes() | list() as counts}:
            if [height, width] != list(size):
                raise ValueError(f"its size is {[height, width]}, its image's {list(size)}")
            return counts if isinstance(counts, bytes) else _bytes(counts, size)
        case list(polygons):
            parts = (np.reshape(np.array(part, dtype=float), (-1, 2)) for part in polygons)
            return to_rle(Polygons(tuple(part for part in parts if len(part) >= 3)), size)["counts"].encode()
        case _:
            raise ValueError("expected polygons, or a run-length code with size and counts")


def _bytes(counts: str | list[int], size: Size) -> bytes:
    if isinstance(counts, str):
        return counts.encode("utf-8", "surrogatepass")
    runs = np.array(counts, dtype=np.int64)
    rles.check_runs(runs, size)
    return rles.compress(runs, size)["counts"].encode()
