"""Masks between picture and box: by hand, as inverses, and against a slow way. Run-length codes: ``test_rle.py``."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from centermask.ops.mask_warp import (
    Bitmap,
    Mask,
    Polygons,
    area,
    bounds,
    crop,
    draw,
    from_rle,
    move,
    paste,
    resample,
    share_inside,
    to_rle,
)
from centermask.size import Size

PICTURE = Size(60, 80)
NOTHING = Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)
NO_POLYGON = Polygons(())
every_empty_mask = pytest.mark.parametrize(
    "mask", [NOTHING, NO_POLYGON, Bitmap(np.zeros((3, 4), dtype=bool), 5, 6)], ids=["cut", "polygons", "blank"]
)


def box(*sides: float) -> np.ndarray:
    return np.array(sides, dtype=float)


def polygon(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=float)


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def ellipse(x: float, y: float, a: float, b: float) -> Polygons:
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    return Polygons((np.stack([x + a * np.cos(angles), y + b * np.sin(angles)], axis=1),))


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width)) < 0.5


def whole_plane(mask: Mask, size: Size) -> np.ndarray:
    if isinstance(mask, Polygons):
        return draw(mask.parts, size)
    plane = np.zeros(size, dtype=bool)
    height, width = mask.pixels.shape
    plane[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
    return plane


def as_bitmap(mask: Polygons, size: Size = PICTURE) -> Bitmap:
    return Bitmap(draw(mask.parts, size), 0, 0)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / max((first | second).sum(), 1)


# bounds and area


def test_bounds_of_a_bitmap_leave_out_its_blank_margin() -> None:
    pixels = np.zeros((4, 5), dtype=bool)
    pixels[1, 2] = pixels[2, 3] = True
    assert bounds(Bitmap(pixels, left=10, top=20)).tolist() == [12, 21, 14, 23]


def test_bounds_of_polygons_hold_every_part() -> None:
    assert bounds(Polygons((polygon((1, 2), (5, 2), (1, 8)), rectangle(7, 0, 9, 3)))).tolist() == [1, 0, 9, 8]


def test_bounds_agree_between_polygons_and_bitmap() -> None:
    mask = Polygons((rectangle(10, 20, 31, 44),))
    assert bounds(mask).tolist() == bounds(as_bitmap(mask)).tolist() == [10, 20, 31, 44]


def test_area_of_polygons_is_that_of_the_shoelace_formula() -> None:
    triangle = polygon((1, 2), (5, 2), (1, 8))  # 4 · 6 / 2
    assert area(Polygons((triangle,))) == area(Polygons((triangle[::-1],))) == 12
    assert area(Polygons((triangle, rectangle(10, 10, 12, 13)))) == 18


def test_area_of_a_bitmap_counts_pixels() -> None:
    assert area(Bitmap(np.eye(5, dtype=bool), left=100, top=100)) == 5


@every_empty_mask
def test_an_empty_mask_has_no_extent(mask: Mask) -> None:
    assert bounds(mask).tolist() == [0, 0, 0, 0]
    assert area(mask) == 0


# draw


def test_a_square_is_drawn_where_it_is() -> None:
    drawn = draw([rectangle(1, 1, 3, 4)], Size(5, 4))
    assert drawn.astype(int).tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_parts_are_joined_even_where_they_overlap() -> None:
    drawn = draw([rectangle(0, 0, 4, 4), rectangle(2, 2, 6, 6)], Size(8, 8))
    assert drawn.sum() == 16 + 16 - 4


def test_nothing_is_drawn_of_no_polygon_or_on_no_grid() -> None:
    assert draw([], Size(3, 4)).shape == (3, 4)
    assert not draw([], Size(3, 4)).any()
    assert draw([rectangle(0, 0, 4, 4)], Size(0, 4)).shape == (0, 4)


# resample


def test_a_cell_is_set_where_half_of_it_is_covered() -> None:
    mask = Bitmap(np.array([[1, 0, 0, 0, 0, 1]], dtype=bool), left=2, top=3)
    cells = resample(mask, box(2, 3, 8, 4), Size(1, 2))  # a third of each cell
    assert cells.tolist() == [[False, False]]
    cells = resample(mask, box(2, 3, 8, 4), Size(1, 3))  # 1/2, 0, 1/2
    assert cells.tolist() == [[True, False, True]]


def test_a_box_turned_round_shows_the_mask_mirrored() -> None:
    mask = Bitmap(noise(5, 7), left=3, top=2)
    assert (resample(mask, box(10, 2, 3, 7), Size(5, 7)) == mask.pixels[:, ::-1]).all()
    assert (resample(mask, box(3, 7, 10, 2), Size(5, 7)) == mask.pixels[::-1]).all()


def test_a_box_without_width_shows_nothing() -> None:
    assert not resample(Bitmap(np.ones((5, 7), dtype=bool), 0, 0), box(3, 0, 3, 5), Size(4, 4)).any()


@every_empty_mask
def test_an_empty_mask_is_resampled_to_nothing(mask: Mask) -> None:
    if isinstance(mask, Bitmap):
        assert not resample(mask, box(0, 0, 20, 20), Size(4, 4)).any()


def test_resampling_agrees_with_counting_fine_points() -> None:
    mask, frame, points = Bitmap(noise(9, 11), left=4, top=5), box(2.3, 4.1, 14.7, 15.2), 400
    plane = whole_plane(mask, Size(20, 20))
    x = frame[0] + (np.arange(6 * points) + 0.5) / (6 * points) * (frame[2] - frame[0])
    y = frame[1] + (np.arange(6 * points) + 0.5) / (6 * points) * (frame[3] - frame[1])
    fine = plane[np.floor(y).astype(int)][:, np.floor(x).astype(int)]
    shares = fine.reshape(6, points, 6, points).mean(axis=(1, 3))
    sure = abs(shares - 0.5) > 0.01
    assert (resample(mask, frame, Size(6, 6)) == (shares >= 0.5))[sure].all()


# crop and paste


def test_crop_shows_the_mask_through_the_box() -> None:
    # The left half of the box is object.
    polygons, frame = Polygons((rectangle(10, 10, 20, 30),)), box(10, 10, 30, 30)
    wanted = np.tile(np.arange(28) < 14, (28, 1))
    assert (crop([polygons, as_bitmap(polygons)], np.stack([frame, frame]), 28) == wanted).all()


def test_crop_cuts_what_lies_outside_the_box() -> None:
    masks = [Polygons((rectangle(10, 10, 20, 20),)), Bitmap(np.ones((10, 10), dtype=bool), 10, 10)]
    beside, within = box(40, 40, 50, 50), box(12, 12, 16, 16)
    assert not crop(masks, np.stack([beside, beside]), 14).any()
    assert crop(masks, np.stack([within, within]), 14).all()


@pytest.mark.parametrize("frame", [(10, 8, 51, 43), (20.4, 3.2, 64.9, 30.7), (-10, -10, 50, 50), (25, 20, 35, 30)])
def test_polygons_and_their_bitmap_are_cropped_alike(frame: tuple[float, ...]) -> None:
    mask = ellipse(30, 25, 19.3, 16.4)
    drawn, sampled = crop([mask, as_bitmap(mask)], np.stack([box(*frame)] * 2), 28)
    assert iou(drawn, sampled) > 0.9


def test_each_mask_is_cropped_on_its_own() -> None:
    masks = [ellipse(30, 25, 19, 16), Bitmap(noise(20, 20), 30, 30), ellipse(50, 40, 9, 6)]
    frames = np.stack([box(10, 8, 51, 43), box(32, 28, 52, 49), box(40, 30, 60, 50)])
    together = crop(masks, frames, 14)
    alone = [crop([mask], frame[None], 14)[0] for mask, frame in zip(masks, frames, strict=True)]
    assert (together == np.stack(alone)).all()


def test_no_mask_is_cropped_to_no_mask() -> None:
    assert crop([], np.zeros((0, 4)), 28).shape == (0, 28, 28)


@every_empty_mask
def test_an_empty_mask_is_empty_through_every_box(mask: Mask) -> None:
    assert not crop([mask], box(0, 0, 20, 20)[None], 28).any()


def test_paste_undoes_crop_pixel_by_pixel_where_cells_are_pixels() -> None:
    mask = Bitmap(noise(28, 28), left=17, top=9)
    frame = box(17, 9, 45, 37)
    pasted = paste(crop([mask], frame[None], 28)[0].astype(np.float32), frame, PICTURE)
    assert (whole_plane(pasted, PICTURE) == whole_plane(mask, PICTURE)).all()


def test_crop_undoes_paste_where_cells_are_pixels() -> None:
    frame = box(40, 20, 68, 48)
    grid = noise(28, 28, seed=1)
    assert (crop([paste(grid.astype(np.float32), frame, PICTURE)], frame[None], 28)[0] == grid).all()


@pytest.mark.parametrize(("a", "b"), [(35, 25), (19.3, 16.4), (9.0, 22.0)])
def test_paste_nearly_undoes_crop_at_other_scales(a: float, b: float) -> None:
    mask = ellipse(40, 30, a, b)
    frame = bounds(mask)
    pasted = paste(crop([mask], frame[None], 28)[0].astype(np.float32), frame, PICTURE)
    assert iou(whole_plane(pasted, PICTURE), whole_plane(mask, PICTURE)) > 0.95


def test_a_full_mask_is_pasted_as_its_box() -> None:
    pasted = paste(np.ones((28, 28), dtype=np.float32), box(10, 20, 38, 48), PICTURE)
    assert bounds(pasted).tolist() == [10, 20, 38, 48]
    assert area(pasted) == 28 * 28


def test_a_pixel_at_the_threshold_is_set() -> None:
    soft = np.full((28, 28), 0.25, dtype=np.float32)
    assert area(paste(soft, box(10, 20, 38, 48), PICTURE, threshold=0.25)) == 28 * 28
    assert area(paste(soft, box(10, 20, 38, 48), PICTURE, threshold=0.26)) == 0


def slowly_pasted(soft: np.ndarray, frame: np.ndarray, size: Size) -> np.ndarray:
    """Over the whole picture, by torch's own sampler."""
    x = (np.arange(size.width) + 0.5 - frame[0]) / (frame[2] - frame[0]) * 2 - 1
    y = (np.arange(size.height) + 0.5 - frame[1]) / (frame[3] - frame[1]) * 2 - 1
    grid = torch.from_numpy(np.stack(np.meshgrid(x, y), axis=2)).float()[None]
    return functional.grid_sample(torch.from_numpy(soft)[None, None], grid, align_corners=False)[0, 0].numpy()


