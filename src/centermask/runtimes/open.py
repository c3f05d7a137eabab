"""The runtime that a file asks for, by its ending. Each engine is imported only when a file of its kind is opened."""

from pathlib import Path

from centermask.bundled import resolve_weights
from centermask.errors import UserError
from centermask.runtimes.runtime import Precision, Runtime

EXPORTED = (".onnx", ".xml", ".pt2")
"""Endings of exported files; any other file is taken for weights."""


def open_runtime(
    model: Path | str, device: str | None = None, *, precision: Precision | None = None, compile: bool = False
) -> Runtime:
    """Open a network.

    Args:
        model: A weights file, "nano" for the bundled weights, or a file that ``centermask export`` wrote.
        device: Where to compute; None: weights on the accelerator if there is one, all else on the processor.
        precision: In what weights compute; None: fp32. An exported file's was fixed at export.
        compile: Compile the dense part of weights with torch.compile.

    Raises:
        UserError: the file or the device cannot be used, what runs the file is not installed, or precision or compile
            is given for an exported file.
    """
    path = resolve_weights(model)
    kind = path.suffix.lower()
    if kind in EXPORTED and (precision is not None or compile):
        asked = "compile goes with weights" if compile else "its precision was fixed at export"
        raise UserError(f"{path}: {asked}; leave this out, or give the weights (.safetensors) instead")
    match kind:
        case ".onnx":
            from centermask.runtimes.onnx import OnnxRuntime

            return OnnxRuntime(path, device)
        case ".xml":
            from centermask.runtimes.openvino import OpenVinoRuntime

            return OpenVinoRuntime(path, device)
        case ".pt2":
            from centermask.runtimes.torch_export import TorchExportRuntime

            return TorchExportRuntime(path, device)
        case ".bin" if path.with_suffix(".xml").is_file():
            raise UserError(f"{path}: holds only the weights of an OpenVINO network; give {path.with_suffix('.xml')}")
        case _:
            from centermask.runtimes.torch import TorchRuntime

            return TorchRuntime.load(path, device, precision=precision, compile=compile)
