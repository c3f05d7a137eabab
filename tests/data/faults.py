"""Small data sets with one fault each: a sound one, and what spoils it."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from centermask.ops.mask_warp import to_rle
from centermask.size import Size
from tests.pictures import rectangle

SIDE = 64
SQUARE = [8.0, 8.0, 28.0, 8.0, 28.0, 28.0, 8.0, 28.0]
BLOCK = to_rle(rectangle(34, 30, 20, 24), Size(SIDE, SIDE))
BLOCK_RUNS = [34 * SIDE + 30, *[24, 40] * 19, 24, 10 + 10 * SIDE]
NAN, INFINITY = float("nan"), float("inf")

Entry = dict[str, Any]


@dataclass
class DataSet:
    """A COCO set in a folder, as it will be written."""

    folder: Path
    train: Entry = field(default_factory=dict)
    val: Entry = field(default_factory=dict)

    @property
    def picture(self) -> Path:
        """The first training picture."""
        return self.folder / "train" / "0.png"

    def spoil(self, **values: object) -> None:
        """Change the first training object, a polygon."""
        self.train["annotations"][0].update(values)

    def spoil_code(self, **values: object) -> None:
        """Change the second training object, a run-length code."""
        self.train["annotations"][1].update(values)

    def save(self) -> None:
        """Write the annotation files."""
        for split in ("train", "val"):
            text = json.dumps(getattr(self, split))
            (self.folder / "annotations" / f"things_{split}.json").write_text(text)


def sound(folder: Path) -> DataSet:
    """A set without fault: four pictures for training and three for validation, with two objects each."""
    made = DataSet(folder)
    (folder / "annotations").mkdir(parents=True)
    for split, pictures, seed in (("train", 4, 0), ("val", 3, 100)):
        (folder / split).mkdir()
        for i in range(pictures):
            save_picture(folder / split / f"{i}.png", seed + i)
        setattr(made, split, describe(pictures))
    return made


def describe(pictures: int) -> Entry:
    """The annotations of as many pictures."""
    square = {"segmentation": [SQUARE], "bbox": [8.0, 8.0, 20.0, 20.0], "area": 400.0, "category_id": 1}
    block = {"segmentation": dict(BLOCK), "bbox": [34.0, 30.0, 20.0, 24.0], "area": 480.0, "category_id": 2}
    both = [(i, shape) for i in range(pictures) for shape in (square, block)]
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": SIDE, "height": SIDE} for i in range(pictures)],
        "annotations": [
            {"id": n, "image_id": i, "iscrowd": 0, **copy.deepcopy(shape)} for n, (i, shape) in enumerate(both, start=1)
        ],
        "categories": [{"id": 1, "name": "square"}, {"id": 2, "name": "block"}],
    }


def pixels(seed: int, side: int = SIDE) -> np.ndarray:
    """Coarse noise: a picture that looks like no other one."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))


def save_picture(path: Path, seed: int, size: tuple[int, int] = (SIDE, SIDE), orientation: int = 1) -> None:
    """Write a picture of (width, height) as stored."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels(seed)).resize(size).save(path, exif=exif if orientation != 1 else None)


def bow_tie(one: DataSet) -> None:
    """The same box, but two corners change places."""
    one.spoil(segmentation=[[8, 8, 28, 28, 28, 12, 8, 28]], area=40)


def regular_polygon(points: int) -> list[float]:
    """Many points around (32, 32)."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return (32 + 10 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).ravel().tolist()


def write_over(path: Path, content: bytes) -> None:
    """Replace a file's bytes."""
    path.write_bytes(content)


