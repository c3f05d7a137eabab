"""A network small enough to train many times, and runs of it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from centermask.config import TrainConfig
from centermask.model.presets import PRESETS

TINY = replace(
    PRESETS["centermask-nano"],
    preset="tiny",
    fpn_channels=64,
    tower_convs=1,
    mask_convs=1,
    train_proposals=8,
    train_rois=3,  # fewer than there are, so that some are drawn by chance
)


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", TINY)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """For such small work several threads mostly wait for each other, and for ever where the processor is shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config() -> Callable[..., TrainConfig]:
    """Settings of a short run on the processor."""

    def make(**changes: object) -> TrainConfig:
        short = {"preset": "tiny", "epochs": 2, "batch": 2, "short_side": 64, "workers": 0, "device": "cpu",
                 "precision": "fp32", "norm": "group", "log_every": 1}  # fmt: skip
        return TrainConfig(**short | changes)

    return make


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"
