"""Run-length codes: COCO's compressed form, written and read without a full-size mask and without a C decoder.

The runs go down the columns, background first. Everything works on numpy arrays, so that it serves predictions that
were made without torch, and reads hostile codes safely: a code is checked before a single pixel is allocated.
"""

from typing import TypedDict

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Int64

from centermask.size import Size

Runs = Int64[np.ndarray, " runs"]


class RLE(TypedDict):
    """A mask of a whole picture: ``size`` is [height, width], ``counts`` is COCO's compressed string."""

    size: list[int]
    counts: str


def compress(runs: Runs, size: Size) -> RLE:
    """Runs (column by column, background first, summing to height × width) as COCO's compressed string.

    >>> compress(np.array([3, 5, 12]), Size(4, 5))
    {'size': [4, 5], 'counts': '35<'}
    """
    code = coco_mask.frPyObjects({"size": list(size), "counts": runs.tolist()}, size.height, size.width)
    return RLE(size=list(size), counts=code["counts"].decode("ascii"))


def decompress(counts: str) -> Runs:
    """The runs behind a compressed string; the inverse of ``compress``.

    Raises:
        ValueError: the string holds a character that no code has, ends inside a number, or holds a huge number.

    >>> decompress("35<").tolist()
    [3, 5, 12]
    """
    try:
        letters = np.frombuffer(counts.encode("ascii"), dtype=np.uint8)
    except UnicodeEncodeError:
        raise ValueError("the counts hold a character that no run-length code has") from None
    if letters.size == 0:
        return np.zeros(0, dtype=np.int64)
    digits = letters - np.uint8(48)  # what lies below wraps round to 208 and more
    if digits.max() > 63:
        raise ValueError("the counts hold a character that no run-length code has")
    # A number is written in groups of five bits, lowest first; bit 0x20 says that more follow, 0x10 of the last is its
    # sign.
    ends = np.flatnonzero(digits < 0x20)
    if not ends.size or ends[-1] != digits.size - 1:
        raise ValueError("the counts end inside a number")
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    lengths = ends - starts + 1
    if lengths.max() > 9:
        raise ValueError("the counts hold a number too large for any picture")
    place = np.arange(digits.size) - starts.repeat(lengths)
    runs: Runs = np.add.reduceat((digits & 0x1F).astype(np.int64) << (5 * place), starts)
    runs -= (digits[ends] >> 4).astype(np.int64) << (5 * lengths)
    # From the fourth on, a number is the difference to the run before the last one.
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs


def check_runs(runs: Runs, size: Size) -> None:
    """Refuse runs that do not fill the picture exactly.

    Raises:
        ValueError: a run is negative or longer than the picture, or the runs do not add up to height × width.
    """
    if runs.size and runs.min() < 0:
        raise ValueError("a run is negative")
    if runs.size and runs.max() > size.height * size.width:  # before the sum, which such a run could carry round
        raise ValueError("a run is longer than the picture")
    total = int(runs.sum())
    if total != size.height * size.width:
        raise ValueError(
            f"the runs add up to {total} pixels, the size [{size.height}, {size.width}] has {size.height * size.width}"
        )


def runs_of(rle: RLE) -> Runs:
    """The checked runs of a code.

    Raises:
        ValueError: see ``decompress`` and ``check_runs``.
    """
    runs = decompress(rle["counts"])
    check_runs(runs, Size(*rle["size"]))
    return runs


def area(rle: RLE) -> int:
    """Number of pixels in the mask.

    >>> area({"size": [4, 5], "counts": "35<"})
    5
    """
    return int(runs_of(rle)[1::2].sum())
