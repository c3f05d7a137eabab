"""A video read frame by frame: upright RGB pictures with their times, as far as the file can be read."""

import time
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from centermask.errors import UserError
from centermask.size import Size
from centermask.video.clock import Clock
from centermask.video.engine import import_av, reason
from centermask.video.frame import HD_LINES, Frame, Picture, VideoInfo
from centermask.video.mp4 import is_cut_off
from centermask.video.source import SILENCE, Source, find_source
from centermask.video.upright import is_sideways, upright

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

MAX_PIXELS = 2**26
"""Of a frame: 8192 × 8192. What claims more is refused before it is decoded."""
USUAL_RATE = Fraction(25)
"""Frames a second where a source does not say."""
UNKNOWN_COLOURS = 2
"""FFmpeg's number for a frame that does not say by which matrix its colours were coded."""
NAMELESS = frozenset({"mpegts", "mpeg"})
"""Formats that do not say how long they last: FFmpeg guesses it from the end that is there."""


def read_video(source: str | Path) -> Iterator[Frame]:
    """The frames of a file, of ``camera:0`` or of an ``rtsp://`` address, one after the other.

    >>> for frame in read_video("clip.mp4"):                     # doctest: +SKIP
    ...     print(frame.number, frame.time, frame.pixels.shape)  # doctest: +SKIP

    Raises:
        UserError: the source cannot be opened, or, after the last frame that could be read, it is damaged or cut off.
    """
    with VideoReader(find_source(source)) as video:
        yield from video
    if video.trouble:
        raise UserError(video.trouble)


class VideoReader:
    """A video, opened, with its first frame decoded; iterating over it gives all frames, once.

    A damaged file does not raise: it ends with the last frame that can be read, and ``trouble`` says so. The file is
    closed at the end of the iteration, by whichever thread iterates.

    Raises:
        UserError: the source cannot be opened, is no video, or not one frame can be read.
    """

    def __init__(self, source: Source) -> None:
        self._av = import_av(source.name)
        self._source = source
        self._broken = ""
        self._damaged = 0
        self._short = False
        self._reached = 0.0
        self._count = 0
        self.ended = False
        """Whether the last frame there is was given."""
        self._container = _open(self._av, source)
        try:
            self._stream = _find_stream(self._av, self._container, source)
            self._pictures = self._decode()
            first = next(self._pictures, None)
            if first is None:
                raise UserError(f"{source.name}: not one frame can be read; the video is empty, damaged or cut off")
            self.clock = Clock(_rate(self._stream))
            """Of the pictures; the file's sound keeps to it, too."""
            self._first: Frame | None = self._frame(first)
            self.info = self._describe(first, self._first)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._first is not None:  # nobody iterates; who does closes by himself, lest a thread read a closed file
            self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        first, self._first = self._first, None
        with closing(self._container):
            yield from [] if first is None else [first]
            yield from (self._frame(picture) for picture in self._pictures)
            self._short = not self._source.live and self._is_short()
            self.ended = True

    @property
    def trouble(self) -> str:
        """After the end: what is wrong with the source, and how much could be read; empty if nothing is."""
        name, frames = self.info.name, self.info.frames
        of = f" of about {frames}" if frames and frames > self._count else ""
        if self.info.live:
            return f"{name}: the stream broke off after {self._count} frames ({self._broken})" if self._broken else ""
        if self._broken or self._damaged or self._short:
            return f"{name}: the video is damaged or cut off; {self._count}{of} frames could be read"
        return ""

    def _decode(self) -> Iterator["VideoFrame"]:
        """The pictures that can be decoded; what cannot is counted, and the next one tried."""
        for packet in self._packets():
            try:
                yield from self._stream.decode(packet)
            except self._av.EOFError:
                continue
            except (self._av.FFmpegError, OSError):
                self._damaged += 1

    def _packets(self) -> Iterator["Packet[Any] | None"]:
        """The pictures' packets as long as they can be read; the last one, None or empty, empties the decoder.

        If the file does not say how long its pictures last, the others are looked at too, for how far it reaches.
        """
        alone = self._source.live or bool(self._stream.duration)
        streams = [self._stream] if alone else list(self._container.streams)
        heard = time.monotonic()
        try:
            for packet in self._container.demux(streams):
                silent, heard = time.monotonic() - heard, time.monotonic()
                if self._source.live and not packet.size and silent > SILENCE * 0.9:  # FFmpeg takes it for the end
                    self._broken = f"nothing came for {SILENCE} seconds"
                self._reached = max(self._reached, self._end(packet))
                if packet.stream == self._stream:  # the empty one at the end has an index, but not that of its stream
                    yield packet
        except (self._av.FFmpegError, OSError) as error:
            self._broken = reason(error)
            yield None

    def _end(self, packet: "Packet[Any]") -> float:
        """Seconds on the file's clock at which what is in it ends; a picture that does not say so lasts as usual."""
        if packet.pts is None or packet.time_base is None:
            return 0.0
        usual = 1 / _rate(self._stream) if packet.stream == self._stream else Fraction(0)
        return float(packet.pts * packet.time_base + ((packet.duration or 0) * packet.time_base or usual))

    def _frame(self, picture: "VideoFrame") -> Frame:
        if picture.width * picture.height > MAX_PIXELS:
            raise UserError(f"{self._source.name}: a frame has more than {MAX_PIXELS} pixels; scale the video down")
        number, self._count = self._count, self._count + 1
        return Frame(number, self.clock.seconds(_stamp(picture, self._stream)), _pixels(picture))

    def _describe(self, first: "VideoFrame", frame: Frame) -> VideoInfo:
        rate = _rate(self._stream)
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        return VideoInfo(
            name=self._source.name,
            size=Size(*frame.pixels.shape[:2]),
            rate=rate,
            frames=None if self._source.live else self._stream.frames or round(self._duration() * rate) or None,
            start=_stamp(first, self._stream) or 0.0,
            pixel_aspect=1 / aspect if is_sideways(_matrix(first)) else aspect,
            live=self._source.live,
        )

    def _duration(self) -> float:
        """Seconds that the file says it lasts, 0 if it does not."""
        return (self._container.duration or 0) / self._av.time_base

    def _named(self) -> tuple[float, float]:
        """Where, by what the file says, its pictures begin on its clock and how long they last, in seconds.

        Where it says that of the whole alone, the beginning is 0: some formats count from there.
        """
        stream, unit = self._stream, self._stream.time_base
        if self._container.format.name in NAMELESS or not unit:
            return 0.0, 0.0
        if self._container.format.name == "avi":  # of a cut off one FFmpeg guesses the duration anew
            return 0.0, float(stream.frames * unit)
        if stream.duration:
            return float((stream.start_time or 0) * unit), float(stream.duration * unit)
        return 0.0, self._duration()

    def _is_short(self) -> bool:
        """Whether the file ends clearly before its named end: a copy that broke off often reads without an error."""
        start, lasts = self._named()
        if self._reached - start < lasts * 0.97 - 0.2:
            return True
        path = self._source.path
        return path is not None and "mp4" in self._container.format.name and is_cut_off(path)


