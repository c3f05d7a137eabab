"""Conversion between the formats: what goes in comes out, pixel by pixel."""

import json
import os
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from centermask.data import convert as convert_module
from centermask.data.convert import convert, plain_names
from centermask.data.formats.labels import Format
from centermask.data.sources import describe, open_data
from centermask.errors import UserError
from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.size import Size
from tests.data.formats_by_hand import SIZE, coco_folder, codes, picture, text

FORMATS: tuple[Format, ...] = ("coco", "yolo", "labelme", "png")
NOTHING = to_rle(Bitmap(np.zeros((0, 0), dtype=bool), 0, 0), SIZE)["counts"]
"""The code of a mask without a pixel."""
LEFT_OUT = ("1 object left out: no pixel of the picture is drawn",)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Polygons, parts and run-length codes with a hole and pieces; a training and a validation split."""
    return coco_folder(tmp_path / "pets", ["train", "val"])


def single_coco(folder: Path, *segmentations: object, size: Size = SIZE, crowds: int = 0) -> Path:
    """A COCO set of one picture; the last ``crowds`` of its annotations are crowds."""
    picture(folder / "train" / "a.png", size)
    objects = len(segmentations) - crowds
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": size.height, "width": size.width}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "segmentation": value, "iscrowd": int(i > objects)}
            for i, value in enumerate(segmentations, start=1)
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    text(folder / "annotations" / "things_train.json", json.dumps(content))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- round trips ---


@pytest.mark.parametrize("to", FORMATS)
def test_every_mask_survives_there_and_back(pets: Path, tmp_path: Path, to: Format) -> None:
    converted = convert(str(pets), tmp_path / "there", to=to)
    assert (converted.format, converted.pictures, converted.objects) == (to, 4, 8)
    convert(str(tmp_path / "there"), tmp_path / "back", to="coco")
    source, there, back = (open_data(str(tmp_path / name)) for name in ("pets", "there", "back"))
    assert there.format == to
    for split in ("train", "val"):
        expected = codes(source, split)
        for found in (codes(there, split), codes(back, split)):
            assert list(found.values()) == list(expected.values())  # an index PNG renames what is there twice
    assert converted.notes == (("2 pictures renamed, so that all have names of their own",) if to == "png" else ())


@pytest.mark.parametrize("order", list(permutations(FORMATS[1:])))
def test_every_mask_survives_a_chain_through_all_formats(pets: Path, tmp_path: Path, order: tuple[Format, ...]) -> None:
    data = pets
    for number, to in enumerate((*order, "coco")):
        convert(str(data), tmp_path / str(number), to=to)
        data = tmp_path / str(number)
    expected = codes(open_data(str(pets)))
    assert list(codes(open_data(str(data))).values()) == list(expected.values())
    assert list(codes(open_data(str(data)), "val").values()) == list(codes(open_data(str(pets)), "val").values())


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pixels=arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), to=st.sampled_from(FORMATS[1:]))
def test_any_bitmap_survives(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray, to: Format) -> None:
    if not pixels.any():
        return
    folder = tmp_path_factory.mktemp("any")
    code = to_rle(Bitmap(pixels, 5, 2), SIZE)
    convert(str(single_coco(folder / "data", code)), folder / "out", to=to)
    assert codes(open_data(str(folder / "out")))["a"] == [("thing", code["counts"])]


@settings(deadline=None, max_examples=40)
@example(points=[np.array([[-7, 0], [-7, -7], [-7, -7], [-7, -7], [510, 50]])], to="yolo")
@given(
    points=st.lists(arrays(np.int64, (5, 2), elements=st.integers(-100, 4000)), min_size=1, max_size=3),
    to=st.sampled_from(FORMATS[1:3]),
)
def test_any_polygons_draw_the_same(
    tmp_path_factory: pytest.TempPathFactory, points: list[np.ndarray], to: Format
) -> None:
    """Also where they reach over the picture, cross themselves or lie on each other."""
    folder = tmp_path_factory.mktemp("any")
    data = single_coco(folder / "data", [(part / 100).ravel().tolist() for part in points])
    try:
        source = codes(open_data(str(data)))
    except UserError:  # encloses nothing inside of the picture
        return
    converted = convert(str(data), folder / "out", to=to)
    found = codes(open_data(str(folder / "out")))
    if converted.notes == LEFT_OUT and to == "yolo":  # a splinter over the border
        assert (source, found) == ({"a": [("thing", NOTHING)]}, {"a": []})
    else:
        assert found == source


def test_a_splinter_over_the_border_that_draws_nothing_is_left_out_and_said(tmp_path: Path) -> None:
    splinter = [-0.07, 0, -0.07, -0.07, -0.07, -0.07, 5.1, 0.5]
    data = single_coco(tmp_path / "data", [splinter], [[2, 2, 9, 2, 9, 9]])
    converted = convert(str(data), tmp_path / "out", to="yolo")
    assert converted.notes == LEFT_OUT
    splintered, whole = codes(open_data(str(data)))["a"]
    assert splintered == ("thing", NOTHING)
    assert codes(open_data(str(tmp_path / "out"))) == {"a": [whole]}


def test_polygons_stay_polygons(pets: Path, tmp_path: Path) -> None:
    convert(str(pets), tmp_path / "labelme", to="labelme")
    shapes = json.loads((tmp_path / "labelme" / "train" / "a.json").read_text())["shapes"]
    assert [one["shape_type"] for one in shapes] == ["polygon", "polygon", "polygon", "mask", "mask"]
    assert shapes[0]["points"] == [[12.5, 1.0], [20.25, 1.5], [16.0, 8.75]]
    assert shapes[1]["group_id"] == shapes[2]["group_id"] is not None
    convert(str(tmp_path / "labelme"), tmp_path / "yolo", to="yolo")
    first = (tmp_path / "yolo" / "labels" / "train" / "a.txt").read_text().splitlines()[0]
    assert len(first.split()) == 7


def test_coco_keeps_ids_boxes_and_codes(pets: Path, tmp_path: Path) -> None:
    convert(str(pets), tmp_path / "out", to="coco")
    old = json.loads((pets / "annotations" / "pets_train.json").read_text())
    new = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    assert new["images"] == old["images"]
    assert new["categories"] == old["categories"]
    for before, after in zip(old["annotations"], new["annotations"], strict=True):
        assert before.items() <= after.items()
        assert after["area"] > 0


def test_an_empty_class_and_an_empty_picture_survive(tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "data", names=("cat", "never"))
    content = json.loads((folder / "annotations" / "pets_train.json").read_text())
    content["annotations"] = []
    text(folder / "annotations" / "pets_train.json", json.dumps(content))
    for to in FORMATS:
        convert(str(folder), tmp_path / to, to=to)
        split = open_data(str(tmp_path / to))
        assert split.train is not None
        assert split.train.class_names == ("cat", "never")
        assert codes(split) == {"a": [], "b": []}


@pytest.mark.parametrize(
    "names", [("no", "null"), ("a: 'b'", '"#'), (" cat", "cat "), ("猫", "é\u0301"), ("- x", "{y}")]
)
def test_odd_class_names_survive(tmp_path: Path, names: tuple[str, str]) -> None:
    data = coco_folder(tmp_path / "data", names=names)
    for to in FORMATS:
        convert(str(data), tmp_path / to, to=to)
        split = open_data(str(tmp_path / to))
        assert split.train is not None
        assert split.train.class_names == names
        assert [name for name, _ in codes(split)["a"]] == [names[1], names[0]] * 2
        data = tmp_path / to


def test_more_than_254_classes_and_objects_fit_an_index_png(tmp_path: Path) -> None:
    size = Size(20, 40)
    folder = single_coco(tmp_path / "data", size=size)
    path = folder / "annotations" / "things_train.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": i, "name": f"c{i}"} for i in range(1, 301)]
    content["annotations"] = [
        {
            "id": i,
            "image_id": 1,
            "category_id": i,
            "iscrowd": 0,
            "segmentation": to_rle(Bitmap(np.ones((1, 1), dtype=bool), i % 40, i // 40 * 2), size),
        }
        for i in range(1, 301)
    ]
    path.write_text(json.dumps(content))
    assert convert(str(folder), tmp_path / "out", to="png").notes == ()
    assert codes(open_data(str(tmp_path / "out"))) == codes(open_data(str(folder)))


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("to", FORMATS)
def test_a_lone_split_stays_alone(tmp_path: Path, split: str, to: Format) -> None:
    convert(str(coco_folder(tmp_path / "data", [split])), tmp_path / "out", to=to)
    opened = open_data(str(tmp_path / "out"))
    assert [opened.train is not None, opened.val is not None] == [split == "train", split == "val"]


def test_classes_of_both_splits_are_joined_by_name(pets: Path, tmp_path: Path) -> None:
    path = pets / "annotations" / "pets_val.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 8, "name": "cow"}, {"id": 3, "name": "dog"}]
    path.write_text(json.dumps(content))
    for to in FORMATS:
        convert(str(pets), tmp_path / to, to=to)
        split = open_data(str(tmp_path / to))
        assert split.val is not None
        assert split.val.class_names == ("cat", "dog", "cow")
        assert [name for name, _ in list(codes(split, "val").values())[0]] == ["cow", "dog"] * 2  # noqa: RUF015


# --- what a format cannot say ---


SQUARE = [[2, 2, 12, 2, 12, 12, 2, 12]]
INNER = [[4, 4, 6, 4, 6, 6, 4, 6]]


@pytest.mark.parametrize("to", FORMATS)
def test_crowds_are_kept_or_told(tmp_path: Path, to: Format) -> None:
    crowd = to_rle(Bitmap(np.ones((2, 2), dtype=bool), 20, 2), SIZE)
    converted = convert(str(single_coco(tmp_path / "data", SQUARE, crowd, crowds=1)), tmp_path / "out", to=to)
    opened = codes(open_data(str(tmp_path / "out")))["a"]
    assert converted.objects == len(opened) == (2 if to == "coco" else 1)
    assert [note.startswith("1 crowd region left out") for note in converted.notes] == ([] if to == "coco" else [True])


def test_an_index_png_tells_what_lies_under_others(tmp_path: Path) -> None:
    converted = convert(str(single_coco(tmp_path / "data", SQUARE, INNER, SQUARE)), tmp_path / "out", to="png")
    # The second square hides the first, but for the 4 pixels of the small one, which both squares lose.
    assert converted.objects == 2
    assert converted.notes == (
        "104 pixels lost where objects overlap: an index PNG has one number a pixel",
        "1 object lost: wholly covered by smaller ones",
    )
    assert len(codes(open_data(str(tmp_path / "out")))["a"]) == 2


def test_an_object_smaller_than_a_pixel_is_told(tmp_path: Path) -> None:
    tiny = [[4.5, 4.6, 4.6, 4.6, 4.6, 4.7]]
    data = str(single_coco(tmp_path / "data", tiny))
    assert convert(data, tmp_path / "png", to="png").notes == ("1 object lost: smaller than a pixel",)
    assert convert(data, tmp_path / "yolo", to="yolo").notes == ()
    assert codes(open_data(str(tmp_path / "yolo"))) == codes(open_data(data))


def test_an_outline_that_no_line_holds_is_told(tmp_path: Path) -> None:
    size = Size(200, 200)
    speckled = to_rle(Bitmap(np.indices(size).sum(axis=0) % 2 == 0, 0, 0), size)
    converted = convert(str(single_coco(tmp_path / "data", speckled, SQUARE, size=size)), tmp_path / "out", to="yolo")
    assert converted.notes == ("1 object left out: the outline is too ragged for one polygon",)
    assert len(codes(open_data(str(tmp_path / "out")))["a"]) == 1


# --- pictures ---


@pytest.mark.parametrize("link", [False, True])
def test_pictures_are_copied_or_linked(pets: Path, tmp_path: Path, link: bool) -> None:
    convert(str(pets), tmp_path / "out", to="yolo", link=link)
    copy, source = tmp_path / "out" / "images" / "train" / "a.jpg", pets / "train" / "a.jpg"
    assert copy.read_bytes() == source.read_bytes()
    assert copy.samefile(source) == link


def test_where_links_do_not_reach_pictures_are_copied_and_told(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    converted = convert(str(pets), tmp_path / "out", to="coco", link=True)
    assert converted.notes == ("4 pictures copied, because hard links do not reach there",)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "b.jpg"], ["a.jpg", "b.jpg"]),
        (["x/a.jpg", "x/b.jpg"], ["a.jpg", "b.jpg"]),
        (["x/a.jpg", "y/a.jpg"], ["x_a.jpg", "y_a.jpg"]),
        (["a.jpg", "a.png", "A.png"], ["a.jpg", "a-2.png", "A-3.png"]),
        (["x_a.jpg", "x/a.jpg", "y/a.jpg"], ["x_a.jpg", "x_a-2.jpg", "y_a.jpg"]),
        ([".a.jpg", " b.jpg"], ["_a.jpg", "_b.jpg"]),
        ([], []),
    ],
)
def test_names_are_plain_and_their_stems_unique(names: list[str], expected: list[str]) -> None:
    assert plain_names(names) == expected


@given(st.lists(st.text("aA./_-2", min_size=1).map(lambda stem: stem.strip("./") + ".jpg"), max_size=8))
def test_no_two_names_share_a_stem(names: list[str]) -> None:
    stems = [Path(name).stem.casefold() for name in plain_names(names)]
    assert len(set(stems)) == len(names)


def test_a_picture_that_is_not_what_was_annotated_is_refused(pets: Path, tmp_path: Path) -> None:
    picture(pets / "val" / "a.jpg", Size(30, 20))
    with pytest.raises(UserError, match=r"val/a\.jpg: the picture is 30 × 20 .*its labels say 20 × 30"):
        convert(str(pets), tmp_path / "out", to="yolo")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pets"]


# --- the new folder ---


def test_the_source_stays_as_it_is(pets: Path, tmp_path: Path) -> None:
    before = tree(pets)
    for to in FORMATS:
        convert(str(pets), tmp_path / to, to=to, link=True)
    assert tree(pets) == before


def test_an_empty_folder_is_taken_and_a_full_one_never(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    convert(str(pets), tmp_path / "empty", to="coco")
    before = tree(tmp_path / "empty")
    for out in (tmp_path / "empty", pets / "annotations" / "pets_train.json"):
        with pytest.raises(UserError, match="already exists and is not an empty folder"):
            convert(str(pets), out, to="yolo")
    assert tree(tmp_path / "empty") == before


def test_the_folder_one_stands_in_is_taken_if_empty(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    convert(str(pets), Path("."), to="yolo")
    assert open_data(str(tmp_path / "here")).format == "yolo"


def test_a_place_inside_of_the_source_is_refused(pets: Path) -> None:
    for data in (str(pets), f"coco:{pets}:pets"):
        with pytest.raises(UserError, match="lies inside of"):
            convert(data, pets / "yolo", to="yolo")


def test_a_failure_leaves_nothing(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, place: Path) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(convert_module.shutil, "copyfile", full)
    with pytest.raises(UserError, match=r"out: cannot be written \(No space left on device\)"):
        convert(str(pets), tmp_path / "out", to="yolo")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pets"]
    assert list((tmp_path / "out").iterdir()) == []


def test_progress_counts_pictures(pets: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    convert(str(pets), tmp_path / "out", to="yolo", on_progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_drawn_stones_and_bad_entries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="centermask gems FOLDER"):
        convert("gems:images=5", tmp_path / "out", to="yolo")
    data = single_coco(tmp_path / "data", [[1, 1, 1, 1, 1, 1]])
    with pytest.raises(UserError, match="annotation 1: its polygons enclose no area"):
        convert(str(data), tmp_path / "out", to="yolo")
    assert not (tmp_path / "out").exists()


def test_the_new_set_describes_itself(pets: Path, tmp_path: Path) -> None:
    convert(str(pets), tmp_path / "out", to="labelme")
    assert describe(open_data(str(tmp_path / "out"))) == "out: labelme, train 2 pictures, val 2 pictures, 2 classes"
