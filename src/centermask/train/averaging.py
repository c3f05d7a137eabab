"""An exponential moving average of the weights: what is evaluated and saved."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of a model that follows it at a distance; closer in the first steps, when there is little to average."""

    @torch.no_grad()
    def follow(average: Tensors, current: Tensors, count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(average, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean), 1 - now)
            else:
                mean.copy_(value)

    return AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
