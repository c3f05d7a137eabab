"""A network between the door in and the door out, clocked at every prediction."""

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from centermask.bench.stages import Probe, Shares
from centermask.images import Fitted, SoftInstances
from centermask.instances import Instances
from centermask.predict import Predictor
from centermask.runtimes.runtime import Runtime, SegmenterConfig
from centermask.size import Size

Picture = UInt8[np.ndarray, "height width 3"]
Batch = Sequence[UInt8[np.ndarray, "_ _ 3"]]


class Pass(NamedTuple):
    """What one prediction took, in seconds, and what it found."""

    fit: float
    """Pictures to pixels as the network takes them."""
    network: float
    """Pixels to soft masks."""
    restore: float
    """Soft masks to run-length coded ones in the pictures' own pixels."""
    objects: int
    """In all pictures of the batch."""

    @property
    def seconds(self) -> float:
        """From pictures to instances."""
        return self.fit + self.network + self.restore


class Timing(NamedTuple):
    """What the predictions of a case took."""

    passes: tuple[Pass, ...]
    shares: Shares | None
    """Of the network's time; None where they could not be told."""

    @property
    def median(self) -> float:
        """Seconds of a batch."""
        return statistics.median(one.seconds for one in self.passes)

    @property
    def p95(self) -> float:
        """Seconds that 95 of 100 batches stay under."""
        return float(np.percentile([one.seconds for one in self.passes], 95))

    @property
    def middle(self) -> Pass:
        """The median of each part."""
        fit, network, restore, objects = (statistics.median(values) for values in zip(*self.passes, strict=True))
        return Pass(fit, network, restore, round(objects))


class Case:
    """Predicts batches in turn, and remembers what each took.

    Args:
        runtime: The network.
        probe: Clocks its parts, in a run of its own behind each prediction; None: they are not told.
        batches: Pictures, decoded.
        short_side, resize, score_threshold: As for ``Predictor``.
    """

    def __init__(
        self,
        runtime: Runtime,
        probe: Probe | None,
        batches: Sequence[Batch],
        *,
        short_side: int | None = None,
        resize: bool = True,
        score_threshold: float | None = None,
    ) -> None:
        self._watched = _Watched(runtime)
        self._predictor = Predictor(
            self._watched, short_side=short_side, resize=resize, score_threshold=score_threshold
        )
        self._probe = probe
        self._batches = batches
        self._passes: list[Pass] = []

    def warm_up(self) -> None:
        """Predict every batch once, uncounted: engines prepare themselves for each new size."""
        for place in range(max(2, len(self._batches))):
            self.go(place)
        self._passes.clear()
        if self._probe is not None:
            self._probe.forget()

    def go(self, round_: int) -> list[Instances]:
        """Predict the batch whose turn it is, and look inside the network while it does the same again."""
        began = time.perf_counter()
        found = self._predictor.batch(self._batches[round_ % len(self._batches)])
        ended = time.perf_counter()
        start, stop = self._watched.span
        self._passes.append(Pass(start - began, stop - start, ended - stop, sum(map(len, found))))
        if self._probe is not None:
            self._probe.run(self._watched.fitted, self._predictor.score_threshold)
        return found

    def timing(self) -> Timing:
        """Of all predictions since the warm-up. Ends the case: none may follow."""
        return Timing(tuple(self._passes), None if self._probe is None else self._probe.shares())


class _Watched:
    """A runtime that remembers when it last ran, and on what."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.config: SegmenterConfig = runtime.config
        self.device: str = runtime.device
        self.plane: Size | None = runtime.plane
        self.span = (0.0, 0.0)

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        self.fitted = fitted
        began = time.perf_counter()
        found = self._runtime(fitted, score_threshold)
        self.span = (began, time.perf_counter())
        return found

    def keep_detections(self, count: int) -> None:
        self._runtime.keep_detections(count)
