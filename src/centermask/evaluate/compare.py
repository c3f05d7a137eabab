"""Two runs on the same pictures: their scores, and how sure their difference is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32

from centermask.errors import UserError
from centermask.evaluate.bootstrap import averages, draw
from centermask.evaluate.matching import ALL_AREAS, match_set
from centermask.evaluate.plain import from_plain, to_plain
from centermask.evaluate.rows import Truth, read_predictions, read_truth


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number, and the range in which it lies for 95 % of the resampled sets; NaN where nothing is defined."""

    value: float
    """On the set itself."""
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole range lies on one side of zero: of a difference, whether it is more than chance."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class ComparedScore:
    """One score of both runs; all numbers as in ``Scores``, 0 to 1."""

    name: str
    """mask AP, mask AP50, mask AP75, mask AR, box AP."""
    a: Interval
    b: Interval
    difference: Interval
    """b − a, both on the same resampled pictures."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs measured against the truth of one set."""

    scores: tuple[ComparedScore, ...]
    images: int
    instances: int
    """True objects, crowds not counted."""
    max_detections: int
    resamples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """The same tree as plain JSON values, fields by their names; NaN becomes ``None``."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Comparison":
        """The inverse of ``to_json``."""
        comparison: Comparison = from_plain(cls, plain)
        return comparison


def compare(
    truth: Mapping[str, Any],
    a: Sequence[Mapping[str, Any]],
    b: Sequence[Mapping[str, Any]],
    *,
    resamples: int = 1000,
    seed: int = 0,
    max_detections: int = 100,
) -> Comparison:
    """Measure two lists of COCO results against one truth, with bootstrap intervals over the pictures.

    Pictures are drawn with repetition, as many as there are, the same ones for both runs. The intervals reach from the
    2.5th to the 97.5th percentile, moved so that the mean falls on the value of the set. They tell how much hangs on
    the choice of pictures, nothing of the luck of training.

    Args:
        truth: as in ``evaluate_predictions``, a and b as its predictions.
        resamples: how often the pictures are drawn.
        max_detections: per picture and class.

    Raises:
        UserError: as in ``evaluate_predictions``; or ``resamples`` is less than one.
    """
    for name, value in (("max_detections", max_detections), ("resamples", resamples)):
        if value < 1:
            raise UserError(f"{name} is {value}: expected at least 1")
    true = read_truth(truth)
    pictures = len(true.known.ids)
    counts = np.concatenate([np.ones((1, pictures), dtype=np.int32), draw(pictures, resamples, seed)])
    first, second = (_scores(true, predictions, counts, max_detections) for predictions in (a, b))
    return Comparison(
        scores=tuple(_compared(name, first[name], second[name]) for name in first),
        images=pictures,
        instances=int(true.instances().sum()),
        max_detections=max_detections,
        resamples=resamples,
        seed=seed,
    )


def _scores(
    truth: Truth, predictions: Sequence[Mapping[str, Any]], counts: Int32[np.ndarray, "resamples pictures"], limit: int
) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """The compared scores by name; the first of each is that of the set itself."""
    found = read_predictions(predictions, truth.known)
    classes = len(truth.known.class_names)
    mask = averages(match_set(truth, found, "mask", limit, ALL_AREAS), counts, classes)
    box = averages(match_set(truth, found, "box", limit, ALL_AREAS), counts, classes)
    return {
        "mask AP": mask.ap,
        "mask AP50": mask.ap50,
        "mask AP75": mask.ap75,
        "mask AR": mask.ar,
        "box AP": box.ap,
    }


def _compared(name: str, a: Float64[np.ndarray, " resamples"], b: Float64[np.ndarray, " resamples"]) -> ComparedScore:
    return ComparedScore(name=name, a=_interval(a, 0), b=_interval(b, 0), difference=_interval(b - a, -1))


def _interval(values: Float64[np.ndarray, " resamples"], least: int) -> Interval:
    """Of the set itself, which stands first, and of its resamples; those that drew no object do not count.

    AP is higher on resamples than on the set, because a picture that is drawn twice agrees with itself: with few
    objects of a class by so much that the set's own value can lie outside. So the range is moved by the mean excess.
    """
    value, drawn = float(values[0]), values[1:][~np.isnan(values[1:])]
    if not len(drawn):
        return Interval(value=value, low=float("nan"), high=float("nan"))
    low, high = np.clip(np.percentile(drawn, [2.5, 97.5]) - drawn.mean() + value, least, 1).tolist()
    return Interval(value=value, low=min(low, value), high=max(high, value))
