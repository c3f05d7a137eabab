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
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from centermask.errors import UserError
from centermask.files import whole_file, write_whole
from centermask.images import SoftInstances, fit, read_image, resize, restore, to_rgb
from centermask.instances import Instances
from centermask.runtimes.open import open_runtime
from centermask.runtimes.runtime import Precision, Runtime, known_precision
from centermask.runtimes.segmenter import DeviceLike, Segmenter, TensorLike
from centermask.size import Size, fill_plane, fit_size

Picture = UInt8[np.ndarray, "height width 3"]
ImageLike = Path | str | Image.Image | np.ndarray | TensorLike
"""A file, a Pillow image, uint8 pixels H×W×3 or H×W (numpy), or a uint8 tensor 3×H×W; colours are RGB."""


class Prepared(NamedTuple):
    """A picture on its way to the network."""

    pixels: Picture
    """Of the size in which the network sees it."""
    original: Size

    @property
    def fitted(self) -> Size:
        """The size of ``pixels``."""
        return Size(*self.pixels.shape[:2])


@runtime_checkable
class Finder(Protocol):
    """Finds the objects of pictures: a ``Predictor``, or what is composed over one."""

    model: Runtime
    device: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    short_side: int
    long_side: int
    resize: bool
    score_threshold: float
    max_detections: int | None

    def __call__(self, image: ImageLike) -> Instances:
        """Find the objects of one picture, best first."""

    def batch(self, images: Sequence[ImageLike]) -> list[Instances]:
        """Find the objects of several pictures."""


