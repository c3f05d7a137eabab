"""One split as the check has read it: what of its entries is sound, and its objects as flat arrays."""

from array import array
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int64

from centermask.data.coco_entries import CocoImage
from centermask.data.formats.labels import Format


class Objects:
    """The sound objects of a split, 40 bytes each."""

    def __init__(self) -> None:
        self._pictures, self._labels, self._places = array("q"), array("q"), array("q")
        self._areas, self._boxes = array("f"), array("f")

    def add(self, *, picture: int, label: int, place: int, area: float, box: Float[np.ndarray, "4"]) -> None:
        """Take in one object; see the properties for what the values mean."""
        self._pictures.append(picture)
        self._labels.append(label)
        self._places.append(place)
        self._areas.append(area)
        self._boxes.extend(box.tolist())

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def pictures(self) -> Int64[np.ndarray, " objects"]:
        """Place of the picture among the split's sound pictures."""
        return np.frombuffer(self._pictures, dtype=np.int64)

    @property
    def labels(self) -> Int64[np.ndarray, " objects"]:
        """Place of the class among the split's classes."""
        return np.frombuffer(self._labels, dtype=np.int64)

    @property
    def places(self) -> Int64[np.ndarray, " objects"]:
        """Place of the entry in the file's list."""
        return np.frombuffer(self._places, dtype=np.int64)

    @property
    def areas(self) -> Float[np.ndarray, " objects"]:
        """Of the mask, in square pixels."""
        return np.frombuffer(self._areas, dtype=np.float32)

    @property
    def boxes(self) -> Float[np.ndarray, "objects 4"]:
        """Around what lies inside the picture, xyxy."""
        return np.frombuffer(self._boxes, dtype=np.float32).reshape(-1, 4)


@dataclass(kw_only=True)
class Split:
    """One split."""

    name: str
    format: Format
    source: Path
    images: Path
    annotations: list[object] = field(default_factory=list)
    """The entries as they stand in the file."""
    classes: dict[int, str] = field(default_factory=dict)
    """Names by id, in the order of the ids."""
    records: dict[int, CocoImage] = field(default_factory=dict)
    """The sound picture entries whose files exist, by id."""
    objects: Objects = field(default_factory=Objects)
    crowds: int = 0
    overlapped: Bool[np.ndarray, " objects"] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Which objects have a box IoU above 0.3 with another of their class."""
    listed: set[Path] = field(default_factory=set)
    """The files that the picture entries name, usable or not."""
    complete: bool = True
    """Whether all of its label files could be read."""

    @property
    def sizes(self) -> Int64[np.ndarray, "pictures 2"]:
        """(height, width) of each sound picture as annotated."""
        return np.array([record.size for record in self.records.values()], dtype=np.int64).reshape(-1, 2)

    @property
    def counts(self) -> Int64[np.ndarray, " pictures"]:
        """Objects in each sound picture."""
        return np.bincount(self.objects.pictures, minlength=len(self.records)).astype(np.int64)
