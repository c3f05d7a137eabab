"""Backbones of timm as C3, C4, C5."""

import pytest
import torch

from centermask.errors import UserError
from centermask.model.backbones.timm import TimmBackbone


@pytest.mark.parametrize(
    ("name", "channels"), [("mobilenetv2_100", (32, 96, 320)), ("resnet18", (128, 256, 512))], ids=["mobile", "resnet"]
)
def test_features_have_strides_8_16_32_and_the_widths_told(name: str, channels: tuple[int, int, int]) -> None:
    backbone = TimmBackbone(name).eval()
    assert backbone.channels == channels
    shapes = [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 96))]
    assert shapes == [(1, channels[0], 8, 12), (1, channels[1], 4, 6), (1, channels[2], 2, 3)]


def test_no_image_gives_no_features() -> None:
    assert [len(feature) for feature in TimmBackbone("resnet18").eval()(torch.zeros(0, 3, 64, 64))] == [0, 0, 0]


def test_no_layer_is_kept_that_no_feature_needs() -> None:
    # Trained over several processes, a parameter without a gradient would stop the run.
    backbone = TimmBackbone("mobilenetv2_100")
    sum(feature.sum() for feature in backbone(torch.rand(2, 3, 64, 64))).backward()
    assert all(value.grad is not None for value in backbone.parameters())


def test_an_unknown_name_is_refused_with_near_ones() -> None:
    with pytest.raises(UserError, match=r"no model 'resnet18x'.*resnet18"):
        TimmBackbone("resnet18x")
    with pytest.raises(UserError, match="near ones: none"):
        TimmBackbone("%%%")


def test_an_unknown_set_of_weights_is_refused() -> None:
    with pytest.raises(UserError, match="nonsense"):
        TimmBackbone("resnet18.nonsense")


def test_a_model_without_the_three_strides_is_refused() -> None:
    with pytest.raises(UserError, match=r"strides \[16, 16, 16\].*\[8, 16, 32\]"):
        TimmBackbone("vit_tiny_patch16_224")


def test_features_of_stride_4_stand_before_the_others_and_change_none_of_them() -> None:
    finer, plain = TimmBackbone("mobilenetv2_100", finest=4).eval(), TimmBackbone("mobilenetv2_100").eval()
    plain.load_state_dict(finer.state_dict())  # the layers are the same: one file of weights serves both
    pixels = torch.rand(1, 3, 64, 96)
    c2, *others = finer(pixels)
    assert finer.channels == (24, 32, 96, 320)
    assert c2.shape == (1, 24, 16, 24)
    assert all(torch.equal(one, other) for one, other in zip(others, plain(pixels), strict=True))
