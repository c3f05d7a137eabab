"""What a report keeps between two evaluations of a run, beside it in ``report/``: one small JSON file an evaluation.

An epoch that is evaluated again, because the run was killed and resumed, replaces its file.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from centermask.evaluate.scores import Evaluation
from centermask.files import write_whole
from centermask.ops.rle import RLE
from centermask.report.fixed import Predicted
from centermask.report.sets import Thing

MOST_KEPT = 400
"""Predictions of a picture that are kept, the best."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One evaluation of one set."""

    name: str
    """Of the set."""
    step: int
    scores: Mapping[str, float]
    predicted: Predicted


def headline(evaluation: Evaluation) -> dict[str, float]:
    """The figures that are followed over a run, named as in metrics.jsonl."""
    mask, box = evaluation.mask, evaluation.box
    return {"mask_ap": mask.ap, "mask_ap50": mask.ap50, "mask_ar": mask.ar_max, "box_ap": box.ap}


def keep(store: Path, kept: Kept) -> None:
    """Write an evaluation down.

    Raises:
        UserError: the folder cannot be written.
    """
    things = kept.predicted.things
    content = {
        "name": kept.name,
        "step": kept.step,
        "epoch": kept.predicted.epoch,
        "threshold": kept.predicted.threshold,
        "scores": {name: value if math.isfinite(value) else None for name, value in kept.scores.items()},
        "pictures": {str(image_id): [_plain(one) for one in own[:MOST_KEPT]] for image_id, own in things.items()},
    }
    write_whole(store / _file_name(kept.name, kept.predicted.epoch), json.dumps(content).encode())


def _file_name(name: str, epoch: float) -> str:
    """A set's name may hold anything, so it stands in the file, and only its fingerprint in the file's name."""
    return f"{hashlib.sha256(name.encode()).hexdigest()[:12]}-{epoch:09.3f}.json"


def _plain(thing: Thing) -> dict[str, Any]:
    code = thing.code
    return {"category_id": thing.category_id, "score": thing.score, "size": code["size"], "counts": code["counts"]}


def kept_until(store: Path, name: str, step: int) -> list[Kept]:
    """The evaluations of a set up to a step, in their order; a file that cannot be read is passed over."""
    files = sorted(store.glob(f"{_file_name(name, 0.0).partition('-')[0]}-*.json"))
    found = [one for file in files if (one := _read(file)) is not None and one.step <= step]
    return sorted(found, key=lambda one: (one.predicted.epoch, one.step))


def _read(file: Path) -> Kept | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        scores = {name: math.nan if value is None else float(value) for name, value in content["scores"].items()}
        return Kept(
            name=content["name"],
            step=int(content["step"]),
            scores=scores,
            predicted=Predicted(
                epoch=float(content["epoch"]),
                mask_ap=scores["mask_ap"],
                threshold=float(content["threshold"]),
                things={int(key): [_thing(one) for one in own] for key, own in content["pictures"].items()},
            ),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _thing(plain: Mapping[str, Any]) -> Thing:
    return Thing(int(plain["category_id"]), RLE(size=list(plain["size"]), counts=plain["counts"]), plain["score"])
