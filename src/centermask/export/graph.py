"""The whole network as one graph: pictures of any size in, a fixed number of boxes, scores, classes and masks out."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor, nn
from torch.nn import functional

from centermask.model.centermask import CenterMask
from centermask.model.detection.decode import first_of_each
from centermask.structures import ImageBatch, RoIInstances

STRIDE = 32
"""Sides of the picture are padded to multiples of it, inside the graph."""


class Answer(NamedTuple):
    """What an exported file gives, by name and in this order: K places for each image, the first of them filled."""

    boxes: Float[Tensor, "images k 4"]
    """xyxy in input pixels, not clipped."""
    scores: Float[Tensor, "images k"]
    """Box score × predicted mask IoU; best first."""
    box_scores: Float[Tensor, "images k"]
    labels: Int64[Tensor, "images k"]
    masks: Float[Tensor, "images k side side"]
    """Probabilities."""
    counts: Int64[Tensor, " images"]
    """How many places of each image are filled; the others are zero."""
    full_masks: UInt8[Tensor, "images k height width"] | None = None
    """1 inside the object, if they were asked for."""


class ExportGraph(nn.Module):
    """A network with a fixed number of places for what it finds.

    A picture has ``max_detections`` places, as the configuration says. The network itself may keep more by box score
    (``keep_detections``): of those the best by score are given.

    Args:
        model: In evaluation mode.
        full_masks: Paste the masks into planes of the input's size, too.
    """

    def __init__(self, model: CenterMask, full_masks: bool = False) -> None:
        super().__init__()
        self.model = model
        self.places = model.config.max_detections
        self.fill_boxes = model.config.masks_fill_boxes
        self.full_masks = full_masks

    def forward(
        self,
        pixels: Shaped[Tensor, "images 3 height width"],
        sizes: Int64[Tensor, "images 2"],
        score_threshold: Float[Tensor, ""],
    ) -> tuple[Tensor, ...]:
        """The fields of an ``Answer``, without what was not asked for."""
        height, width = pixels.shape[2:]
        padding = (0, _up(width) - width, 0, _up(height) - height)
        found, images = self.model.find(ImageBatch(functional.pad(pixels, padding), sizes), score_threshold)
        order, counts = _best_first(found.scores, images, pixels.shape[0], self.places, score_threshold)
        found, images = RoIInstances(*(field[order] for field in found)), images[order]
        starts = counts.cumsum(dim=0) - counts
        places = images * self.places + torch.arange(images.shape[0], device=images.device) - starts[images]
        fields = [*found, _paste(found, height, width, self.fill_boxes)] if self.full_masks else list(found)
        filled = [self._place(field, places, pixels.shape[0]) for field in fields]
        return (*filled[:5], counts, *filled[5:])

    def _place(self, field: Tensor, places: Int64[Tensor, " instances"], images: int) -> Tensor:
        empty = field.new_zeros(images * self.places, *field.shape[1:])
        return empty.index_copy(0, places, field).unflatten(0, (images, self.places))


def _up(side: int) -> int:
    return (side + STRIDE - 1) // STRIDE * STRIDE


def _best_first(
    scores: Float[Tensor, " instances"],
    images: Int64[Tensor, " instances"],
    count: int,
    places: int,
    score_threshold: Float[Tensor, ""],
) -> tuple[Int64[Tensor, " kept"], Int64[Tensor, " images"]]:
    """Where the best above the threshold stand, image by image and best first, and how many each of the images has."""
    best = scores.argsort(descending=True, stable=True)
    best = best[scores[best] >= score_threshold]
    order = best[first_of_each(images[best], count, places)]
    counts = (images[order][:, None] == torch.arange(count, device=images.device)).sum(dim=0)
    return order, counts


def _paste(found: RoIInstances, height: int, width: int, fill_boxes: bool) -> UInt8[Tensor, "instances height width"]:
    return (paste_softly(found.boxes, found.masks, height, width, fill_boxes) >= 0.5).to(torch.uint8)


def paste_softly(
    boxes: Float[Tensor, "instances 4"],
    masks: Float[Tensor, "instances side side"],
    height: int,
    width: int,
    fill_boxes: bool,
) -> Float[Tensor, "instances height width"]:
    """Masks in planes of the input's size, by two matrix products, as ``paste`` makes them.

    Not ``grid_sample``, which runtimes have fused into wrong masks.
    """
    columns = _interpolation(boxes[:, 0], boxes[:, 2], width, masks.shape[2], fill_boxes)
    rows = _interpolation(boxes[:, 1], boxes[:, 3], height, masks.shape[1], fill_boxes)
    return rows @ masks @ columns.transpose(1, 2)


def _interpolation(
    starts: Float[Tensor, " instances"], ends: Float[Tensor, " instances"], pixels: int, side: int, fill_boxes: bool
) -> Float[Tensor, "instances pixels side"]:
    """Weights that read a row of ``side`` values at the pixels' centres."""
    centres = torch.arange(pixels, device=starts.device) + 0.5
    positions = (centres - starts[:, None]) / (ends - starts)[:, None] * side - 0.5
    read = positions.clamp(0, side - 1) if fill_boxes else positions
    weights = (1 - (read[:, :, None] - torch.arange(side, device=starts.device)).abs()).clamp(min=0)
    if not fill_boxes:
        return weights
    inside = (positions >= -0.5) & (positions < side - 0.5)
    return weights * inside[:, :, None]
