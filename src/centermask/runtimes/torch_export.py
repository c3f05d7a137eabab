"""torch.export: a ``.pt2`` file, with torch but without the network's Python."""

from pathlib import Path

import torch
import torchvision  # noqa: F401 (a file is opened only where the operators in it are known)
from torch.export.passes import move_to_device_pass

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances
from centermask.runtimes.exported import Exported, Inputs, Outputs, read_header
from centermask.runtimes.torch import open_device
from centermask.size import Size

HEADER_FILE = "centermask.json"
"""Name of the file inside the archive that holds our JSON."""


class TorchExportRuntime:
    """A network as torch.export keeps it; a ``Runtime``.

    Args:
        path: A file that ``centermask export --format torch-export`` wrote. Open only files that you trust.
        device: Where to compute; None: on the processor.

    Raises:
        UserError: the file is missing, broken or not ours, or the device cannot be used.
    """

    def __init__(self, path: str | Path, device: str | None = None) -> None:
        path = Path(path)
        self._device = open_device(device or "cpu")
        self.device = str(self._device)
        program, text = _load(path)
        header = read_header(text, path)
        if self._device.type != "cpu":
            program = move_to_device_pass(program, self._device)
        self._network = program.module(check_guards=False)  # they refuse pictures of one cell, which it can take
        self._exported = Exported(header, path, self.device)
        self.config: ModelConfig = header.config
        self.plane: Size | None = header.plane

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        """See ``Runtime``."""
        return self._exported.answer(fitted, score_threshold, self._run)

    def keep_detections(self, count: int) -> None:
        """See ``Exported.keep_detections``."""
        self._exported.keep_detections(count)

    def _run(self, inputs: Inputs) -> Outputs:
        with torch.inference_mode():
            found = self._network(*(torch.from_numpy(value).to(self._device) for value in inputs))
        return Outputs(*(value.cpu().numpy() for value, _ in zip(found, Outputs._fields, strict=False)))


def _load(path: Path) -> tuple[torch.export.ExportedProgram, str]:
    extra = {HEADER_FILE: ""}
    try:
        return torch.export.load(path, extra_files=extra), extra[HEADER_FILE]
    except Exception as error:  # on broken archives, torch raises nearly anything
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be opened by torch.export ({reason}); copy or export it again") from error
