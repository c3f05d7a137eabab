"""Reading: order, times, turning, colours, and what hostile or broken files become."""

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from centermask.errors import UserError
from centermask.video import read_video
from centermask.video.mp4 import is_cut_off
from centermask.video.reader import VideoReader
from centermask.video.source import find_source
from tests.video.made import RATE, SIZE, clip, cut, square


def left_edge(pixels: np.ndarray) -> int:
    return int(np.flatnonzero((pixels > 180).all(axis=2).any(axis=0))[0])


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx"),
                        ("a.ts", "libx264"), ("a.mov", "mjpeg"), ("a.mpg", "mpeg2video")]
)  # fmt: skip
def test_every_frame_comes_in_order_with_its_time(tmp_path: Path, name: str, codec: str) -> None:
    whole = {"pix_fmt": "yuvj420p"} if codec == "mjpeg" else {}
    path = clip(tmp_path / name, 30, codec=codec, **whole)
    frames = list(read_video(path))
    assert [frame.number for frame in frames] == list(range(30))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(30) / RATE, atol=0.0011)
    assert [left_edge(frame.pixels) // 2 for frame in frames] == [left_edge(square(i)) // 2 for i in range(30)]
    assert all(frame.pixels.shape == (*SIZE, 3) and frame.pixels.dtype == np.uint8 for frame in frames)


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0, 40, 50, 300, 301, 1300, 1340]
    frames = list(read_video(clip(tmp_path / "a.mkv", 7, times=times)))
    np.testing.assert_allclose([frame.time for frame in frames], np.array(times) / 1000, atol=1e-9)


def test_the_first_frame_is_at_zero_wherever_the_clock_begins(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.ts", 5, times=[5000, 5040, 5080, 5120, 5160])
    np.testing.assert_allclose([frame.time for frame in read_video(path)], np.arange(5) / RATE)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_are_turned_upright(tmp_path: Path, degrees: int) -> None:
    stored = square(0)
    path = clip(tmp_path / "a.mp4", [stored] * 3, turned=degrees, lossless=True)
    for frame in read_video(path):
        expected = np.rot90(stored, degrees // 90)
        assert frame.pixels.shape == expected.shape
        assert np.abs(frame.pixels.astype(int) - expected).max() < 6


@pytest.mark.parametrize("size", [(48, 64), (720, 64)])
def test_colours_come_back_as_they_went_in(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), dtype=np.uint8)
    picture[:, :32], picture[:, 32:] = (200, 40, 30), (20, 160, 90)
    hd = size[0] >= 720
    with av.open(str(tmp_path / "a.mkv"), "w") as container:  # unmarked, coded as players take it
        stream = container.add_stream("libx264", rate=RATE, options={"qp": "0"})
        (stream.height, stream.width), stream.pix_fmt = size, "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="itu709" if hd else "itu601", dst_color_range="MPEG")
        frame.colorspace, frame.pts, frame.time_base = 2, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (frame,) = read_video(tmp_path / "a.mkv")
    assert np.abs(frame.pixels.astype(int) - picture)[:, [5, 60]].max() < 6


def test_what_is_known_of_a_video(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 30, turned=90, aspect=Fraction(4, 3))
    with VideoReader(find_source(path)) as video:
        info = video.info
    assert (info.name, info.size, info.rate, info.frames, info.live) == ("a.mp4", (64, 48), 25, 30, False)
    assert info.pixel_aspect == Fraction(3, 4)
    assert info.start == 0


# --- what cannot be read, or not to its end ---


@pytest.mark.parametrize(
    ("name", "codec", "options", "about"),
    [
        ("a.mp4", "libx264", {"movflags": "faststart"}, "60"),
        ("b.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}, "3."),  # it names no more than its parts do
        ("a.mkv", "libx264", {}, "60"),
        ("a.avi", "mpeg4", {}, "60"),
        ("a.webm", "libvpx", {}, "60"),
    ],
)
def test_a_cut_off_file_gives_what_can_be_read_and_says_so(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], about: str
) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(60)]
    whole = clip(tmp_path / name, noise, codec=codec, options=options)
    assert len(list(read_video(whole))) == 60
    numbers, told = read_as_far_as_it_goes(cut(whole))
    assert numbers == list(range(len(numbers)))
    assert 20 < len(numbers) < 50
    of = rf"(?: of about {about})?"
    assert re.fullmatch(rf"cut_{name}: the video is damaged or cut off; {len(numbers)}{of} frames could be read", told)


