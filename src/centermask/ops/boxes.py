"""What torchvision.ops.boxes lacks. Boxes are xyxy, absolute pixels."""

import torch
from jaxtyping import Float
from torch import Tensor


def box_areas(boxes: Float[Tensor, "boxes 4"]) -> Float[Tensor, " boxes"]:
    """Areas in square pixels; 0 for a box whose sides are turned round."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)


def widen(boxes: Float[Tensor, "boxes 4"], share: float) -> Float[Tensor, "boxes 4"]:
    """Boxes that reach further by a share of their sides, on each side.

    >>> widen(torch.tensor([[10.0, 0.0, 20.0, 40.0]]), 0.1).tolist()
    [[9.0, -4.0, 21.0, 44.0]]
    """
    reach = (boxes[:, 2:] - boxes[:, :2]) * share
    return torch.cat([boxes[:, :2] - reach, boxes[:, 2:] + reach], dim=1)


def pairwise_ious(boxes: Float[Tensor, "images n 4"]) -> Float[Tensor, "images n n"]:
    """IoU of each box of an image with each box of the same image; 0 where both have no area, or one is not finite."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=3)
    areas = (boxes[:, :, 2:] - boxes[:, :, :2]).clamp(min=0).prod(dim=2)
    union = areas[:, :, None] + areas[:, None, :] - shared
    return torch.where(union > 0, shared / union, 0.0)
