"""What a set holds, counted: classes, sizes, crowding, overlap; and what follows for the settings of a run."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from centermask.config import ModelConfig, TrainConfig
from centermask.data.check.classes import counts_by_name
from centermask.data.check.overlaps import OVERLAP
from centermask.data.check.split import Split

SMALL, LARGE = 32**2, 96**2
"""COCO's borders between small, medium and large objects, in square pixels."""

SIZES = ("small", "medium", "large")

LEAST_SIDE = 16
"""Pixels of the fitted picture below which an object covers hardly a cell of the finest level, which has stride 8."""

FEW = 10
"""Objects of a class from which little can be learned."""


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """One split, counted over its sound pictures and objects, crowds left out."""

    split: str
    pictures: int
    objects: int
    crowds: int
    classes: dict[str, int]
    """Objects of each class, in the order of the ids."""
    sizes: dict[str, int]
    """Objects by the area of their masks: small to 32², medium to 96² pixels, large."""
    median_objects: float
    """In a picture, of all pictures."""
    most_objects: int
    crowding: dict[str, int]
    """Pictures by how many objects they show."""
    empty_pictures: float
    """Share of the pictures that show no object."""
    overlapped: float
    """Share of the objects whose box has an IoU above 0.3 with another of their class."""
    median_side: float
    """Root of the median mask's area, in pixels."""
    median_fitted_side: float
    """The same in pictures fitted to the default short side."""
    picture_sizes: dict[str, tuple[int, int]]
    """Least and greatest width and height, in pixels."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def count(split: Split) -> Statistics:
    """Count one split; a share of nothing is 0."""
    areas = split.objects.areas.astype(np.float64)
    limits = [int((areas < SMALL).sum()), int(((areas >= SMALL) & (areas < LARGE)).sum()), int((areas >= LARGE).sum())]
    counts = split.counts
    return Statistics(
        split=split.name,
        pictures=len(split.records),
        objects=len(split.objects),
        crowds=split.crowds,
        classes=counts_by_name(split),
        sizes=dict(zip(SIZES, limits, strict=True)),
        median_objects=_median(counts),
        most_objects=int(counts.max(initial=0)),
        crowding=_crowding(counts),
        empty_pictures=_share(counts == 0),
        overlapped=_share(split.overlapped),
        median_side=_median(areas) ** 0.5,
        median_fitted_side=_median(areas * _scales(split)[split.objects.pictures] ** 2) ** 0.5,
        picture_sizes=_extent(split.sizes),
    )


def _scales(split: Split) -> Float[np.ndarray, " pictures"]:
    """What each picture is scaled by before the network sees it, at the default short side and the widest long side."""
    defaults = ModelConfig()
    short = TrainConfig().short_side
    long = short * defaults.test_long_side / defaults.test_short_side
    sizes = split.sizes.astype(np.float64)
    return np.minimum(short / sizes.min(axis=1, initial=np.inf), long / sizes.max(axis=1, initial=1.0))


def _crowding(counts: Int64[np.ndarray, " pictures"]) -> dict[str, int]:
    """Pictures in classes of doubling width, up to the last that holds any.

    >>> _crowding(np.array([0, 1, 3, 5, 4]))
    {'0': 1, '1': 1, '2–3': 1, '4–7': 2}
    """
    edges = [0, 1, *(2**power for power in range(1, int(counts.max(initial=0)).bit_length() + 1))]
    numbers = np.histogram(counts, bins=edges)[0].tolist() if len(edges) > 2 else [len(counts)]
    names = (f"{low}–{high - 1}" if high - low > 1 else str(low) for low, high in pairwise(edges))
    return dict(zip(names, numbers, strict=True))


def _extent(sizes: Int64[np.ndarray, "pictures 2"]) -> dict[str, tuple[int, int]]:
    if not len(sizes):
        return {"width": (0, 0), "height": (0, 0)}
    least, most = sizes.min(axis=0).tolist(), sizes.max(axis=0).tolist()
    return {"width": (least[1], most[1]), "height": (least[0], most[0])}


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else 0.0


def _share(which: np.ndarray) -> float:
    return float(which.mean()) if len(which) else 0.0


def hints(counted: list[Statistics]) -> list[str]:
    """What follows from the counts for a training run: a sentence each."""
    said = []
    most = max((one.most_objects for one in counted), default=0)
    if most > 100:
        said.append(f"a picture holds up to {most} objects: train and evaluate with --max-detections {_round_up(most)}")
    train = next((one for one in counted if one.split == "train"), None)
    if train and train.objects:
        said += _about_training(train)
    dense = [one for one in counted if one.overlapped > 0.05]
    if dense:
        shares = ", ".join(f"{one.overlapped:.0%} in {one.split}" for one in dense)
        said.append(f"objects of one class overlap much ({shares} above box IoU {OVERLAP}): these are the hard "
                    "ones, evaluate pictures of them apart")  # fmt: skip
    return said


def _about_training(train: Statistics) -> list[str]:
    said = []
    short = TrainConfig().short_side
    side = train.median_fitted_side
    if side < LEAST_SIDE:
        wanted = 32 * round(short * LEAST_SIDE / side / 32)
        said.append(f"half of the objects are smaller than {side:.0f} × {side:.0f} pixels at the default short side of "
                    f"{short}: raise it, --short-side {wanted} makes that {LEAST_SIDE}")  # fmt: skip
    rare = [name for name, number in train.classes.items() if 0 < number < FEW]
    if rare:
        named = ", ".join(repr(name) for name in rare[:5]) + (" …" if len(rare) > 5 else "")
        said.append(f"{len(rare)} classes have fewer than {FEW} objects in train ({named}): annotate more of them")
    if train.empty_pictures > 0.5:
        said.append(f"{train.empty_pictures:.0%} of the training pictures show no object: is something not annotated?")
    return said


def _round_up(number: int) -> int:
    """Some room above, in fifties.

    >>> _round_up(101), _round_up(375)
    (150, 450)
    """
    return -(-number * 11 // 500) * 50
