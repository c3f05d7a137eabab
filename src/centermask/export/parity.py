"""Whether a file gives what the network gives in PyTorch: differences, limits, and the verdict."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from centermask.export.compare import NONE, Compared, Room, compare_exactly, compare_loosely, join
from centermask.export.graph import paste_softly
from centermask.export.pictures import Case
from centermask.images import Fitted, SoftInstances
from centermask.runtimes.exported import ExportedRuntime, Pasted
from centermask.runtimes.runtime import Runtime

LOW = 0.05
"""A second threshold for files of fewer bits, where the network's own leaves too few objects."""
TOGETHER = "all"
"""Name of the rows that join all pictures."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is called the same."""

    of: Literal["largest", "median"]
    """Which difference of all objects must stay within the limits."""
    boxes: float
    """Pixels."""
    scores: float
    masks: float
    """Probability."""
    full_masks: float
    """Probability: how far from one half it may be where a full mask says the other side."""
    unpaired: float
    """Which share of the objects may be found by one of the two only."""
    least: int
    """Of fewer objects none may stand alone (if the largest is judged); or nothing can be told (if the median is)."""


LIMITS: dict[str, Limits] = {
    # One in 50: where two boxes overlap exactly as far as suppression allows, rounding decides which are kept.
    "fp32": Limits(of="largest", boxes=0.01, scores=1e-4, masks=1e-3, full_masks=1e-3, unpaired=0.02, least=20),
    # Fewer bits change single objects at random: only the bulk tells a broken file from a rounded one. A wrong operator
    # or an overflow moves nearly all objects; what rounding costs in accuracy is measured by `centermask evaluate`.
    # Full masks are made of the file's own masks, in float32 whatever the file computes in, except in OpenVINO's bf16.
    "fp16": Limits(of="median", boxes=0.5, scores=0.01, masks=0.05, full_masks=1e-3, unpaired=0.1, least=10),
    "bf16": Limits(of="median", boxes=4.0, scores=0.04, masks=0.3, full_masks=0.3, unpaired=0.2, least=10),
    "int8": Limits(of="median", boxes=6.0, scores=0.1, masks=0.4, full_masks=1e-3, unpaired=0.2, least=10),
}


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Of a difference over objects; None where there are none, or no numbers."""

    largest: float | None
    median: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A picture, or all of them, at one threshold."""

    pictures: str
    threshold: float
    objects: int
    """All that at least one of the two finds."""
    missing: int
    """Objects that only PyTorch finds."""
    extra: int
    """Objects that only the file finds."""
    boxes: Spread
    """Pixels."""
    scores: Spread
    masks: Spread
    """Probability."""
    full_masks: Spread
    """The same; see ``Compared``."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What came out."""

    file: str
    format: str
    precision: str
    source: str
    """Of the pictures: ``drawn``, or where they lie."""
    limits: Limits
    rows: tuple[Row, ...]
    totals: tuple[Row, ...]
    """All pictures together, for each threshold."""
    full_masks: bool
    """Whether the file gives such, which are compared, too."""
    objects: int
    """How many objects the verdict rests on; 0: that of objects was not tested."""
    threshold: float
    """The score from which on these are counted."""
    tested: bool
    """Whether these were enough to tell anything."""
    faults: tuple[str, ...]
    """What is beyond the limits, a clause each."""
    versions: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether nothing is beyond the limits."""
        return not self.faults

    @property
    def warning(self) -> str:
        """What must be said where the pictures did not suffice; else empty."""
        if self.tested:
            return ""
        found = "finds nothing" if self.objects == 0 else f"finds only {self.objects} objects"
        return f"parity of objects was not tested: the network {found} on these pictures; give --pictures"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"passed": self.passed, "warning": self.warning}


class Answered(NamedTuple):
    """What a file finds in a picture."""

    found: SoftInstances
    full_masks: Float[np.ndarray, " found"]
    """See ``Compared``."""


def measure_parity(
    runtime: ExportedRuntime,
    reference: Runtime,
    cases: Iterable[Case],
    *,
    file: str,
    format: str,
    precision: str,
    source: str,
    threshold: float,
    room: Room,
    full_masks: bool,
) -> Parity:
    """Run a file and the network in PyTorch on the same pictures, and judge.

    Args:
        runtime: Of the file.
        reference: The network in float32.
        cases: The pictures; a batch at a time is in memory.
        file: What the file is called in the answer.
        format: Of the file.
        precision: Of the file; it decides the limits.
        source: Where the pictures come from.
        threshold: The network's own, of a score.
        room: How many objects a picture may have.
        full_masks: Whether the file gives masks of the input's size, too.
    """
    limits = LIMITS[precision]
    thresholds = (0.0, threshold) if limits.of == "largest" else (threshold, LOW)
    compared: dict[float, dict[str, Compared]] = {value: {} for value in thresholds}
    for case in cases:
        answer = _answerer(runtime, case.given, full_masks)
        for value, one in _compare(answer, reference(case.padded, 0.0), thresholds, limits, room):
            compared[value][case.name] = one
    totals = {value: join(list(parts.values())) for value, parts in compared.items()}
    judged = _judged(totals, limits)
    enough = limits.least if limits.of == "median" else 1
    most = max(judged, key=lambda value: judged[value].objects)
    objects = judged[most].objects
    return Parity(
        file=file,
        format=format,
        precision=precision,
        source=source,
        limits=limits,
        rows=tuple(_row(name, value, one) for value, parts in compared.items() for name, one in parts.items()),
        totals=tuple(_row(TOGETHER, value, one) for value, one in totals.items()),
        full_masks=full_masks,
        objects=objects,
        threshold=most,
        tested=objects >= enough,
        faults=tuple(fault for one in judged.values() if one.objects >= enough for fault in _faults(one, limits)),
        versions=_versions(),
    )


def _answerer(runtime: ExportedRuntime, given: Fitted, full_masks: bool) -> Callable[[float], list[Answered]]:
    """What gives a file's objects of some pictures, at a threshold."""
    if full_masks:
        return lambda threshold: [
            Answered(one.found, _misplaced(one, runtime.config.masks_fill_boxes))
            for one in runtime.with_full_masks(given, threshold)
        ]
    return lambda threshold: [Answered(found, NONE) for found in runtime(given, threshold)]


