"""What an evaluation finds: average precision and recall, of boxes and of masks.

All numbers lie in [0, 1]; one that no true object defines (no large object, say) is NaN here and ``null`` in JSON.
"""

from dataclasses import dataclass
from typing import Any

from centermask.evaluate.plain import to_plain


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """How well one class is found."""

    ap: float
    ap50: float
    ar: float
    """Recall with ``max_detections`` per picture."""
    instances: int
    """True objects, crowds not counted."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """COCO's summary numbers: means over classes and, where no IoU is named, over IoU 0.50, 0.55 … 0.95."""

    ap: float
    ap50: float
    ap75: float
    ap_small: float
    """Objects of less than 32² pixels."""
    ap_medium: float
    ap_large: float
    """Objects of more than 96² pixels."""
    ar1: float
    """Recall with the one best detection per picture and class."""
    ar10: float
    """With the ten best, or with ``max_detections`` if that is less."""
    ar_max: float
    """With ``max_detections``."""
    ar_small: float
    ar_medium: float
    ar_large: float
    per_class: dict[str, ClassScores]
    """By class name, in the order of the category ids."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Predictions measured against the truth of a set."""

    box: Scores
    """Detections ranked by box score."""
    mask: Scores
    """Detections ranked by score, box score × predicted mask IoU."""
    images: int
    instances: int
    """True objects, crowds not counted."""
    max_detections: int
    """How many detections per picture and class counted."""

    def to_json(self) -> dict[str, Any]:
        """The same tree as plain JSON values, fields by their names; NaN becomes ``None``."""
        plain: dict[str, Any] = to_plain(self)
        return plain
