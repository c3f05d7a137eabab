"""Convert a data set from one annotation format into another: ``centermask data convert``."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath

from centermask.data.coco import CocoSet
from centermask.data.coco_entries import CocoImage
from centermask.data.folder import split_name
from centermask.data.formats.coco_writer import CocoWriter
from centermask.data.formats.detect import choose_format
from centermask.data.formats.index_png_writer import IndexPngWriter
from centermask.data.formats.labelme_writer import LabelmeWriter
from centermask.data.formats.labels import SPLITS, Format, Split
from centermask.data.formats.writer import Labelled, Page, Target, Writer, told
from centermask.data.formats.yolo_writer import YoloWriter
from centermask.data.sources import open_data, union_of_classes
from centermask.errors import UserError
from centermask.images import IMAGE_SUFFIXES, read_size

WRITERS: dict[Format, Callable[[Target], Writer]] = {
    "coco": CocoWriter,
    "yolo": YoloWriter,
    "labelme": LabelmeWriter,
    "png": IndexPngWriter,
}


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What was written."""

    out: Path
    format: Format
    pictures: int
    objects: int
    """In the new data set, crowds among them."""
    notes: tuple[str, ...]
    """What the new format cannot say, or what was changed, a line each."""


def convert(
    data: str,
    out: Path,
    *,
    to: Format,
    link: bool = False,
    on_progress: Callable[[int, int], object] | None = None,
) -> Converted:
    """Write a data set anew in another format, pictures and all.

    Masks stay what they are, pixel by pixel, with holes and parts; only where objects overlap, an index PNG must give
    the pixels to one of them. Nothing stands in ``out`` before everything does.

    Args:
        data: a data argument with files behind it.
        out: a folder that is empty or does not exist yet, outside of the data set.
        to: the new format.
        link: let both folders share the files of the pictures (hard links), as far as they lie on one disk.
        on_progress: called after each picture with the number written so far and that of all.

    Raises:
        UserError: the data cannot be read or has a bad entry, a picture is not what its labels say, or ``out`` cannot
            be written.
    """
    _check_out(data, out)
    split = open_data(data)
    sets = {name: one for name, one in zip(SPLITS, (split.train, split.val), strict=True) if isinstance(one, CocoSet)}
    if not sets:
        raise UserError(f"{data}: there are no files to convert; write some with: centermask gems FOLDER")
    with whole_folder(out) as folder:
        return _write(sets, folder, out, to, link, on_progress or (lambda done, total: None))


def check_empty(out: Path) -> None:
    """Refuse a place where something stands already.

    Raises:
        UserError: ``out`` exists and is not an empty folder.
    """
    if os.path.exists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out}: already exists and is not an empty folder; name a new folder, or empty this one")


def _check_out(data: str, out: Path) -> None:
    check_empty(out)
    source = split_name(choose_format(data)[1])[0] if not data.startswith("gems:") else None
    if source and Path(os.path.realpath(source)) in Path(os.path.realpath(out)).parents:
        raise UserError(
            f"{out}: lies inside of {source}, where it would be taken for a part of it; choose another place"
        )


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write to, which takes its place only once it is complete."""
    out = Path(os.path.abspath(out))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise UserError(f"{out}: cannot be made ({error.strerror or error}); choose another place") from None
    try:
        yield aside
        aside.chmod(0o755)
        if out.exists():
            out.rmdir()
        aside.rename(out)
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror or error}); free some space or choose another place"
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(
    sets: dict[Split, CocoSet],
    folder: Path,
    out: Path,
    to: Format,
    link: bool,
    on_progress: Callable[[int, int], object],
) -> Converted:
    classes = union_of_classes(list(sets.values()))
    target = Target(folder=folder, class_names=tuple(classes), category_ids=tuple(classes.values()))
    writer = WRITERS[to](target)
    total, objects, copied, renamed = sum(map(len, sets.values())), 0, 0, 0
    for done, (page, record) in enumerate(_pages(sets, target, to), start=1):
        _check_size(record)
        copied += place_picture(record.path, writer.place(page), link)
        objects += writer.write(page)
        renamed += page.name != PurePosixPath(record.file_name).name
        on_progress(done, total)
    notes = [
        *writer.finish(),
        *told(renamed, "picture", "renamed, so that all have names of their own"),
        *told(copied if link else 0, "picture", "copied, because hard links do not reach there"),
    ]
    return Converted(out=out, format=to, pictures=total, objects=objects, notes=tuple(notes))


def _pages(sets: dict[Split, CocoSet], target: Target, to: Format) -> Iterator[tuple[Page, CocoImage]]:
    """All pictures of all splits with their objects, under the names that they will have."""
    places = {name: label for label, name in enumerate(target.class_names)}
    for (split, one), names in zip(sets.items(), _names(list(sets.values()), to), strict=True):
        labels = [places[name] for name in one.class_names]
        for record, items, name in zip(one.records, one.objects, names, strict=True):
            objects = [Labelled(labels[item.label], item) for item in items]
            yield Page(split=split, id=record.id, name=name, size=record.size, objects=objects), record


def _names(sets: Sequence[CocoSet], to: Format) -> list[list[str]]:
    """The pictures' new names in each set."""
    old = [[record.file_name for record in one.records] for one in sets]
    if to != "png":
        return [plain_names(names) for names in old]
    together = iter(plain_names([name for names in old for name in names]))  # there, all splits lie in one folder
    return [[next(together) for _ in names] for names in old]


def plain_names(names: Sequence[str]) -> list[str]:
    """File names without folders, of which no two share their stem, not even in small letters.

    >>> plain_names(["a.jpg", "north/b.jpg", "south/b.jpg", "A.png"])
    ['a.jpg', 'north_b.jpg', 'south_b.jpg', 'A-2.png']
    """
    paths = [PurePosixPath(name) for name in names]
    often = Counter(path.stem.casefold() for path in paths)
    taken: set[str] = set()
    plain = []
    for path in paths:
        stem = path.stem if often[path.stem.casefold()] == 1 else "_".join(path.with_suffix("").parts)
        wanted = _visible(stem)
        candidates = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
        stem = next(one for one in candidates if one.casefold() not in taken)
        taken.add(stem.casefold())
        plain.append(stem + path.suffix)
    return plain


def _visible(stem: str) -> str:
    """A name that is not hidden, keeps its ends where a list has it on a line, and can be written into any file.

    >>> _visible(".a\\tb\\udce9")
    '_a_b_'
    """
    plain = "".join(letter if letter.isprintable() else "_" for letter in stem)  # bytes that are no UTF-8 are not, too
    return "_" + plain[1:] if plain.startswith((".", " ")) else plain


def _check_size(record: CocoImage) -> None:
    if record.path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(
            f"{record.path}: its name must end in {', '.join(IMAGE_SUFFIXES)}; rename it, and in its labels"
        )
    size = read_size(record.path)
    if size != record.size:
        raise UserError(
            f"{record.path}: the picture is {size.height} × {size.width} (height × width), its labels say "
            f"{record.size.height} × {record.size.width}; give the picture that was annotated"
        )


def place_picture(source: Path, place: Path, link: bool) -> bool:
    """Link or copy a picture; say whether it was copied."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if link:
        try:
            os.link(os.path.realpath(source), place)
            return False
        except OSError:  # another disk, or one that knows no links
            place.unlink(missing_ok=True)
    shutil.copyfile(source, place)
    return True
