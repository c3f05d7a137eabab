import copy
import json
import math
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from centermask.errors import UserError
from centermask.evaluate import evaluate_predictions
from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.size import Size
from tests.evaluate.scenery import found, random_set, rectangle, true, truth_of

# By hand.


def test_one_perfect_prediction_has_ap_one_everywhere_it_is_defined():
    shape = rectangle(10, 10, 20, 20)  # 400 pixels: small
    evaluation = evaluate_predictions(truth_of(true(shape)), [found(shape)])
    for scores in (evaluation.box, evaluation.mask):
        assert scores.ap == scores.ap50 == scores.ap75 == scores.ap_small == pytest.approx(1, abs=1e-12)
        assert scores.ar1 == scores.ar10 == scores.ar_max == scores.ar_small == 1
        assert all(math.isnan(x) for x in (scores.ap_medium, scores.ap_large, scores.ar_medium, scores.ar_large))


def test_a_mask_iou_of_six_tenths_counts_at_50_55_and_60_only():
    whole, part = rectangle(0, 0, 100, 10), rectangle(0, 0, 60, 10)  # 600 / 1000
    scores = evaluate_predictions(truth_of(true(whole)), [found(part)]).mask
    assert scores.ap50 == pytest.approx(1)
    assert scores.ap75 == 0
    assert scores.ap == pytest.approx(0.3)
    assert scores.ar_max == pytest.approx(0.3)


def test_box_and_mask_are_measured_each_with_its_own_overlap():
    shape, half = rectangle(0, 0, 40, 40), rectangle(0, 0, 40, 10)
    mixed = found(shape) | {"segmentation": half["segmentation"]}  # right box, a quarter of the mask
    evaluation = evaluate_predictions(truth_of(true(shape)), [mixed])
    assert evaluation.box.ap == pytest.approx(1)
    assert evaluation.mask.ap == 0


def test_boxes_are_ranked_by_box_score_and_masks_by_score():
    right, wrong = rectangle(0, 0, 20, 20), rectangle(60, 60, 20, 20)
    predictions = [found(right, score=0.9, box_score=0.1), found(wrong, score=0.2, box_score=0.8)]
    evaluation = evaluate_predictions(truth_of(true(right)), predictions)
    assert evaluation.mask.ap == pytest.approx(1)  # the right one is first
    assert evaluation.box.ap == pytest.approx(0.5)  # the right one is second: precision 1/2 at every recall


def test_boxes_without_box_score_are_ranked_by_score():
    right, wrong = rectangle(0, 0, 20, 20), rectangle(60, 60, 20, 20)
    predictions = [found(right, score=0.9), found(wrong, score=0.2)]
    for prediction in predictions:
        del prediction["box_score"]
    assert evaluate_predictions(truth_of(true(right)), predictions).box.ap == pytest.approx(1)


def test_a_false_detection_of_higher_score_halves_precision():
    right, wrong = rectangle(0, 0, 20, 20), rectangle(60, 60, 20, 20)
    scores = evaluate_predictions(truth_of(true(right)), [found(right, 0.5), found(wrong, 0.8)]).mask
    assert scores.ap == pytest.approx(0.5)
    assert (scores.ar1, scores.ar10) == (0, 1)


def test_sizes_are_measured_apart():
    small, medium, large = rectangle(0, 0, 20, 20), rectangle(0, 25, 40, 40), rectangle(0, 0, 128, 100)
    truth = truth_of(true(small, 1), true(medium, 2), true(large, 3), images=3)
    scores = evaluate_predictions(truth, [found(small, image=1), found(large, image=3)]).mask
    assert (scores.ar_small, scores.ar_medium, scores.ar_large) == (1, 0, 1)
    assert (scores.ap_small, scores.ap_medium, scores.ap_large) == pytest.approx((1, 0, 1))
    assert scores.ar_max == pytest.approx(2 / 3)


def test_the_size_of_a_found_mask_is_its_own_area_not_that_of_its_box():
    bar = rectangle(0, 0, 120, 2)  # 240 pixels: small
    stray = found(bar, score=0.99) | {"bbox": [0, 0, 120, 120]}  # its box is large
    large = rectangle(10, 10, 110, 110)
    scores = evaluate_predictions(truth_of(true(large)), [stray, found(large)]).mask
    assert scores.ap_large == pytest.approx(1)  # a small stray does not count against large objects
    assert scores.ap == pytest.approx(0.5)


