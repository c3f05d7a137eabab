"""Data set to batches: several sets with their own classes as one, workers, seeds.

Whatever varies for a picture depends on the seed of the run, the epoch and the picture alone: not on the worker that
prepares it, nor on what was prepared before. A run can be taken up at any step.
"""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from centermask.data.augment import Augmentation, Example, augment
from centermask.data.sample import SampleSet
from centermask.size import Size, pad_size
from centermask.structures import GroundTruth, ImageBatch

Batch = tuple[ImageBatch, list[GroundTruth]]


class TrainingSet(Dataset[Example]):
    """Several annotated sets in one line, augmented.

    Args:
        sets: The sets; each may annotate other classes.
        class_names: The classes of the run. What a set does not annotate is not taught as background there.
        plan: How pictures vary.
        seed: Of the run.

    An index counts on through the epochs: index ``i + epoch · len`` is picture ``i``, seen in that epoch's way.
    """

    def __init__(self, sets: Sequence[SampleSet], class_names: Sequence[str], plan: Augmentation, seed: int) -> None:
        self.sets, self.plan, self.seed = list(sets), plan, seed
        self.ends = np.cumsum([len(one) for one in sets])
        labels = {name: label for label, name in enumerate(class_names)}
        self.labels = [torch.tensor([labels[name] for name in one.class_names]) for one in sets]
        self.annotated = [_marks(own, len(class_names)) for own in self.labels]

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Example:
        which = int(np.searchsorted(self.ends, index % len(self), side="right"))
        sample = self.sets[which][index % len(self) - (int(self.ends[which - 1]) if which else 0)]
        labels = self.labels[which][torch.from_numpy(sample.labels)]
        rng = np.random.default_rng((self.seed, index))
        return augment(sample, labels, self.annotated[which], self.plan, rng)


class EpochSampler(Sampler[list[int]]):
    """The batches of one process in one epoch, in the order that seed and epoch decide.

    The last batch is filled up from the epoch's first pictures, so that every process sees the same number of batches.
    """

    def __init__(self, plan: "BatchPlan", epoch: int, first_batch: int = 0) -> None:
        self.plan, self.epoch, self.first_batch = plan, epoch, first_batch

    def __len__(self) -> int:
        return self.plan.batches - self.first_batch

    def __iter__(self) -> Iterator[list[int]]:
        plan = self.plan
        order = np.random.default_rng((plan.seed, self.epoch)).permutation(plan.pictures)
        order = np.resize(order, plan.batches * plan.batch) + self.epoch * plan.pictures
        for batch in order.reshape(plan.batches, plan.processes, -1)[self.first_batch :, plan.process]:
            yield batch.tolist()


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How an epoch is divided."""

    pictures: int
    batch: int
    """Pictures of a batch over all processes; a multiple of ``processes``."""
    seed: int
    processes: int = 1
    process: int = 0

    @property
    def batches(self) -> int:
        """Of an epoch."""
        return -(-self.pictures // self.batch)


def load_epoch(
    training_set: TrainingSet, plan: BatchPlan, epoch: int, *, first_batch: int = 0, workers: int = 0
) -> DataLoader[Batch]:
    """The batches of an epoch, prepared by workers, from ``first_batch`` on."""
    return DataLoader(
        training_set,
        batch_sampler=EpochSampler(plan, epoch, first_batch),
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=_start_worker,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )


def collate(examples: Sequence[Example]) -> Batch:
    """Put examples side by side on planes of one size, a multiple of 32."""
    sizes = [Size(*example.pixels.shape[1:]) for example in examples]
    plane = pad_size(sizes, divisor=32)
    pixels = torch.zeros(len(examples), 3, *plane, dtype=torch.uint8)
    for place, example, size in zip(pixels, examples, sizes, strict=True):
        place[:, : size.height, : size.width] = example.pixels
    return ImageBatch(pixels, torch.tensor(sizes)), [example.truth for example in examples]


def _marks(labels: Tensor, classes: int) -> Tensor:
    marks = torch.zeros(classes, dtype=torch.bool)
    marks[labels] = True
    return marks


def _start_worker(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, which ends its workers itself
    torch.set_num_threads(1)
