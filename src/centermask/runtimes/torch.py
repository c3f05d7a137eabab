"""PyTorch: a weights file, or a network that is in memory already."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances
from centermask.model.centermask import CenterMask
from centermask.runtimes.precision import has_bf16
from centermask.runtimes.runtime import Precision, memory_in_words
from centermask.runtimes.segmenter import Segmenter
from centermask.size import Size
from centermask.structures import ImageBatch, RoIInstances

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
COMPILERS = ("g++", "clang++", "c++", "cl")
CPU = torch.device("cpu")


class TorchRuntime:
    """A network in PyTorch; a ``Runtime``.

    Args:
        network: Moved to the device and put into evaluation mode; else left as it is unless the arguments below say so.
        device: Where to compute; None: where the network is.
        precision: In what it computes from now on; None: as it does. Its weights are converted in place.
        compile: Compile its dense part with torch.compile, in place: slow the first time, faster afterwards.

    Raises:
        UserError: the device cannot be used, precision or compile is asked of another network than a ``CenterMask``,
            or there is no compiler.
    """

    plane: Size | None = None

    def __init__(
        self,
        network: Segmenter,
        device: str | torch.device | None = None,
        *,
        precision: Precision | None = None,
        compile: bool = False,
    ) -> None:
        self._device = open_device(device) if device is not None else _device_of(network)
        self.device = str(self._device)
        self.network = network
        self.config = network.config
        network.to(self._device)
        network.eval()
        if precision is not None:
            _own(network, "precision").compute_in(DTYPES[_chosen(precision, self._device)])
        if compile:
            _compile(_own(network, "compile"))

    @classmethod
    def load(
        cls,
        path: Path,
        device: str | torch.device | None = None,
        *,
        precision: Precision | None = None,
        compile: bool = False,
    ) -> "TorchRuntime":
        """Open a weights file.

        Args:
            path: The file.
            device: Where to compute; None: on the accelerator if there is one.
            precision: In what; None: fp32.
            compile: See the class.

        Raises:
            UserError: the file cannot be used, or see the class.
        """
        network = CenterMask.load(path, device=open_device(device) if device is not None else _best_device())
        # As convolutions read them. Only here, where nobody else holds the network.
        network.to(memory_format=torch.channels_last)
        return cls(network, precision=precision, compile=compile)

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        """See ``Runtime``."""
        with memory_in_words(fitted, self.device), torch.inference_mode():
            batch = ImageBatch(torch.from_numpy(fitted.pixels), torch.from_numpy(fitted.sizes)).to(self._device)
            return _to_numpy(self._find(batch, score_threshold))

    def keep_detections(self, count: int) -> None:
        """See ``Runtime``.

        The network keeps its own number by box score, before it knows what the masks are worth: told of fewer, it would
        drop objects that are among the best in the end.
        """
        self.network.keep_detections(max(count, self.config.max_detections))

    def _find(self, batch: ImageBatch, score_threshold: float) -> list[RoIInstances]:
        if isinstance(self.network, CenterMask):
            return self.network(batch, score_threshold)
        return self.network(batch)


def open_device(name: str | torch.device) -> torch.device:
    """The device of a name, proved by putting something there.

    Raises:
        UserError: it cannot be used.
    """
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch built without it asserts
        reason = str(error).splitlines()[0]
        raise UserError(f"device '{name}' cannot be used ({reason}); try 'cpu'") from error


def _device_of(network: Segmenter) -> torch.device:
    return next((each.device for each in network.parameters()), CPU)


def _best_device() -> torch.device:
    return (torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None) or CPU


def _chosen(precision: Precision, device: torch.device) -> str:
    if precision != "auto":
        return precision
    return "bf16" if has_bf16(gpu=device.type == "cuda") else "fp32"


def _own(network: Segmenter, asked: str) -> CenterMask:
    if not isinstance(network, CenterMask):
        raise UserError(f"{asked} can be given for a CenterMask only, not for {type(network).__name__}; leave it out")
    return network


def _compile(network: CenterMask) -> None:
    """Compile what computes on whole pictures; what depends on the objects found changes its shapes in every call.

    Sides and number of pictures are left open, so that no size is compiled for by itself. Only 1 and equality are taken
    literally: one picture or more, a square plane, and pyramid levels of one row or column are compiled for apart.
    """
    if shutil.which(os.environ.get("CXX", "")) is None and not any(map(shutil.which, COMPILERS)):
        raise UserError("compile needs a C++ compiler, and none is found; install g++, or leave compile out")
    for part in (network.backbone, network.pyramid, network.detection_head):
        part.compile(dynamic=True)


def _to_numpy(found: Sequence[RoIInstances]) -> list[SoftInstances]:
    """One copy of each field for all pictures: each copy from an accelerator waits for it."""
    ends = np.cumsum([len(one.scores) for one in found])[:-1]
    fields = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
    return [SoftInstances(*parts) for parts in zip(*(np.split(field, ends) for field in fields), strict=True)]
