"""Which pictures an exported file is checked with, and int8 is calibrated on."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from centermask.config import ModelConfig
from centermask.data.gems import GemRecipe, GemSet
from centermask.data.sources import open_data
from centermask.errors import UserError
from centermask.export.program import PixelKind
from centermask.images import Fitted, find_images, fit, read_image
from centermask.runtimes.exported import Inputs, on_plane
from centermask.size import Size, fill_plane, fit_size

Picture = UInt8[np.ndarray, "height width 3"]

CHECKED = 6
"""How many pictures a file is checked with."""
SCALES = (1.0, 0.7, 0.45)
"""Of the size that the network was tested at: the three sizes of the check."""
DRAWN = (Size(320, 426), Size(426, 320), Size(320, 320))
TINY = Size(20, 24)
"""Smaller than the greatest stride, 32."""


class Source(NamedTuple):
    """Pictures that are opened when they are asked for."""

    kind: str
    """``drawn``, or where they came from."""
    names: Sequence[str]
    load: Callable[[int], Picture]

    def spread(self, most: int) -> "Source":
        """At most so many of them, evenly spread."""
        chosen = np.linspace(0, len(self.names) - 1, min(most, len(self.names))).round().astype(int).tolist()
        return Source(self.kind, [self.names[i] for i in chosen], lambda index: self.load(chosen[index]))


class Case(NamedTuple):
    """Pictures that the file and the network in PyTorch are both given."""

    name: str
    given: Fitted
    """As the file gets them: on planes that are just large enough."""
    padded: Fitted
    """The same as PyTorch gets them: on planes whose sides are multiples of the stride."""


def drawn_pictures() -> Source:
    """Stones, always the same."""
    sets = [GemSet(images=CHECKED, recipe=GemRecipe(size=size)) for size in DRAWN]
    names = [f"stones {i + 1}" for i in range(CHECKED)]
    return Source("drawn", names, lambda index: sets[index % len(sets)][index].image)


def open_pictures(place: str | Path) -> Source:
    """The pictures of a file, a folder or a pattern; or else those of a data argument, for training if it has such.

    Raises:
        UserError: it names neither.
    """
    try:
        paths = find_images(place)
    except UserError as error:
        return _of_data(str(place), error)
    return Source(str(place), [path.name for path in paths], lambda index: read_image(paths[index]))


def _of_data(data: str, otherwise: UserError) -> Source:
    try:
        split = open_data(data)
    except UserError as error:
        raise UserError(f"{data}: neither pictures ({otherwise}) nor data ({error}); check the path") from None
    found = split.train or split.val
    if found is None or not len(found):
        raise UserError(f"{data}: holds no picture; check the path")
    return Source(data, [record.file_name for record in found.records], lambda index: found[index].image)


def make_cases(source: Source, config: ModelConfig, plane: Size | None) -> Iterator[Case]:
    """Each picture at one of three sizes, and one very small; if any number will do, also two of them in one run."""
    source = source.spread(CHECKED)
    pictures = [source.load(i) for i in range(len(source.names))]
    for turn in range(max(len(pictures), len(SCALES))):
        picture, name = pictures[turn % len(pictures)], source.names[turn % len(pictures)]
        yield _case(name, [picture], [_size(picture, config, plane, SCALES[turn % len(SCALES)])], plane)
    if plane is None:
        both = [pictures[0], pictures[-1]]
        sizes = [_size(picture, config, None, scale) for picture, scale in zip(both, SCALES[1:], strict=True)]
        yield _case("two in one run", both, sizes, None)
    yield _case("tiny", pictures[:1], [TINY], plane)


def _size(picture: Picture, config: ModelConfig, plane: Size | None, scale: float) -> Size:
    size = Size(*picture.shape[:2])
    fitted = fit_size(size, config.test_short_side, config.test_long_side)
    if plane and (fitted.height > plane.height or fitted.width > plane.width):
        fitted = fill_plane(size, plane)
    return Size(*(max(1, round(side * scale)) for side in fitted))


def _case(name: str, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], sizes: Sequence[Size], plane: Size | None) -> Case:
    shown = ", ".join(f"{size.height} × {size.width}" for size in sizes)
    return Case(f"{name}, {shown}", fit(pictures, sizes, divisor=1), _on_plane(fit(pictures, sizes), plane))


def _on_plane(fitted: Fitted, plane: Size | None) -> Fitted:
    return on_plane(fitted, plane) if plane else fitted


def make_feeds(
    source: Source, config: ModelConfig, plane: Size | None, pixel_kind: PixelKind, most: int
) -> Iterator[Inputs]:
    """Inputs of a file for calibration, a picture each, scaled as the predictor scales them."""
    source = source.spread(most)
    for i in range(len(source.names)):
        picture = source.load(i)
        fitted = _on_plane(fit([picture], [_size(picture, config, plane, 1.0)]), plane)
        yield Inputs(fitted.pixels.astype(pixel_kind), fitted.sizes, np.array(0, dtype=np.float32))
