"""The comparison with Mask R-CNN: a plan of every contender, tiny, from the command to the table."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from centermask.checkpoint import is_counter, save_tensors
from centermask.errors import UserError
from centermask.model.backbones.timm import TimmBackbone
from centermask.ops.mask_warp import to_rle
from centermask.size import Size
from centermask.structures import ImageBatch
from tests.pictures import rectangle, squares

SCRIPTS = Path(__file__).parents[1] / "benchmarks/versus"
Script = Callable[[str], dict[str, Any]]
PLAN = """
settings: {task: gems, epochs: 1, batch: 2, side: 64, pictures: 1}
rows:
  - {contender: mask-rcnn}
  - {contender: fcos-masks}
  - {contender: plus+mask_neighbours=true, lr: 0.001, scale_jitter: [0.5, 1.5], unaveraged: true}
"""


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    """What ``centermask import-backbone`` would write, untrained."""
    path = tmp_path / "backbone.safetensors"
    torch.manual_seed(0)
    tensors = {key: value for key, value in TimmBackbone("mobilenetv2_100").state_dict().items() if not is_counter(key)}
    save_tensors(tensors, path, {"kind": "backbone", "backbone": "timm:mobilenetv2_100"})
    return path


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """What a script defines."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return lambda name: runpy.run_path(str(SCRIPTS / name))


@pytest.fixture
def versus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a script in this process: what it imports takes longer than what it does here."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def run(script: str, *given: object) -> str:
        monkeypatch.setattr(sys, "argv", [script, *map(str, given)])
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_the_table_takes_rows_that_were_trained_otherwise_for_no_seeds_of_each_other(script: Script) -> None:
    figures = {"images": 2, "instances": 3, "crowded": 1, "mask_ap50": 0.5, "mask_ap75": 0.5, "mask_ar": 0.5,
               "box_ap": 0.5, "crowded_ar": 0.5, "found": 4.0, "ms": 5.0}  # fmt: skip
    same = {"task": "gems", "contender": "plus", "backbone": "mv2.safetensors", "pictures": None, "epochs": 2,
            "side": 256, "batch": 8, "lr": 0.004, "backbone_lr": 0.2, "warmup": 0.05, "copy_paste": 0.0,
            "scale_jitter": [1.0, 1.0], "unaveraged": False, "weights": None, "seed": 0}  # fmt: skip
    trained = [({"warmup": 0.05}, 0.1), ({"warmup": 0.2}, 0.2), ({"warmup": 0.2, "seed": 1}, 0.4),
               ({"copy_paste": 0.25}, 0.7), ({"backbone": "lite0.safetensors"}, 0.9),
               ({"weights": "runs/other"}, 0.6)]  # fmt: skip
    rows = [
        {"settings": same | changed, "seconds": [1.0], "memory_mb": 1.0,
         "parameters": 1, "tests": {"mixed": figures | {"mask_ap": precision}}}
        for changed, precision in trained
    ]  # fmt: skip
    lines = script("table.py")["lines"](rows)
    place = lines[0].index("50.0") - 1
    assert [line[place] for line in lines] == ["10.0", "30.0 (20.0–40.0)", "70.0", "90.0", "60.0"]
    assert lines[1][6] == "backbone mv2, warmup 0.2, copy_paste 0.0, weights None"
    with pytest.raises(SystemExit, match="mixed, plus: several rows of one seed"):
        script("table.py")["lines"]([*rows, rows[0]])


def test_true_masks_through_fine_grids_lose_less_than_through_coarse_ones(
    tmp_path: Path, versus: Callable[..., str]
) -> None:
    shown = versus("ceiling.py", "gems", "--data", tmp_path, "--pictures", 2)
    heaped = [line.replace("│", " ").split() for line in shown.splitlines() if "heaped" in line]
    precise = [float(line[5]) for line in heaped]
    assert len(precise) == 3
    assert 70 < precise[0] < precise[1] <= precise[2] <= 100


