"""What an analysis of predictions finds beyond average precision: where they fail, how, and what it costs.

All of it is plain values, so that a report can be written from a file. Masks are compared, not boxes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from centermask.evaluate.plain import from_plain, to_plain

ErrorKind = Literal["missed", "false", "duplicate", "class", "mask", "class and mask"]
"""After TIDE (Bolya et al., ECCV 2020), with masks for boxes: a true object nothing found; a prediction on nothing; a
second prediction of an object that is already found; the right place, the wrong class; the right class, a mask of IoU
between 0.1 and 0.5; both wrong."""


@dataclass(frozen=True, kw_only=True)
class PrecisionCurve:
    """Precision over recall 0, 0.01 … 1 at an IoU threshold; NaN where nothing is defined."""

    class_name: str
    """Empty for the mean over classes."""
    iou: float
    """0.5 or 0.75; 0 for the mean over 0.50, 0.55 … 0.95."""
    precision: tuple[float, ...]
    scores: tuple[float, ...]
    """The score of the prediction at which each recall is reached."""


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """True objects of one range of sizes and one of overlaps: how many, and which share of them is found."""

    size: str
    overlap: str
    """The largest IoU of the object's box with another box of its class in the picture."""
    instances: int
    recall50: float
    """At mask IoU 0.5; NaN where there is no object."""
    recall: float
    """Mean over mask IoU 0.50, 0.55 … 0.95."""


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Predictions whose predicted value lies between two edges: its mean, and the mean of what is true."""

    low: float
    high: float
    count: int
    predicted: float
    true: float


@dataclass(frozen=True, kw_only=True)
class ErrorCost:
    """How often a kind of error occurs above the threshold, and the AP50 that mending all of its kind would bring."""

    kind: ErrorKind
    count: int
    cost: float
    """In AP50, 0 to 1; of all predictions, not only those above the threshold."""


@dataclass(frozen=True, kw_only=True)
class ErrorCase:
    """One error."""

    kind: ErrorKind
    image_id: int
    prediction: int | None
    """Its place in the list of predictions; none for what is missed."""
    annotation: int | None
    """The place of the true object in the truth's list of annotations; none for what is false."""
    score: float
    """Of the prediction; of what is missed, 1."""
    iou: float
    """Of the masks; 0 where there is no pair."""
    weight: float
    """How bad it is: cases come in descending order of it."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """All of it."""

    class_names: tuple[str, ...]
    threshold: float
    """The score from which on predictions count as shown: where F1 at mask IoU 0.5 is highest."""
    precision: float
    """At the threshold and mask IoU 0.5."""
    recall: float
    curves: tuple[PrecisionCurve, ...]
    heat: tuple[HeatCell, ...]
    """Row by row: sizes small, medium, large; overlaps ascending."""
    mask_iou: tuple[CalibrationBin, ...]
    """The predicted mask IoU (score ÷ box score) against the true one, over predictions that lie on an object."""
    scores: tuple[CalibrationBin, ...]
    """The score against the share of predictions that are right at mask IoU 0.5."""
    confusion: tuple[tuple[int, ...], ...]
    """True class by predicted class, above the threshold at mask IoU 0.5; the last row is nothing, the last column
    missed."""
    costs: tuple[ErrorCost, ...]
    cases: tuple[ErrorCase, ...]
    """The worst of each kind."""

    def to_json(self) -> dict[str, Any]:
        """The same tree as plain JSON values, fields by their names; NaN becomes ``None``."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Analysis":
        """The inverse of ``to_json``."""
        analysis: Analysis = from_plain(cls, plain)
        return analysis