def _open(av: ModuleType, source: Source) -> "InputContainer":
    """The opened container.

    Raises:
        UserError: there is none, nobody answers, or this is no video.
    """
    try:
        opened: InputContainer = av.open(
            source.address, format=source.format, options=source.options, metadata_errors="replace",
            timeout=SILENCE if source.live else None,
        )  # fmt: skip
    except (av.FFmpegError, OSError) as error:
        raise UserError(_complaint(source, error)) from None
    return opened


def _complaint(source: Source, error: Exception) -> str:
    if source.path is not None:
        return f"{source.name}: this is no video that can be read, or it is cut off; convert it to MP4"
    if source.format == "rtsp":
        return f"{source.name}: no stream comes from there ({reason(error)}); check address, network and password"
    return f"{source.name}: there is no such camera, or it is in use ({reason(error)}); camera:0 is the first one"


def _find_stream(av: ModuleType, container: "InputContainer", source: Source) -> "VideoStream":
    """The first stream of pictures that is no cover of a record.

    Raises:
        UserError: there is none, or it cannot be decoded.
    """
    covers = av.stream.Disposition.attached_pic
    streams = [one for one in container.streams.video if not one.disposition & covers]
    if not streams:
        raise UserError(f"{source.name}: there are no moving pictures in it; name a video")
    stream = streams[0]
    if stream.codec_context is None:
        raise UserError(f"{source.name}: its pictures are coded in a way that PyAV does not know; convert it to H.264")
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
        raise UserError(f"{source.name}: its frames have more than {MAX_PIXELS} pixels; scale the video down")
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # a frame may claim more than the header
    stream.thread_type = "SLICE" if source.live else "AUTO"  # several frames at a time are faster, but come late
    return stream


def _rate(stream: "VideoStream") -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and Fraction(1, 3600) <= rate <= 1000 else USUAL_RATE


def _stamp(picture: "VideoFrame", stream: "VideoStream") -> float | None:
    """The picture's own time in seconds; one out of an emptied decoder has a stamp, but does not know its unit."""
    if picture.pts is None or not stream.time_base:
        return None
    return float(picture.pts * stream.time_base)


def _pixels(picture: "VideoFrame") -> Picture:
    unsaid = picture.colorspace == UNKNOWN_COLOURS and picture.height >= HD_LINES
    stored: Picture = picture.to_ndarray(format="rgb24", src_colorspace="itu709" if unsaid else None)
    return upright(stored, _matrix(picture))


def _matrix(picture: "VideoFrame") -> bytes | None:
    noted: Any = picture.side_data.get("DISPLAYMATRIX")
    return None if noted is None else bytes(noted)
