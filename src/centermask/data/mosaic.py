"""Mosaic: four pictures side by side on one canvas, for more and smaller objects in other surroundings.

As in YOLOv4 (Bochkovskiy et al. 2020), with one difference: each picture fills its tile, so that there is no grey rest.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from centermask.data.augment import Augmentation, Example, View, show, visible_truth
from centermask.data.sample import Sample
from centermask.ops.mask_warp import Mask, shift
from centermask.size import Size, fit_size

CENTRE = (0.25, 0.75)
"""Where the four tiles may meet, in shares of the canvas' sides."""


def mosaic(
    pictures: Sequence[tuple[Sample, Tensor]],
    annotated: Tensor,
    plan: Augmentation,
    short_side: int,
    rng: np.random.Generator,
) -> Example:
    """Show four pictures of one set on a canvas as large as the first of them would be alone.

    Args:
        pictures: Four, each with its objects' labels among the classes of the run.
        annotated: Which classes of the run their set annotates.
        plan: How pictures vary.
        short_side: What the batch's pictures are scaled to.
        rng: Decides where the tiles meet, and what is shown of each picture.
    """
    canvas = fit_size(Size(*pictures[0][0].image.shape[:2]), short_side, plan.long_side)
    middle = Size(*(round(side * rng.uniform(*CENTRE)) for side in canvas))
    pixels = torch.zeros(3, *canvas, dtype=torch.uint8)
    masks: list[Mask] = []
    labels = [torch.zeros(0, dtype=torch.int64)]
    for (sample, own_labels), (left, top, tile) in zip(pictures, _tiles(canvas, middle), strict=True):
        if min(tile) < 1:
            continue  # of a canvas of a few pixels
        view = draw_tile(Size(*sample.image.shape[:2]), tile, plan, rng)
        shown, own_masks = show(sample, view, plan, rng)
        pixels[:, top : top + tile.height, left : left + tile.width] = shown
        masks += [shift(mask, left, top) for mask in own_masks]
        labels.append(own_labels)
    return Example(pixels, visible_truth(masks, torch.cat(labels), annotated))


def _tiles(canvas: Size, middle: Size) -> list[tuple[int, int, Size]]:
    """Left, top and size of the four parts."""
    return [
        (left, top, Size(height, width))
        for top, height in ((0, middle.height), (middle.height, canvas.height - middle.height))
        for left, width in ((0, middle.width), (middle.width, canvas.width - middle.width))
    ]


def draw_tile(size: Size, tile: Size, plan: Augmentation, rng: np.random.Generator) -> View:
    """Draw what a tile shows of a picture of ``size``: as much as fills it, or less if the drawn scale is above one."""
    fill = max(tile.height / size.height, tile.width / size.width)
    scale = fill * max(1.0, float(rng.uniform(*plan.scale_jitter)))
    window = Size(*(min(whole, max(1, round(part / scale))) for part, whole in zip(tile, size, strict=True)))
    top = int(rng.integers(0, size.height - window.height, endpoint=True))
    left = int(rng.integers(0, size.width - window.width, endpoint=True))
    return View(left, top, window, tile, bool(rng.random() < plan.flip))
