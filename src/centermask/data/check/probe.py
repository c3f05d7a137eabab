"""One picture file, looked at as training will: decoded to its end, and remembered by a few numbers.

``main`` does so for each path that comes in, a line of JSON each, as a program of its own: a picture that kills or
halts its decoder then takes a process with it that nobody misses.
"""

import hashlib
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from centermask.errors import UserError
from centermask.images import FORMATS, MAX_PIXELS, Picture, read_image
from centermask.workers import answer_lines

MAX_BYTES = 2**29
"""Half a gibibyte: no photograph of up to ``MAX_PIXELS`` pixels needs more."""


class Look(NamedTuple):
    """What one look at a file tells."""

    kind: str = ""
    """Slug of the finding, if the file cannot be used; then only ``fault`` is filled in."""
    fault: str = ""
    height: int = 0
    """Of the upright picture, in pixels."""
    width: int = 0
    orientation: int = 1
    """What EXIF says, 1 … 8; 1 if nothing."""
    digest: str = ""
    """Of the file's bytes."""
    hash: int = 0
    """64 bits that a look-alike shares nearly all of; 0 for a picture of one flat colour."""


def look(path: Path) -> Look:
    """Look at one file."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            return Look(
                kind="file-too-large", fault=f"the file has {size / 2**20:.0f} MiB, more than {MAX_BYTES >> 20}"
            )
        width, height, orientation = _header(path)
        if width * height > MAX_PIXELS:
            return Look(kind="picture-too-large", fault=f"it has {width} × {height} pixels, more than {MAX_PIXELS}")
        picture = read_image(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except UserError as error:
        return Look(kind="picture-broken", fault=_reason(str(error), path))
    except OSError as error:
        return Look(kind="picture-broken", fault=error.strerror or str(error))
    return Look(
        height=picture.shape[0],
        width=picture.shape[1],
        orientation=orientation,
        digest=digest,
        hash=perceptual_hash(picture),
    )


def _header(path: Path) -> tuple[int, int, int]:
    """Width and height as stored, and the EXIF orientation; zeros for what ``read_image`` will explain."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            with Image.open(path, formats=FORMATS) as image:
                return image.width, image.height, _orientation(image)
    except Image.DecompressionBombError:
        return MAX_PIXELS, 2, 1
    except Exception:  # on hostile bytes, decoders raise nearly anything
        return 0, 0, 1


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # broken metadata in a sound picture
        return 1
    return value if value in range(1, 9) else 1


def _reason(message: str, path: Path) -> str:
    """A complaint of ``read_image`` without path and mend, which the finding has already."""
    return message.removeprefix(f"{path}: ").partition("; ")[0]


def perceptual_hash(picture: Picture) -> int:
    """64 bits of a picture's coarsest cosine waves: each says whether its wave is above their median.

    Scaling, brightness, contrast and JPEG's losses change few of them.
    """
    grey = grey_thumbnail(picture, 32)
    if grey.std() < 0.5:
        return 0
    waves = (_COSINES @ grey @ _COSINES.T).ravel()
    bits = waves[1:] > np.median(waves[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(np.append(bits, True)).tobytes(), "big")


def grey_thumbnail(picture: Picture, side: int) -> Float[np.ndarray, "side side"]:
    """The brightness on a square grid, averaged over all pixels that fall together."""
    grey = Image.fromarray(picture).convert("L").convert("F")
    return np.asarray(grey.resize((side, side), Image.Resampling.BOX), dtype=np.float64)


_COSINES = np.cos(np.pi * np.outer(np.arange(8), np.arange(32) + 0.5) / 32)


def main() -> None:
    """Answer each line, a path as JSON, with a line: its ``Look`` as a list."""
    answer_lines(lambda _: lambda path: look(Path(path)))
