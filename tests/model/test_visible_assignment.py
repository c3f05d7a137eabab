"""Which locations learn an object by what is seen of it: none learns an object that another one hides there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.model.detection.locations import STRIDES, make_locations
from centermask.model.detection.targets import assign_targets
from centermask.ops.mask_warp import Bitmap, Mask, Polygons, bounds, covers
from centermask.structures import GroundTruth, Locations

SIDE = 96


def locations(*strides: int) -> Locations:
    return make_locations([torch.zeros(1, 1, SIDE // stride, SIDE // stride) for stride in strides])


def truth(*masks: Mask) -> GroundTruth:
    """Objects of classes 0, 1, ..."""
    boxes = torch.from_numpy(np.array([bounds(mask) for mask in masks]).reshape(-1, 4)).float()
    return GroundTruth(boxes, torch.arange(len(masks)), masks, torch.ones(len(masks)).bool())


def stacked(seed: int) -> GroundTruth:
    """Rectangles, the later ones behind the earlier ones: what is hidden belongs to no mask."""
    rng = np.random.default_rng(seed)
    taken, masks = np.zeros((SIDE, SIDE), dtype=bool), list[Mask]()
    for _ in range(int(rng.integers(1, 7))):
        left, top = rng.integers(0, SIDE - 20, 2)
        width, height = rng.integers(12, 60, 2)
        plane = np.zeros_like(taken)
        plane[top : top + height, left : left + width] = True
        if (plane & ~taken).sum() >= 64:
            masks.append(Bitmap(plane & ~taken, 0, 0))
            taken |= plane
    return truth(*masks)


def rectangle(left: int, top: int, right: int, bottom: int) -> Polygons:
    return Polygons((np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=float),))


def learned(objects: GroundTruth, at: Locations, label: int) -> list[tuple[float, ...]]:
    found = assign_targets(at, objects, "visible")
    return [tuple(point) for point in at.points[found.labels == label].tolist()]


def test_a_location_learns_the_larger_object_that_hides_the_smaller_one_there() -> None:
    # The bar lies across the middle of the square; of the square, only 24 to 40 and 56 to 72 are seen.
    bar = rectangle(8, 40, 88, 56)
    plane = np.zeros((SIDE, SIDE), dtype=bool)
    plane[24:72, 36:60] = True
    plane[40:56] = False
    objects = truth(bar, Bitmap(plane, 0, 0))
    at = locations(8)
    middle = at.points.eq(44).all(dim=1)  # in the middle of both boxes; the square's is the smaller
    assert assign_targets(at, objects).labels[middle].tolist() == [1]
    assert assign_targets(at, objects, "visible").labels[middle].tolist() == [0]


def test_an_object_is_learned_around_the_middle_of_what_is_seen() -> None:
    # An L whose box has its middle at (48, 48), where nothing of it is: 64 × 8 at the bottom, 8 × 56 on the left.
    plane = np.zeros((SIDE, SIDE), dtype=bool)
    plane[72:80, 16:80] = plane[16:72, 16:24] = True
    # x: (64·8·48 + 8·56·20) / 960 = 34.9; y: (64·8·76 + 8·56·44) / 960 = 61.1.
    found = learned(truth(Bitmap(plane, 0, 0)), locations(8), 0)
    assert found == [(x, y) for y in (52, 60, 68) for x in (28, 36, 44)]


def test_what_is_seen_alone_is_learned_as_published_rule_has_it() -> None:
    objects = truth(rectangle(4, 4, 40, 44), rectangle(50, 10, 90, 80))
    at = locations(8, 16)
    torch.testing.assert_close(assign_targets(at, objects, "visible"), assign_targets(at, objects))


def test_polygons_and_their_pixels_are_assigned_alike() -> None:
    plane = np.zeros((SIDE, SIDE), dtype=bool)
    plane[10:50, 20:70] = True
    at = locations(8)
    drawn = learned(truth(rectangle(20, 10, 70, 50)), at, 0)
    assert drawn == learned(truth(Bitmap(plane, 0, 0)), at, 0) != []


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_all_that_can_be_learned_is_and_only_what_is_seen(seed: int) -> None:
    objects, at = stacked(seed), locations(*STRIDES[:4])
    found = assign_targets(at, objects, "visible")
    points = at.points.double().numpy()
    seen = torch.from_numpy(covers(objects.masks, points).T)
    for label in range(len(objects.masks)):
        own = (found.labels == label).nonzero().squeeze(1)
        others = seen[torch.arange(len(seen)) != label].any(dim=0)
        hidden = (others & ~seen[label])[own]
        assert len(own) > 0
        assert not hidden.any() or len(own) <= 4  # what lost all of its own keeps the nearest, or several as near


@pytest.mark.parametrize("mask", [Polygons(()), Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)])
def test_an_object_that_is_not_seen_at_all_does_no_harm(mask: Mask) -> None:
    objects = truth(mask, rectangle(20, 20, 60, 60))
    found = assign_targets(locations(8), objects, "visible")
    assert (found.labels == 1).any()
    assert found.ltrb.isfinite().all()
