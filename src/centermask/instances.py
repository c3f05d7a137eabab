"""What the library answers: the objects of one picture, in its own pixels, with their masks run-length coded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from centermask import notebook, visualize
from centermask.errors import UserError
from centermask.ops import mask_warp
from centermask.ops.rle import RLE
from centermask.size import Size

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Instances:
    """The objects found in one picture; all arrays are numpy's and have one entry per object.

    An index, a slice, an array of indices or a mask of booleans selects objects and gives ``Instances`` again.

    Raises:
        ValueError: the fields do not fit each other.

    >>> cat = Instances(
    ...     size=Size(4, 5),
    ...     boxes=np.array([[0, 3, 2, 4]], dtype=np.float32),
    ...     scores=np.array([0.5], dtype=np.float32),
    ...     box_scores=np.array([0.75], dtype=np.float32),
    ...     labels=np.array([1]),
    ...     rle=(RLE(size=[4, 5], counts="31309"),),
    ...     categories=("dog", "cat"),
    ...     file_name="cat.jpg",
    ... )
    >>> cat
    Instances(1 in cat.jpg, height 4, width 5)
      0  cat  score 0.50  box 0.0 3.0 2.0 4.0
    >>> cat.masks[0].astype(int)[3]
    array([1, 1, 0, 0, 0])
    >>> len(cat.above(0.6))
    0
    """

    size: Size
    """Of the picture."""
    boxes: Float32[np.ndarray, "instances 4"]
    """xyxy, pixels of the picture, clipped to it."""
    scores: Float32[np.ndarray, " instances"]
    """Box score × predicted mask IoU, in [0, 1]."""
    box_scores: Float32[np.ndarray, " instances"]
    labels: Int64[np.ndarray, " instances"]
    """0 … C−1: places in ``categories``."""
    rle: tuple[RLE, ...]
    """The masks, as COCO's compressed run-length codes of the whole picture."""
    categories: tuple[str, ...]
    """The names of all classes, found or not."""
    category_ids: tuple[int, ...] = ()
    """COCO's id of each class; 1 … C if not given."""
    file_name: str = ""

    def __post_init__(self) -> None:
        if not self.category_ids:
            object.__setattr__(self, "category_ids", tuple(range(1, len(self.categories) + 1)))
        count = len(self.boxes)
        for name in ("scores", "box_scores", "labels", "rle"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{len(getattr(self, name))} {name} for {count} boxes; give one for each box")
        if len(self.category_ids) != len(self.categories):
            raise ValueError(f"{len(self.category_ids)} category ids for {len(self.categories)} categories")
        if count and not 0 <= self.labels.min() <= self.labels.max() < len(self.categories):
            raise ValueError(f"labels must lie in 0 … {len(self.categories) - 1}, the places of the categories")
        if any(Size(*code["size"]) != self.size for code in self.rle):
            raise ValueError(f"a mask is not of the picture's size, {list(self.size)}")

    def __len__(self) -> int:
        """The number of objects."""
        return len(self.boxes)

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> "Instances":
        """Some of the objects, in the order of ``index``."""
        kept = np.atleast_1d(np.arange(len(self))[index])
        return replace(
            self,
            boxes=self.boxes[kept],
            scores=self.scores[kept],
            box_scores=self.box_scores[kept],
            labels=self.labels[kept],
            rle=tuple(self.rle[i] for i in kept),
        )

    def above(self, threshold: float) -> "Instances":
        """The objects whose score is ``threshold`` or more."""
        return self[self.scores >= threshold]

    @property
    def masks(self) -> Bool[np.ndarray, "instances height width"]:
        """The masks as planes of the whole picture, decoded anew on every call.

        The only place where objects × height × width pixels are made; ``rle`` holds the same in little memory.
        """
        planes = np.zeros((len(self), *self.size), dtype=bool)
        for plane, code in zip(planes, self.rle, strict=True):
            pixels, left, top = mask_warp.from_rle(code)
            plane[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        return planes

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each object's class."""
        return tuple(self.categories[label] for label in self.labels)

    def overlay(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        *,
        captions: Sequence[str] | None = None,
        colours: UInt8[np.ndarray, "instances 3"] | None = None,
    ) -> UInt8[np.ndarray, "height width 3"]:
        """The picture with the objects drawn over it; ``image`` itself stays as it is.

        Args:
            image: The picture.
            captions: A text for each object; None: its class and score. An empty one is not drawn.
            colours: RGB of each object; None: all different.

        Raises:
            ValueError: the image is not of the picture's size, or captions or colours are not one for each object.
        """
        if image.shape[:2] != self.size:
            raise ValueError(f"an image of {list(image.shape[:2])} pixels for instances of {list(self.size)}")
        if captions is None:
            captions = [f"{name} {score:.2f}" for name, score in zip(self.class_names, self.scores, strict=True)]
        if colours is None:
            colours = visualize.instance_colours(len(self))
        if not len(captions) == len(colours) == len(self):
            raise ValueError(f"{len(captions)} captions and {len(colours)} colours for {len(self)} objects")
        return visualize.overlay(image, self.boxes, self.rle, captions, colours)

    def to_coco(self) -> dict[str, Any]:
        """One record of plain Python values, ready for JSON; boxes become COCO's [x, y, width, height]."""
        return {
            "file_name": self.file_name,
            "height": self.size.height,
            "width": self.size.width,
            "instances": [self._record(i) for i in range(len(self))],
        }

    def _record(self, i: int) -> dict[str, Any]:
        left, top, right, bottom = self.boxes[i]
        return {
            "category_id": self.category_ids[self.labels[i]],
            "category_name": self.categories[self.labels[i]],
            "bbox": [_plain(left), _plain(top), _plain(right - left), _plain(bottom - top)],
            "score": _plain(self.scores[i]),
            "box_score": _plain(self.box_scores[i]),
            "segmentation": {"size": list(self.size), "counts": self.rle[i]["counts"]},
        }

    def to_supervision(self) -> "supervision.Detections":
        """The same for the supervision library: its annotators, trackers, zones and converters.

        Masks are its ``CompactMask``, which holds no planes. ``class_id`` are places in ``categories``;
        ``data["class_name"]`` has the names, ``data["box_score"]`` the box scores.

        Raises:
            UserError: supervision is not installed, or is older than 0.31.
        """
        try:
            from supervision import CompactMask, Detections
        except ImportError:
            raise UserError(
                "to_supervision needs supervision 0.31 or newer; install it with: pip install 'centermask[supervision]'"
            ) from None
        corners = np.array([mask_warp.bounds(mask_warp.from_rle(code)) for code in self.rle]).reshape(-1, 4)
        last = corners - np.array([0, 0, 1, 1])  # there, the right and bottom of a mask's rectangle still belong to it
        masks = CompactMask.from_coco_rle(self.rle, last, (self.size.height, self.size.width))
        data: dict[str, Any] = {"class_name": np.array(self.class_names, dtype=str), "box_score": self.box_scores}
        return Detections(self.boxes, mask=masks, confidence=self.scores, class_id=self.labels, data=data)

    def __repr__(self) -> str:
        shown = [self._line(i) for i in range(min(len(self), 10))]
        more = [f"  and {len(self) - 10} more"] if len(self) > 10 else []
        where = f" in {self.file_name}" if self.file_name else ""
        head = f"Instances({len(self)}{where}, height {self.size.height}, width {self.size.width})"
        return "\n".join([head, *shown, *more])

    def _repr_html_(self) -> str:
        """What a notebook shows: the masks on a plain ground, for the picture itself is not kept, and a table."""
        where = f" in {self.file_name}" if self.file_name else ""
        heading = f"{len(self)} found{where}, {self.size.width} × {self.size.height} pixels"
        return notebook.to_html(heading, self.size, self.boxes, self.rle, self.class_names, self.scores)

    def _line(self, i: int) -> str:
        widest = max(len(name) for name in self.class_names[:10])
        box = " ".join(f"{side:.1f}" for side in self.boxes[i])
        return f"{i:3d}  {self.categories[self.labels[i]]:{widest}}  score {self.scores[i]:.2f}  box {box}"


def _plain(value: np.float32) -> float:
    """The shortest number that reads back as the same float32."""
    return float(str(value))


def from_coco(
    record: dict[str, Any], categories: tuple[str, ...] = (), category_ids: tuple[int, ...] = ()
) -> Instances:
    """Read a record back; the inverse of ``Instances.to_coco``, but for the last digit of a box's right and bottom.

    A record names only the classes it holds. Without ``categories`` these are all classes, in the order of their ids.

    Raises:
        ValueError: the record lacks a field, or names a class that is not in ``categories``.
    """
    try:
        return _read(record, categories, category_ids)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no record of to_coco: {type(error).__name__} {error}") from error


def _read(record: dict[str, Any], categories: tuple[str, ...], category_ids: tuple[int, ...]) -> Instances:
    found = record["instances"]
    if not categories:
        names = dict(sorted((each["category_id"], each["category_name"]) for each in found))
        categories, category_ids = tuple(names.values()), tuple(names)
    places = {each: i for i, each in enumerate(category_ids or range(1, len(categories) + 1))}
    boxes = np.array([each["bbox"] for each in found], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Instances(
        size=Size(record["height"], record["width"]),
        boxes=boxes.clip(0, [record["width"], record["height"]] * 2).astype(np.float32),
        scores=np.array([each["score"] for each in found], dtype=np.float32),
        box_scores=np.array([each["box_score"] for each in found], dtype=np.float32),
        labels=np.array([places[each["category_id"]] for each in found], dtype=np.int64),
        rle=tuple(
            RLE(size=list(each["segmentation"]["size"]), counts=each["segmentation"]["counts"]) for each in found
        ),
        categories=categories,
        category_ids=category_ids,
        file_name=record["file_name"],
    )
