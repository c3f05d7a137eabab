"""Clock, turning, sources and places: by hand."""

import json
import os
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centermask.errors import UserError
from centermask.instances import from_coco
from centermask.lines import Lines
from centermask.video.clock import GAP, NEAR, Clock, SoundClock
from centermask.video.frame import FoundFrame, Frame
from centermask.video.kinds import KINDS, coding_of, kind_of
from centermask.video.outputs import check_records, open_records, place, video_path
from centermask.video.source import VIDEO_SUFFIXES, Source, find_source, is_video
from centermask.video.upright import is_sideways, turn, upright
from tests.video.made import bright, square

# --- clock ---


def test_uneven_stamps_are_kept_as_they_are() -> None:
    clock = Clock(Fraction(25))
    stamps = [7.0, 7.5, 7.51, 9.0, 9.04]
    assert [clock.seconds(stamp) for stamp in stamps] == [stamp - 7 for stamp in stamps]


def test_missing_repeated_and_broken_stamps_become_one_step() -> None:
    clock = Clock(Fraction(10))
    times = [clock.seconds(stamp) for stamp in (None, None, 0.2, 0.2, 0.1, 0.3 + 2 * GAP, 0.4 + 2 * GAP)]
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


@given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=30))
def test_time_only_goes_forward(stamps: list[float | None]) -> None:
    clock = Clock(Fraction(30))
    times = [clock.seconds(stamp) for stamp in stamps]
    assert times[:1] in ([], [0.0])
    assert all(0 < later - earlier <= GAP for earlier, later in pairwise(times))


def test_sound_goes_back_where_the_pictures_do_whichever_ends_first() -> None:
    for ends in (0.7, 1.5, 2.0, 2.3, 3.9):  # seconds; the pictures last two, and begin anew
        pictures = Clock(Fraction(10))
        pictures.seconds(5.0)
        sound = SoundClock(pictures)
        assert sound.seconds(5.0, reached=0.0) == 0
        sound.go_on(ends)
        assert sound.seconds(5.0, reached=1.9) is None
        pictures.seconds(6.9)
        assert pictures.seconds(5.0) == pytest.approx(2.0)
        assert sound.seconds(5.0, reached=2.0) == pytest.approx(2.0)


def test_sound_leaps_where_the_pictures_do() -> None:
    pictures = Clock(Fraction(10))
    pictures.seconds(0.0)
    sound = SoundClock(pictures)
    sound.go_on(0.1)
    assert sound.seconds(2 * GAP, reached=0.1) is None
    pictures.seconds(2 * GAP)
    assert sound.seconds(2 * GAP, reached=0.1) == pytest.approx(0.1)
    sound.go_on(0.2)
    assert sound.seconds(2 * GAP + 7, reached=0.1) == pytest.approx(7.1)  # a silence


def test_sound_whose_stamps_break_alone_goes_on_where_it_was() -> None:
    for stamp in (1.0, 4 * GAP):
        pictures = Clock(Fraction(10))
        pictures.seconds(0.0)
        sound = SoundClock(pictures)
        sound.go_on(60.0)
        assert sound.seconds(stamp, reached=60 + NEAR) is None
        assert sound.seconds(stamp, reached=61 + NEAR) == 60


# --- upright ---

CORNERS = np.arange(6, dtype=np.uint8).reshape(2, 3)[:, :, None].repeat(3, axis=2)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (turn(1, 0, 0, 1), [[0, 1, 2], [3, 4, 5]]),
        (turn(0, 1, -1, 0), [[3, 0], [4, 1], [5, 2]]),  # a quarter to the right, as phones held upright write it
        (turn(-1, 0, 0, -1), [[5, 4, 3], [2, 1, 0]]),
        (turn(0, -1, 1, 0), [[2, 5], [1, 4], [0, 3]]),
        (turn(-1, 0, 0, 1), [[2, 1, 0], [5, 4, 3]]),  # as in a mirror
        (turn(1, 0, 0, -1), [[3, 4, 5], [0, 1, 2]]),
        (turn(0, 1, 1, 0), [[0, 3], [1, 4], [2, 5]]),
        (None, [[0, 1, 2], [3, 4, 5]]),
    ],
)
def test_each_turn_and_mirror(matrix: bytes | None, expected: list[list[int]]) -> None:
    turned = upright(CORNERS, matrix)
    assert turned[:, :, 1].tolist() == expected
    assert turned.flags.c_contiguous
    assert is_sideways(matrix) == (turned.shape[:2] == (3, 2))


# --- sources ---


def test_a_video_is_known_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    assert all(is_video(f"a{suffix}") and is_video(f"A{suffix.upper()}") for suffix in VIDEO_SUFFIXES)
    assert all(is_video(one) for one in ("camera:0", "rtsp://host/a", "HTTPS://host/a.jpg", Path("b/c.mkv")))
    assert not any(is_video(one) for one in ("a.jpg", "a.gif", "folder", "*.png", str(tmp_path / "folder.mp4"), "a"))


def test_passwords_are_not_told() -> None:
    shown = {
        "rtsp://me:secret@host:554/a@b": "rtsp://host:554/a@b",
        "rtsp://me:se@cret@host/x": "rtsp://host/x",
        "rtsp://me:se@cret@host": "rtsp://host",
        "rtsp://host/x?user=me&password=secret": "rtsp://host/x",
        "rtsp://host?password=secret@host": "rtsp://host",
        "rtsp://me:a/secret@host/x": "rtsp://host/x",
        "rtsp://me:a?secret@host/x": "rtsp://host/x",
        "rtsp://host:554": "rtsp://host:554",
        "rtsp://[::1]:554/a@b": "rtsp://[::1]:554/a@b",
    }
    for address, name in shown.items():
        source = find_source(address)
        assert (source.name, source.address) == (name, address)
    with pytest.raises(UserError) as told:
        find_source("https://me:secret@host/a.mp4")
    assert "secret" not in str(told.value)
    assert "https://host/a.mp4" in str(told.value)


