"""A predictor's answers to a whole set, as COCO results."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from centermask.errors import UserError
from centermask.evaluate.results import PictureResults, Results


@runtime_checkable
class Answer(Protocol):
    """What a predictor found in one picture."""

    def to_coco(self) -> dict[str, Any]:
        """A dict whose ``instances`` each have category_name, bbox (xywh), score, box_score and segmentation."""


@runtime_checkable
class ImagePredictor(Protocol):
    """Finds objects in a picture (RGB, uint8, height × width × 3)."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that it can find."""

    def __call__(self, image: np.ndarray, /) -> Answer: ...


@runtime_checkable
class Record(Protocol):
    """What a COCO set knows about one of its pictures."""

    @property
    def id(self) -> int:
        """COCO's image id."""


@runtime_checkable
class Picture(Protocol):
    """One picture of a set."""

    @property
    def image(self) -> np.ndarray:
        """RGB, uint8, height × width × 3."""


@runtime_checkable
class CocoSet(Protocol):
    """A set of pictures with COCO's ids."""

    @property
    def records(self) -> Sequence[Record]:
        """In the order of the set."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the set annotates."""

    @property
    def category_ids(self) -> tuple[int, ...]:
        """COCO's ids of ``class_names``, in the same order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Picture: ...


def predict_set(
    predictor: ImagePredictor,
    coco_set: CocoSet,
    *,
    on_progress: Callable[[int, int], object] | None = None,
    indices: Sequence[int] | None = None,
) -> Results:
    """Predict one picture after the other and collect what is found as COCO results, masks run-length coded.

    Classes are matched by name: what is found of a class that the set does not annotate is left out.

    Args:
        on_progress: called after each picture with the number of pictures done and the number of all.
        indices: predict only these pictures of the set. Process r of n takes ``range(r, len(coco_set), n)``;
            ``merge_shards`` puts the parts together.

    Raises:
        UserError: predictor and set have no class name in common.
    """
    categories = shared_categories(predictor.class_names, coco_set)
    chosen = range(len(coco_set)) if indices is None else indices
    pictures = []
    for done, index in enumerate(chosen, start=1):
        answer = predictor(coco_set[index].image).to_coco()
        rows = _shared_rows(answer["instances"], categories)
        pictures.append(PictureResults.of(index, coco_set.records[index].id, rows))
        if on_progress is not None:
            on_progress(done, len(chosen))
    return Results(pictures)


def shared_categories(class_names: tuple[str, ...], coco_set: CocoSet) -> dict[str, int]:
    """The set's category ids of the classes that both know, by name.

    Raises:
        UserError: there is none.
    """
    annotated = dict(zip(coco_set.class_names, coco_set.category_ids, strict=True))
    shared = {name: annotated[name] for name in class_names if name in annotated}
    if not shared:
        raise UserError(
            f"the model and the set share no class name: the model finds {', '.join(class_names)}; "
            f"the set annotates {', '.join(coco_set.class_names)}; choose weights that know these classes, or rename "
            "the categories of the annotation file"
        )
    return shared


def _shared_rows(instances: Sequence[Mapping[str, Any]], categories: Mapping[str, int]) -> list[dict[str, Any]]:
    """What is found of the classes that both know, with the set's category ids."""
    return [
        {**instance, "category_id": categories[instance["category_name"]]}
        for instance in instances
        if instance["category_name"] in categories
    ]
