"""Predictor: path, array, tensor or Pillow image in, ``Instances`` out; and whole folders to pictures and JSON."""

import dataclasses
import io
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from centermask.bundled import resolve_weights
from centermask.errors import UserError
from centermask.files import whole_file, write_whole
from centermask.images import SoftInstances, fit, read_image, restore, to_rgb
from centermask.instances import Instances
from centermask.model.centermask import CenterMask
from centermask.size import Size, fit_size
from centermask.structures import ImageBatch, RoIInstances

Picture = UInt8[np.ndarray, "height width 3"]
ImageLike = Path | str | Image.Image | np.ndarray | Tensor
"""A file, a Pillow image, uint8 pixels H×W×3 or H×W (numpy), or a uint8 tensor 3×H×W; colours are RGB."""


@runtime_checkable
class SegmenterConfig(Protocol):
    """What a predictor wants to know about a model."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of all classes."""

    @property
    def category_ids(self) -> tuple[int, ...]:
        """COCO's id of each class; 1 … C if empty."""

    @property
    def test_short_side(self) -> int:
        """What the short side of a picture is scaled to, in pixels."""

    @property
    def test_long_side(self) -> int:
        """What the long side may not pass, in pixels."""

    @property
    def score_threshold(self) -> float:
        """Objects with a lower score are not shown."""

    @property
    def max_detections(self) -> int:
        """Objects kept per picture."""


@runtime_checkable
class Segmenter(Protocol):
    """A model as a predictor sees it; ``CenterMask`` is one."""

    @property
    def config(self) -> SegmenterConfig:
        """What it was built from."""

    def __call__(self, batch: ImageBatch) -> list[RoIInstances]:
        """Find the objects of each image."""

    def eval(self) -> Any:
        """Put it into evaluation mode."""

    def keep_detections(self, count: int) -> None:
        """Find up to ``count`` objects in each image from now on."""

    def to(self, device: torch.device) -> Any:
        """Move it to a device, in place."""

    def parameters(self) -> Iterator[Tensor]:
        """Its weights."""