@pytest.mark.parametrize(
    "address", ["http://a/b.mp4", "https://a/b.mp4", "ftp://a", "file:///etc/passwd", "concat://a"]
)
def test_nothing_is_fetched(address: str) -> None:
    with pytest.raises(UserError, match="nothing is fetched"):
        find_source(address)


@pytest.mark.parametrize("name", ["camera:", "camera:front", "camera:-1", "camera:²", "camera:/dev/video0"])
def test_cameras_have_numbers(name: str) -> None:
    with pytest.raises(UserError, match="numbered"):
        find_source(name)


@pytest.mark.skipif(sys.platform != "linux", reason="cameras are named otherwise elsewhere")
def test_a_camera_is_a_device() -> None:
    camera = find_source("camera:2")
    assert (camera.name, camera.address, camera.format, camera.live) == ("camera:2", "/dev/video2", "v4l2", True)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    told = {"none.mp4": "no such file", "*.mp4": "one at a time", "empty.mp4": "is empty", "folder": "no file",
            "pipe.mp4": "no file", "x" * 300 + ".mp4": "may not be read"}  # fmt: skip
    for name, words in told.items():
        with pytest.raises(UserError, match=words):
            find_source(tmp_path / name)


# --- where answers go ---


def source(path: Path) -> Source:
    path.touch()
    return Source(path.name, str(path), path=path)


def test_a_folder_gets_a_file_of_the_same_name(tmp_path: Path) -> None:
    clip = source(tmp_path / "clip.avi")
    assert video_path(tmp_path / "out", clip) == tmp_path / "out" / "clip.mp4"
    assert video_path(tmp_path / "a.MKV", clip) == tmp_path / "a.MKV"
    assert video_path(tmp_path, Source("camera:0", "")) == tmp_path / "camera-0.mp4"
    assert video_path(tmp_path, Source("rtsp://host/x", "")) == tmp_path / "stream.mp4"


def test_the_video_itself_is_never_written_over(tmp_path: Path) -> None:
    clip = source(tmp_path / "clip.mp4")
    assert video_path(tmp_path, clip) == tmp_path / "clip_2.mp4"
    (tmp_path / "link.mp4").symlink_to(tmp_path / "clip.mp4")
    for name in ("clip.mp4", "link.mp4"):
        with pytest.raises(UserError, match="the video itself"):
            video_path(tmp_path / name, clip)
        with pytest.raises(UserError, match="this is a video"):
            check_records(tmp_path / name, clip, None)


def test_places_that_would_not_do_are_refused(tmp_path: Path) -> None:
    clip = source(tmp_path / "clip.mp4")
    with pytest.raises(UserError, match=r"JSON lines.*found\.jsonl"):
        check_records(tmp_path / "found.json", clip, None)
    with pytest.raises(UserError, match=r"\.mp4, \.mov, \.mkv, \.webm"):
        video_path(tmp_path / "out.avi", clip)


def test_what_has_no_end_stands_in_its_place_at_once(tmp_path: Path) -> None:
    with place(tmp_path / "a" / "b", live=True) as path:
        assert path.exists()
    with place(tmp_path / "a" / "c", live=False) as path:
        path.write_bytes(b"1")
        assert not (tmp_path / "a" / "c").exists()
    assert (tmp_path / "a" / "c").read_bytes() == b"1"
    for live in (True, False):
        with pytest.raises(UserError, match="cannot be written"), place(tmp_path / "a" / "b" / "c", live=live):
            pass


@pytest.mark.parametrize("live", [True, False])
def test_an_error_of_something_else_is_not_told_as_one_of_the_place(tmp_path: Path, live: bool) -> None:
    for error in (FileNotFoundError(2, "No such file", "engine.plan"), OSError("no device")):
        with pytest.raises(OSError, match=r"engine\.plan|no device") as told, place(tmp_path / "a", live=live):
            raise error
        assert told.value is error
        with pytest.raises(OSError, match=r"engine\.plan|no device"), open_records(tmp_path / "a", live=live):
            raise error
    assert (tmp_path / "a").exists() == live


def test_every_ending_has_an_encoder() -> None:
    for suffix in KINDS:
        assert coding_of(kind_of(Path(f"a{suffix}")), "a").encoder
    with pytest.raises(UserError, match="none of the encoders"):
        coding_of(KINDS[".mp4"]._replace(codings=(coding_of(KINDS[".mp4"], "a")._replace(encoder="none"),)), "a")


def test_a_record_is_a_line_that_reads_back(tmp_path: Path) -> None:
    found = FoundFrame(Frame(7, 0.28, square(7)), bright(square(7)), np.array([3]), True)
    with (tmp_path / "a.jsonl").open("wb") as file:
        records = Lines(file)
        records.append(found.to_json())
        assert (tmp_path / "a.jsonl").read_text().endswith("}\n")  # there for whoever looks, before the file is closed
        records.append(found._replace(ids=None).to_json())
    first, second = (json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines())
    assert (first["frame"], first["time"], first["height"], first["width"]) == (7, 0.28, 48, 64)
    assert first["instances"][0].pop("track_id") == 3
    assert first == second
    assert from_coco(second).boxes.tolist() == [[14, 8, 30, 24]]
