"""What the measurements share: the clock and the rounds of ``centermask.bench``, and a line about the machine."""

import torch

from centermask.bench.clock import Taken, clock, medians

__all__ = ["Taken", "clock", "machine", "medians"]


def machine(rounds: int, threads: int) -> str:
    """A line that says where and how it was measured."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {threads} threads"
    return f"torch {torch.__version__}, {device}; medians of {rounds} interleaved rounds"
