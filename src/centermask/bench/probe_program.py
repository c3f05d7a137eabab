"""Clock the steps of a torch.export program."""

import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter
from torch.fx import Node as Step

from centermask.bench.probe_torch import now
from centermask.bench.stages import STAGES, Node, Shares, Stage, stages_of, to_shares
from centermask.images import Fitted
from centermask.runtimes.exported import Exported, Inputs, Outputs, read_header
from centermask.runtimes.torch_export import load_program

Taken = defaultdict[Stage, float]


class ProgramProbe:
    """Takes the program's steps one by one, with a clock between them; a ``Probe``, on the processor."""

    def __init__(self, path: Path) -> None:
        program, text = load_program(path)
        module: Any = program.module(check_guards=False)
        self._steps = _Clocked(module)
        self._exported = Exported(read_header(text, path), path, "cpu")
        self._runs: list[Taken] = []

    def run(self, fitted: Fitted, score_threshold: float) -> None:
        """See ``Probe``."""
        self._exported.answer(fitted, score_threshold, self._run)

    def forget(self) -> None:
        """See ``Probe``."""
        self._runs.clear()

    def shares(self) -> Shares:
        """See ``Probe``."""
        return to_shares({stage: statistics.median(run[stage] for run in self._runs) for stage in STAGES})

    def _run(self, inputs: Inputs) -> Outputs:
        self._steps.taken = defaultdict(float)
        with torch.inference_mode():
            found = self._steps.run(*map(torch.from_numpy, inputs))
        self._runs.append(self._steps.taken)
        return Outputs(*(value.numpy() for value, _ in zip(found, Outputs._fields, strict=False)))


class _Clocked(Interpreter):
    """Runs a graph as ``torch.fx`` does; to hear of every step one must inherit."""

    def __init__(self, program: GraphModule) -> None:
        super().__init__(program)
        self.taken: Taken = defaultdict(float)
        self._stages = stages_of(_nodes(program))

    def run_node(self, n: Step) -> Any:
        began = now()
        result = super().run_node(n)
        self.taken[self._stages[n.name]] += now() - began
        return result


def _nodes(program: GraphModule) -> Iterator[Node]:
    for step in program.graph.nodes:
        yield Node(step.name, str(step.target), [one.name for one in step.all_input_nodes], [step.name])
