"""Outlines that cross themselves: which part of such a mask is inside is anyone's guess."""

import numpy as np
from jaxtyping import Float, Int64

MAX_PAIRS = 1_000_000
"""Pairs of edges that are looked at in one outline; the few outlines that would need more are not judged."""

LOOP = 0.01
"""Share of the outline's area that the loop behind a crossing must have to be told; annotators' hands shake."""

Points = Float[np.ndarray, "_ 2"]


def crossing(points: Points) -> tuple[float, float] | None:
    """Where a closed outline crosses itself with the largest loop behind it; none if it does not, or only just.

    Edges that touch, and the two edges of a zero-width bridge (one the way back of the other), do not cross.

    >>> bow_tie = np.array([[0.0, 0.0], [10.0, 10.0], [10.0, 0.0], [0.0, 10.0]])
    >>> crossing(bow_tie)
    (5.0, 5.0)
    >>> crossing(bow_tie[[0, 2, 1, 3]]) is None
    True
    """
    starts, stops = points, np.roll(points, -1, axis=0)
    first, second = _near_pairs(starts, stops)
    places, crosses = _meet(starts[first], stops[first], starts[second], stops[second])
    if crosses.any():  # hardly ever: only then bridges are looked for
        bridge = _is_bridge(starts, stops)
        crosses &= ~bridge[first] & ~bridge[second]
    first, second, places = first[crosses], second[crosses], places[crosses]
    if not len(places):
        return None
    loops, whole = _loops(points, first, second, places)
    largest = int(loops.argmax())
    if loops[largest] < max(1.0, LOOP * whole):
        return None
    return float(places[largest, 0]), float(places[largest, 1])


def _is_bridge(starts: Points, stops: Points) -> np.ndarray:
    """Edges that another edge runs back along; also those of no length."""
    forth, back = np.hstack([starts, stops]), np.hstack([stops, starts])
    _, names = np.unique(np.concatenate([forth, back]), axis=0, return_inverse=True)
    names = names.ravel()
    return np.isin(names[: len(starts)], names[len(starts) :])


def _near_pairs(starts: Points, stops: Points) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """Pairs of edges whose boxes overlap, the lower first; found from left to right, not by looking at all pairs."""
    low, high = np.minimum(starts, stops), np.maximum(starts, stops)
    order = np.argsort(low[:, 0], kind="stable")
    reach = np.searchsorted(low[order, 0], high[order, 0], side="right") - np.arange(len(order)) - 1
    if reach.sum() > MAX_PAIRS:
        reach[:] = 0
    left = np.repeat(np.arange(len(order)), reach)
    right = left + 1 + np.arange(len(left)) - np.repeat(np.cumsum(reach) - reach, reach)
    left, right = order[left], order[right]
    overlap = (low[left, 1] <= high[right, 1]) & (low[right, 1] <= high[left, 1])
    left, right = left[overlap], right[overlap]
    return np.minimum(left, right), np.maximum(left, right)


def _meet(a: Points, b: Points, c: Points, d: Points) -> tuple[Points, np.ndarray]:
    """Where the segments ab and cd meet, and whether they cross: each has its ends on both sides of the other."""
    on_c, on_d = _side(a, b, c), _side(a, b, d)
    on_a, on_b = _side(c, d, a), _side(c, d, b)
    crosses = (on_c * on_d < 0) & (on_a * on_b < 0)
    share = on_a / np.where(crosses, on_a - on_b, 1.0)
    return a + share[:, None] * (b - a), crosses


def _side(a: Points, b: Points, c: Points) -> Float[np.ndarray, " _"]:
    """Twice the area of the triangle abc: positive on one side of ab, negative on the other, 0 (nearly) upon it."""
    turn = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    return np.where(np.abs(turn) < 1e-9, 0.0, turn)


def _loops(
    points: Points, first: Int64[np.ndarray, " crossings"], second: Int64[np.ndarray, " crossings"], places: Points
) -> tuple[Float[np.ndarray, " crossings"], float]:
    """Area of the smaller of the two loops that each crossing parts the outline into, and the larger ones' mean.

    A loop runs from the crossing along the edges between ``first`` and ``second`` and back to it; its area is a
    difference of running sums of the shoelace formula.
    """
    centred = points - points[0]
    places = places - points[0]
    sums = np.concatenate([[0.0], np.cumsum(_cross(centred, np.roll(centred, -1, axis=0)))])
    between = sums[second] - sums[first + 1]
    loop = between + _cross(centred[second], places) + _cross(places, centred[first + 1])
    rest = sums[-1] - loop
    parts = np.abs(np.stack([loop, rest])) / 2
    return parts.min(axis=0), float(parts.max(axis=0).mean())


def _cross(a: Points, b: Points) -> Float[np.ndarray, " _"]:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
