"""Sets of pictures annotated in COCO's JSON format: polygons, both run-length codes, crowds, ids with gaps.

The one place where a ``category_id`` lives: above this file a class is a label, 0 … C−1 in the order of the ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from centermask.data.coco_entries import Category, CocoImage, CocoObject, parse_category, parse_image, parse_object
from centermask.data.coco_file import EntryReader, OnError, read_json
from centermask.data.coco_masks import json_segmentation, visible_mask
from centermask.data.label_table import AnnotationView, LabelTable, tabulate
from centermask.data.sample import Sample
from centermask.errors import UserError
from centermask.images import Picture, read_image
from centermask.size import Size


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was skipped: one line for each entry, and how many of each kind; false if nothing was."""

    lines: tuple[str, ...] = ()
    images: int = 0
    annotations: int = 0

    def __bool__(self) -> bool:
        return bool(self.lines)


@dataclass(frozen=True, kw_only=True, eq=False)
class CocoSet:
    """A checked COCO file with its pictures: a ``SampleSet`` that can be sent to worker processes."""

    annotations: Path
    categories: tuple[Category, ...]
    """In the order of their ids: the label of a class is its place here."""
    records: tuple[CocoImage, ...]
    """In the order of the file; ``self[i]`` is the sample of ``records[i]``."""
    table: LabelTable
    """The annotations of all records, crowds among them."""
    findings: Findings = field(default_factory=Findings)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label."""
        return tuple(category.name for category in self.categories)

    @property
    def category_ids(self) -> tuple[int, ...]:
        """The file's number of each label."""
        return tuple(category.id for category in self.categories)

    @property
    def objects(self) -> Sequence[tuple[CocoObject, ...]]:
        """Of each record its annotations, crowds among them, made when they are asked for."""
        return AnnotationView(self.table, self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        """Read a picture with its objects; crowds are left out, polygons are cut at the border of the picture.

        Raises:
            UserError: the picture cannot be read, or its size is not what the annotations say.
        """
        record = self.records[index]
        rows = self.table.rows_of(range(len(self))[index])
        countable = rows[~self.table.crowds[rows]]
        return Sample(
            image=_read_as_annotated(record, self.annotations),
            labels=self.table.labels[countable].astype(np.int64),
            masks=tuple(visible_mask(self.table.segmentation(row), record.size) for row in countable.tolist()),
        )

    def size(self, index: int) -> Size:
        """Size of a picture as its annotations give it."""
        return self.records[index].size

    def truth(self) -> dict[str, list[dict[str, Any]]]:
        """Everything that passed as a plain COCO dictionary for an evaluator, crowds among it.

        Images and categories keep their ids. Annotations are numbered from 1, because evaluators take a match with the
        id 0 for none.
        """
        return {
            "images": [_image_entry(record) for record in self.records],
            "annotations": [entry for index in range(len(self)) for entry in self.truth_of(index)],
            "categories": [{"id": category.id, "name": category.name} for category in self.categories],
        }

    def truth_of(self, index: int) -> list[dict[str, Any]]:
        """The annotations of one picture as they stand in ``truth()``."""
        picture = range(len(self))[index]
        first = int(self.table.picture_starts[picture]) + 1
        record, items = self.records[picture], self.objects[picture]
        return [self._annotation_entry(identity, record, item) for identity, item in enumerate(items, start=first)]

    def _annotation_entry(self, identity: int, record: CocoImage, item: CocoObject) -> dict[str, Any]:
        return {
            "id": identity,
            "image_id": record.id,
            "category_id": self.categories[item.label].id,
            "iscrowd": int(item.is_crowd),
            "area": item.area,
            "bbox": list(item.box),
            "segmentation": json_segmentation(item.segmentation, record.size),
        }


def load_coco(annotations: Path, images: Path, *, on_error: OnError = "stop") -> CocoSet:
    """Read and check a COCO file whose pictures lie in the folder ``images``; the pictures are only looked for.

    Raises:
        UserError: the file cannot be read or is not JSON; or see ``check_coco``.
    """
    return check_coco(read_json(annotations), annotations, images, on_error=on_error)


def check_coco(content: dict[str, object], source: Path, images: Path, *, on_error: OnError = "stop") -> CocoSet:
    """Check the content of a COCO file, or what another format says in COCO's words; ``source`` is named in messages.

    With ``on_error="skip"``, pictures and annotations that cannot be used are left out and told in ``findings``: a
    picture takes its annotations with it, but stays if only annotations are bad. The categories are few and every label
    hangs on them, so they must always be right.

    Raises:
        UserError: the content is not of COCO's form; no picture is left; or, with ``on_error="stop"``, the first bad
            entry or all missing pictures.
    """
    reader = EntryReader(source, on_error)
    categories = _read_categories(content, reader)
    labels = {category.id: label for label, category in enumerate(categories)}
    records = _read_records(content, images, reader)
    known = {record.id: record for record in records}
    skipped = len(reader.lines)
    objects = reader.each(content, "annotations", lambda entry: parse_object(entry, known, labels))
    table = tabulate(objects, records)
    lines = tuple(reader.lines)
    return CocoSet(
        annotations=source,
        categories=categories,
        records=tuple(records),
        table=table,
        findings=Findings(lines=lines, images=skipped, annotations=len(lines) - skipped),
    )


def _read_categories(content: dict[str, object], reader: EntryReader) -> tuple[Category, ...]:
    categories = reader.entries(content, "categories", parse_category)
    if not categories:
        raise UserError(f"{reader.source}: it has no category; name at least one class")
    return tuple(sorted(categories, key=lambda category: category.id))


def _read_records(content: dict[str, object], folder: Path, reader: EntryReader) -> list[CocoImage]:
    named = reader.entries(content, "images", lambda entry: parse_image(entry, folder))
    records = reader.present(named, folder)
    if not records:
        why = f", the first problem is {reader.lines[0]}" if reader.lines else ""
        raise UserError(f"{reader.source}: it names no picture that can be used{why}; check the file and {folder}")
    return records


def _read_as_annotated(record: CocoImage, annotations: Path) -> Picture:
    image = read_image(record.path)
    size = Size(*image.shape[:2])
    if size == record.size:
        return image
    turned = " (does its EXIF orientation turn it?)" if size == record.size[::-1] else ""
    raise UserError(
        f"{record.path}: the picture is {size.height} × {size.width} (height × width){turned}, but {annotations} says "
        f"{record.size.height} × {record.size.width}; give the picture that was annotated, or annotate this one"
    )


def _image_entry(record: CocoImage) -> dict[str, Any]:
    size = record.size
    return {"id": record.id, "file_name": record.file_name, "width": size.width, "height": size.height}
