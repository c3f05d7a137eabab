"""A video's objects: read, predict, draw and write, all at the same time."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import NamedTuple

from centermask.errors import UserError
from centermask.instances import Instances
from centermask.track import Tracker
from centermask.video.engine import writing
from centermask.video.frame import FoundFrame, Frame, Picture, VideoInfo
from centermask.video.kinds import kind_of
from centermask.video.line import Line, Stage
from centermask.video.outputs import check_records, open_records, place, video_path
from centermask.video.reader import VideoReader
from centermask.video.sound import Original
from centermask.video.source import Source, find_source
from centermask.video.window import Window
from centermask.video.writer import VideoWriter
from centermask.visualize import number_colours

WAITING = 4
"""Frames that may wait between two stages."""


Finder = Callable[[Picture], Instances]
"""What finds the objects of a picture: a ``Predictor``, or anything that is called like one."""


@dataclass(frozen=True, kw_only=True)
class VideoSummary:
    """What became of a video."""

    info: VideoInfo
    video: Path | None
    """The video that was written."""
    frames: int
    """Frames that were read, predicted or not, and written."""
    predicted: int
    dropped: int
    """Frames of a camera or stream that came faster than they could be predicted."""
    tracks: int | None
    """How many objects were told apart in this video; None if they were not followed."""
    seconds: float
    """That it took."""
    interrupted: bool
    """Whether it ended early, by Ctrl-C or because the window was closed."""
    trouble: str
    """Why not all could be read; empty if all was."""
    notes: tuple[str, ...]
    """What was left out, in a sentence each."""


def predict_video(
    finder: Finder,
    source: str | Path,
    *,
    out: Path | None = None,
    json_file: Path | None = None,
    every: int = 1,
    tracker: Tracker | None = None,
    seconds: float | None = None,
    show: bool = False,
    on_open: Callable[[VideoInfo], None] = lambda info: None,
    on_frame: Callable[[FoundFrame], None] = lambda found: None,
) -> VideoSummary:
    """Find the objects of a video, and write what is asked for.

    Memory does not grow with the length of the video. Ctrl-C, or closing the window, ends early with what was found
    until then in its place; a second Ctrl-C ends within about a second. If the source is damaged, what could be read is
    written, and the summary's ``trouble`` says so. Whatever else goes wrong leaves no file.

    What comes from a camera or a stream is written in its place at once; of its frames those are dropped that come too
    fast.

    >>> from centermask import Predictor                                                            # doctest: +SKIP
    >>> predict_video(Predictor("plus-nano"), "clip.mp4", out=Path("found.mp4"), tracker=Tracker()) # doctest: +SKIP

    Args:
        finder: Finds the objects of a picture.
        source: A file, ``camera:0`` or ``rtsp://``.
        out: The overlay video (.mp4, .mov, .mkv or .webm), or a folder for it. A file's sound goes with it.
        json_file: JSON lines, one for each predicted frame; see ``FoundFrame.to_json``.
        every: Predict every so many frames; on those between, the last objects are drawn again.
        tracker: Follows the objects, which keep number and colour; None: one colour for each class.
        seconds: End after so many seconds of video.
        show: Open a window; only from the main thread.
        on_open: Called once, when the source is open.
        on_frame: Called for each frame, in order, when it has been written; in the calling thread.

    Raises:
        UserError: the source cannot be opened, an answer cannot be written, or an argument is out of its range.
    """
    origin, path = plan_video(source, out=out, json_file=json_file, every=every, seconds=seconds)
    began, stop, known_before = time.perf_counter(), Event(), tracker.count if tracker else 0
    with ExitStack() as stack:
        window = _open_window(origin.name, stack) if show else None
        video = stack.enter_context(VideoReader(origin))
        on_open(video.info)
        outputs = _Outputs(video, origin, path, json_file, stack)
        line = stack.enter_context(Line(WAITING))
        frames = line.stage(_until(video, seconds, stop), newest=origin.live)
        found = line.stage(_find(frames, finder, origin.name, every, tracker, stop))
        drawn = line.stage(_draw(found)) if path or window else found
        written = line.stage(outputs.write(drawn, stop))
        counts = _watch(written, stop, window, on_frame)
    return VideoSummary(
        info=video.info, video=path, frames=counts.frames, predicted=counts.predicted, dropped=frames.dropped,
        tracks=tracker.count - known_before if tracker else None, seconds=time.perf_counter() - began,
        interrupted=stop.is_set(), trouble=video.trouble, notes=outputs.notes,
    )  # fmt: skip


class Plan(NamedTuple):
    """What is asked of a video, as far as it can be known before it is opened."""

    source: Source
    video: Path | None
    """The video to write."""


def plan_video(
    source: str | Path,
    *,
    out: Path | None = None,
    json_file: Path | None = None,
    every: int = 1,
    seconds: float | None = None,
) -> Plan:
    """Check the arguments of ``predict_video``, which does so itself, before any other work is done.

    Raises:
        UserError: the source is not there, an answer has no good place, or a number is out of its range.
    """
    if every < 1:
        raise UserError(f"every must be at least 1, not {every}")
    if seconds is not None and not seconds > 0:
        raise UserError(f"seconds must be more than 0, not {seconds}")
    origin = find_source(source)
    path = None if out is None else video_path(out, origin)
    if json_file is not None:
        check_records(json_file, origin, path)
    return Plan(origin, path)


def _until(video: VideoReader, seconds: float | None, stop: Event) -> Iterator[Frame]:
    for frame in video:
        if stop.is_set() or (seconds is not None and frame.time >= seconds):
            return
        yield frame


def _find(
    frames: Iterable[Frame], finder: Finder, name: str, every: int, tracker: Tracker | None, stop: Event
) -> Iterator[FoundFrame]:
    """Frames with their objects; what waits when the video is stopped is left out."""
    due, last = 0, None
    for frame in frames:
        if stop.is_set():
            return
        if last is None or frame.number >= due or last.instances.size != frame.pixels.shape[:2]:
            instances = replace(finder(frame.pixels), file_name=name)
            last = FoundFrame(frame, instances, tracker.update(instances) if tracker else None, predicted=True)
            due = frame.number + every
            yield last
        else:
            yield last._replace(frame=frame, predicted=False)


def _draw(found: Iterable[FoundFrame]) -> Iterator[FoundFrame]:
    for each in found:
        yield each._replace(picture=draw_found(each))


def draw_found(found: FoundFrame) -> Picture:
    """The frame with its objects: each in a colour of its own if it is followed, else in that of its class."""
    instances, ids = found.instances, found.ids
    numbers = [""] * len(instances) if ids is None else [f" #{number}" for number in ids]
    captions = [
        f"{name}{number} {score:.2f}"
        for name, number, score in zip(instances.class_names, numbers, instances.scores, strict=True)
    ]
    colours = number_colours(instances.labels if ids is None else ids)
    return instances.overlay(found.frame.pixels, captions=captions, colours=colours)


class _Outputs:
    """The files that are asked for; they take their places when ``stack`` is left without an error."""

    def __init__(
        self, video: VideoReader, source: Source, path: Path | None, json_file: Path | None, stack: ExitStack
    ) -> None:
        live = source.live
        self._video, self._source, self._path, self._json_file = video, source, path, json_file
        self._aside = stack.enter_context(place(path, live=live)) if path else None
        self._records = stack.enter_context(open_records(json_file, live=live)) if json_file else None
        self.notes: tuple[str, ...] = ()

    def write(self, drawn: Iterable[FoundFrame], stop: Event) -> Iterator[FoundFrame]:
        """Write frame after frame, and give each on; the video is closed here, in the thread that writes it."""
        with ExitStack() as stack:
            writer = stack.enter_context(self._writer(self._aside, self._path)) if self._aside and self._path else None
            for each in drawn:
                if writer and each.picture is not None:
                    writer.write(each.picture, each.frame.time)
                if self._records and self._json_file and each.predicted:
                    with writing(self._json_file):
                        self._records.append(each.to_json())
                yield each
            if writer:
                writer.finish(whole=self._video.ended and not stop.is_set())
                self.notes = writer.notes

    def _writer(self, aside: Path, path: Path) -> VideoWriter:
        original = None if self._source.live else Original(self._source, self._video.clock)
        return VideoWriter(aside, kind_of(path), self._video.info, original, shown=path)


@dataclass
class _Counts:
    frames: int = 0
    predicted: int = 0


def _open_window(name: str, stack: ExitStack) -> Window:
    window = Window(name)
    stack.callback(window.close)
    return window


def _watch(
    written: Stage[FoundFrame], stop: Event, window: Window | None, on_frame: Callable[[FoundFrame], None]
) -> _Counts:
    """Go with the video to its end; the first Ctrl-C asks for an early one."""
    counts = _Counts()
    while True:
        try:
            for each in written:
                counts.frames += 1
                counts.predicted += each.predicted
                on_frame(each)
                if window and each.picture is not None:
                    window.show(each.picture)
                if window and not window.open:
                    stop.set()
            return counts
        except KeyboardInterrupt:
            if stop.is_set():
                raise
            stop.set()
