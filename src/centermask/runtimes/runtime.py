"""What a predictor asks of whatever runs the network. Numpy only: this file must not need torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol, cast, get_args, runtime_checkable

from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances
from centermask.size import Size

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""In what a network computes; auto is bf16 where the machine computes in it, else fp32."""

_SIGNS_OF_NO_MEMORY = ("allocate memory", "bad_alloc", "bad allocation")
"""Of torch's, onnxruntime's and OpenVINO's allocators, which raise general errors."""


@runtime_checkable
class SegmenterConfig(Protocol):
    """What a predictor wants to know about a network."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of all classes."""

    @property
    def category_ids(self) -> tuple[int, ...]:
        """COCO's id of each class; 1 … C if empty."""

    @property
    def test_short_side(self) -> int:
        """What the short side of a picture is scaled to, in pixels."""

    @property
    def test_long_side(self) -> int:
        """What the long side may not pass, in pixels."""

    @property
    def score_threshold(self) -> float:
        """Objects with a lower score are not shown."""

    @property
    def max_detections(self) -> int:
        """Objects kept per picture."""

    @property
    def masks_fill_boxes(self) -> bool:
        """Whether boxes are those of the masks, so that masks reach to their edges; False where masks lie in boxes."""


@runtime_checkable
class Runtime(Protocol):
    """A network that can be run."""

    @property
    def config(self) -> SegmenterConfig:
        """What it was built from."""

    @property
    def device(self) -> str:
        """Where it computes: ``cpu``, ``cuda:0``, ..."""

    @property
    def plane(self) -> Size | None:
        """The size that no fitted picture may pass; None if any will do."""

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        """Find the objects of each picture, in pixels of the fitted picture, in any order.

        Objects with a lower score than the threshold may or may not be left out.

        Raises:
            UserError: the device's memory does not suffice.
        """

    def keep_detections(self, count: int) -> None:
        """Have the ``count`` best objects of each picture, by score, among the answers from now on; more may come.

        Raises:
            UserError: that is more than this network can give.
        """


def known_precision(name: str | None) -> Precision | None:
    """A precision by its name; None stays None.

    Raises:
        UserError: there is no such precision.
    """
    if name is not None and name not in get_args(Precision):
        raise UserError(f"precision must be one of {', '.join(get_args(Precision))}, not {name}")
    return cast(Precision | None, name)


@contextmanager
def memory_in_words(fitted: Fitted, device: str) -> Iterator[None]:
    """Turn an allocator's complaint, of whatever runtime, into one that says what to do."""
    try:
        yield
    except Exception as error:  # each runtime raises kinds of its own, and no other error is kept here
        if not _is_of_memory(error):
            raise
        count, _, height, width = fitted.pixels.shape
        message = f"{count} × {height} × {width} pixels are too many for {device}; make short_side smaller"
        raise UserError(message) from error


def _is_of_memory(error: Exception) -> bool:
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's
    return known or any(sign in str(error) for sign in _SIGNS_OF_NO_MEMORY)
