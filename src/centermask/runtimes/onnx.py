"""ONNX Runtime: an ``.onnx`` file, without torch."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances
from centermask.runtimes.exported import FULL_MASKS, HEADER, Exported, Inputs, Outputs, Pasted, read_header
from centermask.size import Size

ERRORS_ONLY = 3
"""Of ONNX Runtime's scale; its warnings are for those who write graphs."""


class OnnxRuntime:
    """A network in ONNX Runtime; an ``ExportedRuntime``.

    Args:
        path: A file that ``centermask export --format onnx`` wrote.
        device: ``cpu`` (also if None), ``cuda`` or ``cuda:1``.
        threads: Cores to compute with; None: all.

    Raises:
        UserError: onnxruntime is not installed, the file is missing, broken or not ours, or the device cannot be used.
    """

    def __init__(self, path: str | Path, device: str | None = None, threads: int | None = None) -> None:
        path = Path(path)
        onnxruntime = _import_onnxruntime(path)
        device = device or "cpu"
        self._session = _open(onnxruntime, path, _providers(onnxruntime, device), threads)
        header = read_header(self._session.get_modelmeta().custom_metadata_map.get(HEADER), path)
        names = {value.name for value in (*self._session.get_inputs(), *self._session.get_outputs())}
        if not names.issuperset((*Inputs._fields, *Outputs._fields, *([FULL_MASKS] if header.full_masks else []))):
            raise UserError(f"{path}: takes or gives something else than what `centermask export` writes; "
                            "export it again")  # fmt: skip
        self._exported = Exported(header, path, device)
        self.config: ModelConfig = header.config
        self.plane: Size | None = header.plane
        self.precision = header.precision
        self.device = device

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        """See ``Runtime``."""
        return self._exported.answer(fitted, score_threshold, self._run)

    def with_full_masks(self, fitted: Fitted, score_threshold: float) -> list[Pasted]:
        """See ``ExportedRuntime``."""
        return self._exported.with_full_masks(fitted, score_threshold, self._run_fully)

    def keep_detections(self, count: int) -> None:
        """See ``Exported.keep_detections``."""
        self._exported.keep_detections(count)

    def _run(self, inputs: Inputs) -> Outputs:
        return _plain(Outputs(*self._session.run(Outputs._fields, inputs._asdict())))

    def _run_fully(self, inputs: Inputs) -> tuple[Outputs, UInt8[np.ndarray, "images most height width"]]:
        *found, full_masks = self._session.run((*Outputs._fields, FULL_MASKS), inputs._asdict())
        return _plain(Outputs(*found)), full_masks


def _plain(found: Outputs) -> Outputs:
    """Whole numbers come as C's long long: as wide as int64, but another type for whoever looks at it."""
    return found._replace(labels=found.labels.view(np.int64), counts=found.counts.view(np.int64))


def _import_onnxruntime(path: Path) -> ModuleType:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path}: needs onnxruntime ({error}); pip install 'centermask[export]'") from error
    onnxruntime.disable_telemetry_events()  # on Windows it would report to its makers
    return onnxruntime


def _providers(onnxruntime: ModuleType, device: str) -> list[Any]:
    """What ONNX Runtime calls devices, the first one preferred."""
    if device == "cpu":
        return ["CPUExecutionProvider"]
    found = re.fullmatch(r"cuda(?::(\d+))?", device)
    if found is None:
        raise UserError(f"device '{device}' cannot be used with an .onnx file; try 'cpu' or 'cuda'")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise UserError(f"device '{device}' cannot be used: the installed onnxruntime computes on processors only; "
                        "pip install onnxruntime-gpu in its place, or try 'cpu'")  # fmt: skip
    return [("CUDAExecutionProvider", {"device_id": int(found[1] or 0)}), "CPUExecutionProvider"]


def session_options(onnxruntime: ModuleType, threads: int | None) -> Any:
    """How ONNX Runtime runs our files; ``threads`` None: with all cores."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    # Its threads would go on turning after a run, and take the cores from what pastes and codes the masks.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A plan of memory for each size of picture fills the arena with one block a size, and saves no time. The arena
    # itself is kept: without it, large pictures take 5 % longer.
    options.enable_mem_pattern = False
    return options


def _open(onnxruntime: ModuleType, path: Path, providers: list[Any], threads: int | None) -> Any:
    options = session_options(onnxruntime, threads)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # of kinds of its own, each a plain Exception
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be opened by ONNX Runtime ({reason}); copy or export it again") from error
