"""Two processes learn what one learns from the same batches."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from centermask.checkpoint import load_tensors
from centermask.train.folder import RunFolder

LOSSES = ("loss", "classification", "box", "centerness", "mask", "mask_iou")


def launch(out: Path, processes: int, *more: str) -> subprocess.CompletedProcess[str]:
    """A run of several processes, as a user starts it."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *torchrun, "-m", "tests.train.runs", str(out), "4", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def lines(out: Path, kind: str) -> list[dict]:
    told = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in told if line["kind"] == kind]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("processes")
    for processes in (1, 2):
        done = launch(folder / str(processes), processes)
        assert done.returncode == 0, done.stderr
    return folder / "1", folder / "2"


@pytest.mark.slow
def test_the_losses_are_those_of_one_process(runs: tuple[Path, Path]) -> None:
    one, two = (lines(out, "train") for out in runs)
    assert len(one) == 4  # seven pictures in batches of four, twice
    for a, b in zip(one, two, strict=True):
        for name in (*LOSSES, "lr"):
            # What the mask IoU should be counts cells above zero: one that lies on the brink moves it by a step.
            close = 2e-3 if name == "mask_iou" else 1e-4
            assert b[name] == pytest.approx(a[name], rel=close, abs=1e-6), (a["step"], name)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=2e-3)


@pytest.mark.slow
def test_the_weights_are_those_of_one_process(runs: tuple[Path, Path]) -> None:
    one, two = (load_tensors(RunFolder(path=out).weights("last"))[1] for out in runs)
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-3, atol=2e-5, msg=key)


@pytest.mark.slow
def test_the_evaluation_is_that_of_one_process(runs: tuple[Path, Path]) -> None:
    one, two = (lines(out, "val/squares") for out in runs)
    assert [line["epoch"] for line in two] == [1, 2]
    for a, b in zip(one, two, strict=True):
        assert b["mask_ap"] == pytest.approx(a["mask_ap"], abs=0.02)


@pytest.mark.slow
def test_a_picture_that_one_process_cannot_read_ends_all_of_them(tmp_path: Path) -> None:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, *torchrun, "-m", "tests.train.runs", "fault", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # not for ever
    assert done.returncode != 0
    assert "5.png: cannot be read" in done.stderr
    assert "another process of this run stopped" in done.stderr


@pytest.mark.slow
def test_only_one_process_writes(runs: tuple[Path, Path]) -> None:
    assert {path.name for path in runs[0].iterdir() if not path.name.startswith("events.")} == {
        path.name for path in runs[1].iterdir() if not path.name.startswith("events.")
    }
    assert len(list(runs[1].glob("events.*"))) == 1