def test_a_detection_in_a_crowd_is_neither_right_nor_wrong():
    shape, crowd = rectangle(0, 0, 20, 20), rectangle(60, 60, 60, 60)
    truth = truth_of(true(shape), true(crowd, iscrowd=1))
    evaluation = evaluate_predictions(truth, [found(rectangle(70, 70, 20, 20), 0.95), found(shape, 0.9)])
    assert evaluation.mask.ap == pytest.approx(1)
    assert evaluation.box.ap == pytest.approx(1)
    assert evaluation.instances == 1


def test_classes_are_averaged_and_told_apart():
    shape = rectangle(0, 0, 20, 20)
    truth = truth_of(true(shape, category=1), true(shape, category=2), true(shape, 1, 2), classes=3)
    evaluation = evaluate_predictions(truth, [found(shape, category=1)])
    per_class = evaluation.mask.per_class
    assert list(per_class) == ["class 1", "class 2", "class 3"]
    assert [scores.instances for scores in per_class.values()] == [1, 2, 0]
    assert (per_class["class 1"].ap, per_class["class 2"].ap) == (pytest.approx(1), 0)
    assert math.isnan(per_class["class 3"].ap)
    assert math.isnan(per_class["class 3"].ar)
    assert evaluation.mask.ap == pytest.approx(0.5)  # the class without objects does not count


def test_two_categories_of_one_name_stay_two():
    shape = rectangle(0, 0, 20, 20)
    truth = truth_of(true(shape, category=2), classes=2)
    for category in truth["categories"]:
        category["name"] = "stone"
    per_class = evaluate_predictions(truth, [found(shape, category=2)]).mask.per_class
    assert {name: scores.instances for name, scores in per_class.items()} == {"stone (1)": 0, "stone (2)": 1}


@pytest.mark.parametrize("max_detections", [5, 10, 60, 100, 200])
def test_only_the_best_max_detections_of_a_picture_count(max_detections):
    shapes = [rectangle(12 * (i % 10), 8 * (i // 10), 8, 6) for i in range(120)]
    truth = truth_of(*(true(shape) for shape in shapes))
    predictions = [found(shape, score=1 - i / 200) for i, shape in enumerate(shapes)]
    evaluation = evaluate_predictions(truth, predictions, max_detections=max_detections)
    for scores in (evaluation.box, evaluation.mask):
        assert scores.ar_max == pytest.approx(min(max_detections, 120) / 120)
        assert scores.ar10 == pytest.approx(min(max_detections, 10) / 120)
        assert scores.ar1 == pytest.approx(1 / 120)
    assert evaluation.max_detections == max_detections


def test_one_detection_per_picture_is_a_limit_too():
    shape = rectangle(0, 0, 20, 20)
    scores = evaluate_predictions(truth_of(true(shape)), [found(shape)], max_detections=1).mask
    assert scores.ar1 == scores.ar10 == scores.ar_max == 1


# Nothing.


def test_without_predictions_ap_is_zero():
    evaluation = evaluate_predictions(truth_of(true(rectangle(0, 0, 20, 20))), [])
    for scores in (evaluation.box, evaluation.mask):
        assert scores.ap == scores.ap50 == scores.ar1 == scores.ar_max == scores.ap_small == 0
        assert math.isnan(scores.ap_large)


@pytest.mark.parametrize("predictions", [[], [found(rectangle(0, 0, 20, 20))]])
def test_without_truth_ap_is_not_defined(predictions):
    evaluation = evaluate_predictions(truth_of(), predictions)
    assert math.isnan(evaluation.box.ap)
    assert math.isnan(evaluation.mask.ar_max)
    assert (evaluation.images, evaluation.instances) == (1, 0)


@pytest.mark.parametrize("truth", [truth_of(images=0), truth_of(classes=0), truth_of(images=0, classes=0)])
def test_a_set_without_pictures_or_classes_is_measured(truth):
    assert math.isnan(evaluate_predictions(truth, []).mask.ap)


def test_an_empty_mask_finds_nothing_and_breaks_nothing():
    shape, nothing = rectangle(0, 0, 20, 20), rectangle(0, 0, 0, 0)
    scores = evaluate_predictions(truth_of(true(shape)), [found(nothing, 0.99), found(shape)]).mask
    assert scores.ap == pytest.approx(0.5)


# What comes in and goes out.


def test_the_callers_data_are_not_changed(capsys):
    truth = truth_of(true(rectangle(0, 0, 20, 20)), true(rectangle(30, 30, 30, 30), iscrowd=1))
    predictions = [found(rectangle(0, 0, 20, 20))]
    before = copy.deepcopy((truth, predictions))
    evaluate_predictions(truth, predictions)
    assert (truth, predictions) == before
    assert capsys.readouterr().out == ""


def test_an_annotation_with_id_zero_is_found():
    shape = rectangle(0, 0, 20, 20)
    truth = truth_of(true(shape))
    truth["annotations"][0]["id"] = 0
    assert evaluate_predictions(truth, [found(shape)]).mask.ap == pytest.approx(1)


def test_area_box_and_crowd_flag_are_taken_from_the_mask_where_they_are_missing():
    shape = rectangle(0, 0, 128, 100)
    bare = {"image_id": 1, "category_id": 1, "segmentation": shape["segmentation"]}
    evaluation = evaluate_predictions(truth_of(bare), [found(shape)])
    assert evaluation.box.ap_large == evaluation.mask.ap_large == pytest.approx(1)


@pytest.mark.parametrize(
    "segmentation",
    [
        [[0, 0, 4, 0, 4, 3, 0, 3]],
        [[0, 0, 4, 0, 4, 3, 0, 3], [9, 9, 9, 9]],  # a part of two corners shows nothing
        {"size": [5, 5], "counts": [0, 3, 2, 3, 2, 3, 2, 3, 7]},
        {"size": [5, 5], "counts": to_rle(Bitmap(np.ones((3, 4), dtype=bool), 0, 0), Size(5, 5))["counts"].encode()},
    ],
)
def test_a_mask_may_come_as_polygons_runs_or_bytes(segmentation):
    shape = rectangle(0, 0, 4, 3, side=5)
    truth = truth_of(true(shape | {"segmentation": segmentation}), side=5)
    assert evaluate_predictions(truth, [found(shape)]).mask.ap == pytest.approx(1)
    swapped = found(shape | {"segmentation": segmentation})
    assert evaluate_predictions(truth_of(true(shape), side=5), [swapped]).mask.ap == pytest.approx(1)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"image_id": 9}, "no image with id 9"),
        ({"category_id": 9}, r"no category with id 9; it has 1 \(class 1\)"),
        ({"score": float("nan")}, "finite"),
        ({"score": None}, "finite"),
        ({"bbox": [1, 2, 3]}, "four numbers"),
        ({"segmentation": None}, "expected polygons"),
        ({"segmentation": {"size": [5, 5], "counts": "01"}}, r"size is \[5, 5\], its image's \[128, 128\]"),
        ({"segmentation": {"size": [128, 128], "counts": "01"}}, "add up to 1"),
        ({"segmentation": {"size": [128, 128], "counts": "\x01"}}, "character"),
        ({"segmentation": {"size": [128, 128], "counts": [5, 5]}}, "add up to 10"),
    ],
)
def test_a_broken_prediction_is_refused_by_its_number(broken, said):
    shape = rectangle(0, 0, 20, 20)
    with pytest.raises(UserError, match=f"prediction no. 2: .*{said}"):
        evaluate_predictions(truth_of(true(shape)), [found(shape), found(shape) | broken])


