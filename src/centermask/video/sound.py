"""The sound of a video, brought over into another one in step with its pictures."""

import io
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from centermask.video.clock import Clock, SoundClock
from centermask.video.engine import import_av, reason
from centermask.video.kinds import Kind
from centermask.video.source import Source

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer, OutputContainer

LEAD = 0.1
"""Seconds by which sound may begin before the first frame; what lies before is left out."""
USUAL_RATE = 48_000
"""Samples a second where a file does not say."""


class Original(NamedTuple):
    """The file that pictures come from."""

    source: Source
    clock: Clock
    """That of the pictures, already at the first one."""


class Piece(NamedTuple):
    """A little sound as it was read."""

    stamp: float
    """Seconds on the file's own clock."""
    lasts: float
    """Seconds; 0 where nobody knows."""
    packets: "Callable[[float], list[Packet[Any]]]"
    """Makes it ready to be written, so many seconds before its stamp."""


class Sound:
    """The first sound of a file: as it is where the new kind of file takes it, coded anew where not.

    It reads the file by itself, beside whoever reads the pictures, so that neither waits for the other. Sound that
    cannot be read, coded or written ends there, and ``note`` says why: it does not take the pictures with it.

    Args:
        original: The file.
        out: The new file; it gets a stream for the sound if there is any.
        kind: What kind of file that is.

    Raises:
        OSError: nothing can be written, be it sound or pictures; by any method.
    """

    def __init__(self, original: Original, out: "OutputContainer", kind: Kind) -> None:
        self._av = import_av(original.source.name)
        self._name, self._out = original.source.name, out
        self._clock = SoundClock(original.clock)
        self._heard = -math.inf
        self._container: InputContainer | None = None
        self._pieces: Iterator[Piece] = iter(())
        self._next: Piece | None = None
        self._rest: Callable[[], list[Packet[Any]]] = list
        self.note = ""
        try:
            self._container = self._open(original.source)
            self._pieces = self._careful(self._choose(self._container, kind))
        except (self._av.FFmpegError, OSError, ValueError) as error:
            self.note = f"{self._name}: its sound was left out ({reason(error)})"

    def write_until(self, time: float) -> None:
        """Write what sounds before ``time``, in seconds since the first frame."""
        while (piece := self._next or next(self._pieces, None)) is not None:
            self._next = piece
            begins = self._clock.seconds(piece.stamp, reached=time)
            if begins is None or begins >= time:
                return
            self._next = None
            self._clock.go_on(begins + piece.lasts)
            if begins > -LEAD and begins + piece.lasts / 2 > self._heard:  # else most of it lies behind what was heard
                self._heard = begins + piece.lasts
                self._write(partial(piece.packets, piece.stamp - begins))

    def finish(self, time: float) -> None:
        """The same for the last time."""
        self.write_until(time)
        self._write(self._rest)

    def close(self) -> None:
        """Close the file that is read."""
        if self._container is not None:
            self._container.close()

    def _open(self, source: Source) -> "InputContainer":
        container: InputContainer = self._av.open(source.address, options=source.options, metadata_errors="replace")
        return container

    def _choose(self, container: "InputContainer", kind: Kind) -> Iterator[Piece]:
        """How the sound is brought over; the new file gets its stream now, before its head is written."""
        if not container.streams.audio:
            return iter(())
        stream = container.streams.audio[0]
        for other in container.streams:
            if other.index != stream.index:
                other.discard = self._av.stream.Discard.all  # the pictures are not even read again
        if stream.codec_context is None:
            self.note = f"{self._name}: its sound is coded in a way that PyAV does not know, and was left out"
            return iter(())
        if stream.codec_context.codec.canonical_name in kind.sounds and self._is_taken(stream, kind):
            return _copied(container, stream, self._out.add_stream_from_template(stream))
        target = self._add_coded(stream, kind)
        self._rest = partial(target.encode, None)
        return _recoded(container, stream, target)

    def _is_taken(self, stream: "AudioStream", kind: Kind) -> bool:
        """Whether a file begins with such sound: MP4, for one, takes MP3, but not at each rate."""
        try:
            with self._av.open(io.BytesIO(), "w", format=kind.format) as trial:
                trial.add_stream_from_template(stream)
                trial.start_encoding()
        except (self._av.FFmpegError, ValueError):
            return False
        return True

    def _add_coded(self, stream: "AudioStream", kind: Kind) -> "AudioStream":
        """A stream that the new file can begin with, at the nearest rate; or an error, before the file has it."""
        rates = self._av.codec.Codec(kind.sound, "w").audio_rates
        rate = stream.codec_context.sample_rate or USUAL_RATE
        settings: dict[str, Any] = {
            "rate": min(rates, key=lambda one: abs(one - rate)) if rates else rate,
            "layout": _layout(stream),
        }
        with self._av.open(io.BytesIO(), "w", format=kind.format) as trial:
            trial.add_stream(kind.sound, **settings)
            trial.start_encoding()
        added: Any = self._out.add_stream(kind.sound, **settings)
        return added

    def _careful(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        try:
            yield from pieces
        except (self._av.FFmpegError, OSError, ValueError) as error:
            self._break_off(error)

    def _write(self, packets: "Callable[[], list[Packet[Any]]]") -> None:
        try:
            self._out.mux(packets())
        except OSError:  # the disk, which the pictures need as well
            raise
        except (self._av.FFmpegError, ValueError) as error:
            self._pieces, self._rest = iter(()), list
            self._break_off(error)

    def _break_off(self, error: Exception) -> None:
        self.note = f"{self._name}: its sound breaks off ({reason(error)})"


def _copied(container: "InputContainer", stream: "AudioStream", target: "AudioStream") -> Iterator[Piece]:
    for packet in container.demux(stream):
        if packet.dts is None or packet.pts is None:  # the empty packet at the end
            continue
        unit = packet.time_base
        yield Piece(float(packet.pts * unit), float((packet.duration or 0) * unit), partial(_moved, packet, target))


def _moved(packet: "Packet[AudioStream]", target: "AudioStream", earlier: float) -> "list[Packet[Any]]":
    offset = round(earlier / packet.time_base)
    packet.pts, packet.dts = (packet.pts or 0) - offset, (packet.dts or 0) - offset
    packet.stream = target
    return [packet]


def _recoded(container: "InputContainer", stream: "AudioStream", target: "AudioStream") -> Iterator[Piece]:
    for packet in container.demux(stream):
        for frame in stream.decode(packet):
            if frame.pts is None or frame.time_base is None:
                continue
            lasts = frame.samples / frame.sample_rate
            yield Piece(float(frame.pts * frame.time_base), lasts, partial(_coded, frame, target))


def _coded(frame: "AudioFrame", target: "AudioStream", earlier: float) -> "list[Packet[Any]]":
    if frame.pts is not None and frame.time_base is not None:
        frame.pts -= round(earlier / frame.time_base)
    return target.encode(frame)


def _layout(stream: "AudioStream") -> str:
    """Mono stays mono; anything else becomes two channels, which every player has."""
    return "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
