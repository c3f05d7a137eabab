"""How many pictures a step takes where the user leaves it open: as many as the GPU holds."""

import copy
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch

from centermask.data.batches import TrainingSet
from centermask.model.centermask import CenterMask
from centermask.model.normalisers import own_share
from centermask.model.objective import Objective
from centermask.ops.mask_warp import Polygons
from centermask.size import Size, fit_size, pad_size
from centermask.structures import GroundTruth, ImageBatch
from centermask.train.together import Together

ON_PROCESSOR = 8
"""Without a GPU more pictures a step are not faster."""
FEWEST_STEPS = 8
"""Of an epoch: a small set is not swallowed by one step."""
LARGEST = 256
FILLED = 0.8
"""Of the memory: pictures with more objects than usual must fit too."""
BESIDE = 12
"""Bytes for each weight that the trial does not take: two of Adam's numbers and the average."""
OBJECTS = 20
"""Of a picture of the trial."""


def find_batch(
    asked: int | Literal["auto"], model: CenterMask, training_set: TrainingSet, together: Together, half: bool
) -> int:
    """Pictures of a step over all processes: as asked; or as many as fit, doubling until the next would not."""
    if asked != "auto":
        return asked
    most = max(1, min(LARGEST, len(training_set) // (FEWEST_STEPS * together.processes)))
    if together.device.type != "cuda":
        return min(ON_PROCESSOR, most) * together.processes
    weights = sum(value.numel() for value in model.parameters())
    memory = FILLED * torch.cuda.get_device_properties(together.device).total_memory - BESIDE * weights
    plane, trial = _largest_plane(training_set), copy.deepcopy(model)  # norms that learn must not see the trial
    fitting = largest_fitting(lambda pictures: _peak(trial, plane, pictures, half), memory, most)
    # All take what the one with the least room can: the highest of the negatives is the negative of the lowest.
    return -together.highest(-fitting)[0] * together.processes


def largest_fitting(peak: Callable[[int], float], memory: float, most: int) -> int:
    """A power of two, at most ``most``, whose peak of memory (by number of pictures) surely fits; at least 1.

    The next one is tried only where twice the last peak would fit, so that memory never runs out.

    >>> largest_fitting(lambda pictures: 10 + 3 * pictures, memory=40.0, most=64)
    4
    """
    pictures, last = 1, peak(1)
    while 2 * pictures <= most and 2 * last <= memory:  # twice as much is an upper bound: weights count once
        pictures, last = 2 * pictures, peak(2 * pictures)
    return pictures


def _largest_plane(training_set: TrainingSet) -> Size:
    """What the largest picture of the largest scale needs."""
    plan, (low, high) = training_set.plan, np.quantile(training_set.aspects, [0, 1])
    shapes = [Size(1000, max(1, round(1000 * aspect))) for aspect in (low, high)]
    return pad_size([fit_size(shape, plan.short_sides[1], plan.long_side) for shape in shapes], divisor=32)


def _peak(model: CenterMask, plane: Size, pictures: int, half: bool) -> float:
    """Bytes that a step of so many pictures takes on the GPU; infinite if it does not fit."""
    device = next(model.parameters()).device
    objective = Objective(model, model.config.train_proposals, model.config.train_rois, share=own_share)
    images = ImageBatch(torch.zeros(pictures, 3, *plane, dtype=torch.uint8), torch.tensor([list(plane)] * pictures))
    truths = [_truth(plane, model.config.num_classes).to(device)] * pictures
    torch.cuda.reset_peak_memory_stats(device)
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            losses = objective(images.to(device), truths)
        losses.total().backward()
        return float(torch.cuda.max_memory_allocated(device))
    except torch.OutOfMemoryError:
        return float("inf")
    finally:
        model.zero_grad()
        torch.cuda.empty_cache()


def _truth(plane: Size, classes: int) -> GroundTruth:
    """Squares of a fifth of the plane, side by side."""
    side = min(plane) / 5
    corners = [((i % 5) * side, (i // 5) * side) for i in range(OBJECTS)]
    boxes = torch.tensor([[x, y, x + side, y + side] for x, y in corners])
    masks = tuple(
        Polygons((np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]]),)) for x, y in corners
    )
    return GroundTruth(boxes, torch.zeros(OBJECTS, dtype=torch.int64), masks, torch.ones(classes, dtype=torch.bool))
