"""The authors' published checkpoints, key by key, into ours (spec 6).

The published weights come without a licence of their own, from a non-commercial project: treat them as non-commercial.
The map is written from our names to theirs, so that every parameter we have asks for its source and nothing is guessed.
Three things change on the way: the first convolution is turned from BGR to RGB, the five scales of the levels become
one vector, and the slashes in their names go.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from centermask.checkpoint import is_counter
from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.model.backbones.vovnet import VOVNETS
from centermask.model.centermask import CenterMask
from centermask.model.presets import build

NOTICE = (
    "The published CenterMask weights come from a non-commercial project and carry no licence of their own: "
    "treat them, and what you train from them, as non-commercial."
)
IGNORED = ("pixel_mean", "pixel_std")
LEVEL_SCALES = "detection_head.level_scales"
_FEATURES = "backbone.bottom_up"

# Each rule is (pattern of our name, their name). The first that matches the whole name decides.
_HEADS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"pyramid\.laterals\.(\d)\.(.+)", lambda m: f"backbone.fpn_lateral{int(m[1]) + 3}.{m[2]}"),
    (r"pyramid\.outputs\.(\d)\.(.+)", lambda m: f"backbone.fpn_output{int(m[1]) + 3}.{m[2]}"),
    (r"pyramid\.(p6|p7)\.(.+)", lambda m: f"backbone.top_block.{m[1]}.{m[2]}"),
    (r"detection_head\.class_tower\.(.+)", lambda m: f"proposal_generator.fcos_head.cls_tower.{m[1]}"),
    (r"detection_head\.box_tower\.(.+)", lambda m: f"proposal_generator.fcos_head.bbox_tower.{m[1]}"),
    (r"detection_head\.class_logits\.(.+)", lambda m: f"proposal_generator.fcos_head.cls_logits.{m[1]}"),
    (r"detection_head\.ltrb\.(.+)", lambda m: f"proposal_generator.fcos_head.bbox_pred.{m[1]}"),
    (r"detection_head\.centerness_logits\.(.+)", lambda m: f"proposal_generator.fcos_head.ctrness.{m[1]}"),
    (r"mask_head\.convs\.(\d+)\.(.+)", lambda m: f"roi_heads.mask_head.mask_fcn{int(m[1]) // 2 + 1}.{m[2]}"),
    (r"mask_head\.attention\.conv\.weight", lambda _: "roi_heads.mask_head.spatialAtt.conv.weight"),
    (r"mask_head\.(deconv|predictor)\.(.+)", lambda m: f"roi_heads.mask_head.{m[1]}.{m[2]}"),
    (r"mask_iou_head\.convs\.(\d+)\.(.+)", lambda m: f"roi_heads.maskiou_head.maskiou_fcn{int(m[1]) // 2 + 1}.{m[2]}"),
    (r"mask_iou_head\.hidden\.(\d)\.(.+)", lambda m: f"roi_heads.maskiou_head.maskiou_fc{int(m[1]) // 2 + 1}.{m[2]}"),
    (r"mask_iou_head\.predictor\.(.+)", lambda m: f"roi_heads.maskiou_head.maskiou.{m[1]}"),
)
_PARTS = {"conv": "conv", "norm": "norm", "depthwise": "dw_conv3x3", "pointwise": "pw_conv1x1", "offset": "conv_offset"}
# Where each of MobileNetV2's stages starts among its `features`, and the place of each part in a block.
_MOBILENET_STARTS = (1, 2, 4, 7, 11, 14, 17)
_MOBILENET_PARTS = {"conv_pw": 0, "bn1": 1, "conv_dw": 3, "bn2": 4, "conv_pwl": 6, "bn3": 7}
_MOBILENET_FIRST = {"conv_dw": 0, "bn1": 1, "conv_pw": 3, "bn2": 4}
# EfficientNets of the other well-known port to PyTorch, which counts its blocks through all stages.
_EFFICIENT_STEM = {"conv_stem": "_conv_stem", "bn1": "_bn0"}
_EFFICIENT_PARTS = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1",
                    "conv_pwl": "_project_conv", "bn3": "_bn2"}  # fmt: skip
_EFFICIENT_FIRST = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """What a file lacks, and what it has that no parameter asks for."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshapen)

    def lines(self) -> list[str]:
        """One line for each key."""
        return [
            *(f"missing: {key}" for key in self.missing),
            *(f"unexpected: {key}" for key in self.unexpected),
            *(f"of another shape: {key}" for key in self.misshapen),
        ]


