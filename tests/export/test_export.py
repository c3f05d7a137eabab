"""The story: weights to a file that is known to agree, or to none."""

import contextlib
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from centermask import __version__
from centermask.checkpoint import save_model
from centermask.data.gems import GemRecipe, GemSet
from centermask.errors import UserError
from centermask.export.header import make_header
from centermask.export.onnx_file import set_header
from centermask.export.openvino_file import save_openvino
from centermask.export.parity import Parity
from centermask.export.pictures import drawn_pictures
from centermask.export.place import aside, parts
from centermask.export.plan import ENDINGS, Format, Plan
from centermask.export.run import export_model, place_if_equal
from centermask.export.writers import write_exported
from centermask.predict import Predictor
from centermask.runtimes.exported import read_header
from centermask.runtimes.open import open_runtime
from centermask.runtimes.openvino import import_openvino
from centermask.size import Size
from tests.export.conftest import PLANE
from tests.export.files import Exported, lively_model, unchecked, write

NOTES = {"licence": 'of "pictures" & weights', "data": "noise"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_model(lively_model(), path, notes=NOTES)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def plan(format: str = "onnx", precision: str = "fp32", **changes: object) -> Plan:
    values = {"plane": None, "pixel_kind": "uint8", "full_masks": False} | changes
    return Plan(format=format, precision=precision, **values)  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_exported_file_predicts_what_its_weights_predict(weights: Path, tmp_path: Path) -> None:
    said: list[str] = []
    seen: list[Parity] = []
    out = tmp_path / "small.onnx"
    with unchecked():
        parity = export_model(weights, out, max_detections=5, on_step=said.append, on_parity=seen.append)
    assert names(tmp_path) == ["small.onnx", "small.onnx.parity.json"]
    assert parity.passed
    assert parity.tested
    assert seen == [parity]
    assert said == [
        "writing onnx in fp32 for pictures of any size",
        "comparing with PyTorch on drawn pictures",
    ]
    assert json.loads((tmp_path / "small.onnx.parity.json").read_text())["passed"] is True
    picture = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    for count in (5, 3, 1):
        ours, theirs = (Predictor(path, max_detections=count)(picture) for path in (out, weights))
        assert len(ours) == len(theirs) == count
        assert np.allclose(ours.boxes, theirs.boxes, atol=0.01)
        assert ours.categories == theirs.categories
    [entry] = onnx.load(out).metadata_props
    assert json.loads(entry.value)["notes"] == NOTES
    assert json.loads(entry.value)["config"]["max_detections"] == 5


@pytest.mark.slow
def test_int8_of_fixed_shapes_in_openvino(weights: Path, tmp_path: Path) -> None:
    for i in range(4):
        Image.fromarray(GemSet(images=4, recipe=GemRecipe(size=Size(64, 80)))[i].image).save(tmp_path / f"{i}.png")
    out = tmp_path / "out" / "small.xml"
    with unchecked():
        parity = export_model(
            weights, out, precision="int8", calibration=str(tmp_path), dynamic=False, licence="CC BY 4.0 ©"
        )
    assert names(out.parent) == ["small.bin", "small.xml", "small.xml.parity.json"]
    assert parity.source == str(tmp_path)
    assert open_runtime(out).plane == Size(64, 96)
    network = import_openvino().Core().read_model(out)
    assert json.loads(network.get_rt_info(["centermask"]).value)["notes"] == NOTES | {"licence": "CC BY 4.0 ©"}
    kinds = {node.get_type_name() for node in network.get_ops()}
    assert "FakeQuantize" in kinds or "Convert" in kinds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "format", "precision"),
    [("a.onnx", "onnx", "fp16"), ("a.xml", "openvino", "fp16"), ("a.pt2", "torch-export", "bf16")],
)
def test_files_of_fewer_bits_agree_in_the_bulk(name: str, format: Format, precision: str, tmp_path: Path) -> None:
    model = lively_model()
    made = plan(format, precision, plane=Size(64, 96))
    with unchecked(), aside(tmp_path / name) as written:
        write_exported(model, made, make_header(made, model.config, {}), written)
        parity = place_if_equal(written, tmp_path / name, model, made, drawn_pictures())
    assert parity.objects >= 10
    assert (tmp_path / name).is_file()
    assert all(weight.dtype == torch.float32 for weight in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.onnx", "a.xml"])
def test_a_file_with_one_layer_damaged_is_refused(small: Exported, tmp_path: Path, name: str) -> None:
    damaged = onnx.ModelProto()
    damaged.CopyFrom(small.onnx)
    layer = next(tensor for tensor in damaged.graph.initializer if "tower" in tensor.name and len(tensor.dims) == 4)
    layer.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(layer) * np.float32(1.01), layer.name))
    made, out, seen = plan(ENDINGS[Path(name).suffix]), tmp_path / name, []
    with aside(out) as written:
        write_damaged(damaged, make_header(made, small.model.config, {}), written)
        with pytest.raises(UserError, match="does not agree with PyTorch"):
            place_if_equal(written, out, small.model, made, drawn_pictures(), seen.append)
    assert names(tmp_path) == [f"{name}.refused.json"]
    assert json.loads((tmp_path / f"{name}.refused.json").read_text())["passed"] is False
    assert not seen[0].passed


