"""What all exported files share, whatever runs them: their header, what goes in, and what comes out. Numpy only."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64, Shaped, UInt8

from centermask.config import ModelConfig
from centermask.errors import UserError
from centermask.images import Fitted, SoftInstances
from centermask.runtimes.runtime import Runtime, memory_in_words
from centermask.size import Size

HEADER = "centermask"
"""Key of a file's metadata that holds our JSON."""
FULL_MASKS = "full_masks"
"""Name of the output that comes after ``Outputs``, if it was asked for at export: masks in the plane of the input."""
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
INPUT_KINDS = ("uint8", "float32")


class Inputs(NamedTuple):
    """What goes into an exported graph, by these names and in this order."""

    pixels: Shaped[np.ndarray, "images 3 height width"]
    """RGB, 0 to 255, uint8 or float32 as exported, each picture in the top left corner of its plane."""
    sizes: Int64[np.ndarray, "images 2"]
    """(height, width) of each picture."""
    score_threshold: Float32[np.ndarray, ""]
    """Objects with a lower score are left out."""


class Outputs(NamedTuple):
    """What comes out of an exported graph, by these names and in this order: objects first, then zeros."""

    boxes: Float32[np.ndarray, "images most 4"]
    """xyxy in input pixels, not clipped."""
    scores: Float32[np.ndarray, "images most"]
    """Best first."""
    box_scores: Float32[np.ndarray, "images most"]
    labels: Int64[np.ndarray, "images most"]
    masks: Float32[np.ndarray, "images most side side"]
    """Probabilities."""
    counts: Int64[np.ndarray, " images"]
    """How many objects each picture has."""


Run = Callable[[Inputs], Outputs]
FullRun = Callable[[Inputs], tuple[Outputs, UInt8[np.ndarray, "images most height width"]]]
"""The same, with ``FULL_MASKS``."""


class Pasted(NamedTuple):
    """The objects of one picture, with their masks where they lie."""

    found: SoftInstances
    full_masks: UInt8[np.ndarray, "instances height width"]
    """1 inside, in the plane that the picture lies on."""


@runtime_checkable
class ExportedRuntime(Runtime, Protocol):
    """The runtime of a file that ``centermask export`` wrote."""

    @property
    def precision(self) -> str:
        """What the file was exported in; one of ``PRECISIONS``."""

    def with_full_masks(self, fitted: Fitted, score_threshold: float) -> list[Pasted]:
        """Find the objects of each picture, and their masks in its plane.

        Raises:
            UserError: the file was exported without them, or the device's memory does not suffice.
        """


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an exported file says about itself."""

    config: ModelConfig
    precision: str
    """One of ``PRECISIONS``."""
    float_pixels: bool
    """Pixels go in as float32 instead of uint8."""
    plane: Size | None
    """The only size that goes in, one picture at a time; None: any size, any number."""
    full_masks: bool
    """Masks in the plane of the input come out, too."""


def read_header(text: str | None, path: Path) -> Header:
    """The header of a file from its metadata, which is None where there is none.

    Raises:
        UserError: the file was not exported by us, or by a version that this one does not understand.
    """
    try:
        values = json.loads(text or "")
        fields = _checked(values) if values["kind"] == "exported" else None
    except UserError as error:
        raise UserError(f"{path}: {error}; export it again with this version of centermask") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        fields = None
    if fields is None:
        raise UserError(f"{path}: was not exported by centermask; give a file that `centermask export` wrote")
    return fields


def _checked(values: Mapping[str, Any]) -> Header:
    height, width = values["plane"] or (1, 1)
    if values["precision"] not in PRECISIONS or values["input"] not in INPUT_KINDS or min(height, width) < 1:
        raise UserError(f"{values['precision']}, {values['input']} and plane {values['plane']} are not known together")
    return Header(
        config=ModelConfig.from_dict(values["config"]),
        precision=values["precision"],
        float_pixels=values["input"] == "float32",
        plane=Size(height, width) if values["plane"] else None,
        full_masks=bool(values["full_masks"]),
    )


def on_plane(fitted: Fitted, plane: Size) -> Fitted:
    """The same pictures on larger planes."""
    height, width = fitted.pixels.shape[2:]
    pixels = np.zeros((len(fitted.pixels), 3, *plane), dtype=np.uint8)
    pixels[:, :, :height, :width] = fitted.pixels
    return Fitted(pixels, fitted.sizes)


class Exported:
    """Asks an exported graph for the objects of pictures; the half of a runtime that knows the file and no engine."""

    def __init__(self, header: Header, path: Path, device: str) -> None:
        self.header = header
        self.path = path
        self.device = device
        self.kept = header.config.max_detections

    def keep_detections(self, count: int) -> None:
        """See ``Runtime``. The graph still keeps its own number by box score; of those the best by score are given.

        Raises:
            UserError: the file gives fewer.
        """
        most = self.header.config.max_detections
        if count > most:
            raise UserError(f"{self.path}: gives at most {most} objects per picture; "
                            f"export it again with --max-detections {count}")  # fmt: skip
        self.kept = count

    def answer(self, fitted: Fitted, score_threshold: float, run: Run) -> list[SoftInstances]:
        """The objects of each picture, best first.

        Raises:
            UserError: the device's memory does not suffice.
        """
        threshold = np.array(score_threshold, dtype=np.float32)
        with memory_in_words(fitted, self.device):
            return [
                found for planes in self._planes(fitted) for found in self._found(run(self._inputs(planes, threshold)))
            ]

    def with_full_masks(self, fitted: Fitted, score_threshold: float, run: FullRun) -> list[Pasted]:
        """The same, with masks in the plane of the input.

        Raises:
            UserError: the file was exported without them, or the device's memory does not suffice.
        """
        if not self.header.full_masks:
            raise UserError(f"{self.path}: gives no full masks; export it again with --full-masks")
        threshold = np.array(score_threshold, dtype=np.float32)
        pasted: list[Pasted] = []
        with memory_in_words(fitted, self.device):
            for planes in self._planes(fitted):
                outputs, masks = run(self._inputs(planes, threshold))
                objects = zip(self._found(outputs), masks, strict=True)
                pasted += [Pasted(found, whole[: len(found.scores)]) for found, whole in objects]
        return pasted

    def _planes(self, fitted: Fitted) -> Iterator[Fitted]:
        """Pictures as the graph takes them: all at once, or each on the one plane that it knows."""
        if self.header.plane is None:
            yield fitted
            return
        for pixels, size in zip(fitted.pixels, fitted.sizes, strict=True):
            height, width = size.tolist()
            yield on_plane(Fitted(pixels[None, :, :height, :width], size[None]), self.header.plane)

    def _inputs(self, fitted: Fitted, threshold: np.ndarray) -> Inputs:
        pixels = fitted.pixels.astype(np.float32) if self.header.float_pixels else fitted.pixels
        return Inputs(pixels, fitted.sizes, threshold)

    def _found(self, outputs: Outputs) -> Iterator[SoftInstances]:
        *fields, counts = outputs
        for image, count in enumerate(counts.tolist()):
            yield SoftInstances(*(field[image, : min(count, self.kept)] for field in fields))
