"""Class, box and quality terms, normalised (spec 1.7). All in float32, whatever the network runs in."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from centermask.config import BoxQuality, ClassLoss
from centermask.model.detection.locations import CENTER_LOCATIONS
from centermask.model.normalisers import Share, own_share
from centermask.structures import DensePredictions, DenseTargets, DetectionLosses


def detection_losses(
    predicted: DensePredictions,
    targets: DenseTargets,
    annotated: Bool[Tensor, "images classes"],
    share: Share = own_share,
    box_quality: BoxQuality = "centerness",
    class_loss: ClassLoss = "focal",
    small_box_weight: float = 1.0,
    plain_giou: bool = False,
) -> DetectionLosses:
    """The three terms of a batch.

    Args:
        predicted: For B images.
        targets: The B images' locations in one line, as the predictions flattened.
        annotated: Which classes each image's data set annotates; the others get a classification loss only where an
            object of a known class is.
        share: Makes the normalisers those of all processes together.
        box_quality: What the centerness branch is taught, and how objects' locations weigh in the box term: centerness
            in both, or the IoU of the predicted box, and all alike. IoUs are no weights: those of a fresh network are
            all but zero, and a bad box would be excused from learning. Nor is centerness then: it would take their
            share from objects of a stride or two, whose few locations are seldom central.
        class_loss: Focal, towards 1 for an object; or quality focal, towards the IoU of the predicted box.
        small_box_weight: How much more the locations of a small object weigh in the box term, at most. One of a stride
            or two has one to four of the nine locations of a centre square; with 9, it still weighs as if it had nine.
            What is hidden of an object does not count: its box is hard to tell, not small.
        plain_giou: GIoU without what the published one adds, which would take from the same objects what they gain.
    """
    classes = predicted.class_logits.shape[2]
    positive = targets.labels < classes
    central = targets.centerness[positive]
    positives = share(positive.sum().float(), 1.0)
    ltrb, true_ltrb = predicted.ltrb.flatten(0, 1)[positive].float(), targets.ltrb[positive]
    overlaps = iou(ltrb.detach(), true_ltrb)
    quality, weights = (central, central) if box_quality == "centerness" else (overlaps, torch.ones_like(central))
    weights = weights * (CENTER_LOCATIONS / _area(true_ltrb).clamp(min=1)).clamp(1, small_box_weight)
    fits = torch.zeros_like(targets.centerness).masked_scatter(positive, overlaps)
    logits = predicted.centerness_logits.flatten()[positive].float()
    return DetectionLosses(
        classification=_class_loss(predicted.class_logits, targets.labels, fits, annotated, class_loss) / positives,
        box=(weights * (1 - giou(ltrb, true_ltrb, 0.0 if plain_giou else 1.0))).sum() / share(weights.sum(), 1e-6),
        centerness=functional.binary_cross_entropy_with_logits(logits, quality, reduction="sum") / positives,
    )


def _class_loss(
    class_logits: Float[Tensor, "images locations classes"],
    labels: Tensor,
    fits: Tensor,
    annotated: Bool[Tensor, "images classes"],
    kind: ClassLoss,
) -> Float[Tensor, ""]:
    """Summed; ``fits`` are the IoUs of all predicted boxes in one line."""
    images, locations, classes = class_logits.shape
    hot = functional.one_hot(labels, classes + 1)[:, :classes].reshape(images, locations, classes).float()
    match kind:
        case "focal":
            losses = sigmoid_focal_loss(class_logits.float(), hot, alpha=0.25, gamma=2)
        case "quality":
            losses = quality_focal_loss(class_logits.float(), hot * fits.view(images, locations, 1))
    # A class that a set does not annotate may stand anywhere in its pictures, but not where another object is known to.
    taught = annotated[:, None, :] | (labels < classes).view(images, locations, 1)
    return (losses * taught).sum()


def quality_focal_loss(class_logits: Float[Tensor, "*n"], wanted: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Cross-entropy towards a quality between 0 and 1, times the square of what is missing (GFL eq. 4, beta 2).

    >>> quality_focal_loss(torch.zeros(2), torch.tensor([0.5, 1.0])).tolist()
    [0.0, 0.1732867956161499]
    """
    missing = (wanted - class_logits.sigmoid()).square()
    return missing * functional.binary_cross_entropy_with_logits(class_logits, wanted, reduction="none")


def iou(predicted: Float[Tensor, "n 4"], wanted: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    """Plain IoU of two boxes around one point, given as distances; 0 if one has no area.

    >>> iou(torch.tensor([[1.0, 1.0, 1.0, 1.0]]), torch.tensor([[2.0, 2.0, 2.0, 2.0]])).tolist()
    [0.25]
    """
    inner = _area(torch.minimum(predicted, wanted))
    union = _area(predicted) + _area(wanted) - inner
    return inner / union.clamp(min=torch.finfo(union.dtype).tiny)


def giou(predicted: Float[Tensor, "n 4"], wanted: Float[Tensor, "n 4"], added: float = 1.0) -> Float[Tensor, " n"]:
    """Generalised IoU of two boxes around one point, given as distances in strides.

    The published form adds 1 to intersection and union, which lifts the IoU of boxes of a few strides; kept, because
    the published weights were trained with it. With ``added=0`` it is plain.
    """
    inner, hull = _area(torch.minimum(predicted, wanted)), _area(torch.maximum(predicted, wanted))
    union = _area(predicted) + _area(wanted) - inner
    return (inner + added) / (union + added).clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def _area(ltrb: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    return ltrb.unflatten(1, (2, 2)).sum(dim=1).prod(dim=1)
