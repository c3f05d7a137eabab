"""COCO's average precision and recall of boxes and masks, counted by faster-coco-eval."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from jaxtyping import Float

from centermask.errors import UserError
from centermask.evaluate.rows import Row, Truth, box_rows, mask_rows, read_predictions, read_truth
from centermask.evaluate.scores import ClassScores, Evaluation, Scores

Area = Literal["all", "small", "medium", "large"]


def evaluate_predictions(
    truth: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]], *, max_detections: int = 100
) -> Evaluation:
    """Measure COCO results against a COCO truth; neither is changed.

    Boxes are ranked by ``box_score`` (by ``score`` where a result has none), masks by ``score``. Only the best
    ``max_detections`` of each picture and class count; raise COCO's default for pictures with more objects.

    Args:
        truth: a COCO annotation dict: images, annotations, categories.
        predictions: COCO results, each with image_id, category_id, bbox (xywh), score, segmentation, perhaps box_score.
        max_detections: per picture and class.

    Raises:
        UserError: an annotation or a prediction is broken, or belongs to no picture or category of the truth.

    >>> place = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3]}
    >>> stone = place | {"segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]]}
    >>> images, categories = [{"id": 1, "height": 9, "width": 9}], [{"id": 1, "name": "stone"}]
    >>> truth = {"images": images, "categories": categories, "annotations": [stone | {"id": 1}]}
    >>> evaluation = evaluate_predictions(truth, [stone | {"score": 0.9}])
    >>> round(evaluation.mask.ap, 3), evaluation.instances
    (1.0, 1)
    """
    if max_detections < 1:
        raise UserError(f"max_detections is {max_detections}: expected at least 1")
    known = read_truth(truth)
    found = read_predictions(predictions, known)
    return Evaluation(
        box=_scores(_count(known, box_rows(found), "bbox", max_detections), known),
        mask=_scores(_count(known, mask_rows(found), "segm", max_detections), known),
        images=len(known.sizes),
        instances=_instances(known).total(),
        max_detections=max_detections,
    )


class Curves(NamedTuple):
    """Precision and recall at every IoU threshold, class, range of areas and limit of detections; −1 is undefined."""

    precision: Float[np.ndarray, "ious recalls classes areas limits"]
    """At recall 0, 0.01 … 1."""
    recall: Float[np.ndarray, "ious classes areas limits"]
    ious: Float[np.ndarray, " ious"]
    areas: tuple[str, ...]
    limits: tuple[int, ...]
    """Detections per picture and class, ascending."""

    def of_class(self, index: int) -> "Curves":
        """The curves of one class."""
        one = slice(index, index + 1)
        return self._replace(precision=self.precision[:, :, one], recall=self.recall[:, one])

    def ap(self, iou: float | None = None, area: Area = "all") -> float:
        """Mean precision, at one IoU threshold or over all, with the largest limit."""
        chosen = np.ones(len(self.ious), dtype=bool) if iou is None else np.isclose(self.ious, iou)
        return _mean(self.precision[chosen, :, :, self.areas.index(area), -1])

    def ar(self, limit: int, area: Area = "all") -> float:
        """Mean recall over all IoU thresholds with the best ``limit`` detections, or with all if there are fewer."""
        reached = self.limits.index(min(limit, self.limits[-1]))
        return _mean(self.recall[:, :, self.areas.index(area), reached])


def _mean(values: np.ndarray) -> float:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")


def _count(truth: Truth, found: list[Row], kind: Literal["bbox", "segm"], max_detections: int) -> Curves:
    """Match what was found with the truth and count, by COCO's rules."""
    counting = COCOeval_faster(_coco(truth, truth.objects), _coco(truth, found), kind)
    counting.params.maxDets = sorted({min(limit, max_detections) for limit in (1, 10, max_detections)})
    counting.evaluate()
    counting.accumulate()
    return Curves(
        precision=counting.eval["precision"],
        recall=counting.eval["recall"],
        ious=counting.params.iouThrs,
        areas=tuple(counting.params.areaRngLbl),
        limits=tuple(counting.params.maxDets),
    )


def _coco(truth: Truth, rows: list[Row]) -> COCO:
    images = [{"id": key, "height": size.height, "width": size.width} for key, size in truth.sizes.items()]
    categories = [{"id": key, "name": name} for key, name in truth.class_names.items()]
    return COCO({"images": images, "categories": categories, "annotations": rows})


def _instances(truth: Truth) -> Counter[int]:
    """True objects that are not crowds, by category id."""
    return Counter(row["category_id"] for row in truth.objects if not row["iscrowd"])


def _scores(curves: Curves, truth: Truth) -> Scores:
    most = curves.limits[-1]
    return Scores(
        ap=curves.ap(),
        ap50=curves.ap(iou=0.5),
        ap75=curves.ap(iou=0.75),
        ap_small=curves.ap(area="small"),
        ap_medium=curves.ap(area="medium"),
        ap_large=curves.ap(area="large"),
        ar1=curves.ar(1),
        ar10=curves.ar(10),
        ar_max=curves.ar(most),
        ar_small=curves.ar(most, area="small"),
        ar_medium=curves.ar(most, area="medium"),
        ar_large=curves.ar(most, area="large"),
        per_class=_class_scores(curves, truth),
    )


def _class_scores(curves: Curves, truth: Truth) -> dict[str, ClassScores]:
    instances = _instances(truth)
    scores = {}
    for index, (category_id, name) in enumerate(truth.class_names.items()):
        own = curves.of_class(index)
        scores[name] = ClassScores(
            ap=own.ap(), ap50=own.ap(iou=0.5), ar=own.ar(own.limits[-1]), instances=instances[category_id]
        )
    return scores
