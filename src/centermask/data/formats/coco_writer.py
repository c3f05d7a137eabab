"""Writes COCO: ``SPLIT/`` with the pictures and ``annotations/instances_SPLIT.json``."""

import json
from pathlib import Path
from typing import Any

from centermask.data.coco_masks import json_segmentation
from centermask.data.formats.labels import Split
from centermask.data.formats.writer import Page, Target, text_file


class CocoWriter:
    """Ids of pictures, objects and classes stay; masks stay as they are written."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._contents: dict[Split, dict[str, list[dict[str, Any]]]] = {}

    def place(self, page: Page) -> Path:
        return self._target.folder / page.split / page.name

    def write(self, page: Page) -> int:
        content = self._contents.setdefault(page.split, {"images": [], "annotations": []})
        content["images"].append({"id": page.id, "file_name": page.name, **page.size._asdict()})
        content["annotations"] += [
            {
                "id": item.id,
                "image_id": page.id,
                "category_id": self._target.category_ids[label],
                "iscrowd": int(item.is_crowd),
                "area": item.area,
                "bbox": list(item.box),
                "segmentation": json_segmentation(item.segmentation, page.size),
            }
            for label, item in page.objects
        ]
        return len(page.objects)

    def finish(self) -> list[str]:
        pairs = zip(self._target.category_ids, self._target.class_names, strict=True)
        categories = [{"id": identity, "name": name} for identity, name in pairs]
        for split, content in self._contents.items():
            path = self._target.folder / "annotations" / f"instances_{split}.json"
            text_file(path, json.dumps({**content, "categories": categories}))
        return []
