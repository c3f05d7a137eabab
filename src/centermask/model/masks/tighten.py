"""From masks in regions that are larger than their objects to the objects' boxes, and the masks within these."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

INSIDE = 0.5


def tighten(
    masks: Float[Tensor, "n side side"], regions: Float[Tensor, "n 4"], boxes: Float[Tensor, "n 4"]
) -> tuple[Float[Tensor, "n 4"], Float[Tensor, "n side side"]]:
    """The box of each mask, and the mask in that box instead of its region.

    Boxes end where the mask, bilinear between the centres of its cells, falls through one half. The mask is read anew
    at the centres of the box's cells.

    Args:
        masks: Probabilities.
        regions: xyxy, where the masks lie.
        boxes: xyxy, of objects whose mask is nowhere above one half.
    """
    side = masks.shape[2]
    across, down = masks.amax(dim=1), masks.amax(dim=2)
    (left, right), (top, bottom) = _extent(across), _extent(down)
    found = (across.amax(dim=1) > INSIDE)[:, None]
    cells = ((regions[:, 2:] - regions[:, :2]) / side).clamp(min=torch.finfo(regions.dtype).tiny)
    corner = regions[:, :2]
    tight = torch.cat([corner + cells * torch.stack([left, top], dim=1),
                       corner + cells * torch.stack([right, bottom], dim=1)], dim=1)  # fmt: skip
    own = torch.where(found, tight, boxes)
    starts, ends = (own[:, :2] - corner) / cells, (own[:, 2:] - corner) / cells
    columns, rows = (_weights(starts[:, axis], ends[:, axis], side) for axis in (0, 1))
    with torch.autocast(masks.device.type, enabled=False):
        return own, rows @ masks @ columns.transpose(1, 2)


def _extent(profile: Float[Tensor, "n side"]) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Where a row of cells rises above one half, and where it falls below for good, in cells from its start.

    >>> [end.tolist() for end in _extent(torch.tensor([[0.0, 0.0, 1.0, 0.75]]))]
    [[2.0], [4.0]]
    """
    start = _rise(profile, profile > INSIDE)
    end = profile.shape[1] - _rise(profile.flip(1), profile.flip(1) > INSIDE)
    return start, end


def _rise(profile: Float[Tensor, "n side"], inside: Bool[Tensor, "n side"]) -> Float[Tensor, " n"]:
    side = profile.shape[1]
    places = torch.arange(side, device=profile.device)
    first = torch.where(inside, places, side - 1).amin(dim=1)
    high = profile.gather(1, first[:, None]).squeeze(1)
    low = profile.gather(1, (first - 1).clamp(min=0)[:, None]).squeeze(1)
    part = (INSIDE - low) / (high - low).clamp(min=torch.finfo(profile.dtype).eps)
    return torch.where(first > 0, first - 0.5 + part, 0.0)


def _weights(starts: Float[Tensor, " n"], ends: Float[Tensor, " n"], side: int) -> Float[Tensor, "n side side"]:
    """What the cells of a stretch take from the cells of a row: bilinear, at their centres."""
    places = torch.arange(side, device=starts.device)
    positions = (starts[:, None] + (places + 0.5) / side * (ends - starts)[:, None] - 0.5).clamp(0, side - 1)
    return (1 - (positions[:, :, None] - places).abs()).clamp(min=0)
