"""Sizes: what the network sees of a picture's."""

from hypothesis import given
from hypothesis import strategies as st

from centermask.size import Size, fit_size, pad_size

sides = st.integers(1, 5000)
sizes = st.builds(Size, sides, sides)


def test_the_short_side_decides_until_the_long_side_forbids() -> None:
    assert fit_size(Size(300, 400), short_side=600, long_side=1000) == (600, 800)
    assert fit_size(Size(300, 600), short_side=600, long_side=1000) == (500, 1000)
    assert fit_size(Size(600, 300), short_side=600, long_side=1000) == (1000, 500)


@given(sizes, st.integers(1, 1000), st.integers(0, 1000))
def test_a_fitted_size_keeps_within_both_sides(size: Size, short: int, more: int) -> None:
    fitted = fit_size(size, short, short + more)
    assert 1 <= min(fitted) <= short
    assert max(fitted) <= short + more


@given(sizes, st.integers(32, 1000), st.integers(0, 1000))
def test_turning_a_picture_turns_its_size(size: Size, short: int, more: int) -> None:
    assert fit_size(Size(*size[::-1]), short, short + more) == fit_size(size, short, short + more)[::-1]


@given(sizes)
def test_a_picture_of_the_asked_size_stays(size: Size) -> None:
    assert fit_size(size, min(size), max(size)) == size


@given(st.lists(sizes, min_size=1, max_size=5), st.sampled_from([1, 32, 64]))
def test_the_plane_holds_all_and_wastes_less_than_a_divisor(given_sizes: list[Size], divisor: int) -> None:
    plane = pad_size(given_sizes, divisor)
    for axis in (0, 1):
        longest = max(size[axis] for size in given_sizes)
        assert plane[axis] % divisor == 0
        assert longest <= plane[axis] < longest + divisor