def bomb(path: Path) -> None:
    """A small PNG file that claims 60,000 × 60,000 pixels."""
    Image.new("L", (1, 1)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    crc = __import__("zlib").crc32(bytes(content[12:29]))
    content[29:33] = crc.to_bytes(4, "big")
    path.write_bytes(bytes(content))


def sparse(path: Path) -> None:
    """A file of 600 MiB that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(600 * 2**20)


def link(path: Path, target: Path) -> None:
    """Replace a picture by a link to a copy elsewhere."""
    target.parent.mkdir()
    path.rename(target)
    path.symlink_to(target)


def reencode(source: Path, target: Path) -> None:
    """The same picture, smaller and as a poor JPEG of another name."""
    Image.open(source).convert("RGB").resize((60, 60)).resize((SIDE, SIDE)).save(target, "JPEG", quality=60)


def rename_class(one: DataSet, split: str, identity: int, name: str) -> None:
    """Give a class of one split another name."""
    next(entry for entry in getattr(one, split)["categories"] if entry["id"] == identity)["name"] = name


def add_class(one: DataSet, *splits: str, identity: int = 3, name: str = "ring") -> None:
    """A class without objects."""
    for split in splits:
        getattr(one, split)["categories"].append({"id": identity, "name": name})


def move_objects(one: DataSet, split: str, category: int) -> None:
    """All objects of a split become one class."""
    for entry in getattr(one, split)["annotations"]:
        entry["category_id"] = category


def overlay_twin(one: DataSet, category: int) -> None:
    """Annotate the first object once more, a tenth of a pixel aside."""
    twin = copy.deepcopy(one.train["annotations"][0])
    twin["segmentation"] = [[value + 0.1 for value in SQUARE]]
    one.train["annotations"].append({**twin, "id": 99, "category_id": category})


def crowd_only(one: DataSet) -> None:
    """Nothing but crowds."""
    for entry in one.train["annotations"]:
        entry["iscrowd"] = 1


def double_picture(one: DataSet) -> None:
    """List one file under a second id, with no object."""
    one.train["images"].append({"id": 50, "file_name": "0.png", "width": SIDE, "height": SIDE})


def copy_picture(one: DataSet, split: str, name: str) -> None:
    """The bytes of the first training picture under another name, listed without objects."""
    (one.folder / split / name).write_bytes(one.picture.read_bytes())
    getattr(one, split)["images"].append({"id": 60, "file_name": name, "width": SIDE, "height": SIDE})


def near_copy(one: DataSet) -> None:
    """A look-alike of the first training picture in val."""
    reencode(one.picture, one.folder / "val" / "like.jpg")
    one.val["images"].append({"id": 60, "file_name": "like.jpg", "width": SIDE, "height": SIDE})


def tile(one: DataSet, size: tuple[int, int], orientation: int = 1) -> None:
    """Another file in the place of the first training picture."""
    save_picture(one.picture, 0, size, orientation)


Spoil = Callable[[DataSet], object]

FAULTS: dict[str, tuple[Spoil, str, str]] = {
    # the annotation file
    "JSON cut off": (lambda one: setattr(one, "save", lambda: cut_json(one)), "label-file", "error"),
    "JSON of a list": (lambda one: setattr(one, "train", [1, 2]), "label-file", "error"),
    "JSON nested too deeply": (lambda one: setattr(one, "save", lambda: nest_json(one)), "label-file", "error"),
    "no list of annotations": (lambda one: one.train.pop("annotations"), "no-list", "error"),
    "annotations are a number": (lambda one: one.train.update(annotations=7), "no-list", "error"),
    # classes
    "class without a name": (lambda one: add_class(one, "train", name=""), "category-entry", "error"),
    "class with a control character": (lambda one: add_class(one, "val", name="a\x1b[2J"), "category-entry", "error"),
    "class id twice": (lambda one: add_class(one, "train", identity=2, name="other"), "category-id-twice", "error"),
    "class name twice": (lambda one: add_class(one, "train", "val", name="square"), "category-name-twice", "error"),
    "no class": (lambda one: one.train.update(categories=[]), "no-category", "error"),
    "same id, other name": (lambda one: rename_class(one, "val", 2, "brick"), "category-differs", "error"),
    "class of one split": (lambda one: add_class(one, "val"), "category-one-split", "warning"),
    "class without objects": (lambda one: add_class(one, "train", "val"), "class-empty", "warning"),
    "class only in val": (lambda one: move_objects(one, "train", 1), "class-untrained", "warning"),
    "gap in the ids": (
        lambda one: [move_class(one, split, 2, 7) for split in ("train", "val")],
        "category-gap",
        "note",
    ),
    # pictures, as listed
    "picture without width": (lambda one: one.train["images"][0].pop("width"), "picture-entry", "error"),
    "picture of no height": (lambda one: one.train["images"][0].update(height=0), "picture-entry", "error"),
    "picture entry is text": (lambda one: one.train["images"].append("0.png"), "picture-entry", "error"),
    "picture id twice": (lambda one: one.train["images"][1].update(id=0), "picture-id-twice", "error"),
    "picture listed twice": (double_picture, "picture-listed-twice", "error"),
    "picture missing": (lambda one: one.picture.unlink(), "picture-missing", "error"),
    "path climbs out": (lambda one: one.train["images"][0].update(file_name="../0.png"), "picture-outside", "error"),
    "absolute path": (lambda one: one.train["images"][0].update(file_name="/etc/passwd"), "picture-outside", "error"),
    "Windows path": (lambda one: one.train["images"][0].update(file_name="C:\\0.png"), "picture-outside", "error"),
    "link leads out": (
        lambda one: link(one.picture, one.folder.parent / "elsewhere" / "0.png"),
        "picture-outside",
        "error",
    ),
    "no picture at all": (lambda one: one.train.update(images=[], annotations=[]), "no-picture", "error"),
    "huge size in JSON": (
        lambda one: one.train["images"][0].update(width=10**6, height=10**6),
        "picture-too-large",
        "error",
    ),
    "picture not annotated": (lambda one: save_picture(one.folder / "train" / "x.png", 77), "picture-extra", "warning"),
    # pictures, as files
    "picture empty": (lambda one: write_over(one.picture, b""), "picture-broken", "error"),
    "picture cut off": (
        lambda one: write_over(one.picture, one.picture.read_bytes()[:-600]),
        "picture-broken",
        "error",
    ),
    "picture is text": (lambda one: write_over(one.picture, b"no picture"), "picture-broken", "error"),
    "decompression bomb": (lambda one: bomb(one.picture), "picture-too-large", "error"),
    "file too large": (lambda one: sparse(one.picture), "file-too-large", "error"),
    "size differs": (lambda one: tile(one, (SIDE, 48)), "size-differs", "error"),
    "EXIF turns it": (lambda one: turned(one), "exif-turned", "error"),
    "EXIF turns a square": (lambda one: tile(one, (SIDE, SIDE), 6), "exif-unclear", "warning"),
    "EXIF mirrors it": (lambda one: tile(one, (SIDE, SIDE), 2), "exif-unclear", "warning"),
    "same bytes in a split": (lambda one: copy_picture(one, "train", "copy.png"), "picture-copy", "warning"),
    "same bytes in both splits": (lambda one: copy_picture(one, "val", "copy.png"), "split-leak", "error"),
    "look-alike in val": (near_copy, "near-duplicate", "warning"),
    # objects
    "object is null": (lambda one: one.train["annotations"].append(None), "annotation-entry", "error"),
    "object without id": (lambda one: one.train["annotations"][0].pop("id"), "annotation-entry", "error"),
    "iscrowd is a word": (lambda one: one.spoil(iscrowd="no"), "annotation-entry", "error"),
    "object id twice": (lambda one: one.spoil_code(id=1), "annotation-id-twice", "error"),
    "object of no picture": (lambda one: one.spoil(image_id=404), "unknown-picture", "error"),
    "object of no class": (lambda one: one.spoil(category_id=404), "unknown-category", "error"),
    "no object": (lambda one: one.train.update(annotations=[]), "no-object", "error"),
    "all crowds": (crowd_only, "all-crowd", "error"),
    "object twice": (lambda one: overlay_twin(one, 1), "object-twice", "warning"),
    "object under two classes": (lambda one: overlay_twin(one, 2), "object-two-classes", "warning"),
    # polygons
    "no mask": (lambda one: one.spoil(segmentation=None), "no-segmentation", "error"),
    "mask is text": (lambda one: one.spoil(segmentation="8 8 28 8"), "no-segmentation", "error"),
    "no polygon": (lambda one: one.spoil(segmentation=[]), "polygon-form", "error"),
    "odd coordinates": (lambda one: one.spoil(segmentation=[SQUARE[:-1]]), "polygon-form", "error"),
    "two points": (lambda one: one.spoil(segmentation=[SQUARE[:4]]), "polygon-form", "error"),
    "polygon of words": (lambda one: one.spoil(segmentation=[["8"] * 8]), "polygon-form", "error"),
    "NaN in a polygon": (lambda one: one.spoil(segmentation=[[NAN, *SQUARE[1:]]]), "polygon-not-finite", "error"),
    "infinity in a polygon": (
        lambda one: one.spoil(segmentation=[[*SQUARE[:-1], INFINITY]]),
        "polygon-not-finite",
        "error",
    ),
    "polygon is a line": (lambda one: one.spoil(segmentation=[[8, 8, 28, 28, 18, 18]]), "polygon-no-area", "error"),
    "polygon beside the picture": (
        lambda one: one.spoil(segmentation=[[70, 8, 90, 8, 90, 28]]),
        "polygon-outside",
        "error",
    ),
    "polygon far away": (lambda one: one.spoil(segmentation=[[1e9, 8, 1e9, 28, 8, 8]]), "polygon-outside", "error"),
    "polygon over the border": (
        lambda one: one.spoil(segmentation=[[-8, 8, 28, 8, 28, 28, -8, 28]], bbox=[0, 8, 28, 20], area=560),
        "polygon-over-border",
        "warning",
    ),
    "polygon crosses itself": (bow_tie, "polygon-crosses", "warning"),
    "too many points": (lambda one: one.spoil(segmentation=[regular_polygon(100_001)]), "polygon-vertices", "error"),
    "part without area": (
        lambda one: one.spoil(segmentation=[SQUARE, [8, 8, 9, 9, 10, 10]]),
        "polygon-part-empty",
        "warning",
    ),
    "mask covers no pixel": (
        lambda one: one.spoil(segmentation=[[8.1, 8.1, 8.3, 8.1, 8.3, 8.3]], bbox=[8.1, 8.1, 0.2, 0.2], area=0.02),
        "object-tiny",
        "warning",
    ),
    # run-length codes
    "code of another size": (
        lambda one: one.spoil_code(segmentation={"size": [32, 32], "counts": BLOCK["counts"]}),
        "code-size",
        "error",
    ),
    "code of a huge size": (
        lambda one: one.spoil_code(segmentation={"size": [2**31, 2**31], "counts": "P" * 9}),
        "code-size",
        "error",
    ),
    "code too short": (lambda one: one.spoil_code(segmentation=runs(BLOCK_RUNS[:-1])), "code-runs", "error"),
    "code too long": (lambda one: one.spoil_code(segmentation=runs([*BLOCK_RUNS, 7])), "code-runs", "error"),
    "run too long": (lambda one: one.spoil_code(segmentation=runs([0, 10**18])), "code-runs", "error"),
    "negative run": (lambda one: one.spoil_code(segmentation=runs([-4, SIDE * SIDE + 4])), "code-runs", "error"),
    "runs wrap around": (
        lambda one: one.spoil_code(segmentation=runs([2**63 - 1, 2**63 - 1, 2])),
        "code-runs",
        "error",
    ),
    "code of wrong letters": (lambda one: one.spoil_code(segmentation=runs("\x07é")), "code-runs", "error"),
    "code ends inside a number": (lambda one: one.spoil_code(segmentation=runs("oooo")), "code-runs", "error"),
    "code of an empty mask": (lambda one: one.spoil_code(segmentation=runs([SIDE * SIDE])), "code-empty", "error"),
    # boxes and areas
    "box as two corners": (lambda one: one.spoil_code(bbox=[34, 30, 54, 54]), "box-xyxy", "error"),
    "box in shares": (lambda one: one.spoil_code(bbox=[34 / 64, 30 / 64, 20 / 64, 24 / 64]), "box-normalised", "error"),
    "box by its centre": (lambda one: one.spoil_code(bbox=[44, 42, 20, 24]), "box-centre", "error"),
    "box elsewhere": (lambda one: one.spoil(bbox=[30, 2, 20, 20]), "box-misfit", "warning"),
    "box of three numbers": (lambda one: one.spoil(bbox=[8, 8, 20]), "box-form", "warning"),
    "box of NaN": (lambda one: one.spoil(bbox=[NAN] * 4), "box-form", "warning"),
    "box turned round": (lambda one: one.spoil(bbox=[28, 28, -20, -20]), "box-form", "warning"),
    "no box": (lambda one: one.train["annotations"][0].pop("bbox"), "box-missing", "note"),
    "negative area": (lambda one: one.spoil(area=-400), "area-wrong", "warning"),
    "area of NaN": (lambda one: one.spoil(area=NAN), "area-wrong", "warning"),
    "area in shares": (lambda one: one.spoil(area=0.1), "area-wrong", "warning"),
    "no area": (lambda one: one.train["annotations"][0].pop("area"), "area-missing", "note"),
}
"""What spoils a sound set, and the kind and severity of the finding that must follow."""

CONSEQUENCES = {
    "picture id twice": {"unknown-picture"},
    "path climbs out": {"picture-extra"},
    "absolute path": {"picture-extra"},
    "Windows path": {"picture-extra"},
}
"""Further findings that a fault brings with it."""


def runs(counts: object) -> Entry:
    """A run-length code of the picture's size."""
    return {"size": [SIDE, SIDE], "counts": counts}


def cut_json(one: DataSet) -> None:
    """Write the files, the first of them not to its end."""
    DataSet.save(one)
    path = one.folder / "annotations" / "things_train.json"
    path.write_bytes(path.read_bytes()[:-40])


def nest_json(one: DataSet) -> None:
    """Write the files, the first of them nothing but brackets."""
    DataSet.save(one)
    (one.folder / "annotations" / "things_train.json").write_text("[" * 200_000)


def turned(one: DataSet) -> None:
    """Annotated as stored, 48 × 64, but EXIF turns it by a quarter."""
    tile(one, (SIDE, 56), 6)
    one.train["images"][0].update(width=SIDE, height=56)
    one.train["annotations"] = [entry for entry in one.train["annotations"] if entry["image_id"] != 0]


def move_class(one: DataSet, split: str, old: int, new: int) -> None:
    """Another id for a class and its objects."""
    for entry in getattr(one, split)["categories"]:
        entry["id"] = new if entry["id"] == old else entry["id"]
    for entry in getattr(one, split)["annotations"]:
        entry["category_id"] = new if entry["category_id"] == old else entry["category_id"]
