"""The parts of a page, by hand: charts, layers, pairs, fixed pictures, tables, advice, the store and the metrics."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from centermask.evaluate.analysis import CalibrationBin
from centermask.ops.mask_warp import Bitmap
from centermask.report.advice import evaluation_findings, run_findings
from centermask.report.charts import calibration_chart, calibration_shift
from centermask.report.fixed import (
    FALSE,
    MISSED,
    NOTHING,
    RIGHT,
    Predicted,
    choose,
    draw_prediction,
    draw_true,
    palette,
)
from centermask.report.gallery import LEAST_SIDE, SIDE, look_at
from centermask.report.layers import Layer, View, jpeg, whole
from centermask.report.metrics import Metrics, read_metrics, read_settings
from centermask.report.pairs import outside_crowds, pair
from centermask.report.progress import loss_charts, machine_charts, score_chart, sparkline
from centermask.report.sets import Album, Thing, code_of
from centermask.report.store import Kept, keep, kept_until
from centermask.report.svg import fit_axis, label, smooth, thin
from centermask.report.tables import confusion_matrix, heat_matrix
from centermask.size import Size
from tests.pictures import PictureSet, lit, rectangle, to_rle
from tests.report.made import evaluated, flawed_rows, two_pictures, write_metrics

PICTURE = Size(40, 40)


def thing(mask: Bitmap, category_id: int = 1, score: float = 1.0) -> Thing:
    return Thing(category_id, to_rle(mask, PICTURE), score)


def pixels_of(address: str) -> np.ndarray:
    """RGBA of a layer."""
    import base64

    content = base64.b64decode(address.partition("base64,")[2])
    return np.array(Image.open(io.BytesIO(content)).convert("RGBA"))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_an_axis_holds_its_values_and_has_ticks_inside(values: list[float]) -> None:
    axis = fit_axis(values)
    slack = 1e-6 * max(abs(axis.low), abs(axis.high), 1e-6)
    assert axis.low - slack <= min(values) <= max(values) <= axis.high + slack
    assert axis.low < axis.high
    assert 1 <= len(axis.ticks()) <= 12
    assert all(-0.01 <= axis.share(tick) <= 1.01 for tick in axis.ticks())


def test_axes_of_nothing_and_of_no_numbers_go_from_zero_to_one() -> None:
    assert (fit_axis([]).low, fit_axis([math.nan, math.inf]).high) == (0.0, 1.0)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_labels_are_short(value: float) -> None:
    assert len(label(value)) <= 12


def test_thinned_points_are_means_of_neighbours_and_keep_the_range() -> None:
    points = [(float(i), float(i % 2)) for i in range(1000)]
    assert thin(points, 10)[0] == (49.5, 0.5)
    assert len(thin(points, 10)) == 10
    assert thin(points[:3], 10) == points[:3]


def test_smoothing_keeps_a_straight_line_and_both_ends() -> None:
    line = [(float(i), 2.0 * i) for i in range(20)]
    assert smooth(line, 5) == line
    assert smooth([], 3) == []


def test_a_layer_is_clear_where_nothing_is_drawn_and_strong_at_edges() -> None:
    layer = Layer(Size(20, 20), [(200, 10, 20)], fill=0.4, line=2)
    layer.draw(rectangle(5, 5, 10, 10), 0)
    drawn = np.array(Image.open(io.BytesIO(layer.png())).convert("RGBA"))
    assert drawn[0, 0, 3] == 0
    assert drawn[10, 10].tolist() == [200, 10, 20, 102]
    assert drawn[5, 5].tolist() == drawn[6, 6].tolist() == [200, 10, 20, 255]
    assert drawn[7, 7, 3] == 102


def test_boxes_and_dots_beyond_the_layer_are_cut() -> None:
    layer = Layer(Size(10, 10), [(1, 2, 3)])
    layer.frame(-5.0, -5.0, 50.0, 50.0, 0)
    layer.dot(-3.0, 100.0, 0)
    assert layer.plane[0, 5] == layer.plane[9, 5] == layer.plane[5, 9] == 2
    assert layer.plane[5, 5] == 0


def test_a_view_moves_objects_as_it_moves_the_picture() -> None:
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    image[10:20, 30:40] = 255
    view = View(20, 5, Size(20, 30), Size(40, 60))
    placed = view.place(rectangle(30, 10, 10, 10))
    assert (placed.left, placed.top, placed.pixels.shape) == (20, 10, (20, 20))
    shown = view.show(image)
    assert shown[15:25, 25:35].min() > 250
    assert shown[:8].max() < 20  # resampling swings a little beside an edge


def test_a_picture_that_cannot_be_read_is_grey() -> None:
    assert np.unique(whole(Size(30, 20), 100).show(None)).tolist() == [128]


@pytest.mark.parametrize("size", [Size(1, 1), Size(3, 900), Size(900, 3)])
def test_views_of_any_shape_can_be_written(size: Size) -> None:
    view = whole(size, 480)
    assert jpeg(view.show(None)).startswith(b"\xff\xd8")


def test_a_crop_of_a_small_object_shows_what_surrounds_it_and_stays_in_the_picture() -> None:
    view = look_at([Thing(1, to_rle(rectangle(0, 96, 4, 4), Size(100, 200)), 1.0)], Size(100, 200))
    assert (view.left, view.top, view.part) == (0, 100 - LEAST_SIDE, Size(LEAST_SIDE, LEAST_SIDE))
    assert view.size == Size(SIDE, SIDE)
    assert look_at([], Size(100, 200)).part == Size(100, 200)


def test_predictions_take_objects_best_first_and_only_of_their_class() -> None:
    true = [thing(rectangle(0, 0, 10, 10)), thing(rectangle(20, 0, 10, 10), category_id=2)]
    predicted = [
        thing(rectangle(0, 0, 10, 8), score=0.9),  # IoU 0.8
        thing(rectangle(0, 0, 10, 10), score=0.8),  # too late
        thing(rectangle(20, 0, 10, 10), score=0.7),  # another class
    ]
    pairs = pair(true, predicted)
    assert pairs.partner == (0, None, None)
    assert pairs.ious == pytest.approx((0.8, 0.0, 0.0))
    assert pair([], predicted).found == pair(true, []).found == 0


def test_a_prediction_in_a_crowd_of_its_class_does_not_count() -> None:
    crowd = thing(rectangle(0, 0, 30, 30))
    inside, beside = thing(rectangle(2, 2, 5, 5)), thing(rectangle(33, 33, 5, 5))
    other = thing(rectangle(2, 2, 5, 5), category_id=2)
    assert outside_crowds([inside, beside, other], [crowd]) == [beside, other]
    assert outside_crowds([inside], []) == [inside]


def test_the_difference_is_right_where_a_prediction_covers_its_own_object() -> None:
    true = [thing(rectangle(0, 0, 10, 10)), thing(rectangle(20, 20, 10, 10))]
    predicted = [thing(rectangle(0, 0, 14, 10)), thing(rectangle(0, 30, 6, 6))]
    drawn = draw_prediction(whole(PICTURE, 480), true, predicted)
    assert (drawn.true, drawn.found, drawn.false) == (2, 1, 1)
    difference = pixels_of(drawn.difference)
    assert tuple(difference[5, 5, :3]) == RIGHT
    assert tuple(difference[5, 12, :3]) == tuple(difference[33, 3, :3]) == FALSE
    assert tuple(difference[25, 25, :3]) == MISSED
    assert difference[39, 39, 3] == 0


def test_a_prediction_has_the_colour_of_its_object_and_white_without_one() -> None:
    true = [thing(rectangle(0, 0, 10, 10)), thing(rectangle(20, 20, 10, 10))]
    predicted = [thing(rectangle(20, 20, 10, 10)), thing(rectangle(0, 30, 6, 6))]
    view = whole(PICTURE, 480)
    truth = np.array(Image.open(io.BytesIO(draw_true(view, true))).convert("RGBA"))
    drawn = pixels_of(draw_prediction(view, true, predicted).prediction)
    assert tuple(truth[25, 25, :3]) == tuple(drawn[25, 25, :3]) == palette(2)[1]
    assert tuple(drawn[33, 3, :3]) == NOTHING


def test_more_objects_than_colours_are_drawn_too() -> None:
    many = [thing(rectangle(i % 20 * 2, i // 20 * 2, 2, 2)) for i in range(300)]
    drawn = draw_prediction(whole(PICTURE, 480), many, many)
    assert drawn.found == 300


def test_fixed_pictures_are_rich_in_objects_and_classes_and_always_the_same() -> None:
    def sample(*labels: int):
        return lit(Size(40, 40), [rectangle(3 * i, 3 * i, 3, 3) for i in range(len(labels))], list(labels) or None)

    pictures = PictureSet([sample(), sample(0), sample(0, 0, 0, 0, 0, 0), sample(0, 0, 0, 0, 0), sample(1)], ("a", "b"))
    album = Album(evaluated(pictures, []))
    assert choose(album, 3) == [3, 4, 5]  # most objects; next most; then class b, which is new, before one more a
    assert choose(album, 2) == [3, 4]
    assert choose(album, 9) == choose(album, 4) == [3, 4, 5, 2]
    assert choose(Album(evaluated(PictureSet([sample()], ("a",)), [])), 3) == [1]


def test_segmentations_of_all_three_kinds_give_the_same_code() -> None:
    size, code = Size(4, 5), to_rle(rectangle(1, 1, 2, 2), Size(4, 5))
    polygon = [[1, 1, 3, 1, 3, 3, 1, 3]]
    runs = {"size": [4, 5], "counts": [5, 2, 2, 2, 9]}
    written = {"size": [4, 5], "counts": code["counts"].encode()}
    assert code_of(dict(code), size) == code_of(polygon, size) == code_of(runs, size) == code_of(written, size) == code


def test_calibration_is_measured_where_there_are_predictions() -> None:
    empty = CalibrationBin(low=0.0, high=0.1, count=0, predicted=math.nan, true=math.nan)
    full = CalibrationBin(low=0.7, high=0.8, count=3, predicted=0.75, true=0.5)
    more = CalibrationBin(low=0.8, high=0.9, count=1, predicted=0.85, true=0.85)
    assert calibration_shift([empty, full, more]) == pytest.approx(0.1875)
    assert math.isnan(calibration_shift([empty]))
    assert "no prediction to compare" in calibration_chart([empty], "t", "x", "y").drawing
    assert calibration_chart([full, more], "t", "x", "y").keys[0].value == "0.188"


def test_tables_show_shares_and_counts() -> None:
    analysis = evaluated(two_pictures(), flawed_rows()).analysis
    matrix = confusion_matrix(analysis, ["dog"])
    assert [name for name, _ in matrix.rows] == ["dog", "nothing"]
    assert matrix.hidden == 1
    heat = heat_matrix(analysis)
    cells = dict(heat.rows)
    assert cells["small"][0].words == "50 %"  # of four, two cats are found
    assert cells["small"][0].note == "of 4"
    assert cells["large"][0].kind == "empty"


def test_what_costs_most_is_told_first() -> None:
    analysis = evaluated(two_pictures(), flawed_rows()).analysis
    worst = max(analysis.costs, key=lambda one: one.cost)
    assert f"{worst.cost:.3f} higher" in evaluation_findings(analysis)[0].what
    assert evaluation_findings(evaluated(two_pictures(), []).analysis)[0].what.startswith("Missed objects")


def test_a_fall_of_ap_and_long_waiting_are_told() -> None:
    course = [{"epoch": float(i), "mask_ap": ap} for i, ap in enumerate((0.1, 0.3, 0.4, 0.35), start=1)]
    waiting = Metrics(train=[{"epoch": 1.0, "step_s": 1.0, "data_s": 0.5}])
    fall, wait = run_findings(waiting, course, [])
    assert "best at epoch 3 (0.400) and has fallen since, to 0.350" in fall.what
    assert "50 % of the time" in wait.what
    rising = [{"epoch": float(i), "mask_ap": i / 10} for i in range(5)]
    assert "still rises" in run_findings(Metrics(), rising, [])[0].what
    assert run_findings(Metrics(), course[:3], []) == []


def test_charts_of_nothing_are_left_out_or_empty() -> None:
    assert loss_charts(Metrics()) == machine_charts(Metrics()) == []
    assert sparkline([]) == ""
    assert score_chart([], 1.0).keys == []
    assert "<svg" in score_chart([{"epoch": 1.0, "mask_ap": math.nan}], 1.0).drawing


def test_metrics_take_the_last_of_each_step_and_ignore_what_is_torn(tmp_path: Path) -> None:
    write_metrics(tmp_path, 3, torn=True)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(
            '\n{"kind": "train", "step": 2, "epoch": 0.2, "loss": 9.0}\n[1, 2]\n{"kind": "train", "step": null}\n'
        )
        file.write('{"kind": "val/x", "step": 3, "epoch": 1.0, "mask_ap": null}\n{"kind": "train", "step": 7}\n')
    metrics = read_metrics(tmp_path, last_step=3)
    assert [line["step"] for line in metrics.train] == [1, 2, 3]
    assert metrics.series("loss") == [(1.0, 5.0), (2.0, 9.0), (3.0, pytest.approx(5 / 3))]
    assert math.isnan(metrics.val["x"][0]["mask_ap"])
    assert read_metrics(tmp_path / "nowhere", 3) == Metrics(train=[], val={})


@pytest.mark.parametrize("content", ["", "- 1\n- 2\n", "a: [", "\0"])
def test_settings_that_cannot_be_read_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yaml").write_text(content)
    assert read_settings(tmp_path) == []


def test_settings_are_marked_where_they_differ_from_the_default(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data: [A, B]\nflip: 0.5\nema: 0.9\npretrained: true\nlr: null\nnew: {}\n")
    assert [(one.name, one.value, one.chosen) for one in read_settings(tmp_path)] == [
        ("data", "A, B", True), ("flip", "0.5", False), ("ema", "0.9", True), ("pretrained", "yes", True),
        ("lr", "–", False), ("new", "{}", False),
    ]  # fmt: skip


def kept(epoch: float, step: int, score: float = 0.5) -> Kept:
    things = {7: [thing(rectangle(1, 1, 5, 5), score=score)], 8: []}
    predicted = Predicted(epoch=epoch, mask_ap=score, threshold=0.25, things=things)
    return Kept(name="../set", step=step, scores={"mask_ap": score, "box_ap": math.nan}, predicted=predicted)


def test_what_is_kept_reads_back_the_same(tmp_path: Path) -> None:
    keep(tmp_path, kept(1.0, 10))
    (again,) = kept_until(tmp_path, "../set", 10)
    assert again.predicted == kept(1.0, 10).predicted
    assert (again.name, again.step, again.scores["mask_ap"]) == ("../set", 10, 0.5)
    assert math.isnan(again.scores["box_ap"])
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path]


def test_kept_evaluations_come_in_order_without_later_broken_or_other_ones(tmp_path: Path) -> None:
    for epoch, step in ((10.0, 100), (2.0, 20), (30.0, 300)):
        keep(tmp_path, kept(epoch, step))
    broken = next(tmp_path.glob("*.json"))
    broken.with_name(broken.name.replace("-", "-9")).write_text(json.dumps({"step": 1}))
    assert [one.step for one in kept_until(tmp_path, "../set", 200)] == [20, 100]
    assert kept_until(tmp_path, "other", 200) == []
    assert kept_until(tmp_path / "nowhere", "../set", 200) == []
