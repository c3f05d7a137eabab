"""The check of sets in other formats than COCO, and of folders that hold more than one set."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centermask.data.check import CheckReport, check_data
from centermask.errors import UserError
from tests.data.faults import FAULTS, SIDE, bow_tie, pixels, save_picture, sound

SQUARE = "0.125 0.125 0.4375 0.125 0.4375 0.4375 0.125 0.4375"
BLOCK = "0.5 0.5 0.8 0.5 0.8 0.9 0.5 0.9"


def yolo(folder: Path, **labels: str) -> Path:
    """A YOLO set whose first training picture has other label lines, if given."""
    for split, pictures, seed in (("train", 3, 0), ("val", 2, 100)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for i in range(pictures):
            save_picture(folder / "images" / split / f"{i}.png", seed + i)
            text = labels.get("train", "") if i == 0 and split == "train" and labels else f"0 {SQUARE}\n1 {BLOCK}\n"
            (folder / "labels" / split / f"{i}.txt").write_text(text)
    (folder / "data.yaml").write_text("names: [square, block]\ntrain: images/train\nval: images/val\n")
    return folder


def found(report: CheckReport) -> dict[str, int]:
    return {group.kind: group.count for group in report.groups}


def test_a_sound_yolo_set_has_no_finding(tmp_path: Path) -> None:
    report = check_data(str(yolo(tmp_path / "set")))
    assert report.format == "yolo"
    assert found(report) == {}
    assert [one.objects for one in report.statistics] == [6, 4]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.2 0.2", "label-file"),  # a box, not a polygon
        ("0 12 12 30 12 30 30", "label-file"),  # pixels, not shares
        ("0 0.1 0.1 0.5 0.1 nan 0.5", "label-file"),
        ("square 0.1 0.1 0.5 0.1 0.5 0.5", "label-file"),
        ("7 0.1 0.1 0.5 0.1 0.5 0.5", "label-file"),
        ("0 0.125 0.125 0.4375 0.4375 0.4375 0.1875 0.125 0.4375", "polygon-crosses"),
        ("0 0.2 0.2 0.5 0.5 0.7 0.7", "polygon-no-area"),
    ],
)
def test_a_bad_line_is_told_with_its_place(tmp_path: Path, line: str, kind: str) -> None:
    report = check_data(str(yolo(tmp_path / "set", train=f"0 {SQUARE}\n{line}\n1 {BLOCK}\n")))
    assert found(report) == {kind: 1}
    (finding,) = report.findings()
    assert "0.txt" in finding.where
    assert "2" in f"{finding.annotation} {finding.what}"


def test_one_bad_line_leaves_the_others_to_be_checked(tmp_path: Path) -> None:
    report = check_data(str(yolo(tmp_path / "set", train=f"0 1 2 3\n1 {BLOCK}\n0 0.2 0.2 0.5 0.5 0.7 0.7\n")))
    assert found(report) == {"label-file": 1, "polygon-no-area": 1}


def labelme(folder: Path) -> Path:
    """A labelme set: a square in every picture."""
    for split, pictures, seed in (("train", 3, 0), ("val", 2, 100)):
        (folder / split).mkdir(parents=True)
        for i in range(pictures):
            save_picture(folder / split / f"{i}.png", seed + i)
            shape = {"label": "square", "shape_type": "polygon", "points": [[8, 8], [28, 8], [28, 28], [8, 28]]}
            content = {
                "version": "5.4.1",
                "flags": {},
                "imagePath": f"{i}.png",
                "imageData": None,
                "imageHeight": SIDE,
                "imageWidth": SIDE,
                "shapes": [{**shape, "group_id": None, "flags": {}}],
            }
            (folder / split / f"{i}.json").write_text(json.dumps(content))  # fmt: skip
    return folder


def test_a_sound_labelme_set_has_no_finding(tmp_path: Path) -> None:
    report = check_data(str(labelme(tmp_path / "set")))
    assert (report.format, found(report)) == ("labelme", {})


def spoil(path: Path, **values: object) -> None:
    """Change values of a labelme file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "values",
    [
        {"imagePath": "../../0.png"},
        {"imagePath": "none.png"},
        {"shapes": 3},
        {"shapes": [{"label": "square", "shape_type": "polygon", "points": [[8, 8], [28, "x"], [28, 28]]}]},
        {"shapes": [{"label": "square", "shape_type": "polygon", "points": [[8, 8], [28, float("nan")], [28, 28]]}]},
        {"imageHeight": 480},
    ],
)
def test_a_bad_labelme_file_is_an_error(tmp_path: Path, values: dict[str, object]) -> None:
    folder = labelme(tmp_path / "set")
    spoil(folder / "train" / "1.json", **values)
    report = check_data(str(folder))
    assert report.harmful
    assert any("1.json" in finding.where or "1.png" in finding.where for finding in report.findings())


