"""Masks moved, drawn and pasted: by hand, as inverses, and against a slow way. Run-length codes: ``test_rle.py``."""

import numpy as np
import pytest
import torch
from tests.masks import (
    PICTURE,
    box,
    drawn_bitmap,
    ellipse,
    every_empty_mask,
    iou,
    noise,
    polygon,
    rectangle,
    whole_plane,
)
from torch.nn import functional

from centermask.ops.mask_warp import (
    Bitmap,
    Mask,
    Polygons,
    area,
    as_bitmap,
    bounds,
    covers,
    draw,
    from_rle,
    from_runs,
    middle,
    move,
    paste,
    resample,
    shift,
    to_rle,
)
from centermask.size import Size

# bounds and area


def test_bounds_of_a_bitmap_leave_out_its_blank_margin() -> None:
    pixels = np.zeros((4, 5), dtype=bool)
    pixels[1, 2] = pixels[2, 3] = True
    assert bounds(Bitmap(pixels, left=10, top=20)).tolist() == [12, 21, 14, 23]


def test_bounds_of_polygons_hold_every_part() -> None:
    assert bounds(Polygons((polygon((1, 2), (5, 2), (1, 8)), rectangle(7, 0, 9, 3)))).tolist() == [1, 0, 9, 8]


def test_bounds_agree_between_polygons_and_bitmap() -> None:
    mask = Polygons((rectangle(10, 20, 31, 44),))
    assert bounds(mask).tolist() == bounds(drawn_bitmap(mask)).tolist() == [10, 20, 31, 44]


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


# paste


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


def test_a_mask_that_fills_its_box_keeps_weak_edges() -> None:
    soft = np.full((28, 28), 0.6, dtype=np.float32)  # falling to zero within a cell, it would lose a third of one
    frame = box(10.4, 2.6, 66.4, 58.6)
    assert bounds(paste(soft, frame, PICTURE)).tolist() == [11, 3, 66, 58]
    assert bounds(paste(soft, frame, PICTURE, fills_box=True)).tolist() == [10, 3, 66, 59]


@pytest.mark.parametrize("frame", [(5.3, 7.7, 33.1, 29.9), (-20.5, -9, 30, 40), (60, 40, 200.5, 90)])
def test_pasting_a_mask_that_fills_its_box_agrees_with_sampling_its_continued_edges(frame: tuple[float, ...]) -> None:
    soft = np.random.default_rng(0).random((28, 28), dtype=np.float32)
    left, top, right, bottom = frame
    width, height = (right - left) / 28, (bottom - top) / 28
    continued = box(left - width, top - height, right + width, bottom + height)
    slow = slowly_pasted(np.pad(soft, 1, mode="edge"), continued, PICTURE)
    x, y = np.arange(PICTURE.width) + 0.5, np.arange(PICTURE.height)[:, None] + 0.5
    inside = (left <= x) & (x < right) & (top <= y) & (y < bottom)
    sure = abs(slow - 0.5) > 1e-4
    fast = whole_plane(paste(soft, box(*frame), PICTURE, fills_box=True), PICTURE)
    assert (fast == (slow >= 0.5) & inside)[sure].all()


@pytest.mark.parametrize("frame", [(-30, -30, -10, -10), (90, 10, 99, 20), (20, 20, 20, 30), (30, 30, 20, 20)])
def test_nothing_is_pasted_of_a_box_that_shows_nothing(frame: tuple[float, ...]) -> None:
    assert area(paste(np.ones((28, 28), dtype=np.float32), box(*frame), PICTURE)) == 0


def test_no_more_than_the_box_and_the_picture_is_made() -> None:
    pasted = paste(np.ones((28, 28), dtype=np.float32), box(-1000, 20, 1000, 30), PICTURE)
    assert pasted.pixels.shape == (12, 80)
    assert bounds(pasted).tolist() == [0, 20, 80, 30]


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
    drawn, sampled = (whole_plane(move(one, scale, offset, size), size) for one in (mask, drawn_bitmap(mask)))
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


