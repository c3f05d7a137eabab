"""The pages of ``centermask evaluate --html`` and of ``centermask compare --html``."""

from dataclasses import replace
from pathlib import Path

import pytest

from centermask.evaluate import compare
from centermask.evaluate.compare import Comparison
from centermask.report import EvaluatedSet, write_comparison, write_evaluation
from centermask.report.comparison import Quality, pick_pictures, quality, verdict
from centermask.report.sets import Thing
from centermask.size import Size
from tests.pictures import PictureSet, lit, rectangle, to_rle
from tests.report.made import Page, empty_pictures, evaluated, flawed_rows, perfect_rows, two_pictures


def page_of(tmp_path: Path, *sets: EvaluatedSet, title: str = "nano on pets") -> Page:
    write_evaluation(tmp_path / "scores.html", sets, title=title)
    return Page(tmp_path / "scores.html")


def test_an_evaluation_shows_what_was_measured(tmp_path: Path) -> None:
    one = evaluated(two_pictures(), flawed_rows())
    page = page_of(tmp_path, one)
    assert "nano on pets" in page.text
    assert f"Mask AP {one.evaluation.mask.ap:.3f}" in page.text
    assert f"recall {one.analysis.recall:.3f}, from score {one.analysis.threshold:.2f}" in page.text
    assert "2 found, 2 missed, 3 false" in page.text  # of the first picture


def test_counts_of_the_confusion_matrix_are_those_of_the_analysis(tmp_path: Path) -> None:
    one = evaluated(two_pictures(), flawed_rows())
    assert one.analysis.confusion == ((3, 0, 1), (1, 0, 0), (2, 0, 0))
    assert "true ↓ predicted → cat dog missed cat 3 1 dog 1 nothing 2" in page_of(tmp_path, one).text


def test_a_page_of_nothing_is_a_page(tmp_path: Path) -> None:
    page_of(tmp_path)
    page_of(tmp_path, evaluated(empty_pictures(1), []))


def test_hostile_titles_stay_text(tmp_path: Path) -> None:
    page = page_of(tmp_path, evaluated(two_pictures(), []), title="</title><script>alert(1)</script>")
    assert page.tags.count("script") == 1


def compared(a: EvaluatedSet, b: EvaluatedSet) -> Comparison:
    return compare(a.dataset.truth(), a.rows, b.rows, resamples=20)


def test_a_comparison_shows_both_runs_and_their_difference(tmp_path: Path) -> None:
    pictures = two_pictures()
    a, b = evaluated(pictures, flawed_rows(), "first"), evaluated(pictures, perfect_rows(pictures), "second")
    found = compared(a, b)
    write_comparison(tmp_path / "compare.html", found, a, b)
    page = Page(tmp_path / "compare.html")
    for score in found.scores:
        line = f"{score.name} {score.a.value:.3f} {score.b.value:.3f} {score.difference.value:+.3f}"
        assert f"{line} {score.difference.low:+.3f} … {score.difference.high:+.3f}" in page.text
    assert "A first B second" in page.text
    assert "B is better: quality 0.44 → 1.00" in page.text  # two found of IoU 1; (4 true + 5 predicted) / 2
    assert "2.png" not in page.text  # both find the one cat of the second picture


def test_runs_that_agree_differ_nowhere(tmp_path: Path) -> None:
    one = evaluated(two_pictures(), flawed_rows(), "</td><script>")
    found = compared(one, one)
    write_comparison(tmp_path / "compare.html", found, one, one)
    page = Page(tmp_path / "compare.html")
    assert "There is no picture on which they differ" in page.text
    assert "No clear difference" in page.text
    assert page.tags.count("script") == 1


def test_a_comparison_on_nothing_says_so(tmp_path: Path) -> None:
    one = evaluated(empty_pictures(1), [])
    found = compared(one, one)
    write_comparison(tmp_path / "compare.html", found, one, one)
    assert "Nothing can be said" in Page(tmp_path / "compare.html").text


@pytest.mark.parametrize(
    ("low", "high", "words"), [(0.01, 0.03, "B is better"), (-0.03, -0.01, "A is better"), (-0.01, 0.03, "No clear")]
)
def test_only_an_interval_without_zero_names_a_winner(low: float, high: float, words: str) -> None:
    one = evaluated(two_pictures(), flawed_rows())
    found = compared(one, one)
    difference = replace(found.scores[0].difference, value=(low + high) / 2, low=low, high=high)
    scores = (replace(found.scores[0], difference=difference), *found.scores[1:])
    assert verdict(replace(found, scores=scores)).startswith(words)


def test_pictures_are_picked_from_both_sides() -> None:
    better = [Quality(i, 0.0, i / 10) for i in range(1, 7)]
    worse = [Quality(10 + i, i / 10, 0.0) for i in range(1, 4)]
    picked = pick_pictures([*better, *worse, Quality(99, 0.5, 0.5)], 8)
    assert [one.image_id for one in picked] == [6, 5, 4, 3, 2, 13, 12, 11]


def test_quality_of_an_empty_answer_to_an_empty_picture_is_perfect() -> None:
    assert quality([], []) == 1.0
    thing = Thing(1, to_rle(rectangle(0, 0, 4, 4), Size(8, 8)), 0.9)
    assert quality([thing], []) == quality([], [thing]) == 0.0
    assert quality([thing], [thing]) == 1.0


def test_only_pictures_that_are_shown_are_opened(tmp_path: Path) -> None:
    opened: set[int] = set()

    class Watched(PictureSet):
        def __getitem__(self, index: int):
            opened.add(index)
            return super().__getitem__(index)

    whole = two_pictures()
    many = Watched(
        [*whole.samples, *(lit(Size(96, 96), [rectangle(8, 8, 20, 20)], [0]) for _ in range(20))], ("cat", "dog")
    )
    perfect = [row for row in perfect_rows(many) if row["image_id"] != 2]
    page_of(tmp_path, evaluated(many, perfect))
    assert 6 <= len(opened) <= 7  # the fixed ones, and the one with an error
