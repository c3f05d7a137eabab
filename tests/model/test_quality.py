"""The mask-IoU head."""

import pytest
import torch
from torch import Tensor, nn

from centermask.config import MaskIoUHeadKind
from centermask.model.masks.quality import MaskIoUHead

KINDS = pytest.mark.parametrize("kind", ["full", "light", "coarse"])


def head(kind: MaskIoUHeadKind, classes: int = 3, convs: int = 2) -> MaskIoUHead:
    torch.manual_seed(0)
    made = MaskIoUHead(4, classes, convs, kind)
    nn.init.normal_(made.predictor.weight, std=0.3)
    return made


def inputs(count: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    crops, masks = (torch.randn(count, *shape, generator=generator) for shape in ((4, 14, 14), (28, 28)))
    return crops, masks, torch.arange(count) % 3


@KINDS
@pytest.mark.parametrize("convs", [1, 2, 4])
def test_every_roi_gets_one_number(kind: MaskIoUHeadKind, convs: int) -> None:
    assert head(kind, convs=convs)(*inputs()).shape == (6,)


@KINDS
def test_the_iou_is_that_of_the_own_class(kind: MaskIoUHeadKind) -> None:
    made, (crops, masks, labels) = head(kind), inputs()
    every_class = torch.stack([made(crops, masks, torch.full((6,), label)) for label in range(3)], dim=1)
    torch.testing.assert_close(made(crops, masks, labels), every_class[torch.arange(6), labels])
    assert (every_class.std(dim=1) > 0).all()


@KINDS
def test_only_the_highest_of_four_cells_of_the_mask_is_seen(kind: MaskIoUHeadKind) -> None:
    made, (crops, masks, labels) = head(kind), inputs()
    highest = nn.functional.max_pool2d(masks[:, None], 2).repeat_interleave(2, 2).repeat_interleave(2, 3)[:, 0]
    torch.testing.assert_close(made(crops, highest, labels), made(crops, masks, labels))


@KINDS
def test_the_gradient_reaches_mask_features_and_every_parameter(kind: MaskIoUHeadKind) -> None:
    made, (crops, masks, labels) = head(kind), inputs()
    made(crops.requires_grad_(), masks.requires_grad_(), labels).square().sum().backward()
    assert crops.grad.any()
    assert masks.grad.any()
    assert all(value.grad.any() for value in made.parameters())


@KINDS
def test_a_head_that_only_judges_learns_the_same_and_teaches_nothing_else(kind: MaskIoUHeadKind) -> None:
    torch.manual_seed(0)
    made = MaskIoUHead(4, 3, 2, kind, gradient=False)
    other = MaskIoUHead(4, 3, 2, kind)
    other.load_state_dict(made.state_dict())
    for one, reached in ((made, False), (other, True)):
        crops, masks, labels = inputs()
        one(crops.requires_grad_(), masks.requires_grad_(), labels).square().sum().backward()
        assert (crops.grad is not None, masks.grad is not None) == (reached, reached)
    for ours, theirs in zip(made.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@KINDS
def test_no_roi_has_no_iou_and_gives_every_parameter_a_gradient_of_zero(kind: MaskIoUHeadKind) -> None:
    made = head(kind)
    ious = made(*inputs(0))
    assert ious.shape == (0,)
    ious.sum().backward()
    assert all(value.grad is not None and not value.grad.any() for value in made.parameters())


@KINDS
def test_rois_do_not_see_each_other(kind: MaskIoUHeadKind) -> None:
    made, order = head(kind), torch.tensor([4, 0, 5, 1, 3, 2])
    together = made(*inputs())
    torch.testing.assert_close(made(*(x[order] for x in inputs())), together[order])
    torch.testing.assert_close(made(*(x[2:3] for x in inputs())), together[2:3])


@pytest.mark.parametrize(("channels", "convs", "wanted"), [(256, 4, 16_340_304), (128, 2, 7_851_472)])
def test_the_published_heads_have_the_published_sizes(channels: int, convs: int, wanted: int) -> None:
    with torch.device("meta"):
        assert sum(value.numel() for value in MaskIoUHead(channels, 80, convs).parameters()) == wanted


def test_a_head_without_large_layers_has_less_than_a_twentieth_of_the_parameters() -> None:
    with torch.device("meta"):
        heads = [MaskIoUHead(128, 80, 2, kind) for kind in ("full", "light", "coarse")]
    full, light, coarse = (sum(value.numel() for value in made.parameters()) for made in heads)
    assert light * 20 < full
    assert coarse == light


def test_a_coarse_head_halves_the_side_first_and_a_light_one_last() -> None:
    def sides(kind: MaskIoUHeadKind) -> list[int]:
        made, seen = head(kind, convs=3), list[int]()
        for conv in made.convs:
            if isinstance(conv, nn.Conv2d):
                conv.register_forward_hook(lambda _, __, x: seen.append(x.shape[2]))
        made(*inputs())
        return seen

    assert sides("light") == [14, 14, 7]
    assert sides("coarse") == [7, 7, 7]


def test_masks_may_come_in_lower_precision() -> None:
    made, (crops, masks, labels) = head("light"), inputs()
    torch.testing.assert_close(made(crops, masks.bfloat16(), labels), made(crops, masks, labels), atol=0.02, rtol=0.02)
