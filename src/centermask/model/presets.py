"""ModelConfig to CenterMask, and the named presets as a plain table."""

import difflib
from dataclasses import replace
from typing import Any

from torch import nn

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.model.backbones.timm import TimmBackbone, pixel_values
from centermask.model.backbones.vovnet import VOVNETS, VoVNet
from centermask.model.centermask import CenterMask
from centermask.model.coco_classes import COCO_CLASSES
from centermask.model.detection.decode import Decoding
from centermask.model.detection.head import DetectionHead
from centermask.model.detection.locations import strides_from
from centermask.model.layers import set_norm
from centermask.model.masks.head import MaskHead
from centermask.model.masks.quality import MaskIoUHead
from centermask.model.pyramid import FeaturePyramid

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

_LARGE = ModelConfig(class_names=tuple(COCO_CLASSES.values()), category_ids=tuple(COCO_CLASSES))
_LITE = replace(_LARGE, fpn_channels=128, tower_convs=2, mask_convs=2, test_short_side=600, test_long_side=1000)
_NANO = replace(
    _LITE,
    backbone="timm:mobilenetv2_100",
    fpn_channels=96,
    mask_iou_head="light",
    class_agnostic_masks=True,
    max_detections=100,
    test_short_side=384,
    test_long_side=640,
    score_threshold=0.4,
    pixel_mean=IMAGENET_MEAN,
    pixel_std=IMAGENET_STD,
)

PLUS: dict[str, Any] = {
    "assignment": "visible",
    "class_threshold": 0.1,
    "detection_stride": 4,
    "mask_convs": 4,
    "mask_dice_weight": 1.0,
    "mask_iou_gradient": False,
    "mask_iou_head": "coarse",
    "mask_margin": 0.1,
    "mask_predictor_std": 0.4,
    "mask_stride": 4,
    "nms_iou": 0.75,
    "nms_decay": 1.5,
    "plain_giou": True,
    "max_detections": 100,
    "score_threshold": 0.35,
    "small_box_weight": 9.0,
    "train_rois": 64,
}
"""What the plus presets have otherwise than the published models; docs/results.md says what each is worth.

The large one finds objects from stride 8 on: its pictures are large, and stride 4 would nearly double its operations.
"""

PRESETS: dict[str, ModelConfig] = {
    "centermask-v39": replace(_LARGE, backbone="vovnet39"),
    "centermask-v57": replace(_LARGE, backbone="vovnet57"),
    "centermask-v99": replace(_LARGE, backbone="vovnet99"),
    "centermask-v39-dcn": replace(_LARGE, backbone="vovnet39-dcn"),
    "centermask-v57-dcn": replace(_LARGE, backbone="vovnet57-dcn"),
    "centermask-v99-dcn": replace(_LARGE, backbone="vovnet99-dcn"),
    "centermask-r50": replace(_LARGE, backbone="timm:resnet50", pixel_mean=IMAGENET_MEAN, pixel_std=IMAGENET_STD),
    "centermask-lite-v39": replace(_LITE, backbone="vovnet39"),
    "centermask-lite-v19": replace(_LITE, backbone="vovnet19"),
    "centermask-lite-v19-slim": replace(_LITE, backbone="vovnet19-slim"),
    "centermask-lite-v19-slim-dw": replace(_LITE, backbone="vovnet19-slim-dw"),
    "centermask-lite-mv2": replace(_LITE, backbone="timm:mobilenetv2_100"),
    "centermask-nano": _NANO,
    "centermask-plus-nano": replace(_NANO, **PLUS),
    "centermask-plus-small": replace(_LITE, backbone="vovnet19", **PLUS),
    "centermask-plus-medium": replace(_LITE, backbone="vovnet39", **PLUS),
    "centermask-plus-large": replace(_LARGE, backbone="vovnet57", **PLUS | {"detection_stride": 8}),
}
PRESETS = {name: replace(config, preset=name) for name, config in PRESETS.items()}


def preset(name: str, class_names: tuple[str, ...] = ()) -> ModelConfig:
    """A named preset, for other classes than COCO's if they are given.

    Raises:
        UserError: no preset has this name; the nearest one is named.

    >>> preset("centermask-nano", class_names=("stone",)).num_classes
    1
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)[0]
        raise UserError(f"no preset '{name}'; did you mean '{near}'? All: {', '.join(PRESETS)}")
    config = PRESETS[name]
    return replace(config, class_names=class_names, category_ids=()) if class_names else config


def pixels_of_timm(config: ModelConfig) -> ModelConfig:
    """The same with the mean and deviation of pixels that timm's weights of its backbone expect, if it is timm's."""
    if not config.backbone.startswith("timm:"):
        return config
    mean, std = pixel_values(config.backbone.removeprefix("timm:"))
    return replace(config, pixel_mean=mean, pixel_std=std)


def build(config: ModelConfig, *, pretrained: bool = False, backbone: nn.Module | None = None) -> CenterMask:
    """Make a network with fresh weights.

    Args:
        config: What to build; ``preset(NAME)`` gives one.
        pretrained: Start a timm backbone from timm's own weights (needs a network once).
        backbone: A module of your own instead of the configured one: images to feature maps of strides 8, 16 and 32
            (where detection or masks see stride 4, of 4 before them), with their widths as ``channels``.
    """
    finest = min(config.detection_stride, config.mask_stride)
    backbone = _backbone(config, finest, pretrained) if backbone is None else backbone
    set_norm(backbone, config.norm)
    channels, classes = config.fpn_channels, config.num_classes
    levels = len(strides_from(config.detection_stride))
    widths: Any = backbone.channels
    return CenterMask(
        config=config,
        backbone=backbone,
        pyramid=FeaturePyramid(widths, channels),
        detection_head=DetectionHead(channels, classes, config.tower_convs, levels),
        mask_head=MaskHead(
            channels,
            1 if config.class_agnostic_masks else classes,
            config.mask_convs,
            config.attention_fusion,
            neighbours=config.mask_neighbours,
            std=config.mask_predictor_std,
        ),
        mask_iou_head=_mask_iou_head(config),
        decoding=Decoding(
            config.class_threshold,
            config.candidates_per_level,
            config.nms_iou,
            config.max_detections,
            config.nms_decay,
            levels,
        ).keeping(config.max_detections, config.candidates_per_level),
        detection_stride=config.detection_stride,
        mask_stride=config.mask_stride,
        mask_levels=config.mask_levels,
        mask_margin=config.mask_margin,
        level_rule=config.level_rule,
        pixel_mean=config.pixel_mean,
        pixel_std=config.pixel_std,
        frozen_norm=config.norm == "frozen",
    )


def _backbone(config: ModelConfig, finest: int, pretrained: bool) -> nn.Module:
    if config.backbone.startswith("timm:"):
        return TimmBackbone(config.backbone.removeprefix("timm:"), pretrained, finest)
    if config.backbone not in VOVNETS:
        raise UserError(f"no backbone '{config.backbone}'; known: {', '.join(VOVNETS)}, and timm:NAME")
    if pretrained:
        raise UserError(
            f"'{config.backbone}' has no weights on a hub; give a file with --backbone-weights, or use timm:NAME"
        )
    return VoVNet(VOVNETS[config.backbone], finest)


def _mask_iou_head(config: ModelConfig) -> MaskIoUHead | None:
    match config.mask_iou_head:
        case "none":
            return None
        case kind:
            return MaskIoUHead(
                config.fpn_channels, config.num_classes, config.mask_convs, kind, gradient=config.mask_iou_gradient
            )
