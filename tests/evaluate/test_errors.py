"""Each kind of error by hand, its count, its cost and its case; then what must hold for all."""

import copy
import math

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from centermask.evaluate import analyse, evaluate_predictions
from centermask.evaluate.errors import BOTH, DUPLICATE, FALSE, KINDS, judge_set
from centermask.evaluate.rows import read_predictions, read_truth
from tests.evaluate.scenery import found, random_set, rectangle, true, truth_of, without_ties

A, B, C = rectangle(0, 0, 40, 20), rectangle(0, 40, 40, 20), rectangle(60, 80, 40, 20)
A40 = rectangle(0, 0, 16, 20)  # IoU 0.4 with A
A05 = rectangle(0, 0, 2, 20)  # IoU 0.05 with A


def counts(analysis):
    return {cost.kind: cost.count for cost in analysis.costs if cost.count}


def costs(analysis):
    return {cost.kind: cost.cost for cost in analysis.costs}


def cases(analysis):
    return [(case.kind, case.prediction, case.annotation) for case in analysis.cases]


# By hand. AP50 is the mean of the precision at 101 recalls: of two objects, the first one covers 51 of them.


def test_a_prediction_on_nothing_is_false():
    truth = truth_of(true(A), true(B))
    analysis = analyse(truth, [found(A, 0.9), found(C, 0.8), found(B, 0.7)])
    assert counts(analysis) == {"false": 1}
    assert cases(analysis) == [("false", 1, None)]
    assert (analysis.cases[0].score, analysis.cases[0].weight, analysis.cases[0].iou) == (0.8, 0.8, 0)
    assert costs(analysis)["false"] == pytest.approx(50 / 101 / 3)  # precision 2/3 → 1 at the last 50 recalls


def test_a_second_prediction_of_one_object_is_a_duplicate():
    truth = truth_of(true(A), true(B))
    analysis = analyse(truth, [found(A, 0.9), found(A, 0.8), found(B, 0.7)])
    assert counts(analysis) == {"duplicate": 1}
    assert cases(analysis) == [("duplicate", 1, 0)]
    assert analysis.cases[0].iou == 1
    assert costs(analysis)["duplicate"] == pytest.approx(50 / 101 / 3)


def test_an_object_without_prediction_is_missed():
    analysis = analyse(truth_of(true(A), true(B)), [found(A, 0.9)])
    assert counts(analysis) == {"missed": 1}
    assert cases(analysis) == [("missed", None, 1)]
    assert (analysis.cases[0].score, analysis.cases[0].weight) == (1, 800)  # 40 × 20 pixels
    assert costs(analysis)["missed"] == pytest.approx(50 / 101)  # only 51 recalls were reached


def test_a_poor_mask_is_a_mask_error_and_its_object_is_not_missed_as_well():
    analysis = analyse(truth_of(true(A)), [found(A40, 0.9)])
    assert counts(analysis) == {"mask": 1}
    assert cases(analysis) == [("mask", 0, 0)]
    assert analysis.cases[0].iou == pytest.approx(0.4)
    assert analysis.cases[0].weight == pytest.approx(0.9 * 0.1)
    assert costs(analysis) == {"mask": pytest.approx(1)} | dict.fromkeys(costs(analysis).keys() - {"mask"}, 0)


def test_the_right_mask_with_another_class_is_a_class_error():
    analysis = analyse(truth_of(true(A, category=1), classes=2), [found(A, 0.9, category=2)])
    assert counts(analysis) == {"class": 1}
    assert cases(analysis) == [("class", 0, 0)]
    assert costs(analysis)["class"] == pytest.approx(1)
    assert costs(analysis)["missed"] == 0


def test_a_poor_mask_with_another_class_is_both_and_leaves_its_object_missed():
    truth = truth_of(true(A, category=1), true(B, category=2), classes=2)
    analysis = analyse(truth, [found(A40, 0.9, category=2), found(B, 0.8, category=2)])
    assert counts(analysis) == {"class and mask": 1, "missed": 1}
    assert cases(analysis) == [("missed", None, 0), ("class and mask", 0, 0)]
    assert costs(analysis)["class and mask"] == pytest.approx((1 - 0.5) / 2)  # class 2: precision 1/2 → 1
    assert costs(analysis)["missed"] == pytest.approx(1 / 2)  # class 1: 0 → 1


def test_an_overlap_below_a_tenth_is_nothing_and_one_of_a_half_is_enough():
    tenth, half = rectangle(0, 0, 4, 20), rectangle(0, 0, 20, 20)  # IoU 0.1 and 0.5 with A
    assert counts(analyse(truth_of(true(A)), [found(A05)])) == {"false": 1, "missed": 1}
    assert counts(analyse(truth_of(true(A)), [found(tenth)])) == {"mask": 1}
    assert counts(analyse(truth_of(true(A)), [found(half)])) == {}


