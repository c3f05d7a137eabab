"""Areas and clipping of boxes."""

import torch
from torchvision.ops import box_iou

from centermask.ops.boxes import box_areas, pairwise_ious


def test_area_is_width_times_height() -> None:
    boxes = torch.tensor([[1.0, 2.0, 4.0, 7.0], [-2.0, -2.0, 2.0, 2.0], [0.0, 0.0, 0.5, 0.5]])
    assert box_areas(boxes).tolist() == [15.0, 16.0, 0.25]


def test_area_of_a_box_turned_round_is_zero() -> None:
    # Turned in both axes, the product of the sides alone would be 12.
    boxes = torch.tensor([[4.0, 0.0, 1.0, 4.0], [4.0, 4.0, 1.0, 0.0], [3.0, 3.0, 3.0, 9.0]])
    assert box_areas(boxes).tolist() == [0.0, 0.0, 0.0]


def test_area_does_not_change_when_a_box_is_moved() -> None:
    boxes = torch.tensor([[1.0, 2.0, 4.0, 7.0]])
    assert torch.equal(box_areas(boxes + 100), box_areas(boxes))


def test_no_box_has_no_area() -> None:
    assert box_areas(torch.zeros(0, 4)).shape == (0,)


def test_overlaps_within_each_image_are_those_of_torchvision() -> None:
    corners = torch.rand(3, 6, 2, 2, generator=torch.Generator().manual_seed(0)) * 20
    boxes = torch.cat([corners.amin(dim=2), corners.amax(dim=2)], dim=2)
    found = pairwise_ious(boxes)
    for own, ious in zip(boxes, found, strict=True):
        torch.testing.assert_close(ious, box_iou(own, own))


def test_a_box_that_is_a_point_or_nowhere_overlaps_none() -> None:
    nan, far = float("nan"), float("inf")
    odd = [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [nan, 0.0, 2.0, 2.0], [-far, -far, far, far]]
    found = pairwise_ious(torch.tensor([[[0.0, 0.0, 2.0, 2.0], *odd]]))
    assert found[0, 0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert not found[0, 1:, 1:].any()


def test_images_without_boxes_and_no_image_have_no_overlaps() -> None:
    assert pairwise_ious(torch.zeros(2, 0, 4)).shape == (2, 0, 0)
    assert pairwise_ious(torch.zeros(0, 5, 4)).shape == (0, 5, 5)
