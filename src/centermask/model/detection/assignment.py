"""Ways to say which objects a location may predict, beside the published one: ATSS and task-aligned.

Both rank pairs of a location and an object in a plane, highest first, −∞ where the pair may not be. Both leave objects
without a location now and then (one that lost all of its own to others, or one between the locations of the finest
level), and so does the published rule; ``with_one_each`` mends that.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import box_iou

from centermask.model.detection import ltrb as distances
from centermask.ops.boxes import box_areas
from centermask.structures import DensePredictions, GroundTruth, Locations

SQUARE = 8
"""In strides: the side of the objects that suit a level best (ATSS section 3, its one anchor)."""
NEAREST = 9
"""Locations of each level that ATSS looks at for an object."""
ALIGNED = 13
"""Locations that an object gets from task-aligned assignment, at most (TOOD section 4)."""
SHARPNESS = 6
"""How much more than the class probability the IoU counts in the alignment (TOOD's beta; its alpha is 1)."""
HINT = 1e-6
"""Alignment, and IoU, below which position decides: that of class probability 0.05 and IoU 0.2 is about three times."""

Pairs = Float[Tensor, "locations objects"]


def rank_by_atss(locations: Locations, boxes: Float[Tensor, "objects 4"], ltrb: Tensor) -> Pairs:
    """IoUs of objects with squares around the locations, where adaptive selection allows (ATSS algorithm 1).

    Of each level the nearest locations are looked at. Those may predict an object that lie in its box and whose squares
    overlap it by the mean of all looked at, and one standard deviation (of the population, to be finite for one).
    """
    overlaps, near = _square_overlaps(locations, boxes), _nearest_of_each_level(locations, boxes)
    count = near.sum(dim=0).clamp(min=1)
    mean = (overlaps * near).sum(dim=0) / count
    deviation = ((overlaps - mean).square() * near).sum(dim=0).div(count).sqrt()
    return overlaps.masked_fill(~(near & (overlaps >= mean + deviation) & _inside(ltrb)), -torch.inf)


def rank_by_alignment(
    locations: Locations, truth: GroundTruth, ltrb: Tensor, strains: Pairs, predicted: DensePredictions | None
) -> Pairs:
    """IoUs of objects with the boxes predicted, where class and box agree best (TOOD eq. 3).

    Those locations in an object's box may predict it at which class probability × IoU⁶ is highest. As long as that says
    nothing, position decides (``HINT``): the published recipe begins with some epochs of ATSS for the same reason.

    Args:
        locations: Of all levels.
        truth: Of one image.
        ltrb: From each location to each object's sides, in pixels.
        strains: How ill they fit.
        predicted: For that one image; None as before the first step.
    """
    hints = HINT * torch.exp2(-strains)
    overlaps, probabilities = _said(locations, truth, predicted)
    alignment = (probabilities * overlaps**SHARPNESS + hints).masked_fill(~_inside(ltrb), -torch.inf)
    best = alignment.topk(min(ALIGNED, len(alignment)), dim=0).indices
    chosen = torch.zeros_like(alignment, dtype=torch.bool).scatter_(0, best, True)
    return (overlaps + hints).masked_fill(~(chosen & _inside(ltrb)), -torch.inf)


def _said(locations: Locations, truth: GroundTruth, predicted: DensePredictions | None) -> tuple[Tensor, Tensor]:
    """IoU of each location's box with each object, and its probability of the object's class."""
    if predicted is None:
        nothing = truth.boxes.new_zeros(len(locations.points), len(truth.boxes))
        return nothing, nothing
    boxes = distances.decode(locations.points, predicted.ltrb[0].float() * locations.strides[:, None])
    overlaps = box_iou(boxes, truth.boxes).nan_to_num(0.0)  # of two boxes without area
    return overlaps, predicted.class_logits[0].float().sigmoid()[:, truth.labels]


def strain(locations: Locations, boxes: Float[Tensor, "objects 4"]) -> Pairs:
    """How ill a location suits an object: its distance from the centre in strides, and how many levels away it is.

    Infinite for a box without area.

    >>> at = Locations(torch.tensor([[8.0, 0.0]]), torch.tensor([8.0]), torch.tensor([[0.0, 64.0]]), torch.tensor([0]))
    >>> strain(at, torch.tensor([[-64.0, -64.0, 64.0, 64.0]])).tolist()
    [[2.0]]
    """
    levels = (box_areas(boxes).sqrt() / (SQUARE * locations.strides[:, None])).log2().abs()
    return levels + _from_centers(locations, boxes) / locations.strides[:, None]


def with_one_each(owners: Int64[Tensor, " locations"], strains: Pairs, ltrb: Tensor, reach: float) -> Tensor:
    """Give each object without a location one: the best that fits in its box, else at most ``reach`` pixels beside it.

    Args:
        owners: The object of each location, or the number of objects for none.
        strains: How ill they fit.
        ltrb: From each location to each object's sides, in pixels.
        reach: Pixels.
    """
    for border in (0.0, -reach):
        lacking = _lacking(torch.arange(strains.shape[1], device=owners.device), owners)
        if not len(lacking):
            break
        owners = _fill(owners, lacking, strains.masked_fill(ltrb.amin(dim=2) <= border, torch.inf), strains)
    return owners


def _lacking(objects: Tensor, owners: Tensor) -> Int64[Tensor, " lacking"]:
    """Which of the objects have no location."""
    return objects[torch.isin(objects, owners, invert=True)]


def _fill(owners: Tensor, lacking: Tensor, costs: Pairs, strains: Pairs) -> Tensor:
    """Objects without a location bid for their cheapest until all have one, or nothing is left that they may have.

    Each object keeps the best of its own; what it has beside that may go.
    """
    objects = torch.arange(costs.shape[1], device=costs.device)
    kept = _least(strains.masked_fill(owners[:, None] != objects, torch.inf)).any(dim=1)
    while len(lacking):
        bids = costs[:, lacking].masked_fill(kept[:, None], torch.inf)
        price, winner = bids.masked_fill(~_least(bids), torch.inf).min(dim=1)
        sold = price < torch.inf
        if not sold.any():
            break
        owners, kept = torch.where(sold, lacking[winner], owners), kept | sold
        lacking = _lacking(lacking, owners)
    return owners


def _least(costs: Pairs) -> Bool[Tensor, "locations objects"]:
    """Where the least finite value of each object stands."""
    least, place = costs.min(dim=0)
    return torch.zeros_like(costs, dtype=torch.bool).scatter_(0, place[None], (least < torch.inf)[None])


def _square_overlaps(locations: Locations, boxes: Float[Tensor, "objects 4"]) -> Pairs:
    half = SQUARE / 2 * locations.strides[:, None]
    return box_iou(torch.cat([locations.points - half, locations.points + half], dim=1), boxes)


def _nearest_of_each_level(
    locations: Locations, boxes: Float[Tensor, "objects 4"]
) -> Bool[Tensor, "locations objects"]:
    levels = _from_centers(locations, boxes).split(torch.bincount(locations.levels).tolist())
    nearest = [level.topk(min(NEAREST, len(level)), dim=0, largest=False).indices for level in levels]
    return torch.cat([
        torch.zeros_like(level, dtype=torch.bool).scatter_(0, near, True)
        for level, near in zip(levels, nearest, strict=True)
    ])  # fmt: skip


def _from_centers(locations: Locations, boxes: Float[Tensor, "objects 4"]) -> Pairs:
    return (locations.points[:, None] - (boxes[:, :2] + boxes[:, 2:]) / 2).norm(dim=2)


def _inside(ltrb: Float[Tensor, "locations objects 4"]) -> Bool[Tensor, "locations objects"]:
    return ltrb.amin(dim=2) > 0
