"""What losses are divided by."""

from collections.abc import Iterator

import pytest
import torch
from torch import distributed

from centermask.model.normalisers import share_over_processes


@pytest.fixture
def one_process() -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize(("count", "shared"), [(3.0, 3.0), (0.0, 1.0)])
def test_alone_a_count_is_its_own_share_and_at_least_the_least(count: float, shared: float) -> None:
    assert share_over_processes(torch.tensor(count), 1.0).item() == shared


@pytest.mark.usefixtures("one_process")
def test_among_processes_the_count_given_is_left_untouched() -> None:
    count = torch.tensor(3.0, requires_grad=True)
    shared = share_over_processes(count, 1.0)
    assert shared.item() == count.item() == 3
    assert not shared.requires_grad
