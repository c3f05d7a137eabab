"""COCO files: sound ones are read as pycocotools reads them, broken ones are refused in one line."""

import copy
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as oracle

from centermask.data.coco import CocoSet, load_coco
from centermask.data.sample import Sample
from centermask.errors import UserError
from centermask.ops import mask_warp
from centermask.ops.mask_warp import Bitmap, Polygons

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SQUARE = [2.0, 3.0, 12.0, 3.0, 12.0, 13.0, 2.0, 13.0]
OVERHANG = [30.0, 20.0, 50.0, 20.0, 50.0, 28.0, 30.0, 28.0]  # of a picture 40 wide
HEIGHT, WIDTH = 30, 40

BLOCK = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
BLOCK[5:9, 10:20] = 1
BLOCK_RUNS = [10 * HEIGHT + 5, *[4, HEIGHT - 4] * 9, 4, HEIGHT - 9 + 20 * HEIGHT - HEIGHT]
BLOCK_RUNS[-1] = HEIGHT * WIDTH - sum(BLOCK_RUNS[:-1])
BLOCK_COUNTS = oracle.encode(np.asfortranarray(BLOCK))["counts"].decode("ascii")


def annotation(identity: int, image: int = 1, category: int = 3, **values: object) -> dict:
    return {
        "id": identity,
        "image_id": image,
        "category_id": category,
        "segmentation": [SQUARE],
        "area": 100.0,
        "bbox": [2.0, 3.0, 10.0, 10.0],
        "iscrowd": 0,
    } | values


