"""A video from end to end: pictures, times, sound, records, tracks, errors and an early end."""

import gc
import json
import signal
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest

from centermask.errors import UserError
from centermask.instances import Instances
from centermask.size import Size
from centermask.track import Tracker
from centermask.video import FoundFrame, Frame, draw_found, predict_video, reader, write_clip
from centermask.video.kinds import KINDS
from centermask.video.reader import VideoReader
from centermask.video.run import WAITING
from centermask.video.sound import Original
from centermask.video.source import find_source
from centermask.video.writer import VideoWriter
from centermask.visualize import number_colours
from tests.video.made import RATE, SIZE, bright, clip, cut, joined, later, play, square, stages

LONG = 20
"""Seconds after which something that should have happened long ago will not."""


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def others(folder: Path, *expected: str) -> set[str]:
    return {path.name for path in folder.iterdir()} - set(expected)


def far(a: np.ndarray, b: np.ndarray) -> float:
    """The mean difference of two pictures, in steps of 255."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


# --- what is written ---


def test_every_frame_is_drawn_and_recorded(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 30)
    summary = predict_video(bright, path, out=tmp_path / "out", json_file=tmp_path / "found.jsonl")
    assert (summary.frames, summary.predicted, summary.tracks, summary.trouble) == (30, 30, None, "")
    assert summary.video == tmp_path / "out" / "a.mp4"
    lines = records(tmp_path / "found.jsonl")
    assert [line["frame"] for line in lines] == list(range(30))
    np.testing.assert_allclose([line["time"] for line in lines], np.arange(30) / RATE, atol=1e-6)
    for i, line in enumerate(lines):
        (one,) = line["instances"]
        assert (line["file_name"], one["category_name"]) == ("a.mp4", "bright")
        assert np.abs(np.array(one["bbox"]) - bright(square(i)).to_coco()["instances"][0]["bbox"]).max() <= 2
        assert one["segmentation"]["size"] == list(SIZE)
        assert "track_id" not in one
    seen = play(summary.video)
    assert (seen.codec, seen.format.split(",")[0], len(seen.pictures)) == ("h264", "mov", 30)
    np.testing.assert_allclose(seen.times, np.arange(30) / RATE)
    for i, picture in enumerate(seen.pictures):
        drawn = bright(square(i)).overlay(square(i), captions=["bright 0.75"], colours=number_colours(np.array([1])))
        assert far(picture, drawn) < 6 < far(picture, square(i))


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".webm"])
def test_each_kind_keeps_uneven_times_and_odd_sizes(tmp_path: Path, ending: str) -> None:
    times = [0, 40, 55, 300, 900, 940]
    source = clip(tmp_path / "a.mkv", [square(i)[:47, :63] for i in range(6)], times=times, codec="ffv1")
    summary = predict_video(bright, source, out=tmp_path / f"b{ending}", json_file=tmp_path / "a.jsonl")
    seen = play(tmp_path / f"b{ending}")
    np.testing.assert_allclose(seen.times, np.array(times) / 1000, atol=0.00051)
    assert seen.pictures[0].shape == (48, 64, 3)
    assert far(seen.pictures[0][-1], seen.pictures[0][-2]) < 6  # the last row twice
    assert summary.info.size == (47, 63)
    assert {(line["height"], line["width"]) for line in records(tmp_path / "a.jsonl")} == {(47, 63)}
    np.testing.assert_allclose([line["time"] for line in records(tmp_path / "a.jsonl")], np.array(times) / 1000)


@pytest.mark.parametrize("side", [1, 2, 17])
def test_tiny_frames_are_written(tmp_path: Path, side: int) -> None:
    source = clip(tmp_path / "a.mkv", [np.full((side, side, 3), 90, dtype=np.uint8)] * 3, codec="ffv1")
    predict_video(bright, source, out=tmp_path / "b.mp4")
    assert len(play(tmp_path / "b.mp4").pictures) == 3


def test_a_turned_video_becomes_an_upright_one(tmp_path: Path) -> None:
    source = clip(tmp_path / "a.mp4", 5, turned=90, aspect=Fraction(4, 3))
    predict_video(bright, source, out=tmp_path / "b.mp4", json_file=tmp_path / "b.jsonl")
    seen = play(tmp_path / "b.mp4")
    assert (seen.pictures[0].shape, seen.rotation, seen.aspect) == ((64, 48, 3), 0, Fraction(3, 4))
    boxes = [line["instances"][0]["bbox"] for line in records(tmp_path / "b.jsonl")]
    assert boxes[0][1] > boxes[-1][1]  # what moved right in the stored frames moves up
    assert boxes[0][0] == boxes[-1][0]


@pytest.mark.parametrize(
    ("source", "tone", "ending", "expected"),
    [
        ("a.mp4", "aac", ".mp4", "aac"),
        ("a.mp4", "aac", ".mkv", "aac"),
        ("a.ts", "aac", ".mp4", "aac"),  # out of a stream of packets with heads of their own
        ("a.avi", "libmp3lame", ".mp4", "mp3"),
        ("a.avi", "pcm_s16le", ".mp4", "aac"),
        ("a.avi", "pcm_s16le", ".mkv", "pcm_s16le"),
        ("a.mkv", "flac", ".mov", "aac"),
        ("a.mp4", "aac", ".webm", "opus"),
    ],
)
def test_sound_is_kept(tmp_path: Path, source: str, tone: str, ending: str, expected: str) -> None:
    codec = "mpeg4" if source.endswith("avi") else "libx264"
    path = clip(tmp_path / source, 50, codec=codec, sound=tone)
    summary = predict_video(bright, path, out=tmp_path / f"out{ending}")
    seen = play(tmp_path / f"out{ending}")
    assert (seen.sound_codec, summary.notes) == (expected, ())
    assert abs(seen.sound - play(path).sound) < 0.06
    assert abs(seen.sound - 2.0) < 0.1


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_copied_sound_is_the_same_sound_at_the_same_time(tmp_path: Path, ending: str) -> None:
    path = clip(tmp_path / "a.ts", 50, sound="aac")
    predict_video(bright, path, out=tmp_path / f"b{ending}")

    def packets(name: str) -> list[tuple[float, int]]:
        with av.open(str(tmp_path / name)) as container:
            start = next(container.decode(video=0)).time
            container.seek(0)
            return [
                (packet.pts * packet.time_base - start, packet.size)
                for packet in container.demux(audio=0)
                if packet.size
            ]

    before, after = packets("a.ts"), packets(f"b{ending}")
    kept = before[len(before) - len(after) :]  # what sounds long before the first frame is left out
    assert len(after) >= len(before) - 3
    np.testing.assert_allclose([float(time) for time, _ in after], [float(time) for time, _ in kept], atol=0.03)


def heard(path: Path) -> np.ndarray:
    """When each packet of sound begins."""
    with av.open(str(path)) as container:
        return np.array([float(one.pts * one.time_base) for one in container.demux(audio=0) if one.size])


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("tone", ["aac", "mp2"])
def test_parts_that_were_put_together_keep_their_sound(tmp_path: Path, tone: str, ending: str) -> None:
    part = clip(tmp_path / "a.ts", 50, sound=tone)
    path = joined(tmp_path / "b.ts", part, part)
    summary = predict_video(bright, path, out=tmp_path / f"c{ending}")
    seen = play(tmp_path / f"c{ending}")
    assert (len(seen.pictures), summary.trouble, summary.notes) == (100, "", ())
    assert abs(seen.sound - 4.0) < 0.1


def test_a_leap_between_parts_is_closed_for_pictures_and_sound(tmp_path: Path) -> None:
    part = clip(tmp_path / "a.ts", 50, sound="aac")
    predict_video(bright, joined(tmp_path / "b.ts", part, later(part, 7200)), out=tmp_path / "c.mp4")
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert 3.9 < container.duration / av.time_base < 4.1
    times = heard(tmp_path / "c.mp4")
    assert len(times) > 160
    assert 0 < np.diff(times).min() <= np.diff(times).max() < 0.06


@pytest.mark.parametrize("length", [20, 80])  # frames, where the pictures have 50
def test_each_part_s_sound_begins_with_its_pictures(tmp_path: Path, length: int) -> None:
    part = clip(tmp_path / "a.ts", 50, sound="aac", sound_frames=length)
    predict_video(bright, part, out=tmp_path / "alone.mp4")
    predict_video(bright, joined(tmp_path / "b.ts", part, part), out=tmp_path / "c.mp4")
    alone, times = heard(tmp_path / "alone.mp4"), heard(tmp_path / "c.mp4")
    second = alone + 2
    expected = np.concatenate([alone, second[second > alone[-1] + 0.012]])  # of what would sound twice, the first
    np.testing.assert_allclose(times, expected, atol=0.002)


@pytest.mark.parametrize(
    ("source", "tone", "rate", "ending", "expected"),
    [
        ("a.avi", "pcm_s16le", 192_000, ".mp4", ("aac", 96_000)),
        ("a.avi", "pcm_s16le", 5_000, ".mp4", ("aac", 7_350)),
        ("a.mkv", "flac", 192_000, ".mov", ("aac", 96_000)),
        ("a.mkv", "flac", 192_000, ".webm", ("opus", 48_000)),
        ("a.avi", "libmp3lame", 8_000, ".mp4", ("aac", 8_000)),  # MP4 takes MP3, but not at this rate
    ],
)
def test_sound_at_an_unusual_rate_gets_one_that_the_file_takes(
    tmp_path: Path, source: str, tone: str, rate: int, ending: str, expected: tuple[str, int]
) -> None:
    codec = "mpeg4" if source.endswith("avi") else "libx264"
    path = clip(tmp_path / source, 50, codec=codec, sound=tone, sound_rate=rate)
    summary = predict_video(bright, path, out=tmp_path / f"out{ending}")
    assert (summary.frames, summary.notes) == (50, ())
    with av.open(str(tmp_path / f"out{ending}")) as container:
        context = container.streams.audio[0].codec_context
        assert (context.codec.canonical_name, context.sample_rate) == expected
    assert abs(play(tmp_path / f"out{ending}").sound - play(path).sound) < 0.15  # that is a frame at the lowest rate


def test_sound_that_no_encoder_takes_is_left_out_with_a_note(tmp_path: Path) -> None:
    source = find_source(clip(tmp_path / "a.avi", 5, codec="mpeg4", sound="pcm_s16le"))
    kind = KINDS[".mp4"]._replace(sound="none")
    with VideoReader(source) as video:
        original = Original(source, video.clock)
        with VideoWriter(tmp_path / "b.mp4", kind, video.info, original) as writer:
            for frame in video:
                writer.write(frame.pixels, frame.time)
            writer.finish(whole=True)
    (note,) = writer.notes
    assert note.startswith("a.avi: its sound was left out")
    assert (len(play(tmp_path / "b.mp4").pictures), play(tmp_path / "b.mp4").sound) == (5, 0)


def test_sound_that_changes_on_its_way_ends_there_and_the_pictures_go_on(tmp_path: Path) -> None:
    parts = [clip(tmp_path / f"{rate}.ts", 50, sound="mp2", sound_rate=rate) for rate in (44_100, 48_000)]
    summary = predict_video(bright, joined(tmp_path / "a.ts", *parts), out=tmp_path / "b.webm")
    (note,) = summary.notes
    assert note.startswith("a.ts: its sound breaks off")
    seen = play(tmp_path / "b.webm")
    assert len(seen.pictures) == 100
    assert abs(seen.sound - 2.0) < 0.1


def test_pictures_that_cannot_be_coded_are_told_and_leave_no_file_open(tmp_path: Path) -> None:
    source = find_source(clip(tmp_path / "a.mp4", 5, sound="aac"))
    with VideoReader(source) as video:
        info, original = replace(video.info, size=Size(0, 0)), Original(source, video.clock)
    with pytest.raises(UserError, match="cannot be coded as a video"):
        VideoWriter(tmp_path / "b.mp4", KINDS[".mp4"], info, original)
    assert not [one.path for one in psutil.Process().open_files() if one.path.startswith(str(tmp_path))]


def test_no_pictures_are_no_video(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.mp4: a video has at least one picture"):
        write_clip(tmp_path / "a.mp4", [], RATE)
    assert others(tmp_path) == set()


def test_a_video_without_sound_gets_none(tmp_path: Path) -> None:
    predict_video(bright, clip(tmp_path / "a.mp4", 3), out=tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert not container.streams.audio


# --- every so many frames, tracks, colours ---


def test_between_predicted_frames_the_last_objects_are_drawn(tmp_path: Path) -> None:
    asked: list[int] = []

    def counted(image: np.ndarray) -> Instances:
        asked.append(1)
        return bright(image)

    found: list[FoundFrame] = []
    summary = predict_video(
        counted, clip(tmp_path / "a.mp4", 10), every=4, out=tmp_path / "b.mp4", json_file=tmp_path / "a.jsonl",
        on_frame=found.append,
    )  # fmt: skip
    assert (len(asked), summary.predicted, summary.frames) == (3, 3, 10)
    assert [line["frame"] for line in records(tmp_path / "a.jsonl")] == [0, 4, 8]
    assert [each.predicted for each in found] == [i % 4 == 0 for i in range(10)]
    assert [each.instances is found[i - i % 4].instances for i, each in enumerate(found)] == [True] * 10
    assert len(play(tmp_path / "b.mp4").pictures) == 10
    np.testing.assert_array_equal(found[5].picture, draw_found(found[5]))


def test_tracks_keep_number_and_colour(tmp_path: Path) -> None:
    tracker, found = Tracker(), []
    source = clip(tmp_path / "a.mp4", [*(square(i) for i in range(12)), *(square(0) * 0 for _ in range(3))])
    summary = predict_video(bright, source, tracker=tracker, json_file=tmp_path / "a.jsonl", on_frame=found.append)
    assert summary.tracks == 1
    ids = [[one["track_id"] for one in line["instances"]] for line in records(tmp_path / "a.jsonl")]
    assert ids == [[1]] * 12 + [[]] * 3
    one, other = (draw_found(found[0]._replace(ids=np.array([number]))) for number in (1, 2))
    assert (one != other).any()


def test_a_video_counts_its_own_tracks_alone(tmp_path: Path) -> None:
    tracker, two = Tracker(), np.maximum(square(0), square(15))
    assert predict_video(bright, clip(tmp_path / "a.mp4", 3), tracker=tracker).tracks == 1
    assert predict_video(bright, clip(tmp_path / "b.mp4", [square(20)] * 3), tracker=tracker).tracks == 1
    assert predict_video(bright, clip(tmp_path / "c.mp4", [two * 0] * 3), tracker=tracker).tracks == 0
    assert tracker.count == 2


def test_without_tracks_a_class_has_one_colour() -> None:
    size = Size(200, 320)
    left, right = square(0, size, side=60), square(60, size, side=60)
    both = np.maximum(left, right)
    found = bright(left), bright(right)
    two = replace(
        found[0], boxes=np.concatenate([one.boxes for one in found]), scores=np.array([0.9, 0.8], dtype=np.float32),
        box_scores=np.ones(2, dtype=np.float32), labels=np.array([1, 1]), rle=found[0].rle + found[1].rle,
    )  # fmt: skip
    drawn = draw_found(FoundFrame(Frame(0, 0.0, both), two, None, True))
    swapped = draw_found(FoundFrame(Frame(0, 0.0, both), two[[1, 0]], None, True))
    apart = draw_found(FoundFrame(Frame(0, 0.0, both), two, np.array([1, 2]), True))
    inside = np.s_[55:60, [30, 150]]  # low in both, below the captions
    np.testing.assert_array_equal(drawn[inside], swapped[inside])
    assert (drawn[inside][:, 0] == drawn[inside][:, 1]).all()
    assert (apart[inside][:, 0] != apart[inside][:, 1]).any(axis=1).all()


def test_seconds_end_a_video_and_its_sound(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 75, sound="aac")
    summary = predict_video(bright, path, seconds=1.0, out=tmp_path / "b.mp4")
    seen = play(tmp_path / "b.mp4")
    assert (summary.frames, len(seen.pictures), summary.trouble, summary.interrupted) == (25, 25, "", False)
    assert abs(seen.sound - 1) < 0.1


@pytest.mark.parametrize("wrong", [{"every": 0}, {"seconds": 0.0}, {"seconds": float("nan")}])
def test_numbers_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="must be"):
        predict_video(bright, clip(tmp_path / "a.mp4", 3), **wrong)


# --- stages ---


def test_frames_are_read_ahead_while_one_is_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, numbers, read_on, pixels = clip(tmp_path / "a.mp4", 12), count(), threading.Event(), reader._pixels

    def watched(picture: av.VideoFrame) -> np.ndarray:
        if next(numbers) == WAITING:
            read_on.set()
        return pixels(picture)

    def slow(image: np.ndarray) -> Instances:
        assert read_on.wait(LONG)  # one after the other, the second would not be read before the first is predicted
        return bright(image)

    monkeypatch.setattr(reader, "_pixels", watched)
    assert predict_video(slow, path).frames == 12


def test_a_frame_is_written_while_a_later_one_is_predicted(tmp_path: Path) -> None:
    first_written, numbers = threading.Event(), count()

    def waiting(image: np.ndarray) -> Instances:
        if next(numbers) == 1:
            assert first_written.wait(LONG)  # one stage after the other, this would wait for ever
        return bright(image)

    predict_video(
        waiting, clip(tmp_path / "a.mp4", 6), out=tmp_path / "b.mp4", on_frame=lambda found: first_written.set()
    )
    assert len(play(tmp_path / "b.mp4").pictures) == 6


def test_no_more_frames_are_held_than_the_queues_take(tmp_path: Path) -> None:
    alive, most, lock = set(), [], threading.Lock()

    def counted(image: np.ndarray) -> Instances:
        with lock:
            alive.add(id(image))
            most.append(len(alive))
        return bright(image)

    # Each stage holds the frame it works on; behind the prediction wait frames to be drawn, written and told.
    summary = predict_video(
        counted, clip(tmp_path / "a.mp4", 120), out=tmp_path / "b.mp4",
        on_frame=lambda found: alive.discard(id(found.frame.pixels)),
    )  # fmt: skip
    assert summary.frames == 120
    assert max(most) <= 3 * (WAITING + 1) + 1


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    size, held, process = Size(240, 320), {}, psutil.Process()
    path = clip(tmp_path / "a.mp4", 160, size=size)

    def weigh(found: FoundFrame) -> None:
        if found.frame.number in (40, 150):
            gc.collect()
            held[found.frame.number] = process.memory_info().rss

    predict_video(bright, path, out=tmp_path / "out", json_file=tmp_path / "a.jsonl", tracker=Tracker(), on_frame=weigh)
    frame = size.height * size.width * 3
    assert held[150] - held[40] < 50 * frame  # 110 frames passed meanwhile


# --- errors ---


class BrokenError(Exception):
    """Of a finder that fails."""


def test_an_error_of_the_prediction_stops_all_and_leaves_nothing(tmp_path: Path) -> None:
    path, numbers, before = clip(tmp_path / "a.mp4", 100), count(), stages()

    def fail(image: np.ndarray) -> Instances:
        if next(numbers) == 5:
            raise BrokenError("at the sixth")
        return bright(image)

    with pytest.raises(BrokenError, match="at the sixth"):
        predict_video(fail, path, out=tmp_path / "b.mp4", json_file=tmp_path / "b.jsonl")
    assert next(numbers) == 6
    assert stages() <= before
    assert others(tmp_path) == {"a.mp4"}


def test_an_error_in_drawing_or_telling_stops_all_and_leaves_nothing(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 30)

    def other_size(image: np.ndarray) -> Instances:
        return bright(image[:20])

    def told(found: FoundFrame) -> None:
        raise BrokenError("in the caller's hands")

    with pytest.raises(ValueError, match="for instances of"):
        predict_video(other_size, path, out=tmp_path / "b.mp4")
    with pytest.raises(BrokenError):
        predict_video(bright, path, out=tmp_path / "b.mp4", on_frame=told)
    assert others(tmp_path) == {"a.mp4"}


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file", "engine.plan"), OSError("no device")])
def test_an_error_of_the_system_in_the_prediction_is_not_told_as_one_of_the_files(
    tmp_path: Path, error: OSError
) -> None:
    def fail(image: np.ndarray) -> Instances:
        raise error

    path = clip(tmp_path / "a.mp4", 5)
    with pytest.raises(OSError, match=r"engine\.plan|no device"):
        predict_video(fail, path, out=tmp_path / "b.mp4", json_file=tmp_path / "b.jsonl")
    assert others(tmp_path) == {"a.mp4"}


@pytest.mark.skipif(sys.platform == "win32", reason="what is open cannot be deleted")
def test_a_file_that_is_deleted_meanwhile_is_read_to_its_end(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 60)
    summary = predict_video(
        bright, path, out=tmp_path / "b.mp4", on_frame=lambda found: path.unlink(missing_ok=True)
    )  # fmt: skip
    assert (summary.frames, summary.trouble) == (60, "")
    assert len(play(tmp_path / "b.mp4").pictures) == 60


@pytest.mark.parametrize(("answer", "limit"), [("out", 20_000), ("json_file", 5_000)])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, answer: str, limit: int) -> None:
    place = tmp_path / {"out": "b.mp4", "json_file": "b.jsonl"}[answer]
    resource = pytest.importorskip("resource", reason="file sizes are limited otherwise elsewhere")
    rng = np.random.default_rng(0)
    path = clip(tmp_path / "a.mp4", [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(60)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(UserError, match=rf"{place.name}: cannot be written"):
            predict_video(bright, path, **{answer: place})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert others(tmp_path) == {"a.mp4"}


def test_a_cut_off_video_is_written_as_far_as_it_goes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(60)]
    path = cut(clip(tmp_path / "a.mp4", noise, sound="aac", options={"movflags": "faststart"}))
    summary = predict_video(bright, path, out=tmp_path / "b.mp4", json_file=tmp_path / "b.jsonl")
    assert 10 < summary.frames < 60
    assert f"{summary.frames} of about 60 frames could be read" in summary.trouble
    assert len(play(tmp_path / "b.mp4").pictures) == len(records(tmp_path / "b.jsonl")) == summary.frames


# --- an early end ---


def test_ctrl_c_finishes_what_was_begun(tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", 400, sound="aac")

    def interrupt(found: FoundFrame) -> None:
        if found.frame.number == 9:
            signal.raise_signal(signal.SIGINT)

    summary = predict_video(bright, path, out=tmp_path / "b.mp4", json_file=tmp_path / "b.jsonl", on_frame=interrupt)
    assert summary.interrupted
    assert summary.trouble == ""
    lines, seen = records(tmp_path / "b.jsonl"), play(tmp_path / "b.mp4")
    assert 10 <= len(lines) <= 10 + 4 * (WAITING + 2)
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert len(seen.pictures) == len(lines)
    assert abs(seen.sound - len(lines) / RATE) < 0.1


def test_a_second_ctrl_c_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    path, before = clip(tmp_path / "a.mp4", 400), stages()
    numbers, begun = count(), threading.Event()

    def predict(image: np.ndarray) -> Instances:
        if next(numbers) == 1:
            begun.set()
        return bright(image)

    def interrupt(found: FoundFrame) -> None:
        assert begun.wait(LONG)  # what has begun is finished: so there is a frame for the second Ctrl-C
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        predict_video(predict, path, out=tmp_path / "b.mp4", on_frame=interrupt)
    assert others(tmp_path) == {"a.mp4"}
    for thread in stages() - before:  # on a busy machine they need a moment more
        thread.join(LONG)
    assert stages() <= before


def test_an_interrupted_video_gets_no_more_sound_than_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    path = clip(tmp_path / "a.mp4", WAITING + 2, sound="aac", sound_frames=75)
    before, numbers, stop = stages(), count(), threading.Event()
    monkeypatch.setattr("centermask.video.run.Event", lambda: stop)

    def interrupted(image: np.ndarray) -> Instances:
        if next(numbers) == 1:
            for thread in stages() - before:
                if thread.name == "stage 0":
                    thread.join(LONG)  # all is read, and the rest waits
            stop.set()
        return bright(image)

    summary = predict_video(interrupted, path, out=tmp_path / "b.mp4")
    assert (summary.interrupted, summary.frames) == (True, 2)
    assert play(tmp_path / "b.mp4").sound < 0.3
