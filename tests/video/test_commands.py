"""``centermask predict`` with a video: what it writes, what it says, and its exit codes."""

import json
import os
import signal
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from centermask.track import Tracker
from centermask.video import predict_video
from centermask.video.progress import VideoProgress
from tests.test_cli import Command, command  # noqa: F401 (a fixture)
from tests.video.made import bright, clip, cut, play

QUICK = ("--short-side", "64", "--device", "cpu")
LONG = 60


def test_a_video_becomes_overlay_and_json_lines(tmp_path: Path, command: Command) -> None:  # noqa: F811
    path = clip(tmp_path / "a.mp4", 9, sound="aac")
    said = command("predict", path, "--out", tmp_path / "out", "--json", tmp_path / "a.jsonl", "--track", "--every", 4,
                   "--score-threshold", 0.0, "--max-detections", 3, *QUICK)  # fmt: skip
    assert said.code == 0, said.errors
    assert said.errors == []
    assert "a.mp4: 9 frames" in said.out
    assert "3 of them predicted" in said.out
    assert f"overlay: {tmp_path / 'out' / 'a.mp4'}" in said.out
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 4, 8]
    assert all(one["track_id"] >= 1 for line in lines for one in line["instances"])
    assert 0 < len(lines[0]["instances"]) <= 3
    assert len(play(tmp_path / "out" / "a.mp4").pictures) == 9


def test_without_a_place_for_answers_each_predicted_frame_is_a_line(tmp_path: Path, command: Command) -> None:  # noqa: F811
    said = command("predict", clip(tmp_path / "a.mkv", 5), "--every", 2, "--score-threshold", 1.0, *QUICK)
    assert said.code == 0
    assert said.out.splitlines()[:3] == ["0.00 s: nothing", "0.08 s: nothing", "0.16 s: nothing"]
    said = command(
        "predict", tmp_path / "a.mkv", "--seconds", 0.06, "--score-threshold", 0.0, "--max-detections", 1, *QUICK
    )
    assert [line[:8] for line in said.out.splitlines()] == ["0.00 s: ", "0.04 s: ", "a.mkv: 2"]


def test_a_cut_off_video_is_kept_as_far_as_it_goes(tmp_path: Path, command: Command) -> None:  # noqa: F811
    path = cut(clip(tmp_path / "a.mkv", 80))
    said = command("predict", path, "--out", tmp_path / "b.mp4", "--every", 40, *QUICK)
    assert said.code == 2
    (line,) = said.errors
    count = len(play(tmp_path / "b.mp4").pictures)
    assert line == (f"centermask: cut_a.mkv: the video is damaged or cut off; {count} of about 80 frames could be read")


def test_what_does_not_fit_is_refused_in_a_line(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.delenv("DISPLAY", raising=False)
    path = clip(tmp_path / "a.mp4", 3)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("text")
    told = {
        (path, "--json", tmp_path / "a.json"): "JSON lines",
        (path, "--json", path): "this is a video",
        (path, "--out", path): "the video itself",
        (path, "--out", tmp_path / "a.avi"): "is written as",
        (path, path): "one video",
        (path, tmp_path / "a.png"): "one video",
        (path, "--every", 0): "every must be",
        (tmp_path / "none.mp4",): "no such file",
        (tmp_path / "empty.mp4",): "is empty",
        (tmp_path / "text.mp4",): "no video",
        ("https://example.org/a.mp4",): "nothing is fetched",
        (tmp_path / "a.png", "--track"): "are for a video",
        (tmp_path / "a.png", "--every", 2): "are for a video",
    }
    if sys.platform == "linux":
        told[path, "--show"] = "needs a screen" if find_spec("tkinter") else "needs Tk"
    for arguments, words in told.items():
        said = command("predict", *arguments, *QUICK)
        assert said.code == 2
        (line,) = said.errors
        assert words in line
    assert {one.name for one in tmp_path.iterdir()} == {"a.mp4", "empty.mp4", "text.mp4"}


def test_a_missing_pyav_is_told_with_its_mend(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    path = clip(tmp_path / "a.mp4", 3)
    monkeypatch.setitem(sys.modules, "av", None)
    (line,) = command("predict", path, *QUICK).errors
    assert "pip install 'centermask[video]'" in line


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to be caught")
def test_being_asked_to_end_finishes_the_files(tmp_path: Path, command: Command) -> None:  # noqa: F811
    path, handler = clip(tmp_path / "a.mp4", 1500), signal.getsignal(signal.SIGTERM)

    def ask() -> None:
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            if any(one.stat().st_size for one in tmp_path.glob(".b.jsonl.*")):
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.02)

    asking = threading.Thread(target=ask)
    asking.start()
    said = command("predict", path, "--out", tmp_path / "b.mp4", "--json", tmp_path / "b.jsonl", *QUICK)
    asking.join()
    assert said.code == 130
    assert said.errors == ["centermask: interrupted; what was found until then is written"]
    written = len((tmp_path / "b.jsonl").read_text().splitlines())
    assert 0 < written == len(play(tmp_path / "b.mp4").pictures) < 1500
    assert signal.getsignal(signal.SIGTERM) is handler


def test_progress_says_how_fast_and_how_far(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    path = clip(tmp_path / "a.mp4", 12)
    with VideoProgress() as progress:
        predict_video(bright, path, tracker=Tracker(), on_open=progress.begin, on_frame=progress.advance)
    told = capsys.readouterr()
    assert told.out == ""
    for words in ("a.mp4", "12/12", "frames/s", "to go"):
        assert words in told.err
    monkeypatch.delenv("FORCE_COLOR")
    with VideoProgress() as progress:
        predict_video(bright, path, on_open=progress.begin, on_frame=progress.advance)
    assert capsys.readouterr().err.strip() == ""


@pytest.mark.parametrize("on_terminal", [False, True])
def test_what_is_printed_beside_the_bar_is_not_lost(
    on_terminal: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # the bar is shown
    monkeypatch.setattr(sys.stdout, "isatty", lambda: on_terminal)
    with VideoProgress(on_frame=lambda found: print(f"frame {found.frame.number}")) as progress:
        predict_video(bright, clip(tmp_path / "a.mp4", 3), on_open=progress.begin, on_frame=progress.advance)
    told = capsys.readouterr()
    lines = ["frame 0", "frame 1", "frame 2"]
    assert told.out.splitlines() == ([] if on_terminal else lines)
    if on_terminal:  # then above the bar
        assert [line for line in lines if line in told.err] == lines
