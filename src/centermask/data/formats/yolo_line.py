"""One line of a YOLO-seg label file, ``CLASS x y x y ...`` in shares of the picture: read, and its inverse, written."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from centermask.data.formats.files import MAX_VERTICES
from centermask.data.formats.outline import Ring
from centermask.size import Size

TOLERANCE = 0.01
"""How far outside 0 … 1 a coordinate may lie: tools that round or drag over the border write such."""

DECIMALS = 6
"""Of a pixel, kept in reading: enough for any annotation, and 123.3 · (1 / 640) · 640 is 123.3 again."""


class YoloObject(NamedTuple):
    """What one line says."""

    number: int
    """Of the class, as the file counts."""
    outline: Ring


def parse_line(line: str, size: Size, classes: Collection[int]) -> YoloObject:
    """Read a line of a picture of ``size``; ``classes`` are the numbers that there are.

    Raises:
        ValueError: it is no class and polygon; a clause.
    """
    words = line.split(maxsplit=2 * MAX_VERTICES + 1)
    if len(words) > 2 * MAX_VERTICES + 1:
        raise ValueError(f"it has more than {MAX_VERTICES} points, expected at most that")
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        raise ValueError("it holds something that is no number, expected CLASS x y x y x y ...") from None
    number = _class_number(float(values[0]), classes)
    shares = values[1:]
    if len(shares) == 4:
        raise ValueError(
            "a box, not a polygon: CLASS and four numbers; export the outlines (segmentation), boxes cannot teach masks"
        )
    if len(shares) % 2 or len(shares) < 6:
        raise ValueError(f"the class is followed by {len(shares)} numbers, expected an even number, at least 6")
    _check_shares(shares)
    return YoloObject(number, np.round(shares.reshape(-1, 2) * [size.width, size.height], DECIMALS))


def format_line(found: YoloObject, size: Size) -> str:
    """Write an object of a picture of ``size``; ``parse_line`` gives it back to less than a millionth of a pixel."""
    shares = (found.outline / [size.width, size.height]).ravel().tolist()
    return " ".join([str(found.number), *(f"{share:.12g}" for share in shares)])


def _class_number(value: float, classes: Collection[int]) -> int:
    if not value.is_integer() or int(value) not in classes:
        known = f"{min(classes)} to {max(classes)}" if classes else "none"
        raise ValueError(f"its class is {value:g}, but the classes are {known}; correct it, or the names in data.yaml")
    return int(value)


def _check_shares(shares: np.ndarray) -> None:
    if not np.isfinite(shares).all():
        raise ValueError("a coordinate is not finite (NaN or infinity)")
    worst = float(shares[np.abs(shares - 0.5).argmax()])
    if abs(worst - 0.5) > 0.5 + TOLERANCE:
        hint = "pixels instead of shares? divide x by the width and y by the height" if worst > 1.5 else "a slip?"
        raise ValueError(f"a coordinate is {worst:g}, expected shares of the picture from 0 to 1 ({hint})")
