"""A drawn data set of overlapping gemstones: nothing to download, as many pictures as wanted, exact masks."""

import difflib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from centermask.data.gem_cuts import KINDS
from centermask.data.gem_scene import Owners, Placed, photograph, scatter
from centermask.data.sample import Sample
from centermask.errors import UserError
from centermask.files import write_whole
from centermask.ops.mask_warp import Bitmap, area, bounds, to_rle
from centermask.size import Size

Number = TypeVar("Number", int, float)

GEM_KINDS: tuple[str, ...] = tuple(KINDS)
"""The classes: the cuts of the stones, whatever their colour."""

SIZE = Size(320, 320)
RADIUS_SIDE = 320
"""Radii are given for a picture whose short side this is."""


@dataclass(frozen=True, kw_only=True)
class GemRecipe:
    """What the pictures show.

    Raises:
        UserError: a number is out of its range.

    >>> GemRecipe(size=Size(240, 320), stones=(3, 5), overlap=0.5).size
    Size(height=240, width=320)
    """

    size: Size = SIZE
    stones: tuple[int, int] = (6, 20)
    """Fewest and most in a picture; fewer are put down where there is no room."""
    radius: tuple[float, float] = (14.0, 32.0)
    """Smallest and largest, in pixels of a picture whose short side is 320; they grow with the picture."""
    overlap: float = 0.3
    """The share of stones put partly onto another one on purpose; with 0 none hides any part of another.

    One in six always lies free, or there would be a single heap.
    """

    def __post_init__(self) -> None:
        _require(min(self.size) >= 16, "size", self.size, "at least 16 pixels each way")
        _require(0 <= self.stones[0] <= self.stones[1] <= 1000, "stones", self.stones, "fewest and most, 0 to 1000")
        _require(2 <= self.radius[0] <= self.radius[1] <= 160, "radius", self.radius, "smallest and largest, 2 to 160")
        _require(0 <= self.overlap <= 1, "overlap", self.overlap, "a share from 0 to 1")


class GemRecord(NamedTuple):
    """A picture of a set."""

    id: int
    file_name: str


@dataclass(frozen=True, kw_only=True)
class GemSet:
    """Pictures drawn when they are asked for: the same index always gives the same picture.

    Raises:
        UserError: ``images`` or ``seed`` is negative.

    >>> gems = GemSet(images=2, recipe=GemRecipe(size=Size(64, 64)))
    >>> len(gems), gems[0].image.shape
    (2, (64, 64, 3))
    """

    images: int
    recipe: GemRecipe
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.images >= 0, "images", self.images, "a number of pictures, 0 or more")
        _require(self.seed >= 0, "seed", self.seed, "a whole number, 0 or more")

    @property
    def class_names(self) -> tuple[str, ...]:
        return GEM_KINDS

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.images:
            raise IndexError(f"picture {index} of a set of {self.images}")
        return draw_gems(self.recipe, _derived(self.seed, index))

    def size(self, index: int) -> Size:
        """All pictures are of one size."""
        return self.recipe.size

    @property
    def category_ids(self) -> tuple[int, ...]:
        """As ``write_gems`` numbers them."""
        return tuple(range(1, len(GEM_KINDS) + 1))

    @property
    def records(self) -> list[GemRecord]:
        """Picture ids and names, as ``write_gems`` gives them."""
        return [GemRecord(index + 1, f"{index + 1:06}.jpg") for index in range(self.images)]

    def truth(self) -> dict[str, Any]:
        """All that is true of the set, as a COCO dictionary; draws every picture once."""
        return _coco(self)


def _require(holds: bool, name: str, given: object, wanted: str) -> None:
    if not holds:
        shown = tuple(given) if isinstance(given, tuple) else given
        raise UserError(f"gems: {name} is {shown}; give {wanted}")