@pytest.mark.parametrize(
    "frame", [(5.3, 7.7, 33.1, 29.9), (-20.5, -9, 30, 40), (60, 40, 200.5, 90), (30.2, 20, 32, 22)]
)
def test_pasting_agrees_with_sampling_the_whole_picture(frame: tuple[float, ...]) -> None:
    soft = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    slow = slowly_pasted(soft, box(*frame), PICTURE)
    sure = abs(slow - 0.5) > 1e-4
    assert (whole_plane(paste(soft, box(*frame), PICTURE), PICTURE) == (slow >= 0.5))[sure].all()


@pytest.mark.parametrize("frame", [(-30, -30, -10, -10), (90, 10, 99, 20), (20, 20, 20, 30), (30, 30, 20, 20)])
def test_nothing_is_pasted_of_a_box_that_shows_nothing(frame: tuple[float, ...]) -> None:
    assert area(paste(np.ones((28, 28), dtype=np.float32), box(*frame), PICTURE)) == 0


def test_no_more_than_the_box_and_the_picture_is_made() -> None:
    pasted = paste(np.ones((28, 28), dtype=np.float32), box(-1000, 20, 1000, 30), PICTURE)
    assert pasted.pixels.shape == (12, 80)
    assert bounds(pasted).tolist() == [0, 20, 80, 30]


