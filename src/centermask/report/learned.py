"""What the network is shown: a batch of training with its boxes and masks, each object in the colour of its level.

An object is learned at the locations that are assigned to it; their level of the pyramid is its colour. An object that
no location is assigned to is not learned as a detection, and that is worth seeing. Needs torch; what it writes,
``shown.py`` reads.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from centermask.config import Assignment
from centermask.files import write_whole
from centermask.model.detection import ltrb as distances
from centermask.model.detection.targets import assign_targets
from centermask.ops import mask_warp
from centermask.ops.mask_warp import Bitmap, Polygons
from centermask.report.layers import RGB, Layer, View, jpeg, whole
from centermask.report.shown import SHOWN, ShownPicture
from centermask.size import Size
from centermask.structures import GroundTruth, ImageBatch, Locations

LEVELS: tuple[RGB, ...] = ((0, 170, 140), (255, 176, 0), (254, 97, 0), (220, 38, 127), (120, 94, 240), (60, 140, 255))
"""The colours of P2 … P7."""
FINEST = 2
UNLEARNED: RGB = (255, 255, 255)
UNLEARNED_PLACE = len(LEVELS)
"""Of that colour, after those of the levels."""
MOST_PICTURES = 8
LONG_SIDE = 400


def save_training_picture(
    folder: Path,
    batch: ImageBatch,
    truths: Sequence[GroundTruth],
    class_names: Sequence[str],
    locations: Locations,
    assignment: Assignment = "fcos",
) -> None:
    """Draw a training batch, as the network is shown it before the first step, into the store of a run's report.

    Raises:
        UserError: the folder cannot be written.
    """
    store = folder / "report"
    at = Locations(*(value.cpu() for value in locations))
    told = []
    for number in range(min(MOST_PICTURES, len(truths))):
        truth = truths[number].to(torch.device("cpu"))
        size = Size(*(int(side) for side in batch.sizes[number]))
        pixels = batch.pixels[number, :, : size.height, : size.width].detach().cpu()
        image = np.ascontiguousarray(pixels.float().clamp(0, 255).round().byte().permute(1, 2, 0).numpy())
        told.append(_save(store, number, image, truth, class_names, at, assignment))
    write_whole(store / SHOWN, json.dumps([asdict(one) for one in told]).encode())


def _save(
    store: Path,
    number: int,
    image: np.ndarray,
    truth: GroundTruth,
    class_names: Sequence[str],
    locations: Locations,
    assignment: Assignment,
) -> ShownPicture:
    owners, positives = assigned(locations, truth, assignment)
    levels = levels_of(owners, levels_at(locations, positives), len(truth.boxes))
    colours = [UNLEARNED_PLACE if level is None else level - FINEST for level in levels]
    view = whole(Size(*image.shape[:2]), LONG_SIDE)
    names = Counter(class_names[label] for label in truth.labels.tolist())
    told = ShownPicture(
        image=f"shown{number}.jpg",
        layer=f"shown{number}.png",
        size=view.size,
        classes=", ".join(f"{count} × {name}" for name, count in names.most_common(4)) or "no object",
        levels=tuple(colours.count(level) for level in range(len(LEVELS))),
        unlearned=colours.count(UNLEARNED_PLACE),
    )
    write_whole(store / told.image, jpeg(view.show(image)))
    write_whole(store / told.layer, _draw(view, truth, colours, locations, positives))
    return told


def _draw(
    view: View, truth: GroundTruth, colours: Sequence[int], locations: Locations, positives: Int64[Tensor, " positives"]
) -> bytes:
    """Masks, small ones over large ones, boxes, and the locations that learn."""
    layer, (x_scale, y_scale) = Layer(view.size, [*LEVELS, UNLEARNED], fill=0.38), view.scale
    bitmaps = [view.place(_bitmap(mask, view.part)) for mask in truth.masks]
    for i in np.argsort([-int(bitmap.pixels.sum()) for bitmap in bitmaps], kind="stable"):
        layer.draw(bitmaps[i], colours[i])
    for (left, top, right, bottom), colour in zip(truth.boxes.tolist(), colours, strict=True):
        layer.frame(left * x_scale, top * y_scale, right * x_scale, bottom * y_scale, colour)
    levels = levels_at(locations, positives).tolist()
    for (x, y), level in zip(locations.points[positives].tolist(), levels, strict=True):
        layer.dot(x * x_scale, y * y_scale, level - FINEST)
    return layer.png()


def assigned(
    locations: Locations, truth: GroundTruth, assignment: Assignment = "fcos"
) -> tuple[Int64[Tensor, " positives"], Int64[Tensor, " positives"]]:
    """For each location that learns an object: which object, and which location."""
    targets = assign_targets(locations, truth, assignment)
    positives = (targets.labels < len(truth.annotated)).nonzero()[:, 0]
    if not len(positives):
        return positives, positives
    sides = targets.ltrb[positives] * locations.strides[positives, None]
    boxes = distances.decode(locations.points[positives], sides)
    return _nearest(boxes, truth.boxes), positives


def _nearest(boxes: Float[Tensor, "boxes 4"], others: Float[Tensor, "others 4"]) -> Int64[Tensor, " boxes"]:
    """Targets tell distances, not objects: the box that they lead to is the object's own, or reaches just beyond it."""
    return torch.cdist(boxes.double(), others.double(), p=1).argmin(dim=1)


def levels_at(locations: Locations, places: Int64[Tensor, " places"]) -> Int64[Tensor, " places"]:
    """The number of the level of some locations: 2 for P2."""
    return locations.strides[places].log2().round().long()


def levels_of(
    owners: Int64[Tensor, " positives"], levels: Int64[Tensor, " positives"], objects: int
) -> list[int | None]:
    """The level at which most of an object's locations lie; nothing for an object without any."""
    counts: list[Counter[int]] = [Counter() for _ in range(objects)]
    for owner, level in zip(owners.tolist(), levels.tolist(), strict=True):
        counts[owner][level] += 1
    return [one.most_common(1)[0][0] if one else None for one in counts]


def _bitmap(mask: mask_warp.Mask, size: Size) -> Bitmap:
    match mask:
        case Polygons():
            return mask_warp.from_rle(mask_warp.to_rle(mask, size))
        case Bitmap():
            return mask
