"""Two towers, three predictions per location, the same weights on every level (spec 1.5)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from centermask.model.layers import init_normal
from centermask.structures import DensePredictions

PRIOR = 0.01
"""Class probability that an untrained head gives everywhere."""
FIRST_DISTANCE = 4.0
"""In strides, what an untrained head gives everywhere. The published 0 lies on the edge of the ReLU: at half of the
locations a distance then begins without a gradient."""


class DetectionHead(nn.Module):
    """Class logits from one tower; distances and centerness logits from the other."""

    def __init__(self, channels: int, classes: int, convs: int, levels: int = 5) -> None:
        super().__init__()
        self.class_tower = _tower(channels, convs)
        self.box_tower = _tower(channels, convs)
        self.class_logits = nn.Conv2d(channels, classes, 3, padding=1)
        self.ltrb = nn.Conv2d(channels, 4, 3, padding=1)
        self.centerness_logits = nn.Conv2d(channels, 1, 3, padding=1)
        self.level_scales = nn.Parameter(torch.ones(levels))
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                init_normal(conv, std=0.01)
        init_normal(self.ltrb, std=0.01, bias=FIRST_DISTANCE)
        init_normal(self.class_logits, std=0.01, bias=-math.log((1 - PRIOR) / PRIOR))

    def forward(self, pyramid: Sequence[Float[Tensor, "images channels _ _"]]) -> DensePredictions:
        """Predictions at the locations of all levels in one line, as ``make_locations`` orders them."""
        levels = [self._level(features, scale) for features, scale in zip(pyramid, self.level_scales, strict=True)]
        class_logits, ltrb, centerness_logits = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))
        return DensePredictions(class_logits, ltrb, centerness_logits.squeeze(2))

    def _level(self, features: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        class_features, box_features = self.class_tower(features), self.box_tower(features)
        ltrb = functional.relu(self.ltrb(box_features) * scale)
        maps = self.class_logits(class_features), ltrb, self.centerness_logits(box_features)
        class_logits, ltrb, centerness_logits = (x.flatten(2).transpose(1, 2) for x in maps)
        return class_logits, ltrb, centerness_logits


def _tower(channels: int, convs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(convs):
        # At least two channels a group: on a level of one cell, a single value would have no deviation.
        norm = nn.GroupNorm(min(32, channels // 2), channels)
        layers += [nn.Conv2d(channels, channels, 3, padding=1), norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
