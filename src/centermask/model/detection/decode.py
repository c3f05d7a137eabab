"""Score, select, suppress: dense predictions to detections (spec 1.8).

Everything runs over all images, levels and classes at once, and what depends on the numbers stays in tensors, so that
``torch.export`` can follow and a GPU does not wait for the processor at every level or class.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import nms

from centermask.model.detection import ltrb as distances
from centermask.model.detection.locations import CENTER_LOCATIONS
from centermask.model.detection.suppress import decay_factors
from centermask.structures import DensePredictions, Detections, Locations

CANDIDATES_PER_OBJECT = CENTER_LOCATIONS + 1
"""With fewer than an object's locations, some of hundreds of objects on one level would be lost."""


class Decoding(NamedTuple):
    """How detections are chosen."""

    class_threshold: float
    candidates_per_level: int
    nms_iou: float
    max_detections: int
    nms_decay: float = 0.0
    levels: int = 5

    @property
    def pool(self) -> int:
        """Boxes of an image that go on from the hard suppression: where scores still fall, more than are kept."""
        return 2 * self.max_detections if self.nms_decay else self.max_detections

    def keeping(self, count: int, least: int) -> "Decoding":
        """The same for up to ``count`` objects, with ``least`` candidates of a level, or enough for so many objects."""
        enough = max(least, CANDIDATES_PER_OBJECT * count)
        return self._replace(max_detections=count, candidates_per_level=enough)


class Candidates(NamedTuple):
    """Pairs of a location and a class, of all images in one line."""

    images: Int64[Tensor, " n"]
    locations: Int64[Tensor, " n"]
    labels: Int64[Tensor, " n"]
    quality: Float[Tensor, " n"]
    """Class probability × centerness."""

    def take(self, index: Tensor) -> "Candidates":
        """Those at an index."""
        return Candidates(*(field[index] for field in self))


@torch.no_grad()
def decode_boxes(
    predicted: DensePredictions, locations: Locations, decoding: Decoding, score_threshold: float | Tensor = 0.0
) -> Detections:
    """Detections of all images. Boxes are not clipped: the mask branch sees the whole predicted box.

    The score is the square root of class probability × centerness; with ``nms_decay``, times what the box keeps of it
    beside better ones. Boxes below ``score_threshold`` are left out at once: they could only suppress boxes with a
    still lower score.
    """
    images, _, classes = predicted.class_logits.shape
    found = _candidates(predicted, decoding.class_threshold, score_threshold)
    best = found.quality.argsort(descending=True, stable=True)
    levels = found.images * decoding.levels + locations.levels[found.locations]
    found = found.take(best[first_of_each(levels[best], images * decoding.levels, decoding.candidates_per_level)])
    ltrb = predicted.ltrb[found.images, found.locations].float() * locations.strides[found.locations, None]
    boxes = distances.decode(locations.points[found.locations], ltrb)
    reach = locations.points.max() + locations.strides.max()
    near = torch.minimum(torch.maximum(boxes, -2 * reach), 3 * reach)
    kept = nms(_apart(near, reach, found.images, found.labels, classes), found.quality, decoding.nms_iou)
    kept = kept[first_of_each(found.images[kept], images, decoding.pool)]
    found = found.take(kept)
    detections = Detections(boxes[kept], found.quality.sqrt(), found.labels, found.locations, found.images)
    return _decay(detections, near[kept], images, decoding, score_threshold) if decoding.nms_decay else detections


def _candidates(predicted: DensePredictions, class_threshold: float, score_threshold: float | Tensor) -> Candidates:
    probabilities = predicted.class_logits.float().sigmoid()
    images, locations, labels = (probabilities > class_threshold).nonzero(as_tuple=True)
    centerness = predicted.centerness_logits.float()[images, locations].sigmoid()
    found = Candidates(images, locations, labels, probabilities[images, locations, labels] * centerness)
    return found.take((found.quality.sqrt() >= score_threshold).nonzero().squeeze(1))


def _decay(
    found: Detections,
    near: Float[Tensor, "detections 4"],
    images: int,
    decoding: Decoding,
    score_threshold: float | Tensor,
) -> Detections:
    """Lower the scores of boxes beside better ones, and choose again; ``near`` are the boxes, cut.

    The boxes of an image stand in a row of a table, so that memory grows with the number of images, not its square. A
    graph has a table as wide as may be needed; else it is as wide as the most boxes of an image.
    """
    counts = (found.images[:, None] == torch.arange(images, device=near.device)).sum(dim=0)
    starts = counts.cumsum(dim=0) - counts
    width = decoding.pool if torch.compiler.is_compiling() else max([1, *counts.tolist()])
    places = found.images * width + torch.arange(near.shape[0], device=near.device) - starts[found.images]
    boxes = near.new_zeros(images * width, 4).index_copy(0, places, near)
    labels = found.labels.new_zeros(images * width).index_copy(0, places, found.labels)
    table = (images, width)
    factors = decay_factors(boxes.unflatten(0, table), labels.unflatten(0, table), decoding.nms_decay)
    found = found._replace(scores=found.scores * factors.flatten()[places])
    best = found.scores.argsort(descending=True, stable=True)
    best = best[found.scores[best] >= score_threshold]
    chosen = best[first_of_each(found.images[best], images, decoding.max_detections)]
    return Detections(*(field[chosen] for field in found))


def first_of_each(groups: Int64[Tensor, " n"], count: int, limit: int) -> Int64[Tensor, " kept"]:
    """Where the first ``limit`` members of each of ``count`` groups stand, group by group.

    >>> first_of_each(torch.tensor([1, 0, 1, 1, 0]), count=2, limit=2).tolist()
    [1, 4, 0, 2]
    """
    places = torch.arange(groups.shape[0], device=groups.device)
    # No two keys are equal: not every runtime sorts stably.
    order = (groups * groups.shape[0] + places).argsort()
    groups = groups[order]
    members = (groups[:, None] == torch.arange(count, device=groups.device)).sum(dim=0)
    starts = members.cumsum(dim=0) - members
    return order[places - starts[groups] < limit]


def _apart(
    boxes: Float[Tensor, "n 4"],
    reach: Float[Tensor, ""],
    images: Int64[Tensor, " n"],
    labels: Int64[Tensor, " n"],
    classes: int,
) -> Float[Tensor, "n 4"]:
    """Boxes moved so that those of different classes or images do not touch.

    Each class has its field on a board as wide as high, and boards of images stand below each other: in one long row
    the coordinates would grow so large that float32 loses the boxes' fractions. For the same reason, and so that no box
    of one image disturbs another image, boxes come cut two pictures (``reach``) beyond the picture.
    """
    side = math.ceil(math.sqrt(classes))
    field = 6 * reach
    columns, rows = labels % side, images * side + labels // side
    offsets = torch.stack([columns, rows, columns, rows], dim=1).to(boxes) * field
    return boxes + offsets
