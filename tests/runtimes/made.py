"""A network by hand in every exported form: it finds the four quarters of each picture.

Scores are 0.8, 0.6, 0.4 and 0.2 from the right lower quarter to the left upper one, labels 1, 0, 1, 0, the box score is
the redness of the picture's first pixel, and masks are full.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import torch
from torch import Tensor, nn

from centermask.config import ModelConfig
from centermask.runtimes.openvino import import_openvino
from centermask.size import Size

CONFIG = ModelConfig(class_names=("dark", "bright"), category_ids=(3, 9), max_detections=4, test_short_side=64,
                     test_long_side=128, score_threshold=0.3)  # fmt: skip
SCORES = (0.8, 0.6, 0.4, 0.2)
LABELS = (1, 0, 1, 0)
QUARTERS = ((0.5, 0.5, 1, 1), (0, 0.5, 0.5, 1), (0.5, 0, 1, 0.5), (0, 0, 0.5, 0.5))
"""xyxy, in parts of the picture."""
KINDS = (".onnx", ".xml", ".pt2")


def header(*, plane: Size | None = None, pixels: str = "uint8", precision: str = "fp32", **changes: Any) -> str:
    """What an exported file says about itself."""
    values = {
        "kind": "exported",
        "format": "onnx",
        "config": CONFIG.to_dict(),
        "precision": precision,
        "input": pixels,
        "plane": plane and list(plane),
        "full_masks": False,
        "notes": {"licence": 'of the "pictures" & weights'},
        "version": "0.1.0",
    }
    return json.dumps(values | changes)


def write(path: Path, text: str | None = None, *, plane: Size | None = None, pixels: str = "uint8") -> Path:
    """Write the network in the form that the path's ending asks for; without text with the header that fits."""
    text = header(plane=plane, pixels=pixels) if text is None else text
    match path.suffix:
        case ".onnx":
            onnx.save(_onnx(text, plane, pixels), path)
        case ".xml":
            aside = path.with_suffix(".aside.onnx")
            onnx.save(_onnx(text, plane, pixels), aside)
            model = import_openvino().Core().read_model(aside)
            if text:
                model.set_rt_info(text, ["centermask"])
            import_openvino().save_model(model, path, compress_to_fp16=False)
        case ".pt2":
            _save_program(path, text, plane, pixels)
    return path


def _onnx(text: str, plane: Size | None, pixels: str) -> onnx.ModelProto:
    kind, (b, h, w) = {"uint8": "uint8", "float32": "float"}[pixels], (1, *plane) if plane else "BHW"
    graph = f"""
    <ir_version: 10, opset_import: ["" : 20]>
    quarters ({kind}[{b}, 3, {h}, {w}] pixels, int64[{b}, 2] sizes, float score_threshold) => (
        float[{b}, 4, 4] boxes, float[{b}, 4] scores, float[{b}, 4] box_scores, int64[{b}, 4] labels,
        float[{b}, 4, 28, 28] masks, int64[{b}] counts)
    <float[1, 4, 4] quarters = {{{_listed(np.array(QUARTERS).ravel())}}}, float[1, 4] every = {{{_listed(SCORES)}}},
     int64[1, 4] all_labels = {{{_listed(LABELS)}}}, float[1, 1, 28, 28] ones = {{{_listed([1] * 784)}}},
     float white = {{255}}, int64[1] one = {{1}}, int64[1] minus = {{-1}}, int64[2] flat = {{-1, 1}},
     int64[3] begin = {{0, 0, 0}}, int64[3] end = {{1, 1, 1}}, int64[3] axes = {{1, 2, 3}}, int64[2] far = {{2, 3}}>
    {{
        extent = Cast<to = 1>(sizes)
        height, width = Split<axis = 1, num_outputs = 2>(extent)
        corners = Concat<axis = 1>(width, height, width, height)
        scale = Unsqueeze(corners, one)
        nothing = Sub(height, height)
        kept = GreaterOrEqual(every, score_threshold)
        there = Cast<to = 1>(kept)
        present = Add(there, nothing)
        scores = Mul(every, present)
        spread = Unsqueeze(present, minus)
        quarter = Mul(quarters, scale)
        boxes = Mul(quarter, spread)
        corner = Slice(pixels, begin, end, axes)
        red = Cast<to = 1>(corner)
        share = Div(red, white)
        redness = Reshape(share, flat)
        box_scores = Mul(redness, present)
        whole = Cast<to = 7>(present)
        labels = Mul(all_labels, whole)
        cells = Unsqueeze(present, far)
        masks = Mul(ones, cells)
        counts = ReduceSum<keepdims = 0>(whole, one)
    }}
    """
    model = onnx.parser.parse_model(graph)
    onnx.checker.check_model(model, full_check=True)
    if text:
        onnx.helper.set_model_props(model, {"centermask": text})
    return model


def _listed(values: Any) -> str:
    return ", ".join(f"{value:g}" for value in values)


class Quarters(nn.Module):
    """The same in PyTorch."""

    def forward(self, pixels: Tensor, sizes: Tensor, score_threshold: Tensor) -> tuple[Tensor, ...]:
        height, width = sizes.float().split(1, dim=1)
        every = torch.tensor([SCORES])
        present = (every >= score_threshold).float() + 0 * height
        boxes = torch.tensor([QUARTERS]) * torch.cat([width, height, width, height], dim=1)[:, None]
        masks = torch.ones(1, 1, 28, 28) * present[:, :, None, None]
        redness = pixels[:, 0, 0, :1].float() / 255
        labels = torch.tensor([LABELS]) * present.long()
        counts = present.long().sum(dim=1)
        return boxes * present[:, :, None], every * present, redness * present, labels, masks, counts


def _save_program(path: Path, text: str, plane: Size | None, pixels: str) -> None:
    side = torch.export.Dim.DYNAMIC
    shapes = None if plane else ({0: side, 2: side, 3: side}, {0: side}, None)
    count, plane = (1, plane) if plane else (2, Size(32, 64))
    example = (
        torch.zeros(count, 3, *plane, dtype=getattr(torch, pixels)),
        torch.ones(count, 2, dtype=torch.int64),
        torch.tensor(0.5),
    )
    program = torch.export.export(Quarters(), example, dynamic_shapes=shapes)
    torch.export.save(program, path, extra_files={"centermask.json": text} if text else {})
