"""The training loop over Accelerate: from a configuration and data to weights in a folder."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from rich.console import Console

from centermask.config import TrainConfig
from centermask.data.batches import Batch, load_epoch
from centermask.data.sample import SampleSet
from centermask.data.sources import Evaluable
from centermask.errors import UserError
from centermask.evaluate import Evaluation
from centermask.report import EvaluatedSet, update_report
from centermask.report.learned import save_training_picture
from centermask.structures import ImageBatch, Losses
from centermask.train.evaluation import evaluate_together, mean_mask_ap, show_from_the_best_score
from centermask.train.folder import RunFolder
from centermask.train.log import RunLog, trim_metrics
from centermask.train.memory import memory_taken
from centermask.train.run import Run, accelerate, start
from centermask.train.signals import Stopped, stop_signals
from centermask.train.state import restore, save, save_on_fault
from centermask.train.step import Step, take_step
from centermask.train.together import Together


def train(
    config: TrainConfig,
    train_sets: Sequence[SampleSet],
    val_sets: Mapping[str, Evaluable],
    folder: RunFolder,
    *,
    data: Sequence[str] = (),
    resume: bool = False,
    console: Console | None = None,
) -> dict[str, Evaluation]:
    """Train a network, or go on with one, and leave its weights in the run's folder.

    Every process of a run calls this with the same arguments; the first one writes and speaks.

    Args:
        config: The settings.
        train_sets: What is learned from.
        val_sets: What is evaluated on, by name.
        folder: Where the run lives.
        data: How the data was named; written into the folder.
        resume: Go on with the run in the folder, or begin it if there is none.
        console: Where progress is shown.

    Returns:
        The last evaluation of each validation set, in the first process; nothing if none was due any more.

    Raises:
        UserError: the data or the configuration cannot be used, or the run cannot go on.
        Stopped: the run was asked to stop (SIGINT, SIGTERM); it is saved.
    """
    accelerator = accelerate(config)
    state = Together(accelerator).by_first(lambda: folder.open(config, data, resume=resume))
    run = start(config, train_sets, folder, accelerator, state)
    _check_classes(run, val_sets)
    if state:
        restore(run, state)
        run.together.by_first(lambda: folder.record(config, data))
    run.together.by_first(lambda: trim_metrics(folder.path, run.progress.step, run.progress.epochs))
    return go_on(run, val_sets, console or Console())


def _check_classes(run: Run, val_sets: Mapping[str, Evaluable]) -> None:
    """Refuse a validation set that nothing could be found in, before the first step."""
    known = run.model.config.class_names
    for name, one in val_sets.items():
        if not set(one.class_names) & set(known):
            raise UserError(f"{name}: the run learns {', '.join(known)}, its validation pictures annotate "
                            f"{', '.join(one.class_names)}; name the classes alike")  # fmt: skip


def go_on(run: Run, val_sets: Mapping[str, Evaluable], console: Console) -> dict[str, Evaluation]:
    """Train a run from where it stands to its end; see ``train``."""
    with _open_log(run, console) as log, stop_signals() as stopped:
        log.say(_opening(run, val_sets))
        evaluations: dict[str, Evaluation] = {}
        for epoch in range(run.progress.epochs, run.epochs):
            if _is_enough(run, log):
                break
            with _dead_workers_in_words():
                _train_epoch(run, epoch, log, stopped)
            evaluate = bool(val_sets) and run.is_evaluated_after(epoch + 1)
            run.progress.epochs = epoch if evaluate else epoch + 1
            save(run)
            _leave_if_asked(run, stopped)
            if evaluate:
                evaluations = _evaluate(run, val_sets, epoch + 1, log)
                run.progress.epochs = epoch + 1
                save(run)
                _leave_if_asked(run, stopped)
        best = run.folder.weights("best")
        log.say(f"weights: {best if best.is_file() else run.folder.weights('last')}")
    return evaluations


def _open_log(run: Run, console: Console) -> RunLog:
    def new(active: bool) -> RunLog:
        return RunLog(run.folder.path, run.steps, run.progress.step, console, active, run.config.log_to)

    log, fault = None, None
    try:
        log = new(run.together.is_first)
    except UserError as error:
        fault = error
    run.together.fail_together(fault)
    return log or new(False)


@dataclass
class _Clock:
    """Where the time of an epoch goes."""

    began: float
    saved: float
    waited: float = 0.0


def _train_epoch(run: Run, epoch: int, log: RunLog, stopped: list[int]) -> None:
    run.objective.train()
    clock = _Clock(time.monotonic(), time.monotonic())
    for batch in _batches(run, epoch, clock):
        if run.progress.step == 0:
            _show_first_batch(run, batch)
        with save_on_fault(run):
            step = take_step(run, batch)
        for note in step.notes:
            log.say(note)
        fault = _tell(run, step, log, clock)
        overdue = time.monotonic() - clock.saved > 60 * run.config.save_minutes
        asked, due, failed = run.together.highest(
            stopped[0] if stopped else 0, int(overdue and run.together.is_first), int(fault is not None)
        )
        if failed:
            with save_on_fault(run):
                run.together.fail_together(fault)
        if (asked or due) and run.progress.step % run.plan.batches:
            save(run)
            clock.saved = time.monotonic()
            _leave_if_asked(run, stopped)
        clock.began = time.monotonic()


def _batches(run: Run, epoch: int, clock: _Clock) -> Iterator[Batch]:
    """The batches that are left of an epoch; if one process has none to give, all end.

    Raises:
        UserError: a picture cannot be used.
    """
    first = run.progress.step - epoch * run.plan.batches
    source = load_epoch(run.training_set, run.plan, epoch, first_batch=first, workers=_workers(run.config))
    for _ in range(first, run.plan.batches):
        batch, fault = _next(source)
        with save_on_fault(run):
            run.together.fail_together(fault)
        clock.waited = time.monotonic() - clock.began
        if batch is not None:
            yield batch


def _next(source: Iterator[Batch]) -> tuple[Batch | None, UserError | None]:
    try:
        return next(source), None
    except UserError as fault:
        return None, fault
    except (ConnectionError, EOFError) as broken:  # before PyTorch noticed: it died while it handed pictures over
        raise _dead_worker(broken) from None


@contextmanager
def _dead_workers_in_words() -> Iterator[None]:
    """Say what it means that a process which prepares pictures died.

    PyTorch tells it by an exception out of a signal handler, which comes wherever the trainer just is, in the middle of
    a step even. Nothing is saved then: what was saved before is sound.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise _dead_worker(error) from None


