"""Many pictures: a line each as it is done, in one process or several, and on from where it was broken off."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centermask.checkpoint import save_model
from centermask.errors import UserError
from centermask.many import Recipe, predict_many
from centermask.predict import predict_files
from tests.model.small import small_model
from tests.test_docs import ROOT, blocks


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_model(small_model(), path)
    return Recipe(weights=str(path), device="cpu", short_side=64, score_threshold=0.0, max_detections=3,
                  threads=1)  # fmt: skip


def save_picture(path: Path, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, size=(12, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((128, 96)).save(path)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Five pictures and, in the third place, something else."""
    made = [tmp_path / "pictures" / f"{i}.png" for i in range(6)]
    made[0].parent.mkdir()
    for i, path in enumerate(made):
        save_picture(path, i)
    made[2].write_text("no picture")
    return made


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def by_name(found: list[dict[str, object]]) -> dict[str, dict[str, object]]:
    """Without the names, which are paths in lines and mere names in a list."""
    return {Path(str(each.pop("file_name"))).name: each for each in found}


@pytest.mark.parametrize("processes", [1, 2])
def test_lines_hold_what_the_list_holds(recipe: Recipe, paths: list[Path], tmp_path: Path, processes: int) -> None:
    listed, lines = tmp_path / "found.json", tmp_path / "found.jsonl"
    failures = predict_files(recipe.make(), paths, json_file=listed, out=tmp_path / "a")
    told = list[tuple[int, int]]()
    summary = predict_many(recipe, paths, lines, out=tmp_path / "b", processes=processes,
                           on_picture=lambda done, total: told.append((done, total)))  # fmt: skip
    assert by_name(records(lines)) == by_name(json.loads(listed.read_text()))
    assert (summary.done, summary.skipped, list(summary.failures)) == (5, 0, failures)
    assert told == [(i, 6) for i in range(1, 7)]
    (error,) = records(tmp_path / "found.errors.jsonl")
    assert error == {"file_name": paths[2].as_posix(), "error": failures[0][1]}
    for path in paths[:2] + paths[3:]:
        with Image.open(tmp_path / "a" / path.name) as one, Image.open(tmp_path / "b" / path.name) as other:
            assert one.tobytes() == other.tobytes()


def test_a_run_goes_on_where_the_last_one_was_broken_off(recipe: Recipe, paths: list[Path], tmp_path: Path) -> None:
    lines = tmp_path / "found.jsonl"
    predict_many(recipe, paths, lines)
    whole = lines.read_bytes()
    lines.write_bytes(whole[: whole.index(b"\n", whole.index(b"\n") + 1) + 40])  # two records and a bit
    save_picture(paths[2], 2)  # mended meanwhile
    summary = predict_many(recipe, paths, lines, resume=True)
    assert (summary.done, summary.skipped, list(summary.failures)) == (4, 2, [])
    assert [each["file_name"] for each in records(lines)] == [path.as_posix() for path in paths]
    assert not (tmp_path / "found.errors.jsonl").exists()
    assert predict_many(recipe, paths, lines, resume=True).done == 0


def test_no_network_is_opened_where_nothing_is_left(recipe: Recipe, paths: list[Path], tmp_path: Path) -> None:
    lines = tmp_path / "found.jsonl"
    predict_many(recipe, paths[:1], lines)
    nowhere = replace(recipe, device="none such")  # opening it would be refused
    with pytest.raises(UserError):
        predict_many(nowhere, paths[1:2], lines, resume=True)
    assert predict_many(nowhere, paths[:1], lines, resume=True).skipped == 1


def test_a_run_that_shall_go_on_may_be_the_first(recipe: Recipe, paths: list[Path], tmp_path: Path) -> None:
    assert predict_many(recipe, paths, tmp_path / "found.jsonl", resume=True).done == 5


