"""A file, and how it shall be run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from centermask.files import EXPORTED
from centermask.runtimes.open import open_runtime
from centermask.runtimes.runtime import Precision, Runtime

ENGINES = {".onnx": "ONNX Runtime", ".xml": "OpenVINO", ".pt2": "torch.export"}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run a network."""

    path: Path
    device: str | None = None
    """None: weights on the accelerator if there is one, all else on the processor."""
    precision: Precision | None = None
    """In what weights compute; None: fp32. An exported file's was fixed at export."""
    compile: bool = False
    """Compile the dense part of weights with torch.compile."""
    threads: int | None = None
    """Cores to compute with; None: as the engine chooses. PyTorch has one number for all its networks."""
    channels_last: bool = True
    """False: weights in the order in which PyTorch stores them."""
    compute_in: Literal["fp32", "bf16"] | None = None
    """For OpenVINO, instead of what the file asks for."""

    @property
    def engine(self) -> str:
        """What runs it."""
        return ENGINES.get(self.path.suffix.lower(), "PyTorch")

    @property
    def is_exported(self) -> bool:
        """Whether it is a file of ``centermask export``."""
        return self.path.suffix.lower() in EXPORTED

    @property
    def bytes(self) -> int:
        """Of the file, and of the one with the weights that lies beside an ``.xml``."""
        files = [self.path, self.path.with_suffix(".bin")] if self.engine == "OpenVINO" else [self.path]
        return sum(file.stat().st_size for file in files if file.is_file())

    def open(self) -> Runtime:
        """Open it.

        Raises:
            UserError: see ``open_runtime``.
        """
        if self.engine == "OpenVINO":
            from centermask.runtimes.openvino import OpenVinoRuntime

            return OpenVinoRuntime(self.path, self.device, self.threads, self.compute_in)
        if self.is_exported or self.channels_last:
            return open_runtime(self.path, self.device, precision=self.precision, compile=self.compile,
                                threads=self.threads)  # fmt: skip
        return self._open_in_order()

    def _open_in_order(self) -> Runtime:
        import torch

        from centermask.model.centermask import CenterMask
        from centermask.runtimes.torch import TorchRuntime

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        network = CenterMask.load(self.path)
        return TorchRuntime(network, self.device, precision=self.precision, compile=self.compile)
