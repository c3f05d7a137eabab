"""A network as a ``torch.export`` program, from which all formats are made."""

import warnings
from typing import Any, Literal

import torch
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config

from centermask.export.graph import ExportGraph
from centermask.model.centermask import CenterMask
from centermask.size import Size

PixelKind = Literal["uint8", "float32"]
_shape_settings: Any = _config  # its functions are put in when it is loaded: the checker does not see them
SAMPLE = Size(300, 420)
"""Of the picture that is traced; any would do."""


def make_program(
    model: CenterMask, *, plane: Size | None = None, pixel_kind: PixelKind = "uint8", full_masks: bool = False
) -> ExportedProgram:
    """Trace a network.

    Args:
        model: On the processor, in evaluation mode, in the precision that the file shall compute in.
        plane: Height and width that the file takes, for one picture at a time; None takes any number and size.
        pixel_kind: Of the input; values are 0 to 255 in both.
        full_masks: Give masks of the input's size, too.
    """
    size, images = (plane, 1) if plane else (SAMPLE, 2)
    pixels = torch.zeros(images, 3, *size, dtype=getattr(torch, pixel_kind))
    inputs = pixels, torch.tensor([list(size)] * images), torch.tensor(0.3)
    shapes = None if plane else ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, {0: Dim.DYNAMIC}, None)
    with torch.no_grad(), warnings.catch_warnings(), _shape_settings.patch(backed_size_oblivious=True):
        # torchvision announces its operators in a way that torch has begun to replace.
        warnings.filterwarnings("ignore", "`create_unbacked_symint` is deprecated", FutureWarning)
        program = torch.export.export(
            ExportGraph(model, full_masks).eval(), inputs, dynamic_shapes=shapes, strict=False
        )
    return _without_paths(_without_assertions(program))


def _without_assertions(program: ExportedProgram) -> ExportedProgram:
    """Let the program take what the tracing supposed it would not meet: less than two boxes, pictures of one cell.

    torch supposes of every number that depends on the picture that it is not 0 or 1, and writes that down as
    assertions. The operators themselves take any number; the tests hold the program to it.
    """
    graph: Any = program.graph_module.graph
    for node in list(graph.nodes):
        if node.op == "call_function" and node.target in (
            torch.ops.aten._assert_scalar.default,
            torch.ops.aten._assert_async.msg,
        ):
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
    return program


def _without_paths(program: ExportedProgram) -> ExportedProgram:
    """Forget which lines of which files of this machine each node comes from; a ``.pt2`` would tell."""
    for part in program.graph_module.modules():
        if isinstance(part, torch.fx.GraphModule):
            for node in part.graph.nodes:
                node.meta.pop("stack_trace", None)
    return program
