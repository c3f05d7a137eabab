"""What a run survives: kills, full disks, dead helpers, losses that are no numbers, memory that runs out."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import psutil
import pytest
import torch
from accelerate.tracking import GeneralTracker
from rich.console import Console

from centermask.checkpoint import load_tensors
from centermask.config import TrainConfig
from centermask.data.sample import Sample
from centermask.errors import UserError
from centermask.size import Size
from centermask.structures import Losses
from centermask.train import RunFolder, log, replay, train
from centermask.train.loop import go_on
from centermask.train.run import Run, start
from centermask.train.state import restore, save
from tests.pictures import PictureSet, squares
from tests.train.test_loop import metrics, same, weights

Configs = Callable[..., TrainConfig]
FOUR = squares(4, side=64)
SILENT = Console(file=StringIO())


def begun(config: TrainConfig, out: Path) -> Run:
    folder = RunFolder(path=out)
    folder.open(config, ["squares"], resume=False)
    return start(config, [FOUR], folder)


# --- kill -9 ---


@pytest.mark.slow
def test_twenty_kills_at_any_moment_change_nothing_bit_for_bit(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.train.runs", "kill-loop", str(tmp_path), "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    steps = [int(line) for line in done.stdout.split()]
    assert len(steps) == 20
    assert len(set(steps)) >= 5, steps  # at various places, not all of them before the first step
    for name in ("last", "best"):
        assert same(weights(tmp_path / "killed", name), weights(tmp_path / "whole", name))
    killed, whole = (RunFolder(path=tmp_path / name).load_state() for name in ("killed", "whole"))
    assert killed["step"] == whole["step"] == 60
    assert same(killed["average"], whole["average"])
    assert all(
        torch.equal(one[key], other[key])
        for one, other in zip(killed["optimizer"]["state"].values(), whole["optimizer"]["state"].values(), strict=True)
        for key in one
    )
    told = metrics(tmp_path / "killed")
    assert [line["step"] for line in told if line["kind"] == "train"] == list(range(1, 61))  # none twice, none lost
    assert [line["epoch"] for line in told if line["kind"] != "train"] == [2, 4, 6, 8, 10]
    losses = [
        [line["loss"] for line in metrics(tmp_path / name) if line["kind"] == "train"] for name in ("killed", "whole")
    ]
    assert losses[0] == losses[1]


def test_what_a_kill_left_unsaved_is_taken_back_from_the_metrics(config: Configs, out: Path) -> None:
    run = begun(config(), out)
    save(run)
    told = ['{"kind": "train", "step": 0}', '{"kind": "train", "step": 1}', '{"kind": "val/a", "step": 0, "epoch": 1}']
    (out / "metrics.jsonl").write_text("\n".join([*told, '{"kind": "tr']))
    train(config(), [FOUR], {}, RunFolder(path=out), resume=True, console=SILENT)
    assert [line["step"] for line in metrics(out)] == [0, 1, 2, 3, 4]


# --- disks ---


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond this: as a full disk does, writing fails in the middle."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_the_run_in_words_and_loses_nothing(config: Configs, out: Path) -> None:
    train(config(epochs=3), [FOUR], {}, RunFolder(path=out / "whole"), console=SILENT)
    half = out / "half"
    run = begun(config(epochs=3), half)
    save(run)
    before = {path.name: path.read_bytes() for path in half.iterdir() if path.is_file()}
    with largest_file(100_000), pytest.raises(UserError, match=r"cannot be written .*free some space"):
        train(config(epochs=3), [FOUR], {}, RunFolder(path=half), data=["squares"], resume=True, console=SILENT)
    after = {path.name: path.read_bytes() for path in half.iterdir() if path.is_file()}
    assert {name: after[name] for name in before} == before
    assert not [name for name in after if name.startswith(".")]
    train(config(epochs=3), [FOUR], {}, RunFolder(path=half), resume=True, console=SILENT)
    assert same(weights(half), weights(out / "whole"))


def test_a_log_that_cannot_be_written_ends_the_run_in_words(config: Configs, out: Path) -> None:
    out.mkdir()
    (out / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot be written .*free some space, then go on with --resume"):
        train(config(epochs=1), [FOUR], {}, RunFolder(path=out), console=SILENT)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_refused_before_the_first_step(config: Configs, out: Path) -> None:
    out.mkdir()
    out.chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        train(config(epochs=1), [FOUR], {}, RunFolder(path=out), console=SILENT)


def test_a_place_that_nobody_can_write_to_is_refused_before_the_first_step(config: Configs) -> None:
    with pytest.raises(UserError, match=r"/proc/run/config\.yaml: cannot be written"):
        train(config(epochs=1), [FOUR], {}, RunFolder(path=Path("/proc/run")), console=SILENT)


# --- helpers that die ---


@dataclass(frozen=True)
class Deadly:
    """Squares of which one kills whoever opens it, as the kernel does when memory runs out."""

    pictures: PictureSet
    trainer: int

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.pictures.class_names

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        if index == 3:
            assert os.getpid() != self.trainer
            os.kill(os.getpid(), signal.SIGKILL)
        return self.pictures[index]

    def size(self, index: int) -> Size:
        return self.pictures.size(index)


# The signal of a worker's death may arrive between any two instructions, also where multiprocessing closes a socket:
# that socket is left to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_worker_that_dies_ends_the_run_in_words_and_it_can_be_resumed(config: Configs, out: Path) -> None:
    settings = config(workers=1, batch=1, save_minutes=0.0)
    train(settings, [FOUR], {}, RunFolder(path=out / "whole"), console=SILENT)
    half = RunFolder(path=out / "half")
    with pytest.raises(UserError, match=r"a process that prepares pictures died .*fewer --workers"):
        train(settings, [Deadly(FOUR, os.getpid())], {}, half, console=SILENT)
    train(settings, [FOUR], {}, half, resume=True, console=SILENT)
    assert same(weights(half.path), weights(out / "whole"))


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_worker_that_dies_while_it_hands_pictures_over_is_told_in_the_same_words(
    config: Configs, out: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: object, **__: object) -> Iterator[None]:
        raise error
        yield

    monkeypatch.setattr("centermask.train.loop.load_epoch", broken)
    with pytest.raises(UserError, match=r"a process that prepares pictures died .*(peer|EOFError).*fewer --workers"):
        train(config(), [FOUR], {}, RunFolder(path=out), console=SILENT)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_a_trainer_that_is_killed_leaves_no_worker_behind(out: Path) -> None:
    with subprocess.Popen([sys.executable, "-m", "tests.train.runs", "workers", str(out)]) as trainer:
        known = psutil.Process(trainer.pid)
        while trainer.poll() is None and not (workers := known.children()):
            time.sleep(0.05)
        trainer.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive


@pytest.mark.slow
def test_a_signal_to_the_whole_group_saves_and_leaves_with_143(out: Path) -> None:
    command = [sys.executable, "-m", "centermask", "train", "gems:images=8,size=64,stones=1-2", "--out", str(out),
               "--epochs", "1000", "--batch", "2", "--short-side", "64", "--evaluate-every", "0", "--log-every", "1",
               "--workers", "1", "--device", "cpu"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as trainer:
        while trainer.poll() is None and not ((out / "metrics.jsonl").exists() and metrics(out)):
            time.sleep(0.1)
        os.killpg(trainer.pid, signal.SIGTERM)
        _, errors = trainer.communicate(timeout=200)
    assert trainer.returncode == 143, errors
    assert RunFolder(path=out).load_state()["step"] >= 1


# --- losses that are no numbers ---


def poisoned(run: Run, steps: set[int]) -> None:
    """Make the losses of some steps no numbers."""

    def poison(module: torch.nn.Module, inputs: tuple, losses: Losses) -> Losses:
        return Losses(*(value * float("nan") for value in losses)) if run.progress.step in steps else losses

    run.objective.register_forward_hook(poison)


def test_a_step_without_numbers_moves_nothing_and_the_run_goes_on(config: Configs, out: Path) -> None:
    run = begun(config(epochs=2), out)
    poisoned(run, {1})
    before: list[dict[str, torch.Tensor]] = []
    run.objective.register_forward_pre_hook(
        lambda *_: before.append({key: value.clone() for key, value in run.model.state_dict().items()})
    )
    console = Console(file=StringIO(), width=400)
    go_on(run, {}, console)
    assert not same(before[0], before[1])
    assert same(before[1], before[2])  # the weights before and after the second step
    assert run.progress.step == 4
    assert "step 1: skipped, its losses or gradients are no numbers" in console.file.getvalue()
    assert all(value.isfinite().all() for value in weights(out).values())


def test_a_step_without_numbers_leaves_the_statistics_of_norms_too(config: Configs, out: Path) -> None:
    run = begun(config(epochs=2, norm="batch"), out)
    poisoned(run, {0, 1, 2, 3})
    before = {name: value.clone() for name, value in run.model.named_buffers()}
    go_on(run, {}, SILENT)
    assert any("running_mean" in name for name in before)
    assert same(dict(run.model.named_buffers()), before)


def test_the_batch_of_a_bad_step_can_be_played_again(config: Configs, out: Path) -> None:
    with pytest.raises(UserError, match="no numbers 10 steps in a row"):
        train(config(epochs=60, batch=4, lr=1e9, warmup=0.0), [FOUR], {}, RunFolder(path=out), console=SILENT)
    written = sorted(out.glob("bad-batch-*.pt"))
    assert len(written) == 3  # not one for each of the ten
    assert not torch.stack(list(replay(written[0]))).isfinite().all()


def test_a_batch_is_written_down_with_both_kinds_of_masks(config: Configs, out: Path) -> None:
    from centermask.data.batches import load_epoch
    from centermask.train.bad_batch import save_bad_batch
    from tests.pictures import outlined

    outlines = [one._replace(masks=tuple(map(outlined, one.masks))) for one in FOUR.samples]
    mixed = PictureSet([*FOUR.samples[:2], *outlines[:2]], FOUR.class_names)
    run = start(config(batch=4), [mixed], RunFolder(path=out))
    (batch,) = load_epoch(run.training_set, run.plan, 0)
    with torch.no_grad():
        losses = run.objective(*batch)
    written = save_bad_batch(out, 7, 0, batch, run.model)
    assert written is not None
    torch.testing.assert_close(torch.stack(list(replay(written))), torch.stack(list(losses)), rtol=1e-4, atol=1e-5)


def test_a_broken_file_is_no_bad_batch(tmp_path: Path) -> None:
    (tmp_path / "bad-batch-1.pt").write_bytes(b"text")
    with pytest.raises(UserError, match=r"bad-batch-1\.pt: cannot be read"):
        replay(tmp_path / "bad-batch-1.pt")


# --- memory ---


def too_small_for(run: Run, pictures: int) -> list[int]:
    """Let the memory run out for so many pictures at a time; tells how many came."""
    seen: list[int] = []

    def refuse(module: torch.nn.Module, inputs: tuple) -> None:
        seen.append(len(inputs[1]))
        if len(inputs[1]) >= pictures:
            raise torch.OutOfMemoryError("CUDA out of memory")

    run.objective.register_forward_pre_hook(refuse)
    return seen


def test_where_memory_runs_out_a_step_goes_through_in_halves(config: Configs, out: Path) -> None:
    run = begun(config(epochs=2, batch=4), out)
    seen = too_small_for(run, 2)
    console = Console(file=StringIO(), width=400)
    go_on(run, {}, console)
    assert seen == [4, 2, 1, 1, 1, 1, 1, 1, 1, 1]  # found once, kept for the second step
    told = console.file.getvalue()
    assert "out of memory: from now on 2 pictures at a time; --accumulate 2 begins so" in told
    assert "out of memory: from now on 1 pictures at a time; --accumulate 4 begins so" in told
    assert run.progress.step == 2
    again = start(config(epochs=2, batch=4), [FOUR], run.folder, state=run.folder.load_state())
    restore(again, run.folder.load_state())
    assert again.part == 1  # nor does a resumed run find it out anew


def test_a_single_picture_too_large_for_the_memory_is_said(config: Configs, out: Path) -> None:
    run = begun(config(batch=2), out)
    too_small_for(run, 1)
    with pytest.raises(UserError, match="does not hold one picture of this size; lower --short-side"):
        go_on(run, {}, SILENT)


# --- parts of a step ---


def gradients(config: TrainConfig, out: Path) -> dict[str, torch.Tensor]:
    from centermask.data.batches import load_epoch
    from centermask.train.step import _backward

    same_pictures = PictureSet([FOUR.samples[0]] * 4, FOUR.class_names)
    run = start(config, [same_pictures], RunFolder(path=out))
    (batch,) = load_epoch(run.training_set, run.plan, 0)
    _backward(run, batch)
    return {name: value.grad for name, value in run.model.named_parameters() if value.grad is not None}


def test_parts_of_equal_pictures_have_the_gradient_of_the_whole(config: Configs, out: Path) -> None:
    plain = {"batch": 4, "flip": 0.0, "color_jitter": 0.0, "min_short_side": 64}
    whole = gradients(config(**plain), out)
    for accumulate in (2, 4):
        parts = gradients(config(**plain, accumulate=accumulate), out)
        assert parts.keys() == whole.keys()
        for name, value in whole.items():
            torch.testing.assert_close(parts[name], value, rtol=1e-3, atol=1e-5, msg=name)


# --- knowing when to stop ---


def test_patience_ends_a_run_that_no_longer_improves(config: Configs, out: Path) -> None:
    # A learning rate of nearly nothing: the first evaluation stays the best one.
    settings = config(epochs=9, lr=1e-12, patience=2)
    train(settings, [FOUR], {"squares": FOUR}, RunFolder(path=out), console=SILENT)
    assert [line["epoch"] for line in metrics(out) if line["kind"] != "train"] == [1, 2, 3]
    before = load_tensors(out / "last.safetensors")[1]
    train(settings, [FOUR], {"squares": FOUR}, RunFolder(path=out), resume=True, console=SILENT)
    assert same(load_tensors(out / "last.safetensors")[1], before)  # nor does going on wake it


def test_a_small_set_is_seen_often_enough_without_a_knob(config: Configs, out: Path) -> None:
    run = start(config(epochs=None, batch=2), [FOUR], RunFolder(path=out))
    assert run.steps == 1000
    assert 10 <= sum(run.is_evaluated_after(epoch) for epoch in range(1, run.epochs + 1)) <= 13
    many = PictureSet([FOUR.samples[0]] * 1000, FOUR.class_names)
    assert start(config(epochs=None, batch=2), [many], RunFolder(path=out)).epochs == 12


def test_the_batch_is_chosen_where_it_is_left_open_and_kept_on_resume(config: Configs, out: Path) -> None:
    many = PictureSet([FOUR.samples[0]] * 100, FOUR.class_names)
    assert start(config(batch="auto"), [many], RunFolder(path=out)).plan.batch == 8
    few = start(config(batch="auto"), [FOUR], RunFolder(path=out))
    assert few.plan.batch == 1  # four pictures in one step an epoch would be few steps
    few.folder.open(few.config, ["squares"], resume=False)
    save(few)
    again = start(config(batch="auto"), [many], few.folder, state=few.folder.load_state())
    assert again.plan.batch == 1


class Silent(GeneralTracker):
    """A tracker whose server answers only while it may."""

    name = "wandb"
    requires_logging_directory = False
    answers = frozenset({"start"})

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    @property
    def tracker(self) -> None:
        return None

    def _ask(self, what: str) -> None:
        if what not in self.answers:
            raise ConnectionError("no route to host")

    def start(self) -> None:
        self._ask("start")

    def log(self, values: dict, step: int | None, **_: object) -> None:
        self._ask("log")

    def finish(self) -> None:
        self._ask("finish")


@pytest.mark.parametrize("answers", [set(), {"start"}, {"start", "log"}], ids=["never", "once", "but at the end"])
def test_a_tracker_without_a_server_ends_no_run(
    config: Configs, out: Path, monkeypatch: pytest.MonkeyPatch, answers: set[str]
) -> None:
    monkeypatch.setattr(log, "WandBTracker", Silent)
    monkeypatch.setattr(log, "is_wandb_available", lambda: True)
    monkeypatch.setattr(Silent, "answers", answers)
    console = Console(file=StringIO(), width=200)

    def trained() -> None:
        train(config(epochs=1, log_to=("wandb",)), [FOUR], {}, RunFolder(path=out), console=console)

    if not answers:
        with pytest.raises(UserError, match="--log-to wandb: ConnectionError: no route to host; log in or check"):
            trained()
        return
    trained()
    assert ("is no longer told" in console.file.getvalue()) == ("log" not in answers)
    assert ("could not be closed" in console.file.getvalue()) == ("log" in answers)
    assert RunFolder(path=out).load_state()["epochs"] == 1


def test_a_tracker_that_is_not_installed_is_named_with_the_mend(config: Configs, out: Path) -> None:
    from accelerate.utils import is_wandb_available

    if is_wandb_available():
        pytest.skip("wandb is installed")
    with pytest.raises(UserError, match="--log-to wandb: wandb is not installed; pip install wandb"):
        train(config(log_to=("wandb",)), [FOUR], {}, RunFolder(path=out), console=SILENT)
