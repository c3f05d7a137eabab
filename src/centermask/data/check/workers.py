"""Many picture files, looked at by a few processes, none of which is trusted to survive."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue

from centermask.data.check.probe import GREETING, Look, look

Process = subprocess.Popen[str]

SECONDS = 60.0
"""A decoder that needs longer for one picture hangs."""

FEW = 24
"""So few pictures are looked at in this process, sooner than another one has started."""


def look_at(paths: Sequence[Path], workers: int | None = None, seconds: float = SECONDS) -> Iterator[tuple[int, Look]]:
    """Look at each file; the answers come as they are ready, with the file's place.

    ``workers`` processes do it, by default one per core and at most 8, or none for a few files. With 0 it is done
    here, where a picture that crashes its decoder ends the program.
    """
    if workers is None:
        workers = 0 if len(paths) <= FEW else min(os.cpu_count() or 1, 8)
    if workers == 0:
        yield from ((place, look(path)) for place, path in enumerate(paths))
        return
    waiting = iter(enumerate(paths))
    lock, done = threading.Lock(), SimpleQueue[tuple[int, Look]]()
    stop = threading.Event()

    def work() -> None:
        worker = _Worker(seconds)
        while not stop.is_set():
            with lock:
                place, path = next(waiting, (-1, Path()))
            if place < 0:
                break
            done.put((place, worker.look(path)))
        worker.end()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(paths)))]
    for thread in threads:
        thread.start()
    try:
        for _ in paths:
            yield done.get()
    finally:  # also when nobody wants the rest
        stop.set()
        for thread in threads:
            thread.join()


class _Worker:
    """A process that looks at one file after the other; one that dies or hangs is replaced by the next."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process: Process | None = None

    def look(self, path: Path) -> Look:
        """Ask the process; say so if it did not answer in time, or not at all."""
        process = self._process = self._process or _start()
        if process is None:  # no process can be had here
            return look(path)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, give_up)
        timer.start()
        answer = _ask(process, path)
        timer.cancel()
        if answer is not None:
            return answer
        self.end()
        why = f"takes longer than {self._seconds:g} seconds" if late.is_set() else "crashes the decoder"
        return Look(kind="picture-broken", fault=f"decoding it {why}")

    def end(self) -> None:
        """Let the process go."""
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._process = None


def _start() -> Process | None:
    """A fresh process that sees the same packages (a fork could inherit a lock that nobody opens); none if it fails."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", "from centermask.data.check.probe import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    except OSError:
        return None
    if process.stdout and process.stdout.readline().strip() == GREETING:
        return process
    process.kill()
    process.communicate()
    return None


def _ask(process: Process, path: Path) -> Look | None:
    """The process's answer; none if it is gone or talks nonsense."""
    if not process.stdin or not process.stdout:
        return None
    try:
        process.stdin.write(json.dumps(str(path)) + "\n")
        process.stdin.flush()
        return Look(*json.loads(process.stdout.readline()))
    except (OSError, ValueError, TypeError):
        return None
