"""One picture after the other: its predictions, best first, its true objects, and how far each covers each."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Bool, Float64, Int64

from centermask.evaluate.rows import Found, Objects, Truth
from centermask.size import Size

Kind = Literal["box", "mask"]


class Scene(NamedTuple):
    """One picture."""

    picture: int
    """Its place in ``Pictures.ids``."""
    found: Int64[np.ndarray, " found"]
    """Places in the list of predictions, best first."""
    true: Int64[np.ndarray, " true"]
    """Places in the list of annotations."""
    ious: Float64[np.ndarray, "found true"]
    """For a crowd the share of the prediction that lies in it."""
    same: Bool[np.ndarray, "found true"]
    """Whether both are of one class."""
    crowds: Bool[np.ndarray, " true"]


def ranking(found: Found, kind: Kind) -> Float64[np.ndarray, " found"]:
    """The scores by which predictions are ranked."""
    return found.box_scores if kind == "box" else found.scores


def ranks(found: Found, kind: Kind) -> Int64[np.ndarray, " found"]:
    """Each prediction's place among those of its class in its picture, the best 0; equal scores as they were given."""
    objects = found.objects
    order = np.lexsort((-ranking(found, kind), objects.labels, objects.pictures))
    groups = objects.pictures[order] * (objects.labels.max(initial=0) + 1) + objects.labels[order]
    heads = np.flatnonzero(np.diff(groups, prepend=-1))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order)) - np.repeat(heads, np.diff(np.append(heads, len(order))))
    return places


def scenes(truth: Truth, found: Found, kind: Kind, limit: int) -> Iterator[Scene]:
    """Every picture, also one without objects, with the best ``limit`` predictions of each class."""
    kept = np.flatnonzero(ranks(found, kind) < limit)
    best_first = kept[np.lexsort((-ranking(found, kind)[kept], found.objects.pictures[kept]))]
    count = len(truth.known.ids)
    found_bounds = np.searchsorted(found.objects.pictures[best_first], np.arange(count + 1))
    by_picture = np.argsort(truth.objects.pictures, kind="stable")
    true_bounds = np.searchsorted(truth.objects.pictures[by_picture], np.arange(count + 1))
    for picture in range(count):
        own = best_first[found_bounds[picture] : found_bounds[picture + 1]]
        true = by_picture[true_bounds[picture] : true_bounds[picture + 1]]
        yield Scene(
            picture=picture,
            found=own,
            true=true,
            ious=_ious(found.objects, own, truth, true, kind, truth.known.sizes[picture]),
            same=found.objects.labels[own][:, None] == truth.objects.labels[true][None, :],
            crowds=truth.crowds[true],
        )


def _ious(
    found: Objects,
    own: Int64[np.ndarray, " found"],
    truth: Truth,
    true: Int64[np.ndarray, " true"],
    kind: Kind,
    size: Size,
) -> Float64[np.ndarray, "found true"]:
    if not len(own) or not len(true):
        return np.zeros((len(own), len(true)))
    crowds = truth.crowds[true].astype(int).tolist()
    if kind == "box":
        return coco_mask.iou(found.boxes[own].tolist(), truth.objects.boxes[true].tolist(), crowds)
    return coco_mask.iou(found.codes.masks(own, size), truth.objects.codes.masks(true, size), crowds)
