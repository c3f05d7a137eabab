"""Which format lies in a folder, and what a data argument says about it."""

import json
from pathlib import Path

import numpy as np
import pytest

from centermask.data.folder import has_coco
from centermask.data.formats import coco_layout
from centermask.data.formats.detect import choose_format, detect_format
from centermask.data.formats.labels import Format
from centermask.data.sources import describe, open_data, read_raw
from centermask.errors import UserError
from tests.data.formats_by_hand import coco_folder, indices, labelme_file, picture, shape, text


def yolo(folder: Path) -> None:
    picture(folder / "images" / "train" / "a.jpg")
    text(folder / "labels" / "train" / "a.txt", "0 0 0 1 0 1 1\n")
    text(folder / "data.yaml", "names: [cat, dog, cow]\n")


def labelme(folder: Path) -> None:
    picture(folder / "a.jpg")
    labelme_file(folder / "a.json", shape("cat", [[1, 1], [9, 9]], "rectangle"))


def png(folder: Path) -> None:
    picture(folder / "images" / "a.jpg")
    indices(folder / "masks" / "a.png", np.ones((20, 30), dtype=np.uint8))


MAKERS = {"coco": coco_folder, "yolo": yolo, "labelme": labelme, "png": png}


@pytest.mark.parametrize("format", MAKERS)
def test_each_format_is_known_by_its_files(tmp_path: Path, format: Format) -> None:
    MAKERS[format](tmp_path)
    assert detect_format(tmp_path) == format
    assert open_data(str(tmp_path)).format == format
    assert open_data(f"{format}:{tmp_path}").format == format
    assert [raw.format for raw in read_raw(str(tmp_path))] == [format]


@pytest.mark.parametrize("pair", [("coco", "yolo"), ("yolo", "labelme"), ("labelme", "png"), ("coco", "png")])
def test_two_formats_are_told_with_the_choice(tmp_path: Path, pair: tuple[Format, Format]) -> None:
    for format in pair:
        MAKERS[format](tmp_path)
    with pytest.raises(UserError, match=" and ") as caught:
        open_data(str(tmp_path))
    for format in pair:
        assert f"{format}:{tmp_path}" in str(caught.value)
        assert open_data(f"{format}:{tmp_path}").format == format


def test_an_unknown_folder_is_refused_with_what_is_known(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    text(tmp_path / "package.json", "{}")
    with pytest.raises(UserError, match=r"COCO.*YOLO-seg.*labelme.*instance PNGs"):
        open_data(str(tmp_path))


@pytest.mark.parametrize("data", ["yolo:none", "coco:none", "labelme:", "none"])
def test_a_missing_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no such folder|known"):
        open_data(data)


def test_the_format_is_said_before_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert choose_format("yolo:a/b") == ("yolo", "a/b")
    assert choose_format("coco:a:person") == ("coco", "a:person")
    assert choose_format("a:yolo") == (None, "a:yolo")
    assert choose_format("yolo") == (None, "yolo")
    (tmp_path / "yolo:a").mkdir()
    assert choose_format("yolo:a") == (None, "yolo:a")


def test_a_name_among_coco_files_is_chosen(tmp_path: Path) -> None:
    coco_folder(tmp_path)
    (tmp_path / "annotations" / "cars_train.json").write_text(
        (tmp_path / "annotations" / "pets_train.json").read_text()
    )
    for data in (f"{tmp_path}:pets", f"coco:{tmp_path}:pets"):
        assert open_data(data).name == "pets"
    with pytest.raises(UserError, match="several names, cars, pets"):
        open_data(str(tmp_path))


def test_one_line_says_what_was_found(tmp_path: Path) -> None:
    coco_folder(tmp_path / "pets", ["train", "val"])
    yolo(tmp_path / "farm")
    assert describe(open_data(str(tmp_path / "pets"))) == "pets: COCO, train 2 pictures, val 2 pictures, 2 classes"
    assert describe(open_data(str(tmp_path / "farm"))) == "farm: YOLO-seg, train 1 picture, 3 classes"


def test_drawn_stones_have_no_files() -> None:
    with pytest.raises(UserError, match="centermask gems FOLDER"):
        read_raw("gems:images=5")


# --- COCO's own layouts ---


@pytest.mark.parametrize("name", ["valid", "val"])
def test_coco_as_roboflow_exports_it(tmp_path: Path, name: str) -> None:
    source = coco_folder(tmp_path / "source", ["train", "val"])
    for folder, split in (("train", "train"), (name, "val")):
        for image in ("a.jpg", "b.png"):
            picture(tmp_path / "set" / folder / image)
        (tmp_path / "set" / folder / "_annotations.coco.json").write_text(
            (source / "annotations" / f"pets_{split}.json").read_text()
        )
    split = open_data(str(tmp_path / "set"))
    assert split.format == "coco"
    assert split.train is not None
    assert split.val is not None
    assert split.val[0].masks


@pytest.mark.parametrize("file", ["annotations.json", "instances.json", "export.json", "annotations/export.json"])
def test_a_lone_coco_file_is_for_training(tmp_path: Path, file: str) -> None:
    source = coco_folder(tmp_path / "source")
    folder = tmp_path / "set"
    picture(folder / "a.jpg")
    picture(folder / "b.png")
    text(folder / file, (source / "annotations" / "pets_train.json").read_text())
    split = open_data(str(folder))
    assert split.val is None
    assert split.train is not None
    assert len(split.train[0].masks) == 4


@pytest.mark.parametrize("content", ["{}", "", '{"images": []}', '{"shapes": []}'])
def test_a_lone_file_of_something_else_is_no_coco(tmp_path: Path, content: str) -> None:
    text(tmp_path / "settings.json", content)
    assert not has_coco(tmp_path)


def test_what_merely_looks_like_coco_is_refused_by_its_reader(tmp_path: Path) -> None:
    text(tmp_path / "a.json", json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(UserError, match="no category"):
        open_data(str(tmp_path))


def test_a_huge_json_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco_layout, "MAX_JSON_BYTES", 10)
    with pytest.raises(UserError, match="split the set into several files"):
        open_data(str(coco_folder(tmp_path)))
