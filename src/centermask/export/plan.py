"""What to export, settled and checked before any work is done."""

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.export.program import PixelKind
from centermask.size import Size, pad_size

Format = Literal["onnx", "openvino", "torch-export"]
ExportPrecision = Literal["fp32", "fp16", "bf16", "int8"]

ENDINGS: dict[str, Format] = {".onnx": "onnx", ".xml": "openvino", ".pt2": "torch-export"}
PACKAGES: dict[Format, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "onnxruntime", "openvino"),
    "torch-export": (),
}
REFUSED: dict[tuple[str, str], str] = {
    (
        "onnx",
        "bf16",
    ): "ONNX Runtime computes bf16 on no processor; use --out NAME.xml for OpenVINO, or --precision fp16",
    (
        "torch-export",
        "int8",
    ): "torch-export files are not quantised; use --format onnx or openvino, or --precision bf16",
}
DIVISOR = 32


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a network is exported."""

    format: Format
    precision: ExportPrecision
    plane: Size | None
    """The only size that the file takes, one picture at a time; None: any size, any number."""
    pixel_kind: PixelKind
    full_masks: bool


def choose_format(out: Path, format: Format | None) -> Format:
    """The format that was asked for, or that the file's ending names.

    Raises:
        UserError: the ending names none, or another one.
    """
    named = ENDINGS.get(out.suffix.lower())
    if named is None or format not in (None, named):
        asked = {name: ending for ending, name in ENDINGS.items()}
        wanted = asked[format] if format else f"{', '.join(ENDINGS)} (ONNX, OpenVINO, torch.export)"
        article = "an" if format and format[0] in "aeiou" else "a"
        raise UserError(f"{out}: the name of {f'{article} {format}' if format else 'the'} file must end in {wanted}")
    return named


def check_plan(plan: Plan, config: ModelConfig, *, calibrated: bool) -> None:
    """See that a network can be exported so.

    Args:
        plan: How.
        config: Of the network.
        calibrated: Whether there are pictures to calibrate int8 with.

    Raises:
        UserError: the combination cannot be computed, or something is missing.
    """
    if refusal := REFUSED.get((plan.format, plan.precision)):
        raise UserError(refusal)
    if plan.precision == "int8" and not calibrated:
        raise UserError("int8 needs pictures like those the network shall see, to learn in which range its numbers "
                        "lie; give --calibration DATA, about 100 pictures")  # fmt: skip
    if plan.precision != "int8" and calibrated:
        raise UserError(f"calibration is for int8, not for {plan.precision}; leave it out, or say --precision int8")
    if plan.format == "openvino" and config.backbone.endswith("-dcn"):
        raise UserError(f"OpenVINO cannot read the deformable convolutions of {config.backbone}; use --format onnx")
    missing = [name for name in PACKAGES[plan.format] if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{plan.format} files need {', '.join(missing)}; pip install 'centermask[export]'")


def choose_plane(config: ModelConfig, dynamic: bool, size: tuple[int, int] | None) -> Size | None:
    """The plane of a file of fixed shapes: ``size`` or, by default, what holds the pictures the network was tested on.

    Lying, as most pictures do: test_short_side high and test_long_side wide, rounded up to multiples of 32.

    Raises:
        UserError: a size is given for a file that takes any, or it is less than a pixel.

    >>> choose_plane(ModelConfig(test_short_side=600, test_long_side=1000), dynamic=False, size=None)
    Size(height=608, width=1024)
    """
    if dynamic:
        if size is not None:
            raise UserError(
                "a file for pictures of any size has no size of its own; leave --size out, or say --no-dynamic"
            )
        return None
    asked = Size(*size) if size else Size(config.test_short_side, config.test_long_side)
    if min(asked) < 1:
        raise UserError(f"size must be at least 1 × 1 pixels, not {asked.height} × {asked.width}")
    return pad_size([asked], DIVISOR)


def with_places(config: ModelConfig, max_detections: int | None) -> ModelConfig:
    """The configuration with another number of objects per picture, if one is given.

    Raises:
        UserError: it is less than one.
    """
    return config if max_detections is None else replace(config, max_detections=max_detections)