def test_a_labelme_file_cut_off_is_an_error(tmp_path: Path) -> None:
    folder = labelme(tmp_path / "set")
    path = folder / "train" / "1.json"
    path.write_text(path.read_text()[:-30])
    assert found(check_data(str(folder))) == {"label-file": 1}


def index_png(folder: Path) -> Path:
    """Pictures beside masks whose pixels number the objects."""
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[8:28, 8:28], mask[30:54, 34:54] = 1, 2
    for split, pictures, seed in (("train", 3, 0), ("val", 2, 100)):
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for i in range(pictures):
            save_picture(folder / split / "images" / f"{i}.png", seed + i)
            Image.fromarray(mask).save(folder / split / "masks" / f"{i}.png")
    return folder


def test_a_sound_set_of_index_pngs_has_no_finding(tmp_path: Path) -> None:
    report = check_data(str(index_png(tmp_path / "set")))
    assert (report.format, found(report)) == ("png", {})
    assert [one.objects for one in report.statistics] == [6, 4]


@pytest.mark.parametrize("content", [b"", b"no picture", "small", "colour"])
def test_a_bad_mask_is_an_error(tmp_path: Path, content: bytes | str) -> None:
    folder = index_png(tmp_path / "set")
    path = folder / "train" / "masks" / "1.png"
    if content == "small":
        Image.new("L", (10, 10)).save(path)
    elif content == "colour":
        Image.fromarray(pixels(1)).save(path)
    else:
        path.write_bytes(content)
    report = check_data(str(folder))
    assert report.harmful
    assert any("1.png" in finding.where for finding in report.findings())


@pytest.mark.parametrize("make", [yolo, labelme, index_png])
@pytest.mark.parametrize("content", [b"", b"no picture", "cut off"])
def test_a_broken_picture_is_one_in_every_format(
    tmp_path: Path, make: Callable[[Path], Path], content: bytes | str
) -> None:
    folder = make(tmp_path / "set")
    path = next(path for path in sorted(folder.rglob("0.png")) if "train" in path.parts and "masks" not in path.parts)
    path.write_bytes(path.read_bytes()[:-800] if isinstance(content, str) else content)
    report = check_data(str(folder))
    assert found(report) == {"picture-broken": 1}
    (finding,) = report.findings()
    assert finding.picture.endswith("0.png")


# --- folders, names and files


def test_pictures_of_another_set_in_the_folder_are_no_strangers(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    one.save()
    save_picture(one.folder / "train" / "other.png", 50)
    assert found(check_data(str(one.folder))) == {"picture-extra": 1}
    other = {"images": [{"id": 1, "file_name": "other.png", "width": SIDE, "height": SIDE}]}
    (one.folder / "annotations" / "others.json").write_text(json.dumps(other))
    assert found(check_data(str(one.folder))) == {}


def test_a_set_is_chosen_by_its_name(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    one.save()
    bow_tie(one)
    (one.folder / "annotations" / "ties_train.json").write_text(json.dumps(one.train))
    assert found(check_data(f"{one.folder}:things")) == {}
    assert found(check_data(f"{one.folder}:ties")) == {"polygon-crosses": 1}


def test_files_can_be_given(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    bow_tie(one)
    (tmp_path / "mine.json").write_text(json.dumps(one.train))
    report = check_data(str(one.folder), train_annotations=tmp_path / "mine.json", images=one.folder / "train")
    assert found(report) == {"polygon-crosses": 1}
    assert [one.split for one in report.statistics] == ["train"]


def test_a_lone_split_is_checked(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    one.save()
    (one.folder / "annotations" / "things_train.json").unlink()
    report = check_data(str(one.folder))
    assert (found(report), [one.split for one in report.statistics]) == ({}, ["val"])


def test_a_picture_folder_may_be_a_link(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    one.save()
    (one.folder / "train").rename(tmp_path / "elsewhere")
    (one.folder / "train").symlink_to(tmp_path / "elsewhere")
    assert found(check_data(str(one.folder))) == {}


@pytest.mark.parametrize("data", ["none", "gems:", "yolo:none"])
def test_what_is_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        check_data(data)


def test_progress_counts_the_pictures(tmp_path: Path) -> None:
    one = sound(tmp_path / "set")
    FAULTS["picture cut off"][0](one)
    one.save()
    told: list[tuple[int, int]] = []
    check_data(str(one.folder), on_progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 7) for i in range(1, 8)]


def test_a_labelme_mask_is_checked_like_any_other(tmp_path: Path) -> None:
    folder = labelme(tmp_path / "set")
    coded = io.BytesIO()
    Image.fromarray(np.zeros((21, 21), dtype=bool)).save(coded, "PNG")
    mask = {"label": "square", "shape_type": "mask", "points": [[8, 8], [28, 28]],
            "mask": base64.b64encode(coded.getvalue()).decode()}  # fmt: skip
    spoil(folder / "train" / "1.json", shapes=[mask])
    assert check_data(str(folder)).harmful