class Predictor:
    """Finds the objects of pictures of any size, in their own pixels.

    >>> from centermask import Predictor                         # doctest: +SKIP
    >>> predict = Predictor("weights.safetensors")               # doctest: +SKIP
    >>> instances = predict("photo.jpg")                         # doctest: +SKIP
    >>> instances.overlay(read_image("photo.jpg"))               # doctest: +SKIP

    Args:
        model: A weights file, bundled weights ("nano", "plus-nano"), a file that ``centermask export`` wrote, a
            ``Runtime``, or a model in PyTorch. A model is moved to the device, put into evaluation mode, told
            ``max_detections`` and, if precision is given, converted.
        device: Where to compute. None: where a given model is; weights on the accelerator if there is one; an exported
            file on the processor.
        short_side: What the short side of a picture is scaled to, in pixels; None: as the model was trained.
        long_side: What the long side may not pass; None: as trained, or in the same proportion to ``short_side``.
        resize: False leaves the pixels as they are.
        score_threshold: Objects with a lower score are left out; None: as the model's configuration says.
        max_detections: How many objects to keep in a picture, best first; None: all that the model gives. An exported
            file gives no more than it was exported for.
        precision: In what PyTorch computes: fp32, bf16, fp16, or auto for bf16 where the machine computes in it. None:
            weights in fp32, a model as it is. An exported file's precision was fixed at export.
        compile: Compile the dense part with torch.compile: the first pictures take a minute, later ones less time.
        threads: Cores to compute with; None: as the engine chooses. PyTorch has one number for all that a process does.

    Raises:
        UserError: the file cannot be used, an argument is out of its range, or precision or compile is given for an
            exported file.
    """

    def __init__(
        self,
        model: Path | str | Runtime | Segmenter,
        *,
        device: str | DeviceLike | None = None,
        short_side: int | None = None,
        long_side: int | None = None,
        resize: bool = True,
        score_threshold: float | None = None,
        max_detections: int | None = None,
        precision: str | None = None,
        compile: bool = False,
        threads: int | None = None,
    ) -> None:
        for name, value in (("short_side", short_side), ("long_side", long_side), ("max_detections", max_detections),
                            ("threads", threads)):  # fmt: skip
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1, not {value}")
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise UserError(f"score_threshold must lie in [0, 1], not {score_threshold}")
        place = None if device is None else str(device)
        self.model = _runtime(model, place, known_precision(precision), compile, threads)
        self.device = self.model.device
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
        """Find the objects of several pictures in one run of the model.

        They lie on planes of one size. The network's group norms see a smaller picture's padding too, so its scores are
        not exactly what they are alone; pictures of one size are.

        Raises:
            UserError: a picture cannot be read or is of no known kind, or the device's memory does not suffice.
        """
        if not images:
            return []
        prepared = [self.prepare(image) for image in images]
        found = self.find(prepared, self.score_threshold)
        return [
            self.finish(answer, one, file_name=picture_name(image))
            for answer, one, image in zip(found, prepared, images, strict=True)
        ]

    def prepare(self, image: ImageLike) -> Prepared:
        """The first of three steps, for whoever runs them in threads of his own: a picture as the network sees it.

        Raises:
            UserError: the picture cannot be read or is of no known kind.
        """
        picture = load_picture(image)
        original = Size(*picture.shape[:2])
        return Prepared(resize(picture, self._fitted_size(original)), original)

    def find(self, prepared: Sequence[Prepared], score_threshold: float) -> list[SoftInstances]:
        """The second step: one run of the network, in one thread at a time.

        Raises:
            UserError: the device's memory does not suffice.
        """
        return self.model(fit([one.pixels for one in prepared], [one.fitted for one in prepared]), score_threshold)

    def finish(
        self,
        found: SoftInstances,
        prepared: Prepared,
        *,
        score_threshold: float | None = None,
        max_detections: int | None = None,
        file_name: str = "",
    ) -> Instances:
        """The third step: what was found, best first, in pixels of the picture.

        A threshold or a count of its own may only be stricter than what the network was asked for.
        """
        threshold = self.score_threshold if score_threshold is None else score_threshold
        return restore(
            _select(found, threshold, max_detections or self.max_detections),
            fitted=prepared.fitted,
            original=prepared.original,
            class_names=self.class_names,
            category_ids=self.category_ids,
            fill_boxes=self.model.config.masks_fill_boxes,
            file_name=file_name,
        )

    def _fitted_size(self, size: Size) -> Size:
        plane = self.model.plane
        fitted = fit_size(size, self.short_side, self.long_side) if self.resize else size
        if plane is None or (fitted.height <= plane.height and fitted.width <= plane.width):
            return fitted
        if not self.resize:
            raise UserError(f"a picture of {size.height} × {size.width} pixels does not fit into the {plane.height} × "
                            f"{plane.width} of this file; let it be resized")  # fmt: skip
        return fill_plane(size, plane)


def _runtime(
    model: Path | str | Runtime | Segmenter,
    device: str | None,
    precision: Precision | None,
    compile: bool,
    threads: int | None,
) -> Runtime:
    if isinstance(model, Path | str):
        return open_runtime(model, device, precision=precision, compile=compile, threads=threads)
    if threads is not None:
        raise UserError("threads goes with a file; for a network of your own use torch.set_num_threads")
    if isinstance(model, Runtime):
        if device is not None or precision is not None or compile:
            raise UserError("device, precision and compile are settled in a runtime already; leave them out")
        return model
    from centermask.runtimes.torch import TorchRuntime  # whoever has a network has torch

    return TorchRuntime(model, device, precision=precision, compile=compile)


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
        case TensorLike() if str(image.dtype) == "torch.uint8" and _is_planar(tuple(image.shape)):
            pixels: Picture = image.detach().permute(1, 2, 0).cpu().numpy()
            return pixels
        case np.ndarray() | TensorLike():
            came = f"{type(image).__name__} of {image.dtype} and shape {tuple(image.shape)}"
        case _:
            came = type(image).__name__
    expected = "a path, a Pillow image, a uint8 array H×W×3 or H×W, or a uint8 tensor 3×H×W"
    raise UserError(f"a picture must be {expected}, not {came}; convert it")


