"""Mosaic: four pictures on one canvas, each with its own objects at their own places."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.data.augment import SMALLEST_SIDE, Augmentation, Example
from centermask.data.mosaic import draw_tile, mosaic
from centermask.data.sample import Sample
from centermask.ops.mask_warp import Bitmap, bounds
from centermask.size import Size
from tests.masks import whole_plane
from tests.pictures import outlined, rectangle

ANNOTATED = torch.tensor([True] * 4)


def halves(size: Size, number: int, polygons: bool = False) -> Sample:
    """A picture whose left half is an object: red is 200 there and else 0, green is everywhere 60 × number."""
    image = np.zeros((*size, 3), dtype=np.uint8)
    image[:, : size.width // 2, 0] = 200
    image[..., 1] = 60 * number
    mask = rectangle(0, 0, size.width // 2, size.height)
    return Sample(image, np.array([number], dtype=np.int64), (outlined(mask) if polygons else mask,))


def put_together(samples: list[Sample], short_side: int, seed: int = 0, **plan: object) -> Example:
    full = Augmentation(**{"short_sides": (1, 1), "long_side": 10_000, "flip": 0.0} | plan)
    pairs = [(sample, torch.from_numpy(sample.labels)) for sample in samples]
    return mosaic(pairs, ANNOTATED, full, short_side, np.random.default_rng(seed))


FOUR = [halves(Size(32, 32), i) for i in range(4)]


def test_the_canvas_has_the_size_of_the_first_picture_alone() -> None:
    samples = [halves(Size(40, 60), 0), *FOUR[1:]]
    assert put_together(samples, 20).pixels.shape == (3, 20, 30)
    assert put_together(samples, 20, long_side=24).pixels.shape == (3, 16, 24)


def test_each_picture_has_its_corner_and_the_tiles_meet_in_the_middle_half() -> None:
    for seed in range(20):
        pixels = put_together(FOUR, 32, seed).pixels[1] // 60
        height, width = int((pixels[:, 0] == 0).sum()), int((pixels[0] == 0).sum())
        assert 8 <= height <= 24
        assert 8 <= width <= 24
        wanted = torch.zeros(32, 32, dtype=torch.uint8)
        wanted[:height, width:], wanted[height:, :width], wanted[height:, width:] = 1, 2, 3
        assert torch.equal(pixels, wanted)


@pytest.mark.parametrize("polygons", [False, True])
@pytest.mark.parametrize("plan", [{}, {"flip": 1.0}, {"scale_jitter": (1.0, 2.0), "flip": 0.5}])
def test_masks_lie_on_their_own_colour(polygons: bool, plan: dict) -> None:
    samples = [halves(Size(32 + 8 * i, 48 - 4 * i), i, polygons) for i in range(4)]
    for seed in range(10):
        found = put_together(samples, 40, seed, **plan)
        red, number = found.pixels[0].numpy(), found.pixels[1].numpy() // 60
        for label, mask in zip(found.truth.labels.tolist(), found.truth.masks, strict=True):
            plane = whole_plane(mask, Size(*red.shape))
            assert (number[plane] == label).all()
            assert (red[plane] > 20).all()  # at the edges colours are blended
            assert plane[(number == label) & (red > 180)].all()


def test_every_object_that_is_seen_is_kept() -> None:
    for seed in range(20):
        found = put_together(FOUR, 32, seed)
        red, number = found.pixels[0].numpy(), found.pixels[1].numpy() // 60
        seen = {i for i in range(4) if ((number == i) & (red > 100)).sum(axis=1).max() >= SMALLEST_SIDE}
        assert seen <= set(found.truth.labels.tolist()) <= set(range(4))


def test_without_jitter_of_the_scale_a_tile_shows_a_whole_side_of_its_picture() -> None:
    plan = Augmentation(short_sides=(1, 1), long_side=100)
    for seed in range(20):
        view = draw_tile(Size(30, 60), Size(10, 10), plan, np.random.default_rng(seed))
        assert view.window == (30, 30)
        assert view.size == (10, 10)
        assert (view.top, view.left) == (0, view.left)
        assert 0 <= view.left <= 30


def test_pictures_without_objects_and_of_a_single_pixel_are_ordinary() -> None:
    empty = Sample(np.zeros((1, 1, 3), dtype=np.uint8), np.zeros(0, dtype=np.int64), ())
    found = put_together([empty] * 4, 1)
    assert found.pixels.shape == (3, 1, 1)
    assert found.truth.boxes.shape == (0, 4)
    mixed = put_together([empty, *FOUR[1:]], 8)
    assert 0 not in mixed.truth.labels
    assert mixed.truth.annotated is ANNOTATED


def test_the_same_draw_gives_the_same_and_another_does_not() -> None:
    first, again, other = (put_together(FOUR, 32, seed, flip=0.5, color_jitter=0.3) for seed in (1, 1, 2))
    assert torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.truth.boxes, again.truth.boxes)
    assert not torch.equal(first.pixels, other.pixels)


def test_the_pictures_themselves_are_not_changed() -> None:
    before = [sample.image.copy() for sample in FOUR]
    put_together(FOUR, 32, flip=1.0, color_jitter=0.5)
    assert all((sample.image == image).all() for sample, image in zip(FOUR, before, strict=True))
    assert all(sample.masks[0].pixels.all() for sample in FOUR)


sides = st.integers(1, 60)


@settings(deadline=None)
@given(st.lists(st.builds(Size, sides, sides), min_size=4, max_size=4), sides, st.floats(0.3, 3), st.integers(0, 1000))
def test_objects_lie_on_the_canvas_in_boxes_of_their_masks(
    sizes: list[Size], short_side: int, factor: float, seed: int
) -> None:
    samples = [halves(size, i, polygons=bool(i % 2)) for i, size in enumerate(sizes)]
    found = put_together(samples, short_side, seed, long_side=90, flip=0.5, scale_jitter=(factor, factor))
    height, width = found.pixels.shape[1:]
    assert len(found.truth.boxes) == len(found.truth.labels) == len(found.truth.masks)
    for box, mask in zip(found.truth.boxes, found.truth.masks, strict=True):
        np.testing.assert_allclose(box, bounds(mask), rtol=1e-6)
        assert (box[2:] - box[:2]).min() >= SMALLEST_SIDE
        assert box.min() >= 0
        assert box[2] <= width
        assert box[3] <= height
        assert not isinstance(mask, Bitmap) or mask.pixels.shape <= (height, width)


@settings(deadline=None)
@given(st.builds(Size, sides, sides), st.builds(Size, sides, sides), st.floats(0.3, 4), st.integers(0, 1000))
def test_a_tile_is_filled_from_inside_its_picture(size: Size, tile: Size, factor: float, seed: int) -> None:
    plan = Augmentation(short_sides=(1, 60), long_side=70, scale_jitter=(factor, factor))
    view = draw_tile(size, tile, plan, np.random.default_rng(seed))
    assert view.size == tile
    assert 0 <= view.top < view.top + view.window.height <= size.height
    assert 0 <= view.left < view.left + view.window.width <= size.width
