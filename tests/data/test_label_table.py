"""Labels as flat arrays: whatever goes in comes out, in the order of the pictures."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from centermask.data.coco_entries import CocoImage, CocoObject
from centermask.data.label_table import AnnotationView, LabelTable, tabulate
from centermask.ops.mask_warp import Polygons
from centermask.size import Size

TRIANGLE = np.array([[0.0, 0.0], [4.0, 0.1], [0.3, 4.0]])
SQUARE = np.array([[1.0, 1.0], [3.0, 1.0], [3.0, 3.0], [1.0, 3.0]])


def records(count: int) -> list[CocoImage]:
    """Pictures with ids that are not their places."""
    return [CocoImage(id=100 - i, file_name=f"{i}.png", folder=Path("set"), size=Size(8, 9)) for i in range(count)]


def annotation(identity: int, image_id: int, segmentation: Polygons | str = "35<", **values: object) -> CocoObject:
    usual = {"label": identity % 3, "is_crowd": identity % 2 == 1, "area": identity + 0.25, "box": (0.5, 1.0, 2.0, 3.5)}
    return CocoObject(id=identity, image_id=image_id, segmentation=segmentation, **(usual | values))


def same(a: CocoObject, b: CocoObject) -> bool:
    if isinstance(a.segmentation, str) or isinstance(b.segmentation, str):
        alike = a.segmentation == b.segmentation
    else:
        parts = zip(a.segmentation.parts, b.segmentation.parts, strict=True)
        alike = all(np.array_equal(x, y) for x, y in parts)
    fields = ("id", "image_id", "label", "is_crowd", "area", "box")
    return alike and all(getattr(a, name) == getattr(b, name) for name in fields)


def test_rows_are_found_by_picture_in_the_order_of_the_file() -> None:
    # Picture 0 has the id 100, picture 1 the id 99 and nothing on it, picture 2 the id 98.
    items = [annotation(5, 98), annotation(7, 100), annotation(3, 98), annotation(9, 100)]
    view = AnnotationView(tabulate(items, records(3)), records(3))
    assert [[item.id for item in of_one] for of_one in view] == [[7, 9], [], [5, 3]]


def test_polygons_and_codes_stand_side_by_side() -> None:
    items = [
        annotation(0, 100, Polygons((TRIANGLE,))),
        annotation(1, 100, "PQ3"),
        annotation(2, 100, Polygons((SQUARE, TRIANGLE))),
        annotation(3, 100, "0"),
    ]
    (found,) = AnnotationView(tabulate(items, records(1)), records(1))
    assert all(same(a, b) for a, b in zip(found, items, strict=True))
    assert [type(item.segmentation) for item in found] == [Polygons, str, Polygons, str]


@pytest.mark.parametrize("pictures", [0, 1, 3])
def test_a_table_of_nothing_is_ordinary(pictures: int) -> None:
    table = tabulate([], records(pictures))
    assert list(AnnotationView(table, records(pictures))) == [()] * pictures
    assert table.boxes.shape == (0, 4)
    assert table.vertices.shape == (0, 2)


def test_a_view_is_indexed_like_a_tuple() -> None:
    items = [annotation(i, 100 - i % 4) for i in range(9)]
    view = AnnotationView(tabulate(items, records(4)), records(4))
    plain = tuple(view)
    assert len(view) == 4
    assert [item.id for item in view[-1]] == [item.id for item in plain[3]]
    assert [[item.id for item in of_one] for of_one in view[1:3]] == [[item.id for item in one] for one in plain[1:3]]
    for beyond in (4, -5):
        with pytest.raises(IndexError):
            view[beyond]


def test_annotations_are_taken_one_by_one() -> None:
    alive: list[int] = []

    class Counted(str):
        def __del__(self) -> None:
            alive.append(1)

    given_so_far = (annotation(i, 100, Counted("35<")) for i in range(50))
    tabulate(given_so_far, records(1))
    assert len(alive) == 50, "none is held on to"


@st.composite
def annotations(draw_value: st.DrawFn) -> list[CocoObject]:
    items = []
    for identity in range(draw_value(st.integers(0, 12))):
        polygons = st.lists(st.sampled_from([TRIANGLE, SQUARE, SQUARE[::-1]]), min_size=1, max_size=3)
        segmentation = draw_value(st.one_of(st.text("0123PQ<", min_size=1), polygons.map(lambda x: Polygons(tuple(x)))))
        items.append(annotation(identity, draw_value(st.integers(96, 100)), segmentation))
    return items


@given(annotations())
def test_what_goes_in_comes_out(items: list[CocoObject]) -> None:
    pictures = records(5)
    table: LabelTable = pickle.loads(pickle.dumps(tabulate(items, pictures)))
    for record, found in zip(pictures, AnnotationView(table, pictures), strict=True):
        wanted = [item for item in items if item.image_id == record.id]
        assert all(same(a, b) for a, b in zip(found, wanted, strict=True))


@given(annotations())
def test_the_memory_is_what_the_file_says_it_is(items: list[CocoObject]) -> None:
    # 77 bytes each, one for each character, 16 for each vertex, 8 for each polygon and each picture; and four ends.
    characters = sum(len(item.segmentation) for item in items if isinstance(item.segmentation, str))
    parts = [part for item in items if isinstance(item.segmentation, Polygons) for part in item.segmentation.parts]
    table = tabulate(items, records(5))
    assert table.nbytes == 77 * len(items) + characters + 16 * sum(map(len, parts)) + 8 * len(parts) + 8 * 5 + 8 * 4