def _is_planar(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] == 3 and min(shape) > 0


def _convert(image: Image.Image) -> Picture:
    try:
        return to_rgb(image)
    except Exception as error:  # an image not yet loaded is decoded here, and decoders raise nearly anything
        raise UserError(f"the Pillow image of mode {image.mode} cannot be used ({error}); convert it to RGB") from error


def _select(found: SoftInstances, score_threshold: float, max_detections: int | None) -> SoftInstances:
    order = np.argsort(-found.scores, kind="stable")
    kept = order[found.scores[order] >= score_threshold][:max_detections]
    return SoftInstances(*(field[kept] for field in found))


def picture_name(image: ImageLike) -> str:
    """The name of a picture that came as a file; of another one, nothing."""
    return Path(image).name if isinstance(image, Path | str) else ""


def predict_files(
    predictor: Finder,
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
    failures: list[tuple[Path, str]] = []
    jobs = plan_jobs(paths, out)
    with _open_list(json_file) as append:
        for job in jobs:
            try:
                instances = predict_file(predictor, job)
            except PictureError as error:
                failures.append((job.path, str(error)))
                continue
            append(instances.to_coco())
            on_done(job.path, instances)
    return failures


class Job(NamedTuple):
    """A picture to predict."""

    path: Path
    name: str
    """What its record is called: the file's name, or its path where two share a name."""
    overlay: Path | None
    """Where its overlay goes, if anywhere."""


class PictureError(UserError):
    """A picture cannot be read or predicted; others may be."""


def plan_jobs(paths: Sequence[Path], out: Path | None) -> list[Job]:
    """What is to be done for pictures whose overlays go into ``out``, which is made if it is missing.

    Raises:
        UserError: the folder cannot be made, or pictures lie in it.
    """
    if out:
        _make_folder(out)
        _check_apart(out, paths)
    overlays = overlay_paths(paths, out) if out else [None] * len(paths)
    return list(map(Job, paths, _record_names(paths), overlays))


def predict_file(predictor: Finder, job: Job) -> Instances:
    """Predict a picture, and write its overlay.

    Raises:
        PictureError: the picture cannot be read or predicted.
        UserError: the overlay cannot be written.
    """
    try:
        picture = read_image(job.path)
        instances = dataclasses.replace(predictor(picture), file_name=job.name)
    except UserError as error:
        raise PictureError(str(error)) from error
    if job.overlay:
        write_whole(job.overlay, encode_png(instances.overlay(picture)))
    return instances


def overlay_paths(paths: Sequence[Path], out: Path) -> list[Path]:
    """Where the overlay of each picture goes: ``out/STEM.png``, or ``out/STEM_2.png`` and so on if that is taken.

    Taken is what another picture got (capitals do not count) and what leads to one of the pictures.
    """
    taken = {_key(path) for path in paths}
    next_number: dict[str, int] = {}
    chosen = []
    for path in paths:
        stem = path.stem.casefold()
        for number in itertools.count(next_number.get(stem, 1)):
            free = out / (f"{path.stem}.png" if number == 1 else f"{path.stem}_{number}.png")
            if _key(free) not in taken:
                break
        next_number[stem] = number + 1  # the numbers before it are taken, for however many pictures of one name
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


def _check_apart(out: Path, paths: Sequence[Path]) -> None:
    """Refuse a folder of pictures: an overlay could replace one that nobody named, and be predicted the next time."""
    if os.path.realpath(out) in {os.path.realpath(folder) for folder in {path.parent for path in paths}}:
        raise UserError(f"{out}: the pictures lie there; choose another folder for the overlays (--out)")


def encode_png(pixels: Picture) -> bytes:
    """A picture as a PNG file, packed quickly rather than tightly."""
    coded = io.BytesIO()
    Image.fromarray(pixels).save(coded, format="PNG", compress_level=3)
    return coded.getvalue()


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
