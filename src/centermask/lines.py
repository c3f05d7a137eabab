"""JSON lines: records that are on the disk's way as soon as they are made, and are taken up where they broke off."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from centermask.errors import UserError
from centermask.files import writing


def encode_line(record: dict[str, Any]) -> bytes:
    """A record as a line.

    >>> encode_line({"file_name": "cat.jpg"})
    b'{"file_name": "cat.jpg"}\\n'
    """
    # A file name that is no UTF-8 keeps its odd bytes as JSON escapes.
    return (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


class Lines:
    """A file of records that grows; each is on the disk's way when ``append`` returns."""

    def __init__(self, file: BinaryIO, names: frozenset[str] = frozenset()) -> None:
        self._file = file
        self.names = names
        """The ``file_name`` of each record that was there already."""

    def append(self, record: dict[str, Any]) -> None:
        """Add a line."""
        self._file.write(encode_line(record))
        self._file.flush()


@contextmanager
def open_lines(path: Path, *, resume: bool = False) -> Iterator[Lines]:
    """A new file of records, or one that goes on; it is flushed to disk at the end of the block.

    A last line that was broken off is cut away. While the file is open, no other run can open it so.

    Args:
        path: The file; missing folders are made.
        resume: Go on if it is there already.

    Raises:
        UserError: it is there already and was not to be (an empty one is as good as none), is no file of records, is in
            use, or cannot be written.
    """
    if not resume and path.exists() and path.stat().st_size:
        raise UserError(f"{path}: is there already; go on with it (--resume), or choose another name")
    with writing(path, path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "x+b") as file:
            _claim(file, path)
            names, end = _read(file, path)
            file.truncate(end)
            file.seek(end)
            yield Lines(file, names)
            os.fsync(file.fileno())


def _claim(file: BinaryIO, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UserError(f"{path}: another run is writing to it; wait for its end, or choose another name") from None


def _read(file: BinaryIO, path: Path) -> tuple[frozenset[str], int]:
    """The names in whole lines, and where these end."""
    names, end = set[str](), 0
    for number, line in enumerate(file, start=1):
        if not line.endswith(b"\n"):
            break
        try:
            names.add(str(json.loads(line)["file_name"]))
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}: line {number} is no record of a prediction; choose another name") from None
        end += len(line)
    return frozenset(names), end
