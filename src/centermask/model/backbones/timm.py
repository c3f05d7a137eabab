"""Any timm backbone as C3, C4, C5, perhaps C2 (ResNet, MobileNetV2, ConvNeXt, ...), pretrained or not."""

import difflib
from collections.abc import Sequence
from typing import Any

import timm
import torch
from jaxtyping import Float
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from centermask.errors import UserError

STRIDES = (4, 8, 16, 32)
Colour = tuple[float, float, float]
PROBE = (64, 96)
"""Height and width of the picture that tells whether a model can be used."""


class TimmBackbone(nn.Module):
    """A timm model's features of strides 8, 16 and 32, and of 4 if that is the finest.

    Args:
        name: A name that ``timm.list_models()`` knows.
        pretrained: Load timm's own weights from its hub; needs a network once.
        finest: The smallest stride, 4 or 8.

    Raises:
        UserError: timm does not know the name, the model has no such features, or the hub cannot be reached.
    """

    def __init__(self, name: str, pretrained: bool = False, finest: int = 8) -> None:
        super().__init__()
        self.strides = STRIDES[STRIDES.index(finest) :]
        self.network = _create(name, pretrained, _stride_indices(name, self.strides))
        info: Any = self.network.feature_info
        self.channels: tuple[int, ...] = tuple(info.channels())
        self._probe(name)

    @torch.no_grad()
    def _probe(self, name: str) -> None:
        """Refuse models that want one size of picture, or give their features in another order."""
        training = self.network.training
        try:
            shapes = [feature.shape[1:] for feature in self.network.eval()(torch.zeros(1, 3, *PROBE))]
        except (RuntimeError, AssertionError, ValueError) as error:
            raise UserError(f"timm's '{name}' does not take pictures of any size ({error}); choose another") from error
        wanted = [
            (width, PROBE[0] // stride, PROBE[1] // stride)
            for width, stride in zip(self.channels, self.strides, strict=True)
        ]
        if [tuple(shape) for shape in shapes] != wanted:
            raise UserError(f"timm's '{name}' gives features of shapes {shapes}, not {wanted}; choose another")
        self.network.train(training)

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        """C3, C4, C5, perhaps C2 before them."""
        features: list[Tensor] = self.network(pixels)
        return features


def pixel_values(name: str) -> tuple[Colour, Colour]:
    """Mean and deviation, of values from 0 to 255, of the pixels that timm's weights of a model were trained on.

    >>> [round(value, 3) for value in pixel_values("mobilenetv2_100")[1]]
    [58.395, 57.12, 57.375]
    """
    taught: Any = timm.get_pretrained_cfg(name)  # None of the few that have none
    means = getattr(taught, "mean", IMAGENET_DEFAULT_MEAN), getattr(taught, "std", IMAGENET_DEFAULT_STD)
    mean, std = ((255 * red, 255 * green, 255 * blue) for red, green, blue in means)
    return mean, std


def _stride_indices(name: str, wanted: Sequence[int]) -> list[int]:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=5)
        raise UserError(f"timm has no model '{name}'; near ones: {', '.join(near) or 'none'}")
    try:
        info: Any = timm.create_model(name, features_only=True).feature_info
    except RuntimeError as error:  # no such weights (NAME.TAG), or no features to be had
        raise UserError(f"timm cannot give features of '{name}': {error}") from error
    strides = list(info.reduction())
    missing = [stride for stride in wanted if stride not in strides]
    if missing:
        raise UserError(f"timm's '{name}' gives features of strides {strides}; CenterMask needs {list(wanted)}")
    return [len(strides) - 1 - strides[::-1].index(stride) for stride in wanted]


def _create(name: str, pretrained: bool, indices: list[int]) -> nn.Module:
    try:
        model: nn.Module = timm.create_model(name, features_only=True, pretrained=pretrained, out_indices=indices)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise UserError(
            f"timm's pretrained weights of '{name}' cannot be had from its hub ({type(error).__name__}); "
            "give a local file with --backbone-weights, or train without pretraining"
        ) from error
    return model
