"""Assign each box to a pyramid level, pool its features (spec 2.1, 2.2)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import roi_align

from centermask.config import LevelRule
from centermask.ops.boxes import box_areas
from centermask.structures import RoIs

POOLED_SIDE = 14
CANONICAL_SIDE = 224
"""Side of the object that the area rule puts on P4, as in Mask R-CNN."""


def assign_levels(
    rois: RoIs, sizes: Int64[Tensor, "images 2"], rule: LevelRule, levels: int, finest: int = 3
) -> Int64[Tensor, " rois"]:
    """Which of ``levels`` pyramid levels each RoI is pooled from, 0 for the ``finest``, which is P3 or P2.

    ``ratio`` is the paper's adaptive rule (eq. 2): by the share of its image that a box takes, so that it does not
    depend on the resolution; ``area`` is Mask R-CNN's (FPN eq. 1). The area is that of the unclipped box, and of the
    unpadded image.
    """
    coarsest = finest + levels - 1
    areas = box_areas(rois.boxes)
    eps = torch.finfo(areas.dtype).eps
    match rule:
        case "ratio":
            image_areas = sizes.prod(dim=1)[rois.images].to(areas)
            level = torch.ceil(coarsest - torch.log2(image_areas / areas + eps))
        case "area":
            level = torch.floor(4 + torch.log2(areas.sqrt() / CANONICAL_SIDE + eps))
    return level.clamp(finest, coarsest).long() - finest


def pool_rois(
    pyramid: Sequence[Float[Tensor, "images channels _ _"]],
    strides: Sequence[int],
    rois: RoIs,
    levels: Int64[Tensor, " rois"],
) -> Float[Tensor, "rois channels 14 14"]:
    """RoIAlign (aligned, adaptive sampling) of each RoI on its own level.

    A box may reach over its image; one that reaches further than the image is large, as only an untrained or diverged
    network predicts, is cut there, because the work grows with its area.
    """
    reach = max(pyramid[0].shape[2:]) * strides[0]
    indexed = torch.cat([rois.images[:, None].to(rois.boxes), rois.boxes.clamp(-reach, 2 * reach)], dim=1)
    own = [(levels == level).nonzero().squeeze(1) for level in range(len(pyramid))]
    pooled = [
        roi_align(features.float(), indexed[chosen], POOLED_SIDE, 1 / stride, sampling_ratio=0, aligned=True)
        for features, stride, chosen in zip(pyramid, strides, own, strict=True)
    ]
    return torch.cat(pooled)[torch.cat(own).argsort()]
