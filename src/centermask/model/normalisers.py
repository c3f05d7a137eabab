"""What losses are divided by: counts over the whole batch of a step, whatever number of processes shares it.

Gradients are averaged over processes. A sum of losses divided by one process's share of the whole count therefore has
the gradient that a single process with the whole batch would have.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Share = Callable[[Tensor, float], Tensor]
"""A count and its least value to what the losses of one process are divided by."""


def own_share(count: Tensor, least: float) -> Tensor:
    """The count itself: of a run of one process.

    >>> own_share(torch.tensor(0.0), least=1.0)
    tensor(1.)
    """
    return count.clamp(min=least)


def share_over_processes(count: Tensor, least: float) -> Tensor:
    """The count summed over all processes of a run, at least ``least``, divided by their number."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return own_share(count, least)
    total = count.detach().clone()
    torch.distributed.all_reduce(total)
    return total.clamp(min=least) / torch.distributed.get_world_size()
