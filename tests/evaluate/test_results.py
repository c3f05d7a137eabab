import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from centermask.evaluate import Results, evaluate_predictions, merge_shards, predict_set
from centermask.evaluate.results import PictureResults
from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.size import Size

SIZE = Size(20, 30)


class Counted:
    """Pictures whose pixels are their number; their ids do not ascend."""

    class_names = ("stone", "shell")
    category_ids = (7, 3)

    def __init__(self, count):
        self.records = [SimpleNamespace(id=(17 * index) % 101) for index in range(count)]

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        return SimpleNamespace(image=np.full((*SIZE, 3), index, dtype=np.uint8))


class Finder:
    """Finds as many squares as the picture's number says, but none in every third picture."""

    class_names = ("shell", "stone")

    def __call__(self, image):
        number = int(image.max())
        found = [] if number % 3 == 0 else [self.instance(number, i) for i in range(number)]
        return SimpleNamespace(to_coco=lambda: {"instances": found})

    def instance(self, number, place):
        mask = Bitmap(np.ones((place % 9 + 1, number % 9 + 1), dtype=bool), left=place % 20, top=number % 11)
        names = {"category_id": 1, "category_name": self.class_names[place % 2]}
        score = (place + 1) / (number + 2)
        return names | {
            "bbox": [1.5, 2.25, number + 0.1, place + 1e-9],
            "score": score,
            "box_score": score**0.5,
            "segmentation": to_rle(mask, SIZE),
        }


def shards(count, processes):
    one = Counted(count)
    return [predict_set(Finder(), one, indices=range(rank, count, processes)) for rank in range(processes)]


def row(score=0.5, size=SIZE):
    mask = to_rle(Bitmap(np.ones((2, 3), dtype=bool), left=1, top=1), size)
    return {"image_id": 5, "category_id": 1, "bbox": [1.0, 1.0, 3.0, 2.0], "score": score, "box_score": 0.7,
            "segmentation": mask}  # fmt: skip


def test_results_give_back_the_rows_they_were_made_of():
    rows = [row(0.1), row(1 / 3), row(0.9)]
    results = Results([PictureResults.of(0, 4, []), PictureResults.of(1, 5, rows), PictureResults.of(2, 6, [])])
    assert list(results) == rows
    assert [results[i] for i in (0, 1, 2)] == rows
    assert results[-1] == rows[-1]
    assert results[1:] == rows[1:]
    assert len(results) == 3
    with pytest.raises(IndexError):
        results[3]


def test_results_equal_only_lists_of_the_same_rows():
    results = Results([PictureResults.of(0, 5, [row()])])
    assert results == [row()]
    assert results != [row(0.4)]
    assert results != [row(), row()]
    assert results != "nothing of the kind"


def test_results_can_be_sent_to_another_process():
    results = predict_set(Finder(), Counted(8))
    sent = pickle.loads(pickle.dumps(results))
    assert sent == results
    assert [picture.image_id for picture in sent.pictures] == [picture.image_id for picture in results.pictures]


def test_masks_of_several_sizes_in_one_picture_are_refused():
    with pytest.raises(ValueError, match="several sizes"):
        PictureResults.of(0, 5, [row(), row(size=Size(30, 20))])


def test_results_are_measured_as_their_rows_are():
    results = predict_set(Finder(), Counted(8))
    truth = {
        "images": [{"id": record.id, "height": SIZE.height, "width": SIZE.width} for record in Counted(8).records],
        "categories": [{"id": 7, "name": "stone"}, {"id": 3, "name": "shell"}],
        "annotations": [one | {"id": i} for i, one in enumerate(results[::2], start=1)],
    }
    evaluation = evaluate_predictions(truth, results)
    assert evaluation.to_json() == evaluate_predictions(truth, list(results)).to_json()
    assert 0.3 < evaluation.mask.ap < 1


@pytest.mark.parametrize(("count", "processes"), [(11, 1), (11, 2), (11, 3), (10, 4), (3, 8), (1, 2), (0, 3)])
def test_merged_shards_are_what_one_process_finds(count, processes):
    parts, whole = shards(count, processes), predict_set(Finder(), Counted(count))
    for order in (parts, parts[::-1]):
        merged = merge_shards(order)
        assert list(merged) == list(whole)
        assert [picture.index for picture in merged.pictures] == list(range(count))


def test_a_picture_that_two_shards_did_counts_once():
    whole = predict_set(Finder(), Counted(5))
    one, other = (predict_set(Finder(), Counted(5), indices=indices) for indices in ([0, 2, 4], [1, 3, 4, 0]))
    assert merge_shards([one, other]) == whole


def test_a_shard_states_the_pictures_in_which_it_found_nothing():
    part = predict_set(Finder(), Counted(7), indices=[6, 3, 0])
    assert len(part) == 0
    assert [(picture.index, picture.image_id) for picture in part.pictures] == [(6, 1), (3, 51), (0, 0)]


def test_no_shards_have_no_rows():
    assert merge_shards([]) == []


def test_progress_counts_the_chosen_pictures():
    seen = []
    predict_set(Finder(), Counted(9), indices=[8, 1], on_progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 2), (2, 2)]
