import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.evaluate import codes as codes_module
from centermask.evaluate.codes import BrokenCodeError, Codes, measure
from centermask.ops import rle as rles
from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.ops.rle import RLE
from centermask.size import Size

SIZE = Size(4, 5)
GOOD = "35<"  # 3 off, 5 on, 12 off


def test_strings_come_back_as_they_went_in():
    codes = Codes.of(["35<", b"d0", "", "31309"])
    assert [codes[i] for i in range(len(codes))] == [b"35<", b"d0", b"", b"31309"]
    assert [codes.piece(1, 4)[i] for i in range(3)] == [b"d0", b"", b"31309"]
    assert len(codes.piece(2, 2)) == 0


def test_areas_are_those_of_the_single_codes(monkeypatch):
    monkeypatch.setattr(codes_module, "PIECE", 7)  # several pieces, the last one short
    rng = np.random.default_rng(0)
    sizes = [Size(int(h), int(w)) for h, w in rng.integers(1, 90, (40, 2))]
    masks = [Bitmap(rng.random(size) < rng.random(), 0, 0) for size in sizes]
    counts = [to_rle(mask, size)["counts"] for mask, size in zip(masks, sizes, strict=True)]
    assert measure(Codes.of(counts), sizes).tolist() == [mask.pixels.sum() for mask in masks]


def test_empty_masks_have_no_area():
    empty = to_rle(Bitmap(np.zeros((0, 0), dtype=bool), 0, 0), SIZE)["counts"]
    assert measure(Codes.of([empty, empty]), [SIZE] * 2).tolist() == [0, 0]


def test_no_codes_have_no_areas():
    assert measure(Codes.of([]), []).shape == (0,)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("01", "add up to 1"),
        ("", "add up to 0"),
        ("\x01", "character"),
        ("é", "character"),
        ("\ud800", "character"),
        ("3P", "end inside"),
        ("PPPPPPPPP1", "too large"),
        ("3G<", "negative"),
        ("hPPPPP1", "longer"),
    ],
)
def test_a_broken_code_among_good_ones_is_found(broken, said):
    with pytest.raises(BrokenCodeError, match=said) as caught:
        measure(Codes.of([GOOD, GOOD, broken, GOOD]), [SIZE] * 4)
    assert caught.value.place == 2


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(st.just(GOOD), st.text(st.characters(min_codepoint=47, max_codepoint=113), max_size=6))))
def test_many_codes_are_refused_just_if_one_of_them_is(counts):
    areas, fault = [], None
    for place, code in enumerate(counts):
        try:
            areas.append(rles.area(RLE(size=list(SIZE), counts=code)))
        except ValueError as error:
            fault = (place, str(error))
            break
    if fault is None:
        assert measure(Codes.of(counts), [SIZE] * len(counts)).tolist() == areas
    else:
        with pytest.raises(BrokenCodeError) as caught:
            measure(Codes.of(counts), [SIZE] * len(counts))
        assert (caught.value.place, str(caught.value)) == fault
