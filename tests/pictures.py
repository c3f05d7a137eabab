"""Small annotated pictures, made by hand: sets that tests can train on and be evaluated against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from centermask.data.sample import Sample
from centermask.ops.mask_warp import Bitmap, Mask, Polygons, bounds, to_rle
from centermask.size import Size


class Record(NamedTuple):
    """A picture's id and name."""

    id: int
    file_name: str


@dataclass(frozen=True)
class PictureSet:
    """Samples in memory, as a set that can be trained on and evaluated against."""

    samples: Sequence[Sample]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def size(self, index: int) -> Size:
        return Size(*self.samples[index].image.shape[:2])

    @property
    def category_ids(self) -> tuple[int, ...]:
        return tuple(range(1, len(self.class_names) + 1))

    @property
    def records(self) -> list[Record]:
        return [Record(i + 1, f"{i + 1}.png") for i in range(len(self))]

    def truth(self) -> dict[str, Any]:
        pairs = [
            (i, int(label), mask) for i, one in enumerate(self.samples)
            for label, mask in zip(one.labels, one.masks, strict=True)
        ]  # fmt: skip
        return {
            "images": [{**record._asdict(), **self.size(i)._asdict()} for i, record in enumerate(self.records)],
            "annotations": [
                {"id": n, "image_id": i + 1, "category_id": label + 1, "iscrowd": 0, **self._shape(i, mask)}
                for n, (i, label, mask) in enumerate(pairs, start=1)
            ],
            "categories": [{"id": i, "name": name} for i, name in enumerate(self.class_names, start=1)],
        }

    def _shape(self, index: int, mask: Mask) -> dict[str, Any]:
        left, top, right, bottom = bounds(mask).tolist()
        box = [left, top, right - left, bottom - top]
        return {"segmentation": to_rle(mask, self.size(index)), "bbox": box, "area": box[2] * box[3]}


def rectangle(left: int, top: int, width: int, height: int) -> Bitmap:
    """A mask of whole pixels."""
    return Bitmap(np.ones((height, width), dtype=bool), left, top)


def outlined(mask: Bitmap) -> Polygons:
    """The same rectangle as a polygon."""
    left, top, right, bottom = bounds(mask)
    return Polygons((np.array([[left, top], [right, top], [right, bottom], [left, bottom]]),))


def lit(size: Size, masks: Sequence[Bitmap], labels: Sequence[int] | None = None) -> Sample:
    """A black picture that is white where the masks are."""
    image = np.zeros((*size, 3), dtype=np.uint8)
    for mask in masks:
        image[mask.top : mask.top + mask.pixels.shape[0], mask.left : mask.left + mask.pixels.shape[1]] = 255
    return Sample(image, np.array(labels or [0] * len(masks), dtype=np.int64), tuple(masks))


def squares(count: int, side: int = 96, classes: tuple[str, ...] = ("square",), seed: int = 0) -> PictureSet:
    """Pictures of grey noise with one or two bright squares each."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        width = side // 3
        corners = [rng.integers(1, side // 6, size=2), rng.integers(side // 2, side - width, size=2)]
        masks = [rectangle(int(x), int(y), width, width) for x, y in corners[: rng.integers(1, 3)]]
        one = lit(Size(side, side), masks, rng.integers(0, len(classes), len(masks)).tolist())
        noise = rng.integers(0, 60, one.image.shape, dtype=np.uint8)
        samples.append(one._replace(image=np.where(one.image > 0, 255 - noise, noise)))
    return PictureSet(samples, classes)
