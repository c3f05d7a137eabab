"""Files side by side on the same pictures: times, stages, memory."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from centermask.bench.case import Batch, Case, Timing
from centermask.bench.clock import turns
from centermask.bench.memory import Memory, measure_memory
from centermask.bench.pictures import drawn_pictures, given_pictures, to_batches
from centermask.bench.probe import open_probe
from centermask.bench.variant import Variant
from centermask.bundled import resolve_weights
from centermask.errors import UserError
from centermask.runtimes.exported import ExportedRuntime
from centermask.runtimes.runtime import Precision, Runtime

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one file."""

    name: str
    variant: Variant
    device: str
    timing: Timing
    memory: Memory | None
    """None: not measured."""
    precision: str
    """In what weights compute, or in what a file was exported."""
    trouble: str = ""
    """Why memory could not be measured, if that failed."""

    def to_json(self, batch: int) -> dict[str, Any]:
        """Plain values; times in milliseconds of a batch."""
        middle, shares = self.timing.middle, self.timing.shares
        inside = {name: 1000 * middle.network * share for name, share in shares._asdict().items()} if shares else None
        return {
            "name": self.name,
            "file": str(self.variant.path),
            "bytes": self.variant.bytes,
            "engine": self.variant.engine,
            "device": self.device,
            "precision": self.precision,
            "compile": self.variant.compile,
            "median_ms": 1000 * self.timing.median,
            "p95_ms": 1000 * self.timing.p95,
            "pictures_per_second": batch / self.timing.median,
            "objects_per_picture": middle.objects / batch,
            "fit_ms": 1000 * middle.fit,
            "network_ms": 1000 * middle.network,
            "network_parts_ms": inside,
            "restore_ms": 1000 * middle.restore,
            "all_ms": [1000 * one.seconds for one in self.timing.passes],
            "memory_mib": self.memory._asdict() if self.memory else None,
            "memory_trouble": self.trouble,
        }


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Files measured side by side, in the order given."""

    rows: tuple[Row, ...]
    pictures: int
    """Different ones."""
    drawn: bool
    """They were drawn, not given."""
    batch: int
    rounds: int
    threads: int | None
    """Cores to compute with; None: as each engine chooses."""

    @property
    def machine(self) -> str:
        """Where it was measured."""
        return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "machine": self.machine,
            "pictures": self.pictures,
            "drawn": self.drawn,
            "batch": self.batch,
            "rounds": self.rounds,
            "threads": self.threads,
            "rows": [row.to_json(self.batch) for row in self.rows],
        }


def bench(
    paths: Sequence[Path | str],
    *,
    images: Path | str | None = None,
    short_side: int | None = None,
    rounds: int = 10,
    threads: int | None = None,
    precisions: Sequence[Precision] = (),
    compile: bool = False,
    device: str | None = None,
    batch: int = 1,
    memory: bool = True,
    on_progress: OnProgress = lambda done, total: None,
) -> Bench:
    """Measure files side by side, from decoded pictures to run-length coded masks.

    Args:
        paths: Weights files, bundled weights ("nano", "plus-nano"), or files that ``centermask export`` wrote.
        images: A file, folder or pattern of pictures; None: some are drawn, of the first network's size.
        short_side: What the short side of a picture is scaled to, in pixels; None: as each network asks.
        rounds: Batches that each file predicts; in each round all files predict the same one.
        threads: Cores to compute with; None: as each engine chooses.
        precisions: In what weights compute, one row for each; none given: fp32. Exported files are as they are.
        compile: Compile the dense part of weights with torch.compile.
        device: Where to compute; None: see ``Variant``.
        batch: Pictures in one run of the network.
        memory: Measure it too, in a process for each file. Where that fails, the row says why.
        on_progress: Called with steps done and steps in all.

    Raises:
        UserError: a file, a picture or an argument cannot be used.
    """
    _check(paths, rounds=rounds, batch=batch, threads=threads)
    variants = _variants([resolve_weights(path) for path in paths], device, threads, precisions, compile)
    runtimes = {name: variant.open() for name, variant in variants.items()}
    pictures = _pictures(images, next(iter(runtimes.values())), short_side, rounds * batch)
    batches = to_batches(pictures, batch)
    cases = {
        name: Case(runtimes[name], open_probe(variant, runtimes[name]), batches, short_side=short_side)
        for name, variant in variants.items()
    }
    steps = _Steps(len(cases) * (1 + rounds + memory), on_progress)
    timings = run_rounds(cases, rounds, steps.next)
    rows = []
    for name, variant in variants.items():
        taken, trouble = _memory(variant, batches, short_side=short_side) if memory else (None, "")
        rows.append(Row(name=name, variant=variant, device=runtimes[name].device, timing=timings[name], memory=taken,
                        precision=_precision(variant, runtimes[name]), trouble=trouble))  # fmt: skip
        if memory:
            steps.next()
    return Bench(rows=tuple(rows), pictures=len(pictures), drawn=images is None, batch=batch, rounds=rounds,
                 threads=threads)  # fmt: skip


def run_rounds(cases: Mapping[str, Case], rounds: int, on_step: Callable[[], None]) -> dict[str, Timing]:
    """Let every case predict in turn; each is warmed up first, and counted from then on."""
    for case in cases.values():
        case.warm_up()
        on_step()
    for round_, name in turns(list(cases), rounds):
        cases[name].go(round_)
        on_step()
    return {name: case.timing() for name, case in cases.items()}


def _check(paths: Sequence[Path | str], **counts: int | None) -> None:
    if not paths:
        raise UserError("no file given; name weights files or exported ones")
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UserError(f"{name} must be at least 1, not {value}")


def _variants(
    paths: Sequence[Path],
    device: str | None,
    threads: int | None,
    precisions: Sequence[Precision],
    compile: bool,
) -> dict[str, Variant]:
    """What is measured, by the name of its row: the file's, or its path where two share a name."""
    made: dict[str, Variant] = {}
    for path in dict.fromkeys(paths):
        shared = [other.name for other in dict.fromkeys(paths)].count(path.name) > 1
        name = path.as_posix() if shared else path.name
        one = Variant(path=path, device=device, threads=threads)
        if one.is_exported:
            made[name] = one
            continue
        for precision in precisions or ("fp32",):
            label = f"{name}, {precision}, compiled" if compile else f"{name}, {precision}"
            made[label] = Variant(path=path, device=device, threads=threads, precision=precision, compile=compile)
    if (precisions or compile) and all(one.is_exported for one in made.values()):
        raise UserError("precision and compile go with weights, and only exported files are given; leave them out")
    return made


def _pictures(images: Path | str | None, first: Runtime, short_side: int | None, count: int) -> Batch:
    if images is not None:
        return given_pictures(images, count)
    return drawn_pictures(first.config, short_side, count)


def _precision(variant: Variant, runtime: Runtime) -> str:
    return runtime.precision if isinstance(runtime, ExportedRuntime) else variant.precision or "fp32"


def _memory(variant: Variant, batches: Sequence[Batch], **options: Any) -> tuple[Memory | None, str]:
    """What was measured, or why that failed: the times that were taken before are kept all the same."""
    try:
        return measure_memory(variant, batches, **options), ""
    except UserError as error:
        return None, str(error)


class _Steps:
    """Counts what is done."""

    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self.done, self.total, self.on_progress = 0, total, on_progress

    def next(self) -> None:
        self.done += 1
        self.on_progress(self.done, self.total)
