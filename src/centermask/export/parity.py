"""Whether a file gives what the network gives in PyTorch: differences, limits, and the verdict."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from centermask.export.compare import Compared, compare_exactly, compare_loosely, join
from centermask.export.pictures import Case
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
    unpaired: float
    """Which share of the objects may be found by one of the two only."""
    least: int
    """Of fewer objects none may stand alone (if the largest is judged); or nothing can be told (if the median is)."""


LIMITS: dict[str, Limits] = {
    # One in 50: where two boxes overlap exactly as far as suppression allows, rounding decides which are kept.
    "fp32": Limits(of="largest", boxes=0.01, scores=1e-4, masks=1e-3, unpaired=0.02, least=20),
    # Fewer bits change single objects at random: only the bulk tells a broken file from a rounded one. A wrong operator
    # or an overflow moves nearly all objects; what rounding costs in accuracy is measured by `centermask evaluate`.
    "fp16": Limits(of="median", boxes=0.5, scores=0.01, masks=0.05, unpaired=0.1, least=10),
    "bf16": Limits(of="median", boxes=4.0, scores=0.04, masks=0.3, unpaired=0.2, least=10),
    "int8": Limits(of="median", boxes=6.0, scores=0.1, masks=0.4, unpaired=0.2, least=10),
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
    objects: int
    """How many objects the verdict rests on; 0: that of objects was not tested."""
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


def measure_parity(
    runtime: Runtime,
    reference: Runtime,
    cases: Iterable[Case],
    *,
    file: str,
    format: str,
    precision: str,
    source: str,
    threshold: float,
    places: int,
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
        places: How many objects a picture may have.
    """
    limits = LIMITS[precision]
    thresholds = (0.0, threshold) if limits.of == "largest" else (threshold, LOW)
    compared: dict[float, dict[str, Compared]] = {value: {} for value in thresholds}
    for case in cases:
        for value, one in _compare(runtime, reference, case, thresholds, limits, places):
            compared[value][case.name] = one
    totals = {value: join(list(parts.values())) for value, parts in compared.items()}
    judged = _judged(totals, limits)
    enough = limits.least if limits.of == "median" else 1
    objects = max((one.objects for one in judged), default=0)
    return Parity(
        file=file,
        format=format,
        precision=precision,
        source=source,
        limits=limits,
        rows=tuple(_row(name, value, one) for value, parts in compared.items() for name, one in parts.items()),
        totals=tuple(_row(TOGETHER, value, one) for value, one in totals.items()),
        objects=objects,
        tested=objects >= enough,
        faults=tuple(fault for one in judged if one.objects >= enough for fault in _faults(one, limits)),
        versions=_versions(),
    )


def _compare(
    runtime: Runtime, reference: Runtime, case: Case, thresholds: tuple[float, ...], limits: Limits, places: int
) -> Iterable[tuple[float, Compared]]:
    """The pictures of one run, at each threshold.

    What is judged to the last digit is run at each threshold, so that what the file leaves out by itself is seen, too.
    """
    expected = reference(case.padded, 0.0)
    found = [] if limits.of == "largest" else runtime(case.given, 0.0)
    for threshold in thresholds:
        if limits.of == "largest":
            given = runtime(case.given, threshold)
            parts = [
                compare_exactly(*both, threshold=threshold, places=places) for both in zip(expected, given, strict=True)
            ]
        else:
            parts = [compare_loosely(*both, threshold=threshold) for both in zip(expected, found, strict=True)]
        yield threshold, join(parts)


def _judged(totals: Mapping[float, Compared], limits: Limits) -> list[Compared]:
    """What the verdict rests on: both thresholds, or the first one that leaves enough objects."""
    if limits.of == "largest":
        return list(totals.values())
    enough = [one for one in totals.values() if one.objects >= limits.least]
    return enough[:1] or list(totals.values())[-1:]


def _faults(total: Compared, limits: Limits) -> Iterable[str]:
    """What is beyond the limits; numbers that are none are beyond any."""
    allowed = limits.unpaired * total.objects if total.objects >= limits.least else 0.0
    if total.unpaired > max(allowed, 1.0 if total.objects >= limits.least else 0.0):
        yield f"{total.unpaired} of {total.objects} objects stand alone"
    if not len(total.differences.boxes):
        return
    of = np.max if limits.of == "largest" else np.median
    for name, values, limit, unit in (
        ("boxes", total.differences.boxes, limits.boxes, " px"),
        ("scores", total.differences.scores, limits.scores, ""),
        ("masks", total.differences.masks, limits.masks, ""),
    ):
        figure = float(of(values))
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
