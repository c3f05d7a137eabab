"""What the network was shown, as a run's report keeps it: pictures of a training batch, each with a layer over it.

Read without torch; ``learned.py`` draws them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from centermask.report.layers import data_uri

SHOWN = "shown.json"

LEVELS = 6
"""P2 … P7."""


@dataclass(frozen=True, kw_only=True)
class ShownPicture:
    """A picture of a batch."""

    image: str
    """Name of a file; in a page, an address that holds the picture."""
    layer: str
    size: tuple[int, int]
    """(height, width) of both."""
    classes: str
    levels: tuple[int, ...]
    """Objects of each level, P2 … P7."""
    unlearned: int


def load_training_picture(folder: Path) -> list[ShownPicture]:
    """What ``save_training_picture`` left, with addresses that hold the pictures; nothing if it left nothing sound."""
    store = folder / "report"
    try:
        told: list[dict[str, Any]] = json.loads((store / SHOWN).read_text(encoding="utf-8"))
        return [_load(store, one) for one in told]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _load(store: Path, one: dict[str, Any]) -> ShownPicture:
    height, width = one["size"]
    if len(one["levels"]) != LEVELS:
        raise ValueError("told by another version")
    return ShownPicture(
        image=data_uri((store / Path(one["image"]).name).read_bytes()),
        layer=data_uri((store / Path(one["layer"]).name).read_bytes()),
        size=(int(height), int(width)),
        classes=str(one["classes"]),
        levels=tuple(int(count) for count in one["levels"]),
        unlearned=int(one["unlearned"]),
    )
