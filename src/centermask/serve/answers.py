"""What a service answers: what was found, in three forms, and the shapes of all answers for its OpenAPI document."""

import json
from typing import Any, Literal

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from centermask.images import Picture
from centermask.instances import Instances
from centermask.ops import rle
from centermask.predict import encode_png

Format = Literal["json", "png", "coco"]


class Error(BaseModel):
    """Why a request was refused, and the mend."""

    error: str


class Health(BaseModel):
    """The service answers."""

    status: Literal["ok"] = "ok"


class Limits(BaseModel):
    """What a request may not pass."""

    body_bytes: int
    """Of a request's body."""
    pixels: int
    """Of a picture."""
    seconds: float
    """From the end of the body to the answer."""


class ModelInfo(BaseModel):
    """The network behind the service."""

    weights: str
    class_names: list[str]
    category_ids: list[int]
    score_threshold: float
    max_detections: int
    short_side: int
    long_side: int
    device: str
    version: str
    limits: Limits
    token_required: bool


class Segmentation(BaseModel):
    """A mask of the whole picture as COCO's compressed run-length code."""

    size: list[int]
    counts: str


class Instance(BaseModel):
    """One object."""

    category_id: int
    category_name: str
    bbox: list[float]
    score: float
    box_score: float
    segmentation: Segmentation


class Found(BaseModel):
    """The objects of a picture, best first: what ``Instances.to_coco`` gives."""

    file_name: str
    height: int
    width: int
    instances: list[Instance]


class CocoImage(BaseModel):
    """The picture."""

    id: int
    file_name: str
    height: int
    width: int


class CocoAnnotation(BaseModel):
    """One object."""

    id: int
    image_id: int
    category_id: int
    bbox: list[float]
    area: int
    iscrowd: int
    score: float
    segmentation: Segmentation


class CocoCategory(BaseModel):
    """One class."""

    id: int
    name: str


class CocoFile(BaseModel):
    """A picture with its objects as a COCO file."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[CocoCategory]


def json_answer(found: Instances) -> Response:
    """What ``centermask predict --json`` writes for a picture."""
    return _json(found.to_coco())


def coco_answer(found: Instances) -> Response:
    """The same as a COCO file of one picture."""
    return _json(to_coco_file(found))


def png_answer(found: Instances, picture: Picture) -> Response:
    """The objects drawn over their picture."""
    return Response(encode_png(found.overlay(picture)), media_type="image/png")


def to_coco_file(found: Instances) -> dict[str, Any]:
    """A COCO dictionary of one picture: it can be trained on again."""
    record = found.to_coco()
    annotations = [
        {
            "id": i,
            "image_id": 1,
            "category_id": one["category_id"],
            "bbox": one["bbox"],
            "area": rle.area(one["segmentation"]),
            "iscrowd": 0,
            "score": one["score"],
            "segmentation": one["segmentation"],
        }
        for i, one in enumerate(record["instances"], start=1)
    ]
    return {
        "images": [{"id": 1, **{key: record[key] for key in ("file_name", "height", "width")}}],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in zip(found.category_ids, found.categories, strict=True)],
    }


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content, ensure_ascii=False).encode("utf-8", "replace"), media_type="application/json")


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error in the one form that all errors have."""
    return JSONResponse({"error": message}, status, headers)
