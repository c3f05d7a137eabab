"""Processes that answer: all is answered once, and one that dies takes its question with it, no other."""

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from centermask.workers import LostError, NoProcessError, Worker, answer_lines, ask_all


def doubling() -> None:
    answer_lines(_doubling)


def _doubling(addend: int) -> Callable[[object], object]:
    def answer(question: object) -> object:
        match question:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "sleep":
                time.sleep(60)
            case "print":
                print("not an answer")
                return "printed"
            case int():
                return 2 * question + addend
        raise ValueError(question)

    return answer


def refusing() -> None:
    raise SystemExit(3)


def worker(**options: object) -> Worker:
    return Worker("tests.test_workers:doubling", opening=1, quiet=True, **options)  # type: ignore[arg-type]


class Telling:
    """Asks a worker, and tells what was lost instead of raising it."""

    def __init__(self, inner: Worker) -> None:
        self.inner = inner
        self.kill, self.close = inner.kill, inner.close

    def ask(self, question: object) -> object:
        try:
            return self.inner.ask(question)
        except LostError as lost:
            return str(lost)


def test_every_question_is_answered_once() -> None:
    answers = list(ask_all(range(20), [worker(), worker()]))
    assert sorted(answers) == [(i, 2 * i + 1) for i in range(20)]


def test_a_process_that_dies_is_replaced() -> None:
    answers = list(ask_all([1, "die", 2], [Telling(worker())]))
    assert answers == [(1, 3), ("die", "crashes"), (2, 5)]


def test_a_process_that_takes_too_long_is_replaced() -> None:
    answers = list(ask_all(["sleep", 2], [Telling(worker(seconds=3.0))]))
    assert answers == [("sleep", "takes too long"), (2, 5)]


def test_what_is_printed_is_no_answer() -> None:
    assert list(ask_all(["print", 4], [worker()])) == [("print", "printed"), (4, 9)]


def test_what_a_worker_raises_is_raised_where_its_answer_is_waited_for() -> None:
    before = threading.active_count()
    with pytest.raises(LostError):
        list(ask_all(["die", "sleep"], [worker(), worker()]))
    assert threading.active_count() == before


def test_who_wants_no_more_answers_waits_for_none() -> None:
    began = time.monotonic()
    answers = ask_all([1, "sleep", "sleep"], [worker(), worker()])
    assert next(answers) == (1, 3)
    answers.close()
    assert time.monotonic() - began < 50  # the sleepers take 60 seconds each


def test_a_process_that_cannot_begin_is_told_apart() -> None:
    refused = Worker("tests.test_workers:refusing", quiet=True)
    with pytest.raises(NoProcessError):
        refused.ask(1)
    refused.close()


def test_nothing_is_asked_where_there_is_nothing_to_ask() -> None:
    assert list(ask_all([], [worker()])) == []
