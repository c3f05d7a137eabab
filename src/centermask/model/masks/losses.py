"""Mask and mask-IoU terms (spec 2.5, 3). In float32, whatever the network runs in."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from centermask.model.normalisers import Share, own_share
from centermask.structures import MaskLosses, MaskPredictions, RoITargets

OTHERS_WEIGHT = 0.25
"""Of the neighbours' term, as in BCNet."""


def mask_losses(
    predicted: MaskPredictions, targets: RoITargets, share: Share = own_share, dice_weight: float = 0.0
) -> MaskLosses:
    """Both terms of a batch; zero, with a gradient of zero, if it has no RoI.

    Where the head says where other objects lie, that counts a quarter in the mask's term.

    Args:
        predicted: What the network says of each RoI.
        targets: What is true of each.
        share: Makes the normalisers those of all processes together.
        dice_weight: Of the Dice loss, which is added to the mask's cross-entropy; 0 as published.
    """
    logits = predicted.logits.float()
    wanted = true_ious(logits.detach(), targets)
    misfit = 0.5 * (predicted.ious.float() - wanted).square() * (wanted > 0)
    mask = _cross_entropy(logits, targets.masks, share)
    if dice_weight:
        mask = mask + dice_weight * _dice(logits, targets.masks, share)
    if predicted.others is not None and targets.others is not None:
        mask = mask + OTHERS_WEIGHT * _cross_entropy(predicted.others.float(), targets.others.float(), share)
    return MaskLosses(mask=mask, mask_iou=misfit.sum() / share((wanted > 0).sum().float(), 1.0))


def _cross_entropy(logits: Tensor, wanted: Tensor, share: Share) -> Float[Tensor, ""]:
    """Mean over all cells of all processes."""
    summed = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    return summed / share(logits.new_tensor(float(logits.numel())), 1.0)


def _dice(logits: Float[Tensor, "rois side side"], wanted: Tensor, share: Share) -> Float[Tensor, ""]:
    """Mean over all RoIs of one minus the Dice coefficient, with squares below (Milletari et al., 2016).

    Every object counts alike, however small its part of the RoI is: cross-entropy counts cells.
    """
    said = logits.sigmoid()
    both = (said.square() + wanted.square()).sum(dim=(1, 2))
    missed = 1 - 2 * (said * wanted).sum(dim=(1, 2)) / both.clamp(min=1e-3)
    return missed.sum() / share(missed.new_tensor(float(len(missed))), 1.0)


@torch.no_grad()
def true_ious(mask_logits: Float[Tensor, "rois side side"], targets: RoITargets) -> Float[Tensor, " rois"]:
    """IoU of each predicted mask with the whole true one: what the box cuts off counts as missed."""
    predicted, wanted = mask_logits > 0, targets.masks > 0.5
    overlap = (predicted & wanted).sum(dim=(1, 2)).float()
    whole = wanted.sum(dim=(1, 2)).float() / targets.shares
    union = predicted.sum(dim=(1, 2)).float() + whole - overlap
    return overlap / union.clamp(min=1)
