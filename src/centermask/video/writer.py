"""Pictures written as a video, each at its time, with the sound of the file they came from."""

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from centermask.errors import UserError
from centermask.files import whole_path
from centermask.size import Size
from centermask.video.engine import import_av, reason, writing
from centermask.video.frame import HD_LINES, Picture, VideoInfo
from centermask.video.kinds import Kind, coding_of, kind_of
from centermask.video.sound import Original, Sound

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

KEY_SECONDS = 2
"""Every so often a picture of a stream can be decoded by itself; what was written before it is safe."""


class VideoWriter:
    """A video file that grows picture by picture.

    Pictures of odd width or height get their last column or row twice, because H.264 stores colours for two by two
    pixels. One of another size than the first is scaled to it.

    Args:
        path: The file, which is overwritten; its name need not end like its kind.
        kind: What is written.
        info: The video that the pictures come from.
        original: The file whose sound goes with them; None for silence.
        shown: The file's name for messages, if it will get another one.

    Raises:
        UserError: the pictures cannot be coded, or the file not be written; by any method.
    """

    def __init__(
        self, path: Path, kind: Kind, info: VideoInfo, original: Original | None, *, shown: Path | None = None
    ) -> None:
        self._av = import_av(info.name)
        self._info, self._shown = info, shown or path
        coding = coding_of(kind, info.name)
        self._ticks = coding.ticks
        self._last_tick = -1
        self._container: OutputContainer = self._av.open(
            f"file:{path.absolute()}", "w", format=kind.format, container_options=_container_options(kind, info)
        )
        self._sound: Sound | None = None
        with ExitStack() as undo:
            undo.callback(self._close)
            self._stream = self._add_pictures(coding.encoder, coding.options)
            self._sound = None if original is None else Sound(original, self._container, kind)
            with self._coding():
                self._container.start_encoding()
            undo.pop_all()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in a sentence each."""
        return (self._sound.note,) if self._sound is not None and self._sound.note else ()

    def write(self, picture: Picture, time: float) -> None:
        """Add a picture that is shown from ``time`` on, in seconds since the first; later than the one before."""
        frame = self._av.VideoFrame.from_ndarray(_even(picture), format="rgb24")
        frame = frame.reformat(
            width=self._stream.width, height=self._stream.height, format="yuv420p",
            dst_colorspace="itu709" if self._info.size.height >= HD_LINES else "itu601", dst_color_range="MPEG",
        )  # fmt: skip
        self._last_tick = max(round(time * self._ticks), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, Fraction(1, self._ticks)
        frame.duration = round(self._ticks / self._info.rate)
        with self._coding():
            if self._sound is not None:
                self._sound.write_until(time)
            self._container.mux(self._stream.encode(frame))

    def finish(self, *, whole: bool) -> None:
        """End the file; without this it is no video.

        Args:
            whole: All that sounds on is kept, too. Otherwise the sound ends with the pictures.
        """
        with self._coding():
            if self._sound is not None:
                end = (self._last_tick + self._ticks / float(self._info.rate)) / self._ticks
                self._sound.finish(math.inf if whole else end)
            self._container.mux(self._stream.encode(None))
            self._container.close()

    @contextmanager
    def _coding(self) -> Iterator[None]:
        """Around what codes and writes: its errors in words."""
        try:
            with writing(self._shown):
                yield
        except BrokenPipeError:
            raise
        except self._av.FFmpegError as error:
            height, width = self._info.size
            raise UserError(
                f"{self._info.name}: pictures of {height} × {width} pixels cannot be coded as a video "
                f"({reason(error)}); choose another ending, or leave out --out"
            ) from None

    def _close(self) -> None:
        """Close both files; what still goes wrong does not matter, since a file that is ended is closed already."""
        if self._sound is not None:
            self._sound.close()
        with suppress(self._av.FFmpegError, OSError):
            self._container.close()

    def _add_pictures(self, encoder: str, options: dict[str, str]) -> "VideoStream":
        info = self._info
        stream: Any = self._container.add_stream(encoder, rate=info.rate, options=options)
        stream.height, stream.width = (side + side % 2 for side in info.size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, self._ticks)
        context.sample_aspect_ratio = info.pixel_aspect
        context.color_range = 1
        context.colorspace = 1 if info.size.height >= HD_LINES else 5
        if info.live:
            context.gop_size = max(1, round(KEY_SECONDS * info.rate))
            context.max_b_frames = 0  # in fragments they would put off the first frame
        return stream


def write_clip(path: Path, pictures: Iterable[Picture], rate: int) -> None:
    """Write pictures of one size as a video without sound, ``rate`` a second, whole or not at all.

    Raises:
        UserError: PyAV is not installed, the file cannot be written, or the pictures cannot be coded; there are none.
    """
    rest = iter(pictures)
    first = next(rest, None)
    if first is None:
        raise UserError(f"{path}: a video has at least one picture; give some")
    info = VideoInfo(name=path.name, size=Size(*first.shape[:2]), rate=Fraction(rate), frames=None, start=0.0,
                     pixel_aspect=Fraction(1), live=False)  # fmt: skip
    kind = kind_of(path)
    with whole_path(path) as aside, VideoWriter(aside, kind, info, None, shown=path) as writer:
        for number, picture in enumerate(chain([first], rest)):
            writer.write(picture, number / rate)
        writer.finish(whole=True)


def _container_options(kind: Kind, info: VideoInfo) -> dict[str, str]:
    """A stream's file is written in fragments, to be readable however it ends; others get their index in front.

    With the index in front a player need not wait for the whole file.
    """
    if kind.format not in ("mp4", "mov"):
        return {}
    return {"movflags": "frag_keyframe+empty_moov+default_base_moof" if info.live else "faststart"}


def _even(picture: Picture) -> UInt8[np.ndarray, "even_height even_width 3"]:
    height, width = picture.shape[:2]
    return np.ascontiguousarray(np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
