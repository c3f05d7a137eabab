"""Instance PNGs: Pascal VOC's folders and the simplest way, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centermask.data.coco import CocoSet
from centermask.data.formats.index_pixels import common_classes
from centermask.data.sources import open_data, read_raw, skipped
from centermask.errors import UserError
from centermask.ops.mask_warp import area, bounds
from centermask.size import Size
from tests.data.formats_by_hand import SIZE, bitmaps, indices, picture, text


def plane(**boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Numbers (``n3``) in boxes (left, top, right, bottom); zero elsewhere."""
    values = np.zeros(SIZE, dtype=np.uint8)
    for name, (left, top, right, bottom) in boxes.items():
        values[top:bottom, left:right] = int(name[1:])
    return values


OBJECTS = plane(n1=(2, 2, 6, 6), n2=(10, 2, 14, 5), n255=(20, 0, 30, 20))
CLASSES = plane(n2=(2, 2, 6, 6), n1=(10, 2, 14, 5), n255=(20, 0, 30, 20))


def voc_folder(folder: Path, stems: str = "a", classes: bool = True, names: str | None = "cat\ndog\n") -> Path:
    """Pascal VOC's folders without a list."""
    for stem in stems:
        picture(folder / "JPEGImages" / f"{stem}.jpg")
        indices(folder / "SegmentationObject" / f"{stem}.png", OBJECTS)
        if classes:
            indices(folder / "SegmentationClass" / f"{stem}.png", CLASSES)
    if names:
        text(folder / "labels.txt", names)
    return folder


def simple_folder(folder: Path, pictures: str = "images", masks: str = "masks", stem: str = "a") -> Path:
    """A picture and its mask."""
    picture(folder / pictures / f"{stem}.jpg")
    indices(folder / masks / f"{stem}.png", OBJECTS)
    return folder


# --- Pascal VOC ---


def test_objects_have_their_pixels_and_the_class_of_those(tmp_path: Path) -> None:
    split = open_data(str(voc_folder(tmp_path)))
    (dog, first), (cat, second) = bitmaps(split)["a"]
    assert (split.format, dog, cat) == ("png", "dog", "cat")
    assert bounds(first).tolist() == [2, 2, 6, 6]
    assert area(second) == 12


def test_lists_make_the_splits(tmp_path: Path) -> None:
    folder = voc_folder(tmp_path, stems="abcd")
    text(folder / "ImageSets" / "Segmentation" / "train.txt", "c\r\na\r\n\r\n")
    text(folder / "ImageSets" / "Segmentation" / "val.txt", "b")
    split = open_data(str(folder))
    assert list(bitmaps(split)) == ["c", "a"]
    assert list(bitmaps(split, "val")) == ["b"]


def test_a_lone_list_is_one_split(tmp_path: Path) -> None:
    folder = voc_folder(tmp_path, stems="ab")
    text(folder / "ImageSets" / "Segmentation" / "val.txt", "b\n")
    split = open_data(str(folder))
    assert split.train is None
    assert list(bitmaps(split, "val")) == ["b"]


def test_pictures_without_a_mask_are_not_annotated(tmp_path: Path) -> None:
    folder = voc_folder(tmp_path)
    picture(folder / "JPEGImages" / "b.jpg")
    assert set(bitmaps(open_data(str(folder)))) == {"a"}


def test_the_class_of_an_object_is_that_of_most_of_its_pixels() -> None:
    objects = np.array([[1, 1, 1, 2, 3]], dtype=np.uint8)
    classes = np.array([[7, 4, 7, 255, 0]], dtype=np.uint8)
    assert common_classes(objects, classes) == {1: 7}


@pytest.mark.parametrize(
    ("content", "expected"),
    [("_background_\ncat\ndog\n", ("cat", "dog")), ("cat\ndog\nbird\n", ("cat", "dog", "bird"))],
)
def test_class_names_are_the_lines_of_a_list(tmp_path: Path, content: str, expected: tuple[str, ...]) -> None:
    split = open_data(str(voc_folder(tmp_path, names=content)))
    assert split.train is not None
    assert split.train.class_names == expected
    assert bitmaps(split)["a"][0][0] == "dog"


def test_without_a_list_classes_are_numbered_or_those_of_voc(tmp_path: Path) -> None:
    split = open_data(str(voc_folder(tmp_path, names=None)))
    assert split.train is not None
    assert split.train.class_names == ("class 1", "class 2")
    (tmp_path / "Annotations").mkdir()
    split = open_data(str(tmp_path))
    assert bitmaps(split)["a"][0][0] == "bicycle"


def test_without_masks_of_classes_there_is_one(tmp_path: Path) -> None:
    split = open_data(str(voc_folder(tmp_path, classes=False, names="cat\n")))
    assert [name for name, _ in bitmaps(split)["a"]] == ["cat", "cat"]
    split = open_data(str(voc_folder(tmp_path / "b", classes=False, names=None)))
    assert [name for name, _ in bitmaps(split)["a"]] == ["object", "object"]
    with pytest.raises(UserError, match=r"labels\.txt: it names several classes, but no folder SegmentationClass"):
        open_data(str(voc_folder(tmp_path / "c", classes=False)))


def test_in_16_bits_255_is_an_object(tmp_path: Path) -> None:
    folder = voc_folder(tmp_path, classes=False, names=None)
    wide = OBJECTS.astype(np.uint16)
    wide[0, 0] = 65535
    indices(folder / "SegmentationObject" / "a.png", wide)
    assert len(bitmaps(open_data(str(folder)))["a"]) == 3


