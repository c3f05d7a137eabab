"""The page of one evaluation, of weights on one or several sets."""

import math
from collections.abc import Sequence
from pathlib import Path

from centermask.report.fixed import Predicted
from centermask.report.page import fixed_pictures, set_page, write_page
from centermask.report.sets import Album, EvaluatedSet


def write_evaluation(path: Path, evaluated: Sequence[EvaluatedSet], *, title: str) -> None:
    """Write what an evaluation found as one HTML file.

    Raises:
        UserError: the file cannot be written.
    """
    albums = [Album(one) for one in evaluated]
    pages = []
    for number, album in enumerate(albums, start=1):
        shown = fixed_pictures(album, len(albums))
        now = predicted_now(album, shown, epoch=math.nan)
        pages.append(set_page(number, album, [now], sets=len(albums)))
    write_page(path, "evaluation.html.j2", title=title, sets=pages)


def predicted_now(album: Album, image_ids: Sequence[int], *, epoch: float) -> Predicted:
    """What an evaluation predicted on some pictures."""
    one = album.evaluated
    return Predicted(
        epoch=epoch, mask_ap=one.evaluation.mask.ap, threshold=one.analysis.threshold, things=album.predicted(image_ids)
    )
