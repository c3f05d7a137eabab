"""The worst errors of each kind, to be looked at."""

import numpy as np
from jaxtyping import Float64

from centermask.evaluate.analysis import ErrorCase
from centermask.evaluate.errors import FOREGROUND, KINDS, MASK, MISSED, Verdicts
from centermask.evaluate.matching import Matches
from centermask.evaluate.rows import Truth


def worst_cases(
    truth: Truth,
    matches: Matches,
    verdicts: Verdicts,
    cover: Float64[np.ndarray, " true"],
    threshold: float,
    number: int,
) -> tuple[ErrorCase, ...]:
    """Of each kind the worst ``number`` from the threshold on, the worst first.

    What is missed is as bad as it is large, in pixels; a mask as bad as its score times what it lacks of IoU 0.5;
    anything else as its score. Equally bad ones stand in the order of the pictures.
    """
    cases = _missed(truth, matches, cover < threshold, number)
    for kind in range(MISSED + 1, len(KINDS)):
        cases += _wrong(truth, matches, verdicts, kind, threshold, number)
    return tuple(cases)


def _missed(truth: Truth, matches: Matches, uncovered: np.ndarray, number: int) -> list[ErrorCase]:
    places = np.flatnonzero(uncovered & matches.counted[:, 0])
    areas, pictures = truth.objects.areas[places], truth.objects.pictures[places]
    return [
        ErrorCase(
            kind=KINDS[MISSED],
            image_id=truth.known.ids[pictures[i]],
            prediction=None,
            annotation=int(places[i]),
            score=1.0,
            iou=0.0,
            weight=float(areas[i]),
        )
        for i in np.lexsort((places, pictures, -areas))[:number].tolist()
    ]


def _wrong(
    truth: Truth, matches: Matches, verdicts: Verdicts, kind: int, threshold: float, number: int
) -> list[ErrorCase]:
    chosen = np.flatnonzero((verdicts.kinds == kind) & (matches.scores >= threshold))
    lacking = FOREGROUND - verdicts.ious[chosen] if kind == MASK else np.ones(len(chosen))
    weights = matches.scores[chosen] * lacking
    order = np.lexsort((matches.found[chosen], matches.pictures[chosen], -weights))[:number]
    return [
        ErrorCase(
            kind=KINDS[kind],
            image_id=truth.known.ids[matches.pictures[place]],
            prediction=int(matches.found[place]),
            annotation=int(verdicts.partners[place]) if verdicts.partners[place] >= 0 else None,
            score=float(matches.scores[place]),
            iou=float(verdicts.ious[place]),
            weight=float(weight),
        )
        for place, weight in zip(chosen[order].tolist(), weights[order].tolist(), strict=True)
    ]
