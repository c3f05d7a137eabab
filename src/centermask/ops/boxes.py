"""What torchvision.ops.boxes lacks. Boxes are xyxy, absolute pixels."""

from jaxtyping import Float
from torch import Tensor


def box_areas(boxes: Float[Tensor, "boxes 4"]) -> Float[Tensor, " boxes"]:
    """Areas in square pixels; 0 for a box whose sides are turned round."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
