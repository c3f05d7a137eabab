"""Objects followed from picture to picture: which of now is which of before, by the overlap of their masks."""

from dataclasses import dataclass, replace

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from jaxtyping import Float, Int64

from centermask.errors import UserError
from centermask.instances import Instances
from centermask.ops import mask_warp
from centermask.ops.mask_warp import Bitmap
from centermask.ops.rle import RLE
from centermask.size import Size

Ids = Int64[np.ndarray, " instances"]
Shift = Float[np.ndarray, "2"]
"""x, y in pixels."""


@dataclass(frozen=True)
class Track:
    """What is known of an object that was seen before."""

    id: int
    label: int
    code: RLE
    """Its mask when it was last seen."""
    centre: Shift
    """Of its box then, in pixels."""
    velocity: Shift
    """Pixels a picture."""
    unseen: int = 0
    """Pictures since then in which it was not found."""


class Tracker:
    """Gives each object a number that it keeps from picture to picture.

    An object is the one of before whose mask, moved on as it moved last, overlaps most with its own; both must be of
    one class. What matches none gets the next number, from 1 on; no number is given twice.

    >>> from centermask import Predictor                         # doctest: +SKIP
    >>> predict, tracker = Predictor("plus-nano"), Tracker()     # doctest: +SKIP
    >>> for picture in pictures:                                 # doctest: +SKIP
    ...     ids = tracker.update(predict(picture))               # doctest: +SKIP

    Args:
        min_iou: Masks that overlap less (intersection over union, 0 to 1) are not of one object.
        patience: For so many pictures an object may be missing and be known again.

    Raises:
        UserError: an argument is out of its range.
    """

    def __init__(self, *, min_iou: float = 0.2, patience: int = 15) -> None:
        if not 0 < min_iou <= 1:
            raise UserError(f"min_iou must lie in (0, 1], not {min_iou}")
        if patience < 0:
            raise UserError(f"patience must be 0 or more, not {patience}")
        self.min_iou, self.patience = min_iou, patience
        self._tracks: list[Track] = []
        self._size = Size(0, 0)
        self._given = 0

    @property
    def count(self) -> int:
        """How many objects were told apart so far."""
        return self._given

    def update(self, instances: Instances) -> Ids:
        """The number of each object of the next picture, in the order of ``instances``.

        The order in which they come does not matter. After a picture of another size all objects are new.
        """
        if instances.size != self._size:
            self._tracks, self._size = [], instances.size
        order = _best_first(instances)
        ids = np.zeros(len(instances), dtype=np.int64)
        ids[order] = self._follow(instances[order])
        return ids

    def _follow(self, instances: Instances) -> Ids:
        pairs = match(_overlaps(self._tracks, instances), self.min_iou)
        seen = {now: _seen(self._tracks[before], instances, now) for before, now in pairs}
        missed = [track for i, track in enumerate(self._tracks) if i not in {before for before, _ in pairs}]
        current = [seen.get(i) or self._begin(instances, i) for i in range(len(instances))]
        waiting = [replace(track, unseen=track.unseen + 1) for track in missed if track.unseen < self.patience]
        self._tracks = [*current, *waiting]
        return np.array([track.id for track in current], dtype=np.int64)

    def _begin(self, instances: Instances, i: int) -> Track:
        self._given += 1
        return Track(self._given, int(instances.labels[i]), instances.rle[i], _centre(instances, i), np.zeros(2))


def match(overlaps: Float[np.ndarray, "before now"], least: float) -> list[tuple[int, int]]:
    """Pairs (before, now), each row and column once: the largest overlap first, as long as it is ``least`` or more.

    >>> match(np.array([[0.9, 0.8], [0.8, 0.1]]), least=0.2)
    [(0, 0)]
    """
    left = overlaps.copy()
    pairs = []
    while left.size and left.max() >= least:
        before, now = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
        pairs.append((before, now))
        left[before], left[:, now] = -1, -1
    return pairs


def _overlaps(tracks: list[Track], instances: Instances) -> Float[np.ndarray, "tracks instances"]:
    """Mask IoU of where each track should be by now with what was found; -1 for different classes."""
    if not tracks or not len(instances):
        return np.zeros((len(tracks), len(instances)))
    expected = [_expected(track, instances.size) for track in tracks]
    ious = np.asarray(coco_mask.iou(expected, list(instances.rle), [0] * len(instances)), dtype=np.float64)
    labels = np.array([track.label for track in tracks])
    return np.where(labels[:, None] == instances.labels[None, :], ious, -1.0)


def _expected(track: Track, size: Size) -> RLE:
    """The last mask, moved on with the last velocity and cut to the picture."""
    x, y = (int(step) for step in np.rint(track.velocity * (track.unseen + 1)))
    if not x and not y:
        return track.code
    return mask_warp.to_rle(_moved(mask_warp.from_rle(track.code), x, y, size), size)


def _moved(mask: Bitmap, x: int, y: int, size: Size) -> Bitmap:
    pixels, left, top = mask.pixels, mask.left + x, mask.top + y
    inside = pixels[max(0, -top) : max(0, size.height - top), max(0, -left) : max(0, size.width - left)]
    return Bitmap(inside, max(0, left), max(0, top))


def _seen(track: Track, instances: Instances, i: int) -> Track:
    """The track after its object was found again; half of a new velocity is the old one, against boxes that tremble."""
    centre = _centre(instances, i)
    velocity = (centre - track.centre) / (track.unseen + 1)
    steady = velocity if not track.velocity.any() else (velocity + track.velocity) / 2
    return replace(track, code=instances.rle[i], centre=centre, velocity=steady, unseen=0)


def _centre(instances: Instances, i: int) -> Shift:
    box = instances.boxes[i].astype(np.float64)
    return (box[:2] + box[2:]) / 2


def _best_first(instances: Instances) -> Int64[np.ndarray, " instances"]:
    """The best score first, and what scores alike from the left: an order that does not depend on the given one."""
    return np.lexsort((*instances.boxes.T[::-1], -instances.scores))
