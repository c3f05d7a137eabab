"""How long a training step takes: ours beside torchvision's Mask R-CNN on the same pictures, in one run.

    python benchmarks/training_step.py [--rounds 5] [--threads 2]

Forward, backward and SGD on four noise pictures of 320 × 416 with eight objects each (ellipses as polygons of 24
vertices), random weights, float32; and ours again in bf16. Rounds are interleaved; medians, and ratios to Mask R-CNN.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torchvision.models.detection import maskrcnn_resnet50_fpn

from centermask import build, preset
from centermask.model.objective import Objective
from centermask.ops.mask_warp import Polygons, bounds, draw
from centermask.size import Size
from centermask.structures import GroundTruth, ImageBatch

SIZE, PICTURES, OBJECTS, VERTICES = Size(320, 416), 4, 8, 24


def objects(rng: np.random.Generator, classes: int) -> GroundTruth:
    """Eight ellipses of various sizes inside the picture."""
    turn = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    masks = []
    for _ in range(OBJECTS):
        radii = rng.uniform(15, 80, 2)
        centre = rng.uniform(radii, np.array([SIZE.width, SIZE.height]) - radii)
        masks.append(Polygons((centre + circle * radii,)))
    boxes = torch.from_numpy(np.array([bounds(mask) for mask in masks], dtype=np.float32))
    labels = torch.from_numpy(rng.integers(0, classes, OBJECTS))
    return GroundTruth(boxes, labels, tuple(masks), torch.ones(classes, dtype=torch.bool))


def our_step(name: str, pixels: torch.Tensor, truths: list[GroundTruth], bf16: bool = False) -> Callable[[], None]:
    """One step of one of our presets."""
    torch.manual_seed(0)
    config = preset(name)
    model = build(config).to(memory_format=torch.channels_last)
    objective = Objective(model, config.train_proposals, config.train_rois).train()
    optimizer = torch.optim.SGD([value for value in model.parameters() if value.requires_grad], lr=1e-4, momentum=0.9)
    batch = ImageBatch(pixels, torch.tensor([list(SIZE)] * PICTURES))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            losses = objective(batch, truths)
        losses.total().backward()
        optimizer.step()

    return step


def peer_step(pixels: torch.Tensor, truths: list[GroundTruth]) -> Callable[[], None]:
    """One step of torchvision's Mask R-CNN R50 with frozen batch norm."""
    torch.manual_seed(0)
    peer = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=81, min_size=SIZE.height, max_size=SIZE.width,
        trainable_backbone_layers=5,
    ).train()  # fmt: skip
    optimizer = torch.optim.SGD(peer.parameters(), lr=1e-4, momentum=0.9)
    images = list(pixels / 255)
    targets = [
        {
            "boxes": truth.boxes,
            "labels": truth.labels + 1,
            "masks": torch.from_numpy(np.stack([draw(mask.parts, SIZE) for mask in truth.masks]).astype(np.uint8)),
        }
        for truth in truths
    ]

    def step() -> None:
        optimizer.zero_grad()
        sum(peer(images, targets).values()).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(0)
    truths = [objects(rng, 80) for _ in range(PICTURES)]
    pixels = torch.from_numpy(rng.uniform(0, 255, (PICTURES, 3, *SIZE)).astype(np.float32))
    steps = {
        "torchvision Mask R-CNN R50": peer_step(pixels, truths),
        "centermask-lite-v19": our_step("centermask-lite-v19", pixels, truths),
        "centermask-lite-v19, bf16": our_step("centermask-lite-v19", pixels, truths, bf16=True),
        "centermask-nano": our_step("centermask-nano", pixels, truths),
        "centermask-nano, bf16": our_step("centermask-nano", pixels, truths, bf16=True),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(options.rounds + 1):  # the first warms up
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if round_:
                times[name].append(time.perf_counter() - began)
    middle = {name: statistics.median(values) for name, values in times.items()}
    table = Table("network", "median s / step", "pictures / s", "step / Mask R-CNN R50")
    for name, value in middle.items():
        table.add_row(
            name, f"{value:.2f}", f"{PICTURES / value:.2f}", f"{value / middle['torchvision Mask R-CNN R50']:.2f}"
        )
    Console(width=120).print(table)
    print(
        f"{PICTURES} pictures of {SIZE.height}×{SIZE.width}, {OBJECTS} objects each; torch {torch.__version__}, "
        f"{options.threads} threads, medians of {options.rounds} interleaved rounds"
    )


if __name__ == "__main__":
    main()
