"""Many picture files, looked at by a few processes, none of which is trusted to survive."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from centermask.data.check.probe import Look, look
from centermask.workers import LostError, NoProcessError, Worker, ask_all

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
    lookers = [_Looker(seconds) for _ in range(min(workers, len(paths)))]
    for (place, _), answer in ask_all(enumerate(paths), lookers):
        yield place, answer


class _Looker:
    """Looks at one file after the other in another process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._worker = Worker("centermask.data.check.probe:main", seconds=seconds, quiet=True)

    def ask(self, question: tuple[int, Path]) -> Look:
        """Look at a file; say so if that did not end in time, or not at all."""
        _, path = question
        try:
            return Look(*self._worker.ask(str(path)))
        except NoProcessError:
            return look(path)
        except LostError as lost:
            why = f"takes longer than {self._seconds:g} seconds" if lost.late else "crashes the decoder"
            return Look(kind="picture-broken", fault=f"decoding it {why}")

    def kill(self) -> None:
        """See ``Worker.kill``."""
        self._worker.kill()

    def close(self) -> None:
        """See ``Worker.close``."""
        self._worker.close()