def _dead_worker(error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"a process that prepares pictures died ({reason}); often memory ran out: "
                     "go on with --resume and fewer --workers, or a smaller --short-side")  # fmt: skip


def _show_first_batch(run: Run, batch: Batch) -> None:
    """Draw what the network is shown, for the report; one picture tells where predictions stand in all of them."""
    images, truths = batch
    run.model.eval()
    with torch.no_grad():
        features = run.model.features(ImageBatch(images.pixels[:1], images.sizes[:1]).to(run.accelerator.device))
    run.model.train()
    config, locations = run.model.config, run.model.locations(features)
    there = [truth.to(run.accelerator.device) for truth in truths]
    run.together.by_first(
        lambda: save_training_picture(run.folder.path, images, there, config.class_names, locations, config.assignment)
    )


def _tell(run: Run, step: Step, log: RunLog, clock: _Clock) -> UserError | None:
    """Tell how a step went; what cannot be written is a fault that all processes must hear of."""
    seconds = time.monotonic() - clock.began
    number = run.progress.step
    keep = number % run.config.log_every == 0
    if not keep and not log.live:
        return None
    losses = Losses(*run.together.mean(torch.stack(list(step.losses)))) if keep else step.losses
    told = {"epoch": number / run.plan.batches, "loss": float(losses.total())}
    told |= {name: float(value) for name, value in losses._asdict().items()}
    told |= {"lr": step.lr, "grad_norm": step.grad_norm, "pictures_per_s": run.plan.batch / seconds}
    told |= {"step_s": seconds, "data_s": clock.waited, "memory_mb": memory_taken(run.accelerator.device)}
    try:
        log.step(number, told, keep=keep)
    except UserError as fault:
        return fault
    return None


