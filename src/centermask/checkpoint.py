"""Weights with their configuration and class names in one safetensors file: save, and its inverse load, strictly.

A file is written aside, flushed to disk and renamed: there is no moment at which half of one can be found.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.files import EXPORTED, write_whole
from centermask.model.centermask import CenterMask
from centermask.model.presets import build, pixels_of_timm

HEADER = "centermask"
"""Key of the file's metadata that holds our JSON."""


def save_model(
    model: CenterMask, path: str | Path, *, half: bool = False, notes: Mapping[str, Any] | None = None
) -> None:
    """Write a network's weights, configuration and class names.

    Args:
        model: What to save.
        path: Replaced whole, or left as it was.
        half: Store floating point weights in 16 bits: half the size, for handing on.
        notes: Further plain values for the header, such as the licence of the training data.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {key: _stored(value, half) for key, value in model.state_dict().items() if not is_counter(key)}
    save_tensors(tensors, path, {"kind": "model", "config": model.config.to_dict(), "notes": dict(notes or {})})


def load_model(path: str | Path) -> CenterMask:
    """Read a network; the inverse of ``save_model``. Weights stored in 16 bits come back in 32.

    Raises:
        UserError: the file is missing or broken, is not ours, or its tensors are not those of its configuration.
    """
    header, tensors = load_tensors(path)
    if header.get("kind") != "model":
        raise UserError(f"{path}: holds {header.get('kind', 'something')!s}, not a network; give a file that "
                        "`centermask train` or `centermask import-published` wrote")  # fmt: skip
    model = build(_config(header, path))
    load_strictly(model, tensors, str(path))
    return model


def save_backbone(tensors: Mapping[str, Tensor], path: str | Path, backbone: str, *, bgr: bool = False) -> None:
    """Write the weights of a backbone alone; ``bgr`` says that they come from a network that took BGR."""
    kept = {key: _stored(value, half=False) for key, value in tensors.items() if not is_counter(key)}
    save_tensors(kept, path, {"kind": "backbone", "backbone": backbone, "bgr": bgr})


def load_backbone(model: CenterMask, path: str | Path) -> None:
    """Put the weights of a backbone file, or those of a whole network with the same backbone, into a network.

    Raises:
        UserError: the file is missing or broken, or holds another backbone.
    """
    header, tensors = load_tensors(path)
    found = _config(header, path).backbone if header.get("kind") == "model" else header.get("backbone")
    if found != model.config.backbone:
        raise UserError(f"{path}: holds the backbone {found}, the network has {model.config.backbone}; "
                        "choose a preset with that backbone")  # fmt: skip
    if header.get("kind") == "model":
        tensors = {
            key.removeprefix("backbone."): value for key, value in tensors.items() if key.startswith("backbone.")
        }
    load_strictly(model.backbone, tensors, str(path))


def pixels_of_backbone(path: str | Path, like: ModelConfig) -> ModelConfig:
    """A configuration with the mean and deviation of pixels that the weights of a backbone file were trained with.

    Those of a whole network are its own; a timm backbone has timm's; one that came from a network of BGR pixels, as the
    published ones, or is none of timm's keeps those of its preset.

    Raises:
        UserError: the file is missing or broken.
    """
    header = load_header(path)
    if header.get("kind") == "model":
        donor = _config(header, path)
        return replace(like, pixel_mean=donor.pixel_mean, pixel_std=donor.pixel_std)
    return like if header.get("bgr") else pixels_of_timm(like)


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Put tensors into a module that asks for exactly these, of these shapes.

    Raises:
        UserError: at least one is missing, unexpected, or of another shape; the first ones are named.
    """
    wanted = {key: value for key, value in module.state_dict().items() if not is_counter(key)}
    faults = [
        *(f"{key} is missing" for key in wanted if key not in tensors),
        *(f"{key} is unexpected" for key in tensors if key not in wanted),
        *(
            f"{key} is {list(tensors[key].shape)}, expected {list(value.shape)}"
            for key, value in wanted.items()
            if key in tensors and tensors[key].shape != value.shape
        ),
    ]
    if faults:
        more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UserError(f"{origin}: the weights do not fit the network: {'; '.join(faults[:3])}{more}")
    with torch.no_grad():
        for key, value in wanted.items():
            value.copy_(tensors[key])


def save_tensors(tensors: Mapping[str, Tensor], path: str | Path, header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header.

    Raises:
        UserError: the file cannot be written.
    """
    write_whole(Path(path), save(dict(tensors), metadata={HEADER: json.dumps(header)}))


def load_tensors(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors; the inverse of ``save_tensors``.

    Raises:
        UserError: the file is missing, broken, or not ours.
    """
    with _opened(path) as (header, file):
        return header, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)


def load_header(path: str | Path) -> dict[str, Any]:
    """The header alone; no tensor is read.

    Raises:
        UserError: see ``load_tensors``.
    """
    with _opened(path) as (header, _):
        return header


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[dict[str, Any], Any]]:
    """The header and the open file; what goes wrong with it becomes words."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    if Path(path).suffix.lower() in EXPORTED:
        raise UserError(f"{path}: was exported already; give the weights (.safetensors) that it was made from")
    if Path(path).suffix in (".pth", ".pt", ".pkl", ".bin", ".ckpt"):
        raise UserError(f"{path}: third-party weights are opened only by `centermask import-published` (whole models) "
                        "and `centermask import-backbone`; give the file that they write")  # fmt: skip
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            yield dict(json.loads(metadata[HEADER])), file
    except KeyError:
        raise UserError(
            f"{path}: a safetensors file, but not one of centermask's (its header has no configuration)"
        ) from None
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path}: not a readable safetensors file ({error}); it may be cut short: copy it again"
        ) from None


def _config(header: Mapping[str, Any], path: str | Path) -> ModelConfig:
    values = header.get("config")
    if not isinstance(values, dict):
        raise UserError(f"{path}: its header has no configuration; give a file that centermask wrote")
    try:
        return ModelConfig.from_dict(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _stored(tensor: Tensor, half: bool) -> Tensor:
    kept = tensor.detach().cpu().contiguous()
    small = kept.half() if half and kept.is_floating_point() else kept
    return small if small.isfinite().all() else kept  # some variances are too large for 16 bits


def is_counter(name: str) -> bool:
    """Whether a tensor only counts the batches that a norm has seen: no file needs it."""
    return name.endswith("num_batches_tracked")
