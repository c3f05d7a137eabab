"""Run-length codes against pycocotools, and against whoever means harm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as oracle

from centermask.ops import mask_warp, rle
from centermask.ops.mask_warp import Bitmap, Polygons, from_rle, to_rle
from centermask.ops.rle import RLE
from centermask.size import Size

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@st.composite
def planes(draw):
    """Masks of whole pictures, from empty to full."""
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]))
    return np.random.default_rng(seed).random((height, width)) < share


@st.composite
def triangles(draw):
    """A few triangles that may reach over their 20 × 30 picture."""
    numbers = st.floats(-10, 40, allow_nan=False, width=32)
    corners = draw(st.lists(st.lists(numbers, min_size=6, max_size=6), min_size=1, max_size=4))
    return Polygons(tuple(np.array(part, dtype=np.float64).reshape(-1, 2) for part in corners))


def oracle_code(plane) -> RLE:
    code = oracle.encode(np.asfortranarray(plane.astype(np.uint8)))
    return RLE(size=list(code["size"]), counts=code["counts"].decode("ascii"))


def whole_plane(mask: Bitmap, size: Size):
    plane = np.zeros(size, dtype=bool)
    height, width = mask.pixels.shape
    plane[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
    return plane


def encode_number(number: int) -> str:
    """One number of COCO's code, written out by hand."""
    text = ""
    while True:
        digit, number = number & 0x1F, number >> 5
        more = number != (-1 if digit & 0x10 else 0)
        text += chr(48 + digit + 32 * more)
        if not more:
            return text


def encode_runs(runs: list[int]) -> str:
    return "".join(encode_number(run - (runs[i - 2] if i > 2 else 0)) for i, run in enumerate(runs))


def test_a_code_by_hand():
    plane = np.array([[0, 1, 1], [0, 1, 0]], dtype=bool)  # down the columns: 00 11 10
    assert rle.decompress(oracle_code(plane)["counts"]).tolist() == [2, 3, 1]


@given(planes())
def test_bitmaps_are_coded_as_pycocotools_codes_them(plane):
    size = Size(*plane.shape)
    assert to_rle(Bitmap(plane, 0, 0), size) == oracle_code(plane)


@given(planes())
def test_bitmap_survives_coding(plane):
    code = oracle_code(plane)
    mask = from_rle(code)
    assert (whole_plane(mask, Size(*plane.shape)) == plane).all()
    assert to_rle(mask, Size(*plane.shape)) == code


@given(planes(), st.integers(0, 5), st.integers(0, 5))
def test_bitmap_is_coded_at_its_place(plane, left, top):
    size = Size(plane.shape[0] + top + 1, plane.shape[1] + left + 2)
    mask = Bitmap(plane, left, top)
    assert to_rle(mask, size) == oracle_code(whole_plane(mask, size))


@given(planes())
def test_decoded_bitmap_is_cut_to_the_object(plane):
    mask = from_rle(oracle_code(plane))
    for sides in (mask.pixels.any(axis=0), mask.pixels.any(axis=1)):
        assert not sides.size or (sides[0] and sides[-1])


@given(planes())
def test_area_and_box_agree_with_pycocotools(plane):
    code = oracle_code(plane)
    assert rle.area(code) == mask_warp.area(from_rle(code)) == oracle.area(code)
    if plane.any():
        left, top, right, bottom = mask_warp.bounds(from_rle(code))
        assert [left, top, right - left, bottom - top] == oracle.toBbox(code).tolist()


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=30))
def test_runs_survive_compression(runs):
    assert rle.decompress(encode_runs(runs)).tolist() == runs


@given(planes())
def test_compress_undoes_decompress(plane):
    code = oracle_code(plane)
    assert rle.compress(rle.decompress(code["counts"]), Size(*plane.shape)) == code


@given(triangles())
def test_polygons_are_drawn_as_pycocotools_draws_them(polygons):
    size = Size(20, 30)
    codes = oracle.frPyObjects([part.ravel().tolist() for part in polygons.parts], *size)
    assert to_rle(polygons, size)["counts"] == oracle.merge(codes)["counts"].decode("ascii")
    assert (mask_warp.draw(polygons.parts, size) == oracle.decode(oracle.merge(codes)).astype(bool)).all()


def test_no_polygon_is_an_empty_mask():
    code = to_rle(Polygons(()), Size(3, 4))
    assert rle.area(code) == 0
    assert not oracle.decode(code).any()


def test_no_runs_are_no_numbers():
    assert rle.decompress("").tolist() == []
    with pytest.raises(ValueError, match="add up to 0"):
        rle.runs_of({"size": [1, 1], "counts": ""})


@pytest.mark.parametrize("counts", ["35<\n", "\x00", "é", "😀", "~", "P", "o" * 30, "0" + "P" * 12 + "0"])
def test_senseless_counts_are_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        rle.decompress(counts)


@pytest.mark.parametrize("runs", [[3, 5, 13], [3, 5, 11], [-1, 21], [25, -5]])
def test_runs_that_do_not_fill_the_picture_are_refused(runs):
    with pytest.raises(ValueError, match=r"negative|add up"):
        from_rle({"size": [4, 5], "counts": encode_runs(runs)})


CODE_LETTERS = st.text(st.characters(min_codepoint=48, max_codepoint=111), max_size=60)


@given(st.one_of(st.text(max_size=40), CODE_LETTERS), st.integers(1, 40), st.integers(1, 40))
def test_hostile_counts_never_crash(counts, height, width):
    try:
        mask = from_rle({"size": [height, width], "counts": counts})
    except ValueError:
        return
    assert mask.pixels.shape[0] <= height
    assert mask.pixels.shape[1] <= width


@given(planes(), st.data())
def test_a_damaged_code_is_refused_or_fills_the_picture(plane, data):
    code = oracle_code(plane)
    place = data.draw(st.integers(0, len(code["counts"]) - 1))
    letter = data.draw(st.characters(min_codepoint=40, max_codepoint=120))
    damaged = code["counts"][:place] + letter + code["counts"][place + 1 :]
    try:
        runs = rle.runs_of({"size": code["size"], "counts": damaged})
    except ValueError:
        return
    assert runs.sum() == plane.size


def test_runs_whose_sum_overflows_are_refused():
    # 3,000 rising runs whose true sum is 2^64 + 100: in 64 bits, they seem to fill a picture of 10 × 10.
    count = 3000
    slope = (2**64 + 100) // sum(k // 2 + 1 for k in range(count))
    runs = [(k // 2 + 1) * slope for k in range(count)]
    runs[-1] += 2**64 + 100 - sum(runs)
    with pytest.raises(ValueError, match=r"run|add up"):
        rle.runs_of({"size": [10, 10], "counts": encode_runs(runs)})
