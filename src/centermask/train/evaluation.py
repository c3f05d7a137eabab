"""Scores of a network on the validation sets of a run."""

from collections.abc import Callable, Mapping

from centermask.data.sources import Evaluable
from centermask.evaluate import Evaluation, evaluate_predictions, predict_set
from centermask.model.centermask import CenterMask
from centermask.predict import Predictor


def evaluate_model(
    model: CenterMask, sets: Mapping[str, Evaluable], on_progress: Callable[[int, int], object] | None = None
) -> dict[str, Evaluation]:
    """COCO scores of a network on each set; the network is left in evaluation mode."""
    predictor = Predictor(model, score_threshold=0.0)
    limit = max(100, model.decoding.max_detections)
    return {
        name: evaluate_predictions(
            one.truth(), predict_set(predictor, one, on_progress=on_progress), max_detections=limit
        )
        for name, one in sets.items()
    }


def mean_mask_ap(evaluations: Mapping[str, Evaluation]) -> float:
    """The one number by which checkpoints are compared: mask AP, averaged over the sets that have truths."""
    scores = [one.mask.ap for one in evaluations.values() if one.mask.ap == one.mask.ap]
    return sum(scores) / len(scores) if scores else 0.0
