"""The labels of a whole set as flat arrays: a million annotations without a million Python objects.

An annotation takes 77 bytes, and beside them a byte for each character of its run-length code, or 16 for each vertex
and 8 for each polygon. Arrays are not copied when worker processes are forked, and travel as plain bytes when they are
started afresh.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import overload

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, UInt8

from centermask.data.coco_entries import CocoImage, CocoObject
from centermask.data.coco_masks import Segmentation
from centermask.ops.mask_warp import Polygons


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelTable:
    """Annotations in rows, crowds among them, in the order in which they were read.

    What is called starts says where each stretch of another array begins, and last where the last stretch ends.
    """

    picture_starts: Int64[np.ndarray, " picture_starts"]
    """The rows of picture i are ``rows[picture_starts[i] : picture_starts[i + 1]]``."""
    rows: Int64[np.ndarray, " objects"]
    ids: Int64[np.ndarray, " objects"]
    labels: Int32[np.ndarray, " objects"]
    """0 … C−1."""
    crowds: Bool[np.ndarray, " objects"]
    areas: Float64[np.ndarray, " objects"]
    """Square pixels."""
    boxes: Float64[np.ndarray, "objects 4"]
    """COCO's own order: left, top, width, height in pixels."""
    code_starts: Int64[np.ndarray, " objects+1"]
    """Of each row the characters of its run-length code; none where it has polygons."""
    codes: UInt8[np.ndarray, " characters"]
    part_starts: Int64[np.ndarray, " objects+1"]
    """Of each row its polygons; none where it has a run-length code."""
    vertex_starts: Int64[np.ndarray, " vertex_starts"]
    """Of each polygon its vertices."""
    vertices: Float64[np.ndarray, "vertices 2"]

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(value.nbytes for value in vars(self).values())

    def rows_of(self, picture: int) -> Int64[np.ndarray, " rows"]:
        """Where the annotations of a picture stand."""
        return self.rows[self.picture_starts[picture] : self.picture_starts[picture + 1]]

    def segmentation(self, row: int) -> Segmentation:
        """Polygons, as views of the table, or a run-length code."""
        code = self.codes[self.code_starts[row] : self.code_starts[row + 1]]
        if len(code):
            return code.tobytes().decode("ascii")
        starts = self.vertex_starts[self.part_starts[row] : self.part_starts[row + 1] + 1].tolist()
        return Polygons(tuple(self.vertices[a:b] for a, b in pairwise(starts)))

    def annotation(self, row: int, image_id: int) -> CocoObject:
        """One annotation as it was read."""
        left, top, width, height = self.boxes[row].tolist()
        return CocoObject(
            id=int(self.ids[row]),
            image_id=image_id,
            label=int(self.labels[row]),
            is_crowd=bool(self.crowds[row]),
            segmentation=self.segmentation(row),
            area=float(self.areas[row]),
            box=(left, top, width, height),
        )


def tabulate(annotations: Iterable[CocoObject], records: Sequence[CocoImage]) -> LabelTable:
    """Write annotations of the pictures ``records`` into a table, one after the other; none is held."""
    place = {record.id: i for i, record in enumerate(records)}
    pictures, ids, labels, crowds = array("q"), array("q"), array("i"), array("B")
    areas, boxes, codes, vertices = array("d"), array("d"), bytearray(), array("d")
    code_starts, part_starts, vertex_starts = array("q", [0]), array("q", [0]), array("q", [0])
    for item in annotations:
        pictures.append(place[item.image_id])
        ids.append(item.id)
        labels.append(item.label)
        crowds.append(item.is_crowd)
        areas.append(item.area)
        boxes.extend(item.box)
        match item.segmentation:
            case str() as code:
                codes += code.encode("ascii")
            case Polygons(parts):
                for part in parts:
                    vertices.frombytes(part.tobytes())
                    vertex_starts.append(len(vertices) // 2)
        code_starts.append(len(codes))
        part_starts.append(len(vertex_starts) - 1)
    where = np.array(pictures, dtype=np.int64)
    return LabelTable(
        picture_starts=np.concatenate([[0], np.cumsum(np.bincount(where, minlength=len(records)))]).astype(np.int64),
        rows=np.argsort(where, kind="stable"),
        ids=np.array(ids, dtype=np.int64),
        labels=np.array(labels, dtype=np.int32),
        crowds=np.array(crowds, dtype=bool),
        areas=np.array(areas, dtype=np.float64),
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        code_starts=np.array(code_starts, dtype=np.int64),
        codes=np.frombuffer(bytes(codes), dtype=np.uint8),
        part_starts=np.array(part_starts, dtype=np.int64),
        vertex_starts=np.array(vertex_starts, dtype=np.int64),
        vertices=np.array(vertices, dtype=np.float64).reshape(-1, 2),
    )


@dataclass(frozen=True, eq=False)
class AnnotationView(Sequence[tuple[CocoObject, ...]]):
    """For each picture its annotations, made when they are asked for."""

    table: LabelTable
    records: Sequence[CocoImage]

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> tuple[CocoObject, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[CocoObject, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[CocoObject, ...] | list[tuple[CocoObject, ...]]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        picture = range(len(self))[index]
        identity = self.records[picture].id
        return tuple(self.table.annotation(row, identity) for row in self.table.rows_of(picture).tolist())