def test_of_two_poor_masks_on_one_object_mending_keeps_the_better_scored():
    # Mended: A at 0.9, nothing at 0.8, B at 0.7. Precision 1 throughout; before, 1/3 at the first 51 recalls.
    truth = truth_of(true(A), true(B))
    analysis = analyse(truth, [found(A40, 0.9), found(A40, 0.8), found(B, 0.7)])
    assert counts(analysis) == {"mask": 2}
    assert costs(analysis)["mask"] == pytest.approx(1 - 51 / 101 / 3)


def test_a_poor_mask_on_a_found_object_is_left_out_by_mending():
    analysis = analyse(truth_of(true(A)), [found(A40, 0.9), found(A, 0.8)])
    assert counts(analysis) == {"mask": 1}
    assert costs(analysis)["mask"] == pytest.approx(1 / 2)  # precision 1/2 → 1


def test_mending_a_class_moves_the_prediction_to_the_class_of_its_object():
    # Class 1: its one object found by a prediction of class 2, 0 → 1. Class 2: that one stood first, 1/2 → 1.
    truth = truth_of(true(A, category=1), true(B, category=2), classes=2)
    analysis = analyse(truth, [found(A, 0.9, category=2), found(B, 0.8, category=2)])
    assert costs(analysis)["class"] == pytest.approx((1 + 1 / 2) / 2)


def test_a_prediction_in_a_crowd_of_its_class_is_no_error():
    crowd = true(rectangle(0, 60, 120, 60), iscrowd=1)
    analysis = analyse(truth_of(true(A), crowd), [found(A, 0.8), found(C, 0.9), found(C, 0.85)])
    assert counts(analysis) == {}
    assert analysis.confusion == ((1, 0), (0, 0))
    assert (analysis.precision, analysis.recall) == (1, 1)


def test_a_crowd_is_never_missed_and_excuses_only_its_own_class():
    crowd = true(rectangle(0, 60, 120, 60), iscrowd=1, category=1)
    assert counts(analyse(truth_of(crowd, classes=2), [])) == {}
    assert counts(analyse(truth_of(crowd, classes=2), [found(C, category=2)])) == {"false": 1}


def test_errors_below_the_threshold_cost_but_are_not_shown():
    truth = truth_of(true(A), true(B), true(rectangle(60, 0, 40, 20)))
    poor = found(rectangle(60, 0, 16, 20), 0.1)
    analysis = analyse(truth, [found(A, 0.9), found(B, 0.8), found(C, 0.2), poor])
    assert analysis.threshold == 0.5  # between 0.8 and 0.2
    assert counts(analysis) == {"missed": 1}  # what would find it is not shown
    assert costs(analysis)["mask"] > 0
    assert costs(analysis)["missed"] == 0


def test_the_worst_cases_stand_first_and_only_so_many_are_kept():
    strays = [found(rectangle(100, 8 * i, 10, 4), 0.1 + 0.05 * i) for i in range(10)]
    analysis = analyse(truth_of(true(A)), strays, cases_per_kind=3)
    false = [case for case in analysis.cases if case.kind == "false"]
    assert [case.prediction for case in false] == [9, 8, 7]
    assert counts(analysis)["false"] == 10


def test_places_are_those_in_the_lists_that_were_given():
    truth = truth_of(true(C, 3), true(A, 1), true(B, 2), images=3)
    predictions = [found(B, 0.5, image=3), found(A, 0.6, image=1), found(A40, 0.55, image=1), found(B, 0.9, image=2)]
    analysis = analyse(truth, predictions)
    assert analysis.threshold == pytest.approx(0.575)  # between 0.6 and 0.55
    assert [(case.kind, case.image_id, case.annotation) for case in analysis.cases] == [("missed", 3, 0)]
    shown = analyse(truth, [one | {"score": 1.0} for one in predictions])
    assert [(case.kind, case.image_id, case.prediction, case.annotation) for case in shown.cases] == [
        ("missed", 3, None, 0),
        ("false", 3, 0, None),
        ("mask", 1, 2, 1),
    ]


def test_only_the_best_max_detections_of_a_class_are_judged():
    predictions = [found(A, 0.9), found(C, 0.8), found(C, 0.7)]
    assert counts(analyse(truth_of(true(A)), [one | {"score": 1.0} for one in predictions], max_detections=2)) == {
        "false": 1
    }


# By law.


