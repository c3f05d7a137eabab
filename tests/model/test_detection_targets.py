"""Which object each location should predict."""

import pytest
import torch
from torch import Tensor

from centermask.model.detection.locations import STRIDES, make_locations
from centermask.model.detection.targets import CENTER_RADIUS, assign_targets
from centermask.structures import DenseTargets, GroundTruth, Locations

NONE = 3
"""The label of a location without an object."""


def truth(boxes: list[list[float]], labels: list[int]) -> GroundTruth:
    return GroundTruth(
        torch.tensor(boxes).view(-1, 4).float(), torch.tensor(labels, dtype=torch.int64), (), torch.ones(3).bool()
    )


def at(*points: tuple[float, float], stride: float = 8, low: float = 0, high: float = 64) -> Locations:
    count = len(points)
    return Locations(
        points=torch.tensor(points),
        strides=torch.full((count,), float(stride)),
        ranges=torch.tensor([[float(low), float(high)]] * count),
        levels=torch.zeros(count, dtype=torch.int64),
    )


def all_locations(side: int) -> Locations:
    return make_locations([torch.zeros(1, 1, -(-side // stride), -(-side // stride)) for stride in STRIDES[1:]])


def random_truth(count: int, side: int, seed: int = 0) -> GroundTruth:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * side
    boxes = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)
    return truth(boxes.tolist(), torch.randint(3, (count,), generator=generator).tolist())


def assert_same(found: DenseTargets, wanted: DenseTargets) -> None:
    assert torch.equal(found.labels, wanted.labels)
    positive = found.labels < NONE
    torch.testing.assert_close(found.ltrb[positive], wanted.ltrb[positive])
    torch.testing.assert_close(found.centerness[positive], wanted.centerness[positive])


def test_a_target_by_hand() -> None:
    # At (20, 24) in [10, 10, 30, 50]: 10 to the left, 14 up, 10 to the right, 26 down; strides of 8.
    found = assign_targets(at((20.0, 24.0)), truth([[10, 10, 30, 50]], [2]))
    assert found.labels.tolist() == [2]
    assert found.ltrb.tolist() == [[10 / 8, 14 / 8, 10 / 8, 26 / 8]]
    assert found.centerness.item() == pytest.approx((14 / 26) ** 0.5)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_location_prefers_the_smallest_object(order: tuple[int, ...]) -> None:
    boxes, labels = [[30, 30, 70, 70], [40, 40, 60, 60], [20, 35, 80, 65]], [0, 1, 2]
    found = assign_targets(at((50.0, 50.0)), truth([boxes[i] for i in order], [labels[i] for i in order]))
    assert found.labels.tolist() == [1]
    assert found.ltrb.tolist() == [[1.25] * 4]


def test_the_smallest_object_is_passed_over_where_it_may_not_be_predicted() -> None:
    # (30, 50) lies in the small box too, but not near its centre.
    found = assign_targets(at((32.0, 50.0)), truth([[20, 20, 60, 80], [28, 44, 60, 56]], [0, 1]))
    assert found.labels.tolist() == [0]


def test_only_locations_near_the_centre_are_positive() -> None:
    # 1.5 strides of 8 are 12: the centre (50, 50) is seen from 61.9 but not from 62, in each axis.
    points = [(61.9, 50.0), (62.0, 50.0), (50.0, 38.1), (50.0, 38.0), (61.9, 61.9)]
    found = assign_targets(at(*points), truth([[0, 0, 100, 100]], [1]))
    assert CENTER_RADIUS * 8 == 12
    assert found.labels.tolist() == [1, NONE, 1, NONE, 1]


def test_the_centre_square_grows_with_the_stride() -> None:
    found = assign_targets(at((62.0, 50.0), stride=16), truth([[0, 0, 100, 100]], [1]))
    assert found.labels.tolist() == [1]


def test_a_location_on_the_border_is_outside() -> None:
    # All lie less than 12 from the centre (20, 20).
    points = [(10.0, 20.0), (30.0, 20.0), (20.0, 10.0), (20.0, 30.0), (10.1, 20.0), (9.0, 20.0)]
    found = assign_targets(at(*points), truth([[10, 10, 30, 30]], [0]))
    assert found.labels.tolist() == [NONE, NONE, NONE, NONE, 0, NONE]


@pytest.mark.parametrize(("x", "levels"), [(63.0, (False, True)), (64.0, (True, True)), (65.0, (False, True))])
def test_a_range_includes_both_its_ends(x: float, levels: tuple[bool, bool]) -> None:
    # From the centre of [0, 0, 128, 128] the largest distance is exactly 64: positive on both levels.
    boxes = truth([[0, 0, 128, 128]], [0])
    fine, coarse = at((x, 64.0), high=64), at((x, 64.0), low=64, high=128)
    found = [assign_targets(locations, boxes).labels.item() == 0 for locations in (fine, coarse)]
    assert tuple(found) == levels


def test_every_level_takes_objects_of_its_own_size() -> None:
    # Half the side is the least distance that can be the largest; at most 1.5 strides come on top of it.
    for level, half in enumerate([30, 70, 140, 300, 560]):
        locations = all_locations(1152)
        found = assign_targets(locations, truth([[576 - half, 576 - half, 576 + half, 576 + half]], [0]))
        assert locations.levels[found.labels == 0].unique().tolist() == [level]


def test_a_box_centred_on_the_left_edge_of_the_picture_is_found() -> None:
    # Its centre is x = 0, which the published code takes for "no object" (spec 7.1, 7).
    found = assign_targets(at((4.0, 28.0)), truth([[-20, 10, 20, 50]], [1]))
    assert found.labels.tolist() == [1]
    assert found.ltrb.tolist() == [[3.0, 2.25, 2.0, 2.75]]


def test_a_box_of_more_than_a_hundred_million_square_pixels_is_found() -> None:
    # 1e8 stands for infinity in the published code (spec 7.1, 8).
    centre = at((10_000.0, 10_000.0), stride=128, low=512, high=float("inf"))
    found = assign_targets(centre, truth([[0, 0, 20_000, 20_000]], [2]))
    assert found.labels.tolist() == [2]


def test_without_truth_every_location_is_background() -> None:
    locations = all_locations(128)
    found = assign_targets(locations, truth([], []))
    count = len(locations.points)
    assert found.labels.tolist() == [NONE] * count
    assert found.ltrb.shape == (count, 4)
    assert found.centerness.shape == (count,)


def test_without_a_location_there_is_no_target() -> None:
    nowhere = Locations(torch.zeros(0, 2), torch.zeros(0), torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    assert [len(field) for field in assign_targets(nowhere, truth([[0, 0, 9, 9]], [0]))] == [0, 0, 0]
    assert [len(field) for field in assign_targets(nowhere, truth([], []))] == [0, 0, 0]


def test_a_box_without_area_is_never_predicted() -> None:
    boxes = truth([[20, 10, 20, 30], [20, 20, 20, 20], [30, 30, 10, 10]], [0, 1, 2])
    assert (assign_targets(at((20.0, 20.0)), boxes).labels == NONE).all()


def test_what_is_meant_for_no_location_stays_finite() -> None:
    found = assign_targets(all_locations(256), random_truth(5, 256))
    assert all(field.isfinite().all() for field in found)


def slow_label(point: Tensor, stride: float, limits: list[float], objects: GroundTruth) -> int:
    best, label = float("inf"), NONE
    (x, y), (low, high) = point.tolist(), limits
    for (left, top, right, bottom), own in zip(objects.boxes.tolist(), objects.labels.tolist(), strict=True):
        sides = (x - left, y - top, right - x, bottom - y)
        near = max(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)) < 1.5 * stride
        size = (right - left) * (bottom - top)
        if min(sides) > 0 and near and low <= max(sides) <= high and size < best:
            best, label = size, own
    return label


@pytest.mark.parametrize("seed", range(3))
def test_labels_equal_the_slow_loop(seed: int) -> None:
    locations, objects = all_locations(256), random_truth(20, 256, seed)
    rows = zip(locations.points, locations.strides.tolist(), locations.ranges.tolist(), strict=True)
    assert assign_targets(locations, objects).labels.tolist() == [slow_label(*row, objects) for row in rows]


def test_the_order_of_the_objects_does_not_matter() -> None:
    locations, objects = all_locations(256), random_truth(20, 256)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    shuffled = objects._replace(boxes=objects.boxes[order], labels=objects.labels[order])
    assert_same(assign_targets(locations, shuffled), assign_targets(locations, objects))


def test_a_mirrored_picture_has_mirrored_targets() -> None:
    # 256 is a multiple of every stride, so that the locations are mirrored into each other.
    locations, objects = all_locations(256), random_truth(20, 256)
    left, top, right, bottom = objects.boxes.unbind(1)
    mirrored = objects._replace(boxes=torch.stack([256 - right, top, 256 - left, bottom], dim=1))
    away = locations._replace(points=torch.stack([256 - locations.points[:, 0], locations.points[:, 1]], dim=1))
    found, there = assign_targets(locations, objects), assign_targets(away, mirrored)
    assert_same(there._replace(ltrb=there.ltrb[:, [2, 1, 0, 3]]), found)


def test_a_positive_location_decodes_to_its_object() -> None:
    locations, objects = all_locations(256), random_truth(20, 256)
    found = assign_targets(locations, objects)
    positive = found.labels < NONE
    assert positive.any()
    sides = found.ltrb * locations.strides[:, None]
    boxes = torch.cat([locations.points - sides[:, :2], locations.points + sides[:, 2:]], dim=1)[positive]
    apart = (boxes[:, None] - objects.boxes[None]).abs().amax(dim=2)
    assert apart.amin(dim=1).max() < 1e-3
    assert torch.equal(objects.labels[apart.argmin(dim=1)], found.labels[positive])
    assert (found.ltrb[positive] > 0).all()
    assert (found.centerness[positive] > 0).all()
