"""STORY ONE: image to instances."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from centermask.config import LevelRule, ModelConfig
from centermask.model.detection.decode import Decoding, decode_boxes
from centermask.model.detection.head import DetectionHead
from centermask.model.detection.locations import make_locations, strides_from
from centermask.model.layers import batch_norms
from centermask.model.masks.decode import decode_masks
from centermask.model.masks.head import MaskHead
from centermask.model.masks.quality import MaskIoUHead
from centermask.model.masks.rois import assign_levels, pool_rois
from centermask.model.pyramid import FeaturePyramid
from centermask.ops.boxes import widen
from centermask.structures import Features, ImageBatch, Locations, MaskPredictions, RoIInstances, RoIs


class CenterMask(nn.Module):
    """Instance segmentation: an anchor-free detector, and a mask for each box it finds.

    Build one from a preset with ``centermask.build``, or from a file with ``CenterMask.load``.

    Args:
        config: What the parts were built from; carried along, never read here.
        backbone: Images to C3, C4, C5, or C2–C5.
        pyramid: C3–C5 to P3–P7, or C2–C5 to P2–P7.
        detection_head: P3–P7, or P2–P7, to class, distances and centerness.
        mask_head: RoI features to masks.
        mask_iou_head: RoI features and masks to expected IoUs; None leaves the box scores as they are.
        decoding: How detections are chosen.
        detection_stride: Of the finest level that the detection head sees, 8 or 4.
        mask_stride: Of the finest level that feeds the mask branch, 8 or 4.
        mask_levels: How many levels feed the mask branch, from that one on.
        mask_margin: How far masks may reach beyond their boxes, as a share of the box's sides.
        level_rule: How a box finds its level.
        pixel_mean, pixel_std: Of RGB values between 0 and 255.
        frozen_norm: Keep the statistics of the backbone's batch norms.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        *,
        config: ModelConfig,
        backbone: nn.Module,
        pyramid: FeaturePyramid,
        detection_head: DetectionHead,
        mask_head: MaskHead,
        mask_iou_head: MaskIoUHead | None,
        decoding: Decoding,
        detection_stride: int,
        mask_stride: int,
        mask_levels: int,
        mask_margin: float,
        level_rule: LevelRule,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        frozen_norm: bool,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.pyramid = pyramid
        self.detection_head = detection_head
        self.mask_head = mask_head
        self.mask_iou_head = mask_iou_head
        self.decoding = decoding
        self.detection_stride = detection_stride
        self.mask_strides = tuple(mask_stride * 2**level for level in range(mask_levels))
        self.mask_margin = mask_margin
        self.level_rule: LevelRule = level_rule
        self.frozen_norm = frozen_norm
        self.compute_dtype = torch.float32
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(3, 1, 1), persistent=False)

    def forward(self, batch: ImageBatch, score_threshold: float = 0.0) -> list[RoIInstances]:
        """Find the objects of each image. Those whose score cannot reach the threshold get no mask and are left out."""
        found, images = self.find(batch, score_threshold)
        counts = torch.bincount(images, minlength=len(batch.pixels)).tolist()
        return [RoIInstances(*parts) for parts in zip(*(field.split(counts) for field in found), strict=True)]

    def find(
        self, batch: ImageBatch, score_threshold: float | Tensor = 0.0
    ) -> tuple[RoIInstances, Int64[Tensor, " instances"]]:
        """The objects of all images in one line, and which image each lies in, ascending."""
        features = self.features(batch)
        predicted = self.detection_head(features.detection)
        found = decode_boxes(predicted, self.locations(features), self.decoding, score_threshold)
        said = self.masks(features.masks, RoIs(found.boxes, found.images, found.labels), batch.sizes)
        return decode_masks(said.logits, said.ious, found, self.mask_margin), found.images

    def features(self, batch: ImageBatch) -> Features:
        """What the two branches see of images."""
        pyramid: list[Tensor] = self.pyramid(self.backbone(self.normalise(batch)))
        detection, masks = (
            pyramid[-len(strides_from(finest)) :] for finest in (self.detection_stride, self.mask_strides[0])
        )
        return Features(detection, masks[: len(self.mask_strides)])

    def locations(self, features: Features) -> Locations:
        """Where predictions stand on what the detection head sees."""
        return make_locations(features.detection, self.detection_stride)

    def normalise(self, batch: ImageBatch) -> Float[Tensor, "images 3 height width"]:
        """Subtract the mean, divide by the deviation, and make the padding zero, whatever it held."""
        pixels = (batch.pixels - self.pixel_mean) / self.pixel_std
        height, width = pixels.shape[2:]
        rows = torch.arange(height, device=pixels.device) < batch.sizes[:, :1]
        columns = torch.arange(width, device=pixels.device) < batch.sizes[:, 1:]
        inside = rows[:, None, :, None] & columns[:, None, None, :]
        normal: Tensor = pixels.masked_fill(~inside, 0.0)  # a product would leave NaN
        return normal.to(self.compute_dtype)

    def masks(self, levels: Sequence[Tensor], rois: RoIs, sizes: Int64[Tensor, "images 2"]) -> MaskPredictions:
        """Masks and their expected IoUs of boxes, each for its own class."""
        finest = self.mask_strides[0].bit_length() - 1
        own = assign_levels(rois, sizes, self.level_rule, len(levels), finest)
        regions = rois._replace(boxes=widen(rois.boxes, self.mask_margin))
        crops = pool_rois(levels, self.mask_strides, regions, own)
        crops = crops.to(self.compute_dtype)
        logits, others = self.mask_head(crops, rois.labels)
        if self.mask_iou_head is None:
            # One for each. Not ones_like: OpenVINO cannot spread a constant over no RoI.
            return MaskPredictions(logits, (rois.labels >= 0).to(logits), others)
        return MaskPredictions(logits, self.mask_iou_head(crops, logits, rois.labels), others)

    def compute_in(self, dtype: torch.dtype) -> None:
        """Convert the weights to float32, bfloat16 or float16; pixels come and answers go in float32 all the same."""
        self.compute_dtype = dtype
        for part in self.children():
            part.to(dtype)

    def keep_detections(self, count: int) -> None:
        """Find up to ``count`` objects in each image from now on."""
        self.decoding = self.decoding.keeping(count, self.config.candidates_per_level)

    def train(self, mode: bool = True) -> "CenterMask":
        """As ``nn.Module.train``; frozen norms stay in evaluation mode."""
        super().train(mode)
        if self.frozen_norm:
            for norm in batch_norms(self.backbone):
                norm.eval()
        return self

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> "CenterMask":
        """Open a weights file (safetensors with its configuration and class names).

        Raises:
            UserError: the file is missing, broken, or not ours.
        """
        from centermask.checkpoint import load_model

        return load_model(path).to(device)

    def save(self, path: str | Path) -> None:
        """Write weights with configuration and class names, whole or not at all; the inverse of ``load``."""
        from centermask.checkpoint import save_model

        save_model(self, path)
