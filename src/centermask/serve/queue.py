"""Pictures that wait are gathered into runs of the network: one run at a time, in a thread of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from centermask.images import SoftInstances
from centermask.predict import Prepared
from centermask.size import Size

Run = Callable[[Sequence[Prepared], float], list[SoftInstances]]
"""Pictures and a score threshold to the objects of each; ``Predictor.find``."""
T = TypeVar("T")


class Threads:
    """Threads that do what they are handed, and know whether they have done it."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._handed: set[Future[Any]] = set()

    async def run(self, work: Callable[[], T]) -> T:
        """What comes of the work. If the caller is cancelled before it begins, it is left out."""
        handed = self._pool.submit(work)
        self._handed.add(handed)
        handed.add_done_callback(self._handed.discard)
        return await asyncio.wrap_future(handed)

    def end(self, seconds: float) -> bool:
        """Begin nothing more, and wait so long for what has begun; whether it came to its end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        return not wait([*self._handed], seconds).not_done


@dataclass(frozen=True, eq=False)
class Job:
    """A picture that waits."""

    prepared: Prepared
    score_threshold: float
    since: float
    """By the clock of the event loop, in seconds."""
    answer: "asyncio.Future[SoftInstances]"
    """Cancelled when nobody waits for it any more."""

    @property
    def kind(self) -> tuple[Size, float]:
        """Only jobs of one kind share a run: then none has padding or objects that it would not have alone."""
        return self.prepared.fitted, self.score_threshold


class Gatherer:
    """Gathers jobs of one kind until the first has waited for ``window`` seconds or there are ``batch`` of them."""

    def __init__(self, run: Run, *, window: float, batch: int, on_run: Callable[[int], None]) -> None:
        self._run = run
        self._window = window
        self._batch = batch
        self._on_run = on_run
        self._waiting: list[Job] = []
        self._came = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._thread = Threads(1, "network")

    async def find(self, prepared: Prepared, score_threshold: float) -> SoftInstances:
        """The objects of a picture. If the caller is cancelled before its run begins, the picture is left out.

        Raises:
            Exception: what the network raised for this picture alone.
        """
        loop = asyncio.get_running_loop()
        job = Job(prepared, score_threshold, loop.time(), loop.create_future())
        self._waiting.append(job)
        self._came.set()
        if self._worker is None or self._worker.done():  # no worker is kept idle, so that no lifespan is needed
            self._came = asyncio.Event()
            self._worker = loop.create_task(self._work())
        return await job.answer

    def end(self, seconds: float) -> bool:
        """See ``Threads.end``."""
        return self._thread.end(seconds)

    async def _work(self) -> None:
        while jobs := await self._gather():
            self._on_run(len(jobs))
            await self._answer(jobs)

    async def _gather(self) -> list[Job]:
        """The jobs of the next run: the oldest, and those of its kind; none if none are left."""
        clock = asyncio.get_running_loop().time
        jobs = self._oldest()
        while jobs and len(jobs) < self._batch and (left := jobs[0].since + self._window - clock()) > 0:
            self._came.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), left)
            jobs = self._oldest()
        self._waiting = [job for job in self._waiting if job not in jobs]
        return jobs

    def _oldest(self) -> list[Job]:
        self._waiting = [job for job in self._waiting if not job.answer.done()]
        return [job for job in self._waiting if job.kind == self._waiting[0].kind][: self._batch]

    async def _answer(self, jobs: list[Job]) -> None:
        """Run the network and hand out what it found; when a run fails, its pictures are tried one by one."""
        prepared = [job.prepared for job in jobs]
        try:
            found = await self._thread.run(partial(self._run, prepared, jobs[0].score_threshold))
        except Exception as error:
            await self._answer_alone(jobs, error)
            return
        for job, one in zip(jobs, found, strict=True):
            if not job.answer.done():
                job.answer.set_result(one)

    async def _answer_alone(self, jobs: list[Job], error: Exception) -> None:
        """Nobody suffers for a neighbour's picture."""
        if len(jobs) > 1:
            for job in jobs:
                await self._answer([job])
        elif not jobs[0].answer.done():
            jobs[0].answer.set_exception(error)
