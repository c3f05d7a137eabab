"""Where the answers of a video go, and whether they may go there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from centermask.errors import UserError
from centermask.files import whole_path
from centermask.video.frame import FoundFrame
from centermask.video.kinds import KINDS, kind_of
from centermask.video.source import VIDEO_SUFFIXES, Source


def video_path(out: Path, source: Source) -> Path:
    """The file that an ``--out`` means: itself if it ends like a video, else one in that folder, named like the source.

    Raises:
        UserError: it ends like a video that is not written, or it is the video that is read.
    """
    if out.suffix.lower() in VIDEO_SUFFIXES and not out.is_dir():
        kind_of(out)
        if _same(out, source.path):
            raise UserError(f"{out}: this is the video itself; choose another name with --out")
        return out
    if source.path is not None:
        stem = source.path.stem
    else:
        stem = source.name.replace(":", "-") if source.name.startswith("camera:") else "stream"
    chosen = out / f"{stem}.mp4"
    return out / f"{stem}_2.mp4" if _same(chosen, source.path) else chosen


def check_records(json_file: Path, source: Source, video: Path | None) -> None:
    """Refuse a place for the records that would not do.

    Raises:
        UserError: it ends like a list, or is the video that is read or written.
    """
    if json_file.suffix.lower() == ".json":
        raise UserError(f"{json_file}: a video's objects are JSON lines, one a frame; name it "
                        f"{json_file.with_suffix('.jsonl')}")  # fmt: skip
    if _same(json_file, source.path) or json_file.suffix.lower() in KINDS or json_file == video:
        raise UserError(f"{json_file}: this is a video; name a file that ends in .jsonl")


def _same(path: Path, other: Path | None) -> bool:
    return other is not None and path.exists() and path.samefile(other)


@contextmanager
def place(path: Path, *, live: bool) -> Iterator[Path]:
    """The name to write to: aside until all is done, or, for what has no end, at once in its place.

    Raises:
        UserError: it cannot be written.
    """
    if not live:
        with whole_path(path) as aside:
            yield aside
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("wb").close()
        yield path
    except BrokenPipeError:  # of something that is printed to, not of this file
        raise
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another place"
        ) from None


class Records:
    """JSON lines, one for each frame that was predicted; each is on the disk's way when ``append`` returns."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def append(self, found: FoundFrame) -> None:
        """Add a line."""
        # A file name that is no UTF-8 keeps its odd bytes as JSON escapes.
        line = json.dumps(found.to_json(), ensure_ascii=False) + "\n"
        self._file.write(line.encode("utf-8", "backslashreplace"))
        self._file.flush()
