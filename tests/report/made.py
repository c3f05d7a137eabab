"""Evaluated sets made by hand, and a reader that holds a page to what it promises."""

import json
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from centermask.data.sample import Sample
from centermask.evaluate import analyse, evaluate_predictions
from centermask.ops.mask_warp import Bitmap, to_rle
from centermask.report import EvaluatedSet
from centermask.size import Size
from tests.pictures import PictureSet, lit, rectangle

SIDE = 96
VOID = {"meta", "link", "img", "br", "input", "hr"}
Row = dict[str, Any]


def two_pictures(classes: tuple[str, ...] = ("cat", "dog")) -> PictureSet:
    """Two pictures: three cats and a dog, then one cat."""
    size = Size(SIDE, SIDE)
    first = lit(size, [rectangle(4, 4, 20, 20), rectangle(40, 4, 20, 20), rectangle(4, 60, 20, 20),
                       rectangle(60, 60, 24, 24)], [0, 0, 0, len(classes) - 1])  # fmt: skip
    return PictureSet([first, lit(size, [rectangle(10, 10, 40, 40)], [0])], classes)


def empty_pictures(count: int, classes: tuple[str, ...] = ("cat",)) -> PictureSet:
    return PictureSet([lit(Size(SIDE, SIDE), []) for _ in range(count)], classes)


def row(image_id: int, category_id: int, mask: Bitmap, score: float, box_score: float | None = None) -> Row:
    height, width = mask.pixels.shape
    return {"image_id": image_id, "category_id": category_id, "score": score, "box_score": box_score or score,
            "bbox": [mask.left, mask.top, width, height], "segmentation": to_rle(mask, Size(SIDE, SIDE))}  # fmt: skip


def perfect_rows(pictures: PictureSet) -> list[Row]:
    """Every true object, with falling scores."""
    samples: Sequence[Sample] = pictures.samples
    masks = [(i + 1, int(label) + 1, mask) for i, one in enumerate(samples)
             for label, mask in zip(one.labels, one.masks, strict=True)]  # fmt: skip
    return [row(image_id, category, mask, 0.95 - 0.01 * n) for n, (image_id, category, mask) in enumerate(masks)
            if isinstance(mask, Bitmap)]  # fmt: skip


def flawed_rows() -> list[Row]:
    """Of ``two_pictures``: two cats found, one of them twice, one missed; the dog taken for a cat; a false cat."""
    return [
        row(1, 1, rectangle(4, 4, 20, 20), 0.9),
        row(1, 1, rectangle(4, 4, 20, 16), 0.8),  # once more
        row(1, 1, rectangle(60, 60, 24, 24), 0.75),  # the dog
        row(1, 1, rectangle(66, 34, 18, 18), 0.7),  # nothing
        row(1, 1, rectangle(40, 4, 20, 20), 0.6),
        row(2, 1, rectangle(10, 10, 40, 40), 0.55),
    ]


def evaluated(pictures: PictureSet, rows: Sequence[Mapping[str, Any]], name: str = "pets") -> EvaluatedSet:
    truth = pictures.truth()
    return EvaluatedSet(
        name=name,
        dataset=pictures,
        rows=rows,
        evaluation=evaluate_predictions(truth, rows),
        analysis=analyse(truth, rows),
    )


def write_metrics(folder: Path, steps: int, *, torn: bool = False) -> None:
    """Losses of a run, a line a step, ten steps an epoch."""
    lines = [
        {"kind": "train", "step": step, "epoch": step / 10, "loss": 5 / step, "classification": 1 / step,
         "box": 1 / step, "centerness": 0.6, "mask": 0.5, "mask_iou": 0.1, "lr": 1e-4, "grad_norm": 3.0,
         "pictures_per_s": 12.0, "step_s": 0.5, "data_s": 0.1, "memory_mb": 1234.0}
        for step in range(1, steps + 1)
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text + ('{"kind": "train", "st' if torn else ""))


class Page(HTMLParser):
    """A page that is read strictly: tags are balanced, ids differ, and nothing comes from elsewhere."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)
        assert {link.removeprefix("#") for link in self.links} <= set(self.ids)
        for remote in ("http://", "https://", "//cdn", "@import", "javascript:"):
            assert remote not in self.source
        assert self.source.count("url(") == self.source.count("url(data:image/")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has {name}"
            if name in ("src", "srcset", "data", "poster"):
                assert (value or "").startswith("data:image/"), value
            if name in ("href", "action"):
                assert (value or "").startswith("#"), value
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, blanks put together."""
        return " ".join(" ".join(self.words).split())
