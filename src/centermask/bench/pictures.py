"""The pictures that are measured on."""

from collections.abc import Sequence
from pathlib import Path

from centermask.bench.case import Batch
from centermask.data.gems import GemRecipe, GemSet
from centermask.images import find_images, read_image
from centermask.runtimes.runtime import SegmenterConfig
from centermask.size import Size, fit_size

PHOTO = Size(480, 640)
"""Drawn pictures have its proportions."""
DRAWN = 4
"""Different ones at most."""
MOST = 64
"""Given pictures are held in memory, decoded."""


def given_pictures(pattern: Path | str, count: int) -> Batch:
    """Up to ``count`` of the pictures that a file, folder or pattern names, evenly spread over their names.

    Raises:
        UserError: there is none, or one cannot be read.
    """
    paths = find_images(pattern)
    kept = min(count, len(paths), MOST)
    return [read_image(paths[place * len(paths) // kept]) for place in range(kept)]


def drawn_pictures(config: SegmenterConfig, short_side: int | None, count: int) -> Batch:
    """Stones, in pictures of the size that a network asks for."""
    short = short_side or config.test_short_side
    long = round(short * config.test_long_side / config.test_short_side)
    smallest = 16  # that can be drawn
    size = Size(*(max(side, smallest) for side in fit_size(PHOTO, short, long)))
    stones = GemSet(images=min(count, DRAWN), recipe=GemRecipe(size=size))
    return [stones[place].image for place in range(len(stones))]


def to_batches(pictures: Batch, size: int) -> Sequence[Batch]:
    """Pictures in batches of one size, in order; what lacks in the last one is taken from the beginning.

    >>> import numpy as np
    >>> pictures = [np.full((1, 1, 3), i, dtype=np.uint8) for i in (1, 2, 3)]
    >>> [[int(one[0, 0, 0]) for one in batch] for batch in to_batches(pictures, size=2)]
    [[1, 2], [3, 1]]
    """
    starts = range(0, len(pictures), size)
    return [[pictures[place % len(pictures)] for place in range(start, start + size)] for start in starts]
