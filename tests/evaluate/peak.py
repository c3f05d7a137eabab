"""Evaluate and analyse a made-up set of a given number of pictures, and print the memory it took.

``python -m tests.evaluate.peak 1000`` prints how many megabytes the process grew by: the truth, 50 objects a picture,
as dictionaries; 100 predictions a picture, as ``predict_set`` keeps them; and all that counting them needs.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from centermask.evaluate import analyse, evaluate_predictions, predict_set
from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.size import Size

SIZE = Size(480, 640)
TRUE, FOUND, CLASSES, SHAPES = 50, 100, 80, 500


def shape(rng, place, spread):
    """An ellipse's code, of some 130 characters, box and area; two of one place lie over each other."""
    centre = np.array([80 + place * 7919 % 480, 80 + place * 104729 % 320])
    radii = np.exp(rng.uniform(np.log(12), np.log(60), 2) if not spread else np.log([20, 40]) + rng.normal(0, 0.2, 2))
    left, top = np.floor(centre - radii).astype(int)
    y, x = np.mgrid[top : top + int(2 * radii[1]) + 2, left : left + int(2 * radii[0]) + 2]
    inside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 < 1 + 0.05 * np.sin(x / 3)
    box = [float(left), float(top), float(inside.shape[1]), float(inside.shape[0])]
    return to_rle(Bitmap(inside, int(left), int(top)), SIZE)["counts"], box, int(inside.sum())


class MadeUpSet:
    """Pictures of one pixel."""

    class_names = tuple(f"class {i}" for i in range(CLASSES))
    category_ids = tuple(range(1, CLASSES + 1))

    def __init__(self, pictures):
        self.records = [SimpleNamespace(id=i + 1) for i in range(pictures)]

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        return SimpleNamespace(image=np.zeros((1, 1, 3), dtype=np.uint8))

    def truth(self, shapes):
        """As many objects in each picture as ``TRUE``, of few classes."""
        rng = np.random.default_rng(1)
        return {
            "images": [{"id": record.id, "height": SIZE.height, "width": SIZE.width} for record in self.records],
            "categories": [{"id": i, "name": name} for i, name in enumerate(self.class_names, start=1)],
            "annotations": [
                self.annotation(record.id, int(label), shapes[place])
                for record in self.records
                for label, place in zip(rng.integers(1, 5, TRUE), rng.integers(0, SHAPES, TRUE), strict=True)
            ],
        }

    def annotation(self, image_id, category_id, one):
        code, box, area = one
        own = "".join([code[:1], code[1:]])  # a string of its own, as a file would give
        return {"id": 1, "image_id": image_id, "category_id": category_id, "iscrowd": 0, "area": area,
                "bbox": list(box), "segmentation": {"size": list(SIZE), "counts": own}}  # fmt: skip


class MadeUpPredictor:
    """Finds shapes at random places, many of them on an object."""

    class_names = MadeUpSet.class_names

    def __init__(self, shapes):
        self.shapes, self.rng = shapes, np.random.default_rng(2)

    def __call__(self, image):
        numbers = zip(self.rng.integers(0, 4, FOUND), self.rng.integers(0, SHAPES, FOUND), strict=True)
        found = [self.instance(int(label), *self.shapes[place]) for label, place in numbers]
        return SimpleNamespace(to_coco=lambda: {"instances": found})

    def instance(self, label, code, box, area):
        scores = {"score": float(self.rng.random()), "box_score": 1.0}
        mask = {"size": list(SIZE), "counts": code}
        return scores | {"category_name": self.class_names[label], "bbox": box, "segmentation": mask}


def peak():
    """The most memory this process ever held, in megabytes; what getrusage says begins with that of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main(pictures):
    before = peak()
    rng = np.random.default_rng(0)
    true_shapes, found_shapes = ([shape(rng, place, spread) for place in range(SHAPES)] for spread in (False, True))
    one = MadeUpSet(pictures)
    results = predict_set(MadeUpPredictor(found_shapes), one)
    truth = one.truth(true_shapes)
    evaluation = evaluate_predictions(truth, results)
    analysis = analyse(truth, results)
    assert len(results) == pictures * FOUND
    assert 0 < evaluation.mask.ap < np.mean(analysis.curves[0].precision) < 1
    print(round(peak() - before))


if __name__ == "__main__":
    main(int(sys.argv[1]))
