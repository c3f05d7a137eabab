"""The door in and the door out: decode a file, fit it to the network; restore the answer to the picture.

Numpy and Pillow only: an exported model walks through the same two doors without torch.
"""

import glob
import io
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64, UInt8
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from centermask.errors import UserError
from centermask.instances import Instances
from centermask.ops import mask_warp
from centermask.size import Size, pad_size

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
"""Endings, in small letters, by which a folder's pictures are known."""

MAX_PIXELS = 178_956_970
"""Pillow's own hard limit; a larger picture is refused before it is decoded."""

Picture = UInt8[np.ndarray, "height width 3"]
"""RGB, 0 to 255."""

MAX_SCANS = 100
"""Of a JPEG. Progressive ones have about ten; each costs a walk over the whole picture, and takes a few bytes."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # Pillow knows more, some of which start programs

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation."""

_SIDEWAYS = (5, 6, 7, 8)
"""Orientations that exchange height and width."""


class UnknownPictureError(UserError):
    """What was given is no picture of a format that is read."""


class LargePictureError(UserError):
    """The picture has more pixels than are allowed."""


def read_image(path: Path | str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a JPEG, PNG, WebP, BMP, TIFF or GIF file to RGB, upright as its EXIF orientation says.

    Of several frames the first is taken. How other colours become RGB is said by ``to_rgb``. The file is decoded to its
    end, so that a truncated one never passes for a whole one; broken metadata in a sound picture is passed over.

    Raises:
        UserError: there is no such file, it may not be read, is empty, broken, no picture (``UnknownPictureError``), or
            has over ``max_pixels`` (``LargePictureError``).
    """
    with _in_words(path, max_pixels), _opened(Path(path), max_pixels) as image:
        image.load()
        return to_rgb(image)


def decode_image(data: bytes, max_pixels: int = MAX_PIXELS, name: str = "the picture") -> Picture:
    """The same for what stands in a file, in memory; ``name`` is what errors call it.

    Whoever sent the bytes may mean harm, so a JPEG of more than ``MAX_SCANS`` scans is refused: it could take hours.

    Raises:
        UserError: see ``read_image``, or the JPEG has too many scans.
    """
    with _in_words(name, max_pixels), _within(io.BytesIO(data), name, max_pixels) as image:
        if _holds_jpeg(image) and data.count(b"\xff\xda") > MAX_SCANS:
            raise UserError(f"{name}: the JPEG has more than {MAX_SCANS} scans; save it anew")
        image.load()
        return to_rgb(image)


def read_size(path: Path | str, max_pixels: int = MAX_PIXELS) -> Size:
    """The size of a file's picture as ``read_image`` will give it, upright, from its header alone.

    Only a PNG with notes behind its pixels, among which an orientation may stand, is decoded.

    Raises:
        UserError: see ``read_image``, as far as the header tells.
    """
    with _in_words(path, max_pixels), _opened(Path(path), max_pixels) as image:
        if image.format == "PNG" and "Raw profile type exif" not in image.info and not _has_late_notes(path):
            image.info.setdefault("exif", b"")  # else Pillow decodes the picture to look for it at the end
        if isinstance(image, TiffImageFile):  # newer versions of Pillow have turned its size already
            width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]
        else:
            width, height = image.size
        return Size(width, height) if _orientation(image) in _SIDEWAYS else Size(height, width)


@contextmanager
def _in_words(name: Path | str, max_pixels: int) -> Iterator[None]:
    """Turn whatever decoders raise into a ``UserError`` that names the picture."""
    try:
        with warnings.catch_warnings():
            # Only Pillow's: should threads race here and a filter be left behind, nobody else is silenced.
            warnings.filterwarnings("ignore", module="PIL")
            yield
    except UserError:
        raise
    except Exception as error:  # on hostile bytes, decoders raise nearly anything
        raise _refusal(name, max_pixels, error) from error


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """A file's picture whose header has been read and found within the limit."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            raise UserError(f"{path}: the file is empty; copy or save the picture anew")
        with _within(file, path, max_pixels) as image:
            yield image


@contextmanager
def _within(file: io.BytesIO | io.BufferedReader, name: Path | str, max_pixels: int) -> Iterator[Image.Image]:
    with Image.open(file, formats=FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise _too_large(name, max_pixels)
        yield image


def _holds_jpeg(image: Image.Image) -> bool:
    """Whether it is a JPEG, or a TIFF with JPEGs inside. In such data the bytes FF DA begin a scan and nothing else."""
    return image.format in ("JPEG", "MPO") or "jpeg" in str(image.info.get("compression"))


def _has_late_notes(path: Path | str) -> bool:
    """Whether a PNG has text or EXIF chunks behind its pixels."""
    pixels_seen = False
    with open(path, "rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            pixels_seen |= head[4:] == b"IDAT"
            if pixels_seen and head[4:] in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)
    return False


def _refusal(name: Path | str, max_pixels: int, error: Exception) -> UserError:
    kind = UserError
    match error:
        case FileNotFoundError():
            reason = "there is no such file; check the path"
        case IsADirectoryError():
            reason = "this is a folder; name a picture in it"
        case PermissionError():
            reason = "the file may not be read; give yourself the permission (chmod u+r)"
        case UnidentifiedImageError():
            kind, reason = UnknownPictureError, "this is no picture that can be read; convert it to JPEG or PNG"
        case Image.DecompressionBombError():
            return _too_large(name, min(max_pixels, MAX_PIXELS))
        case MemoryError():
            reason = "there is not enough memory for the picture; scale it down"
        case _:
            reason = f"the picture is broken or cut off ({error or type(error).__name__}); copy or save it anew"
    return kind(" ".join(f"{name}: {reason}".split()))


def _too_large(name: Path | str, max_pixels: int) -> LargePictureError:
    return LargePictureError(
        f"{name}: the picture has more than {max_pixels} pixels; scale it down or cut it into several"
    )


def to_rgb(image: Image.Image) -> Picture:
    """The pixels of a Pillow image as RGB, upright as its EXIF orientation says.

    Grey becomes R = G = B; a palette is looked up; CMYK is converted without a colour profile; what is transparent is
    laid over white. Grey of 16 bits is divided by 257. Grey of 32 bits is kept if it lies in 0 … 255 (floats in 0 … 1
    are multiplied by 255); all else is stretched so that its least value becomes 0 and its greatest 255. Values that
    are not finite count as the least.

    Raises:
        ValueError: Pillow cannot convert the image's mode (LAB for one).

    >>> to_rgb(Image.new("LA", (1, 1), (0, 51)))
    array([[[204, 204, 204]]], dtype=uint8)
    """
    image = _upright(image)
    match image.mode:
        case "I;16" | "I;16L" | "I;16B" | "I;16N":
            return _grey((np.asarray(image).astype(np.uint32) + 128) // 257)
        case "I":
            return _grey(_stretch(np.asarray(image).astype(np.float64)))
        case "F":
            values = np.asarray(image).astype(np.float64)
            unit = np.nanmin(values, initial=0) >= 0 and np.nanmax(values, initial=0) <= 1
            return _grey(_stretch(values * 255 if unit else values))
        case _ if image.has_transparency_data:
            white = Image.new("RGBA", image.size, "white")
            return np.array(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))
        case _:
            return np.array(image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    orientation = _orientation(image)
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(0x0112)
    except Exception:  # broken metadata in a sound picture: Pillow raises nearly anything
        return None


def _stretch(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    values = np.where(np.isfinite(values), values, low)
    if low >= 0 and high <= 255:
        return values
    return (values - low) * (255 / max(high - low, 1e-300))


def _grey(values: np.ndarray) -> Picture:
    return np.repeat(np.rint(values).astype(np.uint8)[:, :, None], 3, axis=2)


def find_images(pattern: Path | str) -> list[Path]:
    """The pictures that a file, a folder or a glob pattern names, in order of their names.

    A file is taken at its word. Of a folder (not of the folders in it) and of what a pattern matches, those files are
    taken that end like a picture (``IMAGE_SUFFIXES``) and are not hidden.

    Raises:
        UserError: there is no such file, the folder holds no picture, or nothing matches.
    """
    text = os.path.expanduser(pattern)
    if os.path.isfile(text):
        return [Path(text)]
    if os.path.isdir(text):
        found, mend = _list_folder(Path(text)), "the folder holds no picture (those in it are not searched)"
    elif glob.has_magic(text):
        found, mend = [Path(name) for name in glob.glob(text, recursive=True)], "no picture matches"
    else:
        raise UserError(f"{text}: there is no such file or folder; check the path")
    pictures = sorted(path for path in found if _is_picture(path))
    if not pictures:
        raise UserError(f"{text}: {mend}; its name must end in {', '.join(IMAGE_SUFFIXES)}")
    return pictures


def _list_folder(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise UserError(
            f"{folder}: the folder may not be read ({error.strerror}); give yourself the permission"
        ) from error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and os.path.isfile(path)


class Fitted(NamedTuple):
    """Pictures as the network takes them."""

    pixels: UInt8[np.ndarray, "images 3 height width"]
    """RGB, each picture in the top left corner of its plane, zero beyond it."""
    sizes: Int64[np.ndarray, "images 2"]
    """(height, width) of each picture before padding."""


class SoftInstances(NamedTuple):
    """The objects of one image as the network sees it, best first or not: ``RoIInstances`` without torch."""

    boxes: Float[np.ndarray, "instances 4"]
    """xyxy in input pixels, not clipped: the masks belong to these boxes."""
    scores: Float[np.ndarray, " instances"]
    box_scores: Float[np.ndarray, " instances"]
    labels: Int64[np.ndarray, " instances"]
    masks: Float[np.ndarray, "instances side side"]
    """Probabilities."""


def fit(images: Sequence[UInt8[np.ndarray, "_ _ 3"]], sizes: Sequence[Size], divisor: int = 32) -> Fitted:
    """Resize each picture to its size and put all on planes of one size, a multiple of ``divisor``.

    Shrinking averages over all pixels that fall together (Pillow's bilinear filter), so that nothing aliases; a picture
    that has its size already is not resampled.

    >>> fitted = fit([np.full((10, 20, 3), 7, dtype=np.uint8)], [Size(5, 10)])
    >>> fitted.pixels.shape, fitted.sizes.tolist(), int(fitted.pixels.sum())
    ((1, 3, 32, 32), [[5, 10]], 1050)
    """
    plane = pad_size([Size(1, 1), *sizes], divisor)
    pixels = np.zeros((len(images), 3, *plane), dtype=np.uint8)
    for target, image, size in zip(pixels, images, sizes, strict=True):
        target[:, : size.height, : size.width] = resize(image, size).transpose(2, 0, 1)
    return Fitted(pixels, np.array(sizes, dtype=np.int64).reshape(-1, 2))


def resize(image: Picture, size: Size) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """A picture as ``fit`` puts it on its plane."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size.width, size.height), Image.Resampling.BILINEAR))


def restore(
    found: SoftInstances,
    *,
    fitted: Size,
    original: Size,
    class_names: tuple[str, ...],
    category_ids: tuple[int, ...] = (),
    threshold: float = 0.5,
    fill_boxes: bool = False,
    file_name: str = "",
) -> Instances:
    """Bring what was found in the fitted picture back to the original one; the inverse of ``fit``.

    Each mask is pasted through its whole box, the part of the box inside the picture is what is reported; with
    ``fill_boxes`` masks reach to the edges of their boxes, see ``paste``. Objects whose box lies outside the picture,
    has no extent or is not finite are left out. One mask at a time is in memory.
    """
    scale = np.array([original.width / fitted.width, original.height / fitted.height] * 2)
    boxes = found.boxes.astype(np.float64) * scale
    clipped = boxes.clip(0, [original.width, original.height] * 2).astype(np.float32)
    inside = np.isfinite(boxes).all(axis=1) & (clipped[:, 2:] > clipped[:, :2]).all(axis=1)
    bitmaps = (
        mask_warp.paste(found.masks[i], boxes[i], original, threshold, fills_box=fill_boxes)
        for i in np.flatnonzero(inside)
    )
    return Instances(
        size=original,
        boxes=clipped[inside],
        scores=found.scores[inside].astype(np.float32),
        box_scores=found.box_scores[inside].astype(np.float32),
        labels=found.labels[inside],
        rle=tuple(mask_warp.to_rle(bitmap, original) for bitmap in bitmaps),
        categories=class_names,
        category_ids=category_ids,
        file_name=file_name,
    )
