"""Convolution blocks, norms and initialisers."""

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from centermask.model.layers import (
    ConvBlock,
    SeparableConvBlock,
    batch_norms,
    init_he,
    init_normal,
    set_norm,
)

BLOCKS = pytest.mark.parametrize("block", [ConvBlock, SeparableConvBlock])


@BLOCKS
@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_divides_the_sides_by_its_stride(block: type[nn.Module], stride: int) -> None:
    y = block(3, 5, stride=stride)(torch.randn(2, 3, 8, 12))
    assert y.shape == (2, 5, 8 // stride, 12 // stride)
    assert y.min() == 0


def test_a_conv_block_is_convolution_norm_relu() -> None:
    block, x = ConvBlock(3, 5).eval(), torch.randn(2, 3, 6, 6)
    # A fresh batch norm in evaluation mode only divides by √(1 + ε).
    wanted = functional.conv2d(x, block.conv.weight, padding=1).relu() / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(x), wanted)


def test_nothing_stands_between_the_convolutions_of_a_separable_block() -> None:
    block, x = SeparableConvBlock(4, 5).eval(), torch.randn(2, 4, 6, 6)
    # Depthwise and pointwise together are one convolution with a product of weights.
    weight = block.pointwise.weight * block.depthwise.weight.transpose(0, 1)
    wanted = functional.conv2d(x, weight, padding=1).relu() / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(x), wanted, atol=1e-5, rtol=1e-5)


@BLOCKS
def test_a_block_takes_no_image(block: type[nn.Module]) -> None:
    assert block(3, 5).eval()(torch.zeros(0, 3, 8, 8)).shape == (0, 5, 8, 8)


def stack() -> nn.Module:
    return nn.Sequential(ConvBlock(3, 48), nn.Sequential(SeparableConvBlock(48, 6)))


def test_all_batch_norms_are_found() -> None:
    assert len(batch_norms(stack())) == 2
    assert batch_norms(nn.Conv2d(3, 3, 1)) == []


def test_a_frozen_norm_stops_the_gradient_of_scale_and_shift_only() -> None:
    module = stack()
    set_norm(module, "frozen")
    fixed = {name for name, value in module.named_parameters() if not value.requires_grad}
    assert fixed == {"0.norm.weight", "0.norm.bias", "1.0.norm.weight", "1.0.norm.bias"}


def test_a_batch_norm_is_left_as_it_is() -> None:
    module = stack()
    set_norm(module, "batch")
    assert len(batch_norms(module)) == 2
    assert all(value.requires_grad for value in module.parameters())


def test_group_norms_replace_all_batch_norms() -> None:
    module = stack()
    set_norm(module, "group")
    groups = [layer for layer in module.modules() if isinstance(layer, nn.GroupNorm)]
    assert batch_norms(module) == []
    assert [(norm.num_groups, norm.num_channels) for norm in groups] == [(16, 48), (2, 6)]  # greatest common divisor


def test_with_group_norms_an_image_does_not_depend_on_its_neighbours() -> None:
    module = stack().train()
    set_norm(module, "group")
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(module(x)[:1], module(x[:1]))


def test_a_group_norm_undoes_scale_and_shift() -> None:
    module = nn.Sequential(nn.BatchNorm2d(8))
    set_norm(module, "group")
    x = torch.randn(2, 8, 16, 16)
    torch.testing.assert_close(module(3 * x + 5), module(x), atol=1e-4, rtol=1e-4)


def test_a_norm_of_timm_keeps_its_activation() -> None:
    module = timm.create_model("resnet18", features_only=True, out_indices=[1])
    before = [layer for layer in module.modules() if isinstance(layer, nn.ReLU)]
    set_norm(module, "group")
    assert batch_norms(module) == []
    assert [layer for layer in module.modules() if isinstance(layer, nn.ReLU)] == before
    mobile = timm.create_model("mobilenetv2_100", features_only=True, out_indices=[0])
    inner = sum(isinstance(layer, nn.ReLU6) for layer in mobile.modules())
    set_norm(mobile, "group")
    assert sum(isinstance(layer, nn.ReLU6) for layer in mobile.modules()) == inner > 0
    assert batch_norms(mobile) == []


def test_normal_weights_have_the_deviation_and_the_bias_asked_for() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 3)
    init_normal(conv, std=0.01, bias=-3.0)
    assert conv.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert conv.weight.mean().abs() < 1e-3
    assert (conv.bias == -3).all()


def test_he_weights_have_the_variance_two_over_fan_out() -> None:
    torch.manual_seed(0)
    conv, line = nn.Conv2d(32, 64, 3), nn.Linear(400, 300)
    init_he(conv)
    init_he(line)
    assert conv.weight.var().item() == pytest.approx(2 / (64 * 9), rel=0.05)
    assert line.weight.var().item() == pytest.approx(2 / 300, rel=0.05)
    assert not conv.bias.any()


@pytest.mark.parametrize("init", [init_he, lambda conv: init_normal(conv, std=0.1)])
def test_a_layer_without_bias_is_initialised_too(init) -> None:
    conv = nn.Conv2d(3, 4, 3, bias=False)
    before = conv.weight.clone()
    init(conv)
    assert not torch.equal(conv.weight, before)