def block(counts: object) -> dict:
    return {"segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}, "area": 40.0, "bbox": [10.0, 5.0, 10.0, 4.0]}


SOUND = {
    "images": [
        {"id": 7, "file_name": "b.png", "width": WIDTH, "height": HEIGHT},
        {"id": 1, "file_name": "sub/a.png", "width": WIDTH, "height": HEIGHT},
        {"id": 4, "file_name": "c.png", "width": 20, "height": 10},
    ],
    "annotations": [
        annotation(11, category=90),
        annotation(0, category=3, **block(BLOCK_COUNTS)),
        annotation(12, image=7, category=17, **block(BLOCK_RUNS)),
        annotation(13, category=3, iscrowd=1, **block(BLOCK_RUNS)),
        annotation(14, image=7, segmentation=[SQUARE, OVERHANG], area=196.0, bbox=[2, 3, 48, 25]),
    ],
    "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}, {"id": 17, "name": "cat"}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The pictures of ``SOUND``."""
    folder = tmp_path_factory.mktemp("set")
    (folder / "sub").mkdir()
    for entry in SOUND["images"]:
        Image.new("RGB", (entry["width"], entry["height"]), (10, 20, entry["id"])).save(folder / entry["file_name"])
    return folder


def load(folder: Path, content: object = SOUND, **options: object) -> CocoSet:
    path = folder / "set.json"
    path.write_text(json.dumps(content))
    return load_coco(path, folder, **options)


def changed(kind: str, place: int, **values: object) -> dict:
    """``SOUND`` with some values of an entry replaced; ``...`` removes one."""
    content = copy.deepcopy(SOUND)
    entry = content[kind][place]
    entry.update(values)
    content[kind][place] = {key: value for key, value in entry.items() if value is not ...}
    return content


def refusal(folder: Path, content: object) -> str:
    with pytest.raises(UserError) as caught:
        load(folder, content)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(folder))
    return message


# Sound files


def test_labels_are_contiguous_in_the_order_of_the_category_ids(folder):
    found = load(folder)
    assert found.class_names == ("car", "cat", "toothbrush")
    assert found.category_ids == (3, 17, 90)
    assert found[1].labels.tolist() == [2, 0]
    assert found[0].labels.tolist() == [1, 0]


def test_pictures_keep_the_order_of_the_file(folder):
    found = load(folder)
    assert [record.id for record in found.records] == [7, 1, 4]
    assert [found[i].image[0, 0].tolist() for i in range(3)] == [[10, 20, 7], [10, 20, 1], [10, 20, 4]]
    assert found.records[1].path == folder / "sub" / "a.png"
    assert found.records[2].size == (10, 20)
    assert not found.findings


def test_a_picture_without_objects_gives_an_empty_sample(folder):
    sample = load(folder)[2]
    assert sample.image.shape == (10, 20, 3)
    assert sample.labels.shape == (0,)
    assert sample.labels.dtype == np.int64
    assert sample.masks == ()


def test_an_index_beyond_the_end_is_an_index_error(folder):
    with pytest.raises(IndexError):
        load(folder)[3]


def test_both_run_length_codes_are_the_same_mask(folder):
    found = load(folder)
    for mask in (found[0].masks[0], found[1].masks[1]):
        assert isinstance(mask, Bitmap)
        assert (mask.left, mask.top, mask.pixels.shape) == (10, 5, (4, 10))
        assert mask.pixels.all()


def test_polygons_are_cut_at_the_border_of_the_picture(folder):
    mask = load(folder)[0].masks[1]
    assert isinstance(mask, Polygons)
    assert mask_warp.bounds(mask).tolist() == [2, 3, 40, 28]
    assert mask_warp.area(mask) == 100 + 80


def test_sample_areas_agree_with_pycocotools(folder):
    found = load(folder)
    truth = {entry["id"]: entry for entry in SOUND["annotations"]}
    for i, items in enumerate(found.objects):
        countable = [item for item in items if not item.is_crowd]
        for item, mask in zip(countable, found[i].masks, strict=True):
            segmentation = truth[item.id]["segmentation"]
            codes = oracle.frPyObjects(segmentation, HEIGHT, WIDTH) if item.id != 0 else segmentation
            expected = oracle.area(oracle.merge(codes) if isinstance(codes, list) else codes)
            assert mask_warp.area(mask) == pytest.approx(expected, abs=0.5)


def test_crowds_are_in_the_truth_but_in_no_sample(folder):
    found = load(folder)
    assert sum(len(found[i].masks) for i in range(len(found))) == 4
    crowds = [entry for entry in found.truth()["annotations"] if entry["iscrowd"]]
    assert len(crowds) == 1
    assert (oracle.decode(crowds[0]["segmentation"]) == BLOCK).all()


def test_truth_holds_what_the_file_held(folder):
    truth = load(folder).truth()
    assert json.loads(json.dumps(truth)) == truth
    assert truth["images"] == SOUND["images"]
    assert truth["categories"] == sorted(SOUND["categories"], key=lambda category: category["id"])
    expected = [SOUND["annotations"][i] for i in (2, 4, 0, 1, 3)]  # picture by picture
    for entry, given_entry in zip(truth["annotations"], expected, strict=True):
        for key in ("image_id", "category_id", "bbox", "area", "iscrowd"):
            assert entry[key] == given_entry[key]
    assert truth["annotations"][1]["segmentation"] == [SQUARE, OVERHANG]
    assert truth["annotations"][3]["segmentation"]["counts"] == BLOCK_COUNTS


def test_the_truth_of_a_picture_is_its_part_of_the_whole(folder):
    found = load(folder)
    assert [found.truth_of(i) for i in (0, 1, 2)] == [found.truth()["annotations"][part] for part in (
        slice(0, 2), slice(2, 5), slice(5, 5))]  # fmt: skip
    assert found.truth_of(-2) == found.truth_of(1)
    with pytest.raises(IndexError):
        found.truth_of(3)


def test_truth_has_no_annotation_with_the_id_zero(folder):
    assert [entry["id"] for entry in load(folder).truth()["annotations"]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("bbox", [..., None, [], "2 3 10 10", [2, 3, 0, 10], [2, 3, math.nan, 10], [90, 90, 5, 5]])
@pytest.mark.parametrize("area", [..., None, -1, math.nan, math.inf, 10**400, "100"], ids=lambda value: str(value)[:5])
def test_a_senseless_box_or_area_is_made_anew(folder, bbox, area):
    item = load(folder, changed("annotations", 0, bbox=bbox, area=area)).objects[1][0]
    assert item.box == (2, 3, 10, 10)
    assert item.area == 100


def test_a_box_of_a_code_is_made_anew(folder):
    item = load(folder, changed("annotations", 1, bbox=..., area=...)).objects[1][1]
    assert item.box == (10, 5, 10, 4)
    assert item.area == 40


def test_an_object_too_small_to_be_drawn_keeps_its_exact_area(folder):
    speck = [[5.1, 5.1, 5.3, 5.1, 5.3, 5.2, 5.1, 5.2]]
    item = load(folder, changed("annotations", 0, segmentation=speck, area=..., bbox=...)).objects[1][0]
    assert item.area == pytest.approx(0.02)
    assert item.box == pytest.approx((5.1, 5.1, 0.2, 0.1))


def test_a_set_can_be_sent_to_a_worker(folder):
    found = load(folder)
    again = pickle.loads(pickle.dumps(found))
    assert again.truth() == found.truth()
    assert again.records == found.records
    assert (again[0].image == found[0].image).all()


def test_the_set_of_no_annotations_is_read(folder):
    found = load(folder, SOUND | {"annotations": []})
    assert len(found) == 3
    assert found.truth()["annotations"] == []


# Broken entries


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


BAD_SEGMENTATIONS = {
    "has no segmentation": [..., None],
    "expected polygons or a run-length code": ["", "abc", 5, True, math.nan],
    "at least one polygon": [[]],
    "lists of numbers": [
        SQUARE,
        [None],
        [[1, 2, "3", 4, 5, 6]],
        [[1, 2, None, 4, 5, 6]],
        [{}],
        [[*SQUARE, True]],
        nested(9),
    ],
    "coordinates, expected an even number, at least 6": [[[]], [[1, 2]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]]],
    "not finite": [[[math.nan, *SQUARE[1:]]], [[math.inf, *SQUARE[1:]]], [SQUARE, [*SQUARE[:-1], 10**400]]],
    "outside of its picture": [[[1e9, *SQUARE[1:]]], [[*SQUARE[:-1], -1e300]], [[*SQUARE[:-1], 71]]],
    "no area": [[[1, 1, 5, 5, 9, 9]], [[1, 1, 1, 1, 1, 1]], [[50, 5, 60, 5, 60, 15]], [[0, 0, 0, 9, -9, 9]]],
    "outline": [[SQUARE * 14, [0, 0, 40, 30] * 40_000]],
    "has the size": [{}, {"counts": BLOCK_COUNTS}]
    + [{"size": size, "counts": BLOCK_COUNTS} for size in ([WIDTH, HEIGHT], [30], None, "30", [10**30, 1], [[30], 40])],
    "counts are": [
        block(counts)["segmentation"] for counts in (None, 5, {}, [1.5], [1200.0], ["1200"], [True], [[1200]])
    ],
    "add up to": [block(counts)["segmentation"] for counts in ("", [], [1199], BLOCK_RUNS[:-1], [*BLOCK_RUNS, 1])],
    "longer than the picture": [
        block(counts)["segmentation"] for counts in ([2000], [10**30, 1], [2**63 - 1, 5, 2**63 - 1])
    ],
    "run is negative": [block(counts)["segmentation"] for counts in ([1200, -1, 1], [-1, 5, 1196])],
    "empty mask": [block(counts)["segmentation"] for counts in ([1200], [600, 0, 600], [1200, 0])],
    "the counts": [block(counts)["segmentation"] for counts in ("\n", "é", BLOCK_COUNTS[:-1] + "o", "o" * 40)],
}


@pytest.mark.parametrize(
    ("claim", "segmentation"), [(claim, value) for claim, values in BAD_SEGMENTATIONS.items() for value in values]
)
def test_a_bad_segmentation_is_refused_by_its_id(folder, claim, segmentation):
    message = refusal(folder, changed("annotations", 0, segmentation=segmentation))
    assert "set.json: annotation 11: " in message
    assert claim in message
    assert message.endswith("; correct or remove it, or skip bad entries (--on-error skip)")


@pytest.mark.parametrize(
    ("kind", "values", "claim"),
    [
        ("annotations", {"image_id": 2}, "annotation 11: image_id is 2, which is no usable picture"),
        ("annotations", {"image_id": [1]}, "annotation 11: image_id is [1], expected a whole number"),
        ("annotations", {"category_id": 1}, "annotation 11: category_id is 1, which is no category"),
        ("annotations", {"category_id": ...}, "annotation 11: it has no category_id"),
        ("annotations", {"iscrowd": 2}, "annotation 11: iscrowd is 2, expected 0 or 1"),
        ("annotations", {"iscrowd": None}, "annotation 11: iscrowd is None"),
        ("annotations", {"id": "11"}, "annotations[0]: id is '11', expected a whole number"),
        ("annotations", {"id": True}, "annotations[0]: id is True"),
        ("annotations", {"id": 10**30}, "annotations[0]: id is 10000"),
        ("annotations", {"id": 14}, "annotation 14: its id has been used before"),
        ("images", {"id": 4}, "picture 4: its id has been used before"),
        ("images", {"id": None}, "images[0]: id is None"),
        ("images", {"width": 0}, "picture 7: width is 0, expected a whole number from 1"),
        ("images", {"height": -5}, "picture 7: height is -5"),
        ("images", {"height": 30.0}, "picture 7: height is 30.0"),
        ("images", {"height": math.nan}, "picture 7: height is nan"),
        ("images", {"width": ...}, "picture 7: it has no width"),
        ("images", {"width": 10**6, "height": 10**6}, "expected at most 178956970 pixels"),
        ("images", {"width": 10**5000 // 10**1000}, "picture 7: width is 1000"),
        ("images", {"file_name": ""}, "picture 7: file_name is ''"),
        ("images", {"file_name": None}, "picture 7: file_name is None"),
        ("images", {"file_name": "a\0b"}, "picture 7: file_name is"),
        ("images", {"file_name": "\ud800"}, "picture 7: file_name is"),
        ("images", {"file_name": "/etc/passwd"}, "stays inside the picture folder"),
        ("images", {"file_name": "../b.png"}, "stays inside the picture folder"),
        ("images", {"file_name": "sub/../../b.png"}, "stays inside the picture folder"),
        ("images", {"file_name": "..\\b.png"}, "stays inside the picture folder"),
        ("images", {"file_name": "C:\\b.png"}, "stays inside the picture folder"),
        ("categories", {"id": 3}, "category 3: its id has been used before; correct it"),
        ("categories", {"name": 3}, "category 90: name is 3"),
        ("categories", {"name": "a\nb"}, "category 90: name is 'a\\nb'"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_name(folder, kind, values, claim):
    assert claim in refusal(folder, changed(kind, 0, **values))


@pytest.mark.parametrize("kind", ["images", "annotations", "categories"])
@pytest.mark.parametrize("entry", [None, 5, "x", [], [1]])
def test_an_entry_that_is_no_object_is_refused_by_its_place(folder, kind, entry):
    content = copy.deepcopy(SOUND)
    content[kind][1] = entry
    assert f"{kind}[1]: it is {entry!r}, expected an object" in refusal(folder, content)


@pytest.mark.parametrize("kind", ["images", "annotations", "categories"])
@pytest.mark.parametrize("value", [..., None, {}, "x", 5])
def test_a_missing_list_is_refused(folder, kind, value):
    content = {key: entries for key, entries in (SOUND | {kind: value}).items() if entries is not ...}
    assert f'there is no list "{kind}"; give a COCO file' in refusal(folder, content)


def test_no_category_and_no_picture_are_refused(folder):
    assert "no category; name at least one" in refusal(folder, SOUND | {"categories": [], "annotations": []})
    assert "no picture that can be used" in refusal(folder, SOUND | {"images": [], "annotations": []})


# Broken files


@pytest.mark.parametrize("content", [[], None, 5, "x"])
def test_a_file_of_something_else_is_refused(folder, content):
    assert "holds no JSON object" in refusal(folder, content)


@pytest.mark.parametrize(
    "content", [b"", b'{"images": [', b"\xff\xfe\x00", b"[" * 200_000, b'{"images": ' + b"9" * 5000 + b"}", b"\x89PNG"]
)
def test_broken_json_is_refused_with_the_mend(folder, content):
    (folder / "broken.json").write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.json: .*(write or download it anew|write it anew)$"):
        load_coco(folder / "broken.json", folder)


def test_a_missing_file_is_refused(folder):
    with pytest.raises(UserError, match=r"none\.json: No such file .*; name a COCO annotation file"):
        load_coco(folder / "none.json", folder)


def test_missing_pictures_are_counted(folder):
    content = changed("images", 0, file_name="gone.png")
    content["images"][2]["file_name"] = "x" * 300
    message = refusal(folder, content)
    assert "2 of the 3 pictures of" in message
    assert "first 'gone.png', 'xxx" in message
    assert "name the folder in which they lie" in message


def test_a_picture_of_another_size_is_refused_when_read(folder):
    found = load(folder, changed("images", 2, width=21))
    with pytest.raises(UserError, match=r"c\.png: the picture is 10 × 20 .*set\.json says 10 × 21; give the picture"):
        found[2]


def test_a_turned_picture_is_told_apart(folder):
    found = load(folder, changed("images", 2, width=10, height=20))
    with pytest.raises(UserError, match="EXIF"):
        found[2]


# Skipping


def test_skipped_entries_are_counted_and_told(folder):
    content = changed("annotations", 0, segmentation=[])
    content["annotations"].append("x")
    content["images"][0]["file_name"] = "gone.png"
    content["images"].append({"id": 50})
    found = load(folder, content, on_error="skip")
    assert [record.id for record in found.records] == [1, 4]
    assert found.findings.images == 2
    assert found.findings.annotations == 4  # one empty, one "x", and both of the picture that is gone
    assert len(found.findings.lines) == 6
    assert all(line.startswith(f"{folder}/set.json: ") and "\n" not in line for line in found.findings.lines)
    assert [item.id for item in found.objects[0]] == [0, 13]


def test_with_every_picture_skipped_nothing_is_left(folder):
    content = copy.deepcopy(SOUND)
    for entry in content["images"]:
        entry["width"] = 0
    with pytest.raises(UserError, match=r"no picture that can be used, the first problem is .*picture 7: width is 0"):
        load(folder, content, on_error="skip")


def test_bad_categories_cannot_be_skipped(folder):
    with pytest.raises(UserError, match="category 90"):
        load(folder, changed("categories", 0, name=""), on_error="skip")


# Chance


def places(value: object) -> list[tuple[object, object]]:
    """Every (container, key) of a JSON value."""
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in keys for place in [(value, key), *places(inner)]]


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 100),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([10**30, -(2**63), 1e308, "../x", "\ud800", [], {}, [[]], [[[]]], SQUARE, [SQUARE], nested(50)]),
    st.lists(st.floats(), max_size=8),
    st.recursive(st.integers(0, 50), lambda inner: st.lists(inner, max_size=4), max_leaves=8),
)

CALM = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def use(reader: Callable[[], CocoSet]) -> None:
    """Read a set, and do all that a trainer and an evaluator do with it; a refusal must be one line."""
    complaints = []
    try:
        found = reader()
        check_truth(found)
        for i in range(len(found)):
            check_masks(found[i])
    except UserError as error:
        complaints.append(str(error))
    assert not any("\n" in complaint for complaint in complaints)


def check_truth(found: CocoSet) -> None:
    truth = found.truth()
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    for entry in truth["annotations"]:
        code = entry["segmentation"]
        if isinstance(code, list):
            code = oracle.merge(oracle.frPyObjects(code, *sizes[entry["image_id"]]))
        assert oracle.area(code) >= 0
        assert entry["area"] > 0
        assert np.isfinite(entry["bbox"]).all()


def check_masks(sample: Sample) -> None:
    height, width, _ = sample.image.shape
    for mask in sample.masks:
        left, top, right, bottom = mask_warp.bounds(mask)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


@CALM
@given(st.lists(st.tuples(st.integers(0, 10**6), st.one_of(st.just(...), JUNK)), min_size=1, max_size=3), st.booleans())
def test_junk_in_a_file_is_only_ever_a_user_error(folder, changes, skip):
    content = copy.deepcopy(SOUND)
    for number, junk in changes:
        choices = places(content)
        if not choices:
            break
        container, key = choices[number % len(choices)]
        if junk is ...:
            del container[key]
        else:
            container[key] = copy.deepcopy(junk)
    use(lambda: load(folder, content, on_error="skip" if skip else "stop"))


@CALM
@given(st.integers(0, len(json.dumps(SOUND)) - 1), st.binary(max_size=3))
def test_a_file_cut_anywhere_is_only_ever_a_user_error(folder, length, tail):
    path = folder / "cut.json"
    path.write_bytes(json.dumps(SOUND).encode()[:length] + tail)
    with pytest.raises(UserError, match=r"cut\.json") as caught:
        load_coco(path, folder)
    assert "\n" not in str(caught.value)


@CALM
@given(st.integers(0, len(json.dumps(SOUND)) - 1), st.integers(0, 255))
def test_a_changed_byte_is_only_ever_a_user_error(folder, place, byte):
    content = bytearray(json.dumps(SOUND).encode())
    content[place] = byte
    path = folder / "byte.json"
    path.write_bytes(bytes(content))
    use(lambda: load_coco(path, folder))
