"""Assign each box to a level, pool its features."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align

from centermask.model.masks.rois import POOLED_SIDE, assign_levels, pool_rois
from centermask.structures import RoIs

STRIDES = (8, 16, 32)
NO_ROI = RoIs(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))


def rois(boxes: list[list[float]], images: list[int] | None = None) -> RoIs:
    images = [0] * len(boxes) if images is None else images
    return RoIs(torch.tensor(boxes).view(-1, 4), torch.tensor(images), torch.zeros(len(boxes), dtype=torch.int64))


def square_of_area(area: float) -> list[float]:
    return [10.0, 20.0, 10.0 + area**0.5, 20.0 + area**0.5]


def random_rois(count: int, images: int, side: int = 128) -> RoIs:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(count, 2, 2, generator=generator) * side
    boxes = torch.cat([corners.amin(dim=1), corners.amax(dim=1) + 1], dim=1)
    return RoIs(boxes, torch.randint(images, (count,), generator=generator).sort().values, torch.zeros(count).long())


def random_pyramid(images: int, channels: int = 3, side: int = 128) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(images, channels, side // stride, side // stride, generator=generator) for stride in STRIDES]


# levels


@pytest.mark.parametrize(
    ("share", "level"),
    [(2.0, 2), (1.0, 2), (0.51, 2), (0.5, 1), (0.26, 1), (0.25, 0), (0.24, 0), (0.01, 0), (1e-6, 0)],
)
def test_a_box_of_more_than_half_the_picture_is_on_p5_of_more_than_a_quarter_on_p4(share: float, level: int) -> None:
    # Sides are powers of two, or far from the limit: areas of exactly a half and a quarter are met exactly.
    width = 512 * share if share in (0.5, 0.25) else 512.0
    height = 512.0 if share in (0.5, 0.25) else 512 * share
    box = rois([[0.0, 0.0, width, height]])
    assert assign_levels(box, torch.tensor([[512, 512]]), "ratio", levels=3).tolist() == [level]


@pytest.mark.parametrize(("share", "level"), [(0.6, 4), (0.3, 3), (0.15, 2), (0.07, 1), (0.06, 0)])
def test_with_five_levels_the_rule_starts_at_p7(share: float, level: int) -> None:
    box = rois([square_of_area(share * 1000 * 600)])
    assert assign_levels(box, torch.tensor([[600, 1000]]), "ratio", levels=5).tolist() == [level]


@pytest.mark.parametrize(("share", "level"), [(0.6, 2), (0.3, 1), (0.2, 0), (0.01, 0)])
def test_from_p2_on_the_rule_puts_all_below_a_quarter_of_the_picture_on_p2(share: float, level: int) -> None:
    box = rois([square_of_area(share * 1000 * 600)])
    assert assign_levels(box, torch.tensor([[600, 1000]]), "ratio", levels=3, finest=2).tolist() == [level]


def test_from_p2_on_the_area_rule_keeps_its_places() -> None:
    boxes = rois([[0.0, 0.0, side, side] for side in (20.0, 111.0, 112.0, 223.0, 224.0, 900.0)])
    assert assign_levels(boxes, torch.tensor([[999, 999]]), "area", levels=3, finest=2).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("rule", ["ratio", "area"])
def test_a_single_level_takes_every_box(rule: str) -> None:
    boxes = rois([square_of_area(area) for area in (1.0, 1e3, 1e5, 1e7)])
    assert assign_levels(boxes, torch.tensor([[600, 1000]]), rule, levels=1).tolist() == [0] * 4


def test_the_ratio_does_not_depend_on_the_resolution() -> None:
    boxes, sizes = random_rois(60, images=1), torch.tensor([[128, 128]])
    found = assign_levels(boxes, sizes, "ratio", levels=3)
    assert set(found.tolist()) == {0, 1, 2}
    assert torch.equal(assign_levels(boxes._replace(boxes=4 * boxes.boxes), 4 * sizes, "ratio", levels=3), found)


def test_every_box_is_measured_by_its_own_image() -> None:
    boxes = rois([[0, 0, 100, 100.0]] * 3, images=[0, 1, 2])
    sizes = torch.tensor([[100, 150], [100, 300], [400, 400]])  # shares of 2/3, 1/3 and 1/16
    assert assign_levels(boxes, sizes, "ratio", levels=3).tolist() == [2, 1, 0]


@pytest.mark.parametrize(("side", "level"), [(56, 0), (112, 0), (223, 0), (224, 1), (447, 1), (448, 2), (2000, 2)])
def test_the_area_rule_puts_a_side_of_224_on_p4(side: float, level: int) -> None:
    box = rois([[0.0, 0.0, side, side]])
    for size in ([100, 100], [5000, 5000]):
        assert assign_levels(box, torch.tensor([size]), "area", levels=3).tolist() == [level]


@pytest.mark.parametrize("rule", ["ratio", "area"])
def test_a_box_without_area_is_on_the_finest_level(rule: str) -> None:
    boxes = rois([[5.0, 5.0, 5.0, 5.0], [5.0, 5.0, 5.0, 9.0], [9.0, 9.0, 5.0, 5.0]])
    assert assign_levels(boxes, torch.tensor([[64, 64]]), rule, levels=3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("rule", ["ratio", "area"])
def test_no_box_has_no_level(rule: str) -> None:
    assert assign_levels(NO_ROI, torch.tensor([[64, 64]]), rule, levels=3).shape == (0,)


# pooling


def test_every_box_is_pooled_from_its_own_level_and_image() -> None:
    # The features of level k of image i are 10·i + k everywhere.
    pyramid = [
        torch.stack([torch.full((2, 128 // stride, 128 // stride), 10.0 * image + level) for image in range(2)])
        for level, stride in enumerate(STRIDES)
    ]
    boxes = rois([[16, 16, 80, 80.0]] * 4, images=[0, 0, 1, 1])
    crops = pool_rois(pyramid, STRIDES, boxes, torch.tensor([2, 0, 1, 0]))
    assert crops.shape == (4, 2, POOLED_SIDE, POOLED_SIDE)
    torch.testing.assert_close(crops, torch.tensor([2.0, 0, 11, 10])[:, None, None, None].expand_as(crops))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_cell_of_a_crop_stands_where_it_is_in_the_picture(level: int) -> None:
    # Features that hold the x and y of the middle of their cell are read as the x and y of the middle of each bin.
    stride = STRIDES[level]
    pyramid = [torch.zeros(1, 2, 256 // s, 256 // s) for s in STRIDES]
    middles = (torch.arange(256 // stride) + 0.5) * stride
    pyramid[level] = torch.stack(torch.meshgrid(middles, middles, indexing="xy"))[None]
    crop = pool_rois(pyramid, STRIDES, rois([[50.0, 60.0, 190.0, 172.0]]), torch.tensor([level]))[0]
    bins = torch.arange(14) + 0.5
    torch.testing.assert_close(crop[0], (50 + bins * 10).expand(14, 14), atol=1e-3, rtol=0)
    torch.testing.assert_close(crop[1], (60 + bins * 8)[:, None].expand(14, 14), atol=1e-3, rtol=0)


def test_pooling_equals_one_roi_align_for_each_box() -> None:
    pyramid, boxes = random_pyramid(images=2), random_rois(12, images=2)
    levels = torch.arange(12) % 3
    crops = pool_rois(pyramid, STRIDES, boxes, levels)
    for crop, box, image, level in zip(crops, boxes.boxes, boxes.images, levels, strict=True):
        alone = roi_align(pyramid[level], torch.cat([image[None], box])[None], 14, 1 / STRIDES[level], 0, aligned=True)
        torch.testing.assert_close(crop, alone[0])


def test_the_order_of_the_boxes_is_kept() -> None:
    pyramid, boxes = random_pyramid(images=1), random_rois(12, images=1)
    levels, order = torch.arange(12) % 3, torch.randperm(12, generator=torch.Generator().manual_seed(0))
    shuffled = pool_rois(pyramid, STRIDES, RoIs(*(field[order] for field in boxes)), levels[order])
    assert torch.equal(shuffled, pool_rois(pyramid, STRIDES, boxes, levels)[order])


def test_the_gradient_reaches_the_levels_that_are_read() -> None:
    pyramid = [features.requires_grad_() for features in random_pyramid(images=1)]
    pool_rois(pyramid, STRIDES, rois([[16, 16, 80, 80.0]] * 2), torch.tensor([0, 2])).sum().backward()
    assert [bool(features.grad.any()) for features in pyramid] == [True, False, True]


def test_no_box_is_pooled_to_no_crop_with_a_gradient_of_zero() -> None:
    pyramid = [features.requires_grad_() for features in random_pyramid(images=2)]
    crops = pool_rois(pyramid, STRIDES, NO_ROI, torch.zeros(0, dtype=torch.int64))
    assert crops.shape == (0, 3, 14, 14)
    crops.sum().backward()
    assert not any(features.grad.any() for features in pyramid)


def test_crops_are_float32_in_mixed_precision() -> None:
    pyramid = [features.bfloat16() for features in random_pyramid(images=1)]
    assert pool_rois(pyramid, STRIDES, rois([[16, 16, 80, 80.0]]), torch.tensor([0])).dtype == torch.float32
