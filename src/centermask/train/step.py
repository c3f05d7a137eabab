"""One step of the optimiser: in parts if memory asks for it; a loss that is no number moves nothing."""

import math
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from centermask.data.batches import Batch
from centermask.errors import UserError
from centermask.structures import ImageBatch, Losses
from centermask.train.bad_batch import save_bad_batch
from centermask.train.run import Run
from centermask.train.schedule import lr_factor

MOST_BAD_STEPS = 10
"""Losses in a row that are no numbers before a run gives up."""


class Step(NamedTuple):
    """How a step went."""

    losses: Losses
    """Of this process."""
    grad_norm: float
    """Before clipping."""
    lr: float
    notes: tuple[str, ...]
    """What a user should know."""


def take_step(run: Run, batch: Batch) -> Step:
    """Forward, backward, optimiser, average.

    Raises:
        UserError: the losses were no numbers too often in a row, or memory does not hold a single picture.
    """
    lr = run.peak_lr * lr_factor(run.progress.step, run.steps, run.config.schedule, run.config.warmup)
    for group in run.optimizer.param_groups:
        group["lr"] = lr * group.get("share", 1.0)  # a state saved before there were shares has none
    statistics = _statistics(run)
    losses, notes = _backward_as_memory_allows(run, batch)
    limit = run.config.clip or math.inf
    grad_norm = float(run.accelerator.clip_grad_norm_(run.objective.parameters(), limit))
    if math.isfinite(grad_norm):
        run.optimizer.step()
        if run.average is not None:
            run.average.update_parameters(run.model)
        run.progress.bad_steps = 0
    else:
        for buffer, before in statistics:
            buffer.copy_(before)
        notes += _skip(run, batch, losses)
    run.progress.step += 1
    return Step(losses, grad_norm, lr, tuple(notes))


def _statistics(run: Run) -> list[tuple[Tensor, Tensor]]:
    """What a forward pass changes by itself, the statistics of norms that learn, and how it is before."""
    if run.model.config.norm != "batch":
        return []
    return [(buffer, buffer.clone()) for buffer in run.model.backbone.buffers()]


def _backward_as_memory_allows(run: Run, batch: Batch) -> tuple[Losses, list[str]]:
    notes: list[str] = []
    while True:
        try:
            return _backward(run, batch), notes
        except torch.OutOfMemoryError:
            pass  # leave the block first: the error holds on to the tensors that did not fit
        if run.part == 1:
            raise UserError("the memory of the GPU does not hold one picture of this size; lower --short-side")
        if run.together.processes > 1:  # the others are on their way already: halving here would leave them waiting
            raise UserError(
                f"the memory of the GPU does not hold {run.part} pictures; go on with --resume and --accumulate "
                f"{2 * run.config.accumulate}"
            )
        run.part = -(-run.part // 2)
        torch.cuda.empty_cache()
        notes.append(
            f"out of memory: from now on {run.part} pictures at a time; --accumulate "
            f"{-(-run.plan.batch // run.part)} begins so"
        )


def _backward(run: Run, batch: Batch) -> Losses:
    """The gradient of the whole batch, made of the parts' gradients in proportion to their pictures.

    Each part has its own normalisers: with several parts, pictures with few objects weigh a little more than in one.
    """
    _seed(run)
    run.optimizer.zero_grad()
    pictures = len(batch[1])
    total = torch.zeros(len(Losses._fields), device=run.accelerator.device)
    for first in range(0, pictures, run.part):
        images, truths = _part(run, batch, first)
        last = first + run.part >= pictures
        with nullcontext() if last else run.accelerator.no_sync(run.objective):
            losses: Losses = run.objective(images, truths)
            share = len(truths) / pictures
            run.accelerator.backward(losses.total() * share)
        total += share * torch.stack([value.detach() for value in losses])
    return Losses(*total)


def _part(run: Run, batch: Batch, first: int) -> Batch:
    device, chosen = run.accelerator.device, slice(first, first + run.part)
    images = ImageBatch(batch[0].pixels[chosen], batch[0].sizes[chosen])
    return images.to(device), [truth.to(device) for truth in batch[1][chosen]]


def _seed(run: Run) -> None:
    """Whatever the network draws by chance depends on seed, step and process alone: a resumed run draws the same."""
    place = run.progress.step * run.together.processes + run.together.process
    torch.manual_seed((run.config.seed * 1_000_003 + place) % 2**63)


def _skip(run: Run, batch: Batch, losses: Losses) -> list[str]:
    run.progress.bad_steps += 1
    parts = ", ".join(f"{name} {float(value):.3g}" for name, value in losses._asdict().items())
    notes = [f"step {run.progress.step}: skipped, its losses or gradients are no numbers ({parts})"]
    if run.together.is_first or not _finite(losses):
        notes += _write_down(run, batch)
    if run.progress.bad_steps >= MOST_BAD_STEPS:
        raise UserError(
            f"the losses were no numbers {MOST_BAD_STEPS} steps in a row ({parts}); the steps were skipped; "
            "try a lower --lr, a longer --warmup or --precision fp32"
        )
    return notes


def _write_down(run: Run, batch: Batch) -> list[str]:
    try:
        written = save_bad_batch(run.folder.path, run.progress.step, run.together.process, batch, run.model)
    except UserError as error:  # of this process alone: the others would wait for it
        return [str(error)]
    return [f"its batch and the weights are in {written}; centermask.train.replay opens it"] if written else []


def _finite(losses: Losses) -> bool:
    values: Tensor = torch.stack(list(losses))
    return bool(values.isfinite().all())