def _leave_if_asked(run: Run, stopped: list[int]) -> None:
    (asked,) = run.together.highest(stopped[0] if stopped else 0)
    if asked:
        raise Stopped(asked)


def _evaluate(run: Run, val_sets: Mapping[str, Evaluable], epoch: int, log: RunLog) -> dict[str, Evaluation]:
    log.say(f"epoch {epoch}: evaluating {', '.join(val_sets)} ...")
    found = evaluate_together(run, val_sets, log.evaluating)
    evaluations = {name: one.evaluation for name, one in found.items()}

    def tell() -> tuple[float, int]:
        for name, one in evaluations.items():
            log.say(
                f"epoch {epoch} {name}: mask AP {one.mask.ap:.3f} AP50 {one.mask.ap50:.3f} AR {one.mask.ar_max:.3f}, "
                f"box AP {one.box.ap:.3f} AP50 {one.box.ap50:.3f}"
            )
            scores = {"mask_ap": one.mask.ap, "mask_ap50": one.mask.ap50, "mask_ar": one.mask.ar_max,
                      "box_ap": one.box.ap, "box_ap50": one.box.ap50}  # fmt: skip
            log.write(
                {"kind": f"val/{name}", "step": run.progress.step, "epoch": float(epoch), **scores}, run.progress.step
            )
        show_from_the_best_score(run, found.values())
        score = mean_mask_ap(evaluations)
        if score >= run.progress.best:  # of equals the one that has learned longer
            run.folder.save_weights("best", run.usable_model, {"epoch": epoch, "mask_ap": score})
        _draw_report(run, list(found.values()), epoch, log)
        return (score, 0) if score > run.progress.best else (run.progress.best, run.progress.stale + 1)

    run.progress.best, run.progress.stale = run.together.by_first(tell)
    return evaluations


def _draw_report(run: Run, found: Sequence[EvaluatedSet], epoch: int, log: RunLog) -> None:
    try:
        update_report(run.folder.path, found, epoch=epoch, step=run.progress.step)
    except UserError:
        raise
    except Exception as error:  # a fault of ours in drawing is no reason to end a run of days
        log.say(f"the report could not be drawn ({type(error).__name__}: {error}); please report this; the run goes on")


def _is_enough(run: Run, log: RunLog) -> bool:
    """Whether the run's patience is at its end."""
    if not run.config.patience or run.progress.stale < run.config.patience:
        return False
    log.say(f"stops: {run.progress.stale} evaluations without a better mask AP than {run.progress.best:.3f}")
    return True


def _workers(config: TrainConfig) -> int:
    if config.workers is not None:
        return config.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own = max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))  # torchrun's number of processes here
    return min(8, own) if torch.cuda.is_available() else min(2, own)


def _opening(run: Run, val_sets: Mapping[str, Evaluable]) -> str:
    parameters = sum(value.numel() for value in run.model.parameters())
    pictures = " + ".join(str(len(one)) for one in run.training_set.sets)
    val = ", ".join(f"{name} {len(one)}" for name, one in val_sets.items()) or "nothing"
    several = f" in {run.together.processes} processes" if run.together.processes > 1 else ""
    parts = f", {run.part} at a time" if run.part * run.together.processes < run.plan.batch else ""
    return (
        f"{run.config.preset}: {parameters / 1e6:.2f} M parameters, "
        f"classes {', '.join(run.model.config.class_names)}; {run.origin}; "
        f"{pictures} pictures, {run.epochs} epochs of {run.plan.batches} steps of {run.plan.batch}{parts}; "
        f"on {run.accelerator.device}{several}, peak learning rate {run.peak_lr:.2g}; validates on {val}"
    )