def test_a_plan_says_what_a_row_is_and_what_it_does_without(tmp_path: Path, script: Script) -> None:
    run = script("run.py")
    row = {"task": "gems", "contender": "plus", "unaveraged": True, "pictures": None, "scale_jitter": [0.5, 1.5]}
    data, backbones = tmp_path / "data", [tmp_path / "mv2.safetensors", tmp_path / "lite0.safetensors"]
    assert run["command"](row, tmp_path, data, backbones[0])[3:] == [
        "--data", str(data), "--backbone", str(backbones[0]), "--task", "gems", "--contender", "plus", "--unaveraged",
        "--scale-jitter", "0.5", "1.5",
    ]  # fmt: skip
    folders = {run["folder_of"](row, backbone, tmp_path) for backbone in backbones}
    assert len(folders) == 2


def test_options_that_a_contender_does_not_have_are_refused(backbone: Path, script: Script) -> None:
    contender = script("contenders.py")["contender"]
    with pytest.raises(TypeError, match="nms_iou"):
        contender("mask-rcnn+nms_iou=0.9", ("stone",), 64, 100, str(backbone))
    with pytest.raises(UserError, match="nms_iuo"):
        contender("plus+nms_iuo=0.9", ("stone",), 64, 100, str(backbone))


@pytest.mark.parametrize(
    ("name", "objects", "boxes", "level_side"),
    [("", 100, 128, 224), ("", 400, 256, 224), ("+boxes=512", 400, 512, 224), ("+level_side=72", 100, 128, 72)],
)
def test_mask_rcnn_learns_from_as_many_boxes_and_pools_from_the_levels_that_its_name_says(
    name: str, objects: int, boxes: int, level_side: int, backbone: Path, script: Script
) -> None:
    network = script("contenders.py")["contender"](f"mask-rcnn{name}", ("stone",), 64, objects, str(backbone))
    assert network.heads.fg_bg_sampler.batch_size_per_image == boxes
    assert network.heads.box_roi_pool.canonical_scale == network.heads.mask_roi_pool.canonical_scale == level_side


