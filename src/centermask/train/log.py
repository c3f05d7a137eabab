"""What a run tells: a live line on the terminal, metrics.jsonl and TensorBoard."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

SILENT_SECONDS = 20.0
"""Between two lines where the output is no terminal."""


class RunLog:
    """Tells how a run goes; a context manager.

    Args:
        folder: Where metrics.jsonl and TensorBoard's files go.
        steps: Of the whole run.
        first_step: Where this part of it begins.
        console: Where the progress is shown.
        active: False in all processes but the first: then nothing is told.
    """

    def __init__(self, folder: Path, steps: int, first_step: int, console: Console, active: bool = True) -> None:
        self.active, self.console, self.steps = active, console, steps
        self.metrics = (folder / "metrics.jsonl").open("a", encoding="utf-8") if active else None
        self.board = SummaryWriter(str(folder)) if active else None
        self.live = active and console.is_terminal
        self.progress = Progress(
            BarColumn(bar_width=12), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[told]}"),
            console=console, disable=not self.live,
        )  # fmt: skip
        self.task: TaskID = self.progress.add_task("train", total=steps, completed=first_step, told="")
        self.first_step, self.began, self.last_told = first_step, time.monotonic(), 0.0

    def __enter__(self) -> "RunLog":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()
        if self.metrics is not None and self.board is not None:
            self.metrics.close()
            self.board.close()

    def step(self, step: int, told: Mapping[str, float], *, keep: bool) -> None:
        """Tell how a step went; ``keep`` writes it down too."""
        words = [f"{name} {value:.3g}" for name, value in told.items() if name not in ("epoch", "lr")]
        line = " ".join(words)
        # Three lines beside the bar, so that all of it fits a terminal of 80 columns.
        self.progress.update(self.task, completed=step, told="\n".join(" ".join(words[i : i + 3]) for i in (0, 3, 6)))
        if self.active and not self.live and time.monotonic() - self.last_told > SILENT_SECONDS:
            self.last_told = time.monotonic()
            self.console.print(
                f"step {step}/{self.steps} epoch {told['epoch']:.2f} {line} ETA {self._eta(step)}",
                highlight=False,
                soft_wrap=True,
            )
        if keep:
            self.write({"kind": "train", "step": step, **told}, step)

    def write(self, values: Mapping[str, float | str], step: int) -> None:
        """Write a line of metrics.jsonl, and its numbers to TensorBoard."""
        if self.metrics is None or self.board is None:
            return
        strict = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }  # JSON knows neither NaN nor infinity
        self.metrics.write(json.dumps(strict) + "\n")
        self.metrics.flush()
        for name, value in values.items():
            if isinstance(value, float):
                self.board.add_scalar(f"{values['kind']}/{name}", value, step)

    def say(self, text: str) -> None:
        """Print a line above the progress."""
        if self.active:
            self.progress.console.print(text, highlight=False, soft_wrap=True)

    def _eta(self, step: int) -> str:
        done = max(1, step - self.first_step)
        seconds = int((time.monotonic() - self.began) / done * (self.steps - step))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
