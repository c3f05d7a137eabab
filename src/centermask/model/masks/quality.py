"""The mask-IoU head: how well will this mask fit? (spec 3; Mask Scoring R-CNN)"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from centermask.config import MaskIoUHeadKind
from centermask.model.layers import init_he, init_normal
from centermask.model.masks.rois import POOLED_SIDE

HIDDEN = 1024


class MaskIoUHead(nn.Module):
    """RoI features and the predicted mask to the IoU of that mask with the true one.

    Args:
        channels: Width of the RoI features.
        classes: IoUs it predicts, one for each class.
        convs: 3×3 convolutions; one of them halves the side: the last, of a coarse head the first.
        kind: ``full``: two fully connected layers over every cell, as published; ``light`` and ``coarse``: the average
            of the cells before a single layer, less than a twentieth of the parameters. Coarse takes a third of the
            time of the others.
        gradient: Whether what it learns also reaches the features and the masks.
    """

    def __init__(
        self, channels: int, classes: int, convs: int, kind: MaskIoUHeadKind = "full", *, gradient: bool = True
    ) -> None:
        super().__init__()
        self.gradient = gradient
        self.averages = kind != "full"
        inputs = [channels + 1] + [channels] * (convs - 1)
        halving = 0 if kind == "coarse" else convs - 1
        layers = [
            (nn.Conv2d(size, channels, 3, 2 if place == halving else 1, padding=1), nn.ReLU(inplace=True))
            for place, size in enumerate(inputs)
        ]
        self.convs = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.hidden = nn.Sequential() if self.averages else _hidden_layers(channels * (POOLED_SIDE // 2) ** 2)
        self.predictor = nn.Linear(channels if self.averages else HIDDEN, classes)
        for layer in [*self.convs, *self.hidden]:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                init_he(layer)
        init_normal(self.predictor, std=0.01)

    def forward(
        self,
        crops: Float[Tensor, "rois channels 14 14"],
        mask_logits: Float[Tensor, "rois 28 28"],
        labels: Int64[Tensor, " rois"],
    ) -> Float[Tensor, " rois"]:
        """Expected IoU of each mask, for its own class; not clamped."""
        if self.training and not self.gradient:
            crops, mask_logits = crops.detach(), mask_logits.detach()
        # The largest of each 2×2 cells. Not max_pool2d: OpenVINO refuses to pool where there is no RoI.
        cells = mask_logits.sigmoid().unflatten(2, (POOLED_SIDE, 2)).unflatten(1, (POOLED_SIDE, 2))
        masks = cells.amax(dim=(2, 4))[:, None]
        x = self.convs(torch.cat([crops, masks.to(crops)], dim=1))
        x = x.mean(dim=(2, 3)) if self.averages else self.hidden(x.flatten(1))
        ious: Tensor = self.predictor(x).gather(1, labels[:, None]).squeeze(1)
        return ious


def _hidden_layers(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(inplace=True)
    )
