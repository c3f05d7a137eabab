"""Read OpenVINO's own profile of an exported file."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from centermask.bench.stages import Node, Shares, Stage, stages_of, to_shares
from centermask.images import Fitted
from centermask.runtimes.exported import HEADER, Exported, Inputs, Outputs, read_header
from centermask.runtimes.openvino import engine_options, import_openvino, to_hint

Taken = defaultdict[Stage, float]


class OpenVinoProbe:
    """A network of its own that counts what every node takes; a ``Probe``, on the processor."""

    def __init__(self, path: Path, threads: int | None, compute_in: str | None) -> None:
        core = import_openvino().Core()
        network = core.read_model(path)
        header = read_header(network.get_rt_info([HEADER]).value, path)
        options = engine_options("CPU", to_hint(core, "CPU", compute_in or header.precision, path), threads)
        compiled = core.compile_model(network, "CPU", options | {"PERF_COUNT": True})
        self._stages = stages_of(_nodes(compiled))
        self._request = compiled.create_infer_request()
        self._exported = Exported(header, path, "cpu")
        self._count = 0
        self._forgotten: Taken = defaultdict(float)

    def run(self, fitted: Fitted, score_threshold: float) -> None:
        """See ``Probe``."""
        self._exported.answer(fitted, score_threshold, self._run)

    def forget(self) -> None:
        """See ``Probe``."""
        self._forgotten = self._so_far()

    def shares(self) -> Shares:
        """See ``Probe``."""
        so_far = self._so_far()
        return to_shares({stage: so_far[stage] - self._forgotten[stage] for stage in so_far})

    def _run(self, inputs: Inputs) -> Outputs:
        self._count += 1
        found = self._request.infer(inputs._asdict(), share_inputs=True)
        return Outputs(*(found[name] for name in Outputs._fields))

    def _so_far(self) -> Taken:
        """Seconds of each stage in all runs; OpenVINO gives means over them, for all nodes that were ever computed."""
        taken: Taken = defaultdict(float)
        for one in self._request.get_profiling_info() if self._count else ():
            taken[self._stages.get(one.node_name, "dense")] += one.real_time.total_seconds() * self._count
        return taken


def _nodes(compiled: Any) -> Iterator[Node]:
    """The graph as it is computed, after all that OpenVINO did to it."""
    for node in compiled.get_runtime_model().get_ordered_ops():
        name = node.get_friendly_name()
        takes = [value.get_node().get_friendly_name() for value in node.input_values()]
        yield Node(name, str(node.get_rt_info()["layerType"].astype(str)), takes, [name])
