"""Tiny networks as files of every format, asked through the engines themselves, without our runtimes."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jaxtyping
import numpy as np
import onnx
import onnxruntime
import torch
from torch.export import ExportedProgram

from centermask.export.compare import Room, compare_exactly
from centermask.export.graph import Answer
from centermask.export.onnx_file import make_onnx, set_header
from centermask.export.openvino_file import save_openvino
from centermask.export.program import make_program
from centermask.export.writers import save_program
from centermask.images import SoftInstances
from centermask.model.centermask import CenterMask
from centermask.runtimes.exported import Inputs
from centermask.runtimes.openvino import import_openvino
from centermask.size import Size, pad_size
from centermask.structures import ImageBatch
from tests.model.small import small_model

Arrays = Mapping[str, np.ndarray]


class Engine(Protocol):
    """Inputs in the order of their names to outputs by name."""

    def __call__(self, *inputs: np.ndarray) -> Arrays: ...


class OnnxEngine:
    """ONNX Runtime."""

    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # several would turn and wait for each other on a busy machine
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    def __call__(self, *inputs: np.ndarray) -> Arrays:
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, dict(zip(Inputs._fields, inputs, strict=True))), strict=True))


class OpenVinoEngine:
    """OpenVINO in float32."""

    def __init__(self, path: Path) -> None:
        self.network = import_openvino().Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def __call__(self, *inputs: np.ndarray) -> Arrays:
        found = self.network(dict(zip(Inputs._fields, inputs, strict=True)))
        return {output.any_name: np.array(found[output]) for output in self.network.outputs}


class ProgramEngine:
    """torch.export, as a file would give it back."""

    def __init__(self, program: ExportedProgram) -> None:
        self.module = program.module(check_guards=False)

    def __call__(self, *inputs: np.ndarray) -> Arrays:
        with torch.inference_mode():
            found = self.module(*(torch.from_numpy(np.array(value)) for value in inputs))
        return {name: value.numpy() for name, value in zip(Answer._fields, found, strict=False)}


class Exported(NamedTuple):
    """A network, and what was made of it."""

    model: CenterMask
    program: ExportedProgram
    onnx: onnx.ModelProto
    xml: Path
    engines: Mapping[str, Engine]


def lively_model(**changes: Any) -> CenterMask:
    """A tiny network whose masks have shapes, and whose predicted IoUs differ; for tiny pictures."""
    model = small_model(**{"test_short_side": 64, "test_long_side": 96, "score_threshold": 0.05} | changes)
    torch.nn.init.normal_(model.mask_head.predictor.weight, std=5.0)
    if model.mask_iou_head is not None:
        torch.nn.init.normal_(model.mask_iou_head.predictor.weight, std=0.05)
        torch.nn.init.constant_(model.mask_iou_head.predictor.bias, 0.7)
    return model


def export_small(folder: Path, *, plane: Size | None = None, full_masks: bool = False,
                 pixel_kind: Any = "uint8", **changes: Any) -> Exported:  # fmt: skip
    """A tiny network in all formats."""
    model = lively_model(**changes)
    with unchecked():
        program = make_program(model, plane=plane, pixel_kind=pixel_kind, full_masks=full_masks)
        translated = make_onnx(program, full_masks=full_masks)
    xml = folder / "small.xml"
    save_openvino(translated, "{}", xml)
    engines = {
        "onnx": OnnxEngine(translated),
        "openvino": OpenVinoEngine(xml),
        "torch-export": ProgramEngine(program),
    }
    return Exported(model, program, translated, xml, engines)


def write(made: Exported, header: str, path: Path) -> Path:
    """A network as the file that a path's ending asks for, in small letters or not."""
    match path.suffix.lower():
        case ".onnx":
            copied = onnx.ModelProto.FromString(made.onnx.SerializeToString())
            set_header(copied, header)
            onnx.save(copied, path)
        case ".xml":
            save_openvino(made.onnx, header, path)
        case _:
            save_program(made.program, header, path)
    return path


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Without the checks of shapes, which would hand numbers that are being traced to Python.

    And without torch's log of the tracing, which pytest would keep: it takes as long as the tracing itself.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        jaxtyping.config.update("jaxtyping_disable", False)


def noise(sizes: Sequence[tuple[int, int]], seed: int = 0, plane: Size | None = None) -> np.ndarray:
    """Pictures of noise on one plane; the padding holds noise, too."""
    plane = plane or pad_size([Size(*size) for size in sizes], 1)
    return np.random.default_rng(seed).integers(0, 256, (len(sizes), 3, *plane), dtype=np.uint8)


def in_torch(model: CenterMask, pixels: np.ndarray, sizes: Sequence[tuple[int, int]]) -> list[SoftInstances]:
    """What the network finds in PyTorch at threshold 0, on planes padded as the network wants them, best first."""
    height, width = pad_size([Size(*pixels.shape[2:])], 32)
    padded = np.zeros((len(pixels), 3, height, width), dtype=pixels.dtype)
    padded[:, :, : pixels.shape[2], : pixels.shape[3]] = pixels
    with torch.inference_mode():
        found = model(ImageBatch(torch.from_numpy(padded), torch.tensor(sizes)))
    sorted_ = [type(one)(*(field[one.scores.argsort(descending=True)] for field in one)) for one in found]
    return [SoftInstances(*(field.numpy() for field in one)) for one in sorted_]


def ask(engine: Engine, pixels: np.ndarray, sizes: Sequence[tuple[int, int]], threshold: float = 0.0) -> Arrays:
    """What a file gives."""
    return engine(pixels, np.array(sizes, dtype=np.int64), np.array(threshold, dtype=np.float32))


def objects(found: Arrays, image: int) -> SoftInstances:
    """The filled places of an image."""
    names = ("boxes", "scores", "box_scores", "labels", "masks")
    return SoftInstances(*(found[name][image, : found["counts"][image]] for name in names))


def assert_same(found: Arrays, expected: Sequence[SoftInstances], threshold: float, places: int) -> None:
    """Each image has the objects that PyTorch finds, best first, and nothing in its other places."""
    assert len(found["counts"]) == len(expected)
    for image, wanted in enumerate(expected):
        given = objects(found, image)
        assert (np.diff(given.scores) <= 0).all()
        compared = compare_exactly(wanted, given, threshold, Room(places, places))
        assert compared.unpaired == 0
        assert compared.differences.boxes.max(initial=0) <= 0.01
        assert compared.differences.scores.max(initial=0) <= 1e-4
        assert compared.differences.masks.max(initial=0) <= 1e-3
        for name, values in found.items():
            assert name == "counts" or not values[image, found["counts"][image] :].any()
