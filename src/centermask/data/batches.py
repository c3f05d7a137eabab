"""Data set to batches: several sets with their own classes as one, workers, seeds.

Whatever varies for a picture depends on the seed of the run, the epoch and the picture alone: not on the worker that
prepares it, nor on what was prepared before. A run can be taken up at any step.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from centermask.data.augment import Augmentation, Example, augment
from centermask.data.copy_paste import paste_objects
from centermask.data.mosaic import mosaic
from centermask.data.sample import Sample, SampleSet
from centermask.errors import UserError
from centermask.size import Size, fit_size, pad_size
from centermask.structures import GroundTruth, ImageBatch

Batch = tuple[ImageBatch, list[GroundTruth]]
DIE_WITH_PARENT = 1
"""Linux's PR_SET_PDEATHSIG."""
WINDOW = 16
"""Batches among which pictures of like shape are brought together."""


class Draw(NamedTuple):
    """Which picture, in which epoch's way, and how large."""

    picture: int
    epoch: int
    short_side: int
    plane: Size = Size(1, 1)
    """What the whole batch needs, over all processes: no padding then depends on how it is divided."""


class TrainingSet(Dataset[Example]):
    """Several annotated sets in one line, augmented.

    Args:
        sets: The sets; each may annotate other classes.
        class_names: The classes of the run. What a set does not annotate is not taught as background there.
        plan: How pictures vary.
        seed: Of the run.
        plain_from: The epoch from which copy-paste and mosaic are off, so that the last pictures are natural ones.
    """

    def __init__(
        self,
        sets: Sequence[SampleSet],
        class_names: Sequence[str],
        plan: Augmentation,
        seed: int,
        plain_from: int | None = None,
    ) -> None:
        self.sets, self.plan, self.seed, self.plain_from = list(sets), plan, seed, plain_from
        self.ends = np.cumsum([len(one) for one in sets])
        labels = {name: label for label, name in enumerate(class_names)}
        self.labels = [torch.tensor([labels[name] for name in one.class_names], dtype=torch.int64) for one in sets]
        self.annotated = [_marks(own, len(class_names)) for own in self.labels]
        sizes = [one.size(i) for one in sets for i in range(len(one))]
        self.sizes = np.array(sizes, dtype=np.int32).reshape(-1, 2)
        self.aspects = self.sizes[:, 1] / np.maximum(self.sizes[:, 0], 1)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, draw: Draw) -> Example:
        which = int(np.searchsorted(self.ends, draw.picture, side="right"))
        first = draw.picture - (int(self.ends[which - 1]) if which else 0)
        plain = self.plain_from is not None and draw.epoch >= self.plain_from
        plan, side = self.plan.plain if plain else self.plan, draw.short_side
        rng = np.random.default_rng((self.seed, draw.epoch, draw.picture))
        if _happens(plan.mosaic, rng):
            four = [first, *(self._another(which, first, rng) for _ in range(3))]
            example = mosaic([self._read(which, i) for i in four], self.annotated[which], plan, side, rng)
        else:
            example = augment(*self._read(which, first), self.annotated[which], plan, side, rng)
        if _happens(plan.copy_paste, rng):
            other = self._read(which, self._another(which, first, rng))
            example = paste_objects(example, augment(*other, self.annotated[which], plan, side, rng), rng)
        return example._replace(plane=draw.plane)

    def plane(self, pictures: Sequence[int], short_side: int) -> Size:
        """What some pictures need side by side: a multiple of 32."""
        fitted = [fit_size(Size(*self.sizes[i].tolist()), short_side, self.plan.long_side) for i in pictures]
        return pad_size(fitted, divisor=32)

    def _read(self, which: int, index: int) -> tuple[Sample, Tensor]:
        """A picture of one of the sets, and the run's labels of its objects."""
        sample = self.sets[which][index]
        return sample, self.labels[which][torch.from_numpy(sample.labels)]

    def _another(self, which: int, index: int, rng: np.random.Generator) -> int:
        """Some other picture of the same set, which annotates the same classes; the picture itself if it is alone."""
        count = len(self.sets[which])
        return (index + int(rng.integers(1, count))) % count if count > 1 else index


def _happens(probability: float, rng: np.random.Generator) -> bool:
    """Draw whether; no number is drawn for what never happens."""
    return probability > 0 and rng.random() < probability


class EpochSampler(Sampler[list[Draw]]):
    """The batches of one process in one epoch, as seed and epoch decide.

    Pictures are shuffled; then, within windows of some batches, those of like shape come together, and each batch
    draws one short side: little of a batch is padding. The last batch is filled up from the epoch's first pictures, so
    that every process sees the same number of batches.
    """

    def __init__(self, training_set: TrainingSet, plan: "BatchPlan", epoch: int, first_batch: int = 0) -> None:
        self.training_set, self.plan, self.epoch, self.first_batch = training_set, plan, epoch, first_batch

    def __len__(self) -> int:
        return self.plan.batches - self.first_batch

    def __iter__(self) -> Iterator[list[Draw]]:
        plan, rng = self.plan, np.random.default_rng((self.plan.seed, self.epoch))
        order = np.resize(rng.permutation(plan.pictures), plan.batches * plan.batch)
        windows = np.array_split(order, range(plan.batch * WINDOW, len(order), plan.batch * WINDOW))
        aspects = self.training_set.aspects
        alike = [window[np.argsort(aspects[window], kind="stable")] for window in windows]
        batches = np.concatenate(alike).reshape(plan.batches, plan.processes, -1)
        sides = rng.integers(*self.training_set.plan.short_sides, size=plan.batches, endpoint=True)
        turn = rng.permutation(plan.batches)
        for batch, side in zip(batches[turn][self.first_batch :], sides[self.first_batch :], strict=True):
            plane = self.training_set.plane(batch.ravel().tolist(), int(side))
            yield [Draw(int(picture), self.epoch, int(side), plane) for picture in batch[plan.process]]


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
    plane = pad_size([*sizes, *(example.plane for example in examples)], divisor=32)
    pixels = torch.zeros(len(examples), 3, *plane, dtype=torch.uint8)
    for place, example, size in zip(pixels, examples, sizes, strict=True):
        place[:, : size.height, : size.width] = example.pixels
    return ImageBatch(pixels, torch.tensor(sizes)), [example.truth for example in examples]


def _marks(labels: Tensor, classes: int) -> Tensor:
    marks = torch.zeros(classes, dtype=torch.bool)
    marks[labels] = True
    return marks


def _start_worker(worker: int) -> None:
    for asked in (signal.SIGINT, signal.SIGTERM):  # both are for the trainer, which ends its workers itself
        signal.signal(asked, signal.SIG_IGN)
    if sys.platform == "linux":  # a trainer that is killed cannot: the kernel does it
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        trainer = multiprocessing.parent_process()
        if trainer is not None and os.getppid() != trainer.pid:  # killed before the kernel knew
            os._exit(1)
    torch.set_num_threads(1)
