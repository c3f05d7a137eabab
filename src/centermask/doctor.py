"""Versions, devices and what is missing, in a form that one pastes into a bug report."""

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

import psutil
import torch

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
    """Everything that a maintainer asks first, as Markdown."""
    rows = [
        ("Python", f"{sys.version.split()[0]} on {platform.platform()}"),
        *((name, _version(name) or "MISSING: install centermask again") for name in PACKAGES),
        ("processor", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()}; {_processor()}"),
        (
            "memory",
            f"{psutil.virtual_memory().total / GIB:.0f} GiB, {psutil.virtual_memory().available / GIB:.0f} free",
        ),
        ("disk", f"{shutil.disk_usage('.').free / GIB:.0f} GiB free here"),
        *_gpus(),
        ("C++ compiler", shutil.which("c++") or shutil.which("g++") or "none: torch.compile will not work"),
        *((name, _version(name) or f"not installed: needed for {use}") for name, use in OPTIONAL.items()),
    ]
    return "\n".join(["| what | found |", "|---|---|", *(f"| {what} | {found} |" for what, found in rows)])


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """What the fast kernels ask for."""
    return torch.backends.cpu.get_cpu_capability()


def _gpus() -> list[tuple[str, str]]:
    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
        return [("GPU", f"none that torch can use ({built})")]
    return [(f"GPU {i}", _gpu(i)) for i in range(torch.cuda.device_count())]


def _gpu(index: int) -> str:
    card = torch.cuda.get_device_properties(index)
    half = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
    return f"{card.name}, {card.total_memory / GIB:.0f} GiB, {half}, CUDA {torch.version.cuda}"
