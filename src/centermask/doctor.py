"""Versions, devices and what is missing, in a form that one pastes into a bug report."""

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import psutil

PACKAGES = ("centermask", "torch", "torchvision", "timm", "accelerate", "safetensors", "huggingface_hub",
            "faster-coco-eval", "numpy", "Pillow")  # fmt: skip
OPTIONAL = {
    "wandb": "--log-to wandb",
    "mlflow": "--log-to mlflow",
    "scikit-image": "centermask demo",
    "onnxscript": "centermask export",
    "onnxruntime": "exported .onnx files",
    "openvino": "exported .xml files",
}
"""Packages that something asks for only if it is used."""
GIB = 2**30


def examine() -> str:
    """Everything that a maintainer asks first, as Markdown; also where torch is not there, or cannot be imported."""
    torch, trouble = _torch()
    rows = [
        ("Python", f"{sys.version.split()[0]} on {platform.platform()}"),
        *((name, _version(name) or "MISSING: install centermask again") for name in PACKAGES),
        *([("import torch", trouble)] if trouble else []),
        ("processor", f"{os.cpu_count()} cores{_kernels(torch)}"),
        (
            "memory",
            f"{psutil.virtual_memory().total / GIB:.0f} GiB, {psutil.virtual_memory().available / GIB:.0f} free",
        ),
        ("disk", f"{shutil.disk_usage('.').free / GIB:.0f} GiB free here"),
        *_gpus(torch),
        ("C++ compiler", shutil.which("c++") or shutil.which("g++") or "none: torch.compile will not work"),
        *((name, _version(name) or f"not installed: needed for {use}") for name, use in OPTIONAL.items()),
    ]
    return "\n".join(["| what | found |", "|---|---|", *(f"| {what} | {found} |" for what, found in rows)])


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch() -> tuple[ModuleType | None, str]:
    """PyTorch; or nothing, and what follows from that."""
    try:
        import torch
    except Exception as error:  # a broken installation raises nearly anything
        reason = " ".join(str(error).replace("|", "/").split())
        return None, f"fails ({reason}): weights cannot be used, exported .onnx and .xml files can"
    return torch, ""


def _kernels(torch: Any) -> str:
    """How many cores torch uses, and what its fast kernels ask for."""
    if torch is None:
        return ""
    return f", torch uses {torch.get_num_threads()}; {torch.backends.cpu.get_cpu_capability()}"


def _gpus(torch: Any) -> list[tuple[str, str]]:
    if torch is None:
        return [("GPU", "not looked for, which takes torch")]
    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
        return [("GPU", f"none that torch can use ({built})")]
    return [(f"GPU {i}", _gpu(torch, i)) for i in range(torch.cuda.device_count())]


def _gpu(torch: Any, index: int) -> str:
    card = torch.cuda.get_device_properties(index)
    half = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
    return f"{card.name}, {card.total_memory / GIB:.0f} GiB, {half}, CUDA {torch.version.cuda}"