# --- the simplest way ---


@pytest.mark.parametrize(
    ("pictures", "masks"),
    [("images", "masks"), ("images/train", "masks/train"), ("train/images", "train/masks")],
)
def test_layouts(tmp_path: Path, pictures: str, masks: str) -> None:
    split = open_data(str(simple_folder(tmp_path, pictures, masks)))
    assert [name for name, _ in bitmaps(split)["a"]] == ["object"] * 3
    assert split.val is None


@pytest.mark.parametrize("name", ["val", "valid"])
def test_a_split_for_validation(tmp_path: Path, name: str) -> None:
    simple_folder(tmp_path, "images/train", "masks/train")
    simple_folder(tmp_path, f"images/{name}", f"masks/{name}")
    split = open_data(str(tmp_path))
    assert len(bitmaps(split)["a"]) == len(bitmaps(split, "val")["a"]) == 3


def test_two_pictures_may_share_a_mask(tmp_path: Path) -> None:
    picture(simple_folder(tmp_path) / "images" / "a.png")
    split = open_data(str(tmp_path))
    assert split.train is not None
    assert [len(split.train[i].masks) for i in range(len(split.train))] == [3, 3]


def test_the_one_class_may_have_a_name(tmp_path: Path) -> None:
    text(simple_folder(tmp_path) / "classes.txt", "nucleus\n")
    assert bitmaps(open_data(str(tmp_path)))["a"][0][0] == "nucleus"
    text(tmp_path / "classes.txt", "cat\ndog\n")
    with pytest.raises(UserError, match="several classes"):
        open_data(str(tmp_path))


def test_an_empty_mask_is_a_picture_of_nothing(tmp_path: Path) -> None:
    indices(simple_folder(tmp_path) / "masks" / "a.png", np.zeros(SIZE, dtype=np.uint8))
    assert bitmaps(open_data(str(tmp_path))) == {"a": []}


# --- faults ---


def test_masks_must_fit_their_pictures_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    simple_folder(tmp_path)
    picture(tmp_path / "images" / "a.jpg", exif=exif)
    with pytest.raises(UserError, match=r"a\.png: it is 20 × 30 \(height × width\), expected 30 × 20"):
        open_data(str(tmp_path))
    picture(tmp_path / "images" / "a.jpg", Size(30, 20), exif=exif)
    assert len(bitmaps(open_data(str(tmp_path)))["a"]) == 3


def test_with_skip_the_rest_is_read(tmp_path: Path) -> None:
    folder = simple_folder(tmp_path)
    picture(folder / "images" / "b.jpg")
    indices(folder / "masks" / "c.png", OBJECTS)
    picture(folder / "images" / "d.jpg")
    picture(folder / "masks" / "d.png")
    text(folder / "images" / "e.jpg", "no picture")
    indices(folder / "masks" / "e.png", OBJECTS)
    picture(folder / "images" / "f.jpg")
    (folder / "masks" / "f.png").symlink_to(indices(tmp_path.parent / "outside.png", OBJECTS))
    with pytest.raises(UserError, match="--on-error skip"):
        open_data(str(folder))
    split = open_data(str(folder), on_error="skip")
    assert set(bitmaps(split)) == {"a"}
    lines = skipped(split)
    assert len(lines) == 5
    for part in ("b.png: there is no such file", "c.png: there is no picture", "d.png: it holds colours",
                 "e.jpg: this is no picture", "f.png: "):  # fmt: skip
        assert sum(part in line for line in lines) == 1


def test_objects_without_a_class_are_told(tmp_path: Path) -> None:
    folder = voc_folder(tmp_path, names="cat\n")
    indices(folder / "SegmentationClass" / "a.png", plane(n2=(2, 2, 6, 6)))
    lines = skipped(open_data(str(folder), on_error="skip"))
    assert [line.partition("a.png: ")[2] for line in lines] == [
        "object 1 has the class 2 of 1",
        "object 2 has no class",
    ]


def test_names_of_a_list_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    folder = voc_folder(tmp_path)
    text(folder / "ImageSets" / "Segmentation" / "train.txt", "a\n../JPEGImages/a\n/etc/passwd\n")
    lines = skipped(open_data(str(folder), on_error="skip"))
    assert len(lines) == 2
    assert all("there is no picture" in line and "train.txt" in line for line in lines)


def test_masks_without_a_folder_of_pictures_are_refused(tmp_path: Path) -> None:
    for mask in ("masks/a.png", "SegmentationObject/a.png"):
        folder = tmp_path / mask[0]
        indices(folder / mask, OBJECTS)
        with pytest.raises(UserError, match="there are masks, but not this folder of pictures"):
            open_data(str(folder))


def test_raw_content_tells_where_it_stood(tmp_path: Path) -> None:
    (raw,) = read_raw(str(voc_folder(tmp_path)))
    assert (raw.format, raw.images) == ("png", tmp_path / "JPEGImages")
    first, _ = raw.content["annotations"]  # type: ignore[misc]
    assert first["origin"] == "SegmentationObject/a.png object 1"
    assert first["category_id"] == 2


def test_many_objects_in_16_bits(tmp_path: Path) -> None:
    folder = simple_folder(tmp_path)
    values = np.arange(SIZE.height * SIZE.width, dtype=np.uint16).reshape(SIZE)
    indices(folder / "masks" / "a.png", values)
    split = open_data(str(folder))
    assert isinstance(split.train, CocoSet)
    assert len(split.train.objects[0]) == 599
