"""torchvision's FCOS with our mask branch: tells whether a difference comes from the detector or from the masks."""

from collections.abc import Sequence

import torch
from parts import usable
from torch import Tensor, nn
from torchvision.models.detection.fcos import FCOS
from torchvision.models.detection.image_list import ImageList

from centermask import build
from centermask.checkpoint import load_backbone
from centermask.config import ModelConfig
from centermask.model.masks.losses import mask_losses
from centermask.model.masks.targets import match_rois
from centermask.structures import Detections, GroundTruth, ImageBatch, RoIInstances, RoIs

LEAST = 0.05**0.5
"""Boxes of a lower score, which is a square root, are no objects."""


class FcosWithMasks(nn.Module):
    """Our backbone, pyramid and mask branch; head, assignment, losses and selection of boxes are torchvision's."""

    def __init__(self, config: ModelConfig, backbone: str) -> None:
        super().__init__()
        self.config = config
        self.model = build(config)
        load_backbone(self.model, backbone)
        body = nn.Identity()
        body.out_channels = config.fpn_channels  # type: ignore[assignment]
        self.fcos = FCOS(body, config.num_classes, score_thresh=LEAST, detections_per_img=config.max_detections)
        del self.model.detection_head

    def _dense(self, batch: ImageBatch) -> tuple[list[Tensor], dict[str, Tensor], list[Tensor], list[int]]:
        pyramid = [level.float() for level in self.model.features(batch).detection]
        said = self.fcos.head(pyramid)
        images = ImageList(batch.pixels, [(int(height), int(width)) for height, width in batch.sizes.tolist()])
        anchors = self.fcos.anchor_generator(images, pyramid)
        return (
            pyramid,
            {key: value.float() for key, value in said.items()},
            anchors,
            [level.shape[2] * level.shape[3] for level in pyramid],
        )

    @torch.no_grad()
    def _select(
        self, said: dict[str, Tensor], anchors: list[Tensor], counts: list[int], sizes: Tensor
    ) -> list[Detections]:
        by_level = {key: list(value.split(counts, dim=1)) for key, value in said.items()}
        apart = [list(one.split(counts)) for one in anchors]
        shapes = [(int(height), int(width)) for height, width in sizes.tolist()]
        found = self.fcos.postprocess_detections(by_level, apart, shapes)
        return [
            Detections(one["boxes"], one["scores"], one["labels"], torch.zeros_like(one["labels"]),
                       torch.full_like(one["labels"], image))
            for image, one in enumerate(found)
        ]  # fmt: skip

    def loss(self, batch: ImageBatch, truths: Sequence[GroundTruth]) -> Tensor:
        """torchvision's three losses and our two."""
        truths = list(usable(truths))
        pyramid, said, anchors, counts = self._dense(batch)
        targets = [{"boxes": truth.boxes, "labels": truth.labels} for truth in truths]
        losses = list(self.fcos.compute_loss(targets, said, anchors, counts).values())
        found = self._select(said, anchors, counts, batch.sizes)
        matched = match_rois(found, truths, self.config.train_rois)
        losses += mask_losses(self.model.masks(pyramid[: self.config.mask_levels], matched.rois, batch.sizes), matched)
        return torch.stack(losses).sum()

    def forward(self, batch: ImageBatch) -> list[RoIInstances]:
        """The objects of each image."""
        pyramid, said, anchors, counts = self._dense(batch)
        answers = []
        for found in self._select(said, anchors, counts, batch.sizes):
            said = self.model.masks(
                pyramid[: self.config.mask_levels], RoIs(found.boxes, found.images, found.labels), batch.sizes
            )
            scores = found.scores * said.ious.float().clamp(0, 1)
            answers.append(RoIInstances(found.boxes, scores, found.scores, found.labels, said.logits.float().sigmoid()))
        return answers

    def keep_detections(self, count: int) -> None:
        """Find up to ``count`` objects in each image from now on."""
        self.fcos.detections_per_img = count

    def ask(self, least: float) -> None:
        """Give no mask to objects with a lower score from now on."""
        self.fcos.score_thresh = max(LEAST, least)
