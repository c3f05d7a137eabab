"""VoVNetV2: strides, widths, gates, identity paths, and its two kinds of special layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from centermask.model.backbones.vovnet import (
    VOVNETS,
    AggregationBlock,
    DeformableBlock,
    EffectiveSqueezeExcitation,
    VoVNet,
    VoVNetPlan,
)
from centermask.model.layers import ConvBlock, SeparableConvBlock

TINY = VoVNetPlan((4, 4, 8), (4, 5, 6, 7), (8, 10, 12, 14), layers=2, blocks=(1, 2, 1, 3))
PARAMETERS = {
    "vovnet19-slim-dw": 1_384_752,
    "vovnet19-dw": 5_518_080,
    "vovnet19-slim": 2_653_136,
    "vovnet19": 10_180_416,
    "vovnet39": 25_184_128,
    "vovnet57": 41_454_912,
    "vovnet99": 69_523_520,
}


def blocks(network: VoVNet) -> list[AggregationBlock]:
    return [module for module in network.modules() if isinstance(module, AggregationBlock)]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_totals_equal_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        network = VoVNet(VOVNETS[name])
    assert sum(value.numel() for value in network.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("plan", [TINY, TINY._replace(separable=True), TINY._replace(deformable=True)])
def test_features_have_strides_8_16_32_and_the_widths_told(plan: VoVNetPlan) -> None:
    network = VoVNet(plan).eval()
    c3, c4, c5 = network(torch.rand(2, 3, 64, 96))
    assert (c3.shape, c4.shape, c5.shape) == ((2, 10, 8, 12), (2, 12, 4, 6), (2, 14, 2, 3))
    assert network.channels == (10, 12, 14)


@pytest.mark.parametrize("name", VOVNETS)
def test_a_named_network_has_the_blocks_of_its_plan(name: str) -> None:
    plan = VOVNETS[name]
    with torch.device("meta"):
        network = VoVNet(plan)
    assert [len(stage) - 1 for stage in network.stages] == list(plan.blocks)
    assert all(len(block.layers) == plan.layers for block in blocks(network))
    assert network.channels == plan.outs[1:]


def test_a_network_takes_no_image() -> None:
    assert [len(c) for c in VoVNet(TINY).eval()(torch.zeros(0, 3, 64, 64))] == [0, 0, 0]


def test_images_do_not_see_each_other() -> None:
    network, pixels = VoVNet(TINY).eval(), torch.rand(3, 3, 64, 64)
    for together, alone in zip(network(pixels), network(pixels[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone)


# the gate


def test_the_gate_by_hand() -> None:
    gate = EffectiveSqueezeExcitation(2)
    nn.init.eye_(gate.fc.weight[:, :, 0, 0].data)
    gate.fc.weight.data = torch.eye(2)[:, :, None, None]
    gate.fc.bias.data = torch.tensor([0.0, 1.0])
    # Means 1.5 and −2: gates relu6(1.5 + 3) / 6 = 0.75 and relu6(−2 + 1 + 3) / 6 = 1 / 3.
    x = torch.tensor([[[[1.0, 2.0]], [[0.0, -4.0]]]])
    torch.testing.assert_close(gate(x), torch.tensor([[[[0.75, 1.5]], [[0.0, -4 / 3]]]]))


def test_every_block_has_its_gate() -> None:
    # A closed gate (weight 0, bias −3) leaves nothing of a block but its identity path.
    network = VoVNet(TINY).eval()
    assert len(blocks(network)) == sum(TINY.blocks)
    for block in blocks(network):
        nn.init.zeros_(block.gate.fc.weight)
        nn.init.constant_(block.gate.fc.bias, -3.0)
        x = torch.randn(1, block.concat.conv.in_channels - 2 * block.layers[0].conv.out_channels, 6, 6)
        assert torch.equal(block(x), x if block.identity else torch.zeros_like(block(x)))


def test_all_blocks_of_a_stage_but_the_first_have_an_identity_path() -> None:
    network = VoVNet(TINY)
    assert [[block.identity for block in list(stage)[1:]] for stage in network.stages] == [
        [False], [False, True], [False], [False, True, True],
    ]  # fmt: skip


def test_a_block_mixes_its_input_and_every_layer() -> None:
    block, x = AggregationBlock(TINY, 1, 8, identity=False).eval(), torch.randn(2, 8, 6, 6)
    first = block.layers[0](x)
    second = block.layers[1](first)
    wanted = block.gate(block.concat(torch.cat([x, first, second], dim=1)))
    assert torch.equal(block(x), wanted)


def test_a_block_adds_its_input_without_a_relu_after_it() -> None:
    block, x = AggregationBlock(TINY, 1, 10, identity=True).eval(), torch.randn(2, 10, 6, 6) - 5
    without = AggregationBlock(TINY, 1, 10, identity=False).eval()
    without.load_state_dict(block.state_dict())
    torch.testing.assert_close(block(x), without(x) + x)
    assert block(x).min() < 0


# separable layers


def test_separable_layers_reduce_their_input_first_but_pass_it_on_unreduced() -> None:
    block, x = AggregationBlock(TINY._replace(separable=True), 1, 8, identity=False).eval(), torch.randn(2, 8, 6, 6)
    assert isinstance(block.reduction, ConvBlock)
    assert block.reduction.conv.kernel_size == (1, 1)
    first = block.layers[0](block.reduction(x))
    second = block.layers[1](first)
    assert torch.equal(block(x), block.gate(block.concat(torch.cat([x, first, second], dim=1))))


def test_input_of_the_right_width_is_not_reduced() -> None:
    plan = TINY._replace(separable=True)
    assert isinstance(AggregationBlock(plan, 1, 5, identity=False).reduction, nn.Identity)
    assert isinstance(AggregationBlock(TINY, 1, 8, identity=False).reduction, nn.Identity)


def test_all_convolutions_but_the_first_of_the_stem_are_separable() -> None:
    network = VoVNet(TINY._replace(separable=True))
    assert [type(layer) for layer in network.stem] == [ConvBlock, SeparableConvBlock, SeparableConvBlock]
    assert all(isinstance(layer, SeparableConvBlock) for block in blocks(network) for layer in block.layers)


# deformable layers


def test_the_last_three_stages_are_deformable() -> None:
    network = VoVNet(TINY._replace(deformable=True))
    kinds = [{type(layer) for block in list(stage)[1:] for layer in block.layers} for stage in network.stages]
    assert kinds == [{ConvBlock}, {DeformableBlock}, {DeformableBlock}, {DeformableBlock}]


def fresh_deformable() -> DeformableBlock:
    network = VoVNet(TINY._replace(deformable=True)).eval()
    block = blocks(network)[1].layers[0]
    assert isinstance(block, DeformableBlock)
    return block


def test_a_fresh_deformable_layer_is_half_a_plain_convolution() -> None:
    # Offsets 0, and every weight sigmoid(0) = 1/2.
    block, x = fresh_deformable(), torch.randn(2, 8, 6, 7)
    wanted = 0.5 * functional.conv2d(x, block.conv.weight, padding=1).relu() / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(x), wanted, atol=1e-5, rtol=1e-5)


def test_the_first_18_maps_move_the_samples_and_the_last_9_weigh_them() -> None:
    block, x = fresh_deformable(), torch.randn(1, 8, 9, 9)
    block.offset.bias.data[0:18:2] = 1.0  # (dy, dx) for each of the nine samples: one row down
    block.offset.bias.data[18:] = 100.0  # sigmoid: 1
    below = functional.conv2d(x, block.conv.weight, padding=1).relu() / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(x)[:, :, 1:-2], below[:, :, 2:-1], atol=1e-5, rtol=1e-5)


def test_offsets_are_learnt() -> None:
    block = fresh_deformable()
    block(torch.randn(1, 8, 6, 6)).square().sum().backward()
    assert block.offset.weight.grad.abs().sum() > 0


def test_features_of_stride_4_stand_before_the_others() -> None:
    network = VoVNet(TINY, finest=4).eval()
    c2, c3, *_ = network(torch.rand(2, 3, 64, 96))
    assert c2.shape == (2, network.channels[0], 16, 24)
    assert c3.shape == (2, 10, 8, 12)
    assert network.channels == TINY.outs
