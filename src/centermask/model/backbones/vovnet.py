"""VoVNetV2: one-shot aggregation with identity mapping and effective squeeze-and-excitation (spec 1.1).

Source: Lee and Park, "CenterMask: real-time anchor-free instance segmentation", CVPR 2020, section 3.3. As in the
published models the gate stands in *every* block; timm's port has it in the last block of a stage only.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import deform_conv2d

from centermask.model.layers import ConvBlock, SeparableConvBlock


class VoVNetPlan(NamedTuple):
    """The numbers that tell one VoVNet from another (spec 1.1.1)."""

    stem: tuple[int, int, int]
    mids: tuple[int, int, int, int]
    """Channels of the 3×3 convolutions in each stage."""
    outs: tuple[int, int, int, int]
    """Channels each stage gives on."""
    layers: int
    """3×3 convolutions in a block."""
    blocks: tuple[int, int, int, int]
    separable: bool = False
    deformable: bool = False
    """Modulated deformable convolutions in the last three stages (spec 1.1.5)."""


_SLIM = ((64, 80, 96, 112), (112, 256, 384, 512))
_FULL = ((128, 160, 192, 224), (256, 512, 768, 1024))
_STEM = (64, 64, 128)

VOVNETS: dict[str, VoVNetPlan] = {
    "vovnet19-slim-dw": VoVNetPlan((64, 64, 64), *_SLIM, 3, (1, 1, 1, 1), separable=True),
    "vovnet19-dw": VoVNetPlan((64, 64, 64), *_FULL, 3, (1, 1, 1, 1), separable=True),
    "vovnet19-slim": VoVNetPlan(_STEM, *_SLIM, 3, (1, 1, 1, 1)),
    "vovnet19": VoVNetPlan(_STEM, *_FULL, 3, (1, 1, 1, 1)),
    "vovnet39": VoVNetPlan(_STEM, *_FULL, 5, (1, 1, 2, 2)),
    "vovnet57": VoVNetPlan(_STEM, *_FULL, 5, (1, 1, 4, 3)),
    "vovnet99": VoVNetPlan(_STEM, *_FULL, 5, (1, 3, 9, 3)),
    "vovnet39-dcn": VoVNetPlan(_STEM, *_FULL, 5, (1, 1, 2, 2), deformable=True),
    "vovnet57-dcn": VoVNetPlan(_STEM, *_FULL, 5, (1, 1, 4, 3), deformable=True),
    "vovnet99-dcn": VoVNetPlan(_STEM, *_FULL, 5, (1, 3, 9, 3), deformable=True),
}


class VoVNet(nn.Module):
    """A stem of stride 4 and four stages; the last three give C3, C4, C5, and the first C2 if ``finest`` is 4."""

    def __init__(self, plan: VoVNetPlan, finest: int = 8) -> None:
        super().__init__()
        self.stem = _stem(plan)
        inputs = (plan.stem[2], *plan.outs[:3])
        self.stages = nn.ModuleList(_stage(plan, stage, inputs[stage]) for stage in range(4))
        self.first = 0 if finest == 4 else 1
        self.channels: tuple[int, ...] = plan.outs[self.first :]
        _initialise(self)

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        """C3, C4, C5 at strides 8, 16, 32, perhaps C2 before them; sides should be multiples of 32."""
        x = self.stem(pixels)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[self.first :]


class AggregationBlock(nn.Module):
    """One-shot aggregation (spec 1.1.4): a chain of convolutions, all results of which are concatenated and mixed."""

    def __init__(self, plan: VoVNetPlan, stage: int, inputs: int, identity: bool) -> None:
        super().__init__()
        mid, out = plan.mids[stage], plan.outs[stage]
        self.identity = identity
        # A separable layer keeps its width, so a 1×1 convolution brings the input to it first.
        self.reduction = ConvBlock(inputs, mid, kernel=1) if plan.separable and inputs != mid else nn.Identity()
        first = mid if plan.separable else inputs
        self.layers = nn.ModuleList(_layer(plan, stage, first if i == 0 else mid, mid) for i in range(plan.layers))
        self.concat = ConvBlock(inputs + plan.layers * mid, out, kernel=1)
        self.gate = EffectiveSqueezeExcitation(out)

    def forward(self, x: Float[Tensor, "images inputs height width"]) -> Float[Tensor, "images outputs height width"]:
        """The concatenation starts with the unreduced input."""
        gathered, y = [x], self.reduction(x)
        for layer in self.layers:
            y = layer(y)
            gathered.append(y)
        mixed = self.gate(self.concat(torch.cat(gathered, dim=1)))
        return mixed + x if self.identity else mixed


class EffectiveSqueezeExcitation(nn.Module):
    """Weigh channels by a hard sigmoid of one fully connected layer on their means, without reduction (paper eq. 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(
        self, x: Float[Tensor, "images channels height width"]
    ) -> Float[Tensor, "images channels height width"]:
        """x · hardsigmoid(W · mean(x) + b)."""
        return x * functional.hardsigmoid(self.fc(x.mean(dim=(2, 3), keepdim=True)))


class DeformableBlock(nn.Module):
    """Modulated deformable 3×3 convolution, norm, ReLU (spec 1.1.5): 18 offsets and 9 weights for each location."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.offset = nn.Conv2d(inputs, 27, 3, padding=1)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "images inputs height width"]) -> Float[Tensor, "images outputs height width"]:
        """The first 18 maps are the offsets, the last 9 become weights in (0, 1)."""
        offsets, weights = self.offset(x).split([18, 9], dim=1)
        y = deform_conv2d(x, offsets, self.conv.weight, padding=1, mask=weights.sigmoid())
        return self.relu(self.norm(y))


def _stem(plan: VoVNetPlan) -> nn.Sequential:
    first, second, third = plan.stem
    block = SeparableConvBlock if plan.separable else ConvBlock
    return nn.Sequential(ConvBlock(3, first, stride=2), block(first, second), block(second, third, stride=2))


def _stage(plan: VoVNetPlan, stage: int, inputs: int) -> nn.Sequential:
    pool = nn.MaxPool2d(3, stride=2, ceil_mode=True) if stage > 0 else nn.Identity()
    out = plan.outs[stage]
    blocks = [
        AggregationBlock(plan, stage, inputs if block == 0 else out, identity=block > 0)
        for block in range(plan.blocks[stage])
    ]
    return nn.Sequential(pool, *blocks)


def _layer(plan: VoVNetPlan, stage: int, inputs: int, outputs: int) -> nn.Module:
    if plan.deformable and stage > 0:
        return DeformableBlock(inputs, outputs)
    return SeparableConvBlock(inputs, outputs) if plan.separable else ConvBlock(inputs, outputs)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, DeformableBlock):  # starts as a plain convolution, with every weight at one half
            nn.init.zeros_(module.offset.weight)
