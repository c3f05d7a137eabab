"""Pairs and differences, by hand."""

import numpy as np
import pytest

from centermask.export.compare import NEAR, Compared, Room, compare_exactly, compare_loosely, join
from centermask.images import SoftInstances


def found(*rows: tuple[float, float, float, int], mask: float = 0.5) -> SoftInstances:
    """Squares of ten pixels, each given as (left, score, box score, label)."""
    values = np.array(rows, dtype=np.float32).reshape(-1, 4)
    left = values[:, 0]
    zeros = np.zeros_like(left)
    boxes = np.stack([left, zeros, left + 10, zeros + 10], axis=1)
    masks = np.full((len(rows), 28, 28), mask, dtype=np.float32)
    return SoftInstances(boxes, values[:, 1], values[:, 2], values[:, 3].astype(np.int64), masks)


def room(places: int, candidates: int | None = None) -> Room:
    return Room(candidates or places, places)


ENOUGH = room(9)


def loosely(expected: SoftInstances, given: SoftInstances, threshold: float, room: Room = ENOUGH) -> Compared:
    return compare_loosely(expected, given, threshold, room, slack=0.01)


NOTHING = found()
ONE = found((0, 0.8, 0.9, 0))


def test_the_same_differs_in_nothing_whatever_its_order() -> None:
    a, b = found((0, 0.5, 0.5, 0), (20, 0.5, 0.5, 0)), found((20, 0.5, 0.5, 0), (0, 0.5, 0.5, 0))
    compared = compare_exactly(a, b, 0.0, room=room(9))
    assert (compared.objects, compared.unpaired) == (2, 0)
    assert not any(field.any() for field in compared.differences)


def test_differences_are_the_greatest_of_each_object() -> None:
    moved = found((0.25, 0.7, 0.9, 0), mask=0.75)
    compared = compare_exactly(ONE, moved, 0.0, room=room(9))
    assert [field.tolist() for field in compared.differences] == [[0.25], [pytest.approx(0.1)], [0.25]]


@pytest.mark.parametrize("other", [found((0, 0.8, 0.9, 1)), found((NEAR + 0.5, 0.8, 0.9, 0))])
def test_another_class_or_a_box_further_away_is_another_object(other: SoftInstances) -> None:
    compared = compare_exactly(ONE, other, 0.0, room=room(9))
    assert (compared.missing, compared.extra, compared.unpaired, compared.objects) == (1, 1, 1, 2)


def test_each_object_is_paired_once() -> None:
    compared = compare_exactly(ONE, found((0.1, 0.8, 0.9, 0), (0.2, 0.8, 0.9, 0)), 0.0, room=room(9))
    assert (compared.missing, compared.extra) == (0, 1)
    assert compared.differences.boxes == pytest.approx([0.1], abs=1e-5)


def test_nothing_is_ordinary() -> None:
    for compare in (lambda a, b: compare_exactly(a, b, 0.0, room=room(9)), lambda a, b: loosely(a, b, 0.0)):
        assert compare(NOTHING, NOTHING).objects == 0
        assert (compare(ONE, NOTHING).missing, compare(NOTHING, ONE).extra) == (1, 1)
    assert join([]).objects == 0


def test_what_rounding_may_decide_is_not_counted() -> None:
    at_the_threshold = found((0, 0.50005, 0.9, 0))
    assert compare_exactly(at_the_threshold, NOTHING, 0.5, room=room(9)).objects == 0
    assert compare_exactly(at_the_threshold, NOTHING, 0.49, room=room(9)).missing == 1
    assert compare_exactly(NOTHING, found((0, 0.3, 0.9, 0)), 0.5, room=room(9)).extra == 1  # far below it
    cut = found((0, 0.8, 0.9, 0), (20, 0.4, 0.4, 0))  # two places: the second may have pushed out a third by a hair
    assert compare_exactly(cut, found((0, 0.8, 0.9, 0), (40, 0.39, 0.40005, 0)), 0.0, room=room(2)).unpaired == 0
    assert compare_exactly(cut, found((0, 0.8, 0.9, 0), (40, 0.39, 0.40005, 0)), 0.0, room=room(3)).unpaired == 1


@pytest.mark.parametrize("places", [1, 2])
def test_a_file_with_fewer_places_than_the_network_has_candidates_must_give_the_best_by_score(places: int) -> None:
    expected = found((0, 0.8, 0.81, 0), (20, 0.5, 0.9, 0), (40, 0.3, 0.95, 0))
    best, worst = found(*[(0, 0.8, 0.81, 0), (20, 0.5, 0.9, 0)][:places]), found((40, 0.3, 0.95, 0))
    for compare in (compare_exactly, loosely):
        good = compare(expected, best, 0.0, room=room(places, 4))
        assert (good.missing, good.extra, len(good.differences.boxes)) == (0, 0, places)
        assert compare(expected, worst, 0.0, room=room(1, 4)).missing == 2  # both are better than what was given
        assert compare(expected, found((0, 0.8, 0.81, 0)), 0.0, room=room(2, 4)).missing == 2  # a place is free


def test_which_of_two_equals_has_the_last_place_rounding_decides() -> None:
    expected, given = found((0, 0.8, 0.8, 0), (20, 0.5, 0.9, 0), (40, 0.49995, 0.9, 0)), (0, 0.8, 0.8, 0)
    assert compare_exactly(expected, found(given, (40, 0.49995, 0.9, 0)), 0.0, room(2, 3)).unpaired == 0
    assert compare_exactly(expected, found(given, (40, 0.49995, 0.9, 0)), 0.0, room(2)).missing == 1
    far = found((0, 0.8, 0.8, 0), (20, 0.52, 0.9, 0), (40, 0.5, 0.9, 0))
    assert loosely(far, found(given, (40, 0.5, 0.9, 0)), 0.0, room(2, 3)).missing == 1  # slack is half of that


def test_numbers_that_are_none_stand_alone() -> None:
    assert compare_exactly(ONE, found((np.nan, 0.8, 0.9, 0)), 0.0, room=room(9)).missing == 1
    assert loosely(ONE, found((np.nan, 0.8, 0.9, 0)), 0.0).missing == 1


def test_loosely_half_an_overlap_is_the_same_object() -> None:
    third = found((3, 0.8, 0.9, 0))  # 7 of 13 pixels in common
    compared = loosely(ONE, third, 0.5)
    assert (compared.objects, compared.unpaired, compared.differences.boxes.tolist()) == (1, 0, [3.0])
    assert loosely(ONE, found((4, 0.8, 0.9, 0)), 0.5).unpaired == 1  # 6 of 14


def test_loosely_an_object_counts_if_one_side_sees_it_clearly() -> None:
    faint, clear = found((0, 0.45, 0.9, 0)), found((0, 0.55, 0.9, 0))
    for a, b in ((faint, clear), (clear, faint)):
        assert (loosely(a, b, 0.5).objects, loosely(a, b, 0.5).unpaired) == (1, 0)
    assert loosely(faint, faint, 0.5).objects == 0
    assert loosely(faint, NOTHING, 0.5).objects == 0


def test_pictures_join_by_adding_up() -> None:
    parts = [loosely(ONE, ONE, 0.0), loosely(ONE, NOTHING, 0.0), loosely(NOTHING, ONE, 0.0)]
    joined = join(parts)
    assert (joined.objects, joined.missing, joined.extra, len(joined.differences.scores)) == (3, 1, 1, 1)
