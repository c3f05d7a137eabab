"""One annotated picture, and what any set of them offers."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt8

from centermask.ops.mask_warp import Mask
from centermask.size import Size


class Sample(NamedTuple):
    """One annotated picture at its own size; crowds are already left out."""

    image: UInt8[np.ndarray, "height width 3"]
    """RGB."""
    labels: Int64[np.ndarray, " objects"]
    """0 … C−1."""
    masks: tuple[Mask, ...]
    """In pixels of the picture."""


@runtime_checkable
class SampleSet(Protocol):
    """A set of annotated pictures that may be indexed from many worker processes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that this set annotates."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def size(self, index: int) -> Size:
        """Size of a picture, without decoding it."""
