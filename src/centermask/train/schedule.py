"""The learning rate over a run, as a pure function of the step: nothing to save, nothing to lose on resume."""

import math

from centermask.config import Optimizer, Schedule

REFERENCE_BATCH = 16
PEAK_LR: dict[Optimizer, float] = {"adamw": 4e-4, "sgd": 0.01}
"""For a batch of 16 (SGD: spec 5.1)."""
WEIGHT_DECAY: dict[Optimizer, float] = {"adamw": 0.05, "sgd": 1e-4}
STEP_SHARES = (7 / 9, 25 / 27)
"""Of the run: the published 3x schedule, 210,000 and 250,000 of 270,000 steps."""
MAX_WARMUP = 1000


def peak_lr(optimizer: Optimizer, batch: int, reference: float | None) -> float:
    """The peak learning rate for a batch: SGD's grows in proportion, Adam's with the root.

    >>> peak_lr("sgd", batch=8, reference=None)
    0.005
    """
    ratio = batch / REFERENCE_BATCH
    return (PEAK_LR[optimizer] if reference is None else reference) * (ratio if optimizer == "sgd" else ratio**0.5)


def lr_factor(step: int, steps: int, schedule: Schedule, warmup: float) -> float:
    """The share of the peak learning rate at a step of a run: a linear rise, then the schedule.

    >>> [lr_factor(step, 100, "cosine", 0.1) for step in (0, 9, 55, 99)]
    [0.1, 1.0, 0.5, 0.000...]
    """
    rise = min(MAX_WARMUP, max(1, round(warmup * steps)))
    if step < rise:
        return (step + 1) / rise
    match schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
        case "step":
            return float(0.1 ** sum(step >= share * steps for share in STEP_SHARES))
