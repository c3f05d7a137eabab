"""Which prediction of a picture stands for which true object."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Float

from centermask.report.sets import Thing

FOUND_IOU = 0.5
CROWD_SHARE = 0.5
"""A prediction that lies in a crowd with this share of itself is neither right nor wrong."""


class Pairs(NamedTuple):
    """The answer."""

    partner: tuple[int | None, ...]
    """For each prediction the true object it stands for."""
    ious: tuple[float, ...]
    """With that object; 0 without one."""

    @property
    def found(self) -> int:
        """True objects that have a prediction."""
        return sum(partner is not None for partner in self.partner)


def pair(true: Sequence[Thing], predicted: Sequence[Thing]) -> Pairs:
    """Give predictions, best first, the most similar free object of their class with a mask IoU of at least 0.5."""
    ious = mask_ious(predicted, true)
    partners: list[int | None] = []
    values: list[float] = []
    free = np.ones(len(true), dtype=bool)
    categories = np.array([thing.category_id for thing in true], dtype=np.int64)
    for thing, row in zip(predicted, ious, strict=True):
        open_to = np.where(free & (categories == thing.category_id), row, 0.0)
        best = int(open_to.argmax()) if len(true) else 0
        taken = bool(len(true)) and open_to[best] >= FOUND_IOU
        partners.append(best if taken else None)
        values.append(float(open_to[best]) if taken else 0.0)
        if taken:
            free[best] = False
    return Pairs(tuple(partners), tuple(values))


def mask_ious(predicted: Sequence[Thing], true: Sequence[Thing]) -> Float[np.ndarray, "predictions objects"]:
    """Mask IoU of each prediction with each true object."""
    return _compare(predicted, true, crowd=False)


def outside_crowds(predicted: Sequence[Thing], crowds: Sequence[Thing]) -> list[Thing]:
    """The predictions that do not lie in a crowd of their class, which COCO does not count."""
    shares = _compare(predicted, crowds, crowd=True)
    categories = np.array([thing.category_id for thing in crowds], dtype=np.int64)
    return [
        thing
        for thing, row in zip(predicted, shares, strict=True)
        if not (row[categories == thing.category_id] >= CROWD_SHARE).any()
    ]


def _compare(
    predicted: Sequence[Thing], others: Sequence[Thing], *, crowd: bool
) -> Float[np.ndarray, "predictions others"]:
    """The IoU, or with ``crowd`` the share of the prediction that the other covers."""
    if not predicted or not others:
        return np.zeros((len(predicted), len(others)))
    codes = [thing.code for thing in predicted], [thing.code for thing in others]
    return np.asarray(coco_mask.iou(*codes, [int(crowd)] * len(others)), dtype=np.float64)
