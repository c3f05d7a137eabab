"""What changes in the detection losses where scores are trained towards the IoU of the predicted box."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou

from centermask.model.detection.losses import detection_losses, iou, quality_focal_loss
from centermask.structures import DensePredictions, DenseTargets, DetectionLosses
from tests.model.test_detection_losses import all_classes, noisy, predictions, targets

HALF = torch.tensor([[[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 3.0, 1.0]]])
"""Boxes of IoU 1 and 1/2 with the targets, which are 2 by 2."""


def losses(predicted: DensePredictions, wanted: DenseTargets, **options: Any) -> DetectionLosses:
    images, _, classes = predicted.class_logits.shape
    return detection_losses(predicted, wanted, all_classes(images, classes), **options)


def boxes_of(ltrb: Tensor) -> Tensor:
    return torch.cat([-ltrb[:, :2], ltrb[:, 2:]], dim=1)


# IoU


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ((1, 1, 1, 1), (1, 1, 1, 1), 1),
        ((1, 1, 1, 1), (1, 1, 3, 1), 1 / 2),
        ((1, 1, 0, 0), (0, 0, 1, 1), 0),  # they touch in the point
        ((2, 2, 0, 0), (1, 1, 1, 1), 1 / 7),
        ((0, 0, 0, 0), (1, 1, 1, 1), 0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0),
    ],
)
def test_iou_by_hand(one: tuple, other: tuple, value: float) -> None:
    pair = [torch.tensor([box]).float() for box in (one, other)]
    assert iou(*pair).item() == pytest.approx(value)


def test_iou_is_torchvisions() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 50, 4, generator=generator) * 9
    torch.testing.assert_close(iou(one, other), box_iou(boxes_of(one), boxes_of(other)).diagonal())


# Quality focal loss


def test_the_quality_focal_loss_by_hand() -> None:
    # p = 1/2: towards 1 it costs (1/2)² ln 2, towards 1/4 it costs (1/4)² ln 2, and towards 1/2 nothing.
    found = quality_focal_loss(torch.zeros(3), torch.tensor([1, 0.25, 0.5]))
    assert found.tolist() == pytest.approx([math.log(2) / 4, math.log(2) / 16, 0])


@given(st.floats(-8, 8), st.floats(0, 1))
def test_the_quality_focal_loss_is_its_formula(logit: float, wanted: float) -> None:
    p = 1 / (1 + math.exp(-logit))
    slow = -(abs(wanted - p) ** 2) * ((1 - wanted) * math.log(1 - p) + wanted * math.log(p))
    found = quality_focal_loss(torch.tensor([logit]), torch.tensor([wanted])).item()
    assert found == pytest.approx(slow, rel=1e-3, abs=1e-6)


@given(st.floats(0.01, 0.99))
def test_the_quality_focal_loss_is_least_where_the_probability_is_the_quality(wanted: float) -> None:
    logits = torch.tensor([wanted]).logit().requires_grad_()
    found = quality_focal_loss(logits, torch.tensor([wanted]))
    found.sum().backward()
    assert found.item() == pytest.approx(0, abs=1e-9)
    assert logits.grad.item() == pytest.approx(0, abs=1e-6)


def test_classes_are_taught_the_fit_of_their_box() -> None:
    # Of class 0, p = 1/2 at both: towards IoU 1 it costs ln 2 / 4, towards 1/2 nothing. Of class 1 both are background.
    found = losses(predictions(torch.zeros(1, 2, 2), HALF), targets([0, 0]), class_loss="quality").classification
    assert found.item() == pytest.approx((1 + 0 + 2) * math.log(2) / 4 / 2)


def test_background_is_taught_nothing_else_than_zero() -> None:
    predicted = predictions(torch.zeros(1, 2, 1), HALF)
    found = losses(predicted, targets([1, 1]), class_loss="quality").classification
    assert found.item() == pytest.approx(2 * math.log(2) / 4)


def test_with_boxes_that_fit_quality_focal_is_the_square_of_what_is_missing_times_cross_entropy() -> None:
    predicted, wanted = noisy()
    perfect = predicted._replace(ltrb=wanted.ltrb.view(2, 12, 4))
    hot = functional.one_hot(wanted.labels, 4)[:, :3].float().view(2, 12, 3)
    p = predicted.class_logits.sigmoid()
    slow = ((hot - p) ** 2 * functional.binary_cross_entropy(p, hot, reduction="none")).sum()
    found = losses(perfect, wanted, class_loss="quality").classification
    torch.testing.assert_close(found, slow / (wanted.labels < 3).sum())


def test_a_class_that_is_not_annotated_is_not_taught_as_background() -> None:
    logits = torch.zeros(1, 2, 2, requires_grad=True)
    annotated = torch.tensor([[True, False]])
    detection_losses(
        predictions(logits, HALF), targets([2, 2]), annotated, class_loss="quality"
    ).classification.backward()
    assert logits.grad[0, :, 0].all()
    assert not logits.grad[0, :, 1].any()


# IoU as the quality


def test_the_quality_branch_is_taught_the_fit_of_the_box() -> None:
    # A logit of 0 costs ln 2 whatever is wanted; one of 2 costs softplus(2) − 2 · IoU.
    predicted = predictions(torch.zeros(1, 2, 1), HALF, torch.tensor([[0.0, 2.0]]))
    found = losses(predicted, targets([0, 0], centerness=[0.1, 0.1]), box_quality="iou").centerness
    assert found.item() == pytest.approx((math.log(2) + math.log(1 + math.exp(2)) - 1) / 2)


def test_all_boxes_of_objects_weigh_alike_where_the_quality_is_iou() -> None:
    # One fits; of the other, 4 inside 8, the published IoU is (4 + 1) / (8 + 1). Centerness does not matter.
    predicted = predictions(torch.zeros(1, 2, 1), HALF)
    found = losses(predicted, targets([0, 0], centerness=[0.9, 0.0]), box_quality="iou").box
    assert found.item() == pytest.approx((0 + 4 / 9) / 2)


# Small objects


def boxes(*sides: float) -> Tensor:
    """Squares around their locations."""
    return torch.tensor([[side / 2] * 4 for side in sides])


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("most", "weights"), [(1.0, [1, 1, 1, 1]), (9.0, [9, 9, 9 / 4, 1]), (3.0, [3, 3, 9 / 4, 1])])
def test_small_boxes_weigh_as_if_they_had_nine_locations(most: float, weights: list[float], plain: bool) -> None:
    # Boxes of half a stride, one, two, and four; one at a time is wrong, all weigh in the mean.
    true, centerness = boxes(0.5, 1, 2, 4), [0.5, 1.0, 0.8, 0.6]
    for wrong in range(4):
        said = true.clone()
        said[wrong] *= 2
        found = losses(
            predictions(torch.zeros(1, 4, 1), said[None]), targets([0] * 4, true, centerness),
            small_box_weight=most, plain_giou=plain,
        ).box  # fmt: skip
        parts = [weight * central for weight, central in zip(weights, centerness, strict=True)]
        area = true[wrong, 0].item() ** 2 * 4  # the wrong one has four times that, and is its own hull
        fit = area / (4 * area) if plain else (area + 1) / (4 * area + 1)
        miss = 1 - fit
        assert found.item() == pytest.approx(parts[wrong] * miss / sum(parts))


def test_scores_do_not_teach_boxes() -> None:
    predicted, wanted = noisy()
    found = losses(predicted, wanted, box_quality="iou", class_loss="quality")
    assert found.box.requires_grad
    scores = torch.autograd.grad(found.classification + found.centerness, predicted.ltrb, allow_unused=True)
    assert scores == (None,)


def test_each_term_teaches_its_own_output() -> None:
    predicted, wanted = noisy()
    found = losses(predicted, wanted, box_quality="iou", class_loss="quality")
    for loss, own in zip(found, (predicted.class_logits, predicted.ltrb, predicted.centerness_logits), strict=True):
        gradient = torch.autograd.grad(loss, own, retain_graph=True)[0]
        assert gradient.isfinite().all()
        assert gradient.any()


@pytest.mark.parametrize("labels", [[3] * 24, []])
def test_without_objects_no_box_and_no_quality_is_taught(labels: list[int]) -> None:
    predicted, wanted = noisy(locations=len(labels) // 2)
    found = losses(predicted, wanted._replace(labels=torch.tensor(labels, dtype=torch.int64)),
                   box_quality="iou", class_loss="quality")  # fmt: skip
    assert found.box == 0
    assert found.centerness == 0
    assert (found.classification > 0) == bool(labels)
    sum(found).backward()
    assert not predicted.ltrb.grad.any()


def test_losses_are_float32_in_mixed_precision() -> None:
    predicted, wanted = noisy()
    low = DensePredictions(*(field.bfloat16() for field in predicted))
    found, exact = (
        torch.stack(losses(one, wanted, box_quality="iou", class_loss="quality")) for one in (low, predicted)
    )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0.01)