@pytest.mark.parametrize("broken", [{"segmentation": [[1, 2, 3]]}, {"segmentation": None}, {"image_id": 7}])
def test_a_broken_annotation_is_refused_by_its_id(broken):
    with pytest.raises(UserError, match="annotation 1: "):
        evaluate_predictions(truth_of(true(rectangle(0, 0, 20, 20)) | broken), [])


def test_a_truth_that_is_not_coco_is_refused():
    with pytest.raises(UserError, match="no annotations and no categories"):
        evaluate_predictions({"images": []}, [])


def test_less_than_one_detection_is_refused():
    with pytest.raises(UserError, match="max_detections is 0"):
        evaluate_predictions(truth_of(), [], max_detections=0)


def test_json_names_every_field_and_writes_null_for_nan():
    shape = rectangle(0, 0, 20, 20)
    evaluation = evaluate_predictions(truth_of(true(shape)), [found(shape)])
    tree = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert set(tree) == {"box", "mask", "images", "instances", "max_detections"}
    assert set(tree["mask"]) == {field.name for field in fields(evaluation.mask)}
    assert tree["mask"]["ap_large"] is None
    assert tree["mask"]["per_class"]["class 1"] == {
        "ap": pytest.approx(1),
        "ap50": pytest.approx(1),
        "ar": 1,
        "instances": 1,
    }


# By law.


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_number_lies_between_zero_and_one_and_orders_as_it_must(seed):
    evaluation = evaluate_predictions(*random_set(seed, images=4))
    for scores in (evaluation.box, evaluation.mask):
        values = [getattr(scores, field.name) for field in fields(scores) if field.name != "per_class"]
        assert all(math.isnan(value) or 0 <= value <= 1 + 1e-12 for value in values)
        if not math.isnan(scores.ap):
            assert scores.ap <= scores.ap50 + 1e-12
            assert scores.ar1 <= scores.ar10 <= scores.ar_max


