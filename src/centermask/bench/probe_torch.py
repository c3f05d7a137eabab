"""Clock the parts of a network in PyTorch."""

import itertools
import statistics
import time

import torch
from torch import Tensor

from centermask.bench.clock import wait
from centermask.bench.stages import STAGES, Shares, to_shares
from centermask.images import Fitted
from centermask.model.centermask import CenterMask
from centermask.model.detection.decode import decode_boxes
from centermask.model.masks.decode import decode_masks
from centermask.runtimes.runtime import Runtime
from centermask.runtimes.torch import TorchRuntime
from centermask.structures import ImageBatch, RoIs


class TorchProbe:
    """Takes the steps of ``CenterMask.find`` with a clock between them; a ``Probe``."""

    def __init__(self, network: CenterMask, device: torch.device) -> None:
        self.network, self.device = network, device
        self._runs: list[tuple[float, ...]] = []

    @classmethod
    def of(cls, runtime: Runtime) -> "TorchProbe | None":
        """The probe of a runtime whose network is ours; None for another one."""
        match runtime:
            case TorchRuntime(network=CenterMask() as network):
                return cls(network, torch.device(runtime.device))
            case _:
                return None

    @torch.inference_mode()
    def run(self, fitted: Fitted, score_threshold: float) -> None:
        """See ``Probe``."""
        network = self.network
        times = [now()]
        batch = ImageBatch(torch.from_numpy(fitted.pixels), torch.from_numpy(fitted.sizes)).to(self.device)
        features = network.features(batch)
        predicted = network.detection_head(features.detection)
        times.append(now())
        found = decode_boxes(predicted, network.locations(features), network.decoding, score_threshold)
        times.append(now())
        said = network.masks(features.masks, RoIs(found.boxes, found.images, found.labels), batch.sizes)
        _answer(*decode_masks(said.logits, said.ious, found, network.mask_margin))
        times.append(now())
        self._runs.append(tuple(end - start for start, end in itertools.pairwise(times)))

    def forget(self) -> None:
        """See ``Probe``."""
        self._runs.clear()

    def shares(self) -> Shares:
        """See ``Probe``."""
        middle = map(statistics.median, zip(*self._runs, strict=True))
        return to_shares(dict(zip(STAGES, middle, strict=True)))


def _answer(*fields: Tensor) -> None:
    for field in fields:
        field.cpu()


def now() -> float:
    """Seconds, once all that was started is done."""
    wait()
    return time.perf_counter()
