"""A clock that waits for the device, and rounds in which every case takes its turn. Needs no torch."""

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

PAUSE = 0.02
"""Seconds between turns: an engine's threads go on spinning for a moment, and would take from the next one's time."""


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
    """Let a GPU finish; nothing without one, or where torch was never imported."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """The number of the round and whose turn it is; every name once a round.

    Interleaved, so that a machine that slows down slows all; each round in another order, because a case may leave the
    next one a cold cache and returned memory.

    >>> sorted(turns(["a", "b"], rounds=2))
    [(0, 'a'), (0, 'b'), (1, 'a'), (1, 'b')]
    """
    order = random.Random(0)
    for round_ in range(rounds):
        for name in order.sample(names, len(names)):
            time.sleep(PAUSE)
            yield round_, name


def medians(cases: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, Taken]:
    """The median times of each case."""
    taken: dict[str, list[Taken]] = {name: [] for name in cases}
    for round_, name in turns(list(cases), warm_up + rounds):
        one = clock(cases[name])
        if round_ >= warm_up:
            taken[name].append(one)
    return {name: Taken(*map(statistics.median, zip(*values, strict=True))) for name, values in taken.items()}
