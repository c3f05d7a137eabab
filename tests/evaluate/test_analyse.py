"""Threshold, curves, heat map, calibration and confusion, by hand and by law."""

import json
import math
from dataclasses import fields

import numpy as np
import pytest

from centermask.errors import UserError
from centermask.evaluate import Analysis, analyse, evaluate_predictions
from centermask.evaluate.analysis import ErrorKind
from centermask.evaluate.errors import KINDS
from tests.evaluate.scenery import found, random_set, rectangle, true, truth_of, without_ties

A, B, C = rectangle(0, 0, 40, 20), rectangle(0, 40, 40, 20), rectangle(60, 80, 40, 20)


def test_the_threshold_is_where_f1_is_highest():
    # From 0.9 on, 1 of 1 is right and 1 of 2 found: F1 2/3. From 0.8: 1/2. From 0.7: 4/5. From 0.6: 2/3. Half-way
    # between 0.7 and 0.6 shows the same as 0.7.
    predictions = [found(A, 0.9), found(C, 0.8), found(B, 0.7), found(C, 0.6)]
    analysis = analyse(truth_of(true(A), true(B)), predictions)
    assert (analysis.threshold, analysis.recall) == (pytest.approx(0.65), 1)
    assert analysis.precision == pytest.approx(2 / 3)


def test_predictions_of_one_score_are_shown_together():
    analysis = analyse(truth_of(true(A)), [found(A, 0.5), found(C, 0.5), found(B, 0.5)])
    assert analysis.threshold == 0.25  # there is none below: half-way to 0
    assert analysis.precision == pytest.approx(1 / 3)


def test_where_nothing_is_right_everything_is_shown():
    analysis = analyse(truth_of(true(A)), [found(B, 0.9), found(C, 0.1)])
    assert (analysis.threshold, analysis.precision, analysis.recall) == (0, 0, 0)
    assert sum(cost.count for cost in analysis.costs) == 3


def test_a_curve_tells_the_precision_and_the_score_at_each_recall():
    # Best first: right, wrong, right of three objects: precision 1 to recall 1/3, 2/3 to recall 2/3, then nothing.
    truth = truth_of(true(A), true(B), true(rectangle(60, 0, 40, 20)))
    curve = analyse(truth, [found(A, 0.9), found(C, 0.8), found(B, 0.7)]).curves[0]
    assert curve.precision == pytest.approx([1.0] * 34 + [2 / 3] * 33 + [0.0] * 34)
    assert curve.scores == pytest.approx([0.9] * 34 + [0.7] * 33 + [math.nan] * 34, nan_ok=True)


def test_each_class_has_three_curves_and_one_without_objects_is_undefined():
    analysis = analyse(truth_of(true(A), classes=2), [found(A), found(B, category=2)])
    assert [(one.class_name, one.iou) for one in analysis.curves] == [
        (name, iou) for name in ("", "class 1", "class 2") for iou in (0.5, 0.75, 0)
    ]
    mean, first, second = analysis.curves[0], analysis.curves[3], analysis.curves[6]
    assert mean.precision == first.precision == (1.0,) * 101
    assert all(math.isnan(value) for value in second.precision)


@pytest.mark.parametrize("seed", range(3))
def test_the_curves_hold_the_average_precisions(seed):
    truth, predictions = random_set(seed)
    evaluation, analysis = evaluate_predictions(truth, predictions), analyse(truth, predictions)
    means = [np.mean(one.precision) for one in analysis.curves]
    mask = evaluation.mask
    assert means[:3] == pytest.approx([mask.ap50, mask.ap75, mask.ap], abs=1e-12)
    per_class = [(one.ap50, one.ap) for one in mask.per_class.values()]
    got = [(means[3 * i], means[3 * i + 2]) for i in range(1, len(per_class) + 1)]
    assert np.array(got) == pytest.approx(np.array(per_class), abs=1e-12, nan_ok=True)