class Predictor:
    """Finds the objects of pictures of any size, in their own pixels.

    >>> from centermask import Predictor                         # doctest: +SKIP
    >>> predict = Predictor("weights.safetensors")               # doctest: +SKIP
    >>> instances = predict("photo.jpg")                         # doctest: +SKIP
    >>> instances.overlay(read_image("photo.jpg"))               # doctest: +SKIP

    Args:
        model: A weights file, "nano" for the bundled weights, or a model. A model is moved to the device, put into
            evaluation mode and told ``max_detections``.
        device: Where to compute. None: where a given model is; for a file, the accelerator if there is one.
        short_side: What the short side of a picture is scaled to, in pixels; None: as the model was trained.
        long_side: What the long side may not pass; None: as trained, or in the same proportion to ``short_side``.
        resize: False leaves the pixels as they are.
        score_threshold: Objects with a lower score are left out; None: as the model's configuration says.
        max_detections: How many objects to keep in a picture, best first; None: all that the model gives.

    Raises:
        UserError: the weights file cannot be used, or an argument is out of its range.
    """

    def __init__(
        self,
        model: Path | str | Segmenter,
        *,
        device: str | torch.device | None = None,
        short_side: int | None = None,
        long_side: int | None = None,
        resize: bool = True,
        score_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> None:
        for name, value in (("short_side", short_side), ("long_side", long_side), ("max_detections", max_detections)):
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, not {value}")
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise UserError(f"score_threshold must lie in [0, 1], not {score_threshold}")
        self.model, self.device = _place(model, device)
        config = self.model.config
        self.class_names, self.category_ids = config.class_names, config.category_ids
        self.short_side = short_side or config.test_short_side
        self.long_side = long_side or round(self.short_side * config.test_long_side / config.test_short_side)
        self.resize = resize
        self.score_threshold = config.score_threshold if score_threshold is None else score_threshold
        self.max_detections = max_detections
        if max_detections is not None:
            self.model.keep_detections(max_detections)

    def __call__(self, image: ImageLike) -> Instances:
        """Find the objects of one picture, best first.

        Raises:
            UserError: the picture cannot be read or is of no known kind.
        """
        return self.batch([image])[0]

    def batch(self, images: Sequence[ImageLike]) -> list[Instances]:
        """Find the objects of several pictures in one run of the model; the same as one by one.

        Raises:
            UserError: a picture cannot be read or is of no known kind, or the device's memory does not suffice.
        """
        if not images:
            return []
        pictures = [load_picture(image) for image in images]
        originals = [Size(*picture.shape[:2]) for picture in pictures]
        sizes = [self._fitted_size(size) for size in originals]
        answers = self._run(pictures, sizes)
        return [
            restore(
                self._select(answer),
                fitted=size,
                original=original,
                class_names=self.class_names,
                category_ids=self.category_ids,
                file_name=_file_name(image),
            )
            for answer, size, original, image in zip(answers, sizes, originals, images, strict=True)
        ]

    def _fitted_size(self, size: Size) -> Size:
        return fit_size(size, self.short_side, self.long_side) if self.resize else size

    def _run(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], sizes: Sequence[Size]) -> list[SoftInstances]:
        fitted = fit(pictures, sizes)
        batch = ImageBatch(torch.from_numpy(fitted.pixels), torch.from_numpy(fitted.sizes)).to(self.device)
        try:
            with torch.inference_mode():
                return [_to_numpy(answer) for answer in self.model(batch)]
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if type(error) is RuntimeError and "allocate memory" not in str(error):  # the processor's allocator says so
                raise
            height, width = fitted.pixels.shape[2:]
            message = (
                f"{len(pictures)} × {height} × {width} pixels are too many for {self.device}; make short_side smaller"
            )
            raise UserError(message) from error

    def _select(self, found: SoftInstances) -> SoftInstances:
        order = np.argsort(-found.scores, kind="stable")
        kept = order[found.scores[order] >= self.score_threshold][: self.max_detections]
        return SoftInstances(*(field[kept] for field in found))


def _place(model: Path | str | Segmenter, device: str | torch.device | None) -> tuple[Segmenter, torch.device]:
    """The model, ready to predict, and the device it is on."""
    if isinstance(model, Path | str):
        target = _device(device) if device is not None else _best_device()
        loaded: Segmenter = CenterMask.load(resolve_weights(model), device=target)
    else:
        target = _device(device) if device is not None else next((each.device for each in model.parameters()), _CPU)
        model.to(target)
        loaded = model
    loaded.eval()
    return loaded, target


_CPU = torch.device("cpu")


def _best_device() -> torch.device:
    return (torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None) or _CPU


def _device(name: str | torch.device) -> torch.device:
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch built without it asserts
        reason = str(error).splitlines()[0]
        raise UserError(f"device '{name}' cannot be used ({reason}); try 'cpu'") from error


def _to_numpy(answer: RoIInstances) -> SoftInstances:
    boxes, scores, box_scores, masks = (
        field.float().cpu().numpy() for field in (answer.boxes, answer.scores, answer.box_scores, answer.masks)
    )
    return SoftInstances(boxes, scores, box_scores, answer.labels.cpu().numpy(), masks)


def load_picture(image: ImageLike) -> Picture:
    """Any known kind of picture as RGB pixels.

    Raises:
        UserError: the picture cannot be read, or is of no known kind.
    """
    match image:
        case Path() | str():
            return read_image(image)
        case Image.Image():
            return _convert(image)
        case np.ndarray() if image.dtype == np.uint8 and image.ndim == 2 and image.size:
            return np.repeat(image[:, :, None], 3, axis=2)
        case np.ndarray() if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:
            return image
        case Tensor() if image.dtype == torch.uint8 and image.ndim == 3 and image.shape[0] == 3 and image.numel():
            return image.detach().permute(1, 2, 0).cpu().numpy()
        case np.ndarray() | Tensor():
            came = f"{type(image).__name__} of {image.dtype} and shape {tuple(image.shape)}"
        case _:
            came = type(image).__name__
    expected = "a path, a Pillow image, a uint8 array H×W×3 or H×W, or a uint8 tensor 3×H×W"
    raise UserError(f"a picture must be {expected}, not {came}; convert it")


