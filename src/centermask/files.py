"""Files that are found whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from centermask.errors import UserError

EXPORTED = (".onnx", ".xml", ".pt2")
"""Endings of exported networks; any other file is taken for weights."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place only once it is complete: written aside, flushed to disk, renamed.

    Missing folders are made. If the block raises, the file that stood there stays as it was.

    Raises:
        UserError: the folder cannot be made or written to, or the disk is full.
    """
    with whole_path(path) as aside, aside.open("wb") as file:
        yield file


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """The same for what opens its file by name: an empty file aside, which takes its place at the end of the block.

    Raises:
        UserError: see ``whole_file``.
    """
    path = Path(os.path.realpath(path))
    descriptor, aside = _open_aside(path)
    try:
        with writing(path, aside), os.fdopen(descriptor, "wb"):
            yield aside
            os.fsync(descriptor)  # by whichever name it was written, it is one file
        with writing(path, aside):
            aside.chmod(0o644)
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def check_places(*paths: Path | None) -> None:
    """Refuse places that cannot be written, before work whose outcome would then be lost. Makes missing folders.

    Raises:
        UserError: see ``whole_file``.
    """
    for path in filter(None, paths):
        descriptor, aside = _open_aside(Path(os.path.realpath(path)))
        os.close(descriptor)
        aside.unlink()


def _open_aside(path: Path) -> tuple[int, Path]:
    """An empty file beside the one that is to be written, and its descriptor."""
    if os.path.exists(path) and not path.is_file():  # unlike Path.exists, false for a name that is too long
        raise UserError(f"{path}: this is no file that can be replaced; choose another name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
    return descriptor, Path(name)


@contextmanager
def writing(path: Path, *also: Path) -> Iterator[None]:
    """Around a block that writes ``path``, and ``also`` what stands for it meanwhile: its errors become words.

    Those of another file that the block opens, and of a pipe that it prints to, stay as they are.

    Raises:
        UserError: it cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename not in (None, *map(str, (path, *also))):
            raise
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another place"
        ) from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file at once.

    Raises:
        UserError: see ``whole_file``.
    """
    with whole_file(path) as file:
        file.write(content)
