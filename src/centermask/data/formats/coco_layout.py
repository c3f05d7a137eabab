"""COCO as a format among others: the JSON as it is."""

from pathlib import Path

from centermask.data.coco_file import read_json
from centermask.data.folder import CocoSource, Splits
from centermask.data.formats.labels import Labels, Split
from centermask.errors import UserError

MAX_JSON_BYTES = 4 * 2**30
"""Several times the largest public set; parsing takes about ten times as much memory."""


def coco_labels(splits: Splits) -> list[Labels]:
    """The annotation files of a data set, training first."""
    found: tuple[tuple[Split, CocoSource | None], ...]
    found = (("train", splits.train), ("val", splits.val))
    return [_labels(split, source) for split, source in found if source]


def _labels(split: Split, source: CocoSource) -> Labels:
    return Labels(
        split=split,
        format="coco",
        source=source.annotations,
        images=source.images,
        read=lambda on_fault: _read(source.annotations),
    )


def _read(path: Path) -> dict[str, object]:
    if path.is_file() and path.stat().st_size > MAX_JSON_BYTES:
        raise UserError(f"{path}: it has more than {MAX_JSON_BYTES >> 30} GiB; split the set into several files")
    return read_json(path)
