"""Which object each training box shows, and the mask it should have (spec 2.4, 2.5)."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import box_iou

from centermask.model.masks.rois import POOLED_SIDE
from centermask.ops.boxes import widen
from centermask.ops.mask_crop import crop_masks
from centermask.structures import Detections, GroundTruth, RoIs, RoITargets

MASK_SIDE = 28
FOREGROUND_IOU = 0.5


@torch.no_grad()
def match_rois(
    detections: Sequence[Detections],
    truths: Sequence[GroundTruth],
    limit: int,
    margin: float = 0.0,
    *,
    others: bool = False,
) -> RoITargets:
    """Choose training RoIs: the detections and true boxes that lie on an object, at most ``limit`` of an image.

    A box lies on the object with which it shares the highest IoU, whatever its predicted class, if that is at least
    0.5; it is then trained as that object's class. Masks are those in the boxes widened by the ``margin``. With
    ``others``, what is seen there of other objects is told too.
    """
    chosen = [_match(found, truth, limit) for found, truth in zip(detections, truths, strict=True)]
    counts = torch.tensor([len(objects) for _, objects in chosen])
    boxes = torch.cat([boxes for boxes, _ in chosen])
    labels = torch.cat([truth.labels[objects] for truth, (_, objects) in zip(truths, chosen, strict=True)])
    regions = [(widen(own, margin), objects) for own, objects in chosen]
    masks, shares = _mask_targets(regions, truths)
    images = torch.repeat_interleave(torch.arange(len(truths)), counts).to(boxes.device)
    neighbours = _neighbours(regions, truths).to(boxes.device) if others else None
    return RoITargets(RoIs(boxes, images, labels), masks.to(boxes.device), shares.to(boxes.device), neighbours)


def _match(found: Detections, truth: GroundTruth, limit: int) -> tuple[Float[Tensor, "kept 4"], Int64[Tensor, " kept"]]:
    boxes = torch.cat([found.boxes, truth.boxes])
    if len(truth.boxes) == 0:
        return boxes[:0], boxes.new_zeros(0, dtype=torch.int64)
    ious, objects = box_iou(boxes, truth.boxes).max(dim=1)
    kept = (ious >= FOREGROUND_IOU).nonzero().squeeze(1)
    if len(kept) > limit:  # every so-and-so-many-th, where others draw by chance: all processes of a run choose alike
        kept = kept[torch.arange(limit, device=kept.device) * len(kept) // limit]
    return boxes[kept], objects[kept]


def _mask_targets(
    chosen: Sequence[tuple[Tensor, Tensor]], truths: Sequence[GroundTruth]
) -> tuple[Float[Tensor, "rois side side"], Float[Tensor, " rois"]]:
    crops = [
        crop_masks(truth.masks, objects.cpu().numpy(), boxes.cpu().double().numpy(), MASK_SIDE)
        for (boxes, objects), truth in zip(chosen, truths, strict=True)
    ]
    grids = np.concatenate([np.zeros((0, MASK_SIDE, MASK_SIDE), dtype=bool), *(one.grids for one in crops)])
    shares = np.concatenate([np.zeros(0), *(one.shares for one in crops)])
    return torch.from_numpy(grids).float(), torch.from_numpy(shares).float()


def _neighbours(
    chosen: Sequence[tuple[Tensor, Tensor]], truths: Sequence[GroundTruth]
) -> Bool[Tensor, "rois cells cells"]:
    """Where the objects lie that a box shows beside its own."""
    shown = [np.zeros((0, POOLED_SIDE, POOLED_SIDE), dtype=bool)]
    for (boxes, objects), truth in zip(chosen, truths, strict=True):
        beside = _touching(boxes, truth.boxes)
        beside[torch.arange(len(objects)), objects] = False
        roi, other = (places.cpu().numpy() for places in beside.nonzero(as_tuple=True))
        seen = crop_masks(truth.masks, other, boxes.cpu().double().numpy()[roi], POOLED_SIDE)
        union = np.zeros((len(boxes), POOLED_SIDE, POOLED_SIDE), dtype=bool)
        np.logical_or.at(union, roi, seen.grids)
        shown.append(union)
    return torch.from_numpy(np.concatenate(shown))


def _touching(boxes: Float[Tensor, "rois 4"], others: Float[Tensor, "objects 4"]) -> Bool[Tensor, "rois objects"]:
    """Which boxes have an area in common."""
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return (high > low).all(dim=2)