def _misplaced(pasted: Pasted, fill_boxes: bool) -> Float[np.ndarray, " instances"]:
    """How far from one half the probability of each object is where its full mask says the other side.

    The file's own masks are pasted, as PyTorch pastes: whether these and their boxes are right is seen without. One at
    a time is in memory.
    """
    found, full_masks = pasted
    boxes, masks = torch.from_numpy(found.boxes)[:, None], torch.from_numpy(found.masks)[:, None]
    worst = []
    for box, mask, whole in zip(boxes, masks, full_masks, strict=True):
        height, width = whole.shape
        soft = paste_softly(box, mask, height, width, fill_boxes)[0].numpy()
        worst.append(np.abs(soft - 0.5).max(initial=0.0, where=whole != (soft >= 0.5)))
    return np.array(worst, dtype=np.float32)


def _compare(
    answer: Callable[[float], list[Answered]],
    expected: Sequence[SoftInstances],
    thresholds: Sequence[float],
    limits: Limits,
    room: Room,
) -> Iterable[tuple[float, Compared]]:
    """The pictures of one run, at each threshold.

    What is judged to the last digit is run at each threshold, so that what the file leaves out by itself is seen, too.
    """
    exactly = limits.of == "largest"
    once = [] if exactly else answer(0.0)
    for threshold in thresholds:
        both = zip(expected, answer(threshold) if exactly else once, strict=True)
        yield threshold, join([_compare_picture(*pair, threshold, limits, room) for pair in both])


def _compare_picture(
    expected: SoftInstances, answered: Answered, threshold: float, limits: Limits, room: Room
) -> Compared:
    found, full_masks = answered
    if limits.of == "largest":
        return compare_exactly(expected, found, threshold, room, full_masks)
    return compare_loosely(expected, found, threshold, room, limits.scores, full_masks)


def _judged(totals: Mapping[float, Compared], limits: Limits) -> dict[float, Compared]:
    """What the verdict rests on: both thresholds, or the first one that leaves enough objects."""
    if limits.of == "largest":
        return dict(totals)
    enough = [value for value, one in totals.items() if one.objects >= limits.least]
    chosen = [*enough, list(totals)[-1]][0]
    return {chosen: totals[chosen]}


def _faults(total: Compared, limits: Limits) -> Iterable[str]:
    """What is beyond the limits; numbers that are none are beyond any."""
    allowed = limits.unpaired * total.objects if total.objects >= limits.least else 0.0
    if total.unpaired > max(allowed, 1.0 if total.objects >= limits.least else 0.0):
        yield f"{total.unpaired} of {total.objects} objects stand alone"
    of = np.max if limits.of == "largest" else np.median
    for name, values, limit, unit in (
        ("boxes", total.differences.boxes, limits.boxes, " px"),
        ("scores", total.differences.scores, limits.scores, ""),
        ("masks", total.differences.masks, limits.masks, ""),
        ("full masks", total.full_masks, limits.full_masks, ""),
    ):
        figure = float(of(values)) if len(values) else 0.0
        if not figure <= limit:
            yield f"{name} differ by {figure:.2g}{unit} where {limit:g}{unit} are allowed"


def _row(pictures: str, threshold: float, one: Compared) -> Row:
    return Row(
        pictures=pictures,
        threshold=threshold,
        objects=one.objects,
        missing=one.missing,
        extra=one.extra,
        boxes=_spread(one.differences.boxes),
        scores=_spread(one.differences.scores),
        masks=_spread(one.differences.masks),
        full_masks=_spread(one.full_masks),
    )


def _spread(values: Float[np.ndarray, " pairs"]) -> Spread:
    if not len(values) or not np.isfinite(values).all():
        return Spread(largest=None, median=None)
    return Spread(largest=float(values.max()), median=float(np.median(values)))


def _versions() -> dict[str, str]:
    """Of what could have had a part in it; JSON of a later day should tell."""
    names = ("centermask", "torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "openvino")
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
