"""How far a video is, on the terminal: frames, frames a second, and when it will be done."""

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from centermask.video.frame import FoundFrame, VideoInfo


class VideoProgress:
    """A bar on stderr while a video is predicted; nothing if that is no terminal.

    Args:
        on_frame: Called for each frame, besides; what it prints stands above the bar.
    """

    def __init__(self, on_frame: Callable[[FoundFrame], None] | None = None) -> None:
        console = Console(stderr=True)
        frames, rate = MofNCompleteColumn(), TextColumn("{task.fields[rate]}")
        elapsed, left = (TimeElapsedColumn(), TextColumn("elapsed")), (TimeRemainingColumn(), TextColumn("to go"))
        columns = (TextColumn("{task.description}"), BarColumn(), frames, rate, *elapsed, *left)
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal,
            redirect_stdout=bool(sys.stdout and sys.stdout.isatty()),  # but not out of a file or a pipe
        )  # fmt: skip
        self._task = self._bar.add_task("opening", total=None, rate="")
        self._on_frame = on_frame
        self._began = time.perf_counter()
        self._total: int | None = None

    def __enter__(self) -> "VideoProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, info: VideoInfo) -> None:
        """The video is open."""
        self._began = time.perf_counter()
        self._total = info.frames
        self._bar.update(self._task, description=info.name, total=info.frames)

    def advance(self, found: FoundFrame) -> None:
        """A frame is done."""
        done = found.frame.number + 1
        if self._total is not None and done > self._total:  # the file does not know itself
            self._total = None
            self._bar.update(self._task, total=None)
        rate = done / max(time.perf_counter() - self._began, 1e-9)
        self._bar.update(self._task, completed=done, rate=f"{rate:.1f} frames/s")
        if self._on_frame:
            self._on_frame(found)
