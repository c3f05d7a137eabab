"""Data set to batches: several sets with their own classes as one, workers, seeds.

Whatever varies for a picture depends on the seed of the run, the epoch and the picture alone: not on the worker that
prepares it, nor on what was prepared before. A run can be taken up at any step.
"""

import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from centermask.data.augment import Augmentation, Example, augment
from centermask.data.sample import SampleSet
from centermask.errors import UserError
from centermask.size import Size, pad_size
from centermask.structures import GroundTruth, ImageBatch

Batch = tuple[ImageBatch, list[GroundTruth]]
WINDOW = 16
"""Batches among which pictures of like shape are brought together."""


class Draw(NamedTuple):
    """Which picture, in which epoch's way, and how large."""

    picture: int
    epoch: int
    short_side: int


class TrainingSet(Dataset[Example]):
    """Several annotated sets in one line, augmented.

    Args:
        sets: The sets; each may annotate other classes.
        class_names: The classes of the run. What a set does not annotate is not taught as background there.
        plan: How pictures vary.
        seed: Of the run.

    """

    def __init__(self, sets: Sequence[SampleSet], class_names: Sequence[str], plan: Augmentation, seed: int) -> None:
        self.sets, self.plan, self.seed = list(sets), plan, seed
        self.ends = np.cumsum([len(one) for one in sets])
        labels = {name: label for label, name in enumerate(class_names)}
        self.labels = [torch.tensor([labels[name] for name in one.class_names], dtype=torch.int64) for one in sets]
        self.annotated = [_marks(own, len(class_names)) for own in self.labels]
        sizes = [one.size(i) for one in sets for i in range(len(one))]
        self.aspects = np.array([size.width / size.height for size in sizes])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, draw: Draw) -> Example:
        which = int(np.searchsorted(self.ends, draw.picture, side="right"))
        sample = self.sets[which][draw.picture - (int(self.ends[which - 1]) if which else 0)]
        labels = self.labels[which][torch.from_numpy(sample.labels)]
        rng = np.random.default_rng((self.seed, draw.epoch, draw.picture))
        return augment(sample, labels, self.annotated[which], self.plan, draw.short_side, rng)


class EpochSampler(Sampler[list[Draw]]):
    """The batches of one process in one epoch, as seed and epoch decide.

    Pictures are shuffled; then, within windows of some batches, those of like shape come together, and each batch
    draws one short side: little of a batch is padding. The last batch is filled up from the epoch's first pictures, so
    that every process sees the same number of batches.
    """

    def __init__(self, training_set: TrainingSet, plan: "BatchPlan", epoch: int, first_batch: int = 0) -> None:
        self.plan, self.epoch, self.first_batch = plan, epoch, first_batch
        self.aspects, self.short_sides = training_set.aspects, training_set.plan.short_sides

    def __len__(self) -> int:
        return self.plan.batches - self.first_batch

    def __iter__(self) -> Iterator[list[Draw]]:
        plan, rng = self.plan, np.random.default_rng((self.plan.seed, self.epoch))
        order = np.resize(rng.permutation(plan.pictures), plan.batches * plan.batch)
        windows = np.array_split(order, range(plan.batch * WINDOW, len(order), plan.batch * WINDOW))
        alike = [window[np.argsort(self.aspects[window], kind="stable")] for window in windows]
        batches = np.concatenate(alike).reshape(plan.batches, plan.processes, -1)
        sides = rng.integers(*self.short_sides, size=plan.batches, endpoint=True)
        turn = rng.permutation(plan.batches)
        for batch, side in zip(batches[turn][self.first_batch :], sides[self.first_batch :], strict=True):
            yield [Draw(int(picture), self.epoch, int(side)) for picture in batch[plan.process]]


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
) -> Iterator[Batch]:
    """The batches of an epoch, prepared by workers, from ``first_batch`` on.

    Raises:
        UserError: a picture cannot be used.
    """
    loader: Iterable[Batch | UserError] = DataLoader(
        _Careful(training_set),
        batch_sampler=EpochSampler(training_set, plan, epoch, first_batch),
        collate_fn=_collate_or_fault,
        num_workers=workers,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # its own: a resumed epoch draws no number that an uninterrupted one does not
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


class _Careful(Dataset["Example | UserError"]):
    """A training set whose faults come back as values: raised in a worker, they would arrive as a traceback."""

    def __init__(self, training_set: TrainingSet) -> None:
        self.training_set = training_set

    def __getitem__(self, draw: Draw) -> Example | UserError:
        try:
            return self.training_set[draw]
        except UserError as error:
            return error


def _collate_or_fault(examples: Sequence[Example | UserError]) -> Batch | UserError:
    fault = next((example for example in examples if isinstance(example, UserError)), None)
    return fault or collate([example for example in examples if not isinstance(example, UserError)])


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
