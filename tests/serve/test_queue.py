"""Runs of the network: who shares one, who waits, who is left out."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import pytest

from centermask.images import SoftInstances
from centermask.predict import Prepared
from centermask.serve.queue import Gatherer, Threads
from centermask.size import Size


def picture(height: int = 8, width: int = 8, value: int = 0) -> Prepared:
    return Prepared(np.full((height, width, 3), value, dtype=np.uint8), Size(height, width))


def found(value: int) -> SoftInstances:
    """One object whose label tells which picture it was found in."""
    return SoftInstances(np.zeros((1, 4)), np.ones(1), np.ones(1), np.array([value]), np.ones((1, 28, 28)))


def gather(
    ask: Callable[[Gatherer], Awaitable[object]], *, window: float = 0.05, batch: int = 4
) -> tuple[object, list[tuple[list[int], float]]]:
    """What comes of asking, and the values and threshold of each run. A picture of 99 makes the network fail."""
    runs: list[tuple[list[int], float]] = []

    def run(pictures: Sequence[Prepared], threshold: float) -> list[SoftInstances]:
        values = [int(one.pixels[0, 0, 0]) for one in pictures]
        runs.append((values, threshold))
        if 99 in values:
            raise ValueError("99")
        return [found(value) for value in values]

    async def go() -> object:
        return await ask(Gatherer(run, window=window, batch=batch, on_run=lambda pictures: None))

    return asyncio.run(go()), runs


def test_what_comes_within_the_window_shares_a_run_and_each_gets_its_own() -> None:
    async def ask(network: Gatherer) -> list[SoftInstances]:
        return await asyncio.gather(*[network.find(picture(value=i), 0.5) for i in range(3)])

    answers, runs = gather(ask)
    assert [int(answer.labels[0]) for answer in answers] == [0, 1, 2]
    assert runs == [([0, 1, 2], 0.5)]


def test_a_full_run_does_not_wait() -> None:
    async def ask(network: Gatherer) -> None:
        await asyncio.wait_for(asyncio.gather(*[network.find(picture(value=i), 0.5) for i in range(4)]), 20)

    _, runs = gather(ask, window=1000.0)
    assert runs == [([0, 1, 2, 3], 0.5)]


def test_only_one_size_and_one_threshold_share_a_run_oldest_first() -> None:
    async def ask(network: Gatherer) -> None:
        asked = [((8, 8), 0.5), ((8, 16), 0.5), ((8, 8), 0.1), ((8, 8), 0.5), ((8, 16), 0.5)]
        await asyncio.gather(*[network.find(picture(*size, i), threshold) for i, (size, threshold) in enumerate(asked)])

    _, runs = gather(ask)
    assert runs == [([0, 3], 0.5), ([1, 4], 0.5), ([2], 0.1)]


def test_nobody_waits_for_a_run_that_is_left() -> None:
    async def ask(network: Gatherer) -> bool:
        left = asyncio.create_task(network.find(picture(value=1), 0.5))
        stays = asyncio.create_task(network.find(picture(value=2), 0.5))
        await asyncio.sleep(0)
        left.cancel()
        await stays
        return left.cancelled()

    cancelled, runs = gather(ask)
    assert cancelled
    assert runs == [([2], 0.5)]


def test_when_all_leave_nothing_runs() -> None:
    async def ask(network: Gatherer) -> None:
        task = asyncio.create_task(network.find(picture(), 0.5))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.1)

    assert gather(ask)[1] == []


def test_a_picture_that_fails_takes_nobody_with_it() -> None:
    async def ask(network: Gatherer) -> list[object]:
        return await asyncio.gather(*[network.find(picture(value=i), 0.5) for i in (1, 99, 2)], return_exceptions=True)

    (first, second, third), runs = gather(ask)
    assert [int(one.labels[0]) for one in (first, third)] == [1, 2]
    assert isinstance(second, ValueError)
    assert runs == [([1, 99, 2], 0.5), ([1], 0.5), ([99], 0.5), ([2], 0.5)]


def test_it_works_again_after_a_failure_and_after_a_pause() -> None:
    async def ask(network: Gatherer) -> int:
        with pytest.raises(ValueError, match="99"):
            await network.find(picture(value=99), 0.5)
        await asyncio.sleep(0.1)
        return int((await network.find(picture(value=7), 0.5)).labels[0])

    assert gather(ask)[0] == 7


def test_threads_tell_whether_what_they_do_came_to_its_end() -> None:
    begun, opened = threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        opened.wait(30)
        return "done"

    async def go() -> list[object]:
        threads = Threads(1, "test")
        first, left_out = asyncio.create_task(threads.run(work)), asyncio.create_task(threads.run(work))
        await asyncio.to_thread(begun.wait, 20)
        early = threads.end(0.01)
        opened.set()
        late = threads.end(20.0)
        return [early, late, await first, *await asyncio.gather(left_out, return_exceptions=True)]

    early, late, first, left_out = asyncio.run(go())
    assert (early, late, first) == (False, True, "done")
    assert isinstance(left_out, asyncio.CancelledError)
    assert Threads(1, "idle").end(0.0)
