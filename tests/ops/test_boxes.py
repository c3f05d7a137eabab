"""Areas and clipping of boxes."""

import torch

from centermask.ops.boxes import box_areas, clip_boxes


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


def test_each_box_is_clipped_to_its_own_picture() -> None:
    boxes = torch.tensor([[-5.0, -5.0, 50.0, 50.0], [-5.0, -5.0, 50.0, 50.0]])
    sizes = torch.tensor([[10, 20], [60, 30]])  # (height, width)
    assert clip_boxes(boxes, sizes).tolist() == [[0.0, 0.0, 20.0, 10.0], [0.0, 0.0, 30.0, 50.0]]


def test_a_box_beside_the_picture_becomes_empty() -> None:
    boxes = torch.tensor([[30.0, 2.0, 40.0, 8.0], [-9.0, -9.0, -1.0, -1.0]])
    clipped = clip_boxes(boxes, torch.tensor([[10, 20], [10, 20]]))
    assert clipped.tolist() == [[20.0, 2.0, 20.0, 8.0], [0.0, 0.0, 0.0, 0.0]]


def test_clipping_twice_is_clipping_once_and_leaves_its_input() -> None:
    boxes = torch.randn(20, 4, generator=torch.manual_seed(0)) * 50
    before, sizes = boxes.clone(), torch.randint(1, 60, (20, 2))
    once = clip_boxes(boxes, sizes)
    assert torch.equal(clip_boxes(once, sizes), once)
    assert torch.equal(boxes, before)


def test_no_box_is_clipped_to_no_box() -> None:
    assert clip_boxes(torch.zeros(0, 4), torch.zeros(0, 2, dtype=torch.int64)).shape == (0, 4)
