"""torchvision's Mask R-CNN over our backbone, fit to small pictures."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from parts import FourLevels, fit_anchors, planes, usable
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from centermask.config import ModelConfig
from centermask.model.detection.decode import CANDIDATES_PER_OBJECT
from centermask.structures import GroundTruth, ImageBatch, RoIInstances

WIDTH = 256
LEAST = 0.05
"""Boxes of a lower score are no objects, as usual."""
LEVELS = ["0", "1", "2", "3"]


def _in_float(_module: nn.Module, _given: object, answer: Any) -> Any:
    """What a head says, a tensor or lists of them, in float32."""
    if isinstance(answer, Tensor):
        return answer.float()
    return type(answer)(_in_float(_module, _given, one) for one in answer)


class MaskRcnn(nn.Module):
    """Mask R-CNN: pyramid P2 … P6 of 256 channels, three shapes of anchor on each level, heads as torchvision has them.

    Anchors are those of the method (32 … 512 pixels at a short side of 800) in proportion to the pictures' short side.
    Where more objects are kept, more boxes go on to suppression, as with ours, and four for each go on to the heads.

    What its heads say is float32, as with ours: torchvision decodes boxes in the type of the head's answer, and takes
    the true boxes and the numbers of the objects to it, too. In bf16, boxes beyond 128 pixels would be whole numbers.

    Args:
        config: Classes, pixels and how many objects to keep.
        backbone: The file with the backbone's weights.
        boxes: That teach the box head in a picture, a quarter of them at most the mask head, too; if not given 128, or
            256 where a picture may hold more than a hundred objects.
        level_side: Side of the regions that are pooled from P4; 224 as published, for a short side of 800.
    """

    def __init__(self, config: ModelConfig, backbone: str, boxes: int | None = None, level_side: int = 224) -> None:
        super().__init__()
        self.config = config
        classes = config.num_classes + 1
        self.backbone = FourLevels(config.backbone, backbone, config.pixel_mean, config.pixel_std)
        self.pyramid = FeaturePyramidNetwork(list(self.backbone.channels), WIDTH, LastLevelMaxPool())
        boxes = boxes or (128 if config.max_detections <= 100 else 256)
        candidates = max(1000, CANDIDATES_PER_OBJECT * config.max_detections)
        anchors = AnchorGenerator(fit_anchors(config.test_short_side), ((0.5, 1.0, 2.0),) * 5)
        self.proposals = RegionProposalNetwork(
            anchors, RPNHead(WIDTH, 3), fg_iou_thresh=0.7, bg_iou_thresh=0.3, batch_size_per_image=256,
            positive_fraction=0.5, pre_nms_top_n={"training": 1000, "testing": candidates},
            post_nms_top_n={"training": 1000, "testing": max(1000, 4 * config.max_detections)}, nms_thresh=0.7,
        )  # fmt: skip
        self.heads = RoIHeads(
            MultiScaleRoIAlign(LEVELS, 7, 2, canonical_scale=level_side), TwoMLPHead(WIDTH * 49, 1024),
            FastRCNNPredictor(1024, classes), fg_iou_thresh=0.5, bg_iou_thresh=0.5,
            batch_size_per_image=boxes, positive_fraction=0.25, bbox_reg_weights=None, score_thresh=LEAST,
            nms_thresh=0.5, detections_per_img=config.max_detections,
            mask_roi_pool=MultiScaleRoIAlign(LEVELS, 14, 2, canonical_scale=level_side),
            mask_head=MaskRCNNHeads(WIDTH, (256, 256, 256, 256), 1),
            mask_predictor=MaskRCNNPredictor(256, 256, classes),
        )  # fmt: skip
        for head in (self.proposals.head, self.heads.box_predictor, self.heads.mask_predictor):
            head.register_forward_hook(_in_float)

    def _features(self, batch: ImageBatch) -> tuple[ImageList, OrderedDict[str, Tensor]]:
        pyramid: OrderedDict[str, Tensor] = self.pyramid(OrderedDict(zip(LEVELS, self.backbone(batch), strict=True)))
        sizes = [(int(height), int(width)) for height, width in batch.sizes.tolist()]
        # In float32 from here on: RoIAlign of this library takes no bf16 on a processor.
        return ImageList(batch.pixels, sizes), OrderedDict((name, level.float()) for name, level in pyramid.items())

    def loss(self, batch: ImageBatch, truths: Sequence[GroundTruth]) -> Tensor:
        """The five losses of the method, each with weight one."""
        images, pyramid = self._features(batch)
        targets = [
            {"boxes": truth.boxes, "labels": truth.labels + 1, "masks": planes(truth, batch.pixels.shape[2:])}
            for truth in usable(truths)
        ]
        proposals, of_proposals = self.proposals(images, pyramid, targets)
        _, of_heads = self.heads(pyramid, proposals, images.image_sizes, targets)
        return torch.stack([value.float() for value in (of_proposals | of_heads).values()]).sum()

    def forward(self, batch: ImageBatch) -> list[RoIInstances]:
        """The objects of each image."""
        images, pyramid = self._features(batch)
        proposals, _ = self.proposals(images, pyramid)
        found, _ = self.heads(pyramid, proposals, images.image_sizes)
        return [
            RoIInstances(each["boxes"], each["scores"], each["scores"], each["labels"] - 1, each["masks"][:, 0])
            for each in found
        ]

    def keep_detections(self, count: int) -> None:
        """Find up to ``count`` objects in each image from now on."""
        self.heads.detections_per_img = count

    def ask(self, least: float) -> None:
        """Give no mask to objects with a lower score from now on."""
        self.heads.score_thresh = max(LEAST, least)
