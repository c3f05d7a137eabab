"""What the contenders that are not ours share: the backbone with stride 4, anchors, targets."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from centermask.checkpoint import load_strictly, load_tensors
from centermask.model.layers import batch_norms
from centermask.ops.mask_warp import as_bitmap
from centermask.size import Size
from centermask.structures import GroundTruth, ImageBatch

REFERENCE_SIDE = 800
ANCHORS = (32, 64, 128, 256, 512)
"""Of Mask R-CNN, for pictures whose short side is 800."""


class FourLevels(nn.Module):
    """Pixels to C2 … C5 of a timm backbone with our weights, its batch norms frozen as in our own networks."""

    def __init__(self, name: str, weights: str, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        network: Any = timm.create_model(name.removeprefix("timm:"), features_only=True, out_indices=(1, 2, 3, 4))
        _, tensors = load_tensors(weights)
        load_strictly(network, {key.removeprefix("network."): value for key, value in tensors.items()}, weights)
        self.network, self.channels = network, tuple(network.feature_info.channels())
        for norm in batch_norms(network):
            norm.requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, batch: ImageBatch) -> list[Tensor]:
        """C2, C3, C4, C5; the padding is zero, as everywhere."""
        pixels = (batch.pixels - self.mean) / self.std
        for place, (height, width) in zip(pixels, batch.sizes.tolist(), strict=True):
            place[:, height:] = 0
            place[:, :, width:] = 0
        levels: list[Tensor] = self.network(pixels.to(memory_format=torch.channels_last))
        return levels

    def train(self, mode: bool = True) -> "FourLevels":
        """As ``nn.Module.train``; the norms stay frozen."""
        super().train(mode)
        for norm in batch_norms(self.network):
            norm.eval()
        return self


def fit_anchors(side: int) -> tuple[tuple[int, ...], ...]:
    """One size of anchor for each level, in proportion to the pictures."""
    return tuple((max(8, round(size * side / REFERENCE_SIDE / 4) * 4),) for size in ANCHORS)


def planes(truth: GroundTruth, plane: Sequence[int]) -> Tensor:
    """Masks as torchvision wants them: one plane for each object."""
    size = Size(*plane)
    drawn = np.zeros((len(truth.masks), *size), dtype=np.uint8)
    for place, mask in zip(drawn, truth.masks, strict=True):
        pixels, left, top = as_bitmap(mask, size)
        place[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return torch.from_numpy(drawn)


def usable(truths: Sequence[GroundTruth]) -> Iterator[GroundTruth]:
    """Truths without boxes of no extent, which torchvision refuses."""
    for truth in truths:
        whole = ((truth.boxes[:, 2:] - truth.boxes[:, :2]) > 0).all(dim=1)
        masks = tuple(mask for mask, kept in zip(truth.masks, whole.tolist(), strict=True) if kept)
        yield truth._replace(boxes=truth.boxes[whole], labels=truth.labels[whole], masks=masks)