def _derived(seed: int, index: int) -> int:
    """A seed of its own for each (seed, index)."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0])


def draw_gems(recipe: GemRecipe, seed: int) -> Sample:
    """Draw one picture; the same recipe and seed (0 or more) give the same picture.

    The masks are what is visible of each stone, as exact bitmaps: no pixel belongs to two stones, every stone shows at
    least 16 pixels and a quarter of its area.

    >>> sample = draw_gems(GemRecipe(stones=(4, 4), overlap=0.0), seed=1)
    >>> sample.image.shape, [GEM_KINDS[label] for label in sample.labels][:2]
    ((320, 320, 3), [...])
    """
    rng = np.random.default_rng(seed)
    count = int(rng.integers(recipe.stones[0], recipe.stones[1], endpoint=True))
    scale = min(recipe.size) / RADIUS_SIDE
    radius = recipe.radius[0] * scale, recipe.radius[1] * scale
    stones, owners = scatter(recipe.size, count, radius, recipe.overlap, rng)
    image = photograph(stones, recipe.size, rng)
    labels = np.array([GEM_KINDS.index(placed.stone.kind) for placed in stones], dtype=np.int64)
    return Sample(image, labels, tuple(_visible(owners, i, placed) for i, placed in enumerate(stones)))


def _visible(owners: Owners, index: int, placed: Placed) -> Bitmap:
    """What stone ``index`` shows of itself, cut to the object."""
    left, top = max(placed.left, 0), max(placed.top, 0)
    height, width = placed.stone.coverage.shape
    pixels = owners[top : placed.top + height, left : placed.left + width] == index
    x0, y0, x1, y1 = (int(side) for side in bounds(Bitmap(pixels, 0, 0)))
    return Bitmap(np.ascontiguousarray(pixels[y0:y1, x0:x1]), left + x0, top + y0)


# --- as a data argument ---


def gem_sets(text: str) -> tuple[GemSet, GemSet]:
    """The training and validation set of a data argument such as ``gems:images=200,overlap=0.5,size=320,stones=8-20``.

    Keys: images (500, both sets together), size (320, one number or HEIGHTxWIDTH), stones, radius, overlap, seed. A
    fifth of the images, at least one, is for validation; the two sets share no picture.

    Raises:
        UserError: a key is unknown, or its value cannot be used.

    >>> train, val = gem_sets("gems:images=200,overlap=0.5")
    >>> len(train), len(val)
    (160, 40)
    """
    name, _, settings = text.partition(":")
    if name != "gems":
        raise UserError(f"{text!r} names no gems; write gems: with settings such as gems:images=200,overlap=0.5")
    given: dict[str, Any] = {}
    for key, value in _settings(settings):
        if key in given:
            raise UserError(f"gems: {key} is given twice; keep one")
        given[key] = value
    images, seed = given.pop("images", 500), given.pop("seed", 0)
    _require(images >= 2, "images", images, "at least 2, one to train on and one to validate with")
    return _split(images, GemRecipe(**given), seed, 0.2)


def _settings(text: str) -> Iterator[tuple[str, Any]]:
    for setting in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = setting.partition("=")
        if key not in SETTINGS:
            near = difflib.get_close_matches(key, SETTINGS, n=1) or [", ".join(SETTINGS)]
            raise UserError(f"gems: there is no setting {key!r}; did you mean {near[0]}?")
        read, example = SETTINGS[key]
        try:
            yield key, read(value)
        except ValueError:
            raise UserError(f"gems: {key}={value} cannot be read; write it like {key}={example}") from None


def _read_size(text: str) -> Size:
    height, _, width = text.partition("x")
    return Size(int(height), int(width or height))


def _read_range(text: str, number: Callable[[str], Number]) -> tuple[Number, Number]:
    low, _, high = text.partition("-")
    return number(low), number(high or low)


SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "images": (int, "500"),
    "size": (_read_size, "320"),
    "stones": (lambda text: _read_range(text, int), "6-20"),
    "radius": (lambda text: _read_range(text, float), "14-32"),
    "overlap": (float, "0.3"),
    "seed": (int, "0"),
}
"""How each setting of a data argument is read, and an example."""


def _split(images: int, recipe: GemRecipe, seed: int, val_share: float) -> tuple[GemSet, GemSet]:
    """Training and validation set; any share above 0 gives validation at least one picture."""
    val = max(1, round(images * val_share)) if val_share else 0
    train = GemSet(images=images - val, recipe=recipe, seed=seed)
    return train, GemSet(images=val, recipe=recipe, seed=_derived(seed, images))


# --- as files ---


def write_gems(
    out: Path,
    *,
    images: int,
    recipe: GemRecipe,
    seed: int = 0,
    val_share: float = 0.2,
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Write a set in COCO format: ``train`` and ``val`` with JPEGs, ``annotations/gems_{train,val}.json``.

    Args:
        out: a folder that is empty or does not exist yet.
        images: number of pictures, both parts together.
        recipe: what they show.
        seed: the same seed writes the same set.
        val_share: the share of pictures for validation, at least one picture unless it is 0.
        on_progress: called after each picture with the number written so far.

    Raises:
        UserError: ``out`` is in use, or a number is out of its range.
    """
    _require(images >= 1, "images", images, "at least 1")
    _require(0 <= val_share <= 1, "val_share", val_share, "a share from 0 to 1")
    train, val = _split(images, recipe, seed, val_share)
    _claim(out)
    _write_part(out, "train", train, 0, on_progress)
    _write_part(out, "val", val, len(train), on_progress)


