"""The pictures of all splits as files: each decoded, its size held against its annotations; and what lies beside."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from centermask.data.check.entries import sayer
from centermask.data.check.findings import Evidence, Findings
from centermask.data.check.probe import Look
from centermask.data.check.split import Split
from centermask.data.check.workers import look_at
from centermask.data.coco_entries import CocoImage
from centermask.data.coco_file import read_json
from centermask.errors import UserError
from centermask.images import IMAGE_SUFFIXES
from centermask.size import Size

MAX_JSON_BYTES = 2**28
"""Of an annotation file of other sets in the folder; a larger one is not asked which pictures are its."""

Seen = tuple[Split, CocoImage, Look]
"""A picture, and what its file is like."""


def look_at_pictures(
    splits: Sequence[Split],
    findings: Findings,
    workers: int | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> list[Seen]:
    """Decode every picture once; tell what is wrong with the files and return the sound ones, in order."""
    pictures = [(split, record) for split in splits for record in split.records.values()]
    looks = [Look()] * len(pictures)
    for done, (place, look) in enumerate(look_at([record.path for _, record in pictures], workers), start=1):
        looks[place] = look
        if on_progress:
            on_progress(done, len(pictures))
    seen = [(*one, look) for one, look in zip(pictures, looks, strict=True)]
    for one in seen:
        _judge(*one, findings)
    return [one for one in seen if not one[2].kind]


def _judge(split: Split, record: CocoImage, look: Look, findings: Findings) -> None:
    say = sayer(findings, split, picture=record.file_name)
    if look.kind:
        say(look.kind, look.fault, Evidence)
        return
    found, said = Size(look.height, look.width), record.size
    turns = look.orientation >= 5  # by a quarter; 2, 3 and 4 keep the size
    frame = Evidence(pictures=(record.path,), given=(0.0, 0.0, float(said.width), float(said.height)),
                     right=(0.0, 0.0, float(found.width), float(found.height)))  # fmt: skip
    if found == said:
        if look.orientation != 1 and (not turns or found.height == found.width):
            what = f"EXIF orientation {look.orientation} turns or mirrors it; was it annotated so?"
            say("exif-unclear", what, partial(Evidence, pictures=(record.path,)))
    elif turns and found == said[::-1]:
        made = f"its EXIF orientation {look.orientation} makes it {_words(found)}"
        what = f"it was annotated as stored, {_words(said)}; {made}"
        say("exif-turned", what, lambda: frame)
    else:
        say(
            "size-differs",
            f"it is {_words(found)}, its annotations say {_words(said)}{_guess(found, said)}",
            lambda: frame,
        )


def _words(size: Size) -> str:
    return f"{size.width} × {size.height}"


def _guess(found: Size, said: Size) -> str:
    """How one size may have become the other."""
    if found == said[::-1]:
        return " (turned by a quarter, or width and height swapped)"
    if abs(found.width * said.height - found.height * said.width) <= max(*found, *said):
        return f" (scaled by {found.width / said.width:.3g})"
    return ""


def find_extra(splits: Sequence[Split], findings: Findings) -> None:
    """Tell pictures that lie where annotated ones lie and that no annotation file of that folder lists."""
    if not all(split.complete for split in splits):  # nobody knows what they would have listed
        return
    listed = {path for split in splits for path in split.listed}
    folders: dict[Path, Split] = {}
    for split in splits:
        for path in (record.path for record in split.records.values()):
            folders.setdefault(path.parent, split)
    extra = [path for folder in folders for path in _pictures_in(folder) if path not in listed]
    known = _names_in_other_files(splits) if extra else set()
    for path in extra:
        split = folders[path.parent]
        name = path.relative_to(split.images).as_posix()
        if name not in known:
            sayer(findings, split, picture=name)(
                "picture-extra", "it lies among the annotated pictures, but no annotation file lists it",
                partial(Evidence, pictures=(path,)),
            )  # fmt: skip


def _pictures_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES
                      and not path.name.startswith(".") and path.is_file())  # fmt: skip
    except OSError:
        return []


def _names_in_other_files(splits: Sequence[Split]) -> set[str]:
    """Pictures of the other COCO files beside those that are checked: several sets may share a folder."""
    checked = {split.source for split in splits}
    others = {
        path for split in splits if split.format == "coco" for path in split.source.parent.glob("*.json")
    } - checked
    names: set[str] = set()
    for path in others:
        try:
            content = read_json(path) if path.stat().st_size <= MAX_JSON_BYTES else {}
        except (OSError, UserError):
            continue
        images = content.get("images")
        for entry in images if isinstance(images, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("file_name"), str):
                names.add(entry["file_name"])
    return names
