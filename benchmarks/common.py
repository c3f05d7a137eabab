"""What the measurements share: a clock that waits for the device, and interleaved rounds."""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch


class Taken(NamedTuple):
    """What a call took."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of this process' threads: what to compare on a machine that others use too."""


def clock(run: Callable[[], object]) -> Taken:
    """Time one call, with what it started on a GPU."""
    wait()
    began, used = time.perf_counter(), time.process_time()
    run()
    wait()
    return Taken(time.perf_counter() - began, time.process_time() - used)


def wait() -> None:
    """Let a GPU finish; nothing without one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def medians(cases: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, Taken]:
    """The median times of each case.

    Rounds are interleaved, so that a machine that slows down slows all; each in another order, because a case may leave
    the next one a cold cache and returned memory.
    """
    order = random.Random(0)
    taken: dict[str, list[Taken]] = {name: [] for name in cases}
    for round_ in range(warm_up + rounds):
        for name in order.sample(list(cases), len(cases)):
            one = clock(cases[name])
            if round_ >= warm_up:
                taken[name].append(one)
    return {name: Taken(*map(statistics.median, zip(*values, strict=True))) for name, values in taken.items()}


def machine(rounds: int, threads: int) -> str:
    """A line that says where and how it was measured."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {threads} threads"
    return f"torch {torch.__version__}, {device}; medians of {rounds} interleaved rounds"
