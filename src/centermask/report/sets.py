"""A set that was evaluated, and what a report asks of it: its pictures, their true objects and what was predicted."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from centermask.data.sources import Evaluable
from centermask.errors import UserError
from centermask.evaluate import Analysis, Evaluation, analyse, evaluate_predictions
from centermask.images import Picture
from centermask.ops import rle as rles
from centermask.ops.mask_warp import Polygons, to_rle
from centermask.ops.rle import RLE
from centermask.size import Size

OPEN_PICTURES = 4
"""Decoded pictures that are kept for the next question."""


class Thing(NamedTuple):
    """A true or a predicted object of one picture."""

    category_id: int
    code: RLE
    """At the size of the picture."""
    score: float
    """Of a prediction; 1 for what is true."""


@dataclass(frozen=True, kw_only=True)
class EvaluatedSet:
    """A validation set with what was predicted on it and what came of it."""

    name: str
    dataset: Evaluable
    rows: Sequence[Mapping[str, Any]]
    """COCO results: image_id, category_id, bbox (xywh), score, box_score, segmentation (run-length code)."""
    evaluation: Evaluation
    analysis: Analysis


def count_set(name: str, dataset: Evaluable, rows: Sequence[Mapping[str, Any]], max_detections: int) -> EvaluatedSet:
    """What was predicted on a set, counted and analysed; the truth is made once for both.

    Raises:
        UserError: a prediction or an annotation is broken.
    """
    truth = dataset.truth()
    evaluation = evaluate_predictions(truth, rows, max_detections=max_detections)
    analysis = analyse(truth, rows, max_detections=max_detections)
    return EvaluatedSet(name=name, dataset=dataset, rows=rows, evaluation=evaluation, analysis=analysis)


class Album:
    """The pictures of an evaluated set; each is opened only when it is asked for.

    Args:
        evaluated: The set; its truth is read once.
    """

    def __init__(self, evaluated: EvaluatedSet) -> None:
        self.evaluated, self.dataset = evaluated, evaluated.dataset
        self.annotations: Sequence[Mapping[str, Any]] = evaluated.dataset.truth()["annotations"]
        self.places = {record.id: place for place, record in enumerate(evaluated.dataset.records)}
        self.names = dict(zip(evaluated.dataset.category_ids, evaluated.dataset.class_names, strict=True))
        self._opened: OrderedDict[int, Picture | None] = OrderedDict()

    @cached_property
    def own_annotations(self) -> Mapping[int, list[int]]:
        """Places in ``annotations``, by picture."""
        own: defaultdict[int, list[int]] = defaultdict(list)
        for place, annotation in enumerate(self.annotations):
            own[annotation["image_id"]].append(place)
        return own

    def size(self, image_id: int) -> Size:
        """Of a picture, without opening it."""
        return self.dataset.size(self.places[image_id])

    def caption(self, image_id: int) -> str:
        """The picture's file, as the set names it, and whether it cannot be read."""
        name = str(getattr(self.dataset.records[self.places[image_id]], "file_name", image_id))
        return name if self.picture(image_id) is not None else f"{name} (cannot be read)"

    def picture(self, image_id: int) -> Picture | None:
        """The pixels of a picture; nothing if it cannot be read."""
        if image_id not in self._opened:
            while len(self._opened) >= OPEN_PICTURES:
                self._opened.popitem(last=False)
            self._opened[image_id] = self._read(image_id)
        return self._opened[image_id]

    def _read(self, image_id: int) -> Picture | None:
        try:
            image = self.dataset[self.places[image_id]].image
        except (UserError, OSError, ValueError):
            return None
        return image if image.shape[:2] == self.size(image_id) else None

    def true_things(self, image_id: int, *, crowds: bool = False) -> list[Thing]:
        """The true objects of a picture, or its crowds."""
        size = self.size(image_id)
        own = (self.annotations[place] for place in self.own_annotations.get(image_id, ()))
        return [true_thing(one, size) for one in own if bool(one.get("iscrowd", 0)) == crowds]

    def predicted(self, image_ids: Iterable[int]) -> dict[int, list[Thing]]:
        """What was predicted on some pictures with a score that is shown, best first; one walk over all rows."""
        found: dict[int, list[Thing]] = {image_id: [] for image_id in image_ids}
        for row in self.evaluated.rows:
            if row["image_id"] in found and row["score"] >= self.evaluated.analysis.threshold:
                found[row["image_id"]].append(predicted_thing(row, self.size(row["image_id"])))
        return {image_id: sorted(things, key=lambda thing: -thing.score) for image_id, things in found.items()}


def true_thing(annotation: Mapping[str, Any], size: Size) -> Thing:
    """An annotation of a COCO truth."""
    return Thing(annotation["category_id"], code_of(annotation["segmentation"], size), 1.0)


def predicted_thing(row: Mapping[str, Any], size: Size) -> Thing:
    """A COCO result."""
    return Thing(row["category_id"], code_of(row["segmentation"], size), float(row["score"]))


def code_of(segmentation: Any, size: Size) -> RLE:
    """A checked segmentation, in any of COCO's three ways, as a run-length code at the size of its picture."""
    match segmentation:
        case {"counts": str() as counts}:
            return RLE(size=list(size), counts=counts)
        case {"counts": bytes() as counts}:
            return RLE(size=list(size), counts=counts.decode("ascii"))
        case {"counts": counts}:
            return rles.compress(np.array(counts, dtype=np.int64), size)
        case _:
            parts = (np.reshape(np.array(part, dtype=float), (-1, 2)) for part in segmentation)
            return to_rle(Polygons(tuple(part for part in parts if len(part) >= 3)), size)
