"""The pictures of the demonstration: they come with scikit-image, so that nothing is downloaded."""

import shutil
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from centermask.errors import UserError

PICTURES = ("astronaut.png", "chelsea.png")


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
