"""Boxes as four distances from a point: encode, its inverse decode, and centerness."""

import torch
from jaxtyping import Float
from torch import Tensor


def encode(points: Float[Tensor, "*n 2"], boxes: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """Distances from each point to the left, top, right and bottom side of its box; negative where outside.

    >>> encode(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 1.0, 9.0, 5.0]])).tolist()
    [[2.0, 3.0, 6.0, 1.0]]
    """
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], dim=-1)


def decode(points: Float[Tensor, "*n 2"], ltrb: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n 4"]:
    """The box (xyxy) that stands at these distances from a point; the inverse of ``encode``."""
    return torch.cat([points - ltrb[..., :2], points + ltrb[..., 2:]], dim=-1)


def centerness(ltrb: Float[Tensor, "*n 4"]) -> Float[Tensor, "*n"]:
    """How central a point lies in its box: 1 in the middle, 0 on the border (FCOS eq. 3); 0 outside.

    >>> centerness(torch.tensor([[1.0, 2.0, 4.0, 2.0]])).tolist()
    [0.5]
    """
    pairs = ltrb.clamp(min=0).unflatten(-1, (2, 2))  # ((l, t), (r, b))
    ratios = pairs.amin(dim=-2) / pairs.amax(dim=-2).clamp(min=torch.finfo(ltrb.dtype).tiny)
    return ratios.prod(dim=-1).sqrt()
