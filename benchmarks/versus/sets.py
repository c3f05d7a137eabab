"""What is learned from and what is scored: real pictures, drawn stones, and objects pasted onto each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from centermask.data.augment import Augmentation, Example, augment
from centermask.data.coco import load_coco
from centermask.data.copy_paste import paste_objects
from centermask.data.gems import GemRecipe, GemSet
from centermask.data.sample import Sample, SampleSet
from centermask.data.sources import Evaluable
from centermask.ops.mask_warp import area, as_bitmap, bounds, to_rle
from centermask.size import Size

LEVELS = {"apart": 0.0, "mixed": 0.5, "heaped": 1.0}
"""The share of drawn stones that are put onto another one on purpose."""
STONES = GemRecipe(size=Size(256, 256), stones=(10, 30), radius=(16.0, 34.0))
PASTES = 2
"""How often objects of another picture are laid over a picture."""


@dataclass(frozen=True)
class Task:
    """A training set, the sets that are scored after it, and how many objects a picture may have."""

    name: str
    train: SampleSet
    tests: dict[str, Evaluable]
    objects: int

    @property
    def judged(self) -> int:
        """The best predictions of a picture that count, as many as COCO's rules count at least."""
        return max(100, self.objects)


class Record(NamedTuple):
    """A picture of a set that is in memory."""

    id: int
    file_name: str


@dataclass(frozen=True)
class Held:
    """Annotated pictures in memory."""

    samples: Sequence[Sample]
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]

    @property
    def records(self) -> list[Record]:
        return [Record(index + 1, f"{index + 1:06}") for index in range(len(self))]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def size(self, index: int) -> Size:
        return Size(*self.samples[index].image.shape[:2])

    def truth(self) -> dict[str, Any]:
        """What is true, as a COCO dictionary."""
        annotations = []
        for record, sample in zip(self.records, self.samples, strict=True):
            size = Size(*sample.image.shape[:2])
            for label, mask in zip(sample.labels.tolist(), sample.masks, strict=True):
                left, top, right, bottom = bounds(mask).tolist()
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": record.id, "category_id": self.category_ids[label],
                     "bbox": [left, top, right - left, bottom - top], "area": float(area(mask)), "iscrowd": 0,
                     "segmentation": to_rle(mask, size)}
                )  # fmt: skip
        images = [
            {"id": record.id, "file_name": record.file_name, "height": self.size(i).height, "width": self.size(i).width}
            for i, record in enumerate(self.records)
        ]
        categories = [{"id": one, "name": name} for one, name in zip(self.category_ids, self.class_names, strict=True)]
        return {"images": images, "annotations": annotations, "categories": categories}


def pasted(source: Evaluable, side: int, seed: int = 0) -> Held:
    """Pictures of a set onto which objects of any of its pictures are laid: real pixels, exact truth, much overlap."""
    made = []
    for index in range(len(source)):
        rng = np.random.default_rng((seed, index))
        example = as_shown(source[index], side, rng)
        for _ in range(PASTES):
            other = int(rng.integers(len(source)))
            example = paste_objects(example, as_shown(source[other], side, rng), rng)
        pixels = np.ascontiguousarray(example.pixels.permute(1, 2, 0).numpy())
        size = Size(*pixels.shape[:2])
        masks = tuple(as_bitmap(mask, size) for mask in example.truth.masks)
        made.append(Sample(pixels, example.truth.labels.numpy(), masks))
    return Held(made, source.class_names, source.category_ids)


def as_shown(sample: Sample, side: int, rng: np.random.Generator) -> Example:
    """A picture as a network sees it: its short side scaled to ``side``."""
    plan = Augmentation(short_sides=(side, side), long_side=2 * side, flip=0.0)
    one_class = torch.ones(1, dtype=torch.bool)
    return augment(sample, torch.from_numpy(sample.labels), one_class, plan, side, rng)


def stones(images: int, overlap: float, seed: int) -> Held:
    """Drawn stones as one class, all alike: what overlaps is of the same class."""
    recipe = GemRecipe(size=STONES.size, stones=STONES.stones, radius=STONES.radius, overlap=overlap)
    drawn = GemSet(images=images, recipe=recipe, seed=seed)
    samples = [one._replace(labels=np.zeros_like(one.labels)) for one in map(drawn.__getitem__, range(images))]
    return Held(samples, ("stone",), (1,))


def _coco(folder: Path, name: str, split: str) -> Evaluable:
    return load_coco(folder / "annotations" / f"{name}.json", folder / split, on_error="skip")


def _first(source: Evaluable, pictures: int | None) -> Evaluable:
    if pictures is None:
        return source
    samples = [source[index] for index in range(min(pictures, len(source)))]
    return Held(samples, source.class_names, source.category_ids)


def open_task(name: str, data: Path, side: int, *, train: bool = True, pictures: int | None = None) -> Task:
    """A task by its name: cats, nuclei, person or gems.

    Args:
        name: Of the task.
        data: The folder with ``cats``, ``coco`` and ``nuclei``.
        side: Short side of the pictures onto which objects are pasted.
        train: Whether the training set is needed.
        pictures: Keep only the first ones of each set: to see that everything works.
    """
    if name == "gems":
        drawn = [stones(pictures or 160, overlap, seed=1) for overlap in LEVELS.values()] if train else []
        samples = [sample for held in drawn for sample in held.samples]
        tests: dict[str, Evaluable] = {
            level: stones(pictures or 100, overlap, seed=2) for level, overlap in LEVELS.items()
        }
        return Task(name, Held(samples, ("stone",), (1,)), tests, 100)
    folder, stem, objects = {
        "cats": (data / "cats", "instances", 100),
        "nuclei": (data / "nuclei", "instances", 400),
        "person": (data / "coco", "person", 100),
    }[name]
    learned, val, occluded = (
        _first(_coco(folder, f"{stem}_{part}", part.rpartition("_")[2]), pictures)
        for part in ("train", "val", "occluded_val")
    )
    tests = {"val": val, "occluded": occluded} | ({} if name == "nuclei" else {"pasted": pasted(val, side)})
    return Task(name, learned, tests, objects)
