"""The report of a run: what it shows, how it grows, and that it needs nothing from elsewhere."""

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import yaml

from centermask.config import TrainConfig
from centermask.data.gems import GemRecipe, GemSet
from centermask.errors import UserError
from centermask.evaluate import analyse, evaluate_predictions
from centermask.evaluate.analysis import ErrorKind
from centermask.report import EvaluatedSet, update_report
from centermask.report.evaluation import predicted_now
from centermask.report.sets import Album
from centermask.report.store import Kept, headline, keep
from centermask.size import Size
from tests.pictures import PictureSet, lit
from tests.report.made import (
    SIDE,
    Page,
    empty_pictures,
    evaluated,
    flawed_rows,
    perfect_rows,
    two_pictures,
    write_metrics,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "a"
    write_metrics(path, 30)
    (path / "config.yaml").write_text(yaml.safe_dump({"data": ["DATA"], **TrainConfig(short_side=640).to_dict()}))
    return path


def report(folder: Path, *sets: EvaluatedSet, epoch: int = 1, step: int = 10) -> Page:
    return Page(update_report(folder, sets, epoch=epoch, step=step))


def test_the_report_shows_the_figures_that_were_measured(folder: Path) -> None:
    one = evaluated(two_pictures(), flawed_rows())
    page = report(folder, one, epoch=3, step=30)
    for value in (one.evaluation.mask.ap, one.evaluation.mask.ap50, one.evaluation.box.ap, one.analysis.precision):
        assert 0 < value < 1
        assert f"{value:.3f}" in page.text
    for cost in one.analysis.costs:
        assert f"{cost.cost:.3f}" in page.text
    assert "2 pictures, 5 objects" in page.text
    assert "epoch 3" in page.text
    assert "step 30" in page.text


def test_the_report_shows_each_kind_of_error_that_occurs_and_no_other(folder: Path) -> None:
    one = evaluated(two_pictures(), flawed_rows())
    page = report(folder, one)
    occurring = {case.kind for case in one.analysis.cases}
    assert {"missed", "false", "duplicate", "class"} <= occurring
    for kind in get_args(ErrorKind):
        assert (f"{kind.capitalize()} {_count(one, kind)} costs" in page.text) == (kind in occurring)
    assert "dog → cat" in page.text


def _count(one: EvaluatedSet, kind: ErrorKind) -> int:
    return next(cost.count for cost in one.analysis.costs if cost.kind == kind)


def test_settings_and_losses_are_those_of_the_run(folder: Path) -> None:
    page = report(folder, evaluated(two_pictures(), flawed_rows()), epoch=3, step=30)
    assert "short_side 640" in page.text
    assert "Sum of losses now 0.167" in page.text  # 5 / 30
    assert "Memory, MiB now 1.23k" in page.text
    assert "of the time waiting for pictures 20 %" in page.text  # 0.1 s of 0.5 s


def test_evaluations_accumulate_over_epochs(folder: Path) -> None:
    one = evaluated(two_pictures(), flawed_rows())
    report(folder, one, epoch=1, step=10)
    for epoch in (2, 3):
        page = report(folder, one, epoch=epoch, step=10 * epoch)
        assert [f"epoch {n}:" in page.source for n in (1, 2, 3)] == [n <= epoch for n in (1, 2, 3)]


def test_an_epoch_that_is_evaluated_again_replaces_what_was_kept(folder: Path) -> None:
    pictures = two_pictures()
    report(folder, evaluated(pictures, flawed_rows()), epoch=1, step=10)
    report(folder, evaluated(pictures, []), epoch=2, step=20)
    page = report(folder, evaluated(pictures, perfect_rows(pictures)), epoch=2, step=20)
    assert len(list((folder / "report").glob("*.json"))) == 2
    assert page.source.count("epoch 2:") == page.source.count("epoch 1:") + 1  # once more as the time that shows first
    assert "4 found, 0 missed, 0 false" in page.text


def test_what_lies_after_this_step_is_of_another_run_and_passed_over(folder: Path) -> None:
    one = evaluated(two_pictures(), flawed_rows())
    report(folder, one, epoch=3, step=30)
    page = report(folder, one, epoch=1, step=10)
    assert "epoch 3:" not in page.source
    assert "Sum of losses now 0.5 " in page.text + " "  # 5 / 10


def test_a_torn_line_and_repeated_steps_change_nothing(folder: Path) -> None:
    one = evaluated(two_pictures(), flawed_rows())
    before = report(folder, one, epoch=3, step=30).text
    lines = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(lines + lines.splitlines()[-1] + '\n{"kind": "train", "step": 31, "ep')
    assert report(folder, one, epoch=3, step=30).text.partition("Written")[0] == before.partition("Written")[0]


def test_evaluations_before_there_were_reports_come_from_the_metrics(folder: Path) -> None:
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "val/pets", "step": 10, "epoch": 1.0, "mask_ap": 0.111, "mask_ap50": null}\n')
    page = report(folder, evaluated(two_pictures(), flawed_rows()), epoch=2, step=20)
    assert "mask AP 1: 0.111" in page.source


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "'; --"]
)
def test_hostile_names_stay_text(folder: Path, name: str) -> None:
    pictures = two_pictures((name, name + "2"))
    page = report(folder, evaluated(pictures, flawed_rows(), name=name))
    assert page.tags.count("script") == 1
    assert name in page.text
    assert "alert(1)" not in page.source.partition("<script>")[2]