def perfect(truth):
    pairs = enumerate(truth["annotations"])
    return [found(one, 1 - i / 1e4, one["image_id"], one["category_id"]) for i, one in pairs if not one["iscrowd"]]


@pytest.mark.parametrize("seed", range(4))
def test_perfect_predictions_have_no_errors(seed):
    truth, _ = random_set(seed)
    for place, one in enumerate(truth["annotations"]):  # objects of their own: no two masks alike, none a crowd
        one |= rectangle(7 * (place % 40), 6 * (place // 40), 5, 4, side=320) | {"iscrowd": 0}
    analysis = analyse(truth, perfect(truth))
    assert counts(analysis) == {}
    assert not any(costs(analysis).values())
    assert analysis.cases == ()
    confusion = np.array(analysis.confusion)
    assert (confusion == np.diag(np.diag(confusion))).all()
    assert confusion.sum() == len(truth["annotations"])
    assert (analysis.precision, analysis.recall) == (1, 1)
    assert all(math.isnan(cell.recall) or cell.recall == 1 for cell in analysis.heat)


@pytest.mark.parametrize("seed", range(8))
def test_mending_never_costs_and_never_brings_more_than_is_lacking(seed):
    truth, predictions = random_set(seed)
    ap50 = evaluate_predictions(truth, predictions).mask.ap50
    found_costs = costs(analyse(truth, predictions))
    assert all(0 <= cost <= 1 - ap50 + 1e-9 for cost in found_costs.values())
    assert sum(cost > 0 for cost in found_costs.values()) >= 3


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_predictions_changes_nothing(seed):
    truth, predictions = random_set(seed)
    predictions = without_ties(predictions)
    order = np.random.default_rng(seed).permutation(len(predictions))
    one, other = analyse(truth, predictions), analyse(truth, [predictions[i] for i in order])
    moved = [None if case.prediction is None else int(order[case.prediction]) for case in other.cases]
    assert moved == [case.prediction for case in one.cases]
    plain, again = one.to_json(), other.to_json()
    for case in plain["cases"] + again["cases"]:
        del case["prediction"]
    assert plain == again


@pytest.mark.parametrize("seed", range(6))
def test_every_prediction_from_the_threshold_on_is_right_ignored_or_one_error(seed):
    truth, predictions = random_set(seed)
    for one in truth["annotations"]:
        one["iscrowd"] = 0
    analysis = analyse(truth, predictions)
    shown = sum(one["score"] >= analysis.threshold for one in predictions)
    wrong = sum(cost.count for cost in analysis.costs if cost.kind != "missed")
    assert shown - wrong == pytest.approx(analysis.precision * shown)
    assert np.array(analysis.confusion)[:, :-1].sum() == shown
    assert np.array(analysis.confusion)[:-1].sum() == len(truth["annotations"])


# By oracle.


def library_ap50(truth, predictions):
    truth = copy.deepcopy(truth)  # the library writes into it
    rows = [{**one, "id": i, "iscrowd": 0} for i, one in enumerate(predictions, start=1)]
    for one in rows:
        del one["bbox"]  # else the area would be the box's
    counting = COCOeval_faster(COCO(truth), COCO({**truth, "annotations": rows}), "segm")
    counting.evaluate()
    counting.accumulate()
    precision = counting.eval["precision"][0, :, :, 0, -1]
    return precision[precision > -1].mean()


@pytest.mark.parametrize("seed", range(6))
def test_unmended_ap50_is_that_of_faster_coco_eval(seed):
    truth, predictions = random_set(seed, images=8)
    predictions = without_ties(predictions)
    curve = analyse(truth, predictions).curves[0]
    assert (curve.class_name, curve.iou) == ("", 0.5)
    assert np.mean(curve.precision) == pytest.approx(evaluate_predictions(truth, predictions).mask.ap50, abs=1e-12)
    assert np.mean(curve.precision) == pytest.approx(library_ap50(truth, predictions), abs=1e-9)


@pytest.mark.parametrize("kind", [FALSE, DUPLICATE, BOTH])
def test_mending_what_helps_nothing_is_leaving_it_out(kind):
    truth, predictions = random_set(7)
    predictions = without_ties(predictions)
    true_objects = read_truth(truth)
    matches, verdicts = judge_set(true_objects, read_predictions(predictions, true_objects.known), 100)
    wrong = set(matches.found[verdicts.kinds == kind].tolist())
    assert wrong
    kept = [one for i, one in enumerate(predictions) if i not in wrong]
    gained = library_ap50(truth, kept) - library_ap50(truth, predictions)
    assert costs(analyse(truth, predictions))[KINDS[kind]] == pytest.approx(gained, abs=1e-9)
    assert gained > 0
