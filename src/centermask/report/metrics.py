"""What a run wrote down: metrics.jsonl and config.yaml, read back as far as they are sound.

A run that was killed may have left a torn line, and one that was resumed repeats steps: the last of each step counts.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from centermask.config import TrainConfig

Line = Mapping[str, float]
"""The numbers of one line; one that was no number is NaN."""
FIGURES = ("mask_ap", "mask_ap50", "mask_ar", "box_ap")


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The figures of a run, each list in the order of the steps."""

    train: Sequence[Line] = ()
    val: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    """By the name of the set."""

    def series(self, name: str, over: str = "step") -> list[tuple[float, float]]:
        """A figure of training over steps or epochs, as far as it was written down."""
        return pairs_of(self.train, name, over)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of a run, in words."""

    name: str
    value: str
    chosen: bool
    """Whether it differs from the default."""


def pairs_of(lines: Iterable[Line], name: str, over: str) -> list[tuple[float, float]]:
    """The finite values of a figure over another one."""
    pairs = [(line.get(over, math.nan), line.get(name, math.nan)) for line in lines]
    return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


def read_metrics(folder: Path, last_step: int) -> Metrics:
    """The figures of a run up to a step; nothing where there is no file."""
    train: dict[float, Line] = {}
    val: dict[str, dict[float, Line]] = {}
    for kind, line in _lines(folder / "metrics.jsonl"):
        step = line.get("step", math.nan)
        if not step <= last_step:  # NaN among them
            continue
        if kind == "train":
            train[step] = line
        elif kind.startswith("val/"):
            val.setdefault(kind.removeprefix("val/"), {})[line.get("epoch", step)] = line
    return Metrics(
        train=[train[step] for step in sorted(train)],
        val={name: [lines[epoch] for epoch in sorted(lines)] for name, lines in val.items()},
    )


def _lines(path: Path) -> Iterable[tuple[str, Line]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict):
            yield str(values.get("kind")), {name: _number(value) for name, value in values.items() if name != "kind"}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def read_settings(folder: Path) -> list[Setting]:
    """The settings of a run, the data first; nothing where there is no sound file."""
    try:
        content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return []
    if not isinstance(content, dict):
        return []
    usual = TrainConfig().to_dict()
    return [
        Setting(name=str(name), value=_words(value), chosen=name == "data" or usual.get(name, value) != value)
        for name, value in content.items()
    ]


def _words(value: object) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case list() if not value:
            return "–"
        case list():
            return ", ".join(_words(one) for one in value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)