def test_a_code_whose_set_runs_touch_is_read_as_it_is_drawn() -> None:
    # Two set pixels, an empty gap, four more; and one that goes on at the head of the next column.
    runs = np.array([2, 2, 0, 4, 3, 2, 7])
    drawn = (np.arange(20) >= 2) & (np.arange(20) < 8) | (np.arange(20) >= 11) & (np.arange(20) < 13)
    assert (whole_plane(from_runs(runs, Size(5, 4)), Size(5, 4)) == drawn.reshape(4, 5).T).all()


@pytest.mark.parametrize(("rows", "height"), [((1, 3), 2), ((0, 5), 5), ((4, 5), 1)])
def test_a_decoded_mask_is_cut_to_its_rows(rows: tuple[int, int], height: int) -> None:
    plane = np.zeros((5, 4), dtype=bool)
    plane[slice(*rows), 1:3] = True
    found = from_rle(to_rle(Bitmap(plane, 0, 0), Size(5, 4)))
    assert found.pixels.shape == (height, 2)
    assert (found.left, found.top) == (1, rows[0])
    assert found.pixels.all()


def test_a_shift_moves_by_whole_pixels_and_cuts_nothing() -> None:
    bitmap, polygons = Bitmap(noise(5, 7), 3, 4), Polygons((rectangle(1, 2, 5, 6),))
    assert bounds(shift(bitmap, -10, 2)).tolist() == (bounds(bitmap) + box(-10, 2, -10, 2)).tolist()
    assert (shift(bitmap, -10, 2).pixels == bitmap.pixels).all()
    assert shift(polygons, -10, 2).parts[0].tolist() == rectangle(-9, 4, -5, 8).tolist()


@every_empty_mask
def test_an_empty_mask_stays_empty_when_it_is_shifted(mask: Mask) -> None:
    assert area(shift(mask, 3, 4)) == 0


@every_empty_mask
def test_an_empty_mask_is_an_empty_bitmap(mask: Mask) -> None:
    assert area(as_bitmap(mask, PICTURE)) == 0


def test_polygons_become_the_pixels_that_are_drawn() -> None:
    mask = ellipse(30, 25, 19.3, 16.4)
    assert (whole_plane(as_bitmap(mask, PICTURE), PICTURE) == whole_plane(mask, PICTURE)).all()
    bitmap = Bitmap(noise(5, 7), 3, 4)
    assert as_bitmap(bitmap, PICTURE) is bitmap


# middle and covers


def test_the_middle_of_a_rectangle_is_its_centre_whatever_it_is_made_of() -> None:
    mask = Polygons((rectangle(10, 20, 31, 44),))
    assert middle(mask).tolist() == middle(drawn_bitmap(mask)).tolist() == [20.5, 32]


def test_the_middle_lies_where_the_pixels_are() -> None:
    # Three pixels over one: (0.5 + 1.5 + 2.5 + 0.5) / 4 and (0.5 · 3 + 1.5) / 4.
    pixels = np.array([[True, True, True], [True, False, False]])
    assert middle(Bitmap(pixels, left=100, top=200)).tolist() == [101.25, 200.75]


def test_points_are_covered_where_the_plane_is_set() -> None:
    mask = ellipse(30, 25, 19.3, 16.4)
    plane = whole_plane(mask, PICTURE)
    rows, columns = np.indices(PICTURE)
    points = np.stack([columns, rows], axis=2).reshape(-1, 2) + 0.5
    for made in (mask, as_bitmap(mask, PICTURE)):
        assert (covers([made], points).reshape(PICTURE) == plane).all()


@every_empty_mask
def test_an_empty_mask_covers_nothing_and_its_middle_is_finite(mask: Mask) -> None:
    assert not covers([mask], np.array([[0.0, 0.0], [-1.0, 3.0]])).any()
    assert np.isfinite(middle(mask)).all()
