"""The runtime that a file asks for, by its ending. Each engine is imported only when a file of its kind is opened."""

from pathlib import Path

from centermask.bundled import resolve_weights
from centermask.errors import UserError
from centermask.files import EXPORTED
from centermask.runtimes.exported import ExportedRuntime
from centermask.runtimes.runtime import Precision, Runtime


def open_runtime(
    model: Path | str,
    device: str | None = None,
    *,
    precision: Precision | None = None,
    compile: bool = False,
    threads: int | None = None,
) -> Runtime:
    """Open a network.

    Args:
        model: A weights file, bundled weights ("nano", "plus-nano"), or a file that ``centermask export`` wrote.
        device: Where to compute; None: weights on the accelerator if there is one, all else on the processor.
        precision: In what weights compute; None: fp32. An exported file's was fixed at export.
        compile: Compile the dense part of weights with torch.compile.
        threads: Cores to compute with; None: as the engine chooses. PyTorch has one number for all that a process does.

    Raises:
        UserError: the file or the device cannot be used, what runs the file is not installed, or precision or compile
            is given for an exported file.
    """
    path = resolve_weights(model)
    kind = path.suffix.lower()
    if kind in EXPORTED and (precision is not None or compile):
        asked = "compile goes with weights" if compile else "its precision was fixed at export"
        raise UserError(f"{path}: {asked}; leave this out, or give the weights (.safetensors) instead")
    if kind in EXPORTED:
        return open_exported(path, device, threads=threads)
    if kind == ".bin" and path.with_suffix(".xml").is_file():
        raise UserError(f"{path}: holds only the weights of an OpenVINO network; give {path.with_suffix('.xml')}")
    from centermask.runtimes.torch import TorchRuntime

    _limit_torch(threads)
    return TorchRuntime.load(path, device, precision=precision, compile=compile)


def open_exported(path: Path, device: str | None = None, *, threads: int | None = None) -> ExportedRuntime:
    """Open a file that ``centermask export`` wrote.

    Args:
        path: Its ending is one of ``EXPORTED``.
        device, threads: See ``open_runtime``.

    Raises:
        UserError: the file or the device cannot be used, or what runs the file is not installed.
    """
    match path.suffix.lower():
        case ".onnx":
            from centermask.runtimes.onnx import OnnxRuntime

            return OnnxRuntime(path, device, threads)
        case ".xml":
            from centermask.runtimes.openvino import OpenVinoRuntime

            return OpenVinoRuntime(path, device, threads)
        case _:
            from centermask.runtimes.torch_export import TorchExportRuntime

            _limit_torch(threads)
            return TorchExportRuntime(path, device)


def _limit_torch(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
