"""Drawings: where colour goes, where it does not, and where captions stand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.ops import mask_warp
from centermask.ops.mask_warp import Bitmap
from centermask.size import Size
from centermask.visualize import instance_colours, number_colours, overlay, pick_pen, place_caption


def square(picture: Size, left: int, top: int, side: int) -> tuple[np.ndarray, mask_warp.rles.RLE]:
    bitmap = Bitmap(np.ones((side, side), dtype=bool), left, top)
    return np.array([left, top, left + side, top + side], dtype=np.float32), mask_warp.to_rle(bitmap, picture)


def test_a_fill_is_a_blend_inside_and_nothing_is_drawn_far_outside() -> None:
    image = np.full((200, 200, 3), 100, dtype=np.uint8)
    box, code = square(Size(200, 200), 50, 60, 80)
    drawn = overlay(image, box[None], [code], [""], np.array([[200, 0, 100]], dtype=np.uint8), opacity=0.25)
    assert drawn[100, 90].tolist() == [125, 75, 100]
    untouched = np.ones((200, 200), dtype=bool)
    untouched[54:146, 44:136] = False
    assert (drawn[untouched] == 100).all()
    assert (image == 100).all()


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_an_outline_has_its_colour_and_a_dark_rim(ground: int) -> None:
    image = np.full((600, 600, 3), ground, dtype=np.uint8)
    box, code = square(Size(600, 600), 100, 100, 300)
    drawn = overlay(image, box[None], [code], [""], np.array([[250, 200, 0]], dtype=np.uint8)).astype(int)
    row = drawn[250, 90:110]
    assert (np.abs(row - [250, 200, 0]).max(axis=1) <= 2).any()
    assert row.sum(axis=1).min() <= max(0, 3 * ground - 150)


def test_a_small_object_lies_over_a_large_one_whatever_the_order() -> None:
    picture = Size(200, 200)
    image = np.zeros((*picture, 3), dtype=np.uint8)
    boxes, codes = zip(square(picture, 80, 80, 40), square(picture, 10, 10, 180), strict=True)
    colours = np.array([[255, 0, 0], [0, 0, 255]], dtype=np.uint8)
    drawn = overlay(image, np.stack(boxes), codes, ["", ""], colours, opacity=0.9)
    assert drawn[100, 100, 0] > 200
    swapped = overlay(image, np.stack(boxes[::-1]), codes[::-1], ["", ""], colours[::-1], opacity=0.9)
    np.testing.assert_array_equal(drawn, swapped)


@pytest.mark.parametrize("picture", [Size(1, 1), Size(3, 40), Size(120, 90), Size(700, 5)])
def test_pictures_of_any_size_can_be_drawn_on(picture: Size) -> None:
    image = np.zeros((*picture, 3), dtype=np.uint8)
    whole = mask_warp.to_rle(Bitmap(np.ones(picture, dtype=bool), 0, 0), picture)
    empty = mask_warp.to_rle(Bitmap(np.zeros((0, 0), dtype=bool), 0, 0), picture)
    boxes = np.array([[0, 0, picture.width, picture.height], [0, 0, 1, 1]], dtype=np.float32)
    drawn = overlay(image, boxes, [whole, empty], ["a long caption 0.99", "ünïcode 漢字"], instance_colours(2))
    assert drawn.shape == image.shape
    assert drawn.any()


def test_nothing_to_draw_is_the_same_picture() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    drawn = overlay(image, np.zeros((0, 4), dtype=np.float32), [], [], instance_colours(0))
    np.testing.assert_array_equal(drawn, image)
    assert drawn is not image


def test_colours_differ_and_neighbours_differ_much() -> None:
    colours = instance_colours(60).astype(int)
    assert len({tuple(colour) for colour in colours.tolist()}) == 60
    for step in (1, 2):
        assert np.abs(colours[step:] - colours[:-step]).sum(axis=1).min() > 100
    assert (colours.max(axis=1) - colours.min(axis=1)).min() > 80


def test_a_number_has_the_same_colour_whatever_stands_beside_it() -> None:
    np.testing.assert_array_equal(number_colours(np.array([7, 0, 7])), instance_colours(8)[[7, 0, 7]])


def test_pen_grows_with_the_picture_and_letters_shrink_in_a_crowd() -> None:
    small, middle, large = (pick_pen(Size(side, side), 5) for side in (100, 600, 3000))
    assert small.line < middle.line < large.line
    assert small.text < middle.text < large.text
    assert 2 <= middle.line <= 3
    assert pick_pen(Size(600, 600), 60).text < middle.text


def test_a_caption_stands_over_its_object_or_else_where_it_is_free() -> None:
    picture, plate, anchor = Size(300, 300), Size(10, 40), (100, 100, 200, 200)
    first = place_caption(plate, anchor, [], picture)
    assert first == (130, 90, 170, 100)
    second = place_caption(plate, anchor, [first], picture)
    assert second == (130, 145, 170, 155)
    assert place_caption(plate, (0, 0, 100, 100), [], picture) == (30, 0, 70, 10)


@settings(max_examples=50, deadline=None)
@given(
    left=st.integers(0, 200), top=st.integers(0, 100), width=st.integers(0, 300), height=st.integers(0, 200)
)  # fmt: skip
def test_a_caption_stays_in_the_picture(left: int, top: int, width: int, height: int) -> None:
    picture, plate = Size(110, 210), Size(12, 60)
    anchor = (left, top, min(210, left + width), min(110, top + height))
    x0, y0, x1, y1 = place_caption(plate, anchor, [], picture)
    assert 0 <= x0 < x1 <= 210
    assert 0 <= y0 < y1 <= 110


def test_captions_of_eight_objects_in_one_spot_keep_apart_where_there_is_room() -> None:
    taken: list[tuple[int, int, int, int]] = []
    for _ in range(8):
        taken.append(place_caption(Size(10, 40), (100, 100, 200, 200), taken, Size(300, 300)))
    cover = np.zeros((300, 300), dtype=int)
    for x0, y0, x1, y1 in taken:
        cover[y0:y1, x0:x1] += 1
    assert cover.max() == 1
