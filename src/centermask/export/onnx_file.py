"""A program as an ONNX model of standard operators."""

import ast
import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from onnxscript import opset20 as op
from torch.export import ExportedProgram

from centermask.export.graph import Answer
from centermask.runtimes.exported import HEADER, Inputs

OPSET = 20
_SCOPES = "pkg.torch.onnx.name_scopes"


def make_onnx(program: ExportedProgram, *, full_masks: bool = False) -> onnx.ModelProto:
    """Translate a program; names of inputs and outputs are those of ``Inputs`` and ``Answer``."""
    outputs = [name for name in Answer._fields if full_masks or name != "full_masks"]
    with _quietly():
        made: Any = torch.onnx.export(
            program,
            dynamo=True,
            input_names=list(Inputs._fields),
            output_names=outputs,
            opset_version=OPSET,
            custom_translation_table={torch.ops.aten.sort.stable: _sort},
        )
    model: onnx.ModelProto = made.model_proto
    _name_dimensions(model)
    _name_nodes(model)
    _pool_with_padding(model)
    return model


def set_header(model: onnx.ModelProto, text: str) -> None:
    """Put our JSON into the metadata, in place of one that is there."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {HEADER: text})


def _sort(x: Any, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """ONNX gives the first of equals first; where that matters no two are equal."""
    return op.TopK(x, op.Shape(x), axis=dim, largest=int(descending), sorted=1)


def _pool_with_padding(model: onnx.ModelProto) -> None:
    """Pad where a pool would look over the edge: OpenVINO refuses a picture that is smaller than its window."""
    for node in model.graph.node:
        values = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if node.op_type == "MaxPool" and values.get("ceil_mode") and not any(values.get("pads", ())):
            pads = [0] * len(values["strides"]) + [stride - 1 for stride in values["strides"]]
            kept = [one for one in node.attribute if one.name not in ("ceil_mode", "pads")]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("pads", pads)])


def _name_dimensions(model: onnx.ModelProto) -> None:
    """Call what the tracer numbered by the names that a reader expects."""
    names = {"pixels": ("images", "", "height", "width"), "sizes": ("images", "")}
    known: dict[str, str] = {}
    for value in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, names.get(value.name, ("",) * 9), strict=False):
            if dimension.dim_param:
                known.setdefault(dimension.dim_param, name)
                dimension.dim_param = known[dimension.dim_param] or dimension.dim_param
    del model.graph.value_info[:]  # they would use the old names


def _name_nodes(model: onnx.ModelProto) -> None:
    """Call each node by the module it comes from, and drop the tracer's notes: they hold paths of this machine."""
    for number, node in enumerate(model.graph.node):
        notes = {note.key: note.value for note in node.metadata_props}
        scopes = [scope for scope in ast.literal_eval(notes.get(_SCOPES, "[]")) if scope.startswith("model.")]
        module = scopes[-1].removeprefix("model.") if scopes else "graph"
        node.name = f"{module}/{node.op_type}_{number}"
        del node.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The exporter prints its steps and warns of its own parts; what goes wrong it raises."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
