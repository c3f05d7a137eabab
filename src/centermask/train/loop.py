"""The training loop over Accelerate: from a configuration and data to weights in a folder."""

import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from types import FrameType
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, set_seed
from rich.console import Console
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel

from centermask.checkpoint import load_backbone
from centermask.config import ModelConfig, TrainConfig
from centermask.data.augment import Augmentation
from centermask.data.batches import Batch, BatchPlan, TrainingSet, load_epoch
from centermask.data.sample import SampleSet
from centermask.data.sources import Evaluable, union_of_classes
from centermask.errors import UserError
from centermask.evaluate import Evaluation
from centermask.model.centermask import CenterMask
from centermask.model.objective import Objective
from centermask.model.presets import build, preset
from centermask.structures import Losses
from centermask.train.averaging import averaged
from centermask.train.evaluation import evaluate_model, mean_mask_ap
from centermask.train.folder import RunFolder
from centermask.train.log import RunLog
from centermask.train.schedule import WEIGHT_DECAY, lr_factor, peak_lr

EVALUATION_LIMIT = timedelta(hours=6)
MOST_BAD_STEPS = 10
"""Losses in a row that are no numbers before a run gives up."""


class Stopped(Exception):  # noqa: N818 (a request, not an error)
    """The run was asked to stop, has saved, and can be resumed."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.exit_code = 128 + signal_number


@dataclass(kw_only=True)
class Progress:
    """Where a run stands."""

    step: int = 0
    epochs: int = 0
    """Finished, with their evaluation."""
    best: float = -1.0
    bad_steps: int = 0


@dataclass(kw_only=True)
class Run:
    """Everything that one run holds together."""

    config: TrainConfig
    folder: RunFolder
    accelerator: Accelerator
    training_set: TrainingSet
    plan: BatchPlan
    model: CenterMask
    objective: nn.Module
    optimizer: Optimizer
    average: AveragedModel | None
    progress: Progress
    peak_lr: float

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.config.epochs * self.plan.batches

    @property
    def usable_model(self) -> CenterMask:
        """The averaged network, or the network itself where nothing is averaged."""
        return self.model if self.average is None else cast(CenterMask, self.average.module)


def train(
    config: TrainConfig,
    train_sets: Sequence[SampleSet],
    val_sets: Mapping[str, Evaluable],
    folder: RunFolder,
    *,
    resume: bool = False,
    console: Console | None = None,
) -> dict[str, Evaluation]:
    """Train a network, or go on with one, and leave its weights in the run's folder.

    Returns:
        The last evaluation of each validation set.

    Raises:
        UserError: the data or the configuration cannot be used, or the losses are no numbers.
        Stopped: the run was asked to stop (SIGINT, SIGTERM); it is saved.
    """
    run = start(config, train_sets, folder)
    if resume:
        _restore(run)
    console = console or Console()
    active = run.accelerator.is_main_process
    with RunLog(folder.path, run.steps, run.progress.step, console, active) as log, _stop_signals() as stopped:
        log.say(_opening(run, train_sets, val_sets))
        evaluations: dict[str, Evaluation] = {}
        for epoch in range(run.progress.epochs, config.epochs):
            try:
                _train_epoch(run, epoch, log, stopped)
            except UserError:
                _save(run)
                raise
            evaluate = bool(val_sets) and _is_due(config, epoch + 1)
            run.progress.epochs = epoch if evaluate else epoch + 1
            _save(run)
            _leave_if(stopped)
            if evaluate:
                evaluations = _evaluate(run, val_sets, epoch + 1, log)
                run.progress.epochs = epoch + 1
                _save(run)
                _leave_if(stopped)
    return evaluations


def _is_due(config: TrainConfig, epochs: int) -> bool:
    """Whether the run is evaluated after so many epochs."""
    return epochs == config.epochs or (config.evaluate_every > 0 and epochs % config.evaluate_every == 0)


def start(config: TrainConfig, train_sets: Sequence[SampleSet], folder: RunFolder) -> Run:
    """Build everything that a run needs.

    Raises:
        UserError: the training sets are empty, or the configuration does not fit them.
    """
    if not sum(len(one) for one in train_sets):
        raise UserError("the data has no training picture; give a folder with a train split, or --train-annotations")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA device is to be had; give --device cpu, or install torch for your GPU")
    set_seed(config.seed)
    accelerator = _accelerator(config)
    model_config = configure(config, union_of_classes(train_sets))
    model = build(model_config, pretrained=config.pretrained)
    if config.backbone_weights:
        load_backbone(model, config.backbone_weights)
    model.to(accelerator.device).to(memory_format=torch.channels_last).train()
    average = averaged(model, config.ema) if config.ema else None
    optimizer = _optimizer(config, model)
    objective = Objective(model, model_config.train_proposals, model_config.train_rois)
    objective, optimizer = accelerator.prepare(objective, optimizer)
    training_set = TrainingSet(train_sets, model_config.class_names, augmentation(config, model_config), config.seed)
    plan = BatchPlan(
        pictures=len(training_set),
        batch=-(-config.batch // accelerator.num_processes) * accelerator.num_processes,  # all have equally many
        seed=config.seed,
        processes=accelerator.num_processes,
        process=accelerator.process_index,
    )
    return Run(
        config=config, folder=folder, accelerator=accelerator, training_set=training_set, plan=plan, model=model,
        objective=objective, optimizer=optimizer, average=average, progress=Progress(),
        peak_lr=peak_lr(config.optimizer, plan.batch, config.lr),
    )  # fmt: skip


def configure(config: TrainConfig, classes: Mapping[str, int]) -> ModelConfig:
    """The network's configuration: the preset, with what the run says otherwise.

    Frozen statistics of a backbone that was never trained would mean nothing: without trained weights the norm is group
    norm, if none is asked for.
    """
    base = replace(preset(config.preset, tuple(classes)), category_ids=tuple(classes.values()))
    said = ("norm", "attention_fusion", "class_agnostic_masks", "max_detections")
    given = {name: value for name in said if (value := getattr(config, name)) is not None}
    if config.from_scratch and not config.norm:
        given["norm"] = "group"
    long_side = config.long_side or round(config.short_side * base.test_long_side / base.test_short_side)
    return replace(base, test_short_side=config.short_side, test_long_side=long_side, **given)


def augmentation(config: TrainConfig, model: ModelConfig) -> Augmentation:
    """How training pictures vary."""
    smallest = config.min_short_side or round(0.75 * config.short_side)
    return Augmentation(
        short_sides=(smallest, config.short_side), long_side=model.test_long_side, flip=config.flip,
        scale_jitter=config.scale_jitter, color_jitter=config.color_jitter,
    )  # fmt: skip


def _train_epoch(run: Run, epoch: int, log: RunLog, stopped: list[int]) -> None:
    first = run.progress.step - epoch * run.plan.batches
    batches = load_epoch(run.training_set, run.plan, epoch, first_batch=first, workers=_workers(run.config))
    run.objective.train()
    began = time.monotonic()
    for batch in batches:
        losses, grad_norm, lr = _step(run, batch)
        seconds = time.monotonic() - began
        step = run.progress.step
        keep = step % run.config.log_every == 0
        if keep or log.live:
            told = {"epoch": step / run.plan.batches, "loss": float(losses.total())}
            told |= {name: float(value) for name, value in losses._asdict().items()}
            told |= {"lr": lr, "grad_norm": grad_norm, "pictures_per_s": run.plan.batch / seconds}
            log.step(step, told, keep=keep)
        if stopped and step % run.plan.batches:
            _save(run)
            _leave_if(stopped)
        began = time.monotonic()


def _leave_if(stopped: list[int]) -> None:
    if stopped:
        raise Stopped(stopped[0])


def _step(run: Run, batch: Batch) -> tuple[Losses, float, float]:
    """One step of the optimiser. A loss that is no number moves nothing."""
    device = run.accelerator.device
    lr = run.peak_lr * lr_factor(run.progress.step, run.steps, run.config.schedule, run.config.warmup)
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    images, truths = batch[0].to(device), [truth.to(device) for truth in batch[1]]
    losses: Losses = run.objective(images, truths)
    run.optimizer.zero_grad()
    run.accelerator.backward(losses.total())
    limit = run.config.clip or math.inf
    grad_norm = float(run.accelerator.clip_grad_norm_(run.objective.parameters(), limit))
    if math.isfinite(grad_norm):
        run.optimizer.step()
        if run.average is not None:
            run.average.update_parameters(run.model)
        run.progress.bad_steps = 0
    else:
        _count_bad_step(run, losses)
    run.progress.step += 1
    return Losses(*(value.detach() for value in losses)), grad_norm, lr


def _count_bad_step(run: Run, losses: Losses) -> None:
    run.progress.bad_steps += 1
    if run.progress.bad_steps >= MOST_BAD_STEPS:
        parts = ", ".join(f"{name} {float(value.detach()):.3g}" for name, value in losses._asdict().items())
        raise UserError(
            f"the losses were no numbers {MOST_BAD_STEPS} steps in a row ({parts}); the steps were skipped; "
            "try a lower --lr, a longer --warmup or --precision fp32"
        )


def _evaluate(run: Run, val_sets: Mapping[str, Evaluable], epoch: int, log: RunLog) -> dict[str, Evaluation]:
    if not run.accelerator.is_main_process:
        run.accelerator.wait_for_everyone()
        return {}
    log.say(f"epoch {epoch}: evaluating {', '.join(val_sets)} ...")
    evaluations = evaluate_model(run.usable_model, val_sets)
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
    score = mean_mask_ap(evaluations)
    if score > run.progress.best:
        run.progress.best = score
        run.folder.save_weights("best", run.usable_model, {"epoch": epoch, "mask_ap": score})
    run.accelerator.wait_for_everyone()
    return evaluations


def _save(run: Run) -> None:
    """Write weights for use and the state for resuming; the state last, so that it never runs ahead of the weights."""
    if not run.accelerator.is_main_process:
        return
    run.folder.save_weights("last", run.usable_model, {"epoch": run.progress.step / run.plan.batches})
    run.folder.save_state(
        {
            "step": run.progress.step,
            "epochs": run.progress.epochs,
            "best": run.progress.best,
            "class_names": list(run.model.config.class_names),
            "model": run.model.state_dict(),
            "average": run.average.state_dict() if run.average else None,
            "optimizer": run.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
    )


def _restore(run: Run) -> None:
    state = run.folder.load_state()
    if tuple(state["class_names"]) != run.model.config.class_names:
        raise UserError(f"{run.folder.path} was trained on {', '.join(state['class_names'])}; the data now annotates "
                        f"{', '.join(run.model.config.class_names)}; give the same data, or another --out")  # fmt: skip
    try:
        run.model.load_state_dict(state["model"])
        if run.average is not None and state["average"] is not None:
            run.average.load_state_dict(state["average"])
        run.optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"{run.folder.state} is of another network or optimiser; resume with the same settings"
        ) from error
    torch.set_rng_state(state["random"])
    if len(state["random_cuda"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["random_cuda"])
    run.progress = Progress(step=state["step"], epochs=state["epochs"], best=state["best"])


def _optimizer(config: TrainConfig, model: nn.Module) -> Optimizer:
    """Weight decay for kernels only: vectors are norms, biases and scales."""
    trained = [value for value in model.parameters() if value.requires_grad]
    decay = WEIGHT_DECAY[config.optimizer] if config.weight_decay is None else config.weight_decay
    groups = [
        {"params": [value for value in trained if value.ndim > 1], "weight_decay": decay},
        {"params": [value for value in trained if value.ndim <= 1], "weight_decay": 0.0},
    ]
    match config.optimizer:
        case "adamw":
            return AdamW(groups, lr=1.0)
        case "sgd":
            return SGD(groups, lr=1.0, momentum=0.9)


def _accelerator(config: TrainConfig) -> Accelerator:
    AcceleratorState._reset_state(reset_partial_state=True)  # a run before this one may have been of another precision
    # Only one process evaluates: the others must wait for it longer than a collective usually may take.
    patience = InitProcessGroupKwargs(timeout=EVALUATION_LIMIT)
    return Accelerator(mixed_precision=_precision(config), cpu=config.device == "cpu", kwargs_handlers=[patience])


def _precision(config: TrainConfig) -> str:
    gpu = config.device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bf16" if config.precision == "bf16" or (config.precision == "auto" and gpu) else "no"


def _workers(config: TrainConfig) -> int:
    if config.workers is not None:
        return config.workers
    cores = torch.get_num_threads()
    return min(8, cores) if torch.cuda.is_available() else min(2, cores)


def _opening(run: Run, train_sets: Sequence[SampleSet], val_sets: Mapping[str, Evaluable]) -> str:
    parameters = sum(value.numel() for value in run.model.parameters())
    pictures = " + ".join(str(len(one)) for one in train_sets)
    val = ", ".join(f"{name} {len(one)}" for name, one in val_sets.items()) or "nothing"
    advice = " from scratch (--pretrained or --backbone-weights learn far more from few pictures)"
    start = advice if run.config.from_scratch else ""
    return (
        f"{run.config.preset}: {parameters / 1e6:.2f} M parameters, "
        f"classes {', '.join(run.model.config.class_names)}{start}; "
        f"{pictures} pictures, {run.plan.batches} steps an epoch of {run.plan.batch}, {run.steps} in all; "
        f"on {run.accelerator.device}, peak learning rate {run.peak_lr:.2g}; validates on {val}"
    )


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect requests to stop instead of dying by them; a second Ctrl-C ends at once."""
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before: dict[int, Any] = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