@pytest.mark.slow
def test_a_file_whose_full_masks_are_empty_is_refused(other: Exported, tmp_path: Path) -> None:
    emptied = onnx.ModelProto.FromString(other.onnx.SerializeToString())
    (node,) = [node for node in emptied.graph.node if "full_masks" in node.output]
    node.output[list(node.output).index("full_masks")] = "full"
    emptied.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, dtype=np.uint8), "none"))
    emptied.graph.node.append(onnx.helper.make_node("Mul", ["full", "none"], ["full_masks"]))
    made, out = plan(pixel_kind="float32", full_masks=True), tmp_path / "a.onnx"
    for damaged in (emptied, other.onnx):
        with aside(out) as written, contextlib.ExitStack() as refusal:
            write_damaged(damaged, make_header(made, other.model.config, {}), written)
            if damaged is emptied:
                refusal.enter_context(pytest.raises(UserError, match="PyTorch: full masks differ by"))
            parity = place_if_equal(written, out, other.model, made, drawn_pictures())
    assert parity.totals[0].full_masks.largest <= 1e-3
    assert names(tmp_path) == ["a.onnx", "a.onnx.parity.json"]  # what was said of the first is gone


def write_damaged(model: onnx.ModelProto, header: str, path: Path) -> None:
    set_header(model, header)
    if path.suffix == ".xml":
        save_openvino(model, header, path)
    else:
        onnx.save(model, path)


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [1, 2])
def test_an_export_that_is_stopped_leaves_what_stood_there(weights: Path, tmp_path: Path, stop_at: int) -> None:
    out = tmp_path / "small.pt2"
    out.write_text("old")
    steps = []

    def stop(step: str) -> None:
        steps.append(step)
        if len(steps) == stop_at:
            raise KeyboardInterrupt

    with unchecked(), pytest.raises(KeyboardInterrupt):
        export_model(weights, out, dynamic=False, size=(33, 33), on_step=stop)
    assert steps[0] == "writing torch-export in fp32 for one picture of 64 × 64"
    assert names(tmp_path) == ["small.pt2"]
    assert out.read_text() == "old"


@pytest.mark.slow
def test_the_ending_may_be_in_capitals(fixed: Exported, tmp_path: Path) -> None:
    made, out = plan("openvino", plane=PLANE), tmp_path / "UP.XML"
    with aside(out) as written:
        write(fixed, make_header(made, fixed.model.config, {}), written)
        parity = place_if_equal(written, out, fixed.model, made, drawn_pictures().spread(1))
    assert parity.passed
    assert names(tmp_path) == ["UP.XML", "UP.XML.parity.json", "UP.bin"]
    assert open_runtime(out).plane == PLANE


FULL = Path("/dev/full")
"""A file that says of every write that the disk is full."""


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="only Linux has it")
@pytest.mark.parametrize("name", ["a.xml", "a.pt2"])
def test_a_full_disk_is_told_in_words(fixed: Exported, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name}: cannot be written"):
        write_in_vain(fixed, tmp_path / name)
    assert names(tmp_path) == []


def write_in_vain(made: Exported, out: Path) -> None:
    with aside(out) as written:
        for part in parts(written):
            part.symlink_to(FULL)
        write(made, "{}", written)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"licence": " "}, "the licence is empty"),
        ({"out": "a.bin"}, "must end in .onnx, .xml, .pt2"),
        ({"format": "openvino"}, "must end in .xml"),
        ({"precision": "bf16"}, "use --out NAME.xml"),
        ({"precision": "int8"}, "give --calibration"),
        ({"calibration": "gems:"}, "calibration is for int8"),
        ({"size": (64, 64)}, "leave --size out"),
        ({"max_detections": 0}, "at least 1"),
        ({"pictures": "nowhere"}, "nowhere: neither pictures"),
        ({"precision": "int8", "calibration": "nowhere"}, "nowhere: neither pictures"),
        ({"weights": "nowhere.safetensors"}, "no such weights file"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_made(
    weights: Path, tmp_path: Path, arguments: dict[str, object], said: str
) -> None:
    given = {"weights": weights, "out": "a.onnx"} | arguments
    first, out = given.pop("weights"), tmp_path / "new" / str(given.pop("out"))
    with pytest.raises(UserError, match=said):
        export_model(first, out, **given)  # type: ignore[arg-type]
    assert names(tmp_path) == []


def test_an_exported_file_is_not_exported_again(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("")
    with pytest.raises(UserError, match="was exported already; give the weights"):
        export_model(tmp_path / "a.onnx", tmp_path / "b.onnx")


def test_the_header_says_what_whoever_opens_the_file_must_know() -> None:
    config = lively_model().config
    made = plan("openvino", "bf16", plane=Size(64, 96), pixel_kind="float32", full_masks=True)
    text = make_header(made, config, NOTES)
    assert json.loads(text) == {
        "kind": "exported",
        "format": "openvino",
        "config": config.to_dict(),
        "precision": "bf16",
        "input": "float32",
        "plane": [64, 96],
        "full_masks": True,
        "notes": NOTES,
        "version": __version__,
    }
    header = read_header(text, Path("a.xml"))
    assert (header.config, header.plane, header.precision, header.float_pixels) == (config, (64, 96), "bf16", True)


def test_no_file_tells_paths_of_the_machine_that_made_it(small: Exported, tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2]).encode()
    torch.export.save(small.program, tmp_path / "small.pt2")
    with zipfile.ZipFile(tmp_path / "small.pt2") as archive:
        parts = [archive.read(name) for name in archive.namelist()]
    assert not any(root in part for part in [*parts, small.onnx.SerializeToString(), small.xml.read_bytes()])
