"""Areas and clipping of boxes."""

import torch

from centermask.ops.boxes import box_areas


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
