"""MP4 as a row of boxes: a file cut within one of them often reads without an error."""

from pathlib import Path

HEAD = 8
"""Bytes with which a box begins."""
BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"imda", b"mfra", b"free", b"skip", b"wide", b"pnot",
                   b"meta", b"uuid", b"udta", b"sidx", b"ssix", b"prft", b"emsg", b"pdin"})  # fmt: skip
"""The kinds of those that stand at the top of a file."""


def is_cut_off(path: Path) -> bool:
    """Whether the last box at the top of an MP4 or MOV file is longer than what is left of the file, or announces more.

    A box begins with its length in four bytes and its kind in four; length 1 means that eight bytes of length follow,
    0 that it reaches to the end (ISO/IEC 14496-12, 4.2). A ``moof`` announces an ``mdat`` behind it. What stands behind
    the last box and is none, as some cameras and copies leave it, does not count; neither does a file that is no longer
    there.
    """
    try:
        return _is_cut_off(path)
    except OSError:  # deleted or moved while it was read, to its end
        return False


def _is_cut_off(path: Path) -> bool:
    whole, start, kind = path.stat().st_size, 0, b""
    with path.open("rb") as file:
        while start + HEAD <= whole:
            file.seek(start)
            head = file.read(16)
            kind = head[4:8]
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0:
                return False
            if start + length > whole:
                return kind in BOXES
            start += max(length, HEAD)
    return kind == b"moof"
