"""How much of its score a box keeps beside better boxes of its class."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import box_iou

from centermask.model.detection.suppress import decay_factors


def factors(boxes: list[list[float]], labels: list[int] | None = None, strength: float = 2.0) -> list[float]:
    """Of one image."""
    own = torch.tensor([labels or [0] * len(boxes)])
    kept: list[float] = decay_factors(torch.tensor([boxes]).float(), own, strength)[0].tolist()
    return kept


def random_boxes(images: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes that overlap a lot, and labels of two classes."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(images, count, 2, generator=generator) * 10
    boxes = torch.cat([low, low + 5 + torch.rand(images, count, 2, generator=generator) * 5], dim=2)
    return boxes, torch.randint(2, (images, count), generator=generator)


def slow_factors(boxes: Tensor, labels: Tensor, strength: float) -> list[float]:
    """The paper's formula for one image, box by box: the least of f(iou) / f(how far the better one is covered)."""
    ious = (box_iou(boxes, boxes) * (labels[:, None] == labels)).tolist()
    covered = [max([ious[h][i] for h in range(i)], default=0.0) for i in range(len(boxes))]

    def f(iou: float) -> float:
        return math.exp(-strength * iou * iou)

    return [min([1.0, *(f(ious[i][j]) / f(covered[i]) for i in range(j))]) for j in range(len(boxes))]


def test_a_box_loses_by_its_overlap_with_a_better_one() -> None:
    # IoU 50 / 100: exp(-2 · 0.5²).
    assert factors([[0, 0, 10, 10], [0, 0, 10, 5]]) == pytest.approx([1.0, math.exp(-0.5)])


def test_a_box_loses_nothing_beside_another_class_or_apart() -> None:
    assert factors([[0, 0, 10, 10], [0, 0, 10, 5]], labels=[0, 1]) == [1.0, 1.0]
    assert factors([[0, 0, 10, 10], [10, 0, 20, 10]]) == [1.0, 1.0]


def test_what_lies_under_a_better_box_takes_less() -> None:
    # The second shares 1/3 with the first, the third 1/3 with the second and nothing with the first.
    assert factors([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]]) == pytest.approx([1.0, math.exp(-2 / 9), 1.0])


def test_the_worst_loss_counts() -> None:
    # Shares 1/5 with the first and 1/2 with the second, which are apart.
    boxes = [[0.0, 0, 10, 4], [0, 6, 10, 10], [0, 2, 10, 10]]
    ious = [20 / 100, 40 / 80]
    assert factors(boxes) == pytest.approx([1.0, 1.0, math.exp(-2 * max(ious) ** 2)])


def test_without_strength_nothing_is_lost() -> None:
    boxes, labels = random_boxes(2, 8, seed=0)
    assert (decay_factors(boxes, labels, 0.0) == 1).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 3), st.integers(0, 10_000), st.floats(0.1, 5))
def test_factors_are_those_of_the_formula_in_plain_loops(count: int, images: int, seed: int, strength: float) -> None:
    boxes, labels = random_boxes(images, count, seed)
    found = decay_factors(boxes, labels, strength)
    for own, classes, kept in zip(boxes, labels, found, strict=True):
        assert kept.tolist() == pytest.approx(slow_factors(own, classes, strength), abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 10_000))
def test_a_box_depends_on_better_boxes_only(count: int, seed: int) -> None:
    boxes, labels = random_boxes(1, 12, seed)
    empty = torch.zeros(1, 12 - count, 4)
    whole = decay_factors(boxes, labels, 1.5)
    filled = decay_factors(torch.cat([boxes[:, :count], empty], dim=1), labels, 1.5)
    torch.testing.assert_close(filled[:, :count], whole[:, :count])
    assert (filled[:, count:] == 1).all()
    assert (whole > 0).all()
    assert whole.max() <= 1
    assert whole[0, 0] == 1
