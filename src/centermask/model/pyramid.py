"""C3–C5 to P3–P7: a feature pyramid network with two further levels on top (spec 1.4); perhaps C2 to P2."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from centermask.model.layers import init_uniform


class FeaturePyramid(nn.Module):
    """Lateral 1×1 convolutions, top-down sums, 3×3 outputs; P6 and P7 by strided convolutions on P5's output.

    P2, if there is a C2, has no output convolution: at its size that would cost as much as all others together, and
    both branches begin with convolutions of their own.
    """

    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        *finer, c3, c4, c5 = inputs
        self.p2 = nn.Conv2d(finer[0], channels, 1) if finer else None
        self.laterals = nn.ModuleList(nn.Conv2d(size, channels, 1) for size in (c3, c4, c5))
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in self.laterals)
        self.p6 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                init_uniform(conv)

    def forward(self, features: Sequence[Float[Tensor, "images _ _ _"]]) -> list[Tensor]:
        """P3 … P7, or P2 … P7, finest first, all of one width."""
        merged = [lateral(feature) for lateral, feature in zip(self.laterals, features[-3:], strict=True)]
        for fine in range(len(merged) - 2, -1, -1):
            merged[fine] = _add(merged[fine], merged[fine + 1])
        pyramid = [output(feature) for output, feature in zip(self.outputs, merged, strict=True)]
        # In float32: in bf16 a processor's gradient of a strided kernel over a map of one column is not defined memory
        # (PyTorch 2.15). The two maps are so small that it costs nothing.
        with torch.autocast(pyramid[-1].device.type, enabled=False):
            pyramid.append(self.p6(pyramid[-1].to(self.p6.weight.dtype)))
            pyramid.append(self.p7(functional.relu(pyramid[-1])))
        return pyramid if self.p2 is None else [_add(self.p2(features[0]), merged[0]), *pyramid]


def _add(fine: Tensor, coarse: Tensor) -> Tensor:
    return fine + functional.interpolate(coarse, size=fine.shape[2:])
