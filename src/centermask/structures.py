"""Every noun of the network, in the order in which a tensor becomes it.

B images, L locations of all pyramid levels (finest first, row by row), C classes, R regions of interest of all images
of a batch in one line. Bundles are NamedTuples, so that ``torch.compile``, DDP and ``torch.export`` see through them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from centermask.ops.mask_warp import Mask


class ImageBatch(NamedTuple):
    """Images side by side, each in the top left corner of its plane."""

    pixels: Shaped[Tensor, "images 3 height width"]
    """RGB, 0 to 255, uint8 or float; what lies beyond an image's own size is not looked at."""
    sizes: Int64[Tensor, "images 2"]
    """(height, width) of each image before padding."""

    def to(self, device: torch.device) -> "ImageBatch":
        """The same batch on another device."""
        return ImageBatch(self.pixels.to(device, non_blocking=True), self.sizes.to(device, non_blocking=True))


class GroundTruth(NamedTuple):
    """The true objects of one image, in pixels of the image as the network sees it."""

    boxes: Float[Tensor, "objects 4"]
    """xyxy."""
    labels: Int64[Tensor, " objects"]
    """0 … C−1."""
    masks: tuple[Mask, ...]
    annotated: Bool[Tensor, " classes"]
    """Which classes the image's data set annotates; the others are not taught as background there."""

    def to(self, device: torch.device) -> "GroundTruth":
        """The same truth with its tensors on another device; masks stay with the processor."""
        return self._replace(
            boxes=self.boxes.to(device), labels=self.labels.to(device), annotated=self.annotated.to(device)
        )


class Features(NamedTuple):
    """Levels of the pyramid that each branch sees, finest first, all of one width."""

    detection: list[Tensor]
    """P3 … P7, perhaps P2 before them, each (B, D, height, width)."""
    masks: list[Tensor]
    """Some levels from P3 or P2 on."""


class Locations(NamedTuple):
    """Where predictions stand: all locations of all levels."""

    points: Float[Tensor, "locations 2"]
    """(x, y) in input pixels."""
    strides: Float[Tensor, " locations"]
    ranges: Float[Tensor, "locations 2"]
    """(low, high): the largest side distance, in pixels, that a location's level is meant for; high may be infinite."""
    levels: Int64[Tensor, " locations"]
    """0 for the finest level."""


class DensePredictions(NamedTuple):
    """What the detection head says at every location."""

    class_logits: Float[Tensor, "images locations classes"]
    ltrb: Float[Tensor, "images locations 4"]
    """Distances to the left, top, right and bottom side, in strides; never negative."""
    centerness_logits: Float[Tensor, "images locations"]
    """Of centerness, or of the IoU that the box is expected to have, as the network was trained."""


class DenseTargets(NamedTuple):
    """What the detection head should say at every location of one image or of a batch in one line."""

    labels: Int64[Tensor, " locations"]
    """0 … C−1, or C where there is no object."""
    ltrb: Float[Tensor, "locations 4"]
    """Distances in strides; meaningless where there is no object."""
    centerness: Float[Tensor, " locations"]


class Detections(NamedTuple):
    """Boxes found in all images of a batch in one line: image by image, best first."""

    boxes: Float[Tensor, "detections 4"]
    """xyxy in input pixels, not clipped to the image."""
    scores: Float[Tensor, " detections"]
    labels: Int64[Tensor, " detections"]
    locations: Int64[Tensor, " detections"]
    """The location each came from."""
    images: Int64[Tensor, " detections"]
    """Which image of the batch each lies in; ascending."""

    def of_each(self, images: int) -> "list[Detections]":
        """Those of each image, of which there are so many."""
        counts = torch.bincount(self.images, minlength=images).tolist()
        return [Detections(*parts) for parts in zip(*(field.split(counts) for field in self), strict=True)]


class RoIs(NamedTuple):
    """Boxes of a whole batch in one line."""

    boxes: Float[Tensor, "rois 4"]
    images: Int64[Tensor, " rois"]
    """Which image of the batch each lies in; ascending."""
    labels: Int64[Tensor, " rois"]


class RoITargets(NamedTuple):
    """What the mask branch should say for training RoIs: all of them show an object."""

    rois: RoIs
    """Labels are those of the matched true objects."""
    masks: Float[Tensor, "rois side side"]
    """1 where the object is, seen through the RoI."""
    shares: Float[Tensor, " rois"]
    """The share of the whole object that the RoI shows, in (0, 1]."""
    others: Bool[Tensor, "rois cells cells"] | None = None
    """Where other objects of the image lie in the RoI, if that is taught."""


class MaskPredictions(NamedTuple):
    """What the mask branch says of RoIs."""

    logits: Float[Tensor, "rois side side"]
    """Of each RoI's own class."""
    ious: Float[Tensor, " rois"]
    """Expected IoU of each mask with the true one; not clamped."""
    others: Float[Tensor, "rois cells cells"] | None = None
    """Logits of where other objects lie, if the head has that branch."""


class DetectionLosses(NamedTuple):
    """Class, box and quality terms."""

    classification: Float[Tensor, ""]
    box: Float[Tensor, ""]
    centerness: Float[Tensor, ""]


class MaskLosses(NamedTuple):
    """Mask and mask-IoU terms."""

    mask: Float[Tensor, ""]
    mask_iou: Float[Tensor, ""]


class Losses(NamedTuple):
    """All five terms of the objective, each with weight one."""

    classification: Float[Tensor, ""]
    box: Float[Tensor, ""]
    centerness: Float[Tensor, ""]
    mask: Float[Tensor, ""]
    mask_iou: Float[Tensor, ""]

    def total(self) -> Float[Tensor, ""]:
        """What is minimised."""
        return self.classification + self.box + self.centerness + self.mask + self.mask_iou


class RoIInstances(NamedTuple):
    """The objects of one image as the network sees it: soft masks in their boxes."""

    boxes: Float[Tensor, "instances 4"]
    """xyxy in input pixels, not clipped: the masks belong to these boxes."""
    scores: Float[Tensor, " instances"]
    """Box score × predicted mask IoU."""
    box_scores: Float[Tensor, " instances"]
    labels: Int64[Tensor, " instances"]
    masks: Float[Tensor, "instances side side"]
    """Probabilities."""
