"""Read ONNX Runtime's own profile of an exported file."""

import json
import shutil
import statistics
import tempfile
import weakref
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from centermask.bench.stages import STAGES, Node, Shares, Stage, stages_of, to_shares
from centermask.images import Fitted
from centermask.runtimes.exported import HEADER, Exported, Inputs, Outputs, read_header
from centermask.runtimes.onnx import session_options

KERNEL = "_kernel_time"
"""What the profile appends to the name of a node."""


class OnnxProbe:
    """A session of its own that writes down what every node takes; a ``Probe``, on the processor."""

    def __init__(self, path: Path, threads: int | None) -> None:
        folder = Path(tempfile.mkdtemp(prefix="centermask-bench-"))
        self._clean = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)  # whatever becomes of the bench
        self._optimised = folder / "optimised.onnx"
        options = session_options(onnxruntime, threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        options.optimized_model_filepath = str(self._optimised)  # its nodes, not those of the file, are in the profile
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        header = read_header(self._session.get_modelmeta().custom_metadata_map.get(HEADER), path)
        self._exported = Exported(header, path, "cpu")
        self._count = self._forgotten = 0

    def run(self, fitted: Fitted, score_threshold: float) -> None:
        """See ``Probe``."""
        self._exported.answer(fitted, score_threshold, self._run)

    def forget(self) -> None:
        """See ``Probe``."""
        self._forgotten = self._count

    def shares(self) -> Shares:
        """See ``Probe``. Ends the profile: no run may follow."""
        graph = onnx.load(self._optimised, load_external_data=False).graph
        stages = stages_of(Node(node.name, node.op_type, node.input, node.output) for node in graph.node)
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        runs = list(_runs(events, stages))[self._forgotten :]
        self._clean()
        return to_shares({stage: statistics.median(run[stage] for run in runs) for stage in STAGES})

    def _run(self, inputs: Inputs) -> Outputs:
        self._count += 1
        return Outputs(*self._session.run(Outputs._fields, inputs._asdict()))


def _runs(events: list[dict[str, Any]], stages: dict[str, Stage]) -> Iterator[dict[Stage, float]]:
    """Seconds of each stage, run by run; a node comes once in each."""
    seen: Counter[str] = Counter()
    runs: defaultdict[int, dict[Stage, float]] = defaultdict(lambda: dict.fromkeys(STAGES, 0.0))
    for event in events:
        name = event["name"]
        if event["cat"] == "Node" and name.endswith(KERNEL):
            # A node without a name is none of ours, nor of what was made of ours.
            runs[seen[name]][stages.get(name.removesuffix(KERNEL), "dense")] += event["dur"] / 1e6
            seen[name] += 1
    yield from (runs[place] for place in sorted(runs))
