"""What torchvision.transforms.v2 lacks, and the training pipeline: one annotated picture to one training example.

Geometry is chosen first, as one window of the picture, one output size and one mirror: the pixels go through it once,
and each mask through the same map, so that no stack of full-size masks is ever made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from centermask.data.sample import Sample
from centermask.ops.mask_warp import Mask, bounds, move
from centermask.size import Size, fit_size
from centermask.structures import GroundTruth

SMALLEST_SIDE = 2.0
"""Pixels: objects of which less remains are left out."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training pictures vary."""

    short_sides: tuple[int, int]
    """The short side is drawn between these, both included; once for a batch."""
    long_side: int
    flip: float = 0.5
    """Probability of a horizontal mirror."""
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    """Large-scale jitter: a picture is scaled by a factor between these; a larger one is cropped at a random place."""
    color_jitter: float = 0.0
    """Brightness, contrast and saturation vary by up to this share."""
    copy_paste: float = 0.0
    """Probability that objects of another picture of the same set are pasted in."""
    mosaic: float = 0.0
    """Probability that a picture is one of four on a common canvas."""

    @property
    def plain(self) -> "Augmentation":
        """The same without copy-paste and mosaic: how pictures look when the network is used."""
        return replace(self, copy_paste=0.0, mosaic=0.0)


class View(NamedTuple):
    """The window of a picture that is shown, the size it is shown at, and whether it is mirrored."""

    left: int
    top: int
    window: Size
    size: Size
    mirrored: bool


class Example(NamedTuple):
    """One picture as the network is trained on it."""

    pixels: UInt8[Tensor, "3 height width"]
    truth: GroundTruth
    plane: Size = Size(1, 1)
    """What its batch needs at least."""


def augment(
    sample: Sample, labels: Tensor, annotated: Tensor, plan: Augmentation, short_side: int, rng: np.random.Generator
) -> Example:
    """Draw a view and colours, and show the picture and its objects so.

    Args:
        sample: The annotated picture.
        labels: Its objects' labels among the classes of the run.
        annotated: Which classes of the run its set annotates.
        plan: How pictures vary.
        short_side: What the batch's pictures are scaled to, before the jitter of the scale.
        rng: Decides everything else.
    """
    view = draw_view(Size(*sample.image.shape[:2]), plan, short_side, rng)
    pixels, masks = show(sample, view, plan, rng)
    return Example(pixels, visible_truth(masks, labels, annotated))


def show(
    sample: Sample, view: View, plan: Augmentation, rng: np.random.Generator
) -> tuple[UInt8[Tensor, "3 height width"], list[Mask]]:
    """A picture in a view, in colours that are drawn, and its masks there (some may be empty)."""
    pixels = _show(sample.image, view)
    if plan.color_jitter > 0:
        pixels = _vary_colors(pixels, plan.color_jitter, rng)
    return pixels, [_show_mask(mask, view) for mask in sample.masks]


def visible_truth(masks: Sequence[Mask], labels: Int64[Tensor, " objects"], annotated: Tensor) -> GroundTruth:
    """The objects of which enough is seen, with boxes from their masks."""
    boxes = torch.from_numpy(np.array([bounds(mask) for mask in masks], dtype=np.float32).reshape(-1, 4))
    kept = (boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= SMALLEST_SIDE
    visible = tuple(mask for mask, keep in zip(masks, kept.tolist(), strict=True) if keep)
    return GroundTruth(boxes[kept], labels[kept], visible, annotated)


def draw_view(size: Size, plan: Augmentation, short_side: int, rng: np.random.Generator) -> View:
    """Draw what is shown of a picture of ``size``."""
    fitted = fit_size(size, short_side, plan.long_side)
    factor = float(rng.uniform(*plan.scale_jitter))
    # A factor above one shows a window of the picture at the fitted size; one below shows all of it, smaller.
    window = Size(*(max(1, round(side / max(factor, 1))) for side in size))
    shown = Size(*(max(1, round(side * min(factor, 1))) for side in fitted))
    top = int(rng.integers(0, size.height - window.height, endpoint=True))
    left = int(rng.integers(0, size.width - window.width, endpoint=True))
    return View(left, top, window, shown, bool(rng.random() < plan.flip))


def _show(image: UInt8[np.ndarray, "height width 3"], view: View) -> UInt8[Tensor, "3 shown_height shown_width"]:
    plane = torch.from_numpy(image).permute(2, 0, 1)
    shown = functional.resized_crop(plane, view.top, view.left, *view.window, size=list(view.size), antialias=True)
    return functional.horizontal_flip(shown) if view.mirrored else shown


def _show_mask(mask: Mask, view: View) -> Mask:
    scale_x, scale_y = view.size.width / view.window.width, view.size.height / view.window.height
    if view.mirrored:
        right = view.left + view.window.width
        return move(mask, (-scale_x, scale_y), (right * scale_x, -view.top * scale_y), view.size)
    return move(mask, (scale_x, scale_y), (-view.left * scale_x, -view.top * scale_y), view.size)


def _vary_colors(pixels: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    jitter = v2.ColorJitter(brightness=strength, contrast=strength, saturation=strength)
    with torch.random.fork_rng(devices=[]):  # torchvision draws from torch's generator: lend it our seed
        # Not torch.manual_seed: it also notes a seed, with the whole call stack, for GPUs that a worker never uses.
        torch.default_generator.manual_seed(int(rng.integers(2**31)))
        varied: Tensor = jitter(pixels)
    return varied
