"""Spatial attention and the mask head."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from centermask.model.masks.head import MaskHead, SpatialAttention

FUSIONS = pytest.mark.parametrize("fusion", ["multiply", "concatenate", "none"])


def head(classes: int = 3, fusion: str = "multiply", channels: int = 8, convs: int = 2) -> MaskHead:
    torch.manual_seed(0)
    made = MaskHead(channels, classes, convs, fusion)
    nn.init.normal_(made.predictor.weight, std=0.5)
    nn.init.normal_(made.predictor.bias)
    return made


def crops(count: int = 6, channels: int = 8) -> Tensor:
    return torch.randn(count, channels, 14, 14, generator=torch.Generator().manual_seed(0))


def labels(count: int = 6, classes: int = 3) -> Tensor:
    return torch.arange(count) % classes


def masks(made: MaskHead, x: Tensor, labels: Tensor) -> Tensor:
    """The first of the head's answers."""
    return made(x, labels)[0]


# attention


def test_attention_sees_the_mean_and_then_the_maximum_over_channels() -> None:
    # A 3×3 convolution that passes 2 · mean − max of the middle cell on: of 1, 2, 6 that is 0; of 0, 0, 3 it is −1.
    attention = SpatialAttention()
    nn.init.zeros_(attention.conv.weight)
    attention.conv.weight.data[0, :, 1, 1] = torch.tensor([2.0, -1.0])
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]])[None, :, :, None].expand(1, 3, 2, 2)  # one row of each
    torch.testing.assert_close(attention(x), torch.tensor([[0.0], [-1.0]]).sigmoid().expand(1, 1, 2, 2))


def test_attention_does_not_depend_on_the_order_of_the_channels() -> None:
    attention = SpatialAttention()
    x = crops()
    torch.testing.assert_close(attention(x.flip(1)), attention(x))
    assert attention(x).shape == (6, 1, 14, 14)
    assert ((attention(x) > 0) & (attention(x) < 1)).all()


def test_attention_looks_at_neighbours() -> None:
    attention, x = SpatialAttention(), torch.zeros(1, 8, 14, 14)
    nn.init.ones_(attention.conv.weight)
    x[0, :, 5, 5] = 1.0
    assert (attention(x)[0, 0] > 0.5).nonzero().tolist() == [[i, j] for i in (4, 5, 6) for j in (4, 5, 6)]


def test_attention_multiplies_the_features() -> None:
    # With weights of zero it is 1/2 everywhere: as if the deconvolution's weights were halved.
    attended, plain = head(), head(fusion="none")
    nn.init.zeros_(attended.attention.conv.weight)
    plain.load_state_dict({k: v for k, v in attended.state_dict().items() if "attention" not in k})
    plain.deconv.weight.data /= 2
    torch.testing.assert_close(masks(attended, crops(), labels()), masks(plain, crops(), labels()))


def test_concatenation_without_weights_for_the_attended_half_is_no_attention() -> None:
    joined, plain = head(fusion="concatenate"), head(fusion="none")
    joined.deconv.weight.data[8:] = 0
    state = {k: v for k, v in joined.state_dict().items() if "attention" not in k}
    plain.load_state_dict(state | {"deconv.weight": joined.deconv.weight[:8]})
    torch.testing.assert_close(masks(joined, crops(), labels()), masks(plain, crops(), labels()))


def test_concatenation_without_weights_for_the_plain_half_is_multiplication() -> None:
    joined, attended = head(fusion="concatenate"), head()
    joined.deconv.weight.data[:8] = 0
    attended.load_state_dict(joined.state_dict() | {"deconv.weight": joined.deconv.weight[8:]})
    torch.testing.assert_close(masks(joined, crops(), labels()), masks(attended, crops(), labels()))


# the head


@FUSIONS
def test_the_mask_of_the_own_class_is_that_one_of_all(fusion: str) -> None:
    made = head(fusion=fusion)
    x = made.convs(crops())
    if fusion == "multiply":
        x = made.attention(x) * x
    if fusion == "concatenate":
        x = torch.cat([x, made.attention(x) * x], dim=1)
    all_masks = made.predictor(functional.relu(made.deconv(x)))
    own = masks(made, crops(), labels())
    torch.testing.assert_close(own, all_masks[torch.arange(6), labels()], atol=1e-5, rtol=1e-5)


