"""What was found in a whole set, small in memory: a list of COCO results that makes each one when it is asked for."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, overload

import numpy as np
from jaxtyping import Float64, Int64

from centermask.evaluate.codes import Codes
from centermask.size import Size

Result = dict[str, Any]
"""COCO's keys: image_id, category_id, bbox (xywh), score, box_score, segmentation (size, counts)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureResults:
    """What was found in one picture, which may be nothing."""

    index: int
    """The picture's place in its set."""
    image_id: int
    size: Size
    category_ids: Int64[np.ndarray, " found"]
    boxes: Float64[np.ndarray, "found 4"]
    """xywh, pixels of the picture."""
    scores: Float64[np.ndarray, " found"]
    box_scores: Float64[np.ndarray, " found"]
    codes: Codes

    @classmethod
    def of(cls, index: int, image_id: int, rows: Sequence[Mapping[str, Any]]) -> "PictureResults":
        """Keep results of one picture, whatever their image_id.

        Raises:
            ValueError: their masks are not all of one size.
        """
        sizes = {Size(*row["segmentation"]["size"]) for row in rows}
        if len(sizes) > 1:
            raise ValueError(f"picture {image_id} has masks of several sizes: {sorted(sizes)}")
        return cls(
            index=index,
            image_id=image_id,
            size=sizes.pop() if sizes else Size(0, 0),
            category_ids=np.array([row["category_id"] for row in rows], dtype=np.int64),
            boxes=np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4),
            scores=np.array([row["score"] for row in rows], dtype=np.float64),
            box_scores=np.array([row["box_score"] for row in rows], dtype=np.float64),
            codes=Codes.of(row["segmentation"]["counts"] for row in rows),
        )

    def __len__(self) -> int:
        return len(self.scores)

    def row(self, place: int) -> Result:
        """One result."""
        return {
            "image_id": self.image_id,
            "category_id": int(self.category_ids[place]),
            "bbox": self.boxes[place].tolist(),
            "score": float(self.scores[place]),
            "box_score": float(self.box_scores[place]),
            "segmentation": {"size": list(self.size), "counts": self.codes[place].decode("ascii")},
        }


class Results(Sequence[Result]):
    """COCO results of a set, in the order of its pictures; ``pictures`` also tells in which ones nothing was found.

    Half a million results take about 100 MB, where a list of dictionaries takes 600. They can be pickled; ``list(...)``
    makes plain dictionaries of all of them, for JSON.

    >>> code = {"size": [4, 5], "counts": "31309"}
    >>> row = {"category_id": 2, "bbox": [0, 3, 2, 1], "score": 0.5, "box_score": 0.75, "segmentation": code}
    >>> results = Results([PictureResults.of(0, 7, []), PictureResults.of(1, 8, [row])])
    >>> len(results), results[0]["image_id"], results[0]["segmentation"]["counts"]
    (1, 8, '31309')
    """

    def __init__(self, pictures: Iterable[PictureResults]) -> None:
        self.pictures = tuple(pictures)
        self._ends = list(accumulate(map(len, self.pictures)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> list[Result]: ...
    def __getitem__(self, index: int | slice) -> Result | list[Result]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        place = range(len(self))[index]
        picture = bisect_right(self._ends, place)
        return self.pictures[picture].row(place - (self._ends[picture - 1] if picture else 0))

    def __iter__(self) -> Iterator[Result]:
        return (picture.row(place) for picture in self.pictures for place in range(len(picture)))

    def __eq__(self, other: object) -> bool:
        """Whether the other list has the same results in the same order."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(own == one for own, one in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Results({len(self)} in {len(self.pictures)} pictures)"


def merge_shards(parts: Iterable[Results]) -> Results:
    """The results of one set that several processes predicted in parts, in the set's order.

    A picture that more than one of them did (samplers fill up uneven shares so) counts once, as the first did it.
    """
    done: dict[int, PictureResults] = {}
    for part in parts:
        for picture in part.pictures:
            done.setdefault(picture.index, picture)
    return Results(done[index] for index in sorted(done))
