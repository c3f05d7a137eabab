"""Truth, prediction and difference of a few pictures of a set, always the same ones, evaluation after evaluation."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from centermask.ops import mask_warp
from centermask.ops.mask_warp import Bitmap
from centermask.report.layers import RGB, Layer, View, data_uri, jpeg, whole
from centermask.report.pairs import Pairs, outside_crowds, pair
from centermask.report.sets import Album, Thing
from centermask.size import Size
from centermask.visualize import instance_colours

LONG_SIDE = 480
RIGHT, FALSE, MISSED = (0, 178, 122), (255, 74, 46), (47, 128, 255)
NOTHING: RGB = (255, 255, 255)
"""The colour of a prediction that stands for no true object."""


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What was predicted on some pictures at one time; ``step`` and ``epoch`` are those of the training run."""

    epoch: float
    mask_ap: float
    threshold: float
    things: Mapping[int, Sequence[Thing]]
    """By picture."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A prediction drawn; layers are addresses that hold pictures."""

    prediction: str
    difference: str
    true: int
    found: int
    false: int


@dataclass(frozen=True, kw_only=True)
class FixedPicture:
    """A picture, its truth, and what was predicted on it over time."""

    file_name: str
    size: Size
    """Of the drawings."""
    image: str
    truth: str
    classes: str
    """How many objects of each class are true."""
    drawn: tuple[Drawn | None, ...]
    """For each time, in order; nothing where no prediction was kept."""


def choose(album: Album, count: int) -> list[int]:
    """The pictures with the most objects, and of as many classes as may be: always the same ones for the same set.

    An object counts less the more pictures already show its class, and the hundredth of a picture less than the first.
    """
    own: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for annotation in album.annotations:
        if not annotation.get("iscrowd", 0):
            own[annotation["image_id"]][annotation["category_id"]] += 1
    shown: Counter[int] = Counter()
    chosen: list[int] = []
    while len(chosen) < min(count, len(own)):
        rest = sorted(own.keys() - set(chosen))
        best = max(rest, key=lambda image_id: sum(sqrt(n) / (1 + shown[c]) for c, n in own[image_id].items()))
        chosen.append(best)
        shown.update(own[best].keys())
    return chosen or list(album.places)[:count]


def draw_fixed(album: Album, image_ids: Sequence[int], times: Sequence[Predicted]) -> list[FixedPicture]:
    """Draw the chosen pictures."""
    return [_draw_picture(album, image_id, times) for image_id in image_ids]


def _draw_picture(album: Album, image_id: int, times: Sequence[Predicted]) -> FixedPicture:
    view = whole(album.size(image_id), LONG_SIDE)
    true, crowds = album.true_things(image_id), album.true_things(image_id, crowds=True)
    counts = Counter(album.names[thing.category_id] for thing in true)
    drawn = [
        draw_prediction(view, true, outside_crowds(time.things[image_id], crowds)) if image_id in time.things else None
        for time in times
    ]
    return FixedPicture(
        file_name=album.caption(image_id),
        size=view.size,
        image=data_uri(jpeg(view.show(album.picture(image_id)))),
        truth=data_uri(draw_true(view, true)),
        classes=", ".join(f"{count} × {name}" for name, count in counts.most_common(4)) or "no object",
        drawn=tuple(drawn),
    )


def palette(count: int) -> list[RGB]:
    """A colour for each true object of a picture; the last one is for what is none."""
    colours = [(int(r), int(g), int(b)) for r, g, b in instance_colours(min(max(count, 1), 119))]
    return [*colours, NOTHING]


def draw_true(view: View, true: Sequence[Thing]) -> bytes:
    """True objects, each in its colour, small ones over large ones."""
    return _draw_things(view, true, list(range(len(true))), len(true))


def draw_prediction(view: View, true: Sequence[Thing], predicted: Sequence[Thing]) -> Drawn:
    """Predictions in the colours of the true objects that they stand for, and pixel by pixel what is right."""
    pairs = pair(true, predicted)
    prediction = _draw_things(view, predicted, list(pairs.partner), len(true))
    return Drawn(
        prediction=data_uri(prediction),
        difference=data_uri(_draw_difference(view, true, predicted, pairs)),
        true=len(true),
        found=pairs.found,
        false=len(predicted) - pairs.found,
    )


def _draw_things(view: View, things: Sequence[Thing], owners: Sequence[int | None], true: int) -> bytes:
    colours = palette(true)
    layer = Layer(view.size, colours)
    bitmaps = [view.place(mask_warp.from_rle(thing.code)) for thing in things]
    for i in np.argsort([-int(bitmap.pixels.sum()) for bitmap in bitmaps], kind="stable"):
        owner = owners[i]
        layer.draw(bitmaps[i], len(colours) - 1 if owner is None else owner % (len(colours) - 1))
    return layer.png()


def _draw_difference(view: View, true: Sequence[Thing], predicted: Sequence[Thing], pairs: Pairs) -> bytes:
    """Right is what a prediction shares with its own object; all else that is predicted is false, the rest missed."""
    right, said, is_true = (np.zeros(view.size, dtype=bool) for _ in range(3))
    truths = [view.place(mask_warp.from_rle(thing.code)) for thing in true]
    for bitmap in truths:
        _window(is_true, bitmap)[...] |= bitmap.pixels
    for thing, partner in zip(predicted, pairs.partner, strict=True):
        bitmap = view.place(mask_warp.from_rle(thing.code))
        _window(said, bitmap)[...] |= bitmap.pixels
        if partner is not None:
            own = np.zeros(view.size, dtype=bool)
            _window(own, truths[partner])[...] = truths[partner].pixels
            _window(right, bitmap)[...] |= bitmap.pixels & _window(own, bitmap)
    layer = Layer(view.size, [RIGHT, FALSE, MISSED], fill=0.6)
    layer.paint(right, 0)
    layer.paint(said & ~right, 1)
    layer.paint(is_true & ~said, 2)
    return layer.png()


def _window(plane: np.ndarray, bitmap: Bitmap) -> np.ndarray:
    """The part of a plane that a bitmap covers, to be read and written."""
    height, width = bitmap.pixels.shape
    return plane[bitmap.top : bitmap.top + height, bitmap.left : bitmap.left + width]
