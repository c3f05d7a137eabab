"""Mask and mask-IoU terms."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from centermask.model.masks.losses import mask_losses, true_ious
from centermask.model.masks.targets import match_rois
from centermask.ops.mask_warp import Polygons
from centermask.structures import Detections, MaskPredictions, RoIs, RoITargets
from tests.model.small import squares


def targets(masks: Tensor, shares: list[float] | None = None) -> RoITargets:
    count = len(masks)
    indices = torch.zeros(count, dtype=torch.int64)
    shares = [1.0] * count if shares is None else shares
    return RoITargets(RoIs(torch.zeros(count, 4), indices, indices), masks, torch.tensor(shares))


def columns(start: int, stop: int, side: int = 4) -> Tensor:
    """A mask of some columns."""
    inside = (torch.arange(side) >= start) & (torch.arange(side) < stop)
    return inside.float().expand(1, side, side)


def logits(mask: Tensor) -> Tensor:
    return mask * 8 - 4


NOTHING = targets(torch.zeros(0, 28, 28), [])


@pytest.mark.parametrize(
    ("predicted", "wanted", "share", "iou"),
    [
        (columns(0, 2), columns(0, 2), 1.0, 1),
        (columns(0, 2), columns(1, 3), 1.0, 4 / 12),
        (columns(0, 2), columns(1, 3), 0.5, 4 / (8 + 16 - 4)),  # as much again lies outside of the box
        (columns(0, 4), columns(0, 4), 0.25, 16 / 64),
        (columns(0, 2), columns(2, 4), 1.0, 0),
        (columns(0, 0), columns(0, 2), 1.0, 0),
        (columns(0, 2), columns(0, 0), 1.0, 0),
        (columns(0, 0), columns(0, 0), 1e-10, 0),  # a polygon without area: 0 / 1e-10, and no NaN
    ],
)
def test_the_iou_counts_what_the_box_cuts_off(predicted: Tensor, wanted: Tensor, share: float, iou: float) -> None:
    assert true_ious(logits(predicted), targets(wanted, [share])).item() == pytest.approx(iou)


def test_a_cell_is_object_where_its_logit_is_positive() -> None:
    assert true_ious(torch.zeros(1, 4, 4), targets(columns(0, 4))).item() == 0
    assert true_ious(torch.full((1, 4, 4), 1e-6), targets(columns(0, 4))).item() == 1


def test_an_undecided_mask_costs_ln_2() -> None:
    found = mask_losses(MaskPredictions(torch.zeros(3, 28, 28), torch.zeros(3)), targets(torch.rand(3, 28, 28).round()))
    assert found.mask.item() == pytest.approx(math.log(2))


def test_the_mask_term_is_the_mean_over_all_cells_of_all_rois() -> None:
    generator = torch.Generator().manual_seed(0)
    raw, wanted = (torch.randn(5, 6, 6, generator=generator) for _ in range(2))
    wanted = (wanted > 0).float()
    p = raw.sigmoid()
    slow = -(wanted * p.log() + (1 - wanted) * (1 - p).log()).mean()
    torch.testing.assert_close(mask_losses(MaskPredictions(raw, torch.zeros(5)), targets(wanted)).mask, slow)


def test_the_dice_term_by_hand() -> None:
    # Certain masks of 8 cells: one with all of them right, one with half: 1 - 2 · 8 / (8 + 8) and 1 - 2 · 4 / (8 + 8).
    raw, wanted = (torch.cat([columns(0, 2)] * 2) - 0.5) * 80, torch.cat([columns(0, 2), columns(1, 3)])
    said = MaskPredictions(raw, torch.zeros(2))
    dice = mask_losses(said, targets(wanted), dice_weight=1.0).mask - mask_losses(said, targets(wanted)).mask
    assert dice.item() == pytest.approx((0 + 0.5) / 2)
    half = mask_losses(said, targets(wanted), dice_weight=0.5).mask - mask_losses(said, targets(wanted)).mask
    assert half.item() == pytest.approx(0.125)


def test_in_the_dice_term_a_small_object_counts_like_a_large_one() -> None:
    said = MaskPredictions(torch.full((2, 8, 8), -40.0), torch.zeros(2))  # nothing, and sure of it
    lost = [mask_losses(said, targets(torch.cat([columns(0, 8, 8), columns(0, width, 8)])), dice_weight=weight).mask
            for weight in (0.0, 1.0) for width in (1, 4)]  # fmt: skip
    assert lost[2] - lost[0] == pytest.approx(1) == lost[3] - lost[1]
    assert lost[1] > lost[0] + 7  # cross-entropy counts cells


@pytest.mark.parametrize("wanted", [columns(0, 0), columns(0, 4)])
@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
def test_the_dice_term_is_finite_and_so_is_its_gradient(wanted: Tensor, logit: float) -> None:
    raw = torch.full((1, 4, 4), logit, requires_grad=True)
    found = mask_losses(MaskPredictions(raw, torch.zeros(1)), targets(wanted), dice_weight=1.0)
    found.mask.backward()
    assert found.mask.isfinite()
    assert raw.grad.isfinite().all()


def test_the_mask_iou_term_by_hand() -> None:
    # True IoUs 1 and 1/3, predicted 0.8 and 0.5: the mean of 0.5 · 0.2² and 0.5 · (1/6)².
    raw, wanted = logits(torch.cat([columns(0, 2)] * 2)), torch.cat([columns(0, 2), columns(1, 3)])
    found = mask_losses(MaskPredictions(raw, torch.tensor([0.8, 0.5])), targets(wanted))
    assert found.mask_iou.item() == pytest.approx((0.5 * 0.04 + 0.5 / 36) / 2)


def test_a_mask_that_misses_its_object_teaches_no_iou() -> None:
    raw, wanted = logits(torch.cat([columns(0, 2)] * 2)), torch.cat([columns(0, 2), columns(2, 4)])
    ious = torch.tensor([0.8, 0.9], requires_grad=True)
    found = mask_losses(MaskPredictions(raw, ious), targets(wanted))
    assert found.mask_iou.item() == pytest.approx(0.5 * 0.04)
    found.mask_iou.backward()
    torch.testing.assert_close(ious.grad, torch.tensor([-0.2, 0.0]))


def test_where_every_mask_misses_the_iou_term_is_zero() -> None:
    ious = torch.tensor([0.8], requires_grad=True)
    found = mask_losses(MaskPredictions(logits(columns(0, 2)), ious), targets(columns(2, 4)))
    found.mask_iou.backward()
    assert found.mask_iou == 0
    assert ious.grad.tolist() == [0]


def test_the_wanted_iou_is_not_taught_to_the_mask() -> None:
    raw = logits(columns(0, 2)).requires_grad_()
    found = mask_losses(MaskPredictions(raw, torch.tensor([0.3], requires_grad=True)), targets(columns(1, 3)))
    found.mask_iou.backward()
    assert raw.grad is None


def test_no_roi_costs_nothing_but_gives_a_gradient() -> None:
    raw, ious = torch.zeros(0, 28, 28, requires_grad=True), torch.zeros(0, requires_grad=True)
    found = mask_losses(MaskPredictions(raw, ious), NOTHING, dice_weight=1.0)
    assert [loss.item() for loss in found] == [0, 0]
    (found.mask + found.mask_iou).backward()
    assert raw.grad.shape == raw.shape
    assert ious.grad.shape == ious.shape
    assert true_ious(torch.zeros(0, 28, 28), NOTHING).shape == (0,)


def test_a_polygon_without_area_makes_no_nan() -> None:
    # The published code divides 0 by 0 here (spec 7.1, 10).
    line = Polygons((np.array([[10.0, 10], [10, 20], [10, 30]]),))
    truth = squares((10, 10, 20, 0))._replace(masks=(line,))
    none = torch.zeros(0, dtype=torch.int64)
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), none, none, none)
    matched = match_rois([nothing], [truth], 128)
    raw = torch.randn(1, 28, 28, requires_grad=True)
    found = mask_losses(MaskPredictions(raw, torch.zeros(1)), matched)
    (found.mask + found.mask_iou).backward()
    assert found.mask.isfinite()
    assert found.mask_iou.isfinite()
    assert raw.grad.isfinite().all()


def test_losses_are_float32_in_mixed_precision() -> None:
    raw = torch.randn(3, 28, 28, generator=torch.Generator().manual_seed(0))
    wanted = targets((raw > 0.5).float())
    low = mask_losses(MaskPredictions(raw.bfloat16(), torch.full((3,), 0.5).bfloat16()), wanted)
    exact = mask_losses(MaskPredictions(raw, torch.full((3,), 0.5)), wanted)
    assert {loss.dtype for loss in low} == {torch.float32}
    torch.testing.assert_close(torch.stack(low), torch.stack(exact), rtol=0.02, atol=0.01)


def test_what_is_said_of_the_neighbours_counts_a_quarter() -> None:
    raw, wanted = torch.zeros(2, 28, 28), targets(torch.ones(2, 28, 28))
    others = torch.zeros(2, 14, 14, dtype=torch.bool)
    said = MaskPredictions(raw, torch.zeros(2), torch.full((2, 14, 14), 1.0))
    found = mask_losses(said, wanted._replace(others=others))
    assert found.mask.item() == pytest.approx(math.log(2) + 0.25 * math.log(1 + math.e))
    assert mask_losses(said, wanted).mask.item() == pytest.approx(math.log(2))
