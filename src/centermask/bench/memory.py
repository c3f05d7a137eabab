"""The memory that predictions need, measured in a process that does nothing else.

``python -m centermask.bench.memory FILE`` is that process: it reads what to do from FILE and prints what it took.
"""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from centermask.bench.case import Batch, Case
from centermask.bench.variant import Variant
from centermask.errors import UserError

MIB = 2**20
ROUNDS = 3
"""Predictions of each batch."""


class Memory(NamedTuple):
    """MiB."""

    ready: float
    """Of the whole process, with Python and all libraries, once the network is open."""
    peak: float
    """The most that it ever took until some predictions were made."""
    gpu: float
    """The most that PyTorch took on the GPU; 0 without one."""


def measure_memory(variant: Variant, batches: Sequence[Batch], **options: Any) -> Memory:
    """Predict some batches in a new process.

    Args:
        variant: The network.
        batches: Pictures.
        options: As for ``Case``.

    Raises:
        UserError: the process came to nothing.
    """
    with tempfile.TemporaryDirectory(prefix="centermask-bench-") as folder:
        task = Path(folder) / "task"
        task.write_bytes(pickle.dumps((variant, [[np.asarray(one) for one in batch] for batch in batches], options)))
        command = [sys.executable, "-m", "centermask.bench.memory", str(task)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UserError(f"{variant.path}: its memory cannot be measured ({reason}); leave it out with --no-memory")
    return Memory(*map(float, done.stdout.split()[-3:]))


def peak_memory() -> float:
    """MiB: the most that this process ever held."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux; not getrusage, which counts what the process was forked from
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    taken = psutil.Process().memory_info()
    return float(getattr(taken, "peak_wset", taken.rss)) / MIB  # Windows knows a peak; elsewhere what is held now


def _gpu_memory() -> float:
    torch: Any = sys.modules.get("torch")
    return torch.cuda.max_memory_allocated() / MIB if torch is not None and torch.cuda.is_available() else 0.0


def main(task: Path) -> None:
    """Do what a file says, and print the three numbers."""
    variant, batches, options = pickle.loads(task.read_bytes())
    case = Case(variant.open(), None, batches, **options)
    ready = psutil.Process().memory_info().rss / MIB
    for round_ in range(ROUNDS * len(batches)):
        case.go(round_)
    print(ready, peak_memory(), _gpu_memory())
    sys.stdout.flush()
    os._exit(0)  # an engine that fails while it is taken down has measured all the same


if __name__ == "__main__":
    main(Path(sys.argv[1]))
