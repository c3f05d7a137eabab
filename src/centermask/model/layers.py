"""Convolution blocks, norms and initialisers that several modules share."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from centermask.config import Norm


class ConvBlock(nn.Module):
    """Convolution without bias, norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return self.relu(self.norm(self.conv(x)))


class SeparableConvBlock(nn.Module):
    """Depthwise 3×3 convolution, pointwise convolution, norm, ReLU: nothing stands between the two convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return self.relu(self.norm(self.pointwise(self.depthwise(x))))


def set_norm(module: nn.Module, norm: Norm) -> None:
    """Make a freshly built backbone use the norm that was asked for.

    ``frozen`` stops the gradient of scale and shift here; its statistics stay as they are because ``CenterMask.train``
    leaves such norms in evaluation mode (see ``batch_norms``).
    """
    match norm:
        case "batch":
            return
        case "frozen":
            for layer in batch_norms(module):
                layer.requires_grad_(False)
        case "group":
            _replace_batch_norms(module, lambda channels: nn.GroupNorm(math.gcd(32, channels), channels))


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """All batch norms in a module, timm's (which hold their activation) included."""
    return [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]


def _replace_batch_norms(module: nn.Module, make: Callable[[int], nn.Module]) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            activation = getattr(child, "act", None)
            norm = make(child.num_features)
            setattr(module, name, norm if activation is None else nn.Sequential(norm, activation))
        else:
            _replace_batch_norms(child, make)


def init_normal(conv: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, std: float, bias: float = 0.0) -> None:
    """Weights from a normal distribution, one constant bias."""
    nn.init.normal_(conv.weight, std=std)
    if conv.bias is not None:
        nn.init.constant_(conv.bias, bias)


def init_uniform(conv: nn.Conv2d) -> None:
    """He's uniform initialisation for a layer without a ReLU (what Caffe2 calls Xavier), bias zero."""
    nn.init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def init_he(conv: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> None:
    """He's normal initialisation for a layer before a ReLU (fan-out), bias zero."""
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
