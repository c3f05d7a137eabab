"""Scores of a network on the validation sets of a run: each process predicts a share, the first one counts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from centermask.data.sources import Evaluable
from centermask.errors import UserError
from centermask.evaluate import Evaluation, Results, merge_shards, predict_set
from centermask.predict import Predictor
from centermask.report import EvaluatedSet, count_set
from centermask.train.run import Run


def evaluate_together(
    run: Run, sets: Mapping[str, Evaluable], on_progress: Callable[[int, int], object] | None = None
) -> dict[str, EvaluatedSet]:
    """COCO scores and an analysis for each set in the first process, nothing in the others.

    The network is left in evaluation mode.

    Raises:
        UserError: a picture cannot be used.
    """
    run.together.share_buffers(run.usable_model)
    predictor = Predictor(run.usable_model, score_threshold=0.0)
    found: dict[str, EvaluatedSet] = {}
    for name, one in sets.items():
        parts = _predict_share(run, predictor, one, on_progress)
        fault: UserError | None = None
        try:
            if parts:
                found[name] = count_set(name, one, merge_shards(parts), max(100, run.model.config.max_detections))
        except UserError as error:
            fault = error
        run.together.fail_together(fault)
    return found


def _predict_share(
    run: Run, predictor: Predictor, one: Evaluable, on_progress: Callable[[int, int], object] | None
) -> list[Results]:
    """All processes' predictions in the first one, an empty list in the others."""
    together = run.together
    share = range(together.process, len(one), together.processes)
    part: Results | None = None
    fault: UserError | None = None
    try:
        part = predict_set(predictor, one, indices=share, on_progress=on_progress)
    except UserError as error:
        fault = error
    together.fail_together(fault)
    return [shard for shard in together.gather(part) if shard is not None]


def show_from_the_best_score(run: Run, found: Iterable[EvaluatedSet]) -> None:
    """From now on the run's weights show objects from the score on with which F1 at mask IoU 0.5 is highest.

    Scores of a short training are lower than those of a long one. Over several sets it is the mean of their best
    scores, to hundredths; where nothing is right yet the threshold stays.
    """
    best = [one.analysis.threshold for one in found if one.analysis.threshold > 0]
    if best:
        threshold = max(0.01, round(sum(best) / len(best), 2))
        for model in (run.model, run.usable_model):
            model.config = replace(model.config, score_threshold=threshold)


def mean_mask_ap(evaluations: Mapping[str, Evaluation]) -> float:
    """The one number by which checkpoints are compared: mask AP, averaged over the sets that have truths."""
    scores = [one.mask.ap for one in evaluations.values() if one.mask.ap == one.mask.ap]
    return sum(scores) / len(scores) if scores else 0.0
