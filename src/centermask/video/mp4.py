"""MP4 as a row of boxes: a file cut within one of them often reads without an error."""

from pathlib import Path


def is_cut_off(path: Path) -> bool:
    """Whether the last box at the top of an MP4 or MOV file is longer than what is left of the file.

    A box begins with its length in four bytes and its kind in four; length 1 means that eight bytes of length follow,
    0 that it reaches to the end (ISO/IEC 14496-12, 4.2).
    """
    whole, start = path.stat().st_size, 0
    with path.open("rb") as file:
        while start < whole:
            file.seek(start)
            head = file.read(16)
            if len(head) < 8:
                return True
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0:
                return False
            start += max(length, 8)
    return start > whole
