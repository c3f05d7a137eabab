"""Logits to scored soft masks (spec 2.6)."""

from jaxtyping import Float
from torch import Tensor

from centermask.model.masks.tighten import tighten
from centermask.ops.boxes import widen
from centermask.structures import Detections, RoIInstances


def decode_masks(
    mask_logits: Float[Tensor, "rois side side"],
    mask_ious: Float[Tensor, " rois"],
    detections: Detections,
    margin: float = 0.0,
) -> RoIInstances:
    """The objects of all images with their masks, in the order of the detections.

    The predicted IoU is clamped to [0, 1] before it multiplies the box score: unclamped, as published, it could lift a
    score above the box's or make it negative.

    Masks that were made in boxes widened by a ``margin`` bring the boxes of the objects with them.
    """
    scores = detections.scores * mask_ious.float().clamp(0, 1)
    boxes, masks = detections.boxes, mask_logits.float().sigmoid()
    if margin:
        boxes, masks = tighten(masks, widen(boxes, margin), boxes)
    return RoIInstances(boxes, scores, detections.scores, detections.labels, masks)
