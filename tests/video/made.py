"""Clips made on the spot, and a finder that finds bright rectangles in them."""

import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from centermask.instances import Instances
from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.size import Size

SIZE = Size(48, 64)
RATE = 25
SOUND_RATE = 44100


def square(i: int, size: Size = SIZE, side: int = 16) -> np.ndarray:
    """Dark grey with a white square that moves two pixels to the right each frame, and back to the left edge."""
    pixels = np.full((*size, 3), 40, dtype=np.uint8)
    left = 2 * i % (size.width - side)
    pixels[8 : 8 + side, left : left + side] = 255
    return pixels


def clip(
    path: Path,
    frames: int | Sequence[np.ndarray] = 25,
    *,
    size: Size = SIZE,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    sound: str | None = None,
    sound_rate: int = SOUND_RATE,
    sound_frames: int | None = None,
    sound_first: bool = False,
    turned: int = 0,
    aspect: Fraction = Fraction(1),
    options: dict[str, str] | None = None,
    lossless: bool = False,
    pix_fmt: str = "yuv420p",
) -> Path:
    """Write a clip of ``square`` frames, or of given ones.

    Args:
        times: When each frame is shown, in thousandths of a second; 25 a second if not given.
        sound: FFmpeg's name of what codes a tone.
        sound_frames: The tone lasts as long as so many frames; as long as the pictures if not given.
        sound_first: The tone is the file's first stream.
        turned: Degrees that a player turns it counter-clockwise.
    """
    pictures = [square(i, size) for i in range(frames)] if isinstance(frames, int) else frames
    stamps, tick = (range(len(pictures)), Fraction(1, RATE)) if times is None else (times, Fraction(1, 1000))
    with av.open(str(path), "w", options=options or {}) as container:
        tone = container.add_stream(sound, rate=sound_rate, layout="mono") if sound and sound_first else None
        stream = container.add_stream(codec, rate=RATE, options={"qp": "0"} if lossless else {})
        stream.height, stream.width = pictures[0].shape[:2] if len(pictures) else size
        stream.pix_fmt, stream.codec_context.time_base = pix_fmt, tick
        stream.codec_context.gop_size = 10
        stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(turned)
        if sound and not sound_first:
            tone = container.add_stream(sound, rate=sound_rate, layout="mono")
        for picture, stamp in zip(pictures, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamp, tick
            container.mux(stream.encode(frame))
        container.start_encoding()  # a clip without frames has a head all the same
        container.mux(stream.encode(None))
        if tone:
            for frame in beep(len(pictures) if sound_frames is None else sound_frames, sound_rate):
                container.mux(tone.encode(frame))
            container.mux(tone.encode(None))
    return path


def beep(frames: int, rate: int = SOUND_RATE) -> Iterator[av.AudioFrame]:
    """A tone of 440 Hz that lasts as long as so many frames."""
    step = rate // RATE
    for i in range(frames):
        phase = np.arange(i * step, (i + 1) * step) / rate * 440 * 2 * np.pi
        frame = av.AudioFrame.from_ndarray((np.sin(phase) * 12000).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, i * step, Fraction(1, rate)
        yield frame


def later(path: Path, seconds: float) -> Path:
    """The same clip on a clock that is so many seconds ahead, under another name."""
    moved = path.with_name(f"later_{path.name}")
    with av.open(str(path)) as source, av.open(str(moved), "w") as container:
        targets = {stream.index: container.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                offset = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                packet.stream = targets[packet.stream_index]
                container.mux(packet)
    return moved


def joined(path: Path, *parts: Path) -> Path:
    """Files behind one another, as ``cat`` puts them."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    """The file without its end, under another name."""
    short = path.with_name(f"cut_{path.name}")
    short.write_bytes(path.read_bytes()[: round(path.stat().st_size * share)])
    return short


def bright(image: np.ndarray) -> Instances:
    """One object around all pixels that are nearly white, if there is any."""
    size = Size(*image.shape[:2])
    white = image.min(axis=2) > 180
    rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
    found = [(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)] if len(rows) else []
    masks = [Bitmap(white[top:bottom, left:right], int(left), int(top)) for left, top, right, bottom in found]
    scores = np.full(len(found), 0.75, dtype=np.float32)
    return Instances(
        size=size,
        boxes=np.array(found, dtype=np.float32).reshape(-1, 4),
        scores=scores,
        box_scores=scores,
        labels=np.ones(len(found), dtype=np.int64),
        rle=tuple(to_rle(mask, size) for mask in masks),
        categories=("dark", "bright"),
    )


class Seen(NamedTuple):
    """What a player gets out of a file."""

    pictures: list[np.ndarray]
    times: list[float]
    sound: float
    """Seconds of it."""
    codec: str
    sound_codec: str
    format: str
    rotation: int
    aspect: Fraction


def play(path: Path) -> Seen:
    """Decode a whole file with plain PyAV."""
    with av.open(str(path)) as container:
        video, tones = container.streams.video[0], container.streams.audio
        frames = list(container.decode(video))
        container.seek(0)
        heard = list(container.decode(tones[0])) if tones else []
        return Seen(
            [frame.to_ndarray(format="rgb24") for frame in frames],
            [float(frame.pts * video.time_base) for frame in frames],
            sum(one.samples / one.sample_rate for one in heard),
            video.codec_context.codec.canonical_name,
            tones[0].codec_context.codec.canonical_name if tones else "",
            container.format.name,
            frames[0].rotation if frames else 0,
            video.sample_aspect_ratio or Fraction(1),
        )


def stages() -> set[threading.Thread]:
    """The threads of lines that are at work."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("stage ")}
