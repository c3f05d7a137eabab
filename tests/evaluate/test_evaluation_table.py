import pytest
from rich.console import Console

from centermask.evaluate import ClassScores, Evaluation, Scores, format_table

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar_max")
NAMES += ("ar_small", "ar_medium", "ar_large")


def scores_of(classes, ap=0.125):
    numbers = dict.fromkeys(NAMES, ap) | {"ap_large": float("nan")}
    per_class = {name: ClassScores(ap=ap, ap50=0.25, ar=0.375, instances=n) for name, n in classes.items()}
    return Scores(**numbers, per_class=per_class)


def printed(classes, width=80):
    evaluation = Evaluation(
        box=scores_of(classes, 0.5), mask=scores_of(classes), images=5000, instances=36335, max_detections=100
    )
    console = Console(width=width)
    with console.capture() as capture:
        console.print(format_table(evaluation))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_table_shows_box_and_mask_with_three_decimals_and_a_dash_for_nothing():
    lines = printed({"stone": 3})
    text = "\n".join(lines)
    assert "5000 images, 36335 instances" in text
    assert "AR100" in text
    mask = next(line for line in lines if line.startswith("mask"))
    assert mask.split() == ["mask", "0.125", "0.125", "0.125", "0.125", "0.125", "–", "0.125", "0.125", "0.125"]


def test_the_table_fits_eighty_columns_whole():
    lines = printed({"a rather long name of a class, [bold] and more of it": 123456})
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith("a rather"))
    assert row.split()[-7:] == ["123456", "0.500", "0.250", "0.375", "0.125", "0.250", "0.375"]


def test_classes_stand_the_most_frequent_first_and_brackets_are_kept():
    lines = printed({"few": 1, "[red]many": 9, "some": 4})
    assert [line.split()[0] for line in lines[-3:]] == ["[red]many", "some", "few"]


@pytest.mark.parametrize(("number", "shown"), [(0, False), (30, True), (31, False)])
def test_only_up_to_thirty_classes_are_listed(number, shown):
    text = "\n".join(printed({f"class-{i}": i for i in range(number)}))
    assert ("class-0" in text) == shown
