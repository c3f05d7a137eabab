"""A COCO file, list by list: read, and on a bad entry stop or skip."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

from centermask.data.coco_entries import Category, CocoImage, CocoObject
from centermask.errors import UserError

OnError = Literal["stop", "skip"]

_Parsed = TypeVar("_Parsed", Category, CocoImage, CocoObject)

ORIGIN = "origin"
"""Key of an entry that was read from another format: where it stood there, such as ``labels/a.txt line 3``."""

_SINGULAR = {"categories": "category", "images": "picture", "annotations": "annotation"}


class EntryReader:
    """Parses the lists of a COCO file; on a bad entry it stops, or (never for a category) writes a line and goes on."""

    def __init__(self, source: Path, on_error: OnError) -> None:
        self.source = source
        self.on_error = on_error
        self.lines: list[str] = []

    def entries(self, content: dict[str, object], kind: str, parse: Callable[[object], _Parsed]) -> list[_Parsed]:
        """What can be used of the list called ``kind``; of several entries with one id, the first."""
        return list(self.each(content, kind, parse))

    def each(self, content: dict[str, object], kind: str, parse: Callable[[object], _Parsed]) -> Iterator[_Parsed]:
        """The same one by one, so that a million annotations need not be held at once."""
        values = content.get(kind)
        if not isinstance(values, list):
            raise UserError(f'{self.source}: there is no list "{kind}"; give a COCO file of object instances')
        seen: set[int] = set()
        for place, value in enumerate(values):
            try:
                item = parse(value)
                if item.id in seen:
                    raise ValueError("its id has been used before")
            except ValueError as error:
                self._refuse(kind, f"{self.source}: {_title(kind, value, place)}: {error}")
                continue
            seen.add(item.id)
            yield item

    def present(self, records: list[CocoImage], folder: Path) -> list[CocoImage]:
        """The pictures whose files exist."""
        missing = [record for record in records if not os.path.isfile(record.path)]
        if not missing:
            return records
        if self.on_error == "stop":
            first = ", ".join(repr(record.file_name) for record in missing[:3])
            raise UserError(
                f"{folder}: {len(missing)} of the {len(records)} pictures of {self.source} are missing, first {first}; "
                "name the folder in which they lie, or skip them (--on-error skip)"
            )
        self.lines += [f"{self.source}: picture {item.id}: there is no file {str(item.path)!r}" for item in missing]
        gone = {record.id for record in missing}
        return [record for record in records if record.id not in gone]

    def _refuse(self, kind: str, line: str) -> None:
        if kind == "categories":  # few, and every label hangs on them
            raise UserError(f"{line}; correct it")
        if self.on_error == "stop":
            raise UserError(f"{line}; correct or remove it, or skip bad entries (--on-error skip)")
        self.lines.append(line)


def read_json(path: Path) -> dict[str, object]:
    """The object in a JSON file; Python's reader also takes NaN and Infinity, which the entries' checks refuse.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; name a COCO annotation file") from None
    except RecursionError:
        raise UserError(f"{path}: its lists are nested too deeply for a COCO file; write it anew") from None
    except ValueError as error:  # broken JSON, broken text, or a number of thousands of digits
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: no complete JSON ({reason}); write or download it anew") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: it holds no JSON object; give a COCO file of object instances")
    return content


def _title(kind: str, entry: object, place: int) -> str:
    """The name of an entry in a message: where it stood in another format, its id, or its place in the list."""
    if isinstance(entry, dict) and isinstance(entry.get(ORIGIN), str):
        return str(entry[ORIGIN])
    identity = entry.get("id") if isinstance(entry, dict) else None
    if type(identity) is int and abs(identity) < 10**20:
        return f"{_SINGULAR[kind]} {identity}"
    return f"{kind}[{place}]"
