"""torch.export: a ``.pt2`` file, with torch but without the network's Python."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torchvision  # noqa: F401 (a file is opened only where the operators in it are known)
from jaxtyping import UInt8
from torch.export.passes import move_to_device_pass

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances
from centermask.runtimes.exported import Exported, Inputs, Outputs, Pasted, read_header
from centermask.runtimes.torch import open_device
from centermask.size import Size

HEADER_FILE = "centermask.json"
"""Name of the file inside the archive that holds our JSON."""


class TorchExportRuntime:
    """A network as torch.export keeps it; an ``ExportedRuntime``.

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
        program, text = load_program(path)
        header = read_header(text, path)
        if self._device.type != "cpu":
            program = move_to_device_pass(program, self._device)
        self._network = program.module(check_guards=False)  # they refuse pictures of one cell, which it can take
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
        return Outputs(*self._answers(inputs)[: len(Outputs._fields)])

    def _run_fully(self, inputs: Inputs) -> tuple[Outputs, UInt8[np.ndarray, "images most height width"]]:
        *found, full_masks = self._answers(inputs)
        return Outputs(*found), full_masks

    def _answers(self, inputs: Inputs) -> list[np.ndarray]:
        with torch.inference_mode():
            found = self._network(*(torch.from_numpy(value).to(self._device) for value in inputs))
        return [value.cpu().numpy() for value in found]


def load_program(path: Path) -> tuple[torch.export.ExportedProgram, str]:
    """What a file holds, and the text of its header, which is empty if it has none.

    Raises:
        UserError: the file is missing or broken.
    """
    extra = {HEADER_FILE: ""}
    said: list[BaseException] = []
    try:
        # Given as a stream: of a name, torch wants its ending in small letters.
        with path.open("rb") as file, _quietly(said):
            return torch.export.load(file, extra_files=extra), extra[HEADER_FILE]
    except Exception as error:  # on broken archives, torch raises nearly anything
        reason = " ".join(str([*said, error][0]).split()).partition(". ")[0]
        raise UserError(f"{path}: cannot be opened by torch.export ({reason}); copy or export it again") from error


@contextlib.contextmanager
def _quietly(said: list[BaseException]) -> Iterator[None]:
    """Keep the errors that torch would only write into its log, before it tries an older format and fails at that."""

    def keep(record: logging.LogRecord) -> bool:
        said.extend(error for error in (record.exc_info or ())[1:2] if isinstance(error, BaseException))
        return False

    logger = logging.getLogger("torch.export")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)
