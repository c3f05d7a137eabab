"""The folder of a run: configuration, weights, and what is needed to go on.

- ``config.yaml``: the run's ``TrainConfig`` and its data;
- ``last.safetensors``, ``best.safetensors``: averaged weights, ready for use;
- ``resume.pt``: weights, optimiser, average and generators at the last saved step;
- ``metrics.jsonl`` and TensorBoard's files;
- ``report.html``, and in ``report`` what it is made of;
- ``bad-batch-*.pt``: batches whose losses were no numbers.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from centermask.checkpoint import save_model
from centermask.config import TrainConfig
from centermask.errors import UserError
from centermask.files import write_whole
from centermask.model.centermask import CenterMask

LASTING = ("preset", "batch", "optimizer", "backbone_lr", "weight_decay", "ema", "norm", "attention_fusion",
           "class_agnostic_masks", "options", "freeze", "seed")  # fmt: skip
"""Settings that a resumed run must share with its beginning; the others, such as epochs and workers, may change."""

STATE = {"step", "epochs", "best", "stale", "bad_steps", "batch", "part", "pictures", "config", "model", "average",
         "optimizer"}  # fmt: skip
"""What is saved of a run."""


def write_plain(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all; ``torch.load(..., weights_only=True)`` reads them.

    Raises:
        UserError: the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Where a run lives."""

    path: Path

    def open(self, config: TrainConfig, data: Sequence[str], *, resume: bool) -> dict[str, Any] | None:
        """Begin a run, or go on with one; where ``resume`` finds none yet, it begins.

        Returns:
            The state to go on from, if there is one.

        Raises:
            UserError: the folder holds another run or one of other settings, or cannot be written.
        """
        begun = self.state.exists()
        if begun and not resume:
            raise UserError(f"{self.path} already holds a run; add --resume to go on with it, or choose another --out")
        if begun:
            self._check_same(config)
            return self.load_state()
        self.record(config, data)
        return None

    def record(self, config: TrainConfig, data: Sequence[str]) -> None:
        """Write down the settings that now hold.

        Raises:
            UserError: the folder cannot be written.
        """
        content = {"data": list(data), **config.to_dict()}
        write_whole(self.path / "config.yaml", yaml.safe_dump(content, sort_keys=False).encode())

    def _check_same(self, config: TrainConfig) -> None:
        try:
            begun = dict(yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, yaml.YAMLError):
            raise UserError(f"{self.path / 'config.yaml'}: cannot be read; start the run anew") from None
        usual, now = TrainConfig().to_dict(), config.to_dict()
        for name in LASTING:
            before = begun.get(name, usual[name])  # what an older version did not know
            if before != now[name]:
                raise UserError(f"{self.path} was begun with {name} {before}, not {now[name]}; "
                                "resume with the same settings, or choose another --out")  # fmt: skip

    @property
    def state(self) -> Path:
        """What resuming needs."""
        return self.path / "resume.pt"

    def weights(self, name: str) -> Path:
        """``last`` or ``best``."""
        return self.path / f"{name}.safetensors"

    def save_weights(self, name: str, model: CenterMask, notes: dict[str, Any]) -> None:
        """Write weights for use."""
        save_model(model, self.weights(name), notes=notes)

    def save_state(self, state: dict[str, Any]) -> None:
        """Write what resuming needs, whole or not at all."""
        write_plain(self.state, state)

    def load_state(self) -> dict[str, Any]:
        """Read what ``save_state`` wrote.

        Raises:
            UserError: the file is broken.
        """
        try:
            state: dict[str, Any] = torch.load(self.state, map_location="cpu", weights_only=True)
        except Exception as error:
            raise UserError(f"{self.state}: cannot be read ({type(error).__name__}); start the run anew") from error
        if not isinstance(state, dict) or set(state) != STATE:
            raise UserError(f"{self.state}: was written by another version; start the run anew, with --init "
                            f"{self.weights('last')}")  # fmt: skip
        return state
