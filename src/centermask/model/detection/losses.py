"""Focal, GIoU and centerness terms, normalised (spec 1.7). All in float32, whatever the network runs in."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from centermask.model.normalisers import Share, own_share
from centermask.structures import DensePredictions, DenseTargets, DetectionLosses


def detection_losses(
    predicted: DensePredictions,
    targets: DenseTargets,
    annotated: Bool[Tensor, "images classes"],
    share: Share = own_share,
) -> DetectionLosses:
    """The three terms of a batch.

    Args:
        predicted: For B images.
        targets: The B images' locations in one line, as the predictions flattened.
        annotated: Which classes each image's data set annotates; the others get a classification loss only where an
            object of a known class is.
        share: Makes the normalisers those of all processes together.
    """
    classes = predicted.class_logits.shape[2]
    positive = targets.labels < classes
    wanted = targets.centerness[positive]
    positives = share(positive.sum().float(), 1.0)
    weight_sum = share(wanted.sum(), 1e-6)
    ltrb = predicted.ltrb.flatten(0, 1)[positive].float()
    logits = predicted.centerness_logits.flatten()[positive].float()
    return DetectionLosses(
        classification=_class_loss(predicted.class_logits, targets.labels, annotated) / positives,
        box=(wanted * (1 - giou(ltrb, targets.ltrb[positive]))).sum() / weight_sum,
        centerness=functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / positives,
    )


def _class_loss(
    class_logits: Float[Tensor, "images locations classes"], labels: Tensor, annotated: Bool[Tensor, "images classes"]
) -> Float[Tensor, ""]:
    images, locations, classes = class_logits.shape
    hot = functional.one_hot(labels, classes + 1)[:, :classes].reshape(images, locations, classes).float()
    losses = sigmoid_focal_loss(class_logits.float(), hot, alpha=0.25, gamma=2)
    # A class that a set does not annotate may stand anywhere in its pictures, but not where another object is known to.
    taught = annotated[:, None, :] | (labels < classes).view(images, locations, 1)
    return (losses * taught).sum()


def giou(predicted: Float[Tensor, "n 4"], wanted: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    """Generalised IoU of two boxes around one point, given as distances in strides.

    The published form adds 1 to intersection and union, which lifts the IoU of boxes of a few strides; kept, because
    the published weights were trained with it.
    """
    inner = torch.minimum(predicted, wanted).unflatten(1, (2, 2)).sum(dim=1).prod(dim=1)
    hull = torch.maximum(predicted, wanted).unflatten(1, (2, 2)).sum(dim=1).prod(dim=1)
    areas = [box.unflatten(1, (2, 2)).sum(dim=1).prod(dim=1) for box in (predicted, wanted)]
    union = areas[0] + areas[1] - inner
    return (inner + 1) / (union + 1) - (hull - union) / hull.clamp(min=1e-6)
