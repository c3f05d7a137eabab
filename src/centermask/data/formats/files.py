"""Files of a data folder: listed, kept inside it, and read up to a limit."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from centermask.errors import UserError
from centermask.images import IMAGE_SUFFIXES, read_size
from centermask.size import Size

MAX_TEXT_BYTES = 64 * 2**20
"""Of a label file of one picture, or a list; more is no such file."""

MAX_VERTICES = 100_000
"""Of one polygon."""


@dataclass(frozen=True)
class DataFolder:
    """A data set's folder, which nothing that its files name may lead out of."""

    path: Path

    @cached_property
    def real(self) -> str:
        """Without symbolic links."""
        return os.path.realpath(self.path)

    def name(self, path: Path) -> str:
        """A path as seen from this folder, with forward slashes.

        Raises:
            ValueError: it leads out of the folder, by ``..``, as an absolute path or through a symbolic link.
        """
        plain = os.path.relpath(path, self.path)
        if not self._holds(os.path.realpath(path)) or plain.split(os.sep)[0] == os.pardir:
            raise ValueError(f"{str(path)!r} leads out of {self.path}; keep all files of a data set in its folder")
        return Path(plain).as_posix()

    def require(self, path: Path) -> Path:
        """The same path, if it does not lead out of the folder.

        Raises:
            UserError: it does.
        """
        try:
            self.name(path)
        except ValueError as error:
            raise UserError(f"{self.path}: {error}") from None
        return path

    def _holds(self, real: str) -> bool:
        return real == self.real or real.startswith(self.real.rstrip(os.sep) + os.sep)


def walk(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Files below a folder that end so (small letters), by name; hidden files and folders are passed over."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield Path(place, name)


def pictures_below(folder: Path) -> list[Path]:
    """All pictures in a folder and in the folders in it."""
    return list(walk(folder, IMAGE_SUFFIXES))


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """A text file of at most ``limit`` bytes.

    Raises:
        ValueError: it cannot be read, is too large or is not text; a clause.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read ({error.strerror or error})") from None
    if len(content) > limit:
        raise ValueError(f"the file has more than {limit >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is no UTF-8 text; save the file as UTF-8") from None


def text_lines(text: str) -> list[str]:
    """The lines of a list file; blanks at their ends are theirs, empty lines are not."""
    return [line for line in (line.removesuffix("\r") for line in text.split("\n")) if line.strip()]


def read_list(path: Path) -> list[str]:
    """The lines of a list file that everything hangs on.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return text_lines(read_text(path))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def read_class_names(path: Path) -> list[str]:
    """Class names, a line each; labelme's own ``__ignore__`` and ``_background_`` at the head are no classes.

    Raises:
        UserError: the file cannot be read, holds no name, or a name twice.
    """
    names = read_list(path)
    for head in ("__ignore__", "_background_"):
        names = names[1:] if names[:1] == [head] else names
    if not names or len(set(names)) < len(names):
        raise UserError(f"{path}: expected class names, one a line, each once; write them so")
    return names


def picture_size(path: Path) -> Size:
    """``read_size`` for a reader that goes on after a fault.

    Raises:
        ValueError: the picture cannot be read; a clause.
    """
    try:
        return read_size(path)
    except UserError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from None
