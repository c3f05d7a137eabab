"""STORY TWO: images and truths to losses."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from centermask.model.objective import Objective
from centermask.model.presets import PLUS
from centermask.structures import GroundTruth, ImageBatch, Losses
from tests.model.small import small_batch, small_model, squares

TRUTHS = (squares((20, 24, 60, 0), (90, 40, 48, 1), (100, 50, 30, 0)), squares((10, 10, 72, 1)))
NO_TRUTHS = (squares(), squares())
VARIANTS = pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": "batch"},
        {"norm": "group"},
        {"mask_iou_head": "light", "class_agnostic_masks": True},
        {"mask_iou_head": "none", "attention_fusion": "none"},
        {"attention_fusion": "concatenate", "level_rule": "area"},
        {"assignment": "atss", "box_quality": "iou"},
        {"assignment": "visible", "small_box_weight": 9.0, "plain_giou": True},
        {"mask_neighbours": True, "mask_stride": 4},
        PLUS,
        {"detection_stride": 4, "mask_iou_head": "coarse", "mask_margin": 0.1},
        {"assignment": "task-aligned", "class_loss": "quality"},
    ],
    ids=lambda changes: "plus" if changes is PLUS else "-".join(str(value) for value in changes.values()) or "usual",
)


def objective(proposals: int = 20, **changes: Any) -> Objective:
    return Objective(small_model(**changes), proposals=proposals).train()


def values(losses: Losses) -> Tensor:
    return torch.stack(losses).detach()


def step(made: Objective, truths: Sequence[GroundTruth]) -> Losses:
    losses = made(small_batch(), truths)
    losses.total().backward()
    return losses


@VARIANTS
def test_every_loss_is_finite_and_every_trained_parameter_gets_a_gradient(changes: dict) -> None:
    made = objective(**changes)
    losses = step(made, TRUTHS)
    found = values(losses)
    assert found.isfinite().all()
    assert (found[:4] > 0).all()
    assert losses.total().item() == pytest.approx(found.sum().item())
    for name, value in made.named_parameters():
        if value.requires_grad:
            assert value.grad is not None, name
            assert value.grad.isfinite().all(), name


@VARIANTS
def test_without_any_object_every_trained_parameter_still_gets_a_gradient(changes: dict) -> None:
    # Over several processes, a parameter without one would keep the others waiting for ever.
    made = objective(**changes)
    losses = step(made, NO_TRUTHS)
    assert losses.classification > 0
    assert values(losses)[1:].tolist() == [0, 0, 0, 0]
    for name, value in made.named_parameters():
        assert (value.grad is not None) == value.requires_grad, name
    assert not any(value.grad.any() for value in made.model.mask_head.parameters())


def test_frozen_norms_get_no_gradient() -> None:
    made = objective()
    step(made, TRUTHS)
    fixed = {name for name, value in made.named_parameters() if value.grad is None}
    assert fixed
    assert all(".norm." in name for name in fixed)


def test_without_a_mask_iou_head_its_loss_is_zero() -> None:
    losses = objective(mask_iou_head="none")(small_batch(), TRUTHS)
    assert losses.mask_iou == 0
    assert losses.mask > 0


def test_an_image_without_objects_may_stand_beside_another() -> None:
    losses = objective()(small_batch(), (squares(), TRUTHS[1]))
    assert values(losses).isfinite().all()
    assert losses.mask > 0


def test_the_order_of_the_objects_does_not_matter() -> None:
    made, (first, second) = objective(), TRUTHS
    order = [2, 0, 1]
    shuffled = first._replace(
        boxes=first.boxes[order], labels=first.labels[order], masks=tuple(first.masks[i] for i in order)
    )
    found = [values(made(small_batch(), truths)) for truths in ((first, second), (shuffled, second))]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_the_order_of_the_images_does_not_matter() -> None:
    made, batch = objective(), small_batch()
    swapped = ImageBatch(batch.pixels.flip(0), batch.sizes.flip(0))
    found = [values(made(batch, TRUTHS)), values(made(swapped, TRUTHS[::-1]))]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_a_class_that_is_not_annotated_is_not_taught() -> None:
    made = objective()
    unknown = [truth._replace(annotated=torch.tensor([True, False])) for truth in NO_TRUTHS]
    step(made, unknown)
    assert made.model.detection_head.class_logits.bias.grad[0] != 0
    assert made.model.detection_head.class_logits.bias.grad[1] == 0


def test_no_more_rois_than_the_limit_are_trained() -> None:
    # Of objects of two classes, a single RoI can only be of one: only its mask gets a gradient.
    taught = []
    for limit in (1, 128):
        made = objective()
        made.rois = limit
        step(made, (TRUTHS[0], squares()))
        taught.append(made.model.mask_head.predictor.weight.grad.flatten(1).any(dim=1).sum().item())
    assert taught == [1, 2]


def test_the_threshold_in_use_does_not_keep_masks_from_learning() -> None:
    # Of a network that gives every box a probability of 0.27, more boxes than the true ones are trained on.
    taught = list[float]()
    for threshold, proposals in ((0.05, 20), (0.9, 20), (0.9, 1)):
        made = objective(proposals, class_threshold=threshold)
        nn.init.constant_(made.model.detection_head.class_logits.bias, -1.0)
        nn.init.constant_(made.model.detection_head.ltrb.bias, 3.0)
        taught.append(float(values(step(made, TRUTHS)).sum()))
    assert taught[0] == taught[1] != taught[2]


def test_a_small_step_down_the_gradient_lessens_the_loss() -> None:
    # Without the mask-IoU term: what it wants jumps when an undecided cell of a mask changes sides.
    made = objective()
    trained = [value for value in made.parameters() if value.requires_grad]
    before = sum(made(small_batch(), TRUTHS)[:4])
    gradients = torch.autograd.grad(before, trained, allow_unused=True, materialize_grads=True)
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    with torch.no_grad():
        for value, gradient in zip(trained, gradients, strict=True):
            value -= 1e-3 * gradient / norm
    after = sum(made(small_batch(), TRUTHS)[:4])
    assert before - 2e-3 * norm < after < before - 0.5e-3 * norm  # as much as the gradient foretells


def test_training_and_prediction_see_the_same_network() -> None:
    # Frozen norms behave alike in both modes, and nothing else in the network asks for the mode.
    made = objective()
    with torch.no_grad():
        torch.testing.assert_close(values(made(small_batch(), TRUTHS)), values(made.eval()(small_batch(), TRUTHS)))


@pytest.mark.parametrize("assignment", ["fcos", "visible", "atss", "task-aligned"])
def test_a_few_steps_teach_two_pictures_whatever_the_assignment(assignment: str) -> None:
    made = objective(assignment=assignment, box_quality="iou", class_loss="quality", mask_iou_head="none")
    optimizer = torch.optim.AdamW([value for value in made.parameters() if value.requires_grad], lr=1e-3)
    boxes = []
    for _ in range(6):
        losses = step(made, TRUTHS)
        optimizer.step()
        optimizer.zero_grad()
        boxes.append(losses.box.item())
    assert boxes[-1] < 0.9 * boxes[0]


@pytest.mark.parametrize("kind", ["full", "coarse"])
def test_the_mask_iou_head_teaches_what_it_judges_only_where_it_may(kind: str) -> None:
    taught = {}
    for gradient in (True, False):
        torch.manual_seed(0)
        made = objective(mask_iou_head=kind, mask_iou_gradient=gradient, mask_predictor_std=0.4)
        made(small_batch(), TRUTHS).mask_iou.backward()
        taught[gradient] = {
            name for name, value in made.named_parameters() if value.grad is not None and value.grad.any()
        }
    assert {name.split(".")[1] for name in taught[False]} == {"mask_iou_head"}
    assert {name.split(".")[1] for name in taught[True]} >= {"mask_iou_head", "mask_head", "pyramid", "backbone"}


def test_masks_begin_with_the_spread_that_is_asked_for() -> None:
    for std in (0.001, 0.4):
        assert small_model(mask_predictor_std=std).mask_head.predictor.weight.std().item() == pytest.approx(
            std, rel=0.2
        )
