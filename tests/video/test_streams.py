"""What has no end: a stream from a small server on this machine."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from centermask.errors import UserError
from centermask.instances import Instances
from centermask.video import FoundFrame, predict_video, read_video
from centermask.video.run import WAITING
from tests.video.made import SIZE, bright, play, stages
from tests.video.rtsp import Server
from tests.video.test_reader import left_edge

LONG = 20


def test_the_frames_of_a_stream_come_in_order() -> None:
    with Server(30, pace=0.002) as server:
        frames = list(read_video(server.address))
    assert [frame.number for frame in frames] == list(range(30))
    assert [left_edge(frame.pixels) for frame in frames[:20]] == list(range(0, 40, 2))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(30) / 25, atol=1e-4)
    assert frames[0].pixels.shape == (*SIZE, 3)


def test_a_stream_is_written_as_it_comes(tmp_path: Path) -> None:
    numbers: list[int] = []

    def look(found: FoundFrame) -> None:
        lines = (tmp_path / "a.jsonl").read_text().splitlines()  # already there, and whole
        assert found.frame.number in [json.loads(line)["frame"] for line in lines]
        numbers.append(found.frame.number)

    with Server(60, pace=0.01) as server:
        summary = predict_video(bright, server.address, out=tmp_path, json_file=tmp_path / "a.jsonl", on_frame=look)
    assert (summary.info.live, summary.video, summary.trouble) == (True, tmp_path / "stream.mp4", "")
    assert summary.frames + summary.dropped == 60
    assert numbers == sorted(set(numbers))
    seen = play(summary.video)
    assert len(seen.pictures) == summary.frames
    np.testing.assert_allclose(seen.times, (np.array(numbers) - numbers[0]) / 25, atol=0.001)
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["file_name"] == server.address


def test_frames_that_come_too_fast_are_dropped_and_the_newest_kept(tmp_path: Path) -> None:
    before = stages()

    def slow(image: np.ndarray) -> Instances:
        for thread in stages() - before:
            if thread.name == "stage 0":
                thread.join(LONG)  # until all is read, that is until the server has sent all
        return bright(image)

    numbers: list[int] = []
    with Server(100) as server:
        summary = predict_video(
            slow, server.address, every=2, on_frame=lambda found: numbers.append(found.frame.number)
        )
    assert (summary.frames, summary.dropped) == (1 + WAITING, 99 - WAITING)
    assert numbers[1:] == list(range(100 - WAITING, 100))
    assert summary.predicted > 1


def test_ctrl_c_ends_a_stream_with_its_files_in_order(tmp_path: Path) -> None:
    once = [signal.SIGINT]

    def interrupt(found: FoundFrame) -> None:
        if once and found.frame.number >= 5:
            signal.raise_signal(once.pop())

    with Server(10_000, pace=0.01) as server:
        summary = predict_video(
            bright, server.address, out=tmp_path / "a.mkv", json_file=tmp_path / "a.jsonl",
            on_frame=interrupt,
        )  # fmt: skip
    assert summary.interrupted
    assert summary.frames == len(play(tmp_path / "a.mkv").pictures)
    assert summary.frames == len((tmp_path / "a.jsonl").read_text().splitlines())


def test_seconds_end_a_stream(tmp_path: Path) -> None:
    with Server(10_000, pace=0.002) as server:
        summary = predict_video(bright, server.address, seconds=0.38)
    assert summary.frames + summary.dropped == 10
    assert not summary.interrupted


@pytest.mark.parametrize("answers", [True, False])
def test_silence_is_told(answers: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("source", "reader"):
        monkeypatch.setattr(f"centermask.video.{module}.SILENCE", 4)  # a busy machine needs some for the greeting, too
    with Server(10, silent=True, answers=answers) as server:
        if not answers:
            with pytest.raises(UserError, match="no stream comes from there"):
                predict_video(bright, server.address)
            return
        summary = predict_video(bright, server.address, json_file=tmp_path / "a.jsonl")
    assert f"the stream broke off after {summary.frames + summary.dropped} frames" in summary.trouble
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == summary.frames
