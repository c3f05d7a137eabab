"""Instances: what fits at birth, what selecting keeps, what JSON brings back."""

import base64
import html.parser
import io
import json
import sys

import jaxtyping
import numpy as np
import pytest
from PIL import Image

from centermask.errors import UserError
from centermask.instances import Instances, from_coco
from centermask.ops import mask_warp
from centermask.ops.mask_warp import Bitmap
from centermask.size import Size

SIZE = Size(30, 40)


def make(count: int, **changes: object) -> Instances:
    rng = np.random.default_rng(count)
    corners = rng.integers(0, 20, (count, 2))
    bitmaps = [Bitmap(rng.random((8, 9)) > 0.4, int(x), int(y)) for x, y in corners]
    fields = {
        "size": SIZE,
        "boxes": np.concatenate([corners, corners + np.array([9, 8])], axis=1).astype(np.float32) + np.float32(0.1),
        "scores": np.linspace(0.9, 0.1, count, dtype=np.float32),
        "box_scores": np.linspace(1.0, 0.2, count, dtype=np.float32),
        "labels": np.arange(count) % 2,
        "rle": tuple(mask_warp.to_rle(bitmap, SIZE) for bitmap in bitmaps),
        "categories": ("cat", "café"),
        "category_ids": (17, 4),
        "file_name": "a.jpg",
    }
    return Instances(**{**fields, **changes})


def test_masks_are_planes_of_the_whole_picture() -> None:
    bitmap = Bitmap(np.array([[True, False], [True, True]]), left=3, top=5)
    found = make(1, rle=(mask_warp.to_rle(bitmap, SIZE),))
    expected = np.zeros((1, 30, 40), dtype=bool)
    expected[0, 5:7, 3:5] = bitmap.pixels
    np.testing.assert_array_equal(found.masks, expected)


def test_an_empty_mask_is_an_empty_plane() -> None:
    nothing = Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)
    assert not make(1, rle=(mask_warp.to_rle(nothing, SIZE),)).masks.any()


@pytest.mark.parametrize("field", ["scores", "box_scores", "labels", "rle"])
def test_fields_of_other_lengths_are_refused(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as in production, where shapes go unchecked
    with pytest.raises(ValueError, match=f"2 {field} for 3 boxes"):
        make(3, **{field: getattr(make(3), field)[:2]})


def test_labels_ids_and_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        make(3, labels=np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="labels"):
        make(3, labels=np.array([0, 1, -1]))
    with pytest.raises(ValueError, match="category ids"):
        make(3, category_ids=(1,))
    with pytest.raises(ValueError, match="size"):
        make(3, size=Size(31, 40))


def test_category_ids_count_from_one_by_default() -> None:
    assert make(2, category_ids=()).category_ids == (1, 2)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (slice(1, 3), [1, 2]),
        (np.array([3, 0]), [3, 0]),
        ([2], [2]),
        (np.array([True, False, False, True]), [0, 3]),
        (-1, [3]),
        (np.zeros(0, dtype=int), []),
        (np.zeros(4, dtype=bool), []),
    ],
)
def test_selecting_keeps_every_field_together(index: object, expected: list[int]) -> None:
    found = make(4)
    some = found[index]
    assert [found.rle.index(code) for code in some.rle] == expected
    for field in ("boxes", "scores", "box_scores", "labels"):
        np.testing.assert_array_equal(getattr(some, field), getattr(found, field)[expected])
    assert some.categories == found.categories
    assert some.file_name == "a.jpg"


def test_iterating_gives_each_object_once() -> None:
    assert [len(each) for each in make(3)] == [1, 1, 1]


def test_above_keeps_the_threshold_itself() -> None:
    found = make(3, scores=np.array([0.9, 0.5, 0.4], dtype=np.float32))
    assert len(found.above(0.5)) == 2
    assert len(found.above(0.95)) == 0


def test_class_names_are_one_for_each_object() -> None:
    assert make(3).class_names == ("cat", "café", "cat")
    assert make(0).class_names == ()


def test_to_coco_is_cocos_record_by_hand() -> None:
    bitmap = Bitmap(np.ones((1, 2), dtype=bool), left=0, top=3)
    found = Instances(
        size=Size(4, 5),
        boxes=np.array([[0, 3, 2.5, 4]], dtype=np.float32),
        scores=np.array([0.1], dtype=np.float32),
        box_scores=np.array([0.75], dtype=np.float32),
        labels=np.array([1]),
        rle=(mask_warp.to_rle(bitmap, Size(4, 5)),),
        categories=("dog", "cat"),
        file_name="b.png",
    )
    record = {
        "category_id": 2,
        "category_name": "cat",
        "bbox": [0.0, 3.0, 2.5, 1.0],
        "score": 0.1,
        "box_score": 0.75,
        "segmentation": {"size": [4, 5], "counts": "31309"},
    }
    assert found.to_coco() == {"file_name": "b.png", "height": 4, "width": 5, "instances": [record]}


@pytest.mark.parametrize("count", [0, 1, 12])
def test_json_brings_instances_back(count: int) -> None:
    found = make(count)
    back = from_coco(json.loads(json.dumps(found.to_coco())), found.categories, found.category_ids)
    np.testing.assert_allclose(back.boxes, found.boxes, rtol=1e-6)
    np.testing.assert_array_equal(back.masks, found.masks)
    for field in ("scores", "box_scores", "labels"):
        np.testing.assert_array_equal(getattr(back, field), getattr(found, field))
    assert (back.size, back.categories, back.category_ids, back.file_name) == (SIZE, ("cat", "café"), (17, 4), "a.jpg")


