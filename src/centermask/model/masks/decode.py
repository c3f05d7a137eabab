"""Logits to scored soft masks (spec 2.6)."""

from jaxtyping import Float
from torch import Tensor

from centermask.structures import Detections, RoIInstances


def decode_masks(
    mask_logits: Float[Tensor, "rois side side"], mask_ious: Float[Tensor, " rois"], detections: Detections
) -> RoIInstances:
    """The objects of all images with their masks, in the order of the detections.

    The predicted IoU is clamped to [0, 1] before it multiplies the box score: unclamped, as published, it could lift a
    score above the box's or make it negative.
    """
    scores = detections.scores * mask_ious.float().clamp(0, 1)
    masks = mask_logits.float().sigmoid()
    return RoIInstances(detections.boxes, scores, detections.scores, detections.labels, masks)
