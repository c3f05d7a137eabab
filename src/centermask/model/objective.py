"""STORY TWO: images and truths to losses."""

from collections.abc import Sequence

import torch
from torch import nn

from centermask.model.centermask import CenterMask
from centermask.model.detection.decode import decode_boxes
from centermask.model.detection.losses import detection_losses
from centermask.model.detection.targets import assign_targets
from centermask.model.masks.losses import mask_losses
from centermask.model.masks.targets import match_rois
from centermask.model.normalisers import Share, share_over_processes
from centermask.structures import DensePredictions, DenseTargets, GroundTruth, ImageBatch, Losses

PROPOSAL_THRESHOLD = 0.05
"""The class probability above which a box is a proposal, at most (spec 2.4): a network that still learns is unsure of
everything, and what is asked of it in use must not keep the mask branch from learning."""


class Objective(nn.Module):
    """What training minimises. Its ``forward`` is one training step without the optimiser: DDP hooks into ``forward``
    only.

    Args:
        model: The network that is trained; its configuration says by which assignment and losses.
        proposals: Detections of an image that the mask branch sees, beside the true boxes.
        rois: Regions of interest of an image that the mask branch is trained on, at most.
        share: What counts become before losses are divided by them; of all processes of a run together.
    """

    def __init__(
        self, model: CenterMask, proposals: int = 100, rois: int = 128, share: Share = share_over_processes
    ) -> None:
        super().__init__()
        self.model = model
        self.proposals = proposals
        self.rois = rois
        self.share = share

    def forward(self, batch: ImageBatch, truths: Sequence[GroundTruth]) -> Losses:
        """The five losses of a batch."""
        model, config = self.model, self.model.config
        features = model.features(batch)
        locations = model.locations(features)
        predicted = model.detection_head(features.detection)
        said = [_of_image(predicted, image) for image in range(len(truths))]
        targets = _concatenate([
            assign_targets(locations, truth, config.assignment, own) for truth, own in zip(truths, said, strict=True)
        ])  # fmt: skip
        annotated = torch.stack([truth.annotated for truth in truths])
        detection = detection_losses(
            predicted, targets, annotated, self.share, config.box_quality, config.class_loss,
            config.small_box_weight, config.plain_giou,
        )  # fmt: skip
        threshold = min(PROPOSAL_THRESHOLD, model.decoding.class_threshold)
        drawing = model.decoding._replace(class_threshold=threshold)
        drawing = drawing.keeping(self.proposals, config.candidates_per_level)
        detections = decode_boxes(predicted, locations, drawing)
        matched = match_rois(
            detections.of_each(len(truths)), truths, self.rois, model.mask_margin,
            others=model.mask_head.neighbours is not None,
        )  # fmt: skip
        masks = model.masks(features.masks, matched.rois, batch.sizes)
        mask = mask_losses(masks, matched, self.share, config.mask_dice_weight)
        if model.mask_iou_head is None:
            mask = mask._replace(mask_iou=torch.zeros_like(mask.mask))
        return Losses(*detection, *mask)


def _of_image(predicted: DensePredictions, image: int) -> DensePredictions:
    return DensePredictions(*(field[image : image + 1] for field in predicted))


def _concatenate(targets: Sequence[DenseTargets]) -> DenseTargets:
    return DenseTargets(*(torch.cat(parts) for parts in zip(*targets, strict=True)))
