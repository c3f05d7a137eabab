"""Where predictions stand: one location for each cell of each pyramid level."""

from collections.abc import Sequence

import torch
from torch import Tensor

from centermask.structures import Locations

STRIDES = (4, 8, 16, 32, 64, 128)
"""Of P2 … P7."""
BORDERS = (32.0, 64.0, 128.0, 256.0, 512.0, float("inf"))
"""The largest side distance, in pixels, up to which each of them is meant (spec 1.6; P2 in proportion). It begins where
the level before ends, or at 0; both ends belong to it."""

CENTER_RADIUS = 1.5
"""In strides: only locations this near an object's centre (in each axis) may predict it."""
CENTER_LOCATIONS = round(2 * CENTER_RADIUS) ** 2
"""Locations of a level in the centre square of an object."""


def strides_from(finest: int) -> tuple[int, ...]:
    """Of the finest level and all coarser ones.

    >>> strides_from(8)
    (8, 16, 32, 64, 128)
    """
    return STRIDES[STRIDES.index(finest) :]


def make_locations(pyramid: Sequence[Tensor], finest: int = 8) -> Locations:
    """The locations of all levels in one line, finest level first, row by row.

    The location of cell (row i, column j) at stride s is (j·s + ⌊s/2⌋, i·s + ⌊s/2⌋).

    Args:
        pyramid: The levels; only their sides count.
        finest: Stride of the first: 8 (P3) or 4 (P2).

    >>> make_locations([torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 1)]).points.tolist()
    [[4.0, 4.0], [12.0, 4.0], [8.0, 8.0]]
    """
    device = pyramid[0].device
    strides = strides_from(finest)
    ends = BORDERS[-len(strides) :]
    grids = [_grid(level.shape[-2], level.shape[-1], stride, device)
             for level, stride in zip(pyramid, strides, strict=False)]  # fmt: skip
    levels = torch.cat([grid.new_full(grid.shape[:1], level, dtype=torch.int64) for level, grid in enumerate(grids)])
    ranges = torch.tensor(list(zip((0.0, *ends), ends, strict=False)), dtype=torch.float32, device=device)
    steps = torch.tensor(strides, dtype=torch.float32, device=device)
    return Locations(points=torch.cat(grids), strides=steps[levels], ranges=ranges[levels], levels=levels)


def _grid(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    y = torch.arange(height, device=device, dtype=torch.float32) * stride + stride // 2
    x = torch.arange(width, device=device, dtype=torch.float32) * stride + stride // 2
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], dim=1)
