"""PNGs whose pixels are numbers, not colours: read with limits, split into objects, and painted back."""

import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt
from PIL import Image

from centermask.ops import rle as rles
from centermask.ops.mask_warp import Bitmap
from centermask.ops.rle import RLE
from centermask.size import Size

Indices = UInt[np.ndarray, "height width"]
"""A number for each pixel, of 8 or 16 bits as in the file."""

_SCALED = {"L;2": 85, "L;4": 17}
"""Pillow stretches grey of few bits to 0 … 255."""


class Found(NamedTuple):
    """All pixels of one number."""

    number: int
    code: RLE


def read_indices(source: Path | io.BytesIO, size: Size) -> Indices:
    """The numbers in a PNG that must be of ``size``.

    Raises:
        ValueError: it is no such PNG, or of another size, which is seen before anything is decoded; a clause.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            with Image.open(source, formats=("PNG",)) as image:
                came, mode = Size(image.height, image.width), image.mode
                scale = next((_SCALED[tile[3]] for tile in image.tile if tile[3] in _SCALED), 1)
                depth = {"1": np.uint8, "L": np.uint8, "P": np.uint8, "I;16": np.uint16, "I": np.uint16}.get(mode)
                values = np.asarray(image).astype(depth) // scale if depth and came == size else None
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except Exception as error:  # on hostile bytes, decoders raise nearly anything
        raise ValueError(f"this is no sound PNG ({' '.join(str(error).split()) or type(error).__name__})") from None
    if came != size:
        raise ValueError(f"it is {came.height} × {came.width} (height × width), expected {size.height} × {size.width}")
    if values is None:
        raise ValueError(f"it holds colours (mode {mode}), expected numbers: a PNG with a palette, or grey")
    return values


def split_indices(indices: Indices, *, nothing: Sequence[int]) -> Iterator[Found]:
    """The mask of each number, in their order, but for those that mean ``nothing``.

    In one walk down the columns, as run-length codes go: the planes of the objects are never made.
    """
    size = Size(*indices.shape)
    flat = indices.ravel(order="F")
    edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    values = flat[edges[:-1]]
    kept = np.flatnonzero(~np.isin(values, nothing))
    kept = kept[np.argsort(values[kept], kind="stable")]
    numbers, firsts = np.unique(values[kept], return_index=True)
    for number, runs in zip(numbers.tolist(), np.split(kept, firsts[1:]), strict=False):
        borders = np.stack([edges[runs], edges[runs + 1]], axis=1).ravel()
        lengths = np.diff(np.concatenate([[0], borders, [flat.size]]))
        yield Found(number, rles.compress(lengths if lengths[-1] else lengths[:-1], size))


def void(indices: Indices) -> int:
    """The number of pixels of which nobody knows what they show: the largest of the file's depth."""
    return int(np.iinfo(indices.dtype).max)


def common_classes(indices: Indices, classes: Indices) -> dict[int, int]:
    """For each number the class that most of its pixels have; a number whose pixels have none is left out."""
    known = (classes != 0) & (classes != void(classes))
    pairs, counts = np.unique(indices[known].astype(np.int64) << 16 | classes[known], return_counts=True)
    return {pair >> 16: pair & 0xFFFF for pair in pairs[np.argsort(counts, kind="stable")].tolist()}


def paint(masks: Sequence[Bitmap], values: Sequence[int], size: Size) -> Indices:
    """A plane that shows each mask by its number, smaller ones over larger ones; zero elsewhere."""
    plane = np.zeros(size, dtype=np.uint16)
    for i in sorted(range(len(masks)), key=lambda i: -int(masks[i].pixels.sum())):
        pixels, left, top = masks[i]
        plane[top : top + pixels.shape[0], left : left + pixels.shape[1]][pixels] = values[i]
    return plane


def encode_indices(indices: Indices, *, largest: int) -> bytes:
    """A PNG of numbers: 8 bits with colours to look at, or 16 bits grey where the ``largest`` of the set needs it."""
    coded = io.BytesIO()
    if largest < 255:
        image = Image.fromarray(indices.astype(np.uint8))
        image.putpalette(_palette())
    else:
        image = Image.fromarray(indices)
    image.save(coded, format="PNG")
    return coded.getvalue()


def _palette() -> bytes:
    """The colours of Pascal VOC's masks: each bit of a number goes to a bit of red, green or blue, highest first."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        colours[:, bit % 3] |= (np.arange(256) >> bit & 1).astype(np.uint8) << (7 - bit // 3)
    return colours.tobytes()
