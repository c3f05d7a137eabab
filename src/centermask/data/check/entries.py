"""The lists of an annotation file: classes and pictures, entry by entry."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from centermask.data.check.findings import Evidence, Findings
from centermask.data.check.split import Split
from centermask.data.coco_entries import MAX_ID, CocoImage, parse_category, parse_image
from centermask.data.coco_file import ORIGIN
from centermask.data.coco_masks import show
from centermask.images import IMAGE_SUFFIXES


def take_list(content: dict[str, object], name: str, split: Split, findings: Findings) -> list[object] | None:
    """The list of that name; a finding if there is none."""
    values = content.get(name)
    if isinstance(values, list):
        return values
    came = f'"{name}" is {show(values)}' if name in content else f'it has no list "{name}"'
    sayer(findings, split)("no-list", came)
    return None


def check_classes(entries: list[object], split: Split, findings: Findings) -> None:
    """Fill in the split's classes."""
    found: dict[int, str] = {}
    for place, entry in enumerate(entries):
        say = sayer(findings, split, annotation=title(entry, f"categories[{place}]"))
        try:
            category = parse_category(entry)
        except ValueError as error:
            say("category-entry", str(error))
            continue
        if category.id in found:
            say("category-id-twice", f"id {category.id} is {found[category.id]!r} already, and now {category.name!r}")
            continue
        if category.name in found.values():
            say("category-name-twice", f"the name {category.name!r} stands for id {category.id} and for another one")
        found[category.id] = category.name
    split.classes = dict(sorted(found.items()))
    if not found:
        sayer(findings, split)("no-category", f"of {len(entries)} classes in the list none can be used")


def check_pictures(entries: list[object], split: Split, roots: list[str], findings: Findings) -> None:
    """Fill in the split's pictures: those of sound entries whose files exist inside of one of ``roots``."""
    seen: dict[int, CocoImage] = {}
    files: dict[str, CocoImage] = {}
    neighbours = _Neighbours()
    for place, entry in enumerate(entries):
        say = sayer(findings, split, picture=title(entry, f"images[{place}]"))
        if isinstance(entry, dict) and isinstance(entry.get("file_name"), str):
            split.listed.add(split.images / entry["file_name"])
        try:
            record = parse_image(entry, split.images)
        except ValueError as error:
            say(_entry_kind(str(error)), str(error))
            continue
        say = sayer(findings, split, picture=record.file_name)
        if record.id in seen:
            say("picture-id-twice", f"id {record.id} is the picture {seen[record.id].file_name!r} already")
            continue
        seen[record.id] = record
        file = os.path.realpath(record.path)
        if not any(file.startswith(os.path.join(root, "")) for root in roots):
            say("picture-outside", f"the file leads out of the data folder, to {file!r}")
        elif not os.path.isfile(file):
            say("picture-missing", f"there is no file {str(record.path)!r}{neighbours.near(record.path)}")
        elif file in files:
            say("picture-listed-twice", f"picture {record.id} is the same file as picture {files[file].id}",
                evidence=partial(Evidence, pictures=(record.path,)))  # fmt: skip
        else:
            files[file] = record
            split.records[record.id] = record
    if not split.records:
        sayer(findings, split)("no-picture", f"of {len(entries)} pictures in the list none can be used")


def _entry_kind(complaint: str) -> str:
    """Of what kind the fault is that ``parse_image`` complains of."""
    if "stays inside" in complaint:
        return "picture-outside"
    return "picture-too-large" if "pixels" in complaint else "picture-entry"


class _Neighbours:
    """Finds the file that a wrong name may mean; each folder is listed once."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, str]] = {}

    def near(self, path: Path) -> str:
        """A hint at a file beside it with another ending, or letters of another size; empty if there is none."""
        folder = path.parent
        if folder not in self._folders:
            try:
                names = [name for name in sorted(os.listdir(folder)) if Path(name).suffix.lower() in IMAGE_SUFFIXES]
                self._folders[folder] = {Path(name).stem.lower(): name for name in names}
            except OSError:
                self._folders[folder] = {}
        name = self._folders[folder].get(path.stem.lower())
        return f" (is {name!r} meant?)" if name else ""


def title(entry: object, place: str) -> str:
    """What an entry is called in a finding: where it stood in another format, its file name, its id, or its place."""
    if isinstance(entry, dict):
        for key in (ORIGIN, "file_name", "name"):
            if isinstance(entry.get(key), str) and entry[key].strip():
                return str(entry[key])
        identity = entry.get("id")
        if type(identity) is int and abs(identity) <= MAX_ID:
            return f"id {identity}"
    return place


def sayer(findings: Findings, split: Split, annotation: str = "", picture: str = "") -> Callable[..., None]:
    """``Findings.add`` with split, file and entry filled in: it takes kind, clause and, if any, evidence."""

    def say(kind: str, what: str, evidence: Callable[[], Evidence] | None = None) -> None:
        findings.add(kind, what, split=split.name, file=str(split.source), picture=picture, annotation=annotation,
                     evidence=evidence)  # fmt: skip

    return say
