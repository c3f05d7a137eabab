"""COCO's average precision and recall of boxes and masks.

The rules are COCO's and are held to pycocotools' numbers by the tests; the overlap of masks is faster-coco-eval's. The
counting is ours, because that of the library takes 600 kB a picture of 100 predictions, and keeps no match to analyse.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from centermask.errors import UserError
from centermask.evaluate.curves import Curves, count
from centermask.evaluate.matching import AREAS, match_set
from centermask.evaluate.rows import Found, Truth, read_predictions, read_truth
from centermask.evaluate.scenes import Kind
from centermask.evaluate.scores import ClassScores, Evaluation, Scores


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
    true = read_truth(truth)
    found = read_predictions(predictions, true.known)
    return Evaluation(
        box=_scores(count_set(true, found, "box", max_detections), true),
        mask=_scores(count_set(true, found, "mask", max_detections), true),
        images=len(true.known.ids),
        instances=int(true.instances().sum()),
        max_detections=max_detections,
    )


def count_set(truth: Truth, found: Found, kind: Kind, max_detections: int) -> Curves:
    """Match what was found with the truth and count, by COCO's rules."""
    limits = sorted({min(limit, max_detections) for limit in (1, 10, max_detections)})
    matches = match_set(truth, found, kind, max_detections)
    return count(matches, len(truth.known.class_names), tuple(AREAS), limits)


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
    scores = {}
    for label, (name, instances) in enumerate(zip(truth.known.class_names, truth.instances(), strict=True)):
        own = curves.of_class(label)
        scores[name] = ClassScores(
            ap=own.ap(), ap50=own.ap(iou=0.5), ar=own.ar(own.limits[-1]), instances=int(instances)
        )
    return scores