def test_a_picture_of_the_same_name_elsewhere_is_another_one(recipe: Recipe, paths: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other" / paths[0].name
    other.parent.mkdir()
    save_picture(other, 9)
    lines = tmp_path / "found.jsonl"
    predict_many(recipe, paths[:1], lines)
    summary = predict_many(recipe, [paths[0], other], lines, resume=True)
    assert (summary.done, summary.skipped) == (1, 1)
    assert [each["file_name"] for each in records(lines)] == [paths[0].as_posix(), other.as_posix()]


def test_the_guide_reads_the_lines(
    recipe: Recipe, paths: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(paths[0].parents[1])
    predict_many(recipe, paths[:1], Path("found.jsonl"))
    (code,) = blocks(ROOT / "docs" / "how-to" / "many-pictures.md", "python")
    exec(compile(code, "<python of many-pictures.md>", "exec"), {})
    assert capsys.readouterr().out == f"{paths[0].as_posix()} 3\n"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed: pip install 'centermask[ray]'")
def test_ray_answers_as_we_do(recipe: Recipe, paths: list[Path], tmp_path: Path) -> None:
    lines = tmp_path / "found.jsonl"
    script = ROOT / "examples" / "many_pictures_on_ray.py"
    command = [sys.executable, str(script), str(paths[0].parent), str(lines), "--weights", recipe.weights]
    for told in ("5 predicted, 0 were there, 1 failed", "0 predicted, 5 were there, 1 failed"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"{lines}: {told}"
    predict_many(Recipe(weights=recipe.weights, threads=1), paths, tmp_path / "ours.jsonl")
    assert by_name(records(lines)) == by_name(records(tmp_path / "ours.jsonl"))


def test_answers_of_two_settings_are_not_mixed(recipe: Recipe, paths: list[Path], tmp_path: Path) -> None:
    lines = tmp_path / "found.jsonl"
    predict_many(recipe, paths[:1], lines)
    before = lines.read_bytes()
    with pytest.raises(UserError, match=r"max_detections was 3, is 4"):
        predict_many(replace(recipe, max_detections=4), paths, lines, resume=True)
    save_model(small_model(class_names=("a", "c")), Path(recipe.weights).with_name("other.safetensors"))
    other = replace(recipe, weights=str(Path(recipe.weights).with_name("other.safetensors")))
    with pytest.raises(UserError, match="weights_sha256 was"):
        predict_many(other, paths, lines, resume=True)
    (tmp_path / "found.settings.json").unlink()
    with pytest.raises(UserError, match=r"found\.settings\.json: is missing"):
        predict_many(recipe, paths, lines, resume=True)
    assert lines.read_bytes() == before


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found in /proc")
def test_a_picture_that_kills_its_process_is_one_failure(recipe: Recipe, paths: list[Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pictures" / "pipe.png"
    os.mkfifo(pipe)  # who opens it waits: time to be killed
    killed = list[int]()

    def kill(done: int, total: int) -> None:
        if not killed and done == total - 1:
            with written_to(pipe):
                killed.append(the_child())
                os.kill(killed[0], signal.SIGKILL)

    # One process alone would wait in the pipe with nobody to kill it; of two, one waits and the other does the rest.
    summary = predict_many(recipe, [pipe, *paths], tmp_path / "found.jsonl", processes=2, on_picture=kill)
    assert summary.done == 5
    assert {path for path, _ in summary.failures} == {pipe, paths[2]}
    assert "ended without an answer" in dict(summary.failures)[pipe]


@contextmanager
def written_to(pipe: Path) -> Iterator[None]:
    """Begins when somebody reads from the pipe, who waits for more until the end."""
    deadline = time.monotonic() + 60
    while True:
        try:
            end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:  # nobody reads yet
            assert time.monotonic() < deadline
            time.sleep(0.05)
    try:
        yield
    finally:
        os.close(end)


def the_child() -> int:
    """The one process that waits for the pipe: the other one has nothing left to do, and is going."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = list(processes_of(os.getpid()))
        if len(children) == 1:
            return children[0]
        time.sleep(0.05)
    raise AssertionError("the processes do not end")


def processes_of(parent: int) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state = (place / "stat").read_text().rpartition(")")[2].split()
            if int(state[1]) == parent and state[0] != "Z" and "centermask.many" in (place / "cmdline").read_text():
                found.append(int(place.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("processes", [1, 2])
def test_a_network_that_cannot_be_used_ends_the_run(tmp_path: Path, paths: list[Path], processes: int) -> None:
    (tmp_path / "broken.safetensors").write_text("nonsense")
    with pytest.raises(UserError, match=r"broken\.safetensors"):
        predict_many(Recipe(weights=str(tmp_path / "broken.safetensors")), paths, tmp_path / "found.jsonl",
                     processes=processes)  # fmt: skip


@pytest.mark.parametrize("processes", [1, 2])
def test_an_overlay_that_cannot_be_written_ends_the_run(
    recipe: Recipe, paths: list[Path], tmp_path: Path, processes: int
) -> None:
    (tmp_path / "out" / "0.png").mkdir(parents=True)
    with pytest.raises(UserError, match=r"0\.png: this is no file that can be replaced"):
        predict_many(recipe, paths, tmp_path / "found.jsonl", out=tmp_path / "out", processes=processes)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda given: given | {"json_file": Path("found.json")}, r"ends in \.jsonl"),
        (lambda given: given | {"processes": 0}, "processes must be at least 1"),
    ],
)
def test_what_will_not_do_is_refused(
    recipe: Recipe, change: Callable[[dict[str, object]], dict[str, object]], match: str
) -> None:
    with pytest.raises(UserError, match=match):
        predict_many(recipe, [], **change({"json_file": Path("found.jsonl")}))  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_command_is_killed_and_goes_on(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(60):
        save_picture(folder / f"{i:02}.png", i)
    lines = tmp_path / "found.jsonl"
    command = [sys.executable, "-m", "centermask", "predict", str(folder), "--weights", recipe.weights, "--device",
               "cpu", "--json", str(lines), "--resume", "--processes", "2"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (lines.is_file() and lines.read_bytes().count(b"\n") >= 3):
            time.sleep(0.02)
        process.kill()
    kept = records(lines)[:-1]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert "were there already" in done.stdout or len(kept) >= 59
    found = records(lines)
    assert sorted(str(each["file_name"]) for each in found) == [f"{folder.as_posix()}/{i:02}.png" for i in range(60)]
    assert found[: len(kept)] == kept
