"""Makes the samples of the page, and the picture of the page that the README shows.

python benchmarks/page_pictures.py samples
python benchmarks/page_pictures.py screenshot http://127.0.0.1:8000

Two of the photographs come with scikit-image (Eileen Collins, NASA, public domain; Chelsea, Stéfan van der Walt, CC0),
one with matplotlib (Grace Hopper, U.S. Navy, public domain).
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from centermask.data.gems import GemRecipe, draw_gems
from centermask.size import Size

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "src" / "centermask" / "serve" / "page" / "samples"
SIDE, GAP, GROUND = 340, 8, (20, 20, 24)
WINDOW = {"width": 1280, "height": 690}


def make_samples(folder: Path) -> None:
    """Write the pictures that the page offers."""
    from matplotlib.cbook import get_sample_data
    from skimage import data

    hopper = Image.open(get_sample_data("grace_hopper.jpg"))
    chelsea = Image.fromarray(data.chelsea())
    _write(_side_by_side([Image.fromarray(data.astronaut()), chelsea, hopper]), folder / "portraits.jpg", quality=84)
    _write(chelsea, folder / "chelsea.jpg", quality=88)
    stones = GemRecipe(size=Size(480, 640), stones=(26, 30), radius=(20, 44), overlap=0.4)
    _write(Image.fromarray(np.asarray(draw_gems(stones, seed=3).image)), folder / "gems.jpg", quality=84)


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (len(pictures) * (SIDE + GAP) - GAP, SIDE), GROUND)
    for i, picture in enumerate(pictures):
        row.paste(ImageOps.fit(picture, (SIDE, SIDE), Image.Resampling.LANCZOS), (i * (SIDE + GAP), 0))
    return row


def _write(picture: Image.Image, path: Path, quality: int) -> None:
    picture.save(path, quality=quality, optimize=True, progressive=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def take_screenshot(address: str, path: Path) -> None:
    """Photograph the page with its first sample; the mouse rests on the best object."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=WINDOW, device_scale_factor=2, color_scheme="light")
        page.goto(address)
        page.click(".sample >> nth=0")
        page.hover("#list li >> nth=0")
        page.wait_for_timeout(300)
        page.screenshot(path=path, type="jpeg", quality=82)
        browser.close()
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["samples"]:
            make_samples(SAMPLES)
        case ["screenshot", address]:
            take_screenshot(address, ROOT / "docs" / "images" / "page.jpg")
        case _:
            sys.exit(__doc__)