def _claim(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} already exists and is not an empty folder; name a new folder, or empty this one")
    try:
        for name in ("train", "val", "annotations"):
            (out / name).mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be made ({error.strerror}); name another folder") from None


def _write_part(out: Path, part: str, gems: GemSet, done: int, on_progress: Callable[[int], None] | None) -> None:
    def keep(sample: Sample, record: GemRecord) -> None:
        coded = io.BytesIO()
        Image.fromarray(sample.image).save(coded, format="JPEG", quality=95)
        write_whole(out / part / record.file_name, coded.getvalue())
        if on_progress:
            on_progress(done + record.id)

    content = {
        "info": {"description": f"Drawn gemstones: {gems}", "version": "1.0"},
        "licenses": [],
        **_coco(gems, keep),
    }
    write_whole(out / "annotations" / f"gems_{part}.json", json.dumps(content).encode())


def _coco(gems: GemSet, on_drawn: Callable[[Sample, GemRecord], None] = lambda sample, record: None) -> dict[str, Any]:
    """A set as a COCO dictionary; each picture is drawn once."""
    annotations: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    for record in gems.records:
        sample = gems[record.id - 1]
        height, width = sample.image.shape[:2]
        pictures.append({"id": record.id, "file_name": record.file_name, "height": height, "width": width})
        annotations += _annotations(sample, record.id, len(annotations) + 1)
        on_drawn(sample, record)
    categories = [{"id": i, "name": name, "supercategory": "gem"} for i, name in enumerate(gems.class_names, start=1)]
    return {"images": pictures, "annotations": annotations, "categories": categories}


def _annotations(sample: Sample, image_id: int, first_id: int) -> Iterator[dict[str, Any]]:
    """The objects of one picture as COCO writes them: boxes xywh, categories from 1, run-length codes."""
    size = Size(*sample.image.shape[:2])
    for offset, (label, mask) in enumerate(zip(sample.labels.tolist(), sample.masks, strict=True)):
        left, top, right, bottom = bounds(mask).tolist()
        yield {
            "id": first_id + offset,
            "image_id": image_id,
            "category_id": label + 1,
            "segmentation": to_rle(mask, size),
            "bbox": [left, top, right - left, bottom - top],
            "area": area(mask),
            "iscrowd": 0,
        }
