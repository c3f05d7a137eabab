from types import SimpleNamespace

import numpy as np
import pytest

from centermask.errors import UserError
from centermask.evaluate import evaluate_predictions, predict_set
from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.size import Size

SIZE = Size(20, 30)
SQUARE = to_rle(Bitmap(np.ones((5, 5), dtype=bool), left=3, top=2), SIZE)


class TinySet:
    """Pictures whose every pixel is their number."""

    class_names = ("stone", "shell")
    category_ids = (7, 3)

    def __init__(self, image_ids):
        self.records = [SimpleNamespace(id=image_id) for image_id in image_ids]

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        return SimpleNamespace(image=np.full((*SIZE, 3), index, dtype=np.uint8))


class SquareFinder:
    """Finds one square of each of its classes, in every picture but the first."""

    def __init__(self, *class_names):
        self.class_names = class_names

    def __call__(self, image):
        found = [] if image.max() == 0 else [self.instance(i, name) for i, name in enumerate(self.class_names)]
        answer = {"file_name": "", "height": SIZE.height, "width": SIZE.width, "instances": found}
        return SimpleNamespace(to_coco=lambda: answer)

    def instance(self, label, name):
        ids = {"category_id": label + 1, "category_name": name}
        return ids | {"bbox": [3.0, 2.0, 5.0, 5.0], "score": 0.5, "box_score": 0.75, "segmentation": SQUARE}


def test_every_instance_becomes_a_row_with_the_ids_of_the_set():
    rows = predict_set(SquareFinder("shell", "stone"), TinySet([40, 12]))
    expected = {"image_id": 12, "bbox": [3.0, 2.0, 5.0, 5.0], "score": 0.5, "box_score": 0.75, "segmentation": SQUARE}
    assert rows == [expected | {"category_id": 3}, expected | {"category_id": 7}]


def test_what_the_set_does_not_annotate_is_left_out():
    rows = predict_set(SquareFinder("cup", "stone"), TinySet([40, 12]))
    assert [row["category_id"] for row in rows] == [7]


def test_no_shared_class_is_refused_with_both_lists():
    with pytest.raises(UserError, match="model finds cup, dog; the set annotates stone, shell"):
        predict_set(SquareFinder("cup", "dog"), TinySet([1]))


def test_progress_is_told_after_each_picture():
    seen = []
    predict_set(SquareFinder("stone"), TinySet([5, 6, 7]), on_progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_empty_set_has_no_rows():
    assert predict_set(SquareFinder("stone"), TinySet([])) == []


def test_the_rows_can_be_measured():
    truth = {
        "images": [{"id": i, "height": SIZE.height, "width": SIZE.width} for i in (40, 12)],
        "categories": [{"id": 7, "name": "stone"}, {"id": 3, "name": "shell"}],
        "annotations": [{"id": 1, "image_id": 12, "category_id": 7, "segmentation": SQUARE}],
    }
    rows = predict_set(SquareFinder("stone"), TinySet([40, 12]))
    assert evaluate_predictions(truth, rows).mask.ap == pytest.approx(1)