def test_the_mean_over_classes_is_the_ap_of_all():
    evaluation = evaluate_predictions(*random_set(3))
    for scores in (evaluation.box, evaluation.mask):
        own = [one.ap for one in scores.per_class.values() if not math.isnan(one.ap)]
        assert scores.ap == pytest.approx(np.mean(own))


def test_a_picture_twice_as_often_changes_nothing():
    truth, predictions = random_set(4, images=3)
    twice = copy.deepcopy(truth)
    twice["images"] += [image | {"id": image["id"] + 100} for image in truth["images"]]
    twice["annotations"] += [a | {"image_id": a["image_id"] + 100, "id": a["id"] + 1000} for a in truth["annotations"]]
    for i, prediction in enumerate(predictions):  # no ties: equal scores would fall into the order of the pictures
        prediction["score"] = prediction["box_score"] = 1 - i / 1000
    more = predictions + [p | {"image_id": p["image_id"] + 100} for p in predictions]
    assert evaluate_predictions(twice, more).mask.ar_max == pytest.approx(
        evaluate_predictions(truth, predictions).mask.ar_max
    )


# By oracle.

AREAS = {"": "all", "_small": "small", "_medium": "medium", "_large": "large"}


def pycocotools_curves(truth, predictions, kind, max_detections):
    """Precision and recall as pycocotools counts them, the results given as boxes only or as masks only."""
    kept = {"bbox": "bbox", "segm": "segmentation"}[kind]
    score = {"bbox": "box_score", "segm": "score"}[kind]
    rows = [
        {"image_id": p["image_id"], "category_id": p["category_id"], "score": p[score], kept: p[kept]}
        for p in copy.deepcopy(predictions)
    ]
    coco = COCO()
    coco.dataset = copy.deepcopy(truth)
    coco.createIndex()
    counting = COCOeval(coco, coco.loadRes(rows), kind)
    counting.params.maxDets = [1, 10, max_detections]
    counting.evaluate()
    counting.accumulate()
    return counting.eval["precision"], counting.eval["recall"], counting.params


def expected_scores(precision, recall, params):
    def mean(values):
        return float(values[values > -1].mean()) if (values > -1).any() else float("nan")

    numbers = {"ap50": mean(precision[0, :, :, 0, -1]), "ap75": mean(precision[5, :, :, 0, -1])}
    numbers |= {"ar1": mean(recall[:, :, 0, 0]), "ar10": mean(recall[:, :, 0, 1]), "ar_max": mean(recall[:, :, 0, 2])}
    for suffix, label in AREAS.items():
        area = params.areaRngLbl.index(label)
        numbers["ap" + suffix] = mean(precision[:, :, :, area, -1])
        if suffix:
            numbers["ar" + suffix] = mean(recall[:, :, area, -1])
    classes = range(precision.shape[2])
    per_class = [
        (mean(precision[:, :, k, 0, -1]), mean(precision[0, :, k, 0, -1]), mean(recall[:, k, 0, -1])) for k in classes
    ]
    return numbers, per_class


def assert_equals_pycocotools(truth, predictions, max_detections):
    evaluation = evaluate_predictions(truth, predictions, max_detections=max_detections)
    for kind, scores in (("bbox", evaluation.box), ("segm", evaluation.mask)):
        numbers, per_class = expected_scores(*pycocotools_curves(truth, predictions, kind, max_detections))
        got = {name: getattr(scores, name) for name in numbers}
        assert got == pytest.approx(numbers, abs=1e-9, nan_ok=True), kind
        for one, expected in zip(scores.per_class.values(), per_class, strict=True):
            assert (one.ap, one.ap50, one.ar) == pytest.approx(expected, abs=1e-9, nan_ok=True), kind
    return evaluation


@pytest.mark.parametrize("seed", range(12))
def test_equals_pycocotools_on_random_sets(seed):
    evaluation = assert_equals_pycocotools(*random_set(seed), max_detections=100)
    assert 0.05 < evaluation.mask.ap < 0.95  # the sets are neither trivial nor hopeless
    assert not math.isnan(evaluation.mask.ap_large)


@pytest.mark.parametrize("max_detections", [30, 100, 500])
def test_equals_pycocotools_with_more_than_a_hundred_detections_per_picture(max_detections):
    truth, predictions = random_set(1, images=3, classes=2, most=300)
    assert max(Counter((p["image_id"], p["category_id"]) for p in predictions).values()) > 100
    assert_equals_pycocotools(truth, predictions, max_detections)
