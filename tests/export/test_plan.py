"""What cannot be exported is refused in words, before any work."""

from pathlib import Path

import pytest

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.export.plan import Format, Plan, check_plan, choose_format, choose_plane, with_places
from centermask.size import Size

CONFIG = ModelConfig()


def plan(format: Format = "onnx", precision: str = "fp32") -> Plan:
    return Plan(format=format, precision=precision, plane=None, pixel_kind="uint8", full_masks=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "format"), [("a.onnx", "onnx"), ("a.XML", "openvino"), ("b/a.pt2", "torch-export")])
def test_the_ending_names_the_format(name: str, format: Format) -> None:
    assert choose_format(Path(name), None) == format
    assert choose_format(Path(name), format) == format


@pytest.mark.parametrize(
    ("name", "format", "said"),
    [("a.bin", None, "must end in .onnx, .xml, .pt2"), ("a", None, "must end in"), ("a.onnx", "openvino", ".xml"),
     ("a.pt", "torch-export", "the name of a torch-export file must end in .pt2"),
     ("a.xml", "onnx", "the name of an onnx file must end in .onnx")],
)  # fmt: skip
def test_another_ending_is_refused_with_the_right_one(name: str, format: Format | None, said: str) -> None:
    with pytest.raises(UserError, match=said):
        choose_format(Path(name), format)


@pytest.mark.parametrize(
    ("format", "precision", "calibrated", "said"),
    [
        ("onnx", "bf16", False, "use --out NAME.xml for OpenVINO, or --precision fp16"),
        ("torch-export", "int8", True, "use --format onnx or openvino"),
        ("onnx", "int8", False, "give --calibration"),
        ("openvino", "int8", False, "give --calibration"),
        ("onnx", "fp16", True, "calibration is for int8"),
    ],
)
def test_what_does_not_go_together_is_refused(format: Format, precision: str, calibrated: bool, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_plan(plan(format, precision), CONFIG, calibrated=calibrated)


@pytest.mark.parametrize(
    ("format", "precision"),
    [("onnx", "fp32"), ("onnx", "fp16"), ("onnx", "int8"), ("openvino", "fp32"), ("openvino", "fp16"),
     ("openvino", "bf16"), ("openvino", "int8"), ("torch-export", "fp32"), ("torch-export", "fp16"),
     ("torch-export", "bf16")],
)  # fmt: skip
def test_all_else_is_planned(format: Format, precision: str) -> None:
    check_plan(plan(format, precision), CONFIG, calibrated=precision == "int8")


def test_deformable_convolutions_go_anywhere_but_into_openvino() -> None:
    deformable = ModelConfig(backbone="vovnet39-dcn")
    with pytest.raises(UserError, match=r"deformable.*--format onnx"):
        check_plan(plan("openvino"), deformable, calibrated=False)
    for format in ("onnx", "torch-export"):
        check_plan(plan(format), deformable, calibrated=False)


def test_a_fixed_plane_is_as_the_network_was_tested_or_as_asked_in_steps_of_32() -> None:
    assert choose_plane(ModelConfig(), dynamic=False, size=None) == Size(800, 1344)
    assert choose_plane(ModelConfig(), dynamic=False, size=(1, 33)) == Size(32, 64)
    assert choose_plane(ModelConfig(), dynamic=True, size=None) is None


def test_a_plane_needs_fixed_shapes_and_a_pixel() -> None:
    with pytest.raises(UserError, match="leave --size out, or say --no-dynamic"):
        choose_plane(ModelConfig(), dynamic=True, size=(64, 64))
    with pytest.raises(UserError, match="at least 1 × 1"):
        choose_plane(ModelConfig(), dynamic=False, size=(0, 64))


def test_places_change_nothing_else() -> None:
    assert with_places(CONFIG, None) == CONFIG
    assert with_places(CONFIG, 7).max_detections == 7
    with pytest.raises(UserError, match="max_detections must be at least 1"):
        with_places(CONFIG, 0)
