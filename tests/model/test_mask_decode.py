"""Logits to scored soft masks."""

import pytest
import torch

from centermask.model.masks.decode import decode_masks
from centermask.structures import Detections


def detections(*scores: float) -> Detections:
    count = len(scores)
    labels = torch.arange(count)
    return Detections(torch.arange(4.0 * count).view(count, 4), torch.tensor(scores), labels, labels + 100)


def test_every_image_gets_its_own_masks_in_the_order_of_its_detections() -> None:
    found = [detections(0.9, 0.8), detections(), detections(0.7)]
    logits = torch.tensor([0.0, 1.0, 2.0])[:, None, None].expand(3, 28, 28)
    decoded = decode_masks(logits, torch.ones(3), found)
    assert [len(one.masks) for one in decoded] == [2, 0, 1]
    torch.testing.assert_close(decoded[2].masks, torch.tensor(2.0).sigmoid().expand(1, 28, 28))
    for one, given in zip(decoded, found, strict=True):
        assert torch.equal(one.boxes, given.boxes)
        assert torch.equal(one.labels, given.labels)
        assert torch.equal(one.box_scores, given.scores)


@pytest.mark.parametrize(("iou", "score"), [(0.5, 0.4), (1.0, 0.8), (1.3, 0.8), (-0.2, 0.0)])
def test_the_score_is_that_of_the_box_times_the_clamped_iou(iou: float, score: float) -> None:
    decoded = decode_masks(torch.zeros(1, 28, 28), torch.tensor([iou]), [detections(0.8)])
    assert decoded[0].scores.item() == pytest.approx(score)
    assert decoded[0].box_scores.item() == pytest.approx(0.8)


def test_no_detection_is_no_instance() -> None:
    decoded = decode_masks(torch.zeros(0, 28, 28), torch.zeros(0), [detections(), detections()])
    assert [one.masks.shape for one in decoded] == [(0, 28, 28)] * 2
    assert decode_masks(torch.zeros(0, 28, 28), torch.zeros(0), []) == []


def test_probabilities_are_float32_in_mixed_precision() -> None:
    decoded = decode_masks(torch.zeros(1, 28, 28).bfloat16(), torch.ones(1).bfloat16(), [detections(0.8)])
    assert decoded[0].masks.dtype == decoded[0].scores.dtype == torch.float32