@pytest.mark.parametrize("name", ["mask-rcnn", "fcos-masks", "faithful", "plus"])
def test_no_contender_rounds_its_boxes_and_scores_to_bf16(name: str, backbone: Path, script: Script) -> None:
    contenders = script("contenders.py")
    torch.manual_seed(0)
    network = contenders["contender"](name, ("stone",), 64, 100, str(backbone))
    for module in network.modules():  # of an untrained network nothing passes
        for knob in ("score_thresh", "least"):
            if hasattr(module, knob):
                setattr(module, knob, 0.0)
    if hasattr(network, "objective"):
        network.objective.model.decoding = network.objective.model.decoding._replace(class_threshold=0.0)
    batch = ImageBatch(torch.rand(1, 3, 256, 256) * 255, torch.tensor([[256, 256]]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network.eval()(batch)[0]
    assert len(found.boxes) > 10
    for values in (found.boxes, found.box_scores, found.masks):
        assert values.dtype == torch.float32
        assert (values != values.bfloat16().float()).float().mean() > 0.1  # rounded: none


def test_what_is_shown_is_judged_from_any_score_on(script: Script) -> None:
    truth = squares(4, side=64).truth()
    right = [{**one, "score": 0.9 - 0.1 * place} for place, one in enumerate(truth["annotations"])]
    nowhere = to_rle(rectangle(0, 0, 2, 2), Size(64, 64))
    wrong = [{**right[0], "segmentation": nowhere, "score": score} for score in (0.95, 0.2)]
    judge, half_of = (script("shown.py")[name] for name in ("judge", "half_of"))
    best, f1 = judge(truth, [*right, *wrong], 100)
    assert best == pytest.approx((min(one["score"] for one in right) + 0.2) / 2)
    assert f1(best) == pytest.approx(200 * len(right) / (2 * len(right) + 1))
    assert f1(0.92) == 0
    assert f1(0.0) == pytest.approx(200 * len(right) / (2 * len(right) + 2))
    halves = [half_of(truth, right, odd) for odd in (True, False)]
    assert [{row["id"] for row in half["images"]} for half, _ in halves] == [{1, 3}, {2, 4}]
    assert sorted(one["id"] for _, rows in halves for one in rows) == sorted(one["id"] for one in right)
    assert all({row["image_id"] for row in rows} <= {row["id"] for row in half["images"]} for half, rows in halves)


def test_objects_are_counted_by_area_and_what_lies_outside_is_no_mistake(
    tmp_path: Path, versus: Callable[..., str]
) -> None:
    versus_row = {"settings": {"task": "gems", "contender": "plus", "seed": 0, "side": 256, "pictures": 2,
                               "data": str(tmp_path)}}  # fmt: skip
    task = runpy.run_path(str(SCRIPTS / "sets.py"))["open_task"]("gems", tmp_path, 256, train=False, pictures=2)
    truth = task.tests["apart"].truth()
    limit = sorted(one["area"] for one in truth["annotations"])[len(truth["annotations"]) // 2]
    large = [{**one, "score": 0.9} for one in truth["annotations"] if one["area"] >= limit]
    (tmp_path / "row.json").write_text(json.dumps(versus_row))
    (tmp_path / "apart.json").write_text(json.dumps(large))
    shown = versus("areas.py", "apart", tmp_path, "--edges", limit)
    lines = {cells[-4]: cells[-3:] for line in shown.splitlines() if len(cells := line.replace("│", " ").split()) > 3}
    below, total = len(truth["annotations"]) - len(large), len(truth["annotations"])
    assert lines["objects"] == [str(below), str(len(large)), str(total)]
    assert lines["AP"][:2] == ["0.0", "100.0"]
    assert lines["found"] == ["0.00", "1.00", f"{len(large) / total:.2f}"]


@pytest.mark.slow
def test_every_contender_is_trained_and_scored_on_the_same_pictures_and_shown(
    tmp_path: Path, backbone: Path, versus: Callable[..., str]
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    given = [plan, "--data", tmp_path, "--backbone", backbone, "--out", tmp_path / "out"]
    shown = versus("run.py", *given)
    folders = sorted((tmp_path / "out").iterdir())
    rows = [json.loads((folder / "row.json").read_text()) for folder in folders]
    assert {row["settings"]["contender"] for row in rows} == {
        "mask-rcnn", "fcos-masks", "plus+mask_neighbours=true"
    }  # fmt: skip
    assert all(row["pictures"] == 3 and set(row["tests"]) == {"apart", "mixed", "heaped"} for row in rows)
    assert len({row["tests"]["heaped"]["instances"] for row in rows}) == 1
    assert shown.count("heaped  ") == 3
    before = [(folder / "row.json").stat().st_mtime_ns for folder in folders]
    versus("run.py", *given)  # what is done is not done again
    assert [(folder / "row.json").stat().st_mtime_ns for folder in folders] == before
    assert "| gems | heaped | 1 |" in versus("table.py", *folders, "--markdown")
    assert "/ first" in versus("timing.py", *folders[:2], "--pictures", 1, "--steps", 1)
    assert versus("shown.py", "--data", tmp_path, *folders).count("heaped") == 3
    assert versus("areas.py", "heaped", *folders, "--edges", 1000).count("found") == 3
    assert all(row["versions"]["torch"] == torch.__version__ and row["memory_mb"] > 100 for row in rows)
    versus("plots.py", tmp_path / "plots", *folders[:2])
    assert len(list((tmp_path / "plots").glob("*.png"))) == 3
    versus("gallery.py", tmp_path / "gallery.png", "heaped", *folders[:2], "--pictures", 1)
    assert (tmp_path / "gallery.png").stat().st_size > 1000
