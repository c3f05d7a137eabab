"""Averaged weights: by hand on one number."""

import pytest
import torch
from torch import nn

from centermask.train.averaging import averaged


def constant(value: float) -> nn.Linear:
    linear = nn.Linear(1, 1, bias=False)
    nn.init.constant_(linear.weight, value)
    return linear


def test_the_first_weights_are_taken_whole_and_the_next_ones_in_part() -> None:
    average = averaged(constant(9.0), decay=0.9)
    average.update_parameters(constant(1.0))
    assert average.module.weight.item() == 1
    average.update_parameters(constant(2.0))  # one before it: 2/11 of the old, 9/11 of the new
    assert average.module.weight.item() == pytest.approx(1 + 9 / 11)


def test_after_long_the_decay_decides() -> None:
    average = averaged(constant(0.0), decay=0.5)
    for _ in range(50):
        average.update_parameters(constant(0.0))
    average.update_parameters(constant(1.0))
    assert average.module.weight.item() == pytest.approx(0.5)
    average.update_parameters(constant(1.0))
    assert average.module.weight.item() == pytest.approx(0.75)


def test_a_constant_stays_what_it_is() -> None:
    average = averaged(constant(3.0), decay=0.99)
    for _ in range(20):
        average.update_parameters(constant(3.0))
    assert average.module.weight.item() == pytest.approx(3.0)


def test_statistics_are_averaged_too_and_counters_copied() -> None:
    norm = nn.BatchNorm2d(1)
    average = averaged(norm, decay=0.5)
    for _ in range(3):
        norm(torch.ones(1, 1, 2, 2) * 4)
        average.update_parameters(norm)
    assert 0 < average.module.running_mean.item() < norm.running_mean.item()
    assert average.module.num_batches_tracked.item() == 3


def test_the_model_itself_is_left_alone_and_the_average_learns_nothing() -> None:
    model = constant(1.0)
    average = averaged(model, decay=0.5)
    average.update_parameters(constant(5.0))
    assert model.weight.item() == 1
    assert average.module.weight.grad is None
