"""How much of its score a box keeps beside better boxes of its class."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from centermask.ops.boxes import pairwise_ious


def decay_factors(
    boxes: Float[Tensor, "images n 4"], labels: Int64[Tensor, "images n"], strength: float
) -> Float[Tensor, "images n"]:
    """The share of its score, in (0, 1], that each box keeps; boxes of an image stand best first.

    Matrix NMS with a Gaussian (Wang et al., SOLOv2, 2020; ``strength`` is 1 / sigma there): a box loses the more, the
    more it shares with a better one of its class, and the less, the more that one lies under a still better one,
    because it is then hardly an object itself. The worst of these losses counts. A box without area neither loses nor
    takes.
    """
    places = torch.arange(boxes.shape[1], device=boxes.device)
    rivals = (labels[:, :, None] == labels[:, None, :]) & (places[:, None] < places)  # [better, worse]
    shared = pairwise_ious(boxes).square() * rivals
    covered = shared.amax(dim=1)
    excess = ((shared - covered[:, :, None]) * rivals).amax(dim=1)  # not below 0: no box is its own rival
    return torch.exp(-strength * excess)
