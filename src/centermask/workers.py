"""Processes that answer questions in JSON, line by line, none of which is trusted to survive."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar, runtime_checkable

Process = subprocess.Popen[str]
Question = TypeVar("Question")
Answer = TypeVar("Answer")
Asking = TypeVar("Asking", contravariant=True)
Answering = TypeVar("Answering", covariant=True)


class LostError(Exception):
    """A process died over a question, or took too long."""

    def __init__(self, *, late: bool) -> None:
        super().__init__("takes too long" if late else "crashes")
        self.late = late


class NoProcessError(Exception):
    """No process can be had here."""


@runtime_checkable
class Asked(Protocol[Asking, Answering]):
    """Answers questions, one after the other."""

    def ask(self, question: Asking) -> Answering:
        """Answer one."""

    def kill(self) -> None:
        """Stop in the middle of a question that another thread has asked."""

    def close(self) -> None:
        """Leave nothing behind."""


class Worker:
    """A process that answers one question after the other; one that dies or hangs is replaced for the next.

    Args:
        main: The function that answers, as MODULE:FUNCTION; it calls ``answer_lines``.
        opening: What the process is told first.
        seconds: How long it may take for a question; None: as long as it wants.
        environment: Added to this process' environment.
        quiet: What it writes to stderr is thrown away.
    """

    def __init__(
        self,
        main: str,
        *,
        opening: object = None,
        seconds: float | None = None,
        environment: Mapping[str, str] | None = None,
        quiet: bool = False,
    ) -> None:
        self._main, self._opening, self._seconds = main, opening, seconds
        self._environment, self._quiet = environment or {}, quiet
        self._process: Process | None = None
        self._killed = False

    def ask(self, question: object) -> Any:
        """The process's answer.

        Raises:
            LostError: it did not answer in time, or not at all.
            NoProcessError: none could be started.
        """
        process = self._process or self._start()
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, give_up) if self._seconds is not None else None
        if timer:
            timer.start()
        try:
            return _ask(process, question)
        except (OSError, ValueError, EOFError):
            self.close()
            raise LostError(late=late.is_set()) from None
        finally:
            if timer:
                timer.cancel()
                timer.join()

    def kill(self) -> None:
        """End the process; a thread that waits for its answer is told that it is lost."""
        self._killed = True  # first: whoever starts a process at this moment looks at it afterwards
        if process := self._process:
            process.kill()

    def close(self) -> None:
        """End the process, and wait for that."""
        if self._process:
            _let_go(self._process)
        self._process = None

    def _start(self) -> Process:
        """A fresh process that sees the same packages (a fork could inherit a lock that nobody opens)."""
        module, _, function = self._main.partition(":")
        path = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", f"from {module} import {function}; {function}()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if self._quiet else None,
                text=True,
                env={**os.environ, **path, **self._environment},
            )
        except OSError:
            raise NoProcessError from None
        self._process = process
        if self._killed:  # while it was being started
            process.kill()
        try:
            _ask(process, self._opening)
        except (OSError, ValueError, EOFError):
            self.close()
            raise NoProcessError from None
        return process


def _ask(process: Process, question: object) -> Any:
    if not process.stdin or not process.stdout:
        raise EOFError
    process.stdin.write(json.dumps(question) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line.endswith("\n"):
        raise EOFError
    return json.loads(line)


def _let_go(process: Process) -> None:
    process.kill()
    process.communicate()


def answer_lines(open_with: Callable[[Any], Callable[[Any], object]]) -> None:
    """What a worker's process does: answer each line of stdin with a line, until there are no more.

    Ctrl-C is left to the process that asks. What others print goes to stderr, for stdout belongs to the answers.

    Args:
        open_with: Takes what the process is told first, gives what answers a question.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer = open_with(json.loads(sys.stdin.readline() or "null"))
    print("null", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


def ask_all(
    questions: Iterable[Question], workers: Sequence[Asked[Question, Answer]]
) -> Iterator[tuple[Question, Answer]]:
    """Ask each question of whichever worker is free; the answers come as they are ready, each with its question.

    The workers are ended when all is answered, when nobody wants the rest, and when one raises, which is raised here.
    """
    waiting = iter(questions)
    lock, stop = threading.Lock(), threading.Event()
    done: SimpleQueue[tuple[Question, Answer] | BaseException | None] = SimpleQueue()

    def work(worker: Asked[Question, Answer]) -> None:
        try:
            while not stop.is_set():
                with lock:
                    question = next(waiting)
                done.put((question, worker.ask(question)))
        except StopIteration:
            done.put(None)
        except BaseException as error:  # raised where the answers are waited for
            done.put(error)
        finally:
            worker.close()

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    working = len(threads)
    try:
        while working:
            match done.get():
                case None:
                    working -= 1
                case BaseException() as error:
                    raise error
                case answer:
                    yield answer
    finally:
        stop.set()
        for worker in workers:
            worker.kill()
        for thread in threads:
            thread.join()
