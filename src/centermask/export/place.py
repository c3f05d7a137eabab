"""An exported file is written in a folder beside its place, and put there whole."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from centermask.errors import UserError


@contextmanager
def aside(out: Path) -> Iterator[Path]:
    """Where to write what shall become ``out``; the folder goes in the end, with all that is left in it.

    The name there ends in small letters, as some writers want it.

    Raises:
        UserError: the folder of ``out`` cannot be made or written to, ``out`` is no file or would push out a file of
            another's, or the disk is full.
    """
    out = Path(os.path.realpath(out))
    for part in parts(out):
        if part.exists() and (not part.is_file() or not out.exists()):
            raise UserError(f"{part}: stands in the way; remove it, or choose another name")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            yield Path(folder) / f"{out.stem}{out.suffix.lower()}"
    except BrokenPipeError:  # of something that the block prints to, not of this file
        raise
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); choose another place") from error


def put_in_place(written: Path, out: Path) -> None:
    """Move what ``aside`` gave to its place.

    Of a pair of files one is never found with an old one of the other: what stood there goes first, and the file by
    which the pair is opened comes last.
    """
    out = Path(os.path.realpath(out))
    if len(parts(out)) > 1:
        out.unlink(missing_ok=True)
    for source, target in zip(parts(written), parts(out), strict=True):
        _flush(source)
        source.replace(target)


def parts(path: Path) -> list[Path]:
    """The files of an exported file, in the order in which they are put in place."""
    return [path.with_suffix(".bin"), path] if path.suffix.lower() == ".xml" else [path]


def _flush(path: Path) -> None:
    """Let the disk have a file before its name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
