"""OpenVINO: an ``.xml`` file with its ``.bin`` beside it, without torch."""

import sys
import threading
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances
from centermask.runtimes.exported import FULL_MASKS, HEADER, Exported, Inputs, Outputs, Pasted, read_header
from centermask.size import Size

HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
"""In what to compute, by a file's precision: left to itself, OpenVINO computes float32 files in bf16 where it can."""

TELEMETRY = "openvino_telemetry"
PREPARED_PARTS = 1000
"""Parts of a network that the processor keeps prepared for the sizes of pictures it saw last: enough for the twenty or
so sizes that one short side leads to. OpenVINO would keep 5000, which for changing sizes multiplies its memory."""


class OpenVinoRuntime:
    """A network in OpenVINO; an ``ExportedRuntime``.

    Args:
        path: A file that ``centermask export --format openvino`` wrote.
        device: ``cpu`` (also if None), or another one that OpenVINO knows, such as ``gpu``.
        threads: Cores to compute with; None: all.
        compute_in: Overrules the file's precision; what is int8 stays int8. None: as exported, and for an int8 file
            fp32 in its other parts.

    Raises:
        UserError: openvino is not installed, a file is missing, broken or not ours, or the device cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        device: str | None = None,
        threads: int | None = None,
        compute_in: Literal["fp32", "bf16"] | None = None,
    ) -> None:
        path = Path(path)
        openvino = _openvino_for(path)
        core = openvino.Core()
        self.device = device or "cpu"
        name = _device_name(core, self.device)
        network = _read(core, path)
        text = network.get_rt_info([HEADER]).value if network.has_rt_info([HEADER]) else None
        header = read_header(text, path)
        hint = to_hint(core, name, compute_in or header.precision, path)
        compiled = core.compile_model(network, name, engine_options(name, hint, threads))
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()
        self._exported = Exported(header, path, self.device)
        self.config: ModelConfig = header.config
        self.plane: Size | None = header.plane
        self.precision = header.precision

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
        return Outputs(*self._infer(inputs, Outputs._fields))

    def _run_fully(self, inputs: Inputs) -> tuple[Outputs, UInt8[np.ndarray, "images most height width"]]:
        *found, full_masks = self._infer(inputs, (*Outputs._fields, FULL_MASKS))
        return Outputs(*found), full_masks

    def _infer(self, inputs: Inputs, names: tuple[str, ...]) -> list[np.ndarray]:
        with self._lock:  # a request serves one thread at a time
            found = self._request.infer(inputs._asdict(), share_inputs=True)
            return [found[name].copy() for name in names]


def import_openvino() -> ModuleType:
    """The library, kept from reporting its import to its makers over the network; all of ours import it so.

    Where openvino-telemetry is not installed, OpenVINO does without it. So it is hidden while OpenVINO is imported.
    """
    hidden = TELEMETRY not in sys.modules
    if hidden:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # what Python takes for "is not there"
    try:
        import openvino
    finally:
        if hidden:
            del sys.modules[TELEMETRY]
    return openvino


def _openvino_for(path: Path) -> ModuleType:
    try:
        return import_openvino()
    except ImportError as error:
        raise UserError(f"{path}: needs openvino ({error}); pip install 'centermask[export]'") from error


def _device_name(core: Any, device: str) -> str:
    name = device.upper().replace(":", ".")
    known = core.available_devices
    if name not in known:
        raise UserError(f"device '{device}' cannot be used with an .xml file; OpenVINO has {', '.join(known).lower()}")
    return name


def _read(core: Any, path: Path) -> Any:
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise UserError(f"{weights}: no such file; the weights of {path.name} must lie beside it")
    try:
        return core.read_model(path)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be opened by OpenVINO ({reason}); copy or export it again") from error


def engine_options(name: str, hint: str, threads: int | None) -> dict[str, str | int]:
    """How OpenVINO runs our files on a device of this name, computing in ``hint``; ``threads`` None: with all cores."""
    options: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    if name == "CPU":
        options["CPU_RUNTIME_CACHE_CAPACITY"] = PREPARED_PARTS
    return options


def to_hint(core: Any, name: str, precision: str, path: Path) -> str:
    """In what to compute: as the file wants, or float32 where the device cannot, or would not come back."""
    capabilities = core.get_property(name, "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in capabilities:  # chosen for its speed, so say that it is not to be had
        warnings.warn(f"{path}: this device does not compute in bf16; computing in fp32 instead", stacklevel=3)
        return HINTS["fp32"]
    # On processors that compute in fp16, OpenVINO 2026.4.1 never ends preparing such a network; the file is half as
    # large all the same.
    if precision == "fp16" and (name == "CPU" or "FP16" not in capabilities):
        return HINTS["fp32"]
    return HINTS[precision]