def test_the_heat_map_sorts_objects_by_size_and_overlap():
    # Boxes of 100 × 20 that share 20 × 20 have IoU 400 / 3600 = 1/9; with a class between, they have none.
    left, right = rectangle(0, 0, 100, 20, 400), rectangle(80, 0, 100, 20, 400)
    small, large = rectangle(0, 100, 20, 20, 400), rectangle(0, 200, 100, 100, 400)
    inner = rectangle(0, 200, 60, 100, 400)  # IoU 0.6 with the large one
    truth = truth_of(true(left), true(right), true(small), true(large), true(inner), side=400)
    analysis = analyse(truth, [found(left), found(large)])
    cells = {(one.size, one.overlap): one for one in analysis.heat if one.instances}
    assert {key: one.instances for key, one in cells.items()} == {
        ("small", "0"): 1,
        ("medium", "0.1–0.3"): 2,
        ("medium", "> 0.3"): 1,
        ("large", "> 0.3"): 1,
    }
    assert cells["small", "0"].recall50 == 0
    assert cells["medium", "0.1–0.3"].recall50 == 0.5
    assert cells["large", "> 0.3"].recall == 1
    apart = analyse(truth_of(true(left), true(right, category=2), classes=2, side=400), [])
    assert [(one.size, one.overlap) for one in apart.heat if one.instances] == [("medium", "0")]


def test_the_heat_map_has_every_cell_in_order():
    heat = analyse(truth_of(), []).heat
    assert [one.size for one in heat] == ["small"] * 4 + ["medium"] * 4 + ["large"] * 4
    assert [one.overlap for one in heat[:4]] == ["0", "0–0.1", "0.1–0.3", "> 0.3"]
    assert all(math.isnan(one.recall) and math.isnan(one.recall50) for one in heat)


@pytest.mark.parametrize("seed", range(3))
def test_the_heat_map_holds_the_recall_of_the_evaluation(seed):
    truth, predictions = random_set(seed, classes=2)  # one class with objects: recall is not averaged over classes
    recall, cells = evaluate_predictions(truth, predictions).mask.ar_max, analyse(truth, predictions).heat
    total = sum(one.recall * one.instances for one in cells if one.instances)
    assert total / sum(one.instances for one in cells) == pytest.approx(recall)


