"""The mask-IoU head."""

import pytest
import torch
from torch import Tensor, nn

from centermask.model.masks.quality import MaskIoUHead

KINDS = pytest.mark.parametrize("light", [False, True], ids=["full", "light"])


def head(light: bool, classes: int = 3, convs: int = 2) -> MaskIoUHead:
    torch.manual_seed(0)
    made = MaskIoUHead(4, classes, convs, light)
    nn.init.normal_(made.predictor.weight, std=0.3)
    return made


def inputs(count: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    crops, masks = (torch.randn(count, *shape, generator=generator) for shape in ((4, 14, 14), (28, 28)))
    return crops, masks, torch.arange(count) % 3


@KINDS
@pytest.mark.parametrize("convs", [1, 2, 4])
def test_every_roi_gets_one_number(light: bool, convs: int) -> None:
    assert head(light, convs=convs)(*inputs()).shape == (6,)


@KINDS
def test_the_iou_is_that_of_the_own_class(light: bool) -> None:
    made, (crops, masks, labels) = head(light), inputs()
    every_class = torch.stack([made(crops, masks, torch.full((6,), label)) for label in range(3)], dim=1)
    torch.testing.assert_close(made(crops, masks, labels), every_class[torch.arange(6), labels])
    assert (every_class.std(dim=1) > 0).all()


@KINDS
def test_only_the_highest_of_four_cells_of_the_mask_is_seen(light: bool) -> None:
    made, (crops, masks, labels) = head(light), inputs()
    highest = nn.functional.max_pool2d(masks[:, None], 2).repeat_interleave(2, 2).repeat_interleave(2, 3)[:, 0]
    torch.testing.assert_close(made(crops, highest, labels), made(crops, masks, labels))


@KINDS
def test_the_gradient_reaches_mask_features_and_every_parameter(light: bool) -> None:
    made, (crops, masks, labels) = head(light), inputs()
    made(crops.requires_grad_(), masks.requires_grad_(), labels).square().sum().backward()
    assert crops.grad.any()
    assert masks.grad.any()
    assert all(value.grad.any() for value in made.parameters())


@KINDS
def test_no_roi_has_no_iou_and_gives_every_parameter_a_gradient_of_zero(light: bool) -> None:
    made = head(light)
    ious = made(*inputs(0))
    assert ious.shape == (0,)
    ious.sum().backward()
    assert all(value.grad is not None and not value.grad.any() for value in made.parameters())


@KINDS
def test_rois_do_not_see_each_other(light: bool) -> None:
    made, order = head(light), torch.tensor([4, 0, 5, 1, 3, 2])
    together = made(*inputs())
    torch.testing.assert_close(made(*(x[order] for x in inputs())), together[order])
    torch.testing.assert_close(made(*(x[2:3] for x in inputs())), together[2:3])


@pytest.mark.parametrize(("channels", "convs", "wanted"), [(256, 4, 16_340_304), (128, 2, 7_851_472)])
def test_the_published_heads_have_the_published_sizes(channels: int, convs: int, wanted: int) -> None:
    with torch.device("meta"):
        assert sum(value.numel() for value in MaskIoUHead(channels, 80, convs).parameters()) == wanted


def test_the_light_head_has_less_than_a_twentieth_of_the_parameters() -> None:
    with torch.device("meta"):
        full, light = (MaskIoUHead(128, 80, 2, light) for light in (False, True))
    sizes = [sum(value.numel() for value in made.parameters()) for made in (full, light)]
    assert sizes[1] * 20 < sizes[0]


def test_masks_may_come_in_lower_precision() -> None:
    made, (crops, masks, labels) = head(light=True), inputs()
    torch.testing.assert_close(made(crops, masks.bfloat16(), labels), made(crops, masks, labels), atol=0.02, rtol=0.02)
