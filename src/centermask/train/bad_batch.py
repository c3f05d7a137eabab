"""A batch whose losses were no numbers, written down with the weights it met, so that it can be looked into."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from centermask.config import ModelConfig
from centermask.data.batches import Batch
from centermask.errors import UserError
from centermask.model.centermask import CenterMask
from centermask.model.objective import Objective
from centermask.model.presets import build
from centermask.ops.mask_warp import Bitmap, Mask, Polygons
from centermask.structures import GroundTruth, ImageBatch, Losses
from centermask.train.folder import write_plain

MOST_FILES = 3
"""Of a run: they hold the weights and are large."""


def save_bad_batch(folder: Path, step: int, process: int, batch: Batch, model: CenterMask) -> Path | None:
    """Write a batch and the network that met it; None if the folder holds enough of them."""
    if len(list(folder.glob("bad-batch-*.pt"))) >= MOST_FILES:
        return None
    images, truths = batch
    content = {
        "pixels": images.pixels.cpu(),
        "sizes": images.sizes.cpu(),
        "truths": [_plain(truth.to(torch.device("cpu"))) for truth in truths],
        "config": model.config.to_dict(),
        "model": model.state_dict(),
    }
    path = folder / f"bad-batch-{step:06}-{process}.pt"
    write_plain(path, content)
    return path


def replay(path: str | Path) -> Losses:
    """The losses of a batch that was written down, computed again in float32 on the processor.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        model = build(ModelConfig.from_dict(content["config"]))
        model.load_state_dict(content["model"])
        truths = [_truth(values) for values in content["truths"]]
    except Exception as error:
        raise UserError(f"{path}: cannot be read as a batch that a run wrote ({type(error).__name__})") from error
    objective = Objective(model.train(), model.config.train_proposals, model.config.train_rois)
    with torch.no_grad():
        losses: Losses = objective(ImageBatch(content["pixels"], content["sizes"]), truths)
    return losses


def _plain(truth: GroundTruth) -> dict[str, Any]:
    return truth._asdict() | {"masks": [_plain_mask(mask) for mask in truth.masks]}


def _truth(values: dict[str, Any]) -> GroundTruth:
    return GroundTruth(**values | {"masks": tuple(_mask(one) for one in values["masks"])})


def _plain_mask(mask: Mask) -> list[Any]:
    match mask:
        case Polygons(parts):
            return [torch.from_numpy(np.ascontiguousarray(part)) for part in parts]
        case Bitmap(pixels, left, top):
            return [torch.from_numpy(np.ascontiguousarray(pixels)), int(left), int(top)]


def _mask(plain: list[Any]) -> Mask:
    if len(plain) == 3 and isinstance(plain[1], int):
        return Bitmap(plain[0].numpy(), plain[1], plain[2])
    return Polygons(tuple(part.numpy() for part in plain))
