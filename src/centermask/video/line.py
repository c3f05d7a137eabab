"""Stages that work at the same time, each in a thread of its own, with short queues between them."""

import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from threading import Condition, Thread, current_thread
from time import monotonic
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
PATIENCE = 0.5
"""Seconds between two looks for Ctrl-C: on some systems a waiting thread does not notice it."""
HASTE = 1.0
"""Seconds that are waited for the threads after a Ctrl-C: one that waits for a silent camera notices nothing."""


class Cancelled(BaseException):  # no Exception: no stage shall take it for an error of its own
    """The line stands still; whoever waits on it goes home."""


class Line:
    """An assembly line: ``stage`` after ``stage``, each taking from the one before as soon as something is there.

    Order is kept. At most ``limit`` items wait behind each stage, so that memory does not depend on how many pass. An
    error in a stage reaches whoever takes from it, behind the items that came before it. Leaving the block stops all
    stages and waits for their threads; after a Ctrl-C only for a moment, and what still waits for its next item ends
    with it, or with the program.

    >>> with Line(limit=2) as line:
    ...     numbers = line.stage(range(4))
    ...     list(line.stage(number * 10 for number in numbers))
    [0, 10, 20, 30]
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.changed = Condition()
        self.cancelled = False
        self._threads: list[Thread] = []

    def stage(self, items: Iterable[Item], *, newest: bool = False) -> "Stage[Item]":
        """Begin to work through ``items``; what it gives can be iterated over once.

        Args:
            items: Makes the next item when it is asked; a generator, whose code then runs in the new thread.
            newest: When the queue is full the oldest item is dropped, instead of waiting: for what does not wait.
        """
        stage = Stage(items, self, newest)
        thread = Thread(target=stage.work, name=f"stage {len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return stage

    def __enter__(self) -> "Line":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.changed:
            self.cancelled = True
            self.changed.notify_all()
        until = monotonic() + HASTE if isinstance(error, KeyboardInterrupt) else math.inf
        for thread in self._threads:
            while thread.is_alive() and thread is not current_thread() and monotonic() < until:
                thread.join(PATIENCE)


class Stage(Generic[Item]):
    """The items of a stage, in order; made by ``Line.stage``."""

    def __init__(self, items: Iterable[Item], line: Line, newest: bool) -> None:
        self._items, self._line, self._newest = items, line, newest
        self._waiting: deque[Item] = deque()
        self._ended = False
        self._error: BaseException | None = None
        self.dropped = 0
        """Items that gave way to newer ones."""

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._line.changed:
            while not self._waiting and not self._ended and not self._line.cancelled:
                self._line.changed.wait(PATIENCE)
            if self._line.cancelled:
                raise Cancelled
            if self._waiting:
                self._line.changed.notify_all()
                return self._waiting.popleft()
        if self._error is not None:
            raise self._error
        raise StopIteration

    def work(self) -> None:
        """Make item after item; what the thread of the stage does."""
        error: BaseException | None = None
        items = iter(self._items)
        try:
            for item in items:
                self._put(item)
        except Cancelled:
            pass
        except BaseException as raised:  # told to whoever takes from here
            error = raised
        finally:
            _close(items)
        with self._line.changed:
            self._ended, self._error = True, error
            self._line.changed.notify_all()

    def _put(self, item: Item) -> None:
        with self._line.changed:
            while len(self._waiting) >= self._line.limit and not self._newest and not self._line.cancelled:
                self._line.changed.wait(PATIENCE)
            if self._line.cancelled:
                raise Cancelled
            if len(self._waiting) >= self._line.limit:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(item)
            self._line.changed.notify_all()


def _close(items: Iterator[object]) -> None:
    """Let a generator that is not at its end do what stands in its ``finally``, here in its own thread."""
    if isinstance(items, Generator):
        items.close()
