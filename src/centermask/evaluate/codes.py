"""Run-length codes by the hundred thousand: held in one buffer of bytes, checked many at a time.

To check and measure codes one by one costs more than to match the masks; a piece of some thousands is decoded here with
the same rules as ``ops.rle``, whose words tell what is wrong with a broken one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from centermask.ops import rle as rles
from centermask.ops.rle import RLE
from centermask.size import Size

PIECE = 4096
"""Codes decoded at a time: some 10 MB while that goes on."""


@dataclass(frozen=True, eq=False)
class Codes:
    """COCO's compressed strings, one after the other."""

    data: bytes
    ends: Int64[np.ndarray, " codes"]
    """Where each one ends in ``data``."""

    @classmethod
    def of(cls, counts: Iterable[str | bytes]) -> "Codes":
        """Put strings into one buffer; characters that no code has are kept, for ``measure`` to find."""
        data, ends = bytearray(), []
        for code in counts:
            data += code if isinstance(code, bytes) else code.encode("utf-8", "surrogatepass")
            ends.append(len(data))
        return cls(bytes(data), np.array(ends, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> bytes:
        return self.data[self._start(index) : int(self.ends[index])]

    def piece(self, start: int, stop: int) -> "Codes":
        """Some neighbours."""
        first = self._start(start)
        ends = self.ends[start:stop]
        return Codes(self.data[first : int(ends[-1]) if len(ends) else first], ends - first)

    def masks(self, places: Int64[np.ndarray, " chosen"], size: Size) -> list[dict[str, Any]]:
        """Some of them as the library's run-length codes of pictures of ``size``."""
        return [{"size": list(size), "counts": self[place]} for place in places.tolist()]

    def _start(self, index: int) -> int:
        return int(self.ends[index - 1]) if index else 0


class BrokenCodeError(ValueError):
    """A code that cannot be read."""

    def __init__(self, place: int, clause: str) -> None:
        super().__init__(clause)
        self.place = place


def measure(codes: Codes, sizes: Sequence[Size]) -> Float64[np.ndarray, " codes"]:
    """The number of pixels of each mask, once all codes are known to be whole and to fill a picture of their size.

    Raises:
        BrokenCodeError: the first that is not; its words are those of ``rle.runs_of``.
    """
    areas = [np.zeros(0)]
    for start, piece in _pieces(codes):
        own = sizes[start : start + len(piece)]
        measured = _areas(piece, np.array([size.height * size.width for size in own], dtype=np.int64))
        if measured is None:
            raise _first_broken(piece, own, start)
        areas.append(measured)
    return np.concatenate(areas)


def _pieces(codes: Codes) -> Iterator[tuple[int, Codes]]:
    for start in range(0, len(codes), PIECE):
        yield start, codes.piece(start, min(start + PIECE, len(codes)))


def _areas(codes: Codes, pixels: Int64[np.ndarray, " codes"]) -> Float64[np.ndarray, " codes"] | None:
    """Pixels of each mask; nothing if one of the codes is broken."""
    digits = np.frombuffer(codes.data, dtype=np.uint8).astype(np.int64) - 48
    last = (digits & 0x20) == 0
    lengths = np.diff(codes.ends, prepend=0)
    if lengths.min() == 0 or digits.min() < 0 or digits.max() > 63 or not last[codes.ends - 1].all():
        return None
    numbers = _numbers(digits, last)
    if numbers is None:
        return None
    counts = np.diff(np.cumsum(last)[codes.ends - 1], prepend=0)
    owners = np.repeat(np.arange(len(codes)), counts)
    places = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    runs = _runs(numbers, owners, places)
    if runs.min() < 0 or (runs > pixels[owners]).any():
        return None
    totals = np.bincount(owners, weights=runs, minlength=len(codes))
    odd = places % 2 == 1
    areas = np.bincount(owners[odd], weights=runs[odd], minlength=len(codes)).astype(
        np.float64
    )  # of none: whole numbers
    return areas if (totals == pixels).all() else None


def _numbers(
    digits: Int64[np.ndarray, " digits"], last: Bool[np.ndarray, " digits"]
) -> Int64[np.ndarray, " numbers"] | None:
    """Numbers from groups of five bits, lowest first; nothing if one is too large (see ``rle.decompress``)."""
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    place = np.arange(digits.size) - np.repeat(starts, np.diff(np.append(starts, digits.size)))
    if place.max() > 8:
        return None
    numbers = np.add.reduceat((digits & 0x1F) << (5 * place), starts)
    negative = (digits[last] & 0x10) != 0
    numbers[negative] -= np.int64(1) << (5 * (place[last][negative] + 1))
    return numbers


def _runs(
    numbers: Int64[np.ndarray, " numbers"], owners: Int64[np.ndarray, " numbers"], places: Int64[np.ndarray, " numbers"]
) -> Int64[np.ndarray, " numbers"]:
    """Runs from numbers that, from the fourth of a code on, are differences to the run before the last one."""
    runs = numbers.copy()
    for chain in (places % 2 == 1, (places % 2 == 0) & (places > 0)):
        sums = np.cumsum(numbers[chain])
        own = owners[chain]
        heads = np.flatnonzero(np.diff(own, prepend=-1))
        before = np.repeat(sums[heads] - numbers[chain][heads], np.diff(np.append(heads, len(own))))
        runs[chain] = sums - before
    return runs


def _first_broken(codes: Codes, sizes: Sequence[Size], start: int) -> BrokenCodeError:
    for place, size in enumerate(sizes):
        try:
            rles.runs_of(RLE(size=list(size), counts=codes[place].decode("latin-1")))
        except ValueError as error:
            return BrokenCodeError(start + place, str(error))
    raise AssertionError("a piece was refused whose codes are all whole")
