"""The sound of a video, brought over into another one in step with its pictures."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from centermask.video.engine import import_av, reason
from centermask.video.kinds import Kind
from centermask.video.source import Source

if TYPE_CHECKING:
    from av import AudioStream, Packet
    from av.container import InputContainer, OutputContainer

LEAD = 0.1
"""Seconds by which sound may begin before the first frame; what lies before is left out."""


class Piece(NamedTuple):
    """A little sound, ready to be written."""

    time: float
    """Seconds since the first frame."""
    packets: "list[Packet[Any]]"


class Sound:
    """The first sound of a file: as it is where the new kind of file takes it, coded anew where not.

    It reads the file by itself, beside whoever reads the pictures, so that neither waits for the other. Sound that
    cannot be read or coded ends there, and ``note`` says why: it does not take the pictures with it.

    Args:
        source: The file.
        start: Seconds on its clock that become 0.
        out: The new file; it gets a stream for the sound if there is any.
        kind: What kind of file that is.
    """

    def __init__(self, source: Source, start: float, out: "OutputContainer", kind: Kind) -> None:
        self._av = import_av(source.name)
        self._start, self._out, self._name = start, out, source.name
        self.note = ""
        self._container: InputContainer = self._av.open(
            source.address, options=source.options, metadata_errors="replace"
        )
        self._pieces = self._careful(self._choose(kind))
        self._next: Piece | None = None

    def write_until(self, time: float) -> None:
        """Write what sounds before ``time``, in seconds since the first frame."""
        self._next = self._next or next(self._pieces, None)
        while self._next is not None and self._next.time < time:
            self._out.mux(self._next.packets)
            self._next = next(self._pieces, None)

    def close(self) -> None:
        """Close the file that is read."""
        self._container.close()

    def _choose(self, kind: Kind) -> Iterator[Piece]:
        """How the sound is brought over; the new file gets its stream now, before its head is written."""
        if not self._container.streams.audio:
            return iter(())
        stream = self._container.streams.audio[0]
        for other in self._container.streams:
            if other.index != stream.index:
                other.discard = self._av.stream.Discard.all  # the pictures are not even read again
        if stream.codec_context is None:
            self.note = f"{self._name}: its sound is coded in a way that PyAV does not know, and was left out"
            return iter(())
        if stream.codec_context.codec.canonical_name in kind.sounds:
            return self._copied(stream, self._out.add_stream_from_template(stream))
        rate = 48_000 if kind.sound == "libopus" else stream.codec_context.sample_rate
        target: Any = self._out.add_stream(kind.sound, rate=rate, layout=_layout(stream))
        return self._recoded(stream, target)

    def _careful(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        try:
            yield from pieces
        except (self._av.FFmpegError, OSError, ValueError) as error:
            self.note = f"{self._name}: its sound breaks off ({reason(error)})"

    def _copied(self, stream: "AudioStream", target: "AudioStream") -> Iterator[Piece]:
        for packet in self._container.demux(stream):
            if packet.dts is None or packet.pts is None:  # the empty packet at the end
                continue
            offset = round(self._start / packet.time_base)
            packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
            packet.stream = target
            time = float(packet.pts * packet.time_base)
            if time > -LEAD:
                yield Piece(time, [packet])

    def _recoded(self, stream: "AudioStream", target: "AudioStream") -> Iterator[Piece]:
        time = 0.0
        for packet in self._container.demux(stream):
            for frame in stream.decode(packet):
                if frame.pts is None or frame.time_base is None:
                    continue
                frame.pts -= round(self._start / frame.time_base)
                time = float(frame.pts * frame.time_base)
                if time > -LEAD:
                    yield Piece(time, target.encode(frame))
        yield Piece(time, target.encode(None))


def _layout(stream: "AudioStream") -> str:
    """Mono stays mono; anything else becomes two channels, which every player has."""
    return "mono" if stream.codec_context.layout.nb_channels == 1 else "stereo"