# share_inside


@pytest.mark.parametrize(
    "mask", [Polygons((rectangle(10, 10, 14, 14),)), Bitmap(np.ones((4, 4), dtype=bool), 10, 10)], ids=["P", "B"]
)
@pytest.mark.parametrize(
    ("frame", "share"),
    [((0, 0, 30, 30), 1), ((10, 10, 12, 14), 0.5), ((12, 12, 30, 30), 0.25), ((11, 11, 13, 13), 0.25)],
)
def test_the_share_inside_a_box_is_the_share_of_its_area(mask: Mask, frame: tuple[int, ...], share: float) -> None:
    assert share_inside(mask, box(*frame)) == pytest.approx(share)


def test_a_box_may_cut_through_the_pixels_of_a_bitmap() -> None:
    mask = Bitmap(np.ones((4, 4), dtype=bool), 10, 10)
    assert share_inside(mask, box(10, 10, 11.5, 13)) == pytest.approx(1.5 * 3 / 16)


def test_the_four_quarters_of_a_bitmap_add_up_to_one() -> None:
    mask, x, y = Bitmap(noise(13, 17), left=5, top=4), 11.3, 9.8
    frames = [(0, 0, x, y), (x, 0, 40, y), (0, y, x, 40), (x, y, 40, 40)]
    assert sum(share_inside(mask, box(*frame)) for frame in frames) == pytest.approx(1, abs=1e-5)


