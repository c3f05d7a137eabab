"""A COCO dictionary that grows picture by picture: what readers of other formats give to COCO's own checks."""

from collections.abc import Sequence
from typing import Any

from centermask.data.coco_file import ORIGIN
from centermask.ops.rle import RLE
from centermask.size import Size


class Content:
    """Pictures, objects and classes; ids count from 1, so that the class at place 0 has the category id 1."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories = [{"id": i, "name": name} for i, name in enumerate(class_names, start=1)]

    def add_picture(self, name: str, size: Size, origin: str) -> None:
        """A picture, by its name in the folder of the pictures; the objects that follow are its."""
        place = {"id": len(self._images) + 1, "file_name": name, ORIGIN: origin}
        self._images.append({**place, "height": size.height, "width": size.width})

    def add_object(self, label: int, segmentation: list[list[float]] | RLE, origin: str) -> None:
        """An object of the picture added last."""
        self._annotations.append(
            {
                "id": len(self._annotations) + 1,
                "image_id": len(self._images),
                "category_id": label + 1,
                "segmentation": segmentation,
                "iscrowd": 0,
                ORIGIN: origin,
            }
        )

    def to_coco(self) -> dict[str, object]:
        """All of it."""
        return {"images": self._images, "annotations": self._annotations, "categories": self._categories}
