"""What the networks compute, without computing it: operations of the dense part and of one box's masks.

    python benchmarks/arithmetic.py

An operation is a multiplication or an addition, as torch counts them. The last column is the whole over the dense part
if every operation took the same time: what no engine can get below by much, however good its post-processing is.
"""

import torch
from rich.console import Console
from rich.table import Column, Table
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from centermask import CenterMask, build, preset

NETWORKS = {
    "centermask-nano": (320, 320),
    "centermask-lite-v19": (608, 800),
    "centermask-lite-v39": (608, 800),
    "centermask-v39": (800, 1088),
}
"""With the size of the plane that the network sees in benchmarks/inference.py."""
BOXES = 50


def count(model: CenterMask, height: int, width: int) -> tuple[float, float]:
    """Operations of the dense part, and of one box in the mask branch, in thousand millions."""
    with FlopCounterMode(display=False) as dense:
        model.detection_head(model.pyramid(model.backbone(torch.empty(1, 3, height, width))))
    crops, labels = torch.empty(BOXES, model.config.fpn_channels, 14, 14), torch.zeros(BOXES, dtype=torch.int64)
    with FlopCounterMode(display=False) as masks:
        logits, _ = model.mask_head(crops, labels)
        model.mask_iou_head(crops, logits, labels)
    return dense.get_total_flops() / 1e9, masks.get_total_flops() / 1e9 / BOXES


def main() -> None:
    table = Table(Column("network", no_wrap=True), "plane", "dense GFLOP", "a box", "boxes in 15 %",
                  f"whole / dense, {BOXES} boxes")  # fmt: skip
    with FakeTensorMode(), torch.no_grad():
        for name, (height, width) in NETWORKS.items():
            dense, box = count(build(preset(name)).eval(), height, width)
            table.add_row(name, f"{height}×{width}", f"{dense:.1f}", f"{box:.3f}", f"{0.15 * dense / box:.0f}",
                          f"{1 + BOXES * box / dense:.2f}")  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    main()
