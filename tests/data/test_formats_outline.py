"""The outline of a mask: drawn again, it is the mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as oracle

from centermask.data.formats.outline import bridge, draws, one_outline, trace
from centermask.ops.mask_warp import Bitmap, Polygons, from_rle, to_rle
from centermask.ops.rle import RLE
from centermask.size import Size
from tests.data.formats_by_hand import SIZE, pieces, ring

BITMAPS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def signed_area(line: np.ndarray) -> float:
    """Positive where the line runs clockwise (y points down)."""
    x, y = line.T
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def test_a_rectangle_has_four_corners() -> None:
    (line,) = trace(Bitmap(np.ones((2, 3), dtype=bool), left=10, top=20))
    assert line.tolist() == [[10, 20], [13, 20], [13, 22], [10, 22]]


def test_a_hole_runs_the_other_way() -> None:
    outer, hole = trace(ring())
    assert signed_area(outer) == 49
    assert signed_area(hole) == -9


def test_pixels_that_touch_at_a_corner_are_two_parts() -> None:
    assert [len(line) for line in trace(Bitmap(np.eye(2, dtype=bool), 0, 0))] == [4, 4]
    assert [len(line) for line in trace(Bitmap(~np.eye(2, dtype=bool), 0, 0))] == [4, 4]
    assert len(trace(pieces())) == 3


def test_nothing_has_no_outline() -> None:
    assert trace(Bitmap(np.zeros((3, 4), dtype=bool), 0, 0)) == []
    assert trace(Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)) == []
    assert bridge([]).shape == (0, 2)


@settings(deadline=None)
@given(pixels=BITMAPS, left=st.integers(0, 5), top=st.integers(0, 5), right=st.integers(0, 3), foot=st.integers(0, 3))
def test_drawing_the_outline_gives_the_mask_back(
    pixels: np.ndarray, left: int, top: int, right: int, foot: int
) -> None:
    size = Size(top + pixels.shape[0] + foot, left + pixels.shape[1] + right)
    mask = Bitmap(pixels, left, top)
    line = bridge(trace(mask))
    if not pixels.any():
        return
    reference = oracle.frPyObjects([line.ravel().tolist()], *size)[0]["counts"].decode()
    assert draws(line, size) == reference == to_rle(mask, size)["counts"]
    assert signed_area(line) == pytest.approx(pixels.sum())


@settings(deadline=None)
@given(
    parts=st.lists(arrays(np.int64, (4, 2), elements=st.integers(-20, 120)), min_size=2, max_size=4),
)
def test_bridges_draw_nothing_themselves(parts: list[np.ndarray]) -> None:
    """Joined parts are drawn where an odd number of them is."""
    size = Size(10, 10)
    rings = [part / 10 for part in parts]
    odd = np.zeros(size, dtype=bool)
    for line in rings:
        odd ^= plane(RLE(size=list(size), counts=draws(line, size)))
    assert np.array_equal(plane(RLE(size=list(size), counts=draws(bridge(rings), size))), odd)


def plane(code: RLE) -> np.ndarray:
    pixels, left, top = from_rle(code)
    whole = np.zeros(code["size"], dtype=bool)
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return whole


def test_a_polygon_stays_as_annotated() -> None:
    points = np.array([[12.5, 1.0], [20.25, 1.5], [16.0, 8.75]])
    assert np.array_equal(one_outline(Polygons((points,)), SIZE), points)


def test_parts_stay_as_annotated_and_their_areas_add_up() -> None:
    square = np.array([[1.5, 1.5], [6.5, 1.5], [6.5, 6.5], [1.5, 6.5]])
    parts = Polygons((square, (square + 10)[::-1]))
    line = one_outline(parts, SIZE)
    assert draws(line, SIZE) == to_rle(parts, SIZE)["counts"]
    assert signed_area(line) == 50
    assert {tuple(point) for point in line} == {tuple(point) for point in np.concatenate(parts.parts)}


def test_parts_that_overlap_become_the_outline_of_what_they_cover() -> None:
    square = np.array([[1.0, 1.0], [9.0, 1.0], [9.0, 9.0], [1.0, 9.0]])
    parts = Polygons((square, square + 4))
    line = one_outline(parts, SIZE)
    assert draws(line, SIZE) == to_rle(parts, SIZE)["counts"]
    assert signed_area(line) == 64 + 64 - 16
    assert len(line) == 8


@pytest.mark.parametrize("mask", [ring(), pieces()])
def test_a_run_length_code_becomes_one_line(mask: Bitmap) -> None:
    code = to_rle(mask, SIZE)
    assert draws(one_outline(code["counts"], SIZE), SIZE) == code["counts"]
