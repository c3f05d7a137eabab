"""Pictures that are there twice: the same bytes under two names, and look-alikes on both sides of the split."""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, UInt16, UInt64

from centermask.data.check.entries import sayer
from centermask.data.check.findings import Evidence, Findings
from centermask.data.check.pictures import Seen
from centermask.data.check.probe import grey_thumbnail
from centermask.errors import UserError
from centermask.images import read_image

BITS = 7
"""Of 64 that the hashes of look-alikes may differ in."""

ALIKE = 0.9
"""Correlation of two grey thumbnails from which pictures are look-alikes."""

SIDE = 16
"""Of those thumbnails, in pixels: coarse, so that a picture cut by a fiftieth is still like the whole one."""

MOST = 64
"""Candidates of one picture that are compared, the nearest first."""

Hashes = UInt64[np.ndarray, "_"]


def find_copies(seen: Sequence[Seen], findings: Findings) -> None:
    """Tell files of the same bytes, within a split and across; and nearly the same pictures across."""
    leaked = _find_same_bytes(seen, findings)
    train = [one for one in seen if one[0].name == "train" and one[2].hash]
    val = [one for one in seen if one[0].name == "val" and one[2].hash and one[1].path not in leaked]
    if train and val:
        _find_alike(train, val, findings)


def _find_same_bytes(seen: Sequence[Seen], findings: Findings) -> set[Path]:
    """Returns the pictures of val that are in train too."""
    first: dict[tuple[str, str], Seen] = {}
    leaked: set[Path] = set()
    for one in seen:
        split, record, look = one
        say = sayer(findings, split, picture=record.file_name)
        twin = first.setdefault((split.name, look.digest), one)
        if twin is not one:
            say(
                "picture-copy",
                f"its bytes are those of {twin[1].file_name!r}",
                partial(_pair, one, twin),
            )
        source = first.get(("train", look.digest))
        if split.name == "val" and source:
            leaked.add(record.path)
            what = f"its bytes are those of {source[1].file_name!r} in train"
            say("split-leak", what, partial(_pair, one, source))
    return leaked


def _find_alike(train: Sequence[Seen], val: Sequence[Seen], findings: Findings) -> None:
    """For each picture of val the first of train that looks like it."""
    known, asked = (np.array([one[2].hash for one in side], dtype=np.uint64) for side in (train, val))
    for place, candidates in near(known, asked):
        one = val[place]
        for candidate in candidates.tolist():
            twin = train[candidate]
            alike = likeness(one[1].path, twin[1].path)
            if alike >= ALIKE:
                sayer(findings, one[0], picture=one[1].file_name)(
                    "near-duplicate", f"it looks like {twin[1].file_name!r} in train ({alike:.0%} alike)",
                    partial(_pair, one, twin),
                )  # fmt: skip
                break


def _pair(one: Seen, other: Seen) -> Evidence:
    return Evidence(pictures=(one[1].path, other[1].path))


def near(known: Hashes, asked: Hashes, bits: int = BITS) -> Iterator[tuple[int, Int64[np.ndarray, " candidates"]]]:
    """For each hash of ``asked`` that has any: its place, and the places of ``known`` within ``bits`` bits of it.

    Two hashes that differ in at most 7 bits have, of four bands of 16 bits, one that differs in at most one bit: each
    band is looked up in a sorted list, as it is and with each of its bits turned. So no time goes into all pairs. The
    nearest come first; of several that have one hash the first stands for all.

    >>> [(place, found.tolist()) for place, found in near(np.array([0b1000, 0, 0], dtype=np.uint64), np.uint64([1]))]
    [(0, [1, 0])]
    """
    unique, first = np.unique(known, return_index=True)
    bands = [np.sort(_band(unique, band), kind="stable") for band in range(4)]
    orders = [np.argsort(_band(unique, band), kind="stable") for band in range(4)]
    for place, own in enumerate(asked):
        found = [order[start:stop] for number, (band, order) in enumerate(zip(bands, orders, strict=True))
                 for start, stop in _ranges(band, _band(asked[place : place + 1], number) ^ _TURNS)]  # fmt: skip
        candidates = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))
        distances = _count_bits(unique[candidates] ^ own)
        best = np.argsort(distances, kind="stable")[:MOST]
        best = best[distances[best] <= bits]
        if len(best):
            yield place, first[candidates[best]]


_TURNS = np.append(0, 1 << np.arange(16)).astype(np.uint16)
"""No bit of a band, and each."""


def _band(hashes: Hashes, number: int) -> UInt16[np.ndarray, "_"]:
    return ((hashes >> np.uint64(16 * number)) & np.uint64(0xFFFF)).astype(np.uint16)


def _ranges(band: UInt16[np.ndarray, "_"], probes: UInt16[np.ndarray, "_"]) -> list[tuple[int, int]]:
    """Where the probes stand in a sorted band."""
    starts, stops = (np.searchsorted(band, probes, side=side).tolist() for side in ("left", "right"))
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if stop > start]


def _count_bits(values: Hashes) -> Int64[np.ndarray, "_"]:
    return np.unpackbits(values.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1, dtype=np.int64)


def likeness(a: Path, b: Path) -> float:
    """Correlation of two pictures' grey thumbnails: 1 for the same, about 0 for unrelated ones."""
    first, second = _standard(a), _standard(b)
    return float((first * second).mean())


@lru_cache(maxsize=256)
def _standard(path: Path) -> Float[np.ndarray, "side side"]:
    """A grey thumbnail of mean 0 and deviation 1, so that dark pictures are not alike for their darkness."""
    try:
        grey = grey_thumbnail(read_image(path), SIDE)
    except UserError:  # gone since it was looked at
        return np.zeros((SIDE, SIDE))
    return (grey - grey.mean()) / max(float(grey.std()), 0.5)
