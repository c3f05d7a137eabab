"""labelme: shapes, groups, masks, layouts, and what is refused."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from centermask.data.coco import CocoSet
from centermask.data.formats.labelme import format_file
from centermask.data.formats.labelme_shapes import format_shapes, join, parse_shape
from centermask.data.sources import open_data, read_raw, skipped
from centermask.errors import UserError
from centermask.ops.mask_warp import Bitmap, Polygons, area, bounds, from_rle, to_rle
from tests.data.formats_by_hand import SIZE, bitmaps, labelme_file, picture, pieces, ring, shape, text

TRIANGLE = [[12.5, 1.0], [20.25, 1.5], [16.0, 8.75]]


def png(pixels: np.ndarray) -> str:
    coded = io.BytesIO()
    Image.fromarray(pixels).save(coded, format="PNG")
    return base64.b64encode(coded.getvalue()).decode()


def labelme_folder(folder: Path, *shapes: dict[str, Any]) -> Path:
    """One picture with its file."""
    picture(folder / "a.jpg")
    labelme_file(folder / "a.json", *shapes)
    return folder


# --- shapes ---


def outline(entry: dict[str, Any]) -> Any:
    return parse_shape(entry, SIZE).outline


def test_a_polygon_keeps_its_points() -> None:
    assert outline(shape("cat", TRIANGLE)).tolist() == TRIANGLE
    old = {"label": "cat", "points": TRIANGLE}  # the first versions knew polygons only
    assert outline(old).tolist() == TRIANGLE


def test_a_rectangle_is_given_by_any_two_corners() -> None:
    expected = [[3, 2], [9, 2], [9, 6], [3, 6]]
    for corners in ([[3, 2], [9, 6]], [[9, 6], [3, 2]], [[9, 2], [3, 6]]):
        assert outline(shape("cat", corners, "rectangle")).tolist() == expected


@pytest.mark.parametrize("radius", [0.5, 5, 300])
def test_a_circle_is_round_to_a_tenth_of_a_pixel(radius: float) -> None:
    points = outline(shape("cat", [[100, 100], [100, 100 + radius]], "circle"))
    assert np.hypot(*(points - 100).T) == pytest.approx(radius)
    middles = (points + np.roll(points, -1, axis=0)) / 2 - 100
    assert np.hypot(*middles.T).min() >= radius - 0.1


def test_a_mask_stands_in_its_box() -> None:
    mask = ring()
    (entry,) = format_shapes("cat", to_rle(mask, SIZE)["counts"], SIZE, 1)
    assert entry["points"] == [[3, 4], [9, 10]]  # first and last pixel, as labelme writes it
    found = outline(entry)
    assert isinstance(found, Bitmap)
    assert (found.left, found.top) == (mask.left, mask.top)
    assert np.array_equal(found.pixels, mask.pixels)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("cat", "expected an object"),
        ({"points": TRIANGLE}, "label is None"),
        (shape(3, TRIANGLE), "label is 3"),  # type: ignore[arg-type]
        (shape("cat", TRIANGLE) | {"group_id": [1]}, "group_id is"),
        (shape("cat", TRIANGLE) | {"group_id": True}, "group_id is"),
        (shape("cat", TRIANGLE) | {"points": None}, "points are None"),
        (shape("cat", [[1, 2, 3]] * 3), "expected pairs"),
        (shape("cat", [["1", "2"]] * 3), "expected pairs"),  # type: ignore[list-item]
        (shape("cat", [[1, True]] * 3), "expected pairs"),
        (shape("cat", [[1, float("nan")]] * 3), "not finite"),
        (shape("cat", [[1, 10**400]] * 3), "not finite"),
        (shape("cat", [[0, 0]] * 100_001), "at most 100000 pairs"),
        (shape("cat", TRIANGLE[:2]), "a polygon has 2 points, expected at least 3"),
        (shape("cat", TRIANGLE, "rectangle"), "a rectangle has 3 points, expected 2"),
        (shape("cat", TRIANGLE, "circle"), "a circle has 3 points"),
        (shape("cat", TRIANGLE[:1], "point"), "shape_type is 'point', which encloses nothing"),
        (shape("cat", TRIANGLE, "linestrip"), "encloses nothing"),
        (shape("cat", [[0, 0], [1, 1]], "mask"), "mask is None, expected a PNG"),
        (shape("cat", [[0, 0], [1, 1]], "mask", mask="?"), "no base64"),
        (shape("cat", [[0, 0], [1, 1]], "mask", mask="ABCD"), "no sound PNG"),
        (shape("cat", [[0, 0], [1, 1]], "mask", mask=png(np.ones((3, 3), bool))), r"it is 3 × 3 .*expected 2 × 2"),
        (shape("cat", [[0, 0], [1, 1]], "mask", mask=png(np.ones((2, 2, 3), np.uint8))), "it holds colours"),
        (shape("cat", [[0, 0], [1, 1]], "mask", mask=png(np.zeros((2, 2), bool))), "its mask is empty"),
        (shape("cat", [[29, 0], [30, 1]], "mask", mask=png(np.ones((2, 2), bool))), "reaches out of its picture"),
        (shape("cat", [[-1, 0], [0, 1]], "mask", mask=png(np.ones((2, 2), bool))), "reaches out of its picture"),
        (shape("cat", [[0, 0], [1e300, 1]], "mask", mask=""), "reaches out of its picture"),
    ],
)
def test_what_is_no_shape_is_refused_by_words(entry: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_shape(entry, SIZE)


def test_masks_and_polygons_of_one_object_are_joined() -> None:
    square = np.array([[20.0, 1.0], [25.0, 1.0], [25.0, 5.0], [20.0, 5.0]])
    code = join([ring(), square, square + 1], SIZE)
    assert isinstance(code, dict)
    mask = from_rle(code)
    assert area(mask) == 40 + 20 + 20 - 12
    assert bounds(mask).tolist() == [3, 1, 26, 11]


def test_hostile_polygons_are_refused_before_they_are_drawn() -> None:
    with pytest.raises(ValueError, match="outside of its picture"):
        join([ring(), np.array([[0.0, 0.0], [1e9, 0.0], [1e9, 1e9]])], SIZE)


@pytest.mark.parametrize("mask", [ring(), pieces()])
def test_run_length_codes_survive(mask: Bitmap) -> None:
    counts = to_rle(mask, SIZE)["counts"]
    shapes = format_shapes("cat", counts, SIZE, 1)
    assert join([parse_shape(one, SIZE).outline for one in shapes], SIZE) == {"size": list(SIZE), "counts": counts}


def test_parts_survive_as_polygons() -> None:
    parts = Polygons((np.array(TRIANGLE), np.array(TRIANGLE) + 1 / 3))
    shapes = [parse_shape(one, SIZE) for one in format_shapes("cat", parts, SIZE, 4)]
    assert [one.group for one in shapes] == [4, 4]
    assert join([one.outline for one in shapes], SIZE) == [part.ravel().tolist() for part in parts.parts]


def test_a_file_is_plain_json() -> None:
    content = json.loads(json.dumps(format_file("a.jpg", SIZE, [("cat", to_rle(ring(), SIZE)["counts"])])))
    assert content["imagePath"] == "a.jpg"
    assert content["imageData"] is None
    assert (content["imageHeight"], content["imageWidth"]) == SIZE


# --- folders ---


def test_shapes_of_a_group_are_one_object(tmp_path: Path) -> None:
    left, right = ([[x, 2], [x + 4, 6]] for x in (2, 20))
    folder = labelme_folder(
        tmp_path,
        shape("dog", left, "rectangle", group_id=1),
        shape("cat", TRIANGLE),
        shape("dog", right, "rectangle", group_id=1),
        shape("cat", TRIANGLE, group_id=1),
        shape("cat", TRIANGLE),
    )  # fmt: skip
    found = bitmaps(open_data(str(folder)))["a"]
    assert [name for name, _ in found] == ["dog", "cat", "cat", "cat"]
    assert area(found[0][1]) == 32


def test_classes_come_from_the_list_or_from_all_files(tmp_path: Path) -> None:
    for split, label in (("train", "dog"), ("val", "cat")):
        labelme_folder(tmp_path / split, shape(label, TRIANGLE))
    split = open_data(str(tmp_path))
    assert split.train is not None
    assert split.train.class_names == ("cat", "dog")
    assert split.val is not None
    assert split.val.class_names == ("cat", "dog")
    text(tmp_path / "labels.txt", "__ignore__\n_background_\ndog\ncat\nbird\n")
    split = open_data(str(tmp_path))
    assert split.train is not None
    assert split.train.class_names == ("dog", "cat", "bird")


def test_a_label_that_the_list_does_not_have_is_refused(tmp_path: Path) -> None:
    folder = labelme_folder(tmp_path, shape("cta", TRIANGLE))
    text(folder / "labels.txt", "cat\n")
    with pytest.raises(UserError, match=r"a\.json: shapes\[0\]: the label 'cta' does not stand in labels\.txt"):
        open_data(str(folder))


@pytest.mark.parametrize(
    ("file", "image", "picture_at"),
    [
        ("a.json", "a.jpg", "a.jpg"),
        ("deep/a.json", "a.jpg", "deep/a.jpg"),
        ("annotations/a.json", "../images/a.jpg", "images/a.jpg"),
        ("annotations/a.json", "..\\images\\a.jpg", "images/a.jpg"),
        ("train/a.json", "a.jpg", "train/a.jpg"),
    ],
)
def test_layouts(tmp_path: Path, file: str, image: str, picture_at: str) -> None:
    picture(tmp_path / picture_at)
    labelme_file(tmp_path / file, shape("cat", TRIANGLE), image=image)
    split = open_data(str(tmp_path))
    assert len(bitmaps(split)["a"]) == 1
    assert split.val is None


def test_a_lone_valid_folder_is_for_validation(tmp_path: Path) -> None:
    labelme_folder(tmp_path / "valid", shape("cat", TRIANGLE))
    split = open_data(str(tmp_path))
    assert split.train is None
    assert len(bitmaps(split, "val")["a"]) == 1


def test_a_size_that_is_missing_is_that_of_the_picture(tmp_path: Path) -> None:
    labelme_file(labelme_folder(tmp_path) / "a.json", shape("cat", TRIANGLE), size=None)
    split = open_data(str(tmp_path))
    assert isinstance(split.train, CocoSet)
    assert split.train.size(0) == SIZE


@pytest.mark.parametrize("image", ["../a.jpg", "/etc/passwd", "x/../../a.jpg", "", None, 3])
def test_pictures_outside_are_refused(tmp_path: Path, image: Any) -> None:
    picture(tmp_path / "a.jpg")
    labelme_file(tmp_path / "data" / "a.json", shape("cat", TRIANGLE), image=image)
    with pytest.raises(UserError, match=r"a\.json: .*(leads out of|imagePath is)"):
        open_data(str(tmp_path / "data"))


def test_embedded_pixels_do_not_stand_in_for_the_file(tmp_path: Path) -> None:
    folder = labelme_folder(tmp_path, shape("cat", TRIANGLE))
    content = json.loads((folder / "a.json").read_text())
    content["imageData"] = base64.b64encode((folder / "a.jpg").read_bytes()).decode()
    (folder / "a.json").write_text(json.dumps(content))
    assert len(bitmaps(open_data(str(folder)))["a"]) == 1
    (folder / "a.jpg").unlink()
    with pytest.raises(UserError, match=r"pictures of .* are missing, first 'a\.jpg'"):
        open_data(str(folder))


def test_with_skip_the_rest_is_read(tmp_path: Path) -> None:
    folder = labelme_folder(tmp_path, shape("cat", TRIANGLE[:2]), shape("cat", TRIANGLE))
    text(folder / "b.json", "{")
    text(folder / "c.json", "[" * 10**5)
    text(folder / "d.json", '{"shapes": 3}')
    text(folder / "e.json", '{"shapes": [], "imagePath": "a.jpg", "imageHeight": -1, "imageWidth": 2}')
    (folder / "f.json").write_bytes(b'"\xff"')
    text(folder / "g.json", '{"shapes": [], "n": ' + "9" * 5000 + "}")
    split = open_data(str(folder), on_error="skip")
    assert {name: len(found) for name, found in bitmaps(split).items()} == {"a": 1}
    lines = skipped(split)
    assert len(lines) == 7
    for part in ("a.json: shapes[0]: a polygon has 2", "b.json: no complete JSON", "c.json: its lists are nested",
                 'd.json: it has no list "shapes"', "e.json: height is -1", "f.json: byte 1", "g.json: "):  # fmt: skip
        assert sum(part in line for line in lines) == 1


def test_a_folder_without_a_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no labelme file in it has a shape"):
        open_data(str(labelme_folder(tmp_path)))


def test_raw_content_tells_where_it_stood(tmp_path: Path) -> None:
    (raw,) = read_raw(str(labelme_folder(tmp_path / "train", shape("cat", [[0, 0]] * 3)).parent))
    assert raw.format == "labelme"
    (annotation,) = raw.content["annotations"]  # type: ignore[misc]
    assert annotation["origin"] == "train/a.json shapes[0]"
    with pytest.raises(UserError, match=r"train/a\.json shapes\[0\]: its polygons enclose no area"):
        open_data(str(tmp_path))
