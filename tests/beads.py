"""A network by hand that sees exactly what is there: each bright blob is an object, as far as the picture shows it."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from centermask.images import Fitted, SoftInstances
from centermask.ops.mask_warp import Bitmap, resample
from centermask.size import Size

SIDE = 96
"""Of the masks: as fine as the pixels of the objects that the tests draw."""


@dataclass(frozen=True)
class BeadConfig:
    """Red, green and blue beads."""

    class_names: tuple[str, ...] = ("red", "green", "blue")
    category_ids: tuple[int, ...] = (7, 3, 12)
    test_short_side: int = 128
    test_long_side: int = 256
    score_threshold: float = 0.3
    max_detections: int = 100
    masks_fill_boxes: bool = False


class Beads:
    """A ``Runtime``: an object is what is connected and of one brightness, from 128 on, in the channel of its class.

    Its score is its brightness over 255. Scaled pictures have softer edges, so that there an object is taken whole from
    128 on, whatever its brightness (``exact=False``).
    """

    device = "cpu"
    plane: Size | None = None

    def __init__(self, *, exact: bool = True) -> None:
        self.config = BeadConfig()
        self.exact = exact
        self.runs: list[tuple[int, ...]] = []

    def keep_detections(self, count: int) -> None:
        pass

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        self.runs.append(fitted.pixels.shape)
        return [
            self._find(pixels[:, :height, :width])
            for pixels, (height, width) in zip(fitted.pixels, fitted.sizes.tolist(), strict=True)
        ]

    def _find(self, pixels: np.ndarray) -> SoftInstances:
        beads = [(label, *bead) for label, plane in enumerate(pixels) for bead in self._beads(plane)]
        return SoftInstances(
            boxes=np.array([box for _, box, _, _ in beads], dtype=np.float32).reshape(-1, 4),
            scores=np.array([score for _, _, score, _ in beads], dtype=np.float32),
            box_scores=np.array([score for _, _, score, _ in beads], dtype=np.float32),
            labels=np.array([label for label, _, _, _ in beads], dtype=np.int64),
            masks=np.array([mask for _, _, _, mask in beads], dtype=np.float32).reshape(-1, SIDE, SIDE),
        )

    def _beads(self, plane: np.ndarray) -> list[tuple[list[int], float, np.ndarray]]:
        kinds = np.unique(plane[plane >= 128]) if self.exact else np.array([128])
        found = []
        for kind in kinds:
            lit = plane == kind if self.exact else plane >= kind
            numbered, _ = ndimage.label(lit)
            for number, (rows, columns) in enumerate(ndimage.find_objects(numbered), start=1):
                pixels = numbered[rows, columns] == number
                box = [columns.start, rows.start, columns.stop, rows.stop]
                corners = np.array([0.0, 0.0, pixels.shape[1], pixels.shape[0]])
                mask = resample(Bitmap(pixels, 0, 0), corners, Size(SIDE, SIDE))
                found.append((box, float(plane[rows, columns][pixels].max()) / 255, mask))
        return found
