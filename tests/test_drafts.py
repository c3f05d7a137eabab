"""Predictions as annotations: what is written is read back, with masks that are nearly or exactly those predicted."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from centermask.cli import main
from centermask.data.check import check_data
from centermask.data.formats.corners import few_corners, simplify
from centermask.data.formats.cvat_writer import row_runs
from centermask.data.sources import open_data
from centermask.drafts import open_drafts
from centermask.errors import UserError
from centermask.instances import Instances
from centermask.ops import mask_warp
from centermask.ops.mask_warp import Bitmap, from_rle, to_rle
from centermask.size import Size

SIZE = Size(120, 160)
CLASSES, IDS = ("cat", "café & <dog>"), (17, 4)


def disc(x: int, y: int, radius: int, hole: int = 0) -> Bitmap:
    rows, columns = np.mgrid[: SIZE.height, : SIZE.width]
    distance = np.hypot(rows - y, columns - x)
    pixels = (distance <= radius) & (distance >= hole)
    return from_rle(to_rle(Bitmap(pixels, 0, 0), SIZE))


def found(bitmaps: list[Bitmap]) -> Instances:
    count = len(bitmaps)
    return Instances(
        size=SIZE,
        boxes=np.array([mask_warp.bounds(bitmap) for bitmap in bitmaps], dtype=np.float32).reshape(-1, 4),
        scores=np.full(count, 0.5, dtype=np.float32),
        box_scores=np.full(count, 0.6, dtype=np.float32),
        labels=np.arange(count) % 2,
        rle=tuple(to_rle(bitmap, SIZE) for bitmap in bitmaps),
        categories=CLASSES,
        category_ids=IDS,
    )


NOTHING = Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)
PICTURES = {
    "a/one.png": [disc(40, 50, 20), disc(110, 60, 30, hole=10)],
    "b/one.png": [NOTHING, disc(80, 60, 12)],
    "empty.png": [],
}


def plane(bitmap: Bitmap) -> np.ndarray:
    whole = np.zeros(SIZE, dtype=bool)
    height, width = bitmap.pixels.shape
    whole[bitmap.top : bitmap.top + height, bitmap.left : bitmap.left + width] = bitmap.pixels
    return whole


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def write(tmp_path: Path, form: str) -> Path:
    paths = [tmp_path / name for name in PICTURES]
    with open_drafts(tmp_path / "drafts", form, paths, CLASSES, IDS) as add:
        for path, bitmaps in zip(paths, PICTURES.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (SIZE.width, SIZE.height), (9, 90, 9)).save(path)
            add(path, found(bitmaps))
    return tmp_path / "drafts"


@pytest.mark.parametrize("form", ["coco", "labelme"])
def test_drafts_are_a_training_set_with_nearly_the_masks_predicted(form: str, tmp_path: Path) -> None:
    drafts = write(tmp_path, form)
    trained = open_data(str(drafts)).train
    assert trained is not None
    assert set(trained.class_names) == set(CLASSES)
    assert len(trained) == 3
    wanted = {(name, i % 2): plane(bitmap) for name, bitmaps in PICTURES.items() for i, bitmap in enumerate(bitmaps)}
    seen = 0
    for picture, bitmaps in enumerate(PICTURES.values()):
        sample = trained[picture]
        assert sample.image.shape == (*SIZE, 3)
        assert len(sample.masks) == sum(bitmap.pixels.any() for bitmap in bitmaps)
        for label, mask in zip(sample.labels, sample.masks, strict=True):
            truth = wanted[list(PICTURES)[picture], CLASSES.index(trained.class_names[label])]
            assert iou(plane(mask_warp.as_bitmap(mask, SIZE)), truth) >= 0.97
            seen += 1
    assert seen == 3
    assert not check_data(str(drafts)).harmful


def test_cocos_ids_are_the_networks_own(tmp_path: Path) -> None:
    content = json.loads((write(tmp_path, "coco") / "annotations" / "instances_train.json").read_text())
    assert [(each["id"], each["name"]) for each in content["categories"]] == list(zip(IDS, CLASSES, strict=True))
    assert [(each["id"], each["image_id"], each["category_id"]) for each in content["annotations"]] == [
        (1, 1, 17), (2, 1, 4), (3, 2, 4),
    ]  # fmt: skip
    assert len({each["file_name"] for each in content["images"]}) == 3


def test_cvat_gets_the_very_masks(tmp_path: Path) -> None:
    drafts = write(tmp_path, "cvat")
    root = ElementTree.parse(drafts / "annotations.xml").getroot()
    assert [label.text for label in root.iterfind("meta/task/labels/label/name")] == list(CLASSES)
    images = root.findall("image")
    assert [len(image) for image in images] == [2, 1, 0]
    assert all((drafts / "images" / image.attrib["name"]).is_file() for image in images)
    drawn = []
    for mask in root.iter("mask"):
        left, top, width, height = (int(mask.attrib[name]) for name in ("left", "top", "width", "height"))
        runs = [int(run) for run in mask.attrib["rle"].split(", ")]
        pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        drawn.append(plane(Bitmap(pixels, left, top)))
    wanted = [plane(bitmap) for bitmaps in PICTURES.values() for bitmap in bitmaps if bitmap.pixels.any()]
    np.testing.assert_array_equal(drawn, wanted)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "drafts").mkdir()
    (tmp_path / "drafts" / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="not an empty folder"), open_drafts(tmp_path / "drafts", "coco", [], CLASSES):
        pass
    assert (tmp_path / "drafts" / "mine.txt").read_text() == "precious"


def test_nothing_stands_there_when_predicting_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_drafts(tmp_path / "drafts", "coco", [], CLASSES):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_disc_needs_few_corners() -> None:
    polygons = few_corners(disc(60, 60, 40), SIZE)
    assert len(polygons.parts) == 1
    assert len(polygons.parts[0]) < 30


def test_specks_keep_every_corner_and_parts_stay_apart() -> None:
    pixels = np.zeros((9, 9), dtype=bool)
    pixels[0, 0] = pixels[4:9, 4:9] = True
    polygons = few_corners(Bitmap(pixels, 10, 10), SIZE)
    assert len(polygons.parts) == 2
    np.testing.assert_array_equal(plane(mask_warp.as_bitmap(polygons, SIZE)), plane(Bitmap(pixels, 10, 10)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 14), st.floats(0.1, 0.95))
def test_any_mask_is_drawn_nearly(seed: int, height: int, width: int, share: float) -> None:
    pixels = np.random.default_rng(seed).random((height, width)) < share
    if not pixels.any():
        return
    mask = Bitmap(pixels, 3, 5)
    drawn = plane(mask_warp.as_bitmap(few_corners(mask, SIZE), SIZE))
    assert iou(drawn, plane(mask)) >= 0.97


def test_simplifying_keeps_corners_and_drops_what_lies_between() -> None:
    ring = np.array([[0, 0], [5, 0.2], [10, 0], [10, 10], [5, 9.9], [0, 10]], dtype=float)
    np.testing.assert_array_equal(simplify(ring, 0.5), ring[[0, 2, 3, 5]])
    np.testing.assert_array_equal(simplify(ring, 0.0), ring)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_row_runs_repeat_to_the_bitmap(row: list[bool]) -> None:
    runs = row_runs(np.array([row]))
    assert np.repeat(np.arange(len(runs)) % 2 == 1, runs).tolist() == row


def test_the_command_writes_drafts_and_refuses_a_full_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.runtimes.made import write as write_network

    monkeypatch.chdir(tmp_path)
    write_network(tmp_path / "model.onnx")
    Image.new("RGB", (50, 40)).save("photo.png")
    command = ["predict", "photo.png", "--weights", "model.onnx", "--labels", "drafts", "--labels-format", "labelme"]
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 0
    labels = json.loads((tmp_path / "drafts" / "train" / "photo.json").read_text())
    assert {shape["label"] for shape in labels["shapes"]} <= {"bright", "dark"}
    assert labels["shapes"]
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 2
    assert "not an empty folder" in capsys.readouterr().err