def test_polygons_and_their_bitmap_have_like_shares() -> None:
    mask, frame = ellipse(30, 25, 19.3, 16.4), box(20, 15, 45, 60)
    assert share_inside(mask, frame) == pytest.approx(share_inside(as_bitmap(mask), frame), abs=0.02)


@every_empty_mask
def test_the_share_of_an_empty_mask_is_a_positive_number(mask: Mask) -> None:
    assert share_inside(mask, box(0, 0, 20, 20)) == 1e-10


@pytest.mark.parametrize(
    "mask",
    [Polygons((rectangle(10, 10, 14, 14),)), Polygons((polygon((1, 1), (5, 5), (9, 9)),)), Bitmap(noise(4, 4), 10, 10)],
)
@pytest.mark.parametrize("frame", [(40, 40, 50, 50), (12, 12, 12, 12), (-9, -9, -5, -5)])
def test_a_share_is_never_zero_nor_nan(mask: Mask, frame: tuple[int, ...]) -> None:
    assert 0 < share_inside(mask, box(*frame)) <= 1


# move

MASKS = pytest.mark.parametrize(
    "mask",
    [Polygons((rectangle(10, 12, 31, 40), polygon((40, 12), (52, 14), (44, 33)))), Bitmap(noise(28, 42), 10, 12)],
    ids=["polygons", "bitmap"],
)


@MASKS
def test_moving_nowhere_changes_nothing(mask: Mask) -> None:
    moved = move(mask, (1.0, 1.0), (0.0, 0.0), PICTURE)
    assert (whole_plane(moved, PICTURE) == whole_plane(mask, PICTURE)).all()
    assert bounds(moved).tolist() == bounds(mask).tolist()


@MASKS
def test_a_whole_step_shifts_the_plane(mask: Mask) -> None:
    shifted = np.zeros(PICTURE, dtype=bool)
    shifted[5:, :-7] = whole_plane(mask, PICTURE)[:-5, 7:]
    assert (whole_plane(move(mask, (1.0, 1.0), (-7.0, 5.0), PICTURE), PICTURE) == shifted).all()


def test_a_negative_scale_mirrors_a_bitmap() -> None:
    mask = Bitmap(noise(28, 42), 10, 12)
    mirrored = move(mask, (-1.0, 1.0), (80.0, 0.0), PICTURE)
    assert (whole_plane(mirrored, PICTURE) == whole_plane(mask, PICTURE)[:, ::-1]).all()


def test_a_negative_scale_mirrors_polygons() -> None:
    mirrored = move(Polygons((polygon((10, 5), (20, 5), (10, 25)),)), (-1.0, 1.0), (80.0, 0.0), PICTURE)
    assert mirrored.parts[0].tolist() == [[70, 5], [60, 5], [70, 25]]


@MASKS
def test_a_mirror_is_its_own_inverse(mask: Mask) -> None:
    once = move(mask, (-1.0, 1.0), (80.0, 0.0), PICTURE)
    twice = move(once, (-1.0, 1.0), (80.0, 0.0), PICTURE)
    assert (whole_plane(twice, PICTURE) == whole_plane(mask, PICTURE)).all()


@MASKS
def test_twice_the_scale_is_four_times_the_area(mask: Mask) -> None:
    large = move(mask, (2.0, 2.0), (0.0, 0.0), Size(120, 160))
    assert area(large) == 4 * area(mask)
    assert bounds(large).tolist() == (2 * bounds(mask)).tolist()
    back = move(large, (0.5, 0.5), (0.0, 0.0), PICTURE)
    assert (whole_plane(back, PICTURE) == whole_plane(mask, PICTURE)).all()


