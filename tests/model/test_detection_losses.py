"""Focal, GIoU and centerness terms."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou

from centermask.model.detection.losses import detection_losses, giou
from centermask.model.normalisers import own_share
from centermask.structures import DensePredictions, DenseTargets

EVERY_CLASS = torch.ones(1, 1, dtype=torch.bool)


def predictions(class_logits: Tensor, ltrb: Tensor | None = None, centerness: Tensor | None = None) -> DensePredictions:
    images, locations, _ = class_logits.shape
    ltrb = torch.ones(images, locations, 4) if ltrb is None else ltrb
    return DensePredictions(class_logits, ltrb, torch.zeros(images, locations) if centerness is None else centerness)


def targets(labels: list[int], ltrb: Tensor | None = None, centerness: list[float] | None = None) -> DenseTargets:
    count = len(labels)
    return DenseTargets(
        torch.tensor(labels, dtype=torch.int64),
        torch.ones(count, 4) if ltrb is None else ltrb,
        torch.tensor(centerness or [1.0] * count),
    )


def noisy(images: int = 2, locations: int = 12, classes: int = 3) -> tuple[DensePredictions, DenseTargets]:
    generator = torch.Generator().manual_seed(0)
    predicted = DensePredictions(
        torch.randn(images, locations, classes, generator=generator).requires_grad_(),
        (torch.rand(images, locations, 4, generator=generator) * 5).requires_grad_(),
        torch.randn(images, locations, generator=generator).requires_grad_(),
    )
    count = images * locations
    labels = torch.randint(classes + 1, (count,), generator=generator)
    ltrb = torch.rand(count, 4, generator=generator) * 5 + 0.1
    return predicted, DenseTargets(labels, ltrb, torch.rand(count, generator=generator))


def all_classes(images: int = 2, classes: int = 3) -> Tensor:
    return torch.ones(images, classes, dtype=torch.bool)


def test_the_focal_term_by_hand() -> None:
    # p = 1/2: an object costs 0.25 · 0.5² · ln 2, background 0.75 · 0.5² · ln 2.
    logits = torch.zeros(1, 1, 1)
    found = detection_losses(predictions(logits), targets([0]), EVERY_CLASS).classification
    assert found.item() == pytest.approx(0.0625 * math.log(2))
    background = detection_losses(predictions(logits), targets([1]), EVERY_CLASS).classification
    assert background.item() == pytest.approx(0.1875 * math.log(2))


def test_an_object_is_background_for_the_other_classes() -> None:
    found = detection_losses(predictions(torch.zeros(1, 1, 3)), targets([1]), all_classes(1)).classification
    assert found.item() == pytest.approx((0.0625 + 2 * 0.1875) * math.log(2))


def test_the_focal_term_by_its_formula() -> None:
    predicted, wanted = noisy()
    p = predicted.class_logits.flatten(0, 1).sigmoid()
    hot = functional.one_hot(wanted.labels, 4)[:, :3].bool()
    sure = torch.where(hot, p, 1 - p)
    slow = -(torch.where(hot, 0.25, 0.75) * (1 - sure) ** 2 * sure.log()).sum() / (wanted.labels < 3).sum()
    torch.testing.assert_close(detection_losses(predicted, wanted, all_classes()).classification, slow)


def test_the_box_term_weighs_objects_by_their_centerness() -> None:
    # One box fits (GIoU 1), one is lost (area 4 inside of nothing: 1/5 − 0); weights 3/4 and 1/4 of their sum.
    ltrb = torch.stack([torch.ones(4), torch.zeros(4)])[None]
    found = detection_losses(
        predictions(torch.zeros(1, 2, 1), ltrb), targets([0, 0], centerness=[0.6, 0.2]), EVERY_CLASS
    )
    assert found.box.item() == pytest.approx(0.25 * (1 - 1 / 5))


def test_the_centerness_term_by_hand() -> None:
    # Logit 0 costs ln 2 whatever is wanted.
    predicted = predictions(torch.zeros(1, 2, 1), centerness=torch.zeros(1, 2))
    found = detection_losses(predicted, targets([0, 0], centerness=[0.3, 0.9]), EVERY_CLASS)
    assert found.centerness.item() == pytest.approx(math.log(2))


def test_the_centerness_term_is_least_where_it_is_right() -> None:
    wanted = torch.tensor([0.3, 0.8])
    logits = wanted.logit()[None].requires_grad_()
    found = detection_losses(predictions(torch.zeros(1, 2, 1), centerness=logits), targets([0, 0], None, [0.3, 0.8]),
                             EVERY_CLASS)  # fmt: skip
    found.centerness.backward()
    torch.testing.assert_close(logits.grad, torch.zeros(1, 2), atol=1e-6, rtol=0)
    assert found.centerness > 0.5  # the entropy of soft targets remains


def test_background_has_no_box_and_no_centerness() -> None:
    predicted, wanted = noisy()
    losses = detection_losses(predicted, wanted, all_classes())
    (losses.box + losses.centerness).backward()
    background = (wanted.labels == 3).view(2, 12)
    assert background.any()
    assert not predicted.ltrb.grad[background].any()
    assert not predicted.centerness_logits.grad[background].any()


def test_without_objects_only_the_focal_term_remains_and_all_have_a_gradient() -> None:
    predicted, wanted = noisy()
    losses = detection_losses(predicted, wanted._replace(labels=torch.full_like(wanted.labels, 3)), all_classes())
    assert losses.box == 0
    assert losses.centerness == 0
    assert losses.classification > 0
    sum(losses).backward()
    assert predicted.class_logits.grad.abs().sum() > 0
    assert not predicted.ltrb.grad.any()
    assert not predicted.centerness_logits.grad.any()


def test_without_a_location_every_term_is_zero() -> None:
    predicted = predictions(torch.zeros(2, 0, 3))
    losses = detection_losses(predicted, targets([], torch.zeros(0, 4)), all_classes())
    assert [loss.item() for loss in losses] == [0, 0, 0]


def test_a_class_that_is_not_annotated_is_taught_only_where_another_object_is() -> None:
    predicted, wanted = noisy()
    annotated = torch.tensor([[True, False, True], [True, True, True]])
    detection_losses(predicted, wanted, annotated).classification.backward()
    taught = predicted.class_logits.grad != 0
    objects = (wanted.labels < 3).view(2, 12)
    assert 0 < objects[0].sum() < 12
    assert torch.equal(taught[0, :, 1], objects[0])
    assert taught[0][:, [0, 2]].all()
    assert taught[1].all()


def test_an_image_of_background_teaches_nothing_about_a_class_that_is_not_annotated() -> None:
    logits = torch.zeros(1, 4, 2, requires_grad=True)
    found = detection_losses(predictions(logits), targets([2] * 4), torch.tensor([[True, False]]))
    found.classification.backward()
    assert found.classification.item() == pytest.approx(4 * 0.1875 * math.log(2))
    assert logits.grad[0, :, 0].all()
    assert not logits.grad[0, :, 1].any()


def test_the_normalisers_are_shared_with_other_processes() -> None:
    # Were there twice as many objects on average, every term would be half as large.
    predicted, wanted = noisy()
    alone = detection_losses(predicted, wanted, all_classes())
    averaged = detection_losses(predicted, wanted, all_classes(), share=lambda count, least: 2 * count)
    torch.testing.assert_close(torch.stack(averaged), torch.stack(alone) / 2)


def test_the_normaliser_is_at_least_one_object() -> None:
    predicted, wanted = noisy()
    few = detection_losses(predicted, wanted, all_classes(), share=lambda count, least: own_share(count * 0, least))
    positives = (wanted.labels < 3).sum()
    alone = detection_losses(predicted, wanted, all_classes())
    torch.testing.assert_close(few.classification, alone.classification * positives)
    torch.testing.assert_close(few.centerness, alone.centerness * positives)
    assert few.box.isfinite()


def test_the_numerators_of_two_images_add_up() -> None:
    predicted, wanted = noisy()
    together = detection_losses(predicted, wanted, all_classes())
    parts = []
    for image in range(2):
        own = slice(12 * image, 12 * image + 12)
        target = DenseTargets(*(field[own] for field in wanted))
        one = detection_losses(
            DensePredictions(*(field[image : image + 1] for field in predicted)), target, all_classes(1)
        )
        positives, weights = (target.labels < 3).sum(), target.centerness[target.labels < 3].sum()
        parts.append(torch.stack([one.classification * positives, one.box * weights, one.centerness * positives]))
    positive = wanted.labels < 3
    norms = torch.stack([positive.sum(), wanted.centerness[positive].sum(), positive.sum()])
    torch.testing.assert_close(torch.stack(together), sum(parts) / norms)


def test_losses_are_float32_in_mixed_precision() -> None:
    predicted, wanted = noisy()
    low = DensePredictions(*(field.bfloat16() for field in predicted))
    found, exact = (torch.stack(detection_losses(one, wanted, all_classes())) for one in (low, predicted))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0.01)


# GIoU


@pytest.mark.parametrize(
    ("predicted", "wanted", "value"),
    [
        ((1, 1, 1, 1), (1, 1, 1, 1), 1),
        ((0, 0, 0, 0), (0, 0, 0, 0), 1),  # both without area: (0 + 1) / (0 + 1), and no NaN
        ((0, 0, 0, 0), (1, 1, 1, 1), 1 / 5),  # 0 inside 4
        ((1, 1, 1, 1), (2, 2, 2, 2), 5 / 17),  # 4 inside 16: the hull is the larger box
        ((2, 1, 2, 1), (1, 2, 1, 2), 5 / 13 - 4 / 16),  # 4 × 2 across 2 × 4: inner 4, union 12, hull 16
        ((3, 0, 0, 3), (0, 3, 3, 0), 1 / 19 - 18 / 36),  # quarter against quarter: they touch in the point only
    ],
)
def test_giou_by_hand(predicted: tuple[int, ...], wanted: tuple[int, ...], value: float) -> None:
    found = giou(torch.tensor([predicted]).float(), torch.tensor([wanted]).float())
    assert found.item() == pytest.approx(value)


def test_giou_of_large_boxes_is_torchvisions() -> None:
    # Where areas are millions, the 1 that is added to them is lost.
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(100, 4, generator=generator) * 2000 + 500 for _ in range(2))
    signs = torch.tensor([-1, -1, 1, 1])
    wanted = generalized_box_iou(first * signs, second * signs).diagonal()
    torch.testing.assert_close(giou(first, second), wanted, atol=1e-5, rtol=0)


def test_giou_is_symmetric_and_does_not_change_in_a_mirror() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(50, 4, generator=generator) * 5 for _ in range(2))
    torch.testing.assert_close(giou(first, second), giou(second, first))
    mirror = [2, 1, 0, 3]
    torch.testing.assert_close(giou(first[:, mirror], second[:, mirror]), giou(first, second))


def test_the_plain_giou_is_torchvisions() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(100, 4, generator=generator) * 2 for _ in range(2))
    signs = torch.tensor([-1, -1, 1, 1])
    wanted = generalized_box_iou(first * signs, second * signs).diagonal()
    torch.testing.assert_close(giou(first, second, added=0.0), wanted, atol=1e-5, rtol=0)


def test_the_plain_giou_of_points_is_finite_and_so_is_its_gradient() -> None:
    predicted = torch.zeros(2, 4, requires_grad=True)
    found = giou(predicted, torch.tensor([[0.0] * 4, [1.0] * 4]), added=0.0)
    found.sum().backward()
    assert found.tolist() == [0, 0]
    assert predicted.grad.isfinite().all()


def test_giou_of_no_boxes_is_nothing() -> None:
    assert giou(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)


def test_giou_has_a_finite_gradient_where_a_box_has_no_area() -> None:
    predicted = torch.zeros(1, 4, requires_grad=True)
    giou(predicted, torch.ones(1, 4)).sum().backward()
    assert predicted.grad.isfinite().all()
