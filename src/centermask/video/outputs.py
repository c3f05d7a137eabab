"""Where the answers of a video go, and whether they may go there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from centermask.errors import UserError
from centermask.files import whole_path
from centermask.lines import Lines
from centermask.video.engine import writing
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

    An error of the block is its own, even if it is of the system: see ``writing`` for those of this file.

    Raises:
        UserError: it cannot be written.
    """
    if live:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("wb").close()
        yield path
        return
    try:
        with whole_path(path) as aside:
            try:
                yield aside
            except OSError as error:
                raise _ForeignError(error) from error
    except _ForeignError as carried:
        raise carried.error from carried.error.__cause__


class _ForeignError(Exception):
    """Carries an error past ``whole_path``, which would take it for one of the file."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def open_records(path: Path, *, live: bool) -> Iterator[Lines]:
    """JSON lines in such a place; who appends does so within ``writing``.

    Raises:
        UserError: they cannot be written.
    """
    with place(path, live=live) as aside:
        with writing(path):
            file = aside.open("wb")
        try:
            yield Lines(file)
        finally:
            with writing(path):  # tries once more what a full disk did not take
                file.close()
