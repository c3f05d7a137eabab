"""Networks with random weights, at work as on a real picture, and their exported files."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch

from centermask import CenterMask, build, preset
from centermask.export.header import make_header
from centermask.export.onnx_file import make_onnx, set_header
from centermask.export.openvino_file import save_openvino
from centermask.export.plan import Plan
from centermask.export.program import make_program
from centermask.export.quantise import quantise
from centermask.images import Fitted, fit
from centermask.runtimes.exported import Inputs
from centermask.size import Size
from centermask.structures import ImageBatch

CANDIDATES = 3000
"""Pairs of a location and a class above the class threshold, as on a crowded picture."""
CALIBRATION = 2
"""Noise pictures for int8: its speed does not depend on the ranges."""


class Network(NamedTuple):
    """A preset and the size of its pictures."""

    preset: str
    size: Size


NETWORKS = {
    "nano": Network("centermask-nano", Size(320, 320)),
    "lite-v19": Network("centermask-lite-v19", Size(600, 800)),
    "lite-v39": Network("centermask-lite-v39", Size(600, 800)),
    "v39": Network("centermask-v39", Size(800, 1066)),
}


def noise(size: Size, seed: int = 0) -> np.ndarray:
    """A picture, H×W×3."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def make_files(name: str, folder: Path, *, exported: bool) -> None:
    """Write a network as weights and, if asked, as ONNX and OpenVINO, in float32 and int8; what is there stays."""
    weights = folder / f"{name}.safetensors"
    if not weights.is_file():
        _random(NETWORKS[name]).save(weights)
    if not exported or (folder / f"{name}-int8.bin").is_file():  # the last one written
        return
    model = CenterMask.load(weights).eval()
    graph = make_onnx(make_program(model))
    _write(graph, model, folder / name, "fp32")
    _write(quantise(graph, _feeds(NETWORKS[name].size)), model, folder / f"{name}-int8", "int8")


def _write(graph: onnx.ModelProto, model: CenterMask, path: Path, precision: str) -> None:
    plan = Plan(format="onnx", precision=precision, plane=None, pixel_kind="uint8", full_masks=False)
    header = make_header(plan, model.config, {})
    set_header(graph, header)
    onnx.save(graph, path.with_suffix(".onnx"))
    save_openvino(graph, header, path.with_suffix(".xml"))


def _feeds(size: Size) -> Iterator[dict[str, np.ndarray]]:
    for seed in range(CALIBRATION):
        fitted = fit([noise(size, seed)], [size])
        yield Inputs(*fitted, np.array(0, dtype=np.float32))._asdict()


@torch.no_grad()
def _random(network: Network) -> CenterMask:
    """Fresh weights, but for what decides how much work there is behind the dense part."""
    torch.manual_seed(0)
    model = build(preset(network.preset)).eval()
    head = model.detection_head
    torch.nn.init.normal_(head.class_logits.weight, std=0.1)
    torch.nn.init.constant_(head.ltrb.bias, 3.0)  # boxes of some six strides, which overlap
    torch.nn.init.zeros_(model.mask_iou_head.predictor.weight)
    torch.nn.init.constant_(
        model.mask_iou_head.predictor.bias, 0.8
    )  # of all, so that the best boxes are the best objects
    torch.nn.init.constant_(model.mask_head.predictor.bias, 1.0)  # masks fill their boxes, instead of being noise
    fitted = fit([noise(network.size)], [network.size])
    logits = _dense(model, fitted).flatten()
    limit = math.log(model.decoding.class_threshold / (1 - model.decoding.class_threshold))
    head.class_logits.bias += limit - logits.kthvalue(len(logits) - CANDIDATES).values
    return model


def _dense(model: CenterMask, fitted: Fitted) -> torch.Tensor:
    batch = ImageBatch(torch.from_numpy(fitted.pixels), torch.from_numpy(fitted.sizes))
    return model.detection_head(model.features(batch).detection).class_logits