def import_published(path: Path, config: ModelConfig) -> CenterMask:
    """Read a published checkpoint into one of our networks.

    Raises:
        UserError: the file cannot be read safely, or its keys are not those of the configuration (each is named).
    """
    return from_published(read_pickle(path), config, str(path))


def from_published(tensors: Mapping[str, Tensor], config: ModelConfig, origin: str = "the weights") -> CenterMask:
    """A network with published weights.

    Raises:
        UserError: keys are missing, unexpected, or of another shape; each is named.
    """
    model = build(config)
    wanted = model.state_dict()
    sources = published_names(model)
    expected = {name for names in sources.values() for name in names}
    mismatch = Mismatch(
        missing=tuple(sorted(expected - tensors.keys())),
        unexpected=tuple(sorted(key for key in tensors.keys() - expected - set(IGNORED) if not is_counter(key))),
        misshapen=tuple(_misshapen(tensors, wanted, sources)),
    )
    if mismatch:
        raise UserError(
            f"{origin} does not hold a {config.preset} of {config.num_classes} classes:\n  "
            + "\n  ".join(mismatch.lines())
            + "\nis it another preset?"
        )
    state = {ours: _fetch(tensors, names, wanted[ours]) for ours, names in sources.items()}
    first = next(name for name in state if name.startswith("backbone."))
    state[first] = state[first].flip(1)  # they take BGR, we take RGB
    counters = {key: value for key, value in wanted.items() if is_counter(key)}
    model.load_state_dict({**state, **counters})
    return model


def published_names(model: CenterMask) -> dict[str, tuple[str, ...]]:
    """For each of our parameters and statistics the published keys it is made of: one, or five for the level scales.

    Raises:
        UserError: no published model has this backbone, or such a head.
    """
    names = {}
    for ours in model.state_dict():
        if ours == LEVEL_SCALES:
            names[ours] = tuple(f"proposal_generator.fcos_head.scales.{i}.scale" for i in range(5))
        elif ours.startswith("backbone.") and not is_counter(ours):
            inside = backbone_key(ours.removeprefix("backbone."), model.config.backbone)
            names[ours] = (f"{_FEATURES}.{inside}",)
        elif not is_counter(ours):
            names[ours] = (_head_key(ours),)
    return names


def backbone_key(ours: str, backbone: str) -> str:
    """The published key, without prefix, of a parameter of a backbone.

    >>> backbone_key("stages.0.1.layers.2.norm.bias", "vovnet39")
    'stage2.OSA2_1.layers.2.OSA2_1_2/norm.bias'

    Raises:
        UserError: no published model has this backbone.
    """
    if backbone in VOVNETS:
        return _vovnet_key(ours, VOVNETS[backbone].separable)
    if backbone.startswith("timm:mobilenetv2_100"):
        return _mobilenet_key(ours)
    raise UserError(
        f"no published weights fit the backbone {backbone}; import a VoVNetV2 or MobileNetV2 model "
        "(the published ResNets put their strides elsewhere than timm's)"
    )


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a third-party file, read without running any code that it may hold.

    Raises:
        UserError: the file is missing, not a checkpoint of plain tensors, or asks to run code.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path}: not a checkpoint of plain tensors ({type(error).__name__}); nothing else is opened, "
            "because other pickles can run code"
        ) from error
    tensors = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise UserError(f"{path}: holds no table of names and tensors; expected {{'model': {{name: tensor}}}}")
    return {str(key): value for key, value in tensors.items()}


def import_backbone(path: Path, backbone: str, *, bgr: bool = False) -> dict[str, Tensor]:
    """Weights of a backbone alone from a third-party file, in our names.

    Understands the published VoVNetV2 names (with or without the full prefix), MobileNetV2's ``features.i.conv.j``,
    EfficientNet-Lite's ``_blocks.i._depthwise_conv``, timm's names, and ours. Parts that we do not use (a classifier, a
    last convolution) are left aside.

    Args:
        path: A pickle of plain tensors.
        backbone: As in ``ModelConfig.backbone``.
        bgr: The file's network took BGR; its first convolution is turned round.

    Raises:
        UserError: the file cannot be read safely, or lacks a tensor of the backbone (the first ones are named).
    """
    tensors = {key.removeprefix("module.").removeprefix(f"{_FEATURES}."): value
               for key, value in read_pickle(path).items()}  # fmt: skip
    found, missing = {}, []
    wanted = build(replace(ModelConfig(), backbone=backbone)).backbone.state_dict()
    blocks = list(dict.fromkeys(_block(ours) for ours in wanted if ".blocks." in ours))
    for ours, like in wanted.items():
        if is_counter(ours):
            found[ours] = like
            continue
        spellings = _spellings(ours, backbone, blocks)
        source = next((tensors[key] for key in spellings if key in tensors), None)
        if source is None or source.shape != like.shape:
            missing.append(spellings[-1])
        else:
            found[ours] = source.float()
    if missing:
        raise UserError(
            f"{path} is no {backbone}: {len(missing)} of {len(missing) + len(found)} tensors are missing or of another "
            f"shape, the first {', '.join(missing[:3])}"
        )
    first = next(iter(found))
    return {**found, first: found[first].flip(1)} if bgr else found


