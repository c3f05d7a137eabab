"""A small run as a program of its own: for tests that kill it, or start it in several processes.

``python -m tests.train.runs OUT BATCH`` trains two epochs over seven pictures, among them some without objects.
``python -m tests.train.runs fault OUT`` does so with a picture that one process cannot read.
``python -m tests.train.runs workers OUT`` trains for long, with a process that prepares pictures.
``python -m tests.train.runs kill-loop OUT KILLS`` kills a longer run again and again, each time going on with it.
"""

import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import torch
from rich.console import Console

from centermask.config import TrainConfig
from centermask.data.sample import Sample
from centermask.errors import UserError
from centermask.model.presets import PRESETS
from centermask.train import RunFolder, train
from tests.pictures import PictureSet, squares
from tests.train.conftest import TINY

SHORT = {"preset": "tiny", "short_side": 64, "workers": 0, "device": "cpu", "precision": "fp32", "norm": "group",
         "log_every": 1}  # fmt: skip


def uneven_pictures() -> PictureSet:
    """Seven pictures of two shapes; every second one without objects."""
    wide, high = squares(7, 64), squares(7, 96)
    samples = [(wide if i < 4 else high).samples[i] for i in range(7)]
    emptied = [one if i % 2 else one._replace(labels=one.labels[:0], masks=()) for i, one in enumerate(samples)]
    return PictureSet(emptied, wide.class_names)


@dataclass(frozen=True)
class Unreadable(PictureSet):
    """Squares of which one cannot be read."""

    def __getitem__(self, index: int) -> Sample:
        if index == 5:
            raise UserError("5.png: cannot be read")
        return super().__getitem__(index)


def train_small(out: Path, pictures: PictureSet, val: bool, **settings: object) -> None:
    """Begin a run, or go on with it."""
    config = TrainConfig(**SHORT | settings)
    val_sets = {"squares": squares(5, 64)} if val else {}
    train(config, [pictures], val_sets, RunFolder(path=out), resume=True, console=Console(file=StringIO()))


def train_long(out: Path) -> None:
    """A run that saves after every step."""
    train_small(out, squares(12, 64), val=True, epochs=10, batch=2, evaluate_every=2, save_minutes=0.0)


def kill_loop(out: Path, kills: int) -> None:
    """Let a run live for random short times until it was killed so often, then to its end; beside it one whole run.

    Prints the steps that were saved when each kill came.
    """
    moments = random.Random(0)
    folder = RunFolder(path=out / "killed")
    for killed in range(kills):
        child = os.fork()
        if child == 0:
            train_long(out / "killed")
            os._exit(0)
        if killed % 2:  # some way into the run, wherever that is; the other times perhaps before its first step
            _wait_for_a_save(folder.state, child)
        time.sleep(moments.uniform(0.0, 0.5))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(f"the run ended by itself after {killed} kills")
        print(folder.load_state()["step"] if folder.state.exists() else 0)
    train_long(out / "killed")
    train_long(out / "whole")


def _wait_for_a_save(state: Path, child: int) -> None:
    before = state.stat().st_mtime_ns if state.exists() else 0
    while not state.exists() or state.stat().st_mtime_ns == before:
        time.sleep(0.001)
        if not Path(f"/proc/{child}/stat").exists():
            return


if __name__ == "__main__":
    torch.set_num_threads(1)
    PRESETS["tiny"] = TINY
    if sys.argv[1] == "kill-loop":
        kill_loop(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "fault":
        train_small(Path(sys.argv[2]), Unreadable(squares(8, 64).samples, ("square",)), val=False, epochs=9, batch=4)
    elif sys.argv[1] == "workers":
        train_small(Path(sys.argv[2]), uneven_pictures(), val=False, epochs=1000, batch=2, workers=1)
    else:
        train_small(
            Path(sys.argv[1]),
            uneven_pictures(),
            val=True,
            epochs=2,
            batch=int(sys.argv[2]),
            ema=0.9,
            optimizer="sgd",
            lr=2e-3,
            train_rois=4,
        )  # Adam makes a whole step of what is only rounding; long steps let the mask-IoU term leap, and rounding grow
