"""Who competes: each a network that gives one loss in training and objects in use, over the same backbone."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from fcos_with_masks import FcosWithMasks
from mask_rcnn import MaskRcnn
from torch import Tensor, nn

from centermask import build, preset
from centermask.checkpoint import load_backbone, load_header
from centermask.config import ModelConfig, read_value
from centermask.model.objective import Objective
from centermask.model.presets import PLUS, pixels_of_timm
from centermask.structures import GroundTruth, ImageBatch, RoIInstances

OTHERS: dict[str, Callable[..., nn.Module]] = {"mask-rcnn": MaskRcnn, "fcos-masks": FcosWithMasks}
NAMES = (*OTHERS, "faithful", "plus")
"""Contenders that are no presets; ours have the widths of ``centermask-lite-mv2``."""


class Ours(nn.Module):
    """A network of ours, with its objective."""

    def __init__(self, config: ModelConfig, backbone: str) -> None:
        super().__init__()
        self.config = config
        self.objective = Objective(build(config), config.train_proposals, config.train_rois)
        load_backbone(self.objective.model, backbone)
        self.least = 0.0

    def forward(self, batch: ImageBatch) -> list[RoIInstances]:
        """The objects of each image."""
        found: list[RoIInstances] = self.objective.model(batch, self.least)
        return found

    def loss(self, batch: ImageBatch, truths: Sequence[GroundTruth]) -> Tensor:
        """What is minimised."""
        loss: Tensor = self.objective(batch, truths).total()
        return loss

    def keep_detections(self, count: int) -> None:
        """Find up to ``count`` objects in each image from now on."""
        self.objective.model.keep_detections(count)

    def ask(self, least: float) -> None:
        """Give no mask to objects with a lower score from now on."""
        self.least = least


def contender(name: str, class_names: Sequence[str], side: int, objects: int, backbone: str) -> nn.Module:
    """Build a contender.

    Args:
        name: ``mask-rcnn``, ``fcos-masks``, ``faithful`` (Lite), ``plus`` (the same with what the plus presets have),
            or a preset; with ``KEY=VALUE`` after a plus sign each where they differ from that, as
            ``faithful+attention_fusion=none`` or ``mask-rcnn+boxes=256``.
        class_names: What to find.
        side: Short side of the pictures.
        objects: How many to find in a picture.
        backbone: The file that ``centermask import-backbone`` wrote; its network, one of timm's, is that of all.

    Raises:
        UserError: there is no such preset, or it has no such option.
        TypeError: the contender is not ours, and has no such option.
    """
    body = load_header(backbone)["backbone"]
    name, *changes = name.split("+")
    changed = {key: read_value(value) for key, _, value in (change.partition("=") for change in changes)}
    base = preset("centermask-lite-mv2" if name in NAMES else name, tuple(class_names))
    base = replace(base, backbone=body, test_short_side=side, test_long_side=2 * side, max_detections=objects)
    base = pixels_of_timm(base)
    if name in OTHERS:
        return OTHERS[name](base, backbone, **changed)
    values = base.to_dict() | (PLUS | {"max_detections": objects} if name == "plus" else {})
    return Ours(ModelConfig.from_dict(values | changed), backbone)


def parameters(network: nn.Module) -> int:
    """How many numbers a network learns or keeps."""
    return sum(value.numel() for value in network.parameters())
