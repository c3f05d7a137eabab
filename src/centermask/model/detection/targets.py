"""Which object each location should predict (spec 1.6)."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from centermask.config import Assignment
from centermask.model.detection import ltrb as distances
from centermask.model.detection.assignment import rank_by_alignment, rank_by_atss, strain, with_one_each
from centermask.model.detection.locations import CENTER_RADIUS
from centermask.ops.boxes import box_areas
from centermask.ops.mask_warp import covers, middle, pixels_of
from centermask.structures import DensePredictions, DenseTargets, GroundTruth, Locations


@torch.no_grad()
def assign_targets(
    locations: Locations,
    truth: GroundTruth,
    assignment: Assignment = "fcos",
    predicted: DensePredictions | None = None,
) -> DenseTargets:
    """Give each location the object that it should predict, or none.

    Args:
        locations: Of all levels.
        truth: Of one image.
        assignment: By which rule; with all but the published one, each object gets a location if there is one in its
            box or right beside it.
        predicted: For that one image; task-aligned assignment goes by it. None as before the first step.
    """
    classes, objects = len(truth.annotated), len(truth.boxes)
    count = len(locations.points)
    if not objects or not count:
        empty = locations.points.new_zeros
        labels = torch.full((count,), classes, dtype=torch.int64, device=locations.points.device)
        return DenseTargets(labels, empty(count, 4), empty(count))
    points = locations.points[:, None].expand(-1, objects, -1)
    ltrb = distances.encode(points, truth.boxes.expand(count, -1, -1))
    owners = _owners(locations, truth, ltrb, assignment, predicted)
    positive = owners < objects
    chosen = owners.clamp(max=objects - 1)
    own = ltrb[torch.arange(count, device=chosen.device), chosen]
    # An object that covers no location is seen from one beside it. Its box is taught as far as that location, and no
    # other is more central.
    beside = positive & (own.amin(dim=1) <= 0)
    return DenseTargets(
        labels=torch.where(positive, truth.labels[chosen], classes),
        ltrb=own.clamp(min=0) / locations.strides[:, None],
        centerness=distances.centerness(own).masked_fill(beside, 1.0),
    )


def _owners(
    locations: Locations,
    truth: GroundTruth,
    ltrb: Float[Tensor, "locations objects 4"],
    assignment: Assignment,
    predicted: DensePredictions | None,
) -> Int64[Tensor, " locations"]:
    """The object of each location, or the number of objects for none."""
    if assignment == "fcos":
        centers = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
        return _highest(_rank_by_size(locations, truth.boxes, ltrb, centers))
    strains = strain(locations, truth.boxes)
    match assignment:
        case "visible":
            ranks = _rank_by_visibility(locations, truth, ltrb)
        case "atss":
            ranks = rank_by_atss(locations, truth.boxes, ltrb)
        case "task-aligned":
            ranks = rank_by_alignment(locations, truth, ltrb, strains, predicted)
    return with_one_each(_highest(ranks), strains, ltrb, reach=locations.strides.min().item())


def _highest(ranks: Float[Tensor, "locations objects"]) -> Int64[Tensor, " locations"]:
    highest, owners = ranks.max(dim=1)
    return torch.where(highest > -torch.inf, owners, ranks.shape[1])


def _rank_by_size(
    locations: Locations,
    boxes: Float[Tensor, "objects 4"],
    ltrb: Float[Tensor, "locations objects 4"],
    centers: Float[Tensor, "objects 2"],
) -> Float[Tensor, "locations objects"]:
    """Smaller objects first (FCOS).

    A location may predict an object if it lies strictly inside the object's box and its centre square, and the largest
    of its four distances belongs to its level's range.
    """
    allowed = _near_center(locations, centers) & _in_range(locations, ltrb) & (ltrb.amin(dim=2) > 0)
    return -box_areas(boxes).expand(len(ltrb), -1).masked_fill(~allowed, torch.inf)


def _rank_by_visibility(
    locations: Locations, truth: GroundTruth, ltrb: Float[Tensor, "locations objects 4"]
) -> Float[Tensor, "locations objects"]:
    """Smaller objects first, but none where another one is seen in its stead.

    The published rule gives a location to the smallest of the boxes around it, even where another object hides that one
    and is all there is to see. Its centre square, here, lies around the middle of what is seen of an object: the middle
    of its box may be hidden altogether.
    """
    drawn = [pixels_of(mask) for mask in truth.masks]
    points = locations.points.cpu().double().numpy()
    seen = torch.from_numpy(covers(drawn, points)).to(ltrb.device)
    hidden = seen.any(dim=1, keepdim=True) & ~seen
    middles = torch.from_numpy(np.stack([middle(mask) for mask in drawn])).to(truth.boxes)
    return _rank_by_size(locations, truth.boxes, ltrb, middles).masked_fill(hidden, -torch.inf)


def _near_center(locations: Locations, centers: Float[Tensor, "objects 2"]) -> Bool[Tensor, "locations objects"]:
    offsets = (locations.points[:, None] - centers[None]).abs().amax(dim=2)
    return offsets < CENTER_RADIUS * locations.strides[:, None]


def _in_range(locations: Locations, ltrb: Float[Tensor, "locations objects 4"]) -> Bool[Tensor, "locations objects"]:
    largest = ltrb.amax(dim=2)
    return (largest >= locations.ranges[:, :1]) & (largest <= locations.ranges[:, 1:])