@pytest.mark.parametrize("share", [0.3, 0.55, 0.6, 0.65, 0.9])
def test_a_file_in_parts_is_known_to_be_cut_wherever_it_is_cut(tmp_path: Path, share: float) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(60)]
    # In mpeg4 the file is always the same; what libx264 writes of noise varies, and a cut may lie between two boxes.
    whole = clip(tmp_path / "b.mp4", noise, codec="mpeg4", options={"movflags": "frag_keyframe+empty_moov"})
    _, told = read_as_far_as_it_goes(cut(whole, share))
    assert "cut off" in told


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", False),
        (b"\0\0\0\x0cftypabcd", False),
        (b"\0\0\0\x0dftypabcd", True),
        (b"\0\0\0\x0cftypabcd\0\0\0", False),  # too little for a box
        (b"\0\0\0\x0cftypabcd\n", False),
        (b"\0\0\0\x0cftypabcdmade by a camera", False),  # no kind of box
        (b"\0\0\0\x0cftypabcd\0\0\0\x0bmoov", True),
        (b"\0\0\0\x0cftypabcd\0\0\0\x08made\0\0\0\x09free", True),
        (b"\0\0\0\x0cftypabcd\0\0\0\x08moof", True),
        (b"\0\0\0\x0cftypabcd\0\0\0\x08moof\0\0", True),
        (b"\0\0\0\x08moof\0\0\0\x08mdat\0\0", False),
        (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x12ab", False),
        (b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x13ab", True),
        (b"\0\0\0\0mdatabcdefg", False),
    ],
)
def test_boxes_tell_whether_an_mp4_is_whole(tmp_path: Path, content: bytes, wanted: bool) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert is_cut_off(tmp_path / "a.mp4") == wanted


def test_a_file_that_is_gone_is_not_called_cut(tmp_path: Path) -> None:
    assert not is_cut_off(tmp_path / "gone.mp4")


