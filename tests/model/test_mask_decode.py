"""Logits to scored soft masks."""

import pytest
import torch

from centermask.model.masks.decode import decode_masks
from centermask.structures import Detections


def detections(*scores: float) -> Detections:
    count = len(scores)
    labels = torch.arange(count)
    return Detections(torch.arange(4.0 * count).view(count, 4), torch.tensor(scores), labels, labels + 100, labels * 0)


def test_masks_keep_the_order_of_the_detections() -> None:
    given = detections(0.9, 0.8, 0.7)
    logits = torch.tensor([0.0, 1.0, 2.0])[:, None, None].expand(3, 28, 28)
    decoded = decode_masks(logits, torch.ones(3), given)
    torch.testing.assert_close(decoded.masks[2], torch.tensor(2.0).sigmoid().expand(28, 28))
    assert torch.equal(decoded.boxes, given.boxes)
    assert torch.equal(decoded.labels, given.labels)
    assert torch.equal(decoded.box_scores, given.scores)


@pytest.mark.parametrize(("iou", "score"), [(0.5, 0.4), (1.0, 0.8), (1.3, 0.8), (-0.2, 0.0)])
def test_the_score_is_that_of_the_box_times_the_clamped_iou(iou: float, score: float) -> None:
    decoded = decode_masks(torch.zeros(1, 28, 28), torch.tensor([iou]), detections(0.8))
    assert decoded.scores.item() == pytest.approx(score)
    assert decoded.box_scores.item() == pytest.approx(0.8)


def test_with_a_margin_an_object_has_the_box_of_its_mask() -> None:
    # A box of 14, widened by a half on each side to 28, has cells of one pixel; 9 by 3 of them are set.
    logits = torch.full((1, 28, 28), -9.0)
    logits[0, 4:7, 8:17] = 9.0
    box = torch.tensor([[107.0, 57.0, 121.0, 71.0]])
    decoded = decode_masks(logits, torch.ones(1), detections(0.8)._replace(boxes=box), margin=0.5)
    torch.testing.assert_close(decoded.boxes, torch.tensor([[108.0, 54.0, 117.0, 57.0]]), atol=1e-3, rtol=0)
    assert (decoded.masks[0, 2:-2, 2:-2] > 0.5).all()
    assert decoded.scores.item() == pytest.approx(0.8)


def test_no_detection_is_no_instance() -> None:
    decoded = decode_masks(torch.zeros(0, 28, 28), torch.zeros(0), detections())
    assert [field.shape for field in decoded] == [(0, 4), (0,), (0,), (0,), (0, 28, 28)]


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_probabilities_are_float32_in_mixed_precision(margin: float) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        decoded = decode_masks(torch.zeros(1, 28, 28).bfloat16(), torch.ones(1).bfloat16(), detections(0.8), margin)
    assert decoded.masks.dtype == decoded.scores.dtype == decoded.boxes.dtype == torch.float32
