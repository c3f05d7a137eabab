"""Copy-paste: every pixel belongs to the picture that its mask says, and no object is lost that is still seen."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.data.augment import SMALLEST_SIDE, Augmentation, Example, augment
from centermask.data.copy_paste import paste_objects
from centermask.data.sample import Sample
from centermask.ops.mask_warp import Bitmap, Polygons, bounds
from centermask.size import Size
from tests.masks import whole_plane
from tests.pictures import outlined, rectangle

ANNOTATED = torch.tensor([True, True])
GROUND = {"below": 10, "above": 20}
PLAN = Augmentation(short_sides=(1, 1), long_side=10_000, flip=0.0)


def flat(size: Size, masks: list[Bitmap], which: str, polygons: bool = False) -> Example:
    """A picture of one colour, with objects of one colour each: 100, 101, ... below, 200, 201, ... above."""
    first = {"below": 100, "above": 200}[which]
    image = np.full((*size, 3), GROUND[which], dtype=np.uint8)
    for i, mask in enumerate(masks):
        image[whole_plane(mask, size)] = first + i
    kept = tuple(outlined(mask) if polygons else mask for mask in masks)
    labels = torch.full((len(masks),), int(which == "above"))
    sample = Sample(image, labels.numpy(), kept)
    return augment(sample, labels, ANNOTATED, PLAN, min(size), np.random.default_rng(0))


def pasted(onto: Example, source: Example, seed: int = 0) -> Example:
    return paste_objects(onto, source, np.random.default_rng(seed))


def planes(example: Example) -> list[np.ndarray]:
    size = Size(*example.pixels.shape[1:])
    return [whole_plane(mask, size) for mask in example.truth.masks]


def test_a_pasted_object_hides_what_lies_below() -> None:
    # Pictures of 8 × 8; the object below fills columns 0 to 5, the one above columns 4 to 7: columns 0 to 3 are left.
    below = flat(Size(8, 8), [rectangle(0, 2, 6, 4)], "below")
    above = flat(Size(8, 8), [rectangle(4, 2, 4, 4)], "above")
    found = pasted(below, above)
    assert found.truth.boxes.tolist() == [[0, 2, 4, 6], [4, 2, 8, 6]]
    assert found.truth.labels.tolist() == [0, 1]
    assert found.truth.annotated is ANNOTATED
    row = [100] * 4 + [200] * 4
    assert found.pixels[0].tolist() == [[10] * 8] * 2 + [row] * 4 + [[10] * 8] * 2


def test_a_polygon_under_a_paste_becomes_a_bitmap_and_others_stay_polygons() -> None:
    below = flat(Size(8, 16), [rectangle(0, 2, 6, 4), rectangle(10, 2, 4, 4)], "below", polygons=True)
    above = flat(Size(8, 16), [rectangle(4, 2, 4, 4)], "above", polygons=True)
    found = pasted(below, above)
    assert [type(mask) for mask in found.truth.masks] == [Bitmap, Polygons, Polygons]
    assert found.truth.boxes.tolist() == [[0, 2, 4, 6], [10, 2, 14, 6], [4, 2, 8, 6]]
    assert found.truth.masks[1] is below.truth.masks[1]


@pytest.mark.parametrize(("columns", "stays"), [(17, True), (18, True), (19, False), (20, False)])
def test_an_object_of_which_less_than_a_tenth_is_seen_is_left_out(columns: int, stays: bool) -> None:
    below = flat(Size(8, 20), [rectangle(0, 2, 20, 4)], "below")
    above = flat(Size(8, 20), [rectangle(0, 2, columns, 4)], "above")
    assert pasted(below, above).truth.labels.tolist() == ([0, 1] if stays else [1])


def test_what_is_left_with_less_than_two_pixels_of_a_side_is_left_out() -> None:
    below = flat(Size(8, 8), [rectangle(0, 2, 4, 4)], "below")
    above = flat(Size(8, 8), [rectangle(1, 2, 4, 4)], "above")
    assert pasted(below, above).truth.labels.tolist() == [1]


@pytest.mark.parametrize("polygons", [True, False])
def test_pictures_without_objects_are_ordinary(polygons: bool) -> None:
    empty, full = flat(Size(8, 8), [], "below"), flat(Size(8, 8), [rectangle(1, 1, 4, 4)], "above", polygons)
    for onto in (full, empty):
        nothing = pasted(onto, empty)
        assert torch.equal(nothing.pixels, onto.pixels)
        assert torch.equal(nothing.truth.boxes, onto.truth.boxes)
        assert nothing.truth.masks == onto.truth.masks
    found = pasted(empty, full)
    assert found.truth.labels.tolist() == [1]
    assert (found.pixels[0] == 200).sum() == 16


def test_the_pictures_themselves_are_not_changed() -> None:
    below, above = (
        flat(Size(8, 8), [rectangle(0, 2, 6, 4)], "below"),
        flat(Size(8, 8), [rectangle(4, 2, 4, 4)], "above"),
    )
    before = [below.pixels.clone(), above.pixels.clone(), below.truth.masks[0].pixels.copy()]
    pasted(below, above)
    assert torch.equal(below.pixels, before[0])
    assert torch.equal(above.pixels, before[1])
    assert below.truth.masks[0].pixels.all()
    assert (below.truth.masks[0].pixels == before[2]).all()


def test_any_number_of_objects_and_every_place_is_drawn() -> None:
    below = flat(Size(4, 24), [], "below")
    above = flat(Size(4, 12), [rectangle(0, 0, 3, 3), rectangle(4, 0, 3, 3), rectangle(8, 0, 3, 3)], "above")
    found = [pasted(below, above, seed) for seed in range(200)]
    picked = {tuple(np.unique(one.pixels[0])[1:].tolist()) for one in found}
    assert picked == {(200,), (201,), (202,), (200, 201), (200, 202), (201, 202), (200, 201, 202)}
    lefts = {int(one.truth.boxes[0, 0]) for one in found if (one.pixels == 200).any()}
    assert lefts == set(range(13))


def test_the_same_draw_pastes_the_same() -> None:
    below, above = (
        flat(Size(9, 30), [rectangle(3, 1, 9, 5)], "below"),
        flat(Size(9, 12), [rectangle(2, 0, 5, 5)], "above"),
    )
    first, again, other = (pasted(below, above, seed) for seed in (1, 1, 2))
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.truth.boxes, again.truth.boxes)
    assert not torch.equal(first.pixels, other.pixels)


class Flat(NamedTuple):
    """What ``flat`` makes a picture of."""

    size: Size
    masks: list[Bitmap]
    polygons: bool


@st.composite
def pictures(draw_value: st.DrawFn) -> Flat:
    size = Size(draw_value(st.integers(6, 24)), draw_value(st.integers(6, 24)))
    plane = np.zeros(size, dtype=bool)
    masks = []
    for _ in range(draw_value(st.integers(0, 4))):
        left, top = draw_value(st.integers(0, size.width - 3)), draw_value(st.integers(0, size.height - 3))
        width, height = draw_value(st.integers(3, size.width - left)), draw_value(st.integers(3, size.height - top))
        mask = rectangle(left, top, width, height)
        if not (whole_plane(mask, size) & plane).any():
            plane |= whole_plane(mask, size)
            masks.append(mask)
    return Flat(size, masks, draw_value(st.booleans()))


def together(under: Flat, over: Flat) -> tuple[Example, Example]:
    return flat(under.size, under.masks, "below", under.polygons), flat(over.size, over.masks, "above", over.polygons)


@settings(deadline=None)
@given(pictures(), pictures(), st.integers(0, 1000))
def test_every_pixel_has_the_colour_of_its_object(under: Flat, over: Flat, seed: int) -> None:
    found = pasted(*together(under, over), seed)
    owned = planes(found)
    light = found.pixels[0].numpy()
    for label, plane in zip(found.truth.labels.tolist(), owned, strict=True):
        colours = np.unique(light[plane])
        assert len(colours) == 1
        assert colours[0] >= (200 if label else 100)
    assert np.sum(owned, axis=0).max() <= 1, "areas are disjoint"
    assert (light != GROUND["above"]).all(), "no ground is pasted"


@settings(deadline=None)
@given(pictures(), pictures(), st.integers(0, 1000))
def test_no_object_is_lost_that_is_still_seen(under: Flat, over: Flat, seed: int) -> None:
    found = pasted(*together(under, over), seed)
    light = found.pixels[0].numpy()
    kept = {int(light[plane][0]) for plane in planes(found)}
    for i, mask in enumerate(under.masks):
        rows, columns = np.nonzero(light == 100 + i)
        sides = [np.ptp(rows) + 1, np.ptp(columns) + 1] if len(rows) else [0, 0]
        assert (100 + i in kept) == (len(rows) >= 0.1 * mask.pixels.size and min(sides) >= SMALLEST_SIDE)
    assert set(np.unique(light[light >= 200]).tolist()) == {colour for colour in kept if colour >= 200}


@settings(deadline=None)
@given(pictures(), pictures(), st.integers(0, 1000))
def test_boxes_are_the_bounds_of_the_masks_and_bitmaps_stay_in_them(under: Flat, over: Flat, seed: int) -> None:
    truth = pasted(*together(under, over), seed).truth
    assert len(truth.boxes) == len(truth.labels) == len(truth.masks)
    for box, mask in zip(truth.boxes, truth.masks, strict=True):
        np.testing.assert_allclose(box, bounds(mask))
        if isinstance(mask, Bitmap):
            assert mask.pixels.shape == (box[3] - box[1], box[2] - box[0])