def test_one_mask_for_all_classes_does_not_depend_on_the_label() -> None:
    made = head(classes=1)
    zeros = torch.zeros(6, dtype=torch.int64)
    torch.testing.assert_close(masks(made, crops(), labels(classes=80)), masks(made, crops(), zeros))


@FUSIONS
@pytest.mark.parametrize("classes", [1, 3])
def test_the_gradient_reaches_every_parameter(fusion: str, classes: int) -> None:
    made = head(classes, fusion)
    masks(made, crops(), labels()).square().sum().backward()
    assert all(value.grad.any() for value in made.parameters())


def test_a_class_that_no_roi_shows_gets_a_gradient_of_zero() -> None:
    made = head()
    masks(made, crops(), torch.tensor([0, 2, 0, 2, 0, 2])).sum().backward()
    assert made.predictor.weight.grad.flatten(1).any(dim=1).tolist() == [True, False, True]


@FUSIONS
@pytest.mark.parametrize("classes", [1, 3])
def test_no_roi_has_no_mask_and_gives_every_parameter_a_gradient_of_zero(fusion: str, classes: int) -> None:
    # Over several processes, one that found nothing must still take part in the exchange of gradients.
    made = head(classes, fusion)
    none = masks(made, crops(0), labels(0))
    assert none.shape == (0, 28, 28)
    none.sum().backward()
    assert all(value.grad is not None and not value.grad.any() for value in made.parameters())


def test_rois_do_not_see_each_other() -> None:
    made, order = head(), torch.tensor([4, 0, 5, 1, 3, 2])
    together = masks(made, crops(), labels())
    torch.testing.assert_close(masks(made, crops()[order], labels()[order]), together[order])
    torch.testing.assert_close(masks(made, crops()[2:3], labels()[2:3]), together[2:3])


def test_a_fresh_head_is_undecided() -> None:
    torch.manual_seed(0)
    assert masks(MaskHead(32, 3, 2), crops(6, 32), labels()).abs().max() < 0.1


def test_a_wide_start_teaches_the_features_from_the_first_step() -> None:
    # The gradient that reaches the features is as large as the predictor's weights.
    taught = list[float]()
    for std in (0.001, 0.4):
        torch.manual_seed(0)
        x = crops(6, 32).requires_grad_()
        logits = masks(MaskHead(32, 3, 2, std=std), x, labels())
        wanted = functional.interpolate((x[:, :1] > 0).float(), scale_factor=2)[:, 0]
        functional.binary_cross_entropy_with_logits(logits, wanted).backward()
        assert x.grad is not None
        taught.append(float(x.grad.norm()))
    assert taught[1] > 100 * taught[0] > 0


def test_crops_are_left_untouched() -> None:
    x = crops()
    head()(x, labels())
    assert torch.equal(x, crops())


@pytest.mark.parametrize(("channels", "convs", "wanted"), [(256, 4, 2_643_298), (128, 2, 371_170)])
def test_the_published_heads_have_the_published_sizes(channels: int, convs: int, wanted: int) -> None:
    with torch.device("meta"):
        assert sum(value.numel() for value in MaskHead(channels, 80, convs).parameters()) == wanted


# neighbours


def test_without_weights_for_the_neighbours_the_mask_is_as_without_the_branch() -> None:
    knowing, plain = MaskHead(8, 3, 2, neighbours=True), head()
    assert plain(crops(), labels())[1] is None
    knowing.load_state_dict(plain.state_dict(), strict=False)
    nn.init.zeros_(knowing.neighbours.conv.weight)
    torch.testing.assert_close(masks(knowing, crops(), labels()), masks(plain, crops(), labels()))
    assert knowing(crops(), labels())[1].abs().max() == 0


def test_the_mask_is_made_from_what_is_known_of_the_neighbours() -> None:
    made = MaskHead(8, 3, 2, neighbours=True)
    own, others = made(crops(), labels())
    assert others.shape == (6, 14, 14)
    own.sum().backward(retain_graph=True)
    assert made.neighbours.conv.weight.grad.any()
    assert made.neighbours.predictor.weight.grad is None  # their masks are said beside, and are not read
    others.sum().backward()
    assert made.neighbours.predictor.weight.grad.any()


def test_no_roi_has_no_neighbours() -> None:
    own, others = MaskHead(8, 3, 2, neighbours=True)(crops(0), labels(0))
    assert (own.shape, others.shape) == ((0, 28, 28), (0, 14, 14))
