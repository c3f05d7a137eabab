"""The worst errors of each kind: the place in the picture, what is true there and what was predicted."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from centermask.evaluate.analysis import ErrorCase, ErrorKind
from centermask.ops import mask_warp
from centermask.report.layers import RGB, Layer, View, data_uri, jpeg
from centermask.report.sets import Album, Thing, predicted_thing, true_thing
from centermask.size import Size

KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)
SIDE = 220
"""Of a crop, in pixels."""
MARGIN = 0.45
"""Ground around the objects, as a share of their larger side."""
LEAST_SIDE = 40
"""Of the part that is shown, in pixels of the picture: a small object is shown with what surrounds it."""
TRUTH: RGB = (47, 128, 255)
PREDICTION: RGB = (255, 138, 0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One error, drawn."""

    kind: ErrorKind
    image: str
    layer: str
    size: Size
    said: str
    """In words: the class, or which class was taken for which."""
    score: float | None
    iou: float | None
    file_name: str


def draw_cases(album: Album, count: int) -> dict[ErrorKind, list[Case]]:
    """The first ``count`` cases of each kind, in their order; each picture is opened once."""
    cases = album.evaluated.analysis.cases
    chosen = [case for kind in KINDS for case in [one for one in cases if one.kind == kind][:count]]
    by_picture: defaultdict[int, list[int]] = defaultdict(list)
    for place, case in enumerate(chosen):
        if case.image_id in album.places:
            by_picture[case.image_id].append(place)
    drawn = {place: _draw(album, chosen[place]) for places in by_picture.values() for place in places}
    return {kind: [drawn[place] for place in sorted(drawn) if drawn[place].kind == kind] for kind in KINDS}


def _draw(album: Album, case: ErrorCase) -> Case:
    true, predicted = _things(album, case)
    view = look_at([thing for thing in (true, predicted) if thing], album.size(case.image_id))
    layer = Layer(view.size, [TRUTH, PREDICTION], fill=0.12, line=3)
    for colour, thing in enumerate((true, predicted)):
        if thing:
            layer.draw(view.place(mask_warp.from_rle(thing.code)), colour)
    if true:  # once more, so that the prediction's fill does not hide it
        layer.edge(view.place(mask_warp.from_rle(true.code)), 0)
    return Case(
        kind=case.kind,
        image=data_uri(jpeg(view.show(album.picture(case.image_id)))),
        layer=data_uri(layer.png()),
        size=view.size,
        said=_words(album, true, predicted),
        score=case.score if predicted else None,
        iou=case.iou if true and predicted else None,
        file_name=album.caption(case.image_id),
    )


def _things(album: Album, case: ErrorCase) -> tuple[Thing | None, Thing | None]:
    size = album.size(case.image_id)
    true = None if case.annotation is None else true_thing(album.annotations[case.annotation], size)
    predicted = None if case.prediction is None else predicted_thing(album.evaluated.rows[case.prediction], size)
    return true, predicted


def _words(album: Album, true: Thing | None, predicted: Thing | None) -> str:
    names = [album.names.get(thing.category_id, "?") for thing in (true, predicted) if thing]
    return " → ".join(dict.fromkeys(names))


def look_at(things: Sequence[Thing], size: Size) -> View:
    """A square view of some objects with the ground around them, moved into the picture; all of it if there is none."""
    bounds = np.array([mask_warp.bounds(mask_warp.from_rle(thing.code)) for thing in things]).reshape(-1, 4)
    bounds = bounds[(bounds[:, 2:] > bounds[:, :2]).all(axis=1)]
    if not len(bounds):
        bounds = np.array([[0.0, 0.0, size.width, size.height]])
    (left, top), (right, bottom) = bounds[:, :2].min(axis=0).tolist(), bounds[:, 2:].max(axis=0).tolist()
    side = max(LEAST_SIDE, math.ceil(max(right - left, bottom - top) * (1 + MARGIN)))
    width, height = min(side, size.width), min(side, size.height)
    x = int(np.clip((left + right - width) / 2, 0, size.width - width))
    y = int(np.clip((top + bottom - height) / 2, 0, size.height - height))
    scale = SIDE / max(width, height)
    return View(x, y, Size(height, width), Size(max(1, round(height * scale)), max(1, round(width * scale))))