def _convert(image: Image.Image) -> Picture:
    try:
        return to_rgb(image)
    except Exception as error:  # an image not yet loaded is decoded here, and decoders raise nearly anything
        raise UserError(f"the Pillow image of mode {image.mode} cannot be used ({error}); convert it to RGB") from error


def _file_name(image: ImageLike) -> str:
    return Path(image).name if isinstance(image, Path | str) else ""


def predict_files(
    predictor: Predictor,
    paths: Sequence[Path],
    *,
    out: Path | None = None,
    json_file: Path | None = None,
    on_done: Callable[[Path, Instances], None] = lambda path, instances: None,
) -> list[tuple[Path, str]]:
    """Predict picture after picture, and write what is asked for; returns the pictures that failed, and why.

    Folders that do not exist are made. A picture that fails does not stop the others.

    Args:
        predictor: Finds the objects.
        paths: The pictures.
        out: A folder for the overlays, one PNG a picture, named like it; names that would clash get a number.
        json_file: A list of records (``Instances.to_coco``) in the order of the pictures, whole or not at all.
            ``file_name`` is the picture's name, or its path where two share a name.
        on_done: Called after each picture that went well.

    Raises:
        UserError: an answer cannot be written.
    """
    overlays = overlay_paths(paths, out) if out else [None] * len(paths)
    names = _record_names(paths)
    failures: list[tuple[Path, str]] = []
    if out:
        _make_folder(out)
    with _open_list(json_file) as append:
        for path, overlay, name in zip(paths, overlays, names, strict=True):
            try:
                picture = read_image(path)
                instances = dataclasses.replace(predictor(picture), file_name=name)
            except UserError as error:
                failures.append((path, str(error)))
                continue
            if overlay:
                _write_png(instances.overlay(picture), overlay)
            append(instances.to_coco())
            on_done(path, instances)
    return failures


def overlay_paths(paths: Sequence[Path], out: Path) -> list[Path]:
    """Where the overlay of each picture goes: ``out/STEM.png``, or ``out/STEM_2.png`` and so on if that is taken.

    Taken is what another picture got (capitals do not count) and what is one of the pictures itself.
    """
    taken = {_key(path) for path in paths}
    chosen = []
    for path in paths:
        suffixes = itertools.chain([""], (f"_{i}" for i in itertools.count(2)))
        names = (out / f"{path.stem}{suffix}.png" for suffix in suffixes)
        free = next(name for name in names if _key(name) not in taken)
        taken.add(_key(free))
        chosen.append(free)
    return chosen


def _key(path: Path) -> str:
    return os.path.realpath(path).casefold()


def _record_names(paths: Sequence[Path]) -> list[str]:
    counts = Counter(path.name for path in paths)
    return [path.name if counts[path.name] == 1 else path.as_posix() for path in paths]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made a folder ({error.strerror}); choose another place") from error


def _write_png(pixels: Picture, path: Path) -> None:
    coded = io.BytesIO()
    Image.fromarray(pixels).save(coded, format="PNG", compress_level=3)
    write_whole(path, coded.getvalue())


@contextmanager
def _open_list(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A JSON list that grows record by record and appears whole at the end; without a path, records are dropped."""
    if path is None:
        yield lambda record: None
        return
    with whole_file(path) as file:
        before = "[\n"

        def append(record: dict[str, Any]) -> None:
            nonlocal before
            # A file name that is no UTF-8 keeps its odd bytes as JSON escapes.
            file.write((before + json.dumps(record, ensure_ascii=False)).encode("utf-8", "backslashreplace"))
            before = ",\n"

        yield append
        file.write(b"[]\n" if before == "[\n" else b"\n]\n")