def test_without_categories_a_record_names_its_own() -> None:
    back = from_coco(make(2).to_coco())
    assert back.categories == ("café", "cat")
    assert back.category_ids == (4, 17)
    assert back.class_names == ("cat", "café")


@pytest.mark.parametrize("broken", [{}, {"instances": [{}]}, {"instances": [1]}, {"instances": None}])
def test_a_record_that_lacks_fields_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no record of to_coco"):
        from_coco(broken)


def test_an_unknown_category_is_refused() -> None:
    with pytest.raises(ValueError, match="no record"):
        from_coco(make(2).to_coco(), ("cat",), (17,))


def test_repr_has_a_line_for_each_of_ten_objects() -> None:
    assert repr(make(0)) == "Instances(0 in a.jpg, height 30, width 40)"
    lines = repr(make(12)).splitlines()
    assert len(lines) == 12
    assert "café  score 0.83" in lines[2]
    assert lines[-1] == "  and 2 more"


def test_overlay_draws_on_a_copy() -> None:
    image = np.full((30, 40, 3), 90, dtype=np.uint8)
    drawn = make(3).overlay(image)
    assert (drawn != image).any()
    assert (image == 90).all()
    np.testing.assert_array_equal(make(0).overlay(image), image)
    with pytest.raises(ValueError, match="pixels"):
        make(3).overlay(image[:20])


@pytest.mark.filterwarnings("ignore:OpenCV")
@pytest.mark.parametrize("count", [0, 1, 12])
def test_supervision_gets_the_same_masks_boxes_and_names(count: int) -> None:
    found = make(count)
    theirs = found.to_supervision()
    np.testing.assert_array_equal(np.asarray(theirs.mask), found.masks)
    np.testing.assert_array_equal(theirs.xyxy, found.boxes)
    np.testing.assert_array_equal(theirs.confidence, found.scores)
    assert [found.categories[i] for i in theirs.class_id] == list(theirs.data["class_name"]) == list(found.class_names)
    assert len(theirs[theirs.confidence > 0.5]) == len(found.above(0.5))


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_supervision_gets_an_empty_mask_and_one_at_the_corner() -> None:
    nothing = Bitmap(np.zeros((0, 0), dtype=bool), 0, 0)
    corner = Bitmap(np.ones((2, 1), dtype=bool), 39, 28)
    found = make(2, rle=(mask_warp.to_rle(nothing, SIZE), mask_warp.to_rle(corner, SIZE)))
    np.testing.assert_array_equal(np.asarray(found.to_supervision().mask), found.masks)


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_supervisions_annotators_draw_what_it_gets() -> None:
    from supervision import MaskAnnotator

    found, image = make(3), np.full((30, 40, 3), 90, dtype=np.uint8)
    drawn = MaskAnnotator(opacity=1.0).annotate(image.copy(), found.to_supervision())
    np.testing.assert_array_equal((drawn != image).any(axis=2), found.masks.any(axis=0))


def test_without_supervision_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match="pip install 'centermask\\[supervision\\]'"):
        make(1).to_supervision()


class Page(html.parser.HTMLParser):
    """Collects a page's words, the pictures in it, and which tags are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.pictures: list[bytes] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(base64.b64decode(str(dict(attrs)["src"]).removeprefix("data:image/png;base64,")))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_notebook_shows_every_object_in_its_colour_with_class_score_and_pixels() -> None:
    found = make(2, categories=("<b>cat</b>", "café"))
    page = Page(found._repr_html_())
    assert not page.open
    assert page.words[0] == "2 found in a.jpg, 40 × 30 pixels"
    assert "<b>cat</b>" in page.words
    assert {f"{score:.2f}" for score in found.scores} <= set(page.words)
    assert {str(int(mask.sum())) for mask in found.masks} <= set(page.words)
    (drawing,) = page.pictures
    assert Image.open(io.BytesIO(drawing)).size == (40, 30)


def test_a_notebook_shows_huge_pictures_small_and_long_tables_short() -> None:
    size = Size(3000, 9000)
    square = Bitmap(np.ones((1500, 3000), dtype=bool), 0, 0)
    many = 40
    found = make(many, size=size, rle=(mask_warp.to_rle(square, size),) * many)
    page = Page(found._repr_html_())
    drawn = np.asarray(Image.open(io.BytesIO(page.pictures[0])))
    assert drawn.shape == (160, 480, 3)
    assert (drawn[120:, 240:] == drawn[-1, -1]).all()  # nothing there but ground
    assert (drawn[30, 60] != drawn[-1, -1]).any()
    assert "and 20 more" in page.words


def test_a_notebook_shows_that_nothing_was_found() -> None:
    page = Page(make(0)._repr_html_())
    assert page.words == ["0 found in a.jpg, 40 × 30 pixels"]


def test_overlay_takes_captions_and_colours_for_each_object() -> None:
    image, red = np.full((30, 40, 3), 90, dtype=np.uint8), np.array([[255, 0, 0]], dtype=np.uint8)
    one = make(1)
    plain = one.overlay(image, captions=[""], colours=red)
    assert (plain[..., 1:] <= 90).all()  # nothing but red and its dark rim
    assert (plain[..., 0] > 150).any()
    assert (one.overlay(image, captions=["a"], colours=red) != plain).any()
    for captions, colours in ((["a", "b"], red), (["a"], np.repeat(red, 2, axis=0))):
        with pytest.raises(ValueError, match="for 1 objects"):
            one.overlay(image, captions=captions, colours=colours)
