"""Hard pictures, what each contender found in them side by side.

    python benchmarks/versus/gallery.py OUT.png TEST FOLDER... [--pictures 6] [--data DATA]

TEST is a test set of the rows' task. The pictures are those with the most objects whose box overlaps another one of
their class by more than 0.3. The first column is what is true; of each contender the objects are shown that have the
score from which on its F1 on that set is highest.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from done import by_contender, read, results, task_of
from faster_coco_eval.core import mask as coco_mask
from PIL import Image, ImageDraw
from row import CROWDED, best_threshold

from centermask.data.sources import Evaluable
from centermask.evaluate.rows import read_truth
from centermask.evaluate.strata import largest_overlaps

SIDE, BAND = 256, 16


def hardest(test: Evaluable, count: int) -> list[int]:
    """Places of the pictures with the most crowded objects."""
    true = read_truth(test.truth())
    crowded = true.objects.pictures[largest_overlaps(true) > CROWDED]
    return np.bincount(crowded, minlength=len(test)).argsort(kind="stable")[::-1][:count].tolist()


def drawn(image: np.ndarray, masks: list[Any]) -> np.ndarray:
    """A picture under half-transparent masks with sharp edges, each of its own colour."""
    shown = image.astype(np.float32)
    rng = np.random.default_rng(1)
    for code in masks:
        mask = coco_mask.decode(code).astype(bool)
        colour = rng.uniform(60, 255, 3)
        inner = mask.copy()
        inner[1:-1, 1:-1] &= mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 2:] & mask[1:-1, :-2]
        shown[mask] = 0.55 * shown[mask] + 0.45 * colour
        shown[mask & ~inner] = colour
    return shown.clip(0, 255).astype(np.uint8)


def tile(pixels: np.ndarray, title: str) -> Image.Image:
    """A picture of a common size under its title."""
    made = Image.new("RGB", (SIDE, SIDE + BAND), "white")
    made.paste(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR), (0, BAND))
    ImageDraw.Draw(made).text((4, 2), title, fill="black")
    return made


def codes(entries: list[dict[str, Any]], size: tuple[int, int]) -> list[Any]:
    """Masks of annotations or results as the coder wants them."""
    found = []
    for entry in entries:
        code = entry["segmentation"]
        if isinstance(code, list):
            code = coco_mask.merge(coco_mask.frPyObjects(code, *size))
        elif isinstance(code["counts"], list):
            code = coco_mask.frPyObjects(code, *size)
        found.append(code)
    return found


def shown(truth: dict[str, Any], found: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The results of a contender that a user would look at."""
    least = best_threshold(truth, found, most)
    return [one for one in found if one["score"] >= least]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("test")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    rows = read(given.folders)
    task = task_of(rows, given.data)
    test, truth = task.tests[given.test], task.tests[given.test].truth()
    found = {
        name: shown(truth, results(folder, given.test), task.judged)
        for name, folder in by_contender(rows, given.folders).items()
    }
    places = hardest(test, given.pictures)
    sheet = Image.new("RGB", ((SIDE + 4) * (len(found) + 1), (SIDE + BAND + 4) * len(places)), "white")
    for line, place in enumerate(places):
        image, number = test[place].image, test.records[place].id
        size = (image.shape[0], image.shape[1])
        own = codes([one for one in truth["annotations"] if one["image_id"] == number], size)
        columns = {f"true: {len(own)}": own}
        for name, theirs in found.items():
            kept = [one for one in theirs if one["image_id"] == number]
            columns[f"{name}: {len(kept)}"] = codes(kept, size)
        for column, (title, masks) in enumerate(columns.items()):
            sheet.paste(tile(drawn(image, masks), title), (column * (SIDE + 4), line * (SIDE + BAND + 4)))
    sheet.save(given.out)


if __name__ == "__main__":
    main()
