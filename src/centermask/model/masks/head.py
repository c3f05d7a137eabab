"""Spatial attention and the mask head (spec 2.3)."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from centermask.config import AttentionFusion
from centermask.model.layers import init_he, init_normal


class SpatialAttention(nn.Module):
    """Where to look: mean and maximum over channels, a 3×3 convolution, a sigmoid (paper eq. 3).

    Its kernel starts near zero, so that every cell begins with the weight one half. The published start (He's) meets
    features of any size, saturates the sigmoid at once and stays there: the attention then learns nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1, bias=False)
        init_normal(self.conv, std=0.001)

    def forward(self, x: Float[Tensor, "rois channels side side"]) -> Float[Tensor, "rois 1 side side"]:
        """A weight in (0, 1) for each cell."""
        pooled = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)
        weights: Tensor = self.conv(pooled).sigmoid()
        return weights


class NeighbourBranch(nn.Module):
    """Which cells belong to other objects than the RoI's own.

    After the occluder layer of BCNet (Ke et al., CVPR 2021): a convolution of its own, taught with the masks of the
    other objects, whose features are added to those that the mask is made from. The graph layers of the paper are left
    out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.predictor = nn.Conv2d(channels, 1, 1)
        init_he(self.conv)
        init_normal(self.predictor, std=0.001)

    def forward(self, x: Float[Tensor, "rois channels side side"]) -> tuple[Tensor, Float[Tensor, "rois side side"]]:
        """Features that know the neighbours, and logits of where they are."""
        known = functional.relu(self.conv(x))
        return x + known, self.predictor(known).squeeze(1)


class MaskHead(nn.Module):
    """Convolutions, attention, ×2 deconvolution, and one mask for the class that is asked for.

    Args:
        channels: Width of the pyramid and of the head.
        classes: Masks the predictor knows: 1 for class-agnostic masks.
        convs: 3×3 convolutions before the attention.
        fusion: How the attention joins: ``multiply`` as in the paper, ``concatenate`` the input and the attended
            features, or ``none``.
        neighbours: Say first where other objects lie in the box.
        std: Of the predictor's first weights.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        convs: int,
        fusion: AttentionFusion = "multiply",
        *,
        neighbours: bool = False,
        std: float = 0.001,
    ) -> None:
        super().__init__()
        self.fusion = fusion
        layers = [(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True)) for _ in range(convs)]
        self.convs = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.neighbours = NeighbourBranch(channels) if neighbours else None
        self.attention = nn.Identity() if fusion == "none" else SpatialAttention()
        fused = 2 * channels if fusion == "concatenate" else channels
        self.deconv = nn.ConvTranspose2d(fused, channels, 2, stride=2)
        self.predictor = nn.Conv2d(channels, classes, 1)
        for conv in self.convs:
            if isinstance(conv, nn.Conv2d):
                init_he(conv)
        init_he(self.deconv)
        init_normal(self.predictor, std)

    def forward(
        self, crops: Float[Tensor, "rois channels 14 14"], labels: Int64[Tensor, " rois"]
    ) -> tuple[Float[Tensor, "rois 28 28"], Float[Tensor, "rois 14 14"] | None]:
        """Mask logits of each RoI for its own class, and of where other objects lie, if there is such a branch.

        The other classes' masks are never made.
        """
        x, others = self.convs(crops), None
        if self.neighbours is not None:
            x, others = self.neighbours(x)
        x = self._attend(x)
        x = functional.relu(self.deconv(x))
        channel = labels.clamp(max=self.predictor.out_channels - 1)  # the one mask, where masks are class-agnostic
        weight = self.predictor.weight.flatten(1)[channel]
        logits = torch.bmm(weight[:, None], x.flatten(2)).view(-1, *x.shape[2:])
        if self.predictor.bias is not None:
            logits = logits + self.predictor.bias[channel, None, None]
        return logits, others

    def _attend(self, x: Float[Tensor, "rois channels side side"]) -> Float[Tensor, "rois fused side side"]:
        match self.fusion:
            case "multiply":
                return x * self.attention(x)
            case "concatenate":
                return torch.cat([x, x * self.attention(x)], dim=1)
            case "none":
                return x
