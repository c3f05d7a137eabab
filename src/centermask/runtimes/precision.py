"""Where half precision pays: on hardware with instructions for it; elsewhere it is emulated, and costs."""

from pathlib import Path

import torch

CPU_FLAGS = {"avx512_bf16", "amx_bf16"}
"""As Linux names them."""


def has_bf16(gpu: bool, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the GPU, or the processor if none is used, computes in bfloat16.

    A processor that does not tell (any but Linux on x86) counts as one that does not.
    """
    if gpu:
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(CPU_FLAGS & set(line.split()) for line in lines if line.startswith("flags"))
