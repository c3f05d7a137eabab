"""Pictures by the hundred thousand: written down as it goes, in several processes, taken up where it broke off."""

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from centermask.bundled import DEFAULT_WEIGHTS, resolve_weights
from centermask.errors import UserError
from centermask.files import write_whole
from centermask.lines import Lines, open_lines
from centermask.predict import Finder, Job, PictureError, Predictor, plan_jobs, predict_file
from centermask.tiles import TiledPredictor
from centermask.workers import LostError, NoProcessError, Worker, answer_lines, ask_all

Answer = dict[str, Any] | PictureError
"""The record of a picture, or why there is none."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a predictor is made, in plain values, so that another process can make the same one."""

    weights: str = DEFAULT_WEIGHTS
    """A weights file or an exported one."""
    device: str | None = None
    precision: str | None = None
    compile: bool = False
    short_side: int | None = None
    resize: bool = True
    score_threshold: float | None = None
    max_detections: int | None = None
    tile: int | None = None
    """Side of tiles in pixels; None: no tiles."""
    overlap: float = 0.2
    overview: bool = True
    threads: int | None = None

    def make(self) -> Finder:
        """The predictor.

        Raises:
            UserError: see ``Predictor`` and ``TiledPredictor``.
        """
        plain = Predictor(self.weights, device=self.device, short_side=self.short_side, resize=self.resize,
                          score_threshold=self.score_threshold, max_detections=self.max_detections,
                          precision=self.precision, compile=self.compile, threads=self.threads)  # fmt: skip
        if self.tile is None:
            return plain
        return TiledPredictor(plain, tile=self.tile, overlap=self.overlap, overview=self.overview)

    def decides(self) -> dict[str, Any]:
        """What answers depend on; the network by what is in its file.

        Raises:
            UserError: there is no such file.
        """
        with resolve_weights(self.weights).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        kept = ("precision", "short_side", "resize", "score_threshold", "max_detections", "tile", "overlap", "overview")
        return {"weights": self.weights, "weights_sha256": digest} | {key: asdict(self)[key] for key in kept}


@dataclass(frozen=True, kw_only=True)
class ManySummary:
    """What became of many pictures."""

    done: int
    """Predicted by this run."""
    skipped: int
    """Predicted by an earlier one."""
    failures: Sequence[tuple[Path, str]]
    """Those that could not be used, and why."""


def predict_many(
    recipe: Recipe,
    paths: Sequence[Path],
    json_file: Path,
    *,
    out: Path | None = None,
    processes: int = 1,
    resume: bool = False,
    run: Callable[[Recipe, Sequence[Job]], Iterable[tuple[Job, Answer]]] | None = None,
    on_picture: Callable[[int, int], object] = lambda done, total: None,
) -> ManySummary:
    """Predict pictures, each into a line of ``json_file`` (``Instances.to_coco``) as soon as it is done.

    Lines come in the order in which pictures are done; ``file_name`` is a picture's path as it was given. A picture
    that cannot be used does not stop the others, nor does one that crashes its process: they are listed in
    ``FILE.errors.jsonl`` beside ``FILE.jsonl`` as they come, and tried again by a run that goes on.
    ``FILE.settings.json`` holds what the answers depend on.

    Args:
        recipe: How each process makes its predictor.
        paths: The pictures.
        json_file: Ends in ``.jsonl``.
        out: A folder for overlays; see ``predict_files``.
        processes: How many predict side by side; they share the cores.
        resume: Go on with ``json_file`` if it is there: pictures that have a line are left out.
        run: Predicts elsewhere, such as on a cluster, in place of ``processes``: gives the answer to each job, as it is
            ready.
        on_picture: Called after each picture with how many are through, and how many there are.

    Raises:
        UserError: something cannot be written, ``json_file`` is there already and was not to be, or was begun with
            other settings; or the network cannot be used.
    """
    if json_file.suffix.lower() != ".jsonl":
        raise UserError(f"{json_file}: many pictures are written as JSON lines, as they are done; name a file that "
                        f"ends in .jsonl")  # fmt: skip
    if processes < 1:
        raise UserError(f"processes must be at least 1, not {processes}")
    settings = json_file.with_suffix(".settings.json")
    decides = recipe.decides()
    with open_lines(json_file, resume=resume) as lines:
        if lines.names:
            _check_same(settings, decides, json_file)
        else:
            write_whole(settings, json.dumps(decides, indent=1).encode())
        # Of two runs, the same name must mean the same picture, whatever else was asked for.
        jobs = [job._replace(name=job.path.as_posix()) for job in plan_jobs(paths, out)]
        left = [job for job in jobs if job.name not in lines.names]
        record = _Record(lines, json_file.with_suffix(".errors.jsonl"), len(jobs) - len(left), len(jobs), on_picture)
        if not left:  # no network is opened for nothing
            record.take(())
        elif run is not None:
            record.take(run(recipe, left))
        elif processes > 1:
            with closing(_in_many(recipe, left, processes)) as answers:  # ends the processes, whatever ends the run
                record.take(answers)
        else:
            record.take(_here(recipe, left))
        return record.summary()


