"""A network in PyTorch's memory, described without importing torch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from centermask.runtimes.runtime import SegmenterConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from centermask.structures import ImageBatch, RoIInstances


@runtime_checkable
class Segmenter(Protocol):
    """A network that finds objects; ``CenterMask`` is one."""

    @property
    def config(self) -> SegmenterConfig:
        """What it was built from."""

    def __call__(self, batch: "ImageBatch") -> "list[RoIInstances]":
        """Find the objects of each image."""

    def eval(self) -> Any:
        """Put it into evaluation mode."""

    def keep_detections(self, count: int) -> None:
        """Find up to ``count`` objects in each image from now on."""

    def to(self, device: "torch.device") -> Any:
        """Move it to a device, in place."""

    def parameters(self) -> "Iterator[Tensor]":
        """Its weights."""
