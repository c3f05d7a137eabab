"""``data.yaml`` of a YOLO set: the names of the classes, and where the pictures lie. Read, and its inverse, written."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from centermask.data.formats.files import DataFolder, read_text
from centermask.errors import UserError

MAX_YAML_BYTES = 2**20

_NAMES = re.compile(r"^['\"]?names['\"]?\s*:", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class YoloYaml:
    """What counts of the file."""

    path: Path
    names: Mapping[int, str]
    """By the numbers that the labels use, in their order."""
    base: str
    """``path:``, to which the others may be relative."""
    train: str
    val: str

    def place(self, text: str, data: DataFolder) -> Path:
        """The folder or list that an entry means.

        Raises:
            UserError: there is none, or not inside of the data folder.
        """
        home, path = self.path.parent, Path(text.replace("\\", "/"))
        # Exporters write '../train/images' for a folder beside the file, and paths of the machine they ran on.
        bare = Path(*[part for part in path.parts if part != os.pardir])
        for place in (home / self.base / path, home / path, home / bare):
            if os.path.exists(place):  # unlike Path.exists, false for a name that is too long
                try:
                    return data.path / data.name(place)
                except ValueError:
                    continue
        raise UserError(
            f"{self.path}: it names the pictures {text!r}, which is no folder or list inside of {data.path}; "
            "write the path as seen from data.yaml"
        )


def find_yaml(folder: Path) -> Path | None:
    """``data.yaml``, or a file of another name if there is but one that names classes."""
    usual = (folder / name for name in ("data.yaml", "data.yml", "dataset.yaml"))
    if path := next((path for path in usual if path.is_file()), None):
        return path
    others = [path for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]) if names_classes(path)]
    return others[0] if len(others) == 1 else None


def names_classes(path: Path) -> bool:
    """Whether a YAML file has an entry ``names``; found in the text, because the file may be broken."""
    try:
        return bool(_NAMES.search(read_text(path, MAX_YAML_BYTES)))
    except ValueError:
        return False


def read_yaml(path: Path) -> YoloYaml:
    """Read the file.

    Raises:
        UserError: it is no YAML, or its entries are none of a YOLO set.
    """
    try:
        # Everything as text: a class called no, null or 2024-01-01 is not meant as anything else.
        content = yaml.load(read_text(path, MAX_YAML_BYTES), Loader=yaml.BaseLoader)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())}); write it anew") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected entries such as 'names: [cat, dog]' and 'train: images/train'")
    texts = {key: content.get(key, "") for key in ("path", "train", "val", "valid")}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise UserError(f"{path}: {key} is a list, expected one folder or list file; bring the pictures together")
    val = texts["val"] or texts["valid"]
    return YoloYaml(path=path, names=_names(content, path), base=texts["path"], train=texts["train"], val=val)


def _names(content: Mapping[str, object], path: Path) -> dict[int, str]:
    given = content.get("names")
    pairs = enumerate(given) if isinstance(given, list) else given.items() if isinstance(given, dict) else ()
    try:
        names = {int(number): name for number, name in pairs}
    except (ValueError, TypeError):
        names = {}
    if not names or not all(isinstance(name, str) for name in names.values()):
        raise UserError(f"{path}: names is no list of class names; write it like 'names: [cat, dog]'")
    return dict(sorted(names.items()))


def format_yaml(names: Mapping[int, str], places: Mapping[str, str]) -> str:
    """The file of a set whose pictures lie in ``places`` (``train``, ``val``) as seen from it."""
    content: dict[str, object] = {**places, "names": dict(names)}
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
