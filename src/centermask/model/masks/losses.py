"""Mask and mask-IoU terms (spec 2.5, 3). In float32, whatever the network runs in."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from centermask.model.normalisers import Share, own_share
from centermask.structures import MaskLosses, RoITargets


def mask_losses(
    mask_logits: Float[Tensor, "rois side side"],
    mask_ious: Float[Tensor, " rois"],
    targets: RoITargets,
    share: Share = own_share,
) -> MaskLosses:
    """Both terms of a batch; zero, with a gradient of zero, if it has no RoI.

    ``share`` makes the normalisers those of all processes together.
    """
    logits = mask_logits.float()
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, targets.masks, reduction="sum")
    wanted = true_ious(logits.detach(), targets)
    misfit = 0.5 * (mask_ious.float() - wanted).square() * (wanted > 0)
    cells, scored = logits.new_tensor(float(logits.numel())), (wanted > 0).sum().float()
    return MaskLosses(mask=cross_entropy / share(cells, 1.0), mask_iou=misfit.sum() / share(scored, 1.0))


@torch.no_grad()
def true_ious(mask_logits: Float[Tensor, "rois side side"], targets: RoITargets) -> Float[Tensor, " rois"]:
    """IoU of each predicted mask with the whole true one: what the box cuts off counts as missed."""
    predicted, wanted = mask_logits > 0, targets.masks > 0.5
    overlap = (predicted & wanted).sum(dim=(1, 2)).float()
    whole = wanted.sum(dim=(1, 2)).float() / targets.shares
    union = predicted.sum(dim=(1, 2)).float() + whole - overlap
    return overlap / union.clamp(min=1)
