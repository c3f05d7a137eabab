"""What a run tells: a live line on the terminal, metrics.jsonl, TensorBoard and other trackers."""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from accelerate.tracking import GeneralTracker, MLflowTracker, WandBTracker
from accelerate.utils import is_mlflow_available, is_wandb_available
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from centermask.config import Tracker
from centermask.errors import UserError
from centermask.files import write_whole

METRICS = "metrics.jsonl"
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
        log_to: Further trackers.

    Raises:
        UserError: a tracker is not installed or does not answer, or the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        first_step: int,
        console: Console,
        active: bool = True,
        log_to: Sequence[Tracker] = (),
    ) -> None:
        self.active, self.console, self.steps, self.folder = active, console, steps, folder
        self.trackers = [_tracker(name, folder) for name in log_to] if active else []
        with _disk(folder):
            self.metrics = (folder / METRICS).open("a", encoding="utf-8") if active else None
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
        with suppress(OSError) if error else _disk(self.folder):  # the first fault is the one to tell
            if self.metrics is not None and self.board is not None:
                self.metrics.close()
                self.board.close()
        for tracker in self.trackers:
            try:
                tracker.finish()
            except Exception as fault:  # the run is done, or has a fault of its own to tell
                self.say(f"{tracker.name} could not be closed ({type(fault).__name__}: {fault})")

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

    def evaluating(self, done: int, total: int) -> None:
        """Tell how far an evaluation is."""
        line = f"evaluated {done}/{total}"
        self.progress.update(self.task, told=line)
        if self.active and not self.live and time.monotonic() - self.last_told > SILENT_SECONDS:
            self.last_told = time.monotonic()
            self.say(line)

    def write(self, values: Mapping[str, float | str], step: int) -> None:
        """Write a line of metrics.jsonl, and its numbers to TensorBoard and the other trackers.

        Raises:
            UserError: the disk is full.
        """
        if self.metrics is None or self.board is None:
            return
        strict = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }  # JSON knows neither NaN nor infinity
        numbers = {f"{values['kind']}/{name}": value for name, value in values.items() if isinstance(value, float)}
        with _disk(self.folder):
            self.metrics.write(json.dumps(strict) + "\n")
            self.metrics.flush()
            for name, value in numbers.items():
                self.board.add_scalar(name, value, step)
        for tracker in list(self.trackers):
            try:
                tracker.log(numbers, step=step)
            except Exception as error:  # a server that is away for a while is no reason to end a run of days
                self.trackers.remove(tracker)
                self.say(f"{tracker.name} is no longer told ({type(error).__name__}: {error}); the run goes on")

    def say(self, text: str) -> None:
        """Print a line above the progress."""
        if self.active:
            self.progress.console.print(text, highlight=False, soft_wrap=True)

    def _eta(self, step: int) -> str:
        done = max(1, step - self.first_step)
        seconds = int((time.monotonic() - self.began) / done * (self.steps - step))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def trim_metrics(folder: Path, step: int, epochs: int) -> None:
    """Take back what metrics.jsonl tells of steps and evaluations that a killed run did not save: they come again."""
    path = folder / METRICS
    if not path.is_file():
        return
    kept = [line for line in path.read_bytes().splitlines() if _is_kept(line, step, epochs)]
    write_whole(path, b"".join(line + b"\n" for line in kept))


def _is_kept(line: bytes, step: int, epochs: int) -> bool:
    try:
        values = json.loads(line)
        is_train = values["kind"] == "train"
        return bool(values["step"] <= step and (is_train or values["epoch"] <= epochs))
    except (ValueError, KeyError, TypeError):  # torn by the kill
        return False


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror or error}); free some space, then go on with --resume"
        ) from None


def _tracker(name: Tracker, folder: Path) -> GeneralTracker:
    """A tracker of Accelerate's; the project is named after the folder of the runs, the run after its own."""
    installed = {"wandb": is_wandb_available, "mlflow": is_mlflow_available}[name]()
    if not installed:
        raise UserError(f"--log-to {name}: {name} is not installed; pip install {name}")
    project, run = folder.resolve().parent.name, folder.resolve().name
    tracker: GeneralTracker
    try:
        match name:
            case "wandb":
                tracker = WandBTracker(project, name=run, dir=str(folder))
            case "mlflow":
                tracker = MLflowTracker(project, run_name=run)
        if hasattr(tracker, "start"):
            tracker.start()
    except Exception as error:  # no login, no server, and whatever else these packages raise
        raise UserError(f"--log-to {name}: {type(error).__name__}: {error}; log in or check its server, or leave it "
                        "out: metrics.jsonl and TensorBoard have the same figures") from error  # fmt: skip
    return tracker
