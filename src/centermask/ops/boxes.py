"""What torchvision.ops.boxes lacks. Boxes are xyxy, absolute pixels."""

from jaxtyping import Float, Int64
from torch import Tensor


def box_areas(boxes: Float[Tensor, "boxes 4"]) -> Float[Tensor, " boxes"]:
    """Areas in square pixels; 0 for a box whose sides are turned round."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)


def clip_boxes(boxes: Float[Tensor, "boxes 4"], sizes: Int64[Tensor, "boxes 2"]) -> Float[Tensor, "boxes 4"]:
    """Clip each box to its own image, whose (height, width) stands beside it."""
    limits = sizes.flip(1).repeat(1, 2).to(boxes)
    return boxes.clamp(min=0).minimum(limits)
