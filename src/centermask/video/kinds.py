"""The kinds of video file that are written: by their endings, with what goes into them."""

from pathlib import Path
from typing import NamedTuple

from centermask.errors import UserError
from centermask.video.engine import import_av


class Coding(NamedTuple):
    """How pictures are coded."""

    encoder: str
    """FFmpeg's name."""
    options: dict[str, str]
    ticks: int
    """Time stamps are counted in parts of a second as fine as this."""


class Kind(NamedTuple):
    """A kind of file."""

    format: str
    """FFmpeg's name."""
    codings: tuple[Coding, ...]
    """The best first; not every build of FFmpeg has all."""
    sounds: frozenset[str]
    """Codes of sound that go into it as they are."""
    sound: str
    """The encoder for any other sound."""


H264 = Coding("libx264", {"preset": "veryfast", "crf": "20"}, 120_000)  # whole steps for 24, 25, 30, 60, 29.97, 23.976
OPEN_H264 = Coding("libopenh264", {"b": "8M"}, 120_000)
APPLE_H264 = Coding("h264_videotoolbox", {"b": "8M"}, 120_000)
MPEG4 = Coding("mpeg4", {"b": "12M", "qmin": "2", "qmax": "6"}, 60_000)  # it counts in 16 bits
VP9 = Coding("libvpx-vp9", {"deadline": "realtime", "cpu-used": "6", "crf": "28", "b": "0", "row-mt": "1"}, 120_000)
VP8 = Coding("libvpx", {"deadline": "realtime", "cpu-used": "6", "crf": "10", "b": "8M"}, 120_000)

_PICTURES = (H264, OPEN_H264, APPLE_H264, MPEG4)
_MP4_SOUNDS = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
KINDS = {
    ".mp4": Kind("mp4", _PICTURES, _MP4_SOUNDS, "aac"),
    ".mov": Kind("mov", _PICTURES, frozenset({"aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le"}), "aac"),
    ".mkv": Kind("matroska", _PICTURES, _MP4_SOUNDS | {"vorbis", "dts", "truehd", "pcm_s16le", "pcm_s24le"}, "aac"),
    ".webm": Kind("webm", (VP9, VP8), frozenset({"opus", "vorbis"}), "libopus"),
}


def kind_of(path: Path) -> Kind:
    """The kind of file that a name asks for.

    Raises:
        UserError: its ending is none of ``KINDS``.
    """
    if path.suffix.lower() not in KINDS:
        raise UserError(f"{path}: a video is written as {', '.join(KINDS)}; choose one of these endings")
    return KINDS[path.suffix.lower()]


def coding_of(kind: Kind, name: str) -> Coding:
    """The best coding that is there.

    Raises:
        UserError: none is.
    """
    av = import_av(name)
    for coding in kind.codings:
        try:
            av.codec.Codec(coding.encoder, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        return coding
    asked = ", ".join(coding.encoder for coding in kind.codings)
    raise UserError(f"{name}: this build of PyAV has none of the encoders {asked}; choose another ending")
