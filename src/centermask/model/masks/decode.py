"""Logits to scored soft masks (spec 2.6)."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from centermask.structures import Detections, RoIInstances


def decode_masks(
    mask_logits: Float[Tensor, "rois side side"], mask_ious: Float[Tensor, " rois"], detections: Sequence[Detections]
) -> list[RoIInstances]:
    """Each image's objects with their masks, in the order of the detections.

    The predicted IoU is clamped to [0, 1] before it multiplies the box score: unclamped, as published, it could lift a
    score above the box's or make it negative.
    """
    counts = [len(found.boxes) for found in detections]
    masks = mask_logits.float().sigmoid().split(counts)
    ious = mask_ious.float().clamp(0, 1).split(counts)
    return [
        RoIInstances(found.boxes, found.scores * iou, found.scores, found.labels, mask)
        for found, mask, iou in zip(detections, masks, ious, strict=True)
    ]
