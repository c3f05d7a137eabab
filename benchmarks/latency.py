"""How long a prediction takes: our networks beside torchvision's Mask R-CNN, in one run.

    python benchmarks/latency.py [--rounds 5] [--threads 2]

Random weights (seeded), one noise picture of each network's size, PyTorch eager, float32, from pixels to scored soft
masks. The class bias is set so that 3,000 pairs of a location and a class pass the threshold, as on a crowded picture,
and every network keeps its full count of objects. The rounds are interleaved, so that a machine that slows down slows
all; the table gives medians, and the ratio to Mask R-CNN on a picture of the same size.
"""

import argparse
import math
import statistics
from collections.abc import Callable

import torch
from common import clock, machine
from rich.console import Console
from rich.table import Table
from torchvision.models.detection import maskrcnn_resnet50_fpn

from centermask import build, preset
from centermask.structures import ImageBatch

CASES = (
    ("centermask-nano", 320, 320),
    ("centermask-lite-v19", 600, 800),
    ("centermask-lite-v39", 600, 800),
    ("centermask-v39", 800, 1066),
)
CANDIDATES = 3000
PEER_SIZES = ((320, 320), (600, 800), (800, 1066))


def our_case(name: str, height: int, width: int) -> tuple[Callable[[], int], Callable[[], None]]:
    """The whole prediction of a preset, and its dense part alone."""
    torch.manual_seed(0)
    model = build(preset(name)).eval().to(memory_format=torch.channels_last)
    torch.nn.init.normal_(model.detection_head.class_logits.weight, std=0.1)
    side = 32
    pixels = torch.rand(1, 3, -(-height // side) * side, -(-width // side) * side) * 255
    batch = ImageBatch(pixels.contiguous(memory_format=torch.channels_last), torch.tensor([[height, width]]))
    with torch.inference_mode():
        logits = model.detection_head(model.features(batch)).class_logits.flatten()
        bias = math.log(model.decoding.class_threshold / (1 - model.decoding.class_threshold))
        model.detection_head.class_logits.bias += bias - logits.kthvalue(len(logits) - CANDIDATES).values

    def whole() -> int:
        return len(model(batch)[0].boxes)

    def dense() -> None:
        model.detection_head(model.features(batch))

    return whole, dense


def peer_case(height: int, width: int) -> Callable[[], int]:
    """torchvision's Mask R-CNN R50 at the same size, keeping 50 objects."""
    torch.manual_seed(0)
    peer = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, min_size=height, max_size=width, box_score_thresh=0.0,
        box_detections_per_img=50,
    ).eval()  # fmt: skip
    image = torch.rand(3, height, width)

    def whole() -> int:
        return len(peer([image])[0]["boxes"])

    return whole


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ours = {case: our_case(*case) for case in CASES}
    peers = {size: peer_case(*size) for size in PEER_SIZES}
    counts = {case: whole() for case, (whole, dense) in ours.items()} | {size: run() for size, run in peers.items()}
    times: dict[object, list[float]] = {}
    for _ in range(options.rounds):
        for case, (whole, dense) in ours.items():
            times.setdefault((case, "whole"), []).append(clock(whole).wall)
            times.setdefault((case, "dense"), []).append(clock(dense).wall)
        for size, run in peers.items():
            times.setdefault(size, []).append(clock(run).wall)
    table = Table(
        "network", "picture", "objects", "median s", "dense part s", "whole / dense", "whole / Mask R-CNN R50"
    )
    middle = {key: statistics.median(values) for key, values in times.items()}
    for name, height, width in CASES:
        whole, dense = middle[(name, height, width), "whole"], middle[(name, height, width), "dense"]
        table.add_row(
            name, f"{height}×{width}", str(counts[name, height, width]), f"{whole:.3f}", f"{dense:.3f}",
            f"{whole / dense:.2f}", f"{whole / middle[height, width]:.2f}",
        )  # fmt: skip
    for height, width in PEER_SIZES:
        table.add_row("torchvision Mask R-CNN R50", f"{height}×{width}", str(counts[height, width]),
                      f"{middle[height, width]:.3f}", "", "", "1.00")  # fmt: skip
    Console(width=120).print(table)
    print(machine(options.rounds, options.threads))


if __name__ == "__main__":
    main()
