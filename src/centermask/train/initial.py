"""What a run starts from: a whole network with other classes, and which of its layers learn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from centermask.bundled import BUNDLED, resolve_weights
from centermask.checkpoint import is_counter, load_model
from centermask.config import ModelConfig, TrainConfig
from centermask.errors import UserError
from centermask.model.backbones.timm import PROBE
from centermask.model.centermask import CenterMask

BUNDLED_OF = {f"centermask-{name}": name for name in BUNDLED}
"""The bundled network of a preset."""
GROWN_FROM = {"centermask-plus-nano": "centermask-nano"}
"""The other preset whose weights a preset starts from, as far as they fit."""


@dataclass(frozen=True, kw_only=True)
class Donor:
    """A network to start from."""

    name: str
    model: CenterMask


def find_donor(config: TrainConfig) -> Donor | None:
    """The network that a run starts from, if any: the one named, or the bundled one of the preset.

    Raises:
        UserError: the file cannot be used, or holds another preset than the run's.
    """
    if config.init == "none" or config.pretrained or config.backbone_weights:
        return None
    if config.init != "auto":
        donor = load_model(resolve_weights(config.init))
        if donor.config.preset not in (config.preset, GROWN_FROM.get(config.preset)):
            raise UserError(f"{config.init}: holds a {donor.config.preset}, the run wants a {config.preset}; "
                            f"add --preset {donor.config.preset}, or give other weights")  # fmt: skip
        return Donor(name=config.init, model=donor)
    bundled = BUNDLED_OF.get(config.preset)
    if bundled is None:
        return None
    donor = load_model(BUNDLED[bundled])
    # Weights of one kind of norm mean nothing to another: who asks for another one starts anew.
    return Donor(name=f"the bundled '{bundled}'", model=donor) if config.norm in (None, donor.config.norm) else None


def architecture(base: ModelConfig, donor: ModelConfig) -> ModelConfig:
    """The run's preset with everything of the donor that decides the shapes of its layers."""
    shapes = ("backbone", "norm", "fpn_channels", "tower_convs", "detection_stride", "mask_convs", "attention_fusion",
              "mask_neighbours", "mask_iou_head", "class_agnostic_masks", "mask_stride", "mask_levels", "mask_margin",
              "level_rule", "pixel_mean", "pixel_std")  # fmt: skip
    return replace(base, **{name: getattr(donor, name) for name in shapes})


def start_from(model: CenterMask, donor: Donor) -> str:
    """Copy what fits; classes are matched by name, never by position. Says what was kept and what is new.

    Where the network has more levels or a longer mask head than the donor, what is new there begins so that it disturbs
    the rest little: the scale is that of the nearest level, convolutions pass on what they get.

    Raises:
        UserError: the backbones differ, or parts of the pyramid that both have.
    """
    names, known = model.config.class_names, donor.model.config.class_names
    given = donor.model.state_dict()
    by_class = _layers_by_class(model.config) & _layers_by_class(donor.model.config)
    fresh: list[str] = []
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if is_counter(key):
                continue
            if key in given and key.rpartition(".")[0] in by_class and given[key].shape[1:] == value.shape[1:]:
                _copy_classes(value, given[key], names, known)
            elif key in given and given[key].shape == value.shape:
                value.copy_(given[key])
            elif key == "detection_head.level_scales":  # P2 … P7, and P3 … P7; or the other way round
                finer = len(value) - len(given[key])
                value.copy_(given[key][[max(0, place - finer) for place in range(len(value))]])
            else:
                fresh.append(key)
    if broken := [key for key in fresh if key.startswith("backbone.") or (key.startswith("pyramid.") and key in given)]:
        raise UserError(f"{donor.name}: its backbone does not fit ({broken[0]} and {len(broken) - 1} more); "
                        "start from weights of the same preset and norm, or give --init none")  # fmt: skip
    _pass_on(model.mask_head.convs, fresh)
    return _told(donor.name, names, known, sorted({key.rpartition(".")[0] for key in fresh}))


def _pass_on(convs: nn.Sequential, fresh: Sequence[str]) -> None:
    """Let convolutions that are fresh, but not the first, pass on what they get; after a ReLU it stays as it is."""
    for place, conv in enumerate(convs):
        if place and isinstance(conv, nn.Conv2d) and f"mask_head.convs.{place}.weight" in fresh:
            weight, bias = conv.parameters()
            nn.init.dirac_(weight)
            nn.init.zeros_(bias)


def _layers_by_class(config: ModelConfig) -> set[str]:
    """Layers whose first axis is the classes."""
    masks = set() if config.class_agnostic_masks else {"mask_head.predictor"}
    return {"detection_head.class_logits", "mask_iou_head.predictor"} | masks


def _copy_classes(value: Tensor, given: Tensor, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    for place, name in enumerate(names):
        if name in known:
            value[place] = given[known.index(name)]


def _told(name: str, names: tuple[str, ...], known: tuple[str, ...], fresh: list[str]) -> str:
    kept = [one for one in names if one in known]
    new = [one for one in names if one not in known]
    dropped = [one for one in known if one not in names]
    parts = [f"kept classes {', '.join(kept)}"] if kept else []
    parts += [f"new classes {', '.join(new)}"] if new else []
    parts += [f"dropped classes {', '.join(dropped)}"] if dropped else []
    parts += [f"new layers {', '.join(fresh)}"] if fresh else []
    return f"starts from {name}: {'; '.join(parts)}; all else kept"


def freeze(model: CenterMask, stride: int) -> int:
    """Stop the backbone's layers that work at ``stride`` or finer from learning; returns how many tensors that are."""
    if not stride:
        return 0
    frozen = 0
    for layer, own in _strides(model.backbone).items():
        if own <= stride:
            for value in layer.parameters(recurse=False):
                value.requires_grad_(False)
                frozen += 1
    return frozen


@torch.no_grad()
def _strides(backbone: nn.Module) -> Mapping[nn.Module, int]:
    """The stride of each layer with weights, as a small picture finds it on its way."""
    strides: dict[nn.Module, int] = {}
    reached = 1

    def look(layer: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal reached
        height, width = output.shape[2:] if output.ndim == 4 else (0, 0)
        # A gate works on means of what it weighs, some norms put the channels last: they belong to what came before.
        if height and PROBE[0] * width == PROBE[1] * height:
            reached = PROBE[0] // height
        strides[layer] = reached

    own = [layer for layer in backbone.modules() if list(layer.parameters(recurse=False))]
    hooks = [layer.register_forward_hook(look) for layer in own]
    training = backbone.training
    backbone.eval()(torch.zeros(1, 3, *PROBE, device=next(backbone.parameters()).device))
    backbone.train(training)
    for hook in hooks:
        hook.remove()
    return strides
