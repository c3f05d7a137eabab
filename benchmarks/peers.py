"""What our predictions are measured beside: torchvision's Mask R-CNN, and any command."""

import os
import re
import subprocess
import time

import numpy as np
import torch
from faster_coco_eval.core import mask as coco_mask
from networks import CANDIDATES
from torchvision.models.detection import maskrcnn_resnet50_fpn

from centermask.bench.clock import wait
from centermask.size import Size

NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


class MaskRcnn:
    """torchvision's Mask R-CNN R50 on pictures of its own size, from pixels to run-length coded masks.

    Random weights. As many pairs of a proposal and a class pass its threshold as with ours, and the best are kept.

    Args:
        pictures: Of one size.
        objects: How many to keep.
        device: Where to compute.
    """

    def __init__(self, pictures: list[np.ndarray], objects: int, device: torch.device) -> None:
        torch.manual_seed(0)
        size = Size(*pictures[0].shape[:2])
        self.network = maskrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, min_size=min(size), max_size=max(size), box_detections_per_img=objects,
        ).eval().to(device)  # fmt: skip
        self.pictures, self.device = pictures, device
        self.network.roi_heads.score_thresh = self._threshold()
        self.seconds: list[float] = []
        self.objects: float | None = None

    @torch.inference_mode()
    def go(self) -> None:
        """Predict all pictures in one run, clocked."""
        wait()
        began = time.perf_counter()
        images = [torch.from_numpy(one).to(self.device).permute(2, 0, 1) / 255 for one in self.pictures]
        masks = [one["masks"][:, 0].gt(0.5).cpu().numpy() for one in self.network(images)]
        codes = [[coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in each] for each in masks]
        self.seconds.append(time.perf_counter() - began)
        self.objects = sum(map(len, codes)) / len(self.pictures)

    @torch.inference_mode()
    def _threshold(self) -> float:
        """The score that as many pairs have as pass with ours."""
        scores: list[torch.Tensor] = []
        hook = self.network.roi_heads.box_predictor.register_forward_hook(
            lambda _, given, found: scores.append(found[0].softmax(dim=1)[:, 1:].flatten())
        )
        self.network([torch.from_numpy(self.pictures[0]).to(self.device).permute(2, 0, 1) / 255])
        hook.remove()
        return float(scores[0].topk(CANDIDATES).values[-1])


class Command:
    """A command that measures itself and prints its milliseconds: the last number of its last line counts."""

    def __init__(self, text: str, size: Size, objects: int, batch: int) -> None:
        self.text, self.seconds, self.objects = text, list[float](), None
        told = {"HEIGHT": size.height, "WIDTH": size.width, "OBJECTS": objects, "BATCH": batch}
        self.environment = os.environ | {name: str(value) for name, value in told.items()}

    def go(self) -> None:
        """Run it once."""
        done = subprocess.run(self.text, shell=True, env=self.environment, capture_output=True, text=True, check=False)
        numbers = NUMBER.findall((done.stdout.strip().splitlines() or [""])[-1])
        if done.returncode != 0 or not numbers:
            reason = f"exit code {done.returncode}, or no milliseconds in its last line"
            raise SystemExit(f"--peer {self.text}: {reason}\n{done.stdout[-500:]}{done.stderr[-500:]}")
        self.seconds.append(float(numbers[-1]) / 1000)


Peer = MaskRcnn | Command