def test_predicted_mask_iou_is_compared_with_the_true_one_on_objects_only():
    # Score ÷ box score: 0.4 / 0.5 = 0.8 with IoU 0.6; 0.35 with IoU 1. What lies on nothing does not count.
    predictions = [found(rectangle(0, 0, 24, 20), 0.4, box_score=0.5), found(B, 0.14, box_score=0.4), found(C, 0.9)]
    bins = analyse(truth_of(true(A), true(B)), predictions).mask_iou
    assert [one.count for one in bins] == [0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    assert (bins[8].predicted, bins[8].true) == (pytest.approx(0.8), pytest.approx(0.6))
    assert (bins[3].predicted, bins[3].true) == (pytest.approx(0.35), pytest.approx(1))
    assert math.isnan(bins[0].predicted)


def test_a_box_score_of_zero_predicts_no_mask_iou():
    bins = analyse(truth_of(true(A)), [found(A, 0.0)]).mask_iou
    assert sum(one.count for one in bins) == 0


def test_scores_are_compared_with_the_share_that_is_right():
    predictions = [found(A, 0.95), found(C, 0.91), found(B, 0.15), found(rectangle(0, 100, 5, 5), 1.0)]
    bins = analyse(truth_of(true(A), true(B)), predictions).scores
    assert [one.count for one in bins] == [0, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    assert (bins[1].true, bins[9].true) == (1, pytest.approx(1 / 3))
    assert bins[9].predicted == pytest.approx((0.95 + 0.91 + 1) / 3)


def test_the_confusion_matrix_pairs_masks_whatever_their_class():
    # Rows: true class 1, class 2, nothing. Columns: predicted class 1, class 2, missed.
    truth = truth_of(true(A, category=1), true(B, category=2), true(rectangle(60, 0, 40, 20), category=2), classes=2)
    predictions = [found(A, 0.9, category=2), found(B, 0.9, category=2), found(C, 0.9, category=1)]
    assert analyse(truth, predictions).confusion == ((0, 1, 0), (0, 1, 1), (1, 0, 0))


def test_a_better_score_takes_the_object_and_of_two_alike_the_own_class():
    truth = truth_of(true(A, category=1), true(A, category=2), classes=2)
    assert analyse(truth, [found(A, 0.9, category=2), found(A, 0.8, category=1)]).confusion[:2] == (
        (1, 0, 0),
        (0, 1, 0),
    )
    one = analyse(truth_of(true(A)), [found(A, 0.9), found(A, 0.9), found(B, 0.9)])
    assert one.confusion == ((1, 0), (2, 0))


def test_only_what_is_shown_is_confused():
    analysis = analyse(truth_of(true(A), classes=2), [found(A, 0.9), found(B, 0.2, category=2)])
    assert analysis.confusion == ((1, 0, 0), (0, 0, 0), (0, 0, 0))


# Nothing.


def test_without_predictions_everything_is_missed():
    analysis = analyse(truth_of(true(A), true(B, category=2), true(C, category=2), classes=3), [])
    assert {one.kind: (one.count, one.cost) for one in analysis.costs if one.count or one.cost} == {"missed": (3, 1.0)}
    assert [case.annotation for case in analysis.cases] == [0, 1, 2]
    assert analysis.confusion == ((0, 0, 0, 1), (0, 0, 0, 2), (0, 0, 0, 0), (0, 0, 0, 0))
    assert math.isnan(analysis.precision)
    assert (analysis.recall, analysis.threshold) == (0, 0)
    assert not any(one.count for one in analysis.mask_iou + analysis.scores)


def test_without_truth_everything_is_false():
    analysis = analyse(truth_of(), [found(A, 0.9), found(B, 0.5)])
    assert {one.kind: one.count for one in analysis.costs if one.count} == {"false": 2}
    assert not any(one.cost for one in analysis.costs)  # AP is not defined, so nothing can bring more of it
    assert analysis.confusion == ((0, 0), (2, 0))
    assert math.isnan(analysis.recall)
    assert all(math.isnan(value) for one in analysis.curves for value in one.precision)


@pytest.mark.parametrize("truth", [truth_of(images=0), truth_of(classes=0), truth_of(images=0, classes=0)])
def test_a_set_without_pictures_or_classes_is_analysed(truth):
    analysis = analyse(truth, [])
    assert len(analysis.confusion) == len(analysis.class_names) + 1
    assert analysis.cases == ()


# What comes in and goes out.


def test_an_evaluation_says_how_many_detections_count():
    truth, predictions = truth_of(true(A)), [found(A, 0.9), found(B, 0.9)]
    evaluation = evaluate_predictions(truth, predictions, max_detections=1)
    one, other = analyse(truth, predictions, evaluation=evaluation), analyse(truth, predictions, max_detections=1)
    assert one.to_json() == other.to_json() != analyse(truth, predictions).to_json()


def test_less_than_one_detection_is_refused():
    with pytest.raises(UserError, match="max_detections is 0"):
        analyse(truth_of(), [], max_detections=0)


@pytest.mark.parametrize("images", [0, 1, 5])
def test_an_analysis_comes_back_from_json(images):
    truth, predictions = random_set(2, images=images)
    analysis = analyse(truth, without_ties(predictions))
    text = json.dumps(analysis.to_json(), allow_nan=False)
    again = Analysis.from_json(json.loads(text))
    assert repr(again) == repr(analysis)  # NaN is not equal to itself, but is written alike
    assert set(json.loads(text)) == {field.name for field in fields(Analysis)}


def test_every_kind_is_counted_in_the_order_of_its_definition():
    assert [one.kind for one in analyse(truth_of(), []).costs] == list(KINDS) == list(ErrorKind.__args__)