def _check_same(settings: Path, decides: dict[str, Any], json_file: Path) -> None:
    """Refuse to mix answers of two networks, or of two thresholds, in one file."""
    try:
        before = json.loads(settings.read_bytes())
    except (OSError, ValueError):
        raise UserError(f"{settings}: is missing or broken, so it is not known how {json_file.name} was begun; "
                        "begin another file") from None  # fmt: skip
    differs = [key for key in decides if before.get(key) != decides[key] and key != "weights"]
    if differs:
        told = [f"{key} was {_said(before.get(key))}, is {_said(decides[key])}" for key in differs]
        raise UserError(f"{json_file}: was begun with other settings ({'; '.join(told)}); give the same, or another "
                        "file")  # fmt: skip


def _said(value: object) -> str:
    return "not given" if value is None else str(value)


@dataclass
class _Record:
    """Writes down what is answered."""

    lines: Lines
    errors: Path
    skipped: int
    total: int
    on_picture: Callable[[int, int], object]
    done: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list)

    def take(self, answers: Iterable[tuple[Job, Answer]]) -> None:
        """Write each answer as it comes."""
        self.errors.unlink(missing_ok=True)  # of the run before: what failed then is tried again now
        with ExitStack() as stack:
            listed: Lines | None = None
            for job, answer in answers:
                if isinstance(answer, PictureError):
                    listed = listed or stack.enter_context(open_lines(self.errors))
                    listed.append({"file_name": job.path.as_posix(), "error": str(answer)})
                    self.failures.append((job.path, str(answer)))
                else:
                    self.lines.append(answer)
                    self.done += 1
                self.on_picture(self.skipped + self.done + len(self.failures), self.total)

    def summary(self) -> ManySummary:
        return ManySummary(done=self.done, skipped=self.skipped, failures=self.failures)


def _here(recipe: Recipe, jobs: Iterable[Job]) -> Iterator[tuple[Job, Answer]]:
    predictor = recipe.make()
    for job in jobs:
        yield job, _answer(predictor, job)


def _answer(predictor: Finder, job: Job) -> Answer:
    try:
        return predict_file(predictor, job).to_coco()
    except PictureError as error:
        return error


def _in_many(recipe: Recipe, jobs: Sequence[Job], processes: int) -> Generator[tuple[Job, Answer], None, None]:
    threads = recipe.threads or max(1, (os.cpu_count() or 1) // processes)
    shared = replace(recipe, threads=threads)
    yield from ask_all(jobs, [_Other(shared) for _ in range(min(processes, len(jobs)))])


class _Other:
    """Predicts in another process."""

    def __init__(self, recipe: Recipe) -> None:
        self._worker = Worker("centermask.many:main", opening=asdict(recipe),
                              environment={"OMP_NUM_THREADS": str(recipe.threads)})  # fmt: skip

    def ask(self, job: Job) -> Answer:
        """See ``_answer``; a process that dies over a picture is that picture's failure.

        Raises:
            UserError: the overlay cannot be written, or the network not be used.
        """
        try:
            return read_answer(self._worker.ask(tell_job(job)))
        except LostError:
            return PictureError(f"{job.path}: the process that predicted it ended without an answer; it may have run "
                                "out of memory, or the picture crashes its decoder")  # fmt: skip
        except NoProcessError:
            raise UserError("a further process cannot be started, or ends while it opens the network; ask for fewer "
                            "(--processes)") from None  # fmt: skip

    def kill(self) -> None:
        """See ``Worker.kill``."""
        self._worker.kill()

    def close(self) -> None:
        """See ``Worker.close``."""
        self._worker.close()


def main() -> None:
    """A process of ``_Other``: is told a recipe, answers jobs."""
    answer_lines(answering)


# For a predictor in another process, here or on another machine: plain values there and back.


def tell_job(job: Job) -> list[str | None]:
    """A job as ``answering`` wants it."""
    return [str(job.path), job.name, None if job.overlay is None else str(job.overlay)]


def answering(recipe: dict[str, Any]) -> Callable[[list[str | None]], dict[str, Any]]:
    """Make the predictor of a recipe (its fields); gives what answers a told job for ``read_answer``."""
    try:
        predictor = Recipe(**recipe).make()
    except UserError as error:
        trouble = str(error)
        return lambda _: {"stop": trouble}

    def answer(told: list[str | None]) -> dict[str, Any]:
        path, name, overlay = told
        job = Job(Path(path or ""), name or "", Path(overlay) if overlay else None)
        try:
            given = _answer(predictor, job)
        except UserError as error:
            return {"stop": str(error)}
        return {"fault": str(given)} if isinstance(given, PictureError) else {"record": given}

    return answer


def read_answer(told: dict[str, Any]) -> Answer:
    """The record of a picture, or why there is none.

    Raises:
        UserError: the overlay cannot be written, or the network not be used.
    """
    if "stop" in told:
        raise UserError(told["stop"])
    return PictureError(told["fault"]) if "fault" in told else told["record"]
