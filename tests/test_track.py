"""Tracking by hand, and its laws."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.errors import UserError
from centermask.instances import Instances
from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.size import Size
from centermask.track import Tracker, match

PICTURE = Size(60, 100)


def found(*objects: tuple[int, int, int, int, int], size: Size = PICTURE) -> Instances:
    """Full rectangles, each given as (left, top, width, height, label), cut to the picture; the first scores best."""
    masks = []
    for left, top, width, height, _ in objects:
        x0, y0, x1, y1 = max(0, left), max(0, top), min(size.width, left + width), min(size.height, top + height)
        masks.append(Bitmap(np.ones((max(0, y1 - y0), max(0, x1 - x0)), dtype=bool), x0, y0))
    sides = [(mask.left, mask.top, mask.left + mask.pixels.shape[1], mask.top + mask.pixels.shape[0]) for mask in masks]
    scores = np.linspace(0.9, 0.5, len(objects), dtype=np.float32)
    return Instances(
        size=size,
        boxes=np.array(sides, dtype=np.float32).reshape(-1, 4),
        scores=scores,
        box_scores=scores,
        labels=np.array([label for *_, label in objects], dtype=np.int64),
        rle=tuple(to_rle(mask, size) for mask in masks),
        categories=("cat", "dog"),
    )


NOTHING = found()


def followed(*pictures: Instances, tracker: Tracker | None = None) -> list[list[int]]:
    tracker = tracker or Tracker()
    return [tracker.update(instances).tolist() for instances in pictures]


# --- by hand ---


def test_what_overlaps_keeps_its_number() -> None:
    # IoU of a 20 × 20 square with itself three pixels on: 17 · 20 / (2 · 400 − 340) = 0.74.
    pictures = [found((10, 10, 20, 20, 0), (60, 30, 10, 20, 1)), found((63, 30, 10, 20, 1), (13, 10, 20, 20, 0))]
    assert followed(*pictures) == [[1, 2], [2, 1]]


def test_what_overlaps_too_little_is_new() -> None:
    # 10 · 20 / (800 − 200) = 1/3.
    pictures = [found((10, 10, 20, 20, 0)), found((20, 10, 20, 20, 0))]
    assert followed(*pictures, tracker=Tracker(min_iou=0.33)) == [[1], [1]]
    assert followed(*pictures, tracker=Tracker(min_iou=0.34)) == [[1], [2]]


def test_an_object_of_another_class_is_another_object() -> None:
    assert followed(found((10, 10, 20, 20, 0)), found((10, 10, 20, 20, 1))) == [[1], [2]]


def test_the_largest_overlap_decides() -> None:
    before = found((10, 10, 20, 20, 0), (18, 10, 20, 20, 0))
    assert followed(before, found((19, 10, 20, 20, 0), (14, 10, 20, 20, 0))) == [[1, 2], [2, 1]]


def test_an_object_may_be_missing_for_as_long_as_patience_lasts() -> None:
    cat = found((10, 10, 20, 20, 0))
    assert followed(cat, *[NOTHING] * 3, cat, tracker=Tracker(patience=3)) == [[1], [], [], [], [1]]
    assert followed(cat, *[NOTHING] * 4, cat, tracker=Tracker(patience=3)) == [[1], [], [], [], [], [2]]
    assert followed(cat, cat, NOTHING, cat, tracker=Tracker(patience=0)) == [[1], [1], [], [2]]


def test_a_number_is_never_given_twice() -> None:
    left, right = (0, 0, 20, 20, 0), (70, 30, 20, 20, 0)
    tracker = Tracker(patience=0)
    assert followed(found(left, right), found(right), found(right, left), tracker=tracker) == [[1, 2], [2], [2, 3]]
    assert tracker.count == 3


def test_a_fast_object_is_looked_for_where_it_should_be_by_now() -> None:
    # Eight pixels a picture at a width of ten: the masks of two pictures overlap by 2 / 18 = 0.11, but the first step
    # must be one that is seen.
    steps = [found((x, 10, 10, 10, 0)) for x in (0, 5, 11, 18, 26, 34, 42)]
    assert followed(*steps) == [[1]] * 7
    gap = [*steps[:5], NOTHING, NOTHING, found((50, 10, 10, 10, 0))]
    assert followed(*gap)[-1] == [1]


def test_two_crossing_objects_keep_their_numbers() -> None:
    pictures = [found((4 * i, 10, 16, 16, 0), (80 - 4 * i, 14, 16, 16, 0)) for i in range(20)]
    assert followed(*pictures) == [[1, 2]] * 20


def test_one_that_is_hidden_while_crossing_comes_back() -> None:
    # The second passes behind the first: for three pictures only the first is found.
    pictures = [found((4 * i, 10, 16, 16, 0), (80 - 4 * i, 12, 16, 16, 0)) for i in range(20)]
    hidden = [one[:1] if 9 <= i <= 11 else one for i, one in enumerate(pictures)]
    assert followed(*hidden) == [[1] if 9 <= i <= 11 else [1, 2] for i in range(20)]


def test_objects_that_move_out_of_the_picture_are_forgotten_quietly() -> None:
    pictures = [found((70 + 6 * i, 10, 20, 20, 0)) for i in range(5)] + [NOTHING] * 10
    assert followed(*pictures)[4:6] == [[1], []]


def test_a_picture_of_another_size_begins_anew() -> None:
    small = found((10, 10, 20, 20, 0), size=Size(40, 40))
    assert followed(found((10, 10, 20, 20, 0)), small, small) == [[1], [2], [2]]


def test_nothing_and_masks_without_pixels_are_ordinary() -> None:
    empty = found((200, 10, 5, 5, 0), (10, 10, 20, 20, 0))
    assert followed(NOTHING, empty, empty, NOTHING) == [[], [1, 2], [3, 2], []]


@pytest.mark.parametrize("wrong", [{"min_iou": 0.0}, {"min_iou": 1.5}, {"patience": -1}])
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="must"):
        Tracker(**wrong)


def test_pairs_of_an_empty_matrix() -> None:
    for shape in ((0, 0), (0, 3), (2, 0)):
        assert match(np.zeros(shape), least=0.1) == []


# --- laws ---

objects = st.lists(
    st.tuples(st.integers(-5, 95), st.integers(-5, 55), st.integers(3, 40), st.integers(3, 40), st.integers(0, 1)),
    max_size=5,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(objects, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_the_objects_does_not_matter(scene: list, random) -> None:
    one, other = Tracker(), Tracker()
    for each in scene:
        instances = found(*each)
        order = random.sample(range(len(each)), len(each))
        assert one.update(instances)[order].tolist() == other.update(instances[order]).tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(objects, max_size=6))
def test_numbers_of_a_picture_differ_and_are_the_next_ones_or_old(scene: list) -> None:
    tracker, known = Tracker(), set()
    for each in scene:
        ids = tracker.update(found(*each)).tolist()
        assert len(set(ids)) == len(each)
        new = set(ids) - known
        assert new == set(range(len(known) + 1, len(known) + len(new) + 1))
        known |= new
    assert tracker.count == len(known)


@settings(max_examples=40, deadline=None)
@given(objects)
def test_a_still_scene_keeps_all_numbers(each: list) -> None:
    visible = [one for one in each if found(one).boxes[0, 2] > 0 and found(one).boxes[0, 3] > 0]
    distinct = list({found(one).rle[0]["counts"]: one for one in visible}.values())
    first, *others = followed(*[found(*distinct)] * 4)
    assert others == [first] * 3


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 4).flatmap(
        lambda n: st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=n, max_size=n)
    )
)
def test_pairs_are_what_a_slow_search_finds(rows: list[list[float]]) -> None:
    overlaps = np.array(rows).reshape(-1, 3)
    pairs = match(overlaps, least=0.3)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    sorted_best = [overlaps[pair] for pair in pairs]
    assert sorted_best == sorted(sorted_best, reverse=True)
    free = [overlaps[a, b] for a in range(len(overlaps)) for b in range(3)
            if a not in {x for x, _ in pairs} and b not in {y for _, y in pairs}]  # fmt: skip
    assert all(value < 0.3 for value in free)


def test_crossing_works_in_every_order_of_the_objects() -> None:
    for order in permutations(range(2)):
        tracker = Tracker()
        for i in range(20):
            instances = found((4 * i, 10, 16, 16, 0), (80 - 4 * i, 14, 16, 16, 0))
            assert tracker.update(instances[list(order)]).tolist() == [k + 1 for k in order]
