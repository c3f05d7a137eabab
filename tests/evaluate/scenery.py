"""Truths and COCO results made of rectangles, by hand or at random."""

import numpy as np

from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.size import Size

SIDE = 128


def rectangle(left, top, width, height, side=SIDE):
    """COCO keys of a full rectangle."""
    mask = Bitmap(np.ones((height, width), dtype=bool), left=left, top=top)
    return {
        "bbox": [left, top, width, height],
        "segmentation": to_rle(mask, Size(side, side)),
        "area": width * height,
    }


def true(shape, image=1, category=1, iscrowd=0):
    return {"image_id": image, "category_id": category, "iscrowd": iscrowd, **shape}


def found(shape, score=0.9, image=1, category=1, box_score=None):
    box_score = score if box_score is None else box_score
    kept = {key: shape[key] for key in ("bbox", "segmentation")}
    return {"image_id": image, "category_id": category, "score": score, "box_score": box_score, **kept}


def truth_of(*annotations, images=1, classes=1, side=SIDE):
    return {
        "images": [{"id": i + 1, "height": side, "width": side} for i in range(images)],
        "categories": [{"id": i + 1, "name": f"class {i + 1}"} for i in range(classes)],
        "annotations": [{"id": i + 1, **annotation} for i, annotation in enumerate(annotations)],
    }


def random_shape(rng, side):
    width, height = (int(x) for x in np.exp(rng.uniform(np.log(3), np.log(side), size=2)))
    left, top = int(rng.integers(0, side - width + 1)), int(rng.integers(0, side - height + 1))
    pixels = rng.random((height, width)) < 0.97
    pixels[[0, -1], :] = pixels[:, [0, -1]] = True
    mask = Bitmap(pixels, left=left, top=top)
    shape = {"bbox": [left, top, width, height], "area": int(pixels.sum())}
    return shape | {"segmentation": to_rle(mask, Size(side, side))}


def jittered(rng, shape, side):
    """The same object found a little off, its mask the full box."""
    left, top, width, height = shape["bbox"]
    x0, x1 = sorted(np.clip(np.array([left, left + width]) + rng.integers(-4, 5, 2) * width // 50, 0, side))
    y0, y1 = sorted(np.clip(np.array([top, top + height]) + rng.integers(-4, 5, 2) * height // 50, 0, side))
    return rectangle(int(x0), int(y0), int(x1 - x0), int(y1 - y0), side)


def polygon(rng, side):
    x, y = rng.uniform(0, side, 2)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
    radius = rng.uniform(3, side / 3)
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1).clip(0, side)
    low, high = points.min(axis=0), points.max(axis=0)
    bbox = [float(v) for v in (*low, *(high - low))]
    return {"bbox": bbox, "area": float(np.prod(high - low)) / 2, "segmentation": [points.ravel().tolist()]}


def tied_scores(rng):
    """Score and box score in tenths, so that many are equal."""
    score, box_score = (float(x) for x in np.round(rng.random(2), 1))
    return {"score": score, "box_score": box_score}


def random_set(seed, images=12, classes=4, side=320, most=14):
    """Truth and results: crowds, polygons, ties, strays, pictures with only one of both, and pictures with neither."""
    rng = np.random.default_rng(seed)
    annotations, predictions = [], []
    for image in range(1, images + 1):
        for _ in range(int(rng.integers(0, most)) * (image % 4 > 0)):
            category = int(rng.integers(1, classes))  # the last class has no truth
            shape = polygon(rng, side) if rng.random() < 0.3 else random_shape(rng, side)
            annotations.append(true(shape, image, category, iscrowd=int(rng.random() < 0.15)))
            for _ in range(int(rng.integers(0, 3)) * (image % 5 > 0)):
                predictions.append(
                    found(jittered(rng, shape, side), image=image, category=category, **tied_scores(rng))
                )
        for _ in range(int(rng.integers(0, 5)) * (image % 8 > 0)):
            category = int(rng.integers(1, classes + 1))
            predictions.append(found(random_shape(rng, side), image=image, category=category, **tied_scores(rng)))
    return truth_of(*annotations, images=images, classes=classes, side=side), predictions


def without_ties(predictions):
    """The same results with scores that all differ, in an order that has nothing to do with theirs."""
    order = np.random.default_rng(len(predictions)).permutation(len(predictions))
    scores = (order + 1) / (len(predictions) + 1)
    pairs = zip(predictions, scores.tolist(), strict=True)
    return [prediction | {"score": score, "box_score": score} for prediction, score in pairs]
