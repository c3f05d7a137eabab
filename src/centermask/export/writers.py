"""A network in memory to a file of each format."""

import copy
import io
from collections.abc import Iterable
from pathlib import Path

import torch
from torch.export import ExportedProgram

from centermask.export.plan import Plan
from centermask.export.program import make_program
from centermask.model.centermask import CenterMask
from centermask.runtimes.exported import Inputs
from centermask.runtimes.torch_export import HEADER_FILE

DTYPES = {
    ("onnx", "fp16"): torch.float16,
    ("torch-export", "fp16"): torch.float16,
    ("torch-export", "bf16"): torch.bfloat16,
}
"""What the traced network computes in, by format and precision, where it is not float32.

OpenVINO files are float32 to the last: it converts weights when it saves them, and computes in bf16 when it is told so.
"""


def write_exported(
    model: CenterMask, plan: Plan, header: str, path: Path, calibration: Iterable[Inputs] | None = None
) -> None:
    """Write a file.

    Args:
        model: On the processor, in evaluation mode, in float32; left as it is.
        plan: How.
        header: Our JSON.
        path: Where to; its folder exists.
        calibration: For int8, a picture each, with a threshold of zero.

    Raises:
        UserError: int8, and the network finds nothing on the pictures.
        OSError: the file cannot be written.
    """
    dtype = DTYPES.get((plan.format, plan.precision), torch.float32)
    program = make_program(_in(model, dtype), plane=plan.plane, pixel_kind=plan.pixel_kind, full_masks=plan.full_masks)
    if plan.format == "torch-export":
        save_program(program, header, path)
        return
    # They need what only the extra `export` installs.
    from centermask.export.onnx_file import make_onnx, set_header

    translated = make_onnx(program, full_masks=plan.full_masks)
    if plan.precision == "int8":
        from centermask.export.quantise import quantise

        translated = quantise(translated, (feed._asdict() for feed in calibration or ()))
    if plan.format == "openvino":
        from centermask.export.openvino_file import save_openvino

        save_openvino(translated, header, path, half=plan.precision == "fp16")
        return
    set_header(translated, header)
    path.write_bytes(translated.SerializeToString())


def save_program(program: ExportedProgram, header: str, path: Path) -> None:
    """Write a ``.pt2``, by way of memory: where the disk is full, torch would end the whole process.

    Raises:
        OSError: the file cannot be written.
    """
    archive = io.BytesIO()
    torch.export.save(program, archive, extra_files={HEADER_FILE: header})
    path.write_bytes(archive.getbuffer())


def _in(model: CenterMask, dtype: torch.dtype) -> CenterMask:
    if dtype == torch.float32:
        return model
    converted = copy.deepcopy(model)
    converted.compute_in(dtype)
    return converted
