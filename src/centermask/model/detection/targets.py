"""Which object each location should predict (spec 1.6)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from centermask.model.detection import ltrb as distances
from centermask.ops.boxes import box_areas
from centermask.structures import DenseTargets, GroundTruth, Locations

CENTER_RADIUS = 1.5
"""In strides: only locations this near an object's centre (in each axis) may predict it."""


def assign_targets(locations: Locations, truth: GroundTruth) -> DenseTargets:
    """Give each location the smallest of the objects that it may predict, or none.

    A location may predict an object if it lies strictly inside the object's box and its centre square, and the largest
    of its four distances belongs to its level's range.
    """
    classes = len(truth.annotated)
    if len(truth.boxes) == 0:
        count = len(locations.points)
        empty = locations.points.new_zeros
        labels = torch.full((count,), classes, dtype=torch.int64, device=locations.points.device)
        return DenseTargets(labels, empty(count, 4), empty(count))
    points, boxes = locations.points[:, None].expand(-1, len(truth.boxes), -1), truth.boxes[None]
    ltrb = distances.encode(points, boxes.expand(len(points), -1, -1))
    allowed = _near_center(locations, truth.boxes) & _in_range(locations, ltrb) & (ltrb.amin(dim=2) > 0)
    areas = box_areas(truth.boxes).expand(len(points), -1).masked_fill(~allowed, torch.inf)
    smallest, chosen = areas.min(dim=1)
    labels = torch.where(smallest < torch.inf, truth.labels[chosen], classes)
    own = ltrb[torch.arange(len(points), device=chosen.device), chosen]
    return DenseTargets(labels, own / locations.strides[:, None], distances.centerness(own))


def _near_center(locations: Locations, boxes: Float[Tensor, "objects 4"]) -> Bool[Tensor, "locations objects"]:
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    offsets = (locations.points[:, None] - centers[None]).abs().amax(dim=2)
    return offsets < CENTER_RADIUS * locations.strides[:, None]


def _in_range(locations: Locations, ltrb: Float[Tensor, "locations objects 4"]) -> Bool[Tensor, "locations objects"]:
    largest = ltrb.amax(dim=2)
    return (largest >= locations.ranges[:, :1]) & (largest <= locations.ranges[:, 1:])
