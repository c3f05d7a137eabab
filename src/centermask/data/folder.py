"""Where a data set's pictures and COCO annotations lie: a folder becomes its training and its validation split.

Annotations are found as ``FOLDER/annotations/NAME_train.json`` and ``NAME_val.json`` (also with a year:
``instances_train2017.json`` is the split ``train2017`` of the name ``instances2017``). ``FOLDER:NAME`` chooses a name.
Without one, the folder's only name is taken; or, if exactly one name has both splits and all others have only ``val``
(``NAME_occluded_val.json``: a further test), that one. A folder without such files may hold
``SPLIT/_annotations.coco.json``, or one COCO file in ``FOLDER`` or ``FOLDER/annotations``, which is for training.
"""

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from centermask.errors import UserError

SPLITS = ("train", "val")

_FILE_NAME = re.compile(r"(?:(?P<name>.+)_)?(?P<split>train|val|valid)(?P<year>(\d{4})?)")
_ROBOFLOW = "_annotations.coco.json"
_COCO_LISTS = tuple(re.compile(rb'"%s"\s*:\s*\[' % name) for name in (b"images", b"annotations", b"categories"))


@dataclass(frozen=True, kw_only=True)
class CocoSource:
    """An annotation file and the folder in which its pictures lie."""

    annotations: Path
    images: Path


@dataclass(frozen=True, kw_only=True)
class Splits:
    """What a data set offers; at least one of the two."""

    train: CocoSource | None
    val: CocoSource | None


@dataclass(frozen=True, kw_only=True)
class _Found:
    """An annotation file by the parts of its name."""

    name: str
    split: str
    folder: str
    """Name of the folder in which the pictures of the split would lie."""
    path: Path


def find_splits(
    data: str | Path,
    *,
    train_annotations: Path | None = None,
    val_annotations: Path | None = None,
    images: Path | None = None,
) -> Splits:
    """Find the splits of ``FOLDER`` or ``FOLDER:NAME``.

    Given annotation files are taken as they are, and the folder is then not searched for others. The pictures of a
    split lie in ``images`` if given, else in the first of ``FOLDER/SPLIT``, ``FOLDER/images/SPLIT``, ``FOLDER/images``
    that exists, else in ``FOLDER`` itself.

    Raises:
        UserError: a folder or file is missing, the folder has no annotations, or several names to choose from.
    """
    folder, name = split_name(data)
    if train_annotations or val_annotations:
        given = dict(zip(SPLITS, (train_annotations, val_annotations), strict=True))
        found = {split: _given(path, split) for split, path in given.items() if path}
    else:
        found = _choose(_search(folder), folder, name)
    sources = {split: _source(file, folder, images) for split, file in found.items()}
    return Splits(train=sources.get("train"), val=sources.get("val"))


def has_coco(folder: Path) -> bool:
    """Whether a folder holds annotations that ``find_splits`` finds."""
    return bool(_search(folder))


def split_name(data: str | Path) -> tuple[Path, str | None]:
    """Part ``FOLDER:NAME``; a folder that exists with the colon in its own name is taken whole.

    Raises:
        UserError: there is no such folder.
    """
    whole = Path(data)
    if whole.is_dir():
        return whole, None
    head, _, name = str(data).rpartition(":")
    folder = Path(head) if head and name and not set(name) & set("/\\") else whole
    if not folder.is_dir():
        reason = "is a file, not a folder" if folder.is_file() else "there is no such folder"
        raise UserError(f"{folder}: {reason}; give a folder that holds pictures and annotations/NAME_train.json")
    return (whole, None) if folder is whole else (folder, name)


def _search(folder: Path) -> list[_Found]:
    """The annotation files of the first layout that the folder has."""
    return list(_named(folder)) or list(_by_split(folder)) or list(_lone(folder))


def _named(folder: Path) -> Iterator[_Found]:
    for path in sorted((folder / "annotations").glob("*.json")):
        if parts := _FILE_NAME.fullmatch(path.stem):
            split, year = parts["split"], parts["year"]
            name = (parts["name"] or "annotations") + year
            yield _Found(name=name, split="val" if split == "valid" else split, folder=split + year, path=path)


def _by_split(folder: Path) -> Iterator[_Found]:
    for name, split in (("train", "train"), ("valid", "val"), ("val", "val")):
        if (path := folder / name / _ROBOFLOW).is_file():
            yield _Found(name="annotations", split=split, folder=name, path=path)


def _lone(folder: Path) -> Iterator[_Found]:
    usual = [path for path in (folder / "annotations.json", folder / "instances.json") if path.is_file()]
    for place in (folder, folder / "annotations"):
        files = usual or sorted(path for path in place.glob("*.json") if path.is_file())
        if files and (usual or len(files) == 1) and looks_like_coco(files[0]):
            yield _Found(name=files[0].stem, split="train", folder="train", path=files[0])
            return


def looks_like_coco(path: Path) -> bool:
    """Whether a file names COCO's lists, whatever else it holds."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return all(name.search(content) for name in _COCO_LISTS)
    except (OSError, ValueError):  # cannot be read, or is empty
        return False


def _given(path: Path, split: str) -> _Found:
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; name the annotations of the split {split}")
    parts = _FILE_NAME.fullmatch(path.stem)
    return _Found(name=path.stem, split=split, folder=split + (parts["year"] if parts else ""), path=path)


def _choose(files: list[_Found], folder: Path, name: str | None) -> dict[str, _Found]:
    """The files of a name, by split."""
    names: dict[str, dict[str, _Found]] = {}
    for file in files:
        names.setdefault(file.name, {})[file.split] = file
    if not names:
        raise UserError(
            f"{folder}: it has no annotations/NAME_train.json or annotations/NAME_val.json; put the COCO files there, "
            "or name them one by one"
        )
    if name is None:
        return names[_only_name(names, folder)]
    if name not in names:
        raise UserError(
            f"{folder}: it has no annotations of the name {name!r}; choose one of {', '.join(sorted(names))}"
        )
    return names[name]


def _only_name(names: dict[str, dict[str, _Found]], folder: Path) -> str:
    both = [name for name, splits in names.items() if len(splits) == 2]
    only_train = [name for name, splits in names.items() if set(splits) == {"train"}]
    if len(names) == 1:
        return next(iter(names))
    if len(both) == 1 and not only_train:
        return both[0]
    example = min(both or names)
    raise UserError(
        f"{folder}: it has annotations of several names, {', '.join(sorted(names))}; choose one: {folder}:{example}"
    )


def _source(file: _Found, folder: Path, images: Path | None) -> CocoSource:
    if images and not images.is_dir():
        raise UserError(f"{images}: there is no such folder; name the folder in which the pictures lie")
    usual = (folder / file.folder, folder / "images" / file.folder, folder / "images")
    return CocoSource(annotations=file.path, images=images or next((path for path in usual if path.is_dir()), folder))
