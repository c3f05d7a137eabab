import json
import math

import numpy as np
import pytest
from rich.console import Console

from centermask.errors import UserError
from centermask.evaluate import Comparison, compare, evaluate_predictions, format_comparison
from centermask.evaluate.bootstrap import averages, draw
from centermask.evaluate.matching import ALL_AREAS, match_set
from centermask.evaluate.rows import read_predictions, read_truth
from tests.evaluate.scenery import found, random_set, rectangle, true, truth_of

A, B = rectangle(0, 0, 40, 20), rectangle(0, 40, 40, 20)


def two_runs(seed=0, images=24):
    """A truth and two lists of results, the second without some of the first."""
    truth, predictions = random_set(seed, images=images)
    rng = np.random.default_rng(seed)
    return truth, predictions, [one for one in predictions if rng.random() < 0.6]


def by_name(comparison):
    return {score.name: score for score in comparison.scores}


def expected(evaluation):
    mask, box = evaluation.mask, evaluation.box
    return [mask.ap, mask.ap50, mask.ap75, mask.ar_max, box.ap]


@pytest.mark.parametrize(("seed", "limit"), [(0, 100), (1, 100), (2, 100), (3, 2)])
def test_the_values_are_those_of_the_evaluation(seed, limit):
    truth, a, b = two_runs(seed)
    scores = compare(truth, a, b, resamples=3, max_detections=limit).scores
    assert [score.name for score in scores] == ["mask AP", "mask AP50", "mask AP75", "mask AR", "box AP"]
    first, second = (expected(evaluate_predictions(truth, one, max_detections=limit)) for one in (a, b))
    assert [score.a.value for score in scores] == pytest.approx(first, abs=1e-12)
    assert [score.b.value for score in scores] == pytest.approx(second, abs=1e-12)
    differences = [score.difference.value for score in scores]
    assert differences == pytest.approx(np.subtract(second, first).tolist(), abs=1e-12)


def drawn_set(truth, predictions, counts):
    """A set in which each picture stands as often as it was drawn, with an id for each time."""
    copies = {one["id"]: range(int(n)) for one, n in zip(truth["images"], counts, strict=True)}
    again = {"images": [one | {"id": 1000 * one["id"] + n} for one in truth["images"] for n in copies[one["id"]]]}
    rows = [
        [row | {"image_id": 1000 * row["image_id"] + n} for row in rows for n in copies[row["image_id"]]]
        for rows in (truth["annotations"], predictions)
    ]
    return truth | again | {"annotations": rows[0]}, rows[1]


@pytest.mark.parametrize("kind", ["mask", "box"])
def test_a_resample_is_counted_as_the_set_of_its_pictures(kind):
    truth, predictions = random_set(5, images=14)
    for i, one in enumerate(predictions):  # no ties but those of a picture with itself
        one["score"] = one["box_score"] = 1 / (i + 2)
    known = read_truth(truth)
    counts = draw(14, 6, seed=3)
    matches = match_set(known, read_predictions(predictions, known.known), kind, 100, ALL_AREAS)
    got = averages(matches, counts, len(known.known.class_names))
    for i, one in enumerate(counts):
        scores = getattr(evaluate_predictions(*drawn_set(truth, predictions, one)), kind)
        values = [field[i] for field in got]
        assert values == pytest.approx([scores.ap, scores.ap50, scores.ap75, scores.ar_max], abs=1e-12, nan_ok=True)
    assert len(set(got.ap)) > 3


def test_every_resample_draws_as_many_pictures_as_there_are():
    counts = draw(9, 50, seed=1)
    assert counts.shape == (50, 9)
    assert (counts.sum(axis=1) == 9).all()
    assert counts.max() > 1


def test_a_run_does_not_differ_from_itself():
    truth, a, _ = two_runs()
    for score in compare(truth, a, a, resamples=50).scores:
        assert (score.difference.value, score.difference.low, score.difference.high) == (0, 0, 0)
        assert not score.difference.excludes_zero
        assert score.a == score.b
        assert score.a.low < score.a.value < score.a.high


def test_exchanging_the_runs_turns_the_difference_round():
    truth, a, b = two_runs()
    pairs = zip(compare(truth, a, b, resamples=40).scores, compare(truth, b, a, resamples=40).scores, strict=True)
    for one, other in pairs:
        assert one.a == other.b
        assert one.difference.low == pytest.approx(-other.difference.high)
        assert one.difference.value == -other.difference.value


def test_a_difference_that_all_pictures_share_is_sure():
    pictures = range(1, 21)
    truth = truth_of(*(true(A, i) for i in pictures), *(true(B, i) for i in pictures), images=20)
    half = [found(A, 0.9, i) for i in pictures]
    whole = half + [found(B, 0.8, i) for i in pictures]
    score = by_name(compare(truth, half, whole, resamples=100))["mask AR"]
    assert (score.a.value, score.b.value) == (0.5, 1)
    assert (score.difference.low, score.difference.high) == (0.5, 0.5)  # every picture alike
    assert score.difference.excludes_zero


def test_the_interval_is_that_of_the_pictures():
    # Recall is the share of 100 pictures that are found, 80 of them: deviation √(0.8 · 0.2 / 100) = 0.04.
    truth = truth_of(*(true(A, i) for i in range(1, 101)), images=100)
    score = by_name(compare(truth, [found(A, 0.9, i) for i in range(1, 81)], [], resamples=4000))["mask AR"]
    assert score.a.low == pytest.approx(0.8 - 1.96 * 0.04, abs=0.012)
    assert score.a.high == pytest.approx(0.8 + 1.96 * 0.04, abs=0.012)


def test_the_seed_alone_decides():
    truth, a, b = two_runs()
    assert compare(truth, a, b, resamples=20, seed=4) == compare(truth, a, b, resamples=20, seed=4)
    assert compare(truth, a, b, resamples=20, seed=4).scores != compare(truth, a, b, resamples=20, seed=5).scores


def test_without_truth_nothing_is_defined():
    comparison = compare(truth_of(), [found(A)], [], resamples=5)
    assert all(math.isnan(score.difference.value) for score in comparison.scores)
    assert all(math.isnan(score.a.low) for score in comparison.scores)
    assert (comparison.images, comparison.instances) == (1, 0)


@pytest.mark.parametrize("truth", [truth_of(images=0), truth_of(classes=0)])
def test_a_set_without_pictures_or_classes_is_compared(truth):
    assert math.isnan(compare(truth, [], [], resamples=2).scores[0].a.value)


@pytest.mark.parametrize("wrong", ["resamples", "max_detections"])
def test_numbers_below_one_are_refused(wrong):
    with pytest.raises(UserError, match=f"{wrong} is 0"):
        compare(truth_of(), [], [], **{wrong: 0})


def test_a_comparison_comes_back_from_json():
    truth, a, b = two_runs()
    for comparison in (compare(truth, a, b, resamples=5), compare(truth_of(), [], [], resamples=5)):
        text = json.dumps(comparison.to_json(), allow_nan=False)
        assert repr(Comparison.from_json(json.loads(text))) == repr(comparison)


def test_the_table_shows_both_their_difference_and_whether_it_is_sure():
    truth = truth_of(*(true(A, i) for i in range(1, 21)), images=20)
    comparison = compare(truth, [], [found(A, 0.9, i) for i in range(1, 21)], resamples=1000)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(format_comparison(comparison))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert lines[0] == "20 images, 20 instances, 1000 resamples"
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith("mask AR"))
    assert " ".join(row.split()) == "mask AR 0.000 0.000…0.000 1.000 1.000…1.000 +1.000 +1.000…+1.000 *"
