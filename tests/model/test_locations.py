"""Where predictions stand."""

import torch
from torch import Tensor

from centermask.model.detection.locations import STRIDES, make_locations


def empty_pyramid(height: int, width: int, images: int = 1) -> list[Tensor]:
    return [torch.zeros(images, 1, -(-height // stride), -(-width // stride)) for stride in STRIDES[1:]]


def test_locations_by_hand() -> None:
    # Cells of 8 pixels have their location at +4, row by row.
    found = make_locations([torch.zeros(1, 1, 2, 3)])
    assert found.points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_every_level_brings_its_own_numbers() -> None:
    found = make_locations([torch.zeros(1, 7, 1, 1)] * 5)
    assert found.points.tolist() == [[4, 4], [8, 8], [16, 16], [32, 32], [64, 64]]
    assert found.strides.tolist() == [8, 16, 32, 64, 128]
    assert found.levels.tolist() == [0, 1, 2, 3, 4]
    assert found.ranges.tolist() == [[0, 64], [64, 128], [128, 256], [256, 512], [512, float("inf")]]


def test_a_finer_level_takes_the_lower_half_of_the_finest_range() -> None:
    found = make_locations([torch.zeros(1, 7, 1, 1)] * 6, finest=4)
    assert found.points.tolist() == [[2, 2], [4, 4], [8, 8], [16, 16], [32, 32], [64, 64]]
    assert found.strides.tolist() == [4, 8, 16, 32, 64, 128]
    assert found.levels.tolist() == [0, 1, 2, 3, 4, 5]
    infinite = float("inf")
    assert found.ranges.tolist() == [[0, 32], [32, 64], [64, 128], [128, 256], [256, 512], [512, infinite]]


def test_locations_equal_the_slow_loop() -> None:
    pyramid = empty_pyramid(160, 288)
    slow = [
        (j * stride + stride // 2, i * stride + stride // 2, stride, level)
        for level, (features, stride) in enumerate(zip(pyramid, STRIDES[1:], strict=True))
        for i in range(features.shape[2])
        for j in range(features.shape[3])
    ]
    found = make_locations(pyramid)
    fast = torch.cat([found.points, found.strides[:, None], found.levels[:, None]], dim=1)
    assert torch.equal(fast, torch.tensor(slow, dtype=torch.float32))


def test_a_large_picture_has_the_published_number_of_locations() -> None:
    assert len(make_locations(empty_pyramid(800, 1344)).points) == 22_400
    assert len(make_locations(empty_pyramid(608, 1024)).points) == 12_968


def test_locations_do_not_depend_on_the_number_or_kind_of_images() -> None:
    pairs = zip(make_locations(empty_pyramid(64, 64)), make_locations(empty_pyramid(64, 64, images=0)), strict=True)
    assert all(torch.equal(one, none) for one, none in pairs)
    assert make_locations([torch.zeros(1, 1, 2, 2, dtype=torch.bfloat16)]).points.dtype == torch.float32


def test_a_level_without_a_cell_has_no_location() -> None:
    found = make_locations([torch.zeros(1, 1, 0, 4), torch.zeros(1, 1, 1, 1)])
    assert found.points.tolist() == [[8, 8]]
    assert found.levels.tolist() == [1]
