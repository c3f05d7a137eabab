"""A network in PyTorch's memory, its device and its pictures, described without importing torch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from centermask.runtimes.runtime import SegmenterConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from centermask.structures import ImageBatch, RoIInstances


@runtime_checkable
class DeviceLike(Protocol):
    """A ``torch.device``, described without torch; its text is the device's name."""

    @property
    def type(self) -> str:
        """``cpu``, ``cuda``, ..."""

    @property
    def index(self) -> int | None:
        """Which of several."""


@runtime_checkable
class TensorLike(Protocol):
    """A ``torch.Tensor``, described without torch."""

    @property
    def dtype(self) -> Any:
        """``torch.uint8`` of a picture."""

    @property
    def shape(self) -> Any:
        """(3, height, width) of a picture."""

    def detach(self) -> Any:
        """The same without its history."""

    def permute(self, *dims: int) -> Any:
        """The same with its dimensions in another order."""


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
