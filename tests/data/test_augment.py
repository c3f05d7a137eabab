"""Training views: pixels, masks and boxes go through one map and stay together."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.data.augment import SMALLEST_SIDE, Augmentation, Example, View, augment, draw_view
from centermask.data.sample import Sample
from centermask.ops.mask_warp import Bitmap, Mask, bounds, draw
from centermask.size import Size
from tests.pictures import lit, outlined, rectangle

ANNOTATED = torch.tensor([True, False, True])


def shown(sample: Sample, short_side: int, seed: int = 0, **plan: object) -> Example:
    """A view of a sample; as it is, unless ``plan`` says otherwise."""
    full = Augmentation(**{"short_sides": (short_side, short_side), "long_side": 10_000, "flip": 0.0} | plan)
    return augment(sample, torch.from_numpy(sample.labels), ANNOTATED, full, short_side, np.random.default_rng(seed))


def as_polygons(sample: Sample) -> Sample:
    return sample._replace(masks=tuple(outlined(mask) for mask in sample.masks))


def plane(mask: Mask, size: tuple[int, int]) -> np.ndarray:
    """A mask as a whole picture."""
    if not isinstance(mask, Bitmap):
        return draw(mask.parts, Size(*size))
    whole = np.zeros(size, dtype=bool)
    height, width = mask.pixels.shape
    whole[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
    return whole


# 4 × 6 pixels; an object of 2 × 3 pixels in the lower left corner:   . . . . . .
#                                                                     . . . . . .
#                                                                     # # # . . .
#                                                                     # # # . . .
CORNER = lit(Size(4, 6), [rectangle(0, 2, 3, 2)], [2])
both_kinds = pytest.mark.parametrize("sample", [CORNER, as_polygons(CORNER)], ids=["bitmap", "polygon"])


@both_kinds
def test_a_picture_of_the_right_size_stays_as_it_is(sample: Sample) -> None:
    example = shown(sample, 4)
    np.testing.assert_array_equal(example.pixels.permute(1, 2, 0), sample.image)
    assert example.truth.boxes.tolist() == [[0, 2, 3, 4]]
    assert example.truth.labels.tolist() == [2]
    assert example.truth.annotated is ANNOTATED
    np.testing.assert_array_equal(plane(example.truth.masks[0], (4, 6)), plane(sample.masks[0], (4, 6)))


@both_kinds
def test_a_mirror_turns_left_to_right(sample: Sample) -> None:
    example = shown(sample, 4, flip=1.0)
    np.testing.assert_array_equal(example.pixels.permute(1, 2, 0), sample.image[:, ::-1])
    assert example.truth.boxes.tolist() == [[3, 2, 6, 4]]
    np.testing.assert_array_equal(plane(example.truth.masks[0], (4, 6)), plane(sample.masks[0], (4, 6))[:, ::-1])


@both_kinds
def test_twice_the_size_doubles_the_box(sample: Sample) -> None:
    example = shown(sample, 8)
    assert example.pixels.shape == (3, 8, 12)
    assert example.truth.boxes.tolist() == [[0, 4, 6, 8]]
    doubled = plane(sample.masks[0], (4, 6)).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(plane(example.truth.masks[0], (8, 12)), doubled)


@both_kinds
def test_the_long_side_has_its_limit(sample: Sample) -> None:
    example = shown(sample, 8, long_side=9)
    assert example.pixels.shape == (3, 6, 9)
    assert example.truth.boxes.tolist() == [[0, 3, 4.5, 6]] or isinstance(sample.masks[0], Bitmap)


@both_kinds
def test_half_the_scale_shows_all_of_it_at_half_the_size(sample: Sample) -> None:
    example = shown(sample, 8, scale_jitter=(0.5, 0.5))
    assert example.pixels.shape == (3, 4, 6)
    assert example.truth.boxes.tolist() == [[0, 2, 3, 4]]


def test_twice_the_scale_shows_a_window_of_half_the_sides() -> None:
    rows, columns = np.mgrid[0:8, 0:8].astype(np.uint8)
    sample = Sample(np.stack([rows, columns, rows], axis=2), np.zeros(0, dtype=np.int64), ())
    places = set()
    for seed in range(40):
        # The window of 4 × 4 pixels is shown at 4 × 4 pixels, so that each pixel still tells where it came from.
        pixels = shown(sample, 4, seed, scale_jitter=(2.0, 2.0)).pixels
        top, left = int(pixels[0, 0, 0]), int(pixels[1, 0, 0])
        np.testing.assert_array_equal(pixels[:2].permute(1, 2, 0), sample.image[top : top + 4, left : left + 4, :2])
        places |= {("top", top), ("left", left)}
    assert places == {(side, place) for side in ("top", "left") for place in range(5)}, "every place is drawn"


def test_an_object_outside_the_window_disappears_and_one_at_its_border_is_cut() -> None:
    left, right = rectangle(0, 0, 3, 8), rectangle(13, 0, 3, 8)
    for seed in range(30):
        sample = lit(Size(8, 16), [left, right], [2, 0])
        plan = Augmentation(short_sides=(4, 4), long_side=100, flip=0.0, scale_jitter=(2.0, 2.0))
        view = draw_view(Size(8, 16), plan, 4, np.random.default_rng(seed))
        assert (view.window, view.size) == ((4, 8), (4, 8))
        example = shown(sample, 4, seed, scale_jitter=(2.0, 2.0))
        # By hand: what of columns 0–2 and 13–15 lies in the window of 8 columns; less than two pixels is left out.
        spans = [(max(0, 0 - view.left), min(8, 3 - view.left)), (max(0, 13 - view.left), min(8, 16 - view.left))]
        kept = [i for i, (start, stop) in enumerate(spans) if stop - start >= SMALLEST_SIDE]
        assert example.truth.labels.tolist() == [(2, 0)[i] for i in kept]
        assert example.truth.boxes.tolist() == [[spans[i][0], 0, spans[i][1], 4] for i in kept]


def test_a_picture_without_objects_is_ordinary() -> None:
    example = shown(lit(Size(5, 7), []), 10, flip=1.0, color_jitter=0.5)
    assert example.pixels.shape == (3, 10, 14)
    assert example.truth.boxes.shape == (0, 4)
    assert example.truth.labels.shape == (0,)
    assert example.truth.masks == ()


sides = st.integers(8, 60)


@st.composite
def lit_pictures(draw_value: st.DrawFn) -> Sample:
    size = Size(draw_value(sides), draw_value(sides))
    left, top = draw_value(st.integers(0, size.width - 4)), draw_value(st.integers(0, size.height - 4))
    width, height = draw_value(st.integers(4, size.width - left)), draw_value(st.integers(4, size.height - top))
    return lit(size, [rectangle(left, top, width, height)])


@settings(deadline=None)
@given(lit_pictures(), sides, st.floats(0.4, 2.5), st.integers(0, 1000))
def test_the_mask_stays_on_the_white_pixels(sample: Sample, short_side: int, factor: float, seed: int) -> None:
    example = shown(sample, short_side, seed, flip=0.5, scale_jitter=(factor, factor))
    size = tuple(example.pixels.shape[1:])
    mask = plane(example.truth.masks[0], size) if example.truth.masks else np.zeros(size, dtype=bool)
    light = example.pixels[0].numpy()
    # At the edges pixels are grey; what is nearly white or nearly black is decided.
    assert not (light[mask] < 20).any()
    if example.truth.masks:
        assert mask[light > 235].all()


@settings(deadline=None)
@given(lit_pictures(), sides, st.floats(0.4, 2.5), st.integers(0, 1000))
def test_polygons_and_bitmaps_agree(sample: Sample, short_side: int, factor: float, seed: int) -> None:
    plan = {"flip": 0.5, "scale_jitter": (factor, factor)}
    as_bitmap, as_polygon = (
        shown(sample, short_side, seed, **plan),
        shown(as_polygons(sample), short_side, seed, **plan),
    )
    assert torch.equal(as_bitmap.pixels, as_polygon.pixels)
    if as_bitmap.truth.masks and as_polygon.truth.masks:
        assert (as_bitmap.truth.boxes - as_polygon.truth.boxes).abs().max() <= 0.5 + 1e-5
    else:  # one is left out: the other is hardly larger than what is left out
        for boxes in (as_bitmap.truth.boxes, as_polygon.truth.boxes):
            assert not len(boxes) or (boxes[0, 2:] - boxes[0, :2]).min() <= SMALLEST_SIDE + 1


@settings(deadline=None)
@given(lit_pictures(), sides, st.floats(0.4, 2.5), st.booleans(), st.integers(0, 1000))
def test_boxes_are_the_bounds_of_the_masks_that_remain(
    sample: Sample, short_side: int, factor: float, polygons: bool, seed: int
) -> None:
    sample = as_polygons(sample) if polygons else sample
    example = shown(sample, short_side, seed, flip=0.5, scale_jitter=(factor, factor))
    height, width = example.pixels.shape[1:]
    for box, mask in zip(example.truth.boxes, example.truth.masks, strict=True):
        np.testing.assert_allclose(box, bounds(mask), rtol=1e-6)
        assert (box[2:] - box[:2]).min() >= SMALLEST_SIDE
        assert box.min() >= 0
        assert box[2] <= width
        assert box[3] <= height


@settings(deadline=None)
@given(st.builds(Size, sides, sides), sides, st.floats(0.1, 4), st.integers(0, 1000))
def test_a_view_lies_inside_the_picture_and_within_the_limits(
    size: Size, short_side: int, factor: float, seed: int
) -> None:
    plan = Augmentation(short_sides=(1, 60), long_side=70, flip=0.5, scale_jitter=(factor, factor))
    view: View = draw_view(size, plan, short_side, np.random.default_rng(seed))
    assert 0 <= view.top <= view.top + view.window.height <= size.height
    assert 0 <= view.left <= view.left + view.window.width <= size.width
    assert 1 <= min(view.size) <= short_side
    assert max(view.size) <= 70


def test_the_seed_decides_everything_and_torchs_own_generator_is_left_alone() -> None:
    sample = CORNER._replace(image=np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    plan = {"flip": 0.5, "scale_jitter": (0.5, 2.0), "color_jitter": 0.5}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = shown(sample, 32, seed=5, **plan)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(shown(sample, 32, seed=5, **plan).pixels, first.pixels)
    others = [shown(sample, 32, seed=seed, **plan).pixels for seed in range(6, 12)]
    assert not any(one.shape == first.pixels.shape and torch.equal(one, first.pixels) for one in others)


def test_colours_change_and_geometry_does_not() -> None:
    sample = CORNER._replace(image=np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8))
    plain, varied = shown(sample, 8, seed=3), shown(sample, 8, seed=3, color_jitter=0.5)
    assert not torch.equal(plain.pixels, varied.pixels)
    assert torch.equal(plain.truth.boxes, varied.truth.boxes)


def test_the_sample_itself_is_not_changed() -> None:
    sample = CORNER._replace(image=CORNER.image.copy())
    shown(sample, 8, flip=1.0, color_jitter=0.5, scale_jitter=(1.5, 1.5))
    np.testing.assert_array_equal(sample.image, CORNER.image)
    assert sample.masks[0].pixels.all()
