"""The pictures of the demonstration, and a clip of them: they come with scikit-image; nothing is downloaded."""

import shutil
from collections.abc import Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from centermask.errors import UserError
from centermask.images import Picture, read_image
from centermask.video import write_clip

PICTURES = ("astronaut.png", "chelsea.png")
HEIGHT, WIDTH = 360, 640
"""Of the clip."""
CARD = 200
"""Height of a picture in it."""
WALL = (214, 208, 198)
FRAMES, RATE = 75, 25


def demo_pictures(out: Path) -> list[Path]:
    """Copy the astronaut and the cat into a folder.

    Raises:
        UserError: scikit-image is not installed, or the folder cannot be written.
    """
    if find_spec("skimage") is None:
        raise UserError("the demonstration's pictures come with scikit-image; install it with: pip install '.[demo]'")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in PICTURES:
            shutil.copyfile(str(files("skimage.data") / name), out / name)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); choose another folder with --out") from None
    return [out / name for name in PICTURES]


def demo_clip(pictures: Sequence[Path], path: Path) -> None:
    """Write a clip in which the two pictures slide past each other on a wall, the astronaut's in front of the cat's.

    Raises:
        UserError: PyAV is not installed, or the file cannot be written.
    """
    astronaut, cat = (_card(Image.fromarray(read_image(picture))) for picture in pictures)
    ways = (1 - np.cos(np.linspace(0, np.pi, FRAMES))) / 2  # slow, fast, slow
    write_clip(path, (_scene(cat, astronaut, float(way)) for way in ways), RATE)


def _card(picture: Image.Image) -> Image.Image:
    """A picture with a white edge."""
    width = round(picture.width * CARD / picture.height)
    return ImageOps.expand(picture.resize((width, CARD), Image.Resampling.LANCZOS), border=6, fill="white")


def _scene(cat: Image.Image, astronaut: Image.Image, way: float) -> Picture:
    """The wall after a share of the way: the cat goes to the right above, the astronaut to the left below."""
    wall = Image.new("RGB", (WIDTH, HEIGHT), WALL)
    _lay(wall, cat, round(15 + way * (WIDTH - 30 - cat.width)), 15)
    _lay(wall, astronaut, round(WIDTH - 15 - astronaut.width - way * (WIDTH - 30 - astronaut.width)), 140)
    return np.array(wall)


def _lay(wall: Image.Image, card: Image.Image, left: int, top: int) -> None:
    """Put a card and its shadow on the wall."""
    shade = Image.new("L", wall.size)
    shade.paste(110, (left, top + 6, left + card.width, top + card.height + 6))
    wall.paste((40, 40, 45), (0, 0), shade.filter(ImageFilter.GaussianBlur(8)))
    wall.paste(card, (left, top))