def two_streams(path: Path, *lengths: int) -> Path:
    """A file with several streams of pictures."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=RATE) for _ in lengths]
        for stream in streams:
            (stream.height, stream.width), stream.pix_fmt = SIZE, "yuv420p"
        for stream, length in zip(streams, lengths, strict=True):
            for i in range(length):
                frame = av.VideoFrame.from_ndarray(square(i), format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def subtitled(path: Path) -> Path:
    """Two seconds of pictures, with words until the ninth."""
    words, pictures = path.with_name("words.srt"), clip(path.with_name("silent.mkv"), 50, codec="mpeg4")
    words.write_text("1\n00:00:00,500 --> 00:00:01,500\nhello\n\n2\n00:00:02,500 --> 00:00:09,000\nbye\n")
    with av.open(str(pictures)) as video, av.open(str(words)) as text, av.open(str(path), "w") as container:
        targets = [container.add_stream_from_template(source.streams[0]) for source in (video, text)]
        for source, target in zip((video, text), targets, strict=True):
            for packet in source.demux():
                if packet.size:  # unlike the last one
                    packet.stream = target
                    container.mux(packet)
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts"])
@pytest.mark.parametrize("lengths", [(20, 60), (60, 20)])
def test_streams_of_unlike_length_are_no_damage(tmp_path: Path, name: str, lengths: tuple[int, int]) -> None:
    assert read_as_far_as_it_goes(two_streams(tmp_path / name, *lengths)) == (list(range(lengths[0])), "")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_no_frame_is_lost_where_the_sound_is_the_first_stream(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / name, 30, sound="aac", sound_first=True)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["audio", "video"]
    assert read_as_far_as_it_goes(path) == (list(range(30)), "")


def test_words_that_outlast_the_pictures_are_no_damage(tmp_path: Path) -> None:
    assert read_as_far_as_it_goes(subtitled(tmp_path / "a.mkv")) == (list(range(50)), "")


@pytest.mark.parametrize("tail", [b"\n", bytes(3), bytes(8), b"trailer of a camera maker, no box" * 3])
def test_bytes_behind_the_last_box_are_no_damage(tmp_path: Path, tail: bytes) -> None:
    path = clip(tmp_path / "a.mp4", 20)
    path.write_bytes(path.read_bytes() + tail)
    assert read_as_far_as_it_goes(path) == (list(range(20)), "")


@pytest.mark.parametrize("name", ["a.ts", "a.flv", "a.mkv", "a.mp4"])
def test_a_frame_in_five_seconds_is_no_damage(tmp_path: Path, name: str) -> None:
    path = clip(tmp_path / name, 5, times=range(0, 25_000, 5_000))
    assert read_as_far_as_it_goes(path) == (list(range(5)), "")


def read_as_far_as_it_goes(path: Path) -> tuple[list[int], str]:
    """The numbers of the frames, and what was said at the end."""
    numbers = []
    try:
        for frame in read_video(path):
            numbers.append(frame.number)
            assert frame.pixels.shape == (*SIZE, 3)
    except UserError as error:
        return numbers, str(error)
    return numbers, ""


def test_damage_in_the_middle_costs_what_is_damaged(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi", 40, codec="mpeg4")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(range(150)) * 2
    path.write_bytes(content)
    numbers, told = read_as_far_as_it_goes(path)
    assert len(numbers) > 20
    assert not told or "damaged" in told  # a decoder may mend it silently


def test_an_avi_file_that_repeats_frames_is_not_called_damaged(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi", 30, codec="mpeg4", times=range(0, 1200, 40))  # a thousand places a second
    assert read_as_far_as_it_goes(path) == (list(range(30)), "")


def not_a_video(folder: Path) -> dict[str, bytes]:
    whole = clip(folder / "whole.mp4", 20).read_bytes()
    return {
        "text": b"this is no video\n" * 40,
        "noise": np.random.default_rng(0).bytes(5000),
        "half a head": whole[:40],
        "no index": whole[: len(whole) // 2],
        "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "concat list": b"ffconcat version 1.0\nfile whole.mp4\n",
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "session": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5000 RTP/AVP 96\n",
    }


def test_what_is_no_video_is_refused_in_words(tmp_path: Path) -> None:
    for name, content in not_a_video(tmp_path).items():
        for suffix in (".mp4", ".mkv"):
            path = tmp_path / f"{name}{suffix}"
            path.write_bytes(content)
            with pytest.raises(UserError, match=f"{name}{suffix}: ") as told:
                next(read_video(path))
            assert "\n" not in str(told.value)


def test_a_list_of_other_files_is_never_followed(tmp_path: Path) -> None:
    clip(tmp_path / "other.ts", 5)
    (tmp_path / "a.ts").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(UserError, match="no video"):
        next(read_video(tmp_path / "a.ts"))


def test_no_frames_and_no_pictures_are_told(tmp_path: Path) -> None:
    for name, words in (("none.mkv", "no video that can be read"), ("none.mp4", "no moving pictures")):
        with pytest.raises(UserError, match=words):
            next(read_video(clip(tmp_path / name, 0)))
    short = clip(tmp_path / "short.avi", 3, codec="mpeg4")  # cut off where the frames begin
    short.write_bytes(short.read_bytes()[: short.read_bytes().index(b"movi") + 4])
    with pytest.raises(UserError, match="not one frame can be read"):
        next(read_video(short))
    with av.open(str(tmp_path / "tone.mp4"), "w") as container:
        tone = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 44100, 0, Fraction(1, 44100)
        container.mux(tone.encode(frame))
        container.mux(tone.encode(None))
    with pytest.raises(UserError, match="no moving pictures"):
        next(read_video(tmp_path / "tone.mp4"))


def test_a_frame_that_is_far_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path / "a.mp4", 3)
    monkeypatch.setattr("centermask.video.reader.MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(UserError, match="more than 3071 pixels"):
        next(read_video(path))


def test_the_file_is_closed_when_nobody_reads_on(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 20)
    frames = read_video(path)
    assert next(frames).number == 0
    frames.close()
    assert [frame.number for frame in read_video(path)] == list(range(20))


def test_a_camera_or_stream_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="camera:63: there is no such camera"):
        next(read_video("camera:63"))
    with pytest.raises(UserError, match="no stream comes from there") as told:
        next(read_video("rtsp://me:secret@127.0.0.1:9/x"))
    assert "secret" not in str(told.value)