def test_an_unreadable_picture_leaves_a_grey_place(folder: Path) -> None:
    class Broken(PictureSet):
        def __getitem__(self, index: int):
            raise UserError(f"{index + 1}.png: the picture is broken")

    whole = two_pictures()
    page = report(folder, evaluated(Broken(whole.samples, whole.class_names), flawed_rows()))
    assert "1.png (cannot be read)" in page.text


def test_empty_sets_and_empty_answers_have_a_report_too(folder: Path) -> None:
    nothing_true = evaluated(empty_pictures(2), [])
    assert math.isnan(nothing_true.evaluation.mask.ap)
    assert "no object: 0 found, 0 missed, 0 false" in report(folder, nothing_true).text
    assert "4 × cat" not in report(folder, evaluated(empty_pictures(0), [])).text
    assert "0 found, 4 missed, 0 false" in report(folder, evaluated(two_pictures(), [])).text


def test_a_run_without_files_or_sets_has_a_report_too(tmp_path: Path) -> None:
    page = Page(update_report(tmp_path / "bare", [], epoch=1, step=1))
    assert "config.yaml could not be read" in page.text
    assert "no training step yet" in page.text


def test_of_many_classes_the_thirty_most_frequent_are_shown(folder: Path) -> None:
    classes = tuple(f"class{i:02}" for i in range(80))
    pictures = two_pictures(classes)
    page = report(folder, evaluated(pictures, perfect_rows(pictures)))
    assert "50 less frequent classes are not shown" in page.text
    assert "class00" in page.text
    assert "class79" in page.text  # one object; the others have none
    assert "class78" not in page.text


def test_several_sets_stand_under_each_other_with_links_of_their_own(folder: Path) -> None:
    pictures = two_pictures()
    page = report(folder, evaluated(pictures, flawed_rows(), "cats"), evaluated(pictures, [], "dogs"))
    assert {"s1-errors", "s2-errors"} <= set(page.ids)
    assert "dogs: worst errors" in page.text


def test_a_folder_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="file"):
        update_report(tmp_path / "file", [evaluated(two_pictures(), [])], epoch=1, step=1)


def test_twelve_evaluations_of_real_pictures_stay_below_six_megabytes(folder: Path) -> None:
    gems = GemSet(images=6, recipe=GemRecipe(size=Size(256, 256), stones=(6, 8)))
    pictures = PictureSet([gems[i] for i in range(len(gems))], gems.class_names)
    truth = pictures.truth()
    rows = [{**one, "score": 0.9 - 0.001 * n, "box_score": 0.95} for n, one in enumerate(truth["annotations"]) if n % 5]
    one = EvaluatedSet(name="gems", dataset=pictures, rows=rows, evaluation=evaluate_predictions(truth, rows),
                       analysis=analyse(truth, rows))  # fmt: skip
    now = predicted_now(Album(one), [1, 2, 3, 4, 5, 6], epoch=1.0)
    for epoch in range(1, 15):  # more than are shown
        then = replace(now, epoch=float(epoch))
        keep(folder / "report", Kept(name="gems", step=2 * epoch, scores=headline(one.evaluation), predicted=then))
    path = update_report(folder, [one], epoch=15, step=30)
    assert 100_000 < path.stat().st_size < 6_000_000
    assert "not kept" not in Page(path).text


def test_pictures_of_any_shape_are_shown(folder: Path) -> None:
    wide = PictureSet([lit(Size(8, 900), []), lit(Size(1, 1), []), lit(Size(SIDE, SIDE), [])], ("cat",))
    page = report(folder, evaluated(wide, []))
    assert "aspect-ratio: 480 / 4" in page.source
