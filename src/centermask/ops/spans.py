"""Masks as spans: what two run-length codes share, and what they cover together, without a single plane.

A span is a stretch of a mask in the picture's pixels, counted column after column. Spans of a mask are sorted and do
not overlap, so that whatever is asked costs by the length of the outline, not by the size of the picture.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64

from centermask.ops.rle import RLE, compress, runs_of
from centermask.size import Size

Spans = Int64[np.ndarray, "_ 2"]
"""(first pixel, pixel behind the last) of each stretch."""


def spans_of(code: RLE) -> Spans:
    """The spans of a run-length code; the inverse of ``to_rle``.

    Raises:
        ValueError: the code is broken (see ``rle.runs_of``).

    >>> spans_of({"size": [4, 5], "counts": "35<"}).tolist()
    [[3, 8]]
    """
    edges = np.cumsum(runs_of(code))
    ends = edges[1::2]
    spans = np.stack([edges[::2][: len(ends)], ends], axis=1)
    return spans[spans[:, 0] < spans[:, 1]]


def to_rle(spans: Spans, size: Size) -> RLE:
    """The run-length code of spans in a picture of ``size``.

    >>> to_rle(np.array([[3, 8]]), Size(4, 5))
    {'size': [4, 5], 'counts': '35<'}
    """
    runs = np.diff(spans.ravel(), prepend=0, append=size.height * size.width)
    return compress(runs if runs[-1] else runs[:-1], size)


def area(spans: Spans) -> int:
    """Number of pixels."""
    return int((spans[:, 1] - spans[:, 0]).sum())


def shared_area(a: Spans, b: Spans) -> int:
    """Number of pixels that lie in both.

    >>> shared_area(np.array([[3, 8]]), np.array([[0, 4], [7, 12]]))
    2
    """
    if not len(a) or not len(b):
        return 0
    before = _count_before(b, a.ravel()).reshape(-1, 2)
    return int((before[:, 1] - before[:, 0]).sum())


def _count_before(spans: Spans, places: Int64[np.ndarray, " places"]) -> Int64[np.ndarray, " places"]:
    """How many pixels of the spans come before each place."""
    lengths = spans[:, 1] - spans[:, 0]
    whole = np.concatenate([[0], np.cumsum(lengths)])
    behind = np.searchsorted(spans[:, 0], places)  # spans that start before the place
    last = np.maximum(behind - 1, 0)
    return np.where(behind > 0, whole[last] + np.minimum(places - spans[last, 0], lengths[last]), 0)


def union(parts: Sequence[Spans]) -> Spans:
    """The pixels that lie in any of several masks.

    >>> union([np.array([[3, 8]]), np.array([[0, 4], [9, 12]])]).tolist()
    [[0, 8], [9, 12]]
    """
    spans = np.concatenate([np.zeros((0, 2), dtype=np.int64), *parts])
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    starts = np.append(True, spans[1:, 0] > reach[:-1])[: len(spans)]
    return np.stack([spans[starts, 0], reach[np.append(starts[1:], True)[: len(spans)]]], axis=1)


def rectangle(left: int, top: int, right: int, bottom: int, size: Size) -> Spans:
    """The spans of a rectangle inside a picture of ``size``: one for each column.

    >>> rectangle(1, 0, 3, 2, Size(4, 5)).tolist()
    [[4, 6], [8, 10]]
    """
    columns = np.arange(left, right) * size.height
    return np.stack([columns + top, columns + bottom], axis=1)


def bounds(spans: Spans, size: Size) -> Float32[np.ndarray, "4"]:
    """The smallest box (xyxy) around a mask in a picture of ``size``; all zeros if it is empty.

    >>> bounds(np.array([[5, 7], [10, 11]]), Size(4, 5)).tolist()
    [1.0, 1.0, 3.0, 3.0]
    """
    if not len(spans):
        return np.zeros(4, dtype=np.float32)
    columns, rows = np.divmod(spans[:, 0], size.height)
    top, bottom = rows.min(), (rows + spans[:, 1] - spans[:, 0]).max()
    if bottom > size.height:  # a span goes on at the head of the next column
        top, bottom = 0, size.height
    return np.array([columns[0], top, (spans[-1, 1] - 1) // size.height + 1, bottom], dtype=np.float32)
