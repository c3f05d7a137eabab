"""From masks in regions to the boxes of objects, and the masks in these."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from centermask.model.masks.tighten import tighten
from centermask.ops.boxes import widen
from centermask.ops.mask_warp import paste
from centermask.size import Size

PICTURE = Size(160, 160)


def ellipse(box: tuple[float, float, float, float], region: Tensor, steepness: float = 12.0) -> Tensor:
    """A soft mask of the ellipse in a box, as it is seen through a region."""
    left, top, right, bottom = box
    cells = (torch.arange(28) + 0.5) / 28
    x, y = (region[0, axis] + cells * (region[0, axis + 2] - region[0, axis]) for axis in (0, 1))
    across = (x - (left + right) / 2) / ((right - left) / 2)
    down = (y - (top + bottom) / 2) / ((bottom - top) / 2)
    return ((1 - (across[None, :] ** 2 + down[:, None] ** 2).sqrt()) * steepness).sigmoid()[None]


def drawn(mask: Tensor, box: Tensor, fills_box: bool = False) -> np.ndarray:
    plane = np.zeros(PICTURE, dtype=bool)
    pixels, left, top = paste(mask.numpy(), box.numpy(), PICTURE, fills_box=fills_box)
    plane[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return plane


def test_a_box_ends_where_the_mask_falls_through_one_half() -> None:
    # cells 7 to 20 across and 14 to 20 down are set; half-way between two cells' centres is their border
    masks = torch.zeros(1, 28, 28)
    masks[0, 14:21, 7:21] = 1.0
    boxes, _ = tighten(masks, torch.tensor([[0.0, 100.0, 280.0, 380.0]]), torch.zeros(1, 4))
    assert boxes.tolist() == [[70, 240, 210, 310]]


def test_a_mask_that_fills_its_region_is_left_as_it_is() -> None:
    region = torch.tensor([[10.0, 20.0, 66.0, 48.0]])
    boxes, masks = tighten(torch.ones(1, 28, 28), region, torch.zeros(1, 4))
    assert torch.equal(boxes, region)
    torch.testing.assert_close(masks, torch.ones(1, 28, 28))


def test_an_object_without_a_mask_keeps_its_box() -> None:
    box = torch.tensor([[10.0, 20.0, 66.0, 48.0]])
    boxes, masks = tighten(torch.full((1, 28, 28), 0.4), widen(box, 0.2), box)
    torch.testing.assert_close(boxes, box)
    torch.testing.assert_close(masks, torch.full((1, 28, 28), 0.4))


def test_a_region_without_extent_gives_no_other_numbers() -> None:
    nothing = torch.tensor([[5.0, 5.0, 5.0, 5.0]])
    boxes, masks = tighten(torch.full((1, 28, 28), 0.9), nothing, nothing)
    torch.testing.assert_close(boxes, nothing)
    assert masks.isfinite().all()


def test_nothing_found_is_nothing() -> None:
    boxes, masks = tighten(torch.zeros(0, 28, 28), torch.zeros(0, 4), torch.zeros(0, 4))
    assert boxes.shape == (0, 4)
    assert masks.shape == (0, 28, 28)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(20, 60), st.floats(20, 60), st.floats(20, 90), st.floats(20, 90), st.floats(0.05, 0.4),
    st.floats(-0.04, 0.04),
)  # fmt: skip
def test_the_object_is_where_it_was(
    left: float, top: float, width: float, height: float, margin: float, shift: float
) -> None:
    box = (left, top, left + width, top + height)
    predicted = torch.tensor([box]) + shift * width  # as a detector predicts it
    region = widen(predicted, margin + 0.05)
    masks = ellipse(box, region)
    boxes, own = tighten(masks, region, predicted)
    torch.testing.assert_close(boxes, torch.tensor([box]), atol=0.01 * max(width, height), rtol=0)
    before, after = drawn(masks[0], region[0]), drawn(own[0], boxes[0], fills_box=True)
    assert (before & after).sum() / (before | after).sum() > 0.97


def test_masks_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    masks, regions = torch.rand(3, 28, 28), widen(torch.rand(3, 4) * 20 + torch.tensor([0, 0, 40, 40]), 0.1)
    together = tighten(masks, regions, regions)
    alone = tighten(masks[1:2], regions[1:2], regions[1:2])
    for one, other in zip(together, alone, strict=True):
        assert one[1:2] == pytest.approx(other)
