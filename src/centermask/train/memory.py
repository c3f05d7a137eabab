"""How much memory a run takes."""

import psutil
import torch


def memory_taken(device: torch.device) -> float:
    """MiB: the most that was taken of the GPU, or what the process holds now; processes that prepare pictures apart."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return float(psutil.Process().memory_info().rss / 2**20)