@pytest.mark.parametrize("scale", [(0.7, 0.7), (-0.7, 0.7), (1.3, 0.6), (1.3, -1.1)])
def test_polygons_and_their_bitmap_are_moved_alike(scale: tuple[float, float]) -> None:
    mask, size = ellipse(30, 25, 19.3, 16.4), Size(50, 60)
    offset = tuple(float(0 if part > 0 else side) for part, side in zip(scale, (60, 50), strict=True))
    drawn, sampled = (whole_plane(move(one, scale, offset, size), size) for one in (mask, as_bitmap(mask)))
    assert iou(drawn, sampled) > 0.93


@MASKS
@pytest.mark.parametrize("offset", [(200.0, 0.0), (-200.0, 0.0), (0.0, 200.0), (0.0, -200.0)])
def test_what_is_moved_out_of_the_picture_is_empty(mask: Mask, offset: tuple[float, float]) -> None:
    moved = move(mask, (1.0, 1.0), offset, PICTURE)
    assert area(moved) == 0
    assert bounds(moved).tolist() == [0, 0, 0, 0]


@MASKS
def test_what_reaches_over_the_border_is_cut_there(mask: Mask) -> None:
    moved = move(mask, (1.0, 1.0), (-20.0, -25.0), PICTURE)
    assert bounds(moved)[:2].tolist() == [0, 0]
    cut = np.zeros(PICTURE, dtype=bool)
    cut[:-25, :-20] = whole_plane(mask, PICTURE)[25:, 20:]
    assert iou(whole_plane(moved, PICTURE), cut) > 0.97


def test_polygons_are_cut_at_the_border() -> None:
    moved = move(Polygons((rectangle(-2, -3, 2, 3),)), (1.0, 1.0), (0.0, 0.0), PICTURE)
    assert bounds(moved).tolist() == [0, 0, 2, 3]
    assert area(moved) == 6
    corner = move(Polygons((polygon((70, 50), (90, 50), (70, 70)),)), (1.0, 1.0), (0.0, 0.0), PICTURE)
    assert area(corner) == pytest.approx(100)  # the triangle's right angle: 10 × 10 of it is inside
    assert bounds(corner).tolist() == [70, 50, 80, 60]


def test_a_concave_polygon_cut_in_two_keeps_its_area() -> None:
    # A U whose foot hangs out below: two prongs of 4 × 20 remain.
    u = polygon((10, 40), (14, 40), (14, 70), (20, 70), (20, 40), (24, 40), (24, 80), (10, 80))
    assert area(move(Polygons((u,)), (1.0, 1.0), (0.0, 0.0), PICTURE)) == pytest.approx(160)


def test_a_part_out_of_the_picture_is_dropped_alone() -> None:
    moved = move(Polygons((rectangle(5, 5, 9, 9), rectangle(90, 5, 95, 9))), (1.0, 1.0), (0.0, 0.0), PICTURE)
    assert [part.tolist() for part in moved.parts] == [rectangle(5, 5, 9, 9).tolist()]


@every_empty_mask
def test_an_empty_mask_stays_empty(mask: Mask) -> None:
    assert area(move(mask, (-2.0, 2.0), (80.0, 0.0), PICTURE)) == 0


@MASKS
def test_moving_leaves_its_input_untouched(mask: Mask) -> None:
    before = whole_plane(mask, PICTURE).copy()
    move(mask, (-1.5, 0.5), (33.0, -9.0), PICTURE)
    assert (whole_plane(mask, PICTURE) == before).all()


# run-length codes


@MASKS
def test_a_code_holds_the_plane(mask: Mask) -> None:
    code = to_rle(mask, PICTURE)
    assert code["size"] == [60, 80]
    assert (whole_plane(from_rle(code), PICTURE) == whole_plane(mask, PICTURE)).all()


@every_empty_mask
def test_the_code_of_an_empty_mask_is_an_empty_mask(mask: Mask) -> None:
    assert area(from_rle(to_rle(mask, PICTURE))) == 0
