"""Score, select, suppress: dense predictions to detections (spec 1.8)."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import batched_nms

from centermask.model.detection import ltrb as distances
from centermask.structures import DensePredictions, Detections, Locations


class Decoding(NamedTuple):
    """How detections are chosen."""

    class_threshold: float
    candidates_per_level: int
    nms_iou: float
    max_detections: int


class Candidates(NamedTuple):
    """Pairs of a location and a class, of all images in one line."""

    images: Int64[Tensor, " n"]
    locations: Int64[Tensor, " n"]
    labels: Int64[Tensor, " n"]
    quality: Float[Tensor, " n"]
    """Class probability × centerness."""

    def take(self, index: Tensor) -> "Candidates":
        """Those at an index or mask."""
        return Candidates(*(field[index] for field in self))


@torch.no_grad()
def decode_boxes(predicted: DensePredictions, locations: Locations, decoding: Decoding) -> list[Detections]:
    """Detections of each image, best first. Boxes are not clipped: the mask branch sees the whole predicted box.

    The score is the square root of class probability × centerness. Selection runs over all images and levels at once.
    """
    found = _candidates(predicted, decoding.class_threshold)
    found = found.take(_best_of_each_level(found, locations, decoding.candidates_per_level))
    ltrb = predicted.ltrb[found.images, found.locations].float() * locations.strides[found.locations, None]
    boxes = distances.decode(locations.points[found.locations], ltrb)
    return [
        _suppress(found.take(own), boxes[own], decoding)
        for own in (found.images == image for image in range(len(predicted.ltrb)))
    ]


def _candidates(predicted: DensePredictions, threshold: float) -> Candidates:
    probabilities = predicted.class_logits.float().sigmoid()
    images, locations, labels = (probabilities > threshold).nonzero(as_tuple=True)
    centerness = predicted.centerness_logits.float()[images, locations].sigmoid()
    return Candidates(images, locations, labels, probabilities[images, locations, labels] * centerness)


def _best_of_each_level(found: Candidates, locations: Locations, count: int) -> Int64[Tensor, " kept"]:
    """Indices of the best ``count`` of each level of each image, best first."""
    order = found.quality.argsort(descending=True, stable=True)
    groups = (found.images * (locations.levels.max() + 1) + locations.levels[found.locations])[order]
    groups, by_group = groups.sort(stable=True)
    starts = torch.searchsorted(groups, groups)
    rank = torch.arange(len(groups), device=groups.device) - starts
    kept = torch.zeros_like(rank, dtype=torch.bool)
    kept[by_group] = rank < count
    return order[kept]


def _suppress(found: Candidates, boxes: Float[Tensor, "n 4"], decoding: Decoding) -> Detections:
    # Classes are set apart by multiples of the largest coordinate, which keeps them apart only if none is negative.
    lowest = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).min()
    kept = batched_nms(boxes - lowest, found.quality, found.labels, decoding.nms_iou)[: decoding.max_detections]
    return Detections(boxes[kept], found.quality[kept].sqrt(), found.labels[kept], found.locations[kept])
