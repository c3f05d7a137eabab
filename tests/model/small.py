"""A tiny network, a tiny batch and truths of squares for the tests of the model."""

from typing import Any

import numpy as np
import torch

from centermask.config import ModelConfig
from centermask.model.centermask import CenterMask
from centermask.model.presets import build
from centermask.ops.mask_warp import Bitmap
from centermask.structures import GroundTruth, ImageBatch

SMALL = {
    "backbone": "vovnet19-slim-dw",
    "fpn_channels": 32,
    "tower_convs": 1,
    "mask_convs": 1,
    "class_names": ("a", "b"),
    "class_threshold": 0.001,
    "max_detections": 8,
}


def small_model(**changes: Any) -> CenterMask:
    """A network of about two million parameters, the same each time.

    Its detection head is livelier than a fresh one, so that boxes have a size and scores differ clearly.
    """
    torch.manual_seed(0)
    model = build(ModelConfig(**(SMALL | changes)))
    head = model.detection_head
    torch.nn.init.normal_(head.class_logits.weight, std=0.1)
    torch.nn.init.normal_(head.centerness_logits.weight, std=0.1)
    torch.nn.init.normal_(head.ltrb.weight, std=0.05)
    torch.nn.init.constant_(head.ltrb.bias, 2.0)
    return model.eval()


def small_batch(images: int = 2, height: int = 160, width: int = 192) -> ImageBatch:
    """Noise; the second image is smaller than its plane."""
    pixels = torch.rand(images, 3, height, width, generator=torch.Generator().manual_seed(1)) * 255
    sizes = torch.tensor([[height, width], [height - 40, width - 30]] * images)[:images]
    return ImageBatch(pixels, sizes)


def squares(*objects: tuple[int, int, int, int], classes: int = 2) -> GroundTruth:
    """Full squares, each given as (left, top, side, label)."""
    boxes = torch.tensor([(left, top, left + side, top + side) for left, top, side, _ in objects]).view(-1, 4)
    masks = tuple(Bitmap(np.ones((side, side), dtype=bool), left, top) for left, top, side, _ in objects)
    labels = torch.tensor([label for *_, label in objects], dtype=torch.int64)
    return GroundTruth(boxes.float(), labels, masks, torch.ones(classes, dtype=torch.bool))
