"""YOLO-seg: lines, data.yaml, layouts, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centermask.data.formats.files import MAX_VERTICES
from centermask.data.formats.yolo import has_yolo
from centermask.data.formats.yolo_line import YoloObject, format_line, parse_line
from centermask.data.formats.yolo_yaml import format_yaml, read_yaml
from centermask.data.sources import open_data, read_raw, skipped
from centermask.errors import UserError
from centermask.size import Size
from tests.data.formats_by_hand import SIZE, bitmaps, picture, text

SQUARE = "0 0.1 0.1 0.5 0.1 0.5 0.6 0.1 0.6"
"""In a picture of 20 × 30 (height × width): x from 3 to 15, y from 2 to 12."""


def yolo_folder(folder: Path, yaml: str | None = "names: [cat, dog]\n", lines: str = SQUARE) -> Path:
    """A picture with its labels."""
    picture(folder / "images" / "train" / "a.jpg")
    text(folder / "labels" / "train" / "a.txt", lines)
    if yaml is not None:
        text(folder / "data.yaml", yaml)
    return folder


# --- lines ---


def test_a_line_is_a_class_and_a_polygon_in_shares() -> None:
    found = parse_line(f" {SQUARE}\r", SIZE, range(2))
    assert found.number == 0
    assert found.outline.tolist() == [[3, 2], [15, 2], [15, 12], [3, 12]]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("0 0.5 0.5 0.2 0.2", "a box, not a polygon"),
        ("0 0.5 0.5 0.2", "followed by 3 numbers, expected an even number, at least 6"),
        ("0", "followed by 0 numbers"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.6 0.1", "followed by 7 numbers"),
        ("0 0.1 0.1 0.5 nan 0.5 0.6", "not finite"),
        ("0 0.1 0.1 0.5 inf 0.5 0.6", "not finite"),
        ("0 0.1 0.1 0.5 1e999 0.5 0.6", "not finite"),
        ("0 0.1 0.1 120 0.1 0.5 64", r"a coordinate is 120, .*pixels instead of shares\?"),
        ("0 0.1 0.1 -0.2 0.1 0.5 0.6", "a coordinate is -0.2, expected shares"),
        ("2 0.1 0.1 0.5 0.1 0.5 0.6", r"its class is 2, but the classes are 0 to 1; .*data\.yaml"),
        ("0.5 0.1 0.1 0.5 0.1 0.5 0.6", r"its class is 0\.5"),
        ("-1 0.1 0.1 0.5 0.1 0.5 0.6", "its class is -1"),
        ("nan 0.1 0.1 0.5 0.1 0.5 0.6", "its class is nan"),
        ("inf 0.1 0.1 0.5 0.1 0.5 0.6", "its class is inf"),
        ("cat 0.1 0.1 0.5 0.1 0.5 0.6", "something that is no number"),
        ("0 0.1,0.1 0.5,0.1 0.5,0.6", "something that is no number"),
        ("0" + " 0.5" * (2 * MAX_VERTICES + 2), "more than 100000 points"),
        ("0" + " 0.5" * (2 * MAX_VERTICES + 9), "more than 100000 points"),
    ],
)
def test_what_is_no_polygon_is_refused_by_words(line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_line(line, SIZE, range(2))


def test_a_slip_over_the_border_is_allowed() -> None:
    assert parse_line("1 -0.005 0 1.005 0 0.5 1", SIZE, range(2)).outline.tolist() == [[-0.15, 0], [30.15, 0], [15, 20]]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10000), st.integers(0, 10000)), min_size=3, max_size=8),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_hundredths_of_a_pixel_come_back_exactly(points: list[tuple[int, int]], height: int, width: int) -> None:
    size = Size(height, width)
    outline = np.array([[x / 10000 * width, y / 10000 * height] for x, y in points]).round(2)
    line = format_line(YoloObject(1, outline), size)
    found = parse_line(line, size, range(2))
    assert found.number == 1
    assert np.array_equal(found.outline, outline)


# --- data.yaml ---


@pytest.mark.parametrize(
    "names",
    ["[cat, dog]", "\n  0: cat\n  1: dog", "\n- cat\n- dog", "\n  1: dog\n  0: cat", "{'0': cat, '1': dog}"],
)
def test_names_may_be_a_list_or_numbered(tmp_path: Path, names: str) -> None:
    assert read_yaml(text(tmp_path / "data.yaml", f"names: {names}\n")).names == {0: "cat", 1: "dog"}


def test_names_are_text_whatever_yaml_would_make_of_them(tmp_path: Path) -> None:
    path = text(tmp_path / "data.yaml", "names: [no, null, 1, 2024-01-01, 1e3]\n")
    assert list(read_yaml(path).names.values()) == ["no", "null", "1", "2024-01-01", "1e3"]


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1) | st.sampled_from(
    [
        "no",
        "'",
        '"',
        "a: b",
        "#a",
        " a",
        "a ",
        "- a",
        "[a]",
        "{",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "%",
        "@",
        "`",
        "1",
        "~",
        "<<",
    ]
)


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, unique=True))
def test_any_class_name_survives_the_yaml(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "data.yaml"
    path.write_text(format_yaml(dict(enumerate(names)), {"train": "images/train"}), encoding="utf-8")
    read = read_yaml(path)
    assert list(read.names.values()) == names
    assert (read.train, read.val) == ("images/train", "")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("names: [a\n", "cannot be read as YAML"),
        ("- a\n", "expected entries such as"),
        ("", "expected entries such as"),
        ("names: cat\n", "names is no list"),
        ("names: []\n", "names is no list"),
        ("names: [[a]]\n", "names is no list"),
        ("names: {a: b}\n", "names is no list"),
        ("train: images\n", "names is no list"),
        ("names: &a [*a]\n", "names is no list|cannot be read"),
        ("names: [a]\ntrain: [x, y]\n", "train is a list"),
        ("a: " + "[" * 1000, "cannot be read as YAML"),
        ("names: [a]\n" + "#" * 2**20, "more than 1 MiB"),
    ],
)
def test_a_yaml_that_says_nothing_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    with pytest.raises(UserError, match=rf"data\.yaml: .*({complaint})"):
        read_yaml(text(tmp_path / "data.yaml", content))


# --- folders ---


def test_objects_stand_where_the_shares_say(tmp_path: Path) -> None:
    split = open_data(str(yolo_folder(tmp_path, lines=f"{SQUARE}\n\n1 0 0 1 0 1 1\n")))
    ((cat, square), (dog, _)) = bitmaps(split)["a"]
    assert (cat, dog, split.format) == ("cat", "dog", "yolo")
    assert (square.left, square.top, square.pixels.shape, square.pixels.all()) == (3, 2, (10, 12), True)
    assert split.train is not None
    assert split.train.category_ids == (1, 2)


@pytest.mark.parametrize(
    ("train", "val", "yaml"),
    [
        ("images/train", "images/val", ""),
        ("train/images", "valid/images", ""),
        ("train/images", "val/images", ""),
        ("images/train", "images/val", "path: .\ntrain: images/train\nval: images/val\n"),
        ("images/a", "images/b", "path: /elsewhere\ntrain: images/a\nval: ./images/b\n"),
        ("set/images/a", "set/images/b", "path: set\ntrain: images/a\nval: images/b\n"),
        ("train/images", "valid/images", "train: ../train/images\nval: ../valid/images\n"),
        ("train/images", "valid/images", "train: ../train/images\nvalid: ../valid/images\n"),
        ("images/train/deep/er", "images/val", "train: images/train\nval: images/val\n"),
        ("one", "two", "train: one\nval: two\n"),  # labels beside the pictures
    ],
)
def test_layouts(tmp_path: Path, train: str, val: str, yaml: str) -> None:
    for place in (train, val):
        picture(tmp_path / place / "a.jpg")
        labels = "labels".join(place.rsplit("images", 1))
        text(tmp_path / labels / "a.txt", SQUARE)
    text(tmp_path / "data.yaml", f"{yaml}names: [cat]\n")
    split = open_data(str(tmp_path))
    assert [len(bitmaps(split, name)["a"]) for name in ("train", "val")] == [1, 1]


def test_one_flat_folder_is_for_training(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.jpg")
    text(tmp_path / "labels" / "a.txt", SQUARE)
    text(tmp_path / "classes.txt", "cat\n")
    split = open_data(str(tmp_path))
    assert len(bitmaps(split)["a"]) == 1
    assert split.val is None


def test_a_list_names_pictures(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / "images" / f"{name}.jpg")
        text(tmp_path / "labels" / f"{name}.txt", SQUARE)
    text(tmp_path / "lists" / "train.txt", "images/a.jpg\n./../images/b.jpg\n")
    text(tmp_path / "data.yaml", "names: [cat]\ntrain: lists/train.txt\n")
    split = open_data(str(tmp_path))
    assert set(bitmaps(split)) == {"a", "b"}
    text(tmp_path / "lists" / "train.txt", "../images/a.jpg\n")
    with pytest.raises(UserError, match="leads out of"):
        open_data(str(tmp_path))


def test_no_labels_are_no_objects(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, lines="")
    picture(folder / "images" / "train" / "b.jpg")
    assert bitmaps(open_data(str(folder))) == {"a": [], "b": []}


def test_the_folder_is_known_by_its_yaml_or_its_labels(tmp_path: Path) -> None:
    assert not has_yolo(tmp_path)
    text(tmp_path / "run.yaml", "lr: 1\n")
    assert not has_yolo(tmp_path)
    text(tmp_path / "pets.yaml", "names: [cat]\n")
    assert has_yolo(tmp_path)
    assert has_yolo(yolo_folder(tmp_path / "b", yaml=None))


def test_without_names_the_mend_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"nothing names the classes.*data\.yaml with a line such as 'names: \[cat, dog"
    ):
        open_data(str(yolo_folder(tmp_path, yaml=None)))


def test_a_yaml_that_names_no_folder_is_refused(tmp_path: Path) -> None:
    for train in ("images/none", "/etc", "../../etc", "x" * 5000):
        folder = yolo_folder(tmp_path, yaml=f"names: [cat]\ntrain: {train}\n")
        with pytest.raises(UserError, match="no folder or list inside of"):
            open_data(str(folder))


def test_pictures_behind_a_link_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "a.jpg")
    text(tmp_path / "data" / "data.yaml", "names: [cat]\n")
    (tmp_path / "data" / "images").mkdir()
    (tmp_path / "data" / "images" / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="leads out of"):
        open_data(str(tmp_path / "data"))
    (tmp_path / "data" / "images" / "train").unlink()
    folder = yolo_folder(tmp_path / "data", yaml="names: [cat]\n")
    (folder / "labels" / "train" / "a.txt").unlink()
    (folder / "labels" / "train" / "a.txt").symlink_to(text(tmp_path / "secret.txt", SQUARE))
    with pytest.raises(UserError, match="leads out of"):
        open_data(str(folder))


def test_faults_name_file_and_line(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, lines=f"{SQUARE}\n0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(UserError, match=r"labels/train/a\.txt: line 2: a box, not a polygon.*--on-error skip"):
        open_data(str(folder))


def test_what_the_strict_checks_find_names_the_line_too(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, lines="\n0 0.5 0.5 0.5 0.5 0.5 0.5\n")
    with pytest.raises(UserError, match=r"labels/train/a\.txt line 2: its polygons enclose no area"):
        open_data(str(folder))


def test_with_skip_the_rest_is_read(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, lines=f"{SQUARE}\n0 0.5 0.5 0.2 0.2\n{SQUARE}\n0 0.5 0.5 0.5 0.5 0.5 0.5\n")
    (folder / "images" / "train" / "b.jpg").write_text("no picture")
    text(folder / "labels" / "train" / "b.txt", SQUARE)
    picture(folder / "images" / "train" / "c.jpg")
    (folder / "labels" / "train" / "c.txt").write_bytes(b"\xff")
    text(folder / "labels" / "train" / "d.txt", SQUARE)
    split = open_data(str(folder), on_error="skip")
    assert {name: len(found) for name, found in bitmaps(split).items()} == {"a": 2}
    lines = skipped(split)
    assert len(lines) == 5
    for part in (
        "a.txt: line 2: a box",
        "b.jpg: this is no picture",
        "c.txt: byte 0",
        "d.txt: there is no picture",
        "line 4: its polygons",
    ):
        assert sum(part in line for line in lines) == 1


def test_raw_content_is_unchecked_and_tells_where_it_stood(tmp_path: Path) -> None:
    folder = yolo_folder(tmp_path, lines="0 0.5 0.5 0.5 0.5 0.5 0.5\nbroken\n")
    faults: list[tuple[Path, str]] = []
    (raw,) = read_raw(str(folder), on_fault=lambda path, clause: faults.append((path, clause)))
    assert (raw.name, raw.format, raw.source, raw.images) == ("train", "yolo", folder, folder / "images" / "train")
    (annotation,) = raw.content["annotations"]  # type: ignore[misc]
    assert annotation["origin"] == "labels/train/a.txt line 1"
    assert annotation["segmentation"] == [[15.0, 10.0] * 3]
    assert [path.name for path, _ in faults] == ["a.txt"]
    with pytest.raises(UserError, match="line 2"):
        read_raw(str(folder))
