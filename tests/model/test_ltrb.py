"""Boxes as four distances from a point."""

import pytest
import torch
from torch import Tensor

from centermask.model.detection.ltrb import centerness, decode, encode


def points_in_boxes(count: int = 50) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    points = torch.rand(count, 2) * 100
    return points, torch.cat([points - torch.rand(count, 2) * 50, points + torch.rand(count, 2) * 50], dim=1)


def test_distances_run_left_top_right_bottom() -> None:
    assert encode(torch.tensor([[10.0, 20.0]]), torch.tensor([[9.0, 18.0, 13.0, 24.0]])).tolist() == [[1, 2, 3, 4]]


def test_distances_are_negative_outside() -> None:
    assert encode(torch.tensor([[0.0, 5.0]]), torch.tensor([[2.0, 0.0, 9.0, 4.0]])).tolist() == [[-2, 5, 9, -1]]


def test_decode_undoes_encode() -> None:
    points, boxes = points_in_boxes()
    torch.testing.assert_close(decode(points, encode(points, boxes)), boxes)


def test_encode_undoes_decode() -> None:
    points, boxes = points_in_boxes()
    distances = encode(points, boxes)
    torch.testing.assert_close(encode(points, decode(points, distances)), distances, atol=1e-4, rtol=1e-5)


def test_a_mirror_swaps_left_and_right() -> None:
    points, boxes = points_in_boxes()
    mirrored = torch.stack([100 - boxes[:, 2], boxes[:, 1], 100 - boxes[:, 0], boxes[:, 3]], dim=1)
    there = encode(torch.stack([100 - points[:, 0], points[:, 1]], dim=1), mirrored)
    torch.testing.assert_close(there[:, [2, 1, 0, 3]], encode(points, boxes))
    torch.testing.assert_close(centerness(there), centerness(encode(points, boxes)))


@pytest.mark.parametrize(
    ("ltrb", "wanted"),
    [
        ((3, 3, 3, 3), 1),
        ((3, 7, 3, 7), 1),
        ((1, 2, 4, 2), 0.5),  # √(1/4 · 2/2)
        ((1, 1, 4, 9), 1 / 6),  # √(1/4 · 1/9)
        ((0, 3, 6, 3), 0),
        ((-1, 3, 6, 3), 0),
        ((0, 0, 0, 0), 0),
    ],
)
def test_centerness_by_hand(ltrb: tuple[int, ...], wanted: float) -> None:
    assert centerness(torch.tensor(ltrb, dtype=torch.float32)).item() == pytest.approx(wanted)


def test_centerness_does_not_depend_on_the_unit() -> None:
    points, boxes = points_in_boxes()
    distances = encode(points, boxes)
    torch.testing.assert_close(centerness(distances / 32), centerness(distances))
    assert (centerness(distances) >= 0).all()
    assert (centerness(distances) <= 1).all()


def test_no_point_has_no_box() -> None:
    assert encode(torch.zeros(0, 2), torch.zeros(0, 4)).shape == (0, 4)
    assert decode(torch.zeros(0, 2), torch.zeros(0, 4)).shape == (0, 4)
    assert centerness(torch.zeros(0, 4)).shape == (0,)
    assert encode(torch.zeros(7, 0, 2), torch.zeros(7, 0, 4)).shape == (7, 0, 4)
