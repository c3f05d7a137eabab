"""Masks through boxes: by hand, as the inverse of pasting, and against a slow way, one box after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.masks import (
    NO_POLYGON,
    NOTHING,
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

from centermask.ops import mask_crop
from centermask.ops.mask_crop import crop_masks
from centermask.ops.mask_warp import Bitmap, Mask, Polygons, area, bounds, draw, paste, resample
from centermask.size import Size


def crop(masks: list[Mask], boxes: np.ndarray, side: int) -> np.ndarray:
    """Each mask through its own box."""
    return crop_masks(masks, np.arange(len(masks)), boxes, side).grids


def share_inside(mask: Mask, frame: np.ndarray) -> float:
    return float(crop_masks([mask], np.array([0]), frame[None], 28).shares[0])


def test_crop_shows_the_mask_through_the_box() -> None:
    # The left half of the box is object.
    polygons, frame = Polygons((rectangle(10, 10, 20, 30),)), box(10, 10, 30, 30)
    wanted = np.tile(np.arange(28) < 14, (28, 1))
    assert (crop([polygons, drawn_bitmap(polygons)], np.stack([frame, frame]), 28) == wanted).all()


def test_crop_cuts_what_lies_outside_the_box() -> None:
    masks = [Polygons((rectangle(10, 10, 20, 20),)), Bitmap(np.ones((10, 10), dtype=bool), 10, 10)]
    beside, within = box(40, 40, 50, 50), box(12, 12, 16, 16)
    assert not crop(masks, np.stack([beside, beside]), 14).any()
    assert crop(masks, np.stack([within, within]), 14).all()


@pytest.mark.parametrize("frame", [(10, 8, 51, 43), (20.4, 3.2, 64.9, 30.7), (-10, -10, 50, 50), (25, 20, 35, 30)])
def test_polygons_and_their_bitmap_are_cropped_alike(frame: tuple[float, ...]) -> None:
    mask = ellipse(30, 25, 19.3, 16.4)
    drawn, sampled = crop([mask, drawn_bitmap(mask)], np.stack([box(*frame)] * 2), 28)
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
    assert share_inside(mask, frame) == pytest.approx(share_inside(drawn_bitmap(mask), frame), abs=0.02)


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


# many at once


def slowly(mask: Mask, frame: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """One mask through one box."""
    width, height = frame[2:] - frame[:2]
    if isinstance(mask, Bitmap):
        fine = Size(int(height * 64), int(width * 64))  # boxes of sixty-fourths of a pixel: each point is sure
        inside = resample(mask, frame, fine).sum() / 64**2
        grid = resample(mask, frame, Size(side, side))
    else:
        inside = draw([part - frame[:2] for part in mask.parts], Size(max(1, int(height)), max(1, int(width)))).sum()
        scale = side / np.maximum(frame[2:] - frame[:2], 0.1)
        grid = draw([(part - frame[:2]) * scale for part in mask.parts], Size(side, side))
    return grid, float(np.clip(inside / max(area(mask), 1e-10), 1e-10, 1))


MANY: list[Mask] = [
    Bitmap(noise(9, 7), 3, 4),
    ellipse(9, 8, 6.3, 5.2),
    NOTHING,
    Bitmap(noise(5, 12, seed=3), 0, 9),
    NO_POLYGON,
    Polygons((rectangle(1, 1, 5, 4), polygon((7, 2), (12, 3), (8, 11)))),
    Bitmap(np.zeros((3, 4), dtype=bool), 5, 6),
]
sixty_fourths = st.integers(-4 * 64, 20 * 64).map(lambda value: value / 64)


@st.composite
def views(draw_value: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    objects = draw_value(st.lists(st.integers(0, len(MANY) - 1), max_size=12))
    corners = np.array([[draw_value(sixty_fourths) for _ in range(2)] for _ in objects]).reshape(-1, 2)
    sides = np.array([[draw_value(st.integers(1, 10 * 64)) / 64 for _ in range(2)] for _ in objects]).reshape(-1, 2)
    return np.array(objects, dtype=np.int64), np.concatenate([corners, corners + sides], axis=1)


@settings(deadline=None, max_examples=60)
@given(views(), st.integers(1, 9))
def test_many_boxes_show_what_each_shows_alone(seen: tuple[np.ndarray, np.ndarray], side: int) -> None:
    objects, frames = seen
    found = crop_masks(MANY, objects, frames, side)
    for i, frame, grid, share in zip(objects.tolist(), frames, found.grids, found.shares, strict=True):
        wanted, wanted_share = slowly(MANY[i], frame, side)
        assert (grid == wanted).all()
        assert share == pytest.approx(wanted_share, abs=1e-6)


def test_how_many_pixels_are_summed_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = np.array([6, 0, 3, 1, 0, 2, 5, 3])
    frames = np.stack([box(x, x / 2, x + 9, x + 7) for x in range(8)])
    together = crop_masks(MANY, objects, frames, 7)
    monkeypatch.setattr(mask_crop, "MOST_SUMS", 1)
    alone = crop_masks(MANY, objects, frames, 7)
    assert (together.grids == alone.grids).all()
    assert (together.shares == alone.shares).all()


def test_a_mask_of_the_largest_size_is_counted_without_overflow() -> None:
    mask = Bitmap(np.ones((1, 70_000), dtype=bool), 0, 0)
    assert share_inside(mask, box(0, 0, 35_000, 1)) == pytest.approx(0.5)
    assert crop([mask], box(0, 0, 70_000, 1)[None], 4).all()