def _spellings(ours: str, backbone: str, blocks: list[str]) -> list[str]:
    spellings = [ours, ours.removeprefix("network.")]
    if backbone in VOVNETS or backbone.startswith("timm:mobilenetv2_100"):
        spellings.append(backbone_key(ours, backbone))
    if "efficientnet_lite" in backbone:
        spellings.append(_efficientnet_key(ours, blocks))
    return spellings


def _fetch(tensors: Mapping[str, Tensor], names: tuple[str, ...], like: Tensor) -> Tensor:
    return torch.cat([tensors[name].reshape(-1) for name in names]).view_as(like) if names else like


def _misshapen(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], sources: Mapping[str, tuple[str, ...]]
) -> list[str]:
    wrong = []
    for ours, names in sources.items():
        shape = wanted[ours].shape if len(names) == 1 else torch.Size([1])
        wrong += [
            f"{name} {list(tensors[name].shape)}, expected {list(shape)}"
            for name in names
            if name in tensors and tensors[name].shape != shape
        ]
    return wrong


def _head_key(ours: str) -> str:
    for pattern, theirs in _HEADS:
        match = re.fullmatch(pattern, ours)
        if match:
            return theirs(match)
    raise UserError(f"no published key is known for {ours}: published models have no such part")


def _vovnet_key(ours: str, separable: bool) -> str:
    parts = ours.split(".")
    if parts[0] == "stem":
        index = int(parts[1]) + 1
        return f"stem.stem_{index}/{_layer_part(parts[2], separable and index > 1)}.{parts[3]}"
    stage, block, kind, *rest = parts[1:]
    osa = f"OSA{int(stage) + 2}_{block}"
    return f"stage{int(stage) + 2}.{osa}.{_inside_block(osa, kind, rest, separable)}"


def _inside_block(osa: str, kind: str, rest: list[str], separable: bool) -> str:
    match kind:
        case "layers":
            return f"layers.{rest[0]}.{osa}_{rest[0]}/{_layer_part(rest[1], separable)}.{rest[2]}"
        case "reduction":
            return f"conv_reduction.{osa}_reduction_0/{rest[0]}.{rest[1]}"
        case "concat":
            return f"concat.{osa}_concat/{rest[0]}.{rest[1]}"
        case _:
            return f"ese.{rest[0]}.{rest[1]}"


def _layer_part(part: str, separable: bool) -> str:
    return "pw_norm" if part == "norm" and separable else _PARTS[part]


def _mobilenet_key(ours: str) -> str:
    parts = ours.removeprefix("network.").split(".")
    if parts[0] != "blocks":
        return f"features.0.{0 if parts[0] == 'conv_stem' else 1}.{parts[1]}"
    stage, block, part, tensor = int(parts[1]), int(parts[2]), parts[3], parts[4]
    places = _MOBILENET_FIRST if stage == 0 else _MOBILENET_PARTS
    return f"features.{_MOBILENET_STARTS[stage] + block}.conv.{places[part]}.{tensor}"


def _block(ours: str) -> str:
    """``network.blocks.1.0.bn1.bias`` to ``network.blocks.1.0``."""
    return ".".join(ours.split(".")[:4])


def _efficientnet_key(ours: str, blocks: list[str]) -> str:
    parts = ours.removeprefix("network.").split(".")
    if parts[0] != "blocks":
        return f"{_EFFICIENT_STEM[parts[0]]}.{parts[1]}"
    names = _EFFICIENT_FIRST if parts[1] == "0" else _EFFICIENT_PARTS
    return f"_blocks.{blocks.index(_block(ours))}.{names[parts[3]]}.{parts[4]}"
