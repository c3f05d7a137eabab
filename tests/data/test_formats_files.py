"""Files of a data folder: limits, and paths that lead out."""

import io
import os
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from centermask.data.formats import files
from centermask.data.formats.files import DataFolder, read_class_names, read_text, walk
from centermask.data.formats.index_pixels import encode_indices, paint, read_indices, split_indices
from centermask.errors import UserError
from centermask.images import read_image, read_size
from centermask.ops.mask_warp import Bitmap, from_rle
from centermask.size import Size
from tests.data.formats_by_hand import picture, text


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.bmp", "a.gif"])
@pytest.mark.parametrize("exif", [None, turned()])
def test_the_size_is_that_of_the_upright_picture(tmp_path: Path, name: str, exif: Image.Exif | None) -> None:
    path = picture(tmp_path / name, Size(20, 30), **({"exif": exif} if exif else {}))
    assert read_size(path) == read_image(path).shape[:2]
    if exif and not name.endswith(("bmp", "gif")):
        assert read_size(path) == Size(30, 20)


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    content = picture(tmp_path / "a.png", Size(20, 30), exif=turned()).read_bytes()
    start = content.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(content[start : start + 4], "big")
    end = content.index(b"IEND") - 4
    late = tmp_path / "late.png"
    late.write_bytes(content[:start] + content[stop:end] + content[start:stop] + content[end:])
    assert read_size(late) == read_image(late).shape[:2] == Size(30, 20)


def test_an_orientation_in_the_text_of_a_png_counts(tmp_path: Path) -> None:
    xmp, raw = PngImagePlugin.PngInfo(), PngImagePlugin.PngInfo()
    xmp.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    raw.add_text("Raw profile type exif", "\nexif\n  100\n" + turned().tobytes().hex())
    for info in (xmp, raw):
        path = picture(tmp_path / "a.png", Size(20, 30), pnginfo=info)
        assert read_size(path) == read_image(path).shape[:2] == Size(30, 20)


def test_the_size_needs_the_header_only(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", Size(200, 300))
    path.write_bytes(path.read_bytes()[:100])
    assert read_size(path) == Size(200, 300)


def test_what_is_no_picture_has_no_size(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no picture that can be read"):
        read_size(text(tmp_path / "a.jpg", "hello"))
    with pytest.raises(UserError, match="more than 500 pixels"):
        read_size(picture(tmp_path / "a.png"), max_pixels=500)


def test_paths_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    outside = picture(tmp_path / "outside.jpg")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link.jpg").symlink_to(outside)
    for path in ("../outside.jpg", "b/../../outside.jpg", str(outside), "link.jpg", "\0"):
        with pytest.raises(ValueError, match=r"leads out of|null"):
            folder.name(folder.path / path)


def test_paths_inside_have_their_plain_name(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert folder.name(tmp_path / "b" / ".." / "c.jpg") == "c.jpg"
    assert folder.name(tmp_path / "link" / "c.jpg") == "link/c.jpg"


def test_a_folder_known_by_a_link_holds_its_files(tmp_path: Path) -> None:
    picture(tmp_path / "real" / "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert DataFolder(tmp_path / "link").name(tmp_path / "link" / "a.jpg") == "a.jpg"


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("b.jpg", "A.JPG", "._b.jpg", "c/d.jpg", ".cache/e.jpg", "f.txt"):
        text(tmp_path / name, "")
    assert [os.path.relpath(path, tmp_path) for path in walk(tmp_path, (".jpg",))] == ["A.JPG", "b.jpg", "c/d.jpg"]


def test_text_has_limits(tmp_path: Path) -> None:
    assert read_text(text(tmp_path / "a", "\ufeffé")) == "é"
    (tmp_path / "b").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="byte 3 is no UTF-8 text"):
        read_text(tmp_path / "b")
    with pytest.raises(ValueError, match="more than 1 MiB"):
        read_text(text(tmp_path / "c", "x" * (2**20 + 1)), 2**20)
    with pytest.raises(ValueError, match="No such file"):
        read_text(tmp_path / "none")


def test_class_lists(tmp_path: Path) -> None:
    names = text(tmp_path / "labels.txt", "__ignore__\r\n_background_\r\ncat\r\n\r\nhot dog\r\n")
    assert read_class_names(names) == ["cat", "hot dog"]
    for content in ("", "_background_\n", "cat\ncat\n"):
        with pytest.raises(UserError, match=r"labels\.txt: expected class names"):
            read_class_names(text(tmp_path / "labels.txt", content))


# --- PNGs of numbers ---


def test_indices_are_read_as_they_are(tmp_path: Path) -> None:
    values = np.array([[0, 1, 2], [254, 255, 7]], dtype=np.uint8)
    palette = Image.fromarray(values)
    palette.putpalette(bytes(range(256)) * 3)
    for image in (Image.fromarray(values), palette):
        image.save(tmp_path / "a.png")
        assert np.array_equal(read_indices(tmp_path / "a.png", Size(2, 3)), values)
    wide = values.astype(np.uint16) * 257
    Image.fromarray(wide).save(tmp_path / "a.png")
    assert np.array_equal(read_indices(tmp_path / "a.png", Size(2, 3)), wide)
    Image.fromarray(values > 100).save(tmp_path / "a.png")
    assert np.array_equal(read_indices(tmp_path / "a.png", Size(2, 3)), values > 100)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_of_few_bits_is_not_stretched(bits: int) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    header = (4).to_bytes(4) + (1).to_bytes(4) + bytes([bits, 0, 0, 0, 0])
    row = {2: bytes([0b00011011]), 4: bytes([0x01, 0x23])}[bits]
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    assert read_indices(io.BytesIO(content), Size(1, 4)).tolist() == [[0, 1, 2, 3]]


def test_colours_other_sizes_and_broken_files_are_refused(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", Size(2, 3))
    with pytest.raises(ValueError, match="it holds colours"):
        read_indices(path, Size(2, 3))
    with pytest.raises(ValueError, match=r"it is 2 × 3 \(height × width\), expected 3 × 2"):
        read_indices(path, Size(3, 2))
    with pytest.raises(ValueError, match="no such file"):
        read_indices(tmp_path / "none.png", Size(3, 2))
    Image.fromarray(np.arange(10000, dtype=np.uint16).reshape(100, 100)).save(path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match="no sound PNG"):
        read_indices(path, Size(100, 100))


def test_a_bomb_is_seen_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Image.Image) -> None:
        raise AssertionError("decoded")

    path = picture(tmp_path / "a.png", Size(2, 3))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", refuse)
    with pytest.raises(ValueError, match="expected 1 × 1"):
        read_indices(path, Size(1, 1))


def test_each_number_becomes_its_mask() -> None:
    # 1 1 0
    # 2 1 255
    found = list(split_indices(np.array([[1, 1, 0], [2, 1, 255]], dtype=np.uint8), nothing=(0, 255)))
    assert [one.number for one in found] == [1, 2]
    masks = [from_rle(one.code) for one in found]
    assert masks[0].pixels.tolist() == [[True, True], [False, True]]
    assert masks[1] == (np.ones((1, 1)), 0, 1)


def test_nothing_has_no_masks() -> None:
    assert list(split_indices(np.zeros((3, 4), dtype=np.uint8), nothing=(0,))) == []


def test_many_objects_are_never_planes() -> None:
    side, cell = 600, 20
    numbers = (np.arange(side)[:, None] // cell * (side // cell) + np.arange(side) // cell + 1).astype(np.uint16)
    tracemalloc.start()
    found = list(split_indices(numbers, nothing=(0,)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == (side // cell) ** 2
    assert peak < len(found) * side * side / 20  # planes of bytes would take 324 MB


@pytest.mark.parametrize("count", [3, 300])
def test_painted_masks_come_back(count: int) -> None:
    size = Size(40, 50)
    masks = [Bitmap(np.ones((1, 1), dtype=bool), i % 50, i // 50 * 2) for i in range(count)]
    numbers = paint(masks, range(1, count + 1), size)
    read = read_indices(io.BytesIO(encode_indices(numbers, largest=count)), size)
    assert read.dtype == (np.uint8 if count < 255 else np.uint16)
    found = list(split_indices(read, nothing=(0,)))
    assert [one.number for one in found] == list(range(1, count + 1))
    assert all(from_rle(one.code)[1:] == mask[1:] for one, mask in zip(found, masks, strict=True))


def test_the_smaller_object_lies_on_top() -> None:
    large, small = Bitmap(np.ones((4, 4), dtype=bool), 0, 0), Bitmap(np.ones((2, 2), dtype=bool), 1, 1)
    assert np.bincount(paint([large, small], [1, 2], Size(4, 4)).ravel()).tolist() == [0, 12, 4]
    assert np.bincount(paint([small, large], [1, 2], Size(4, 4)).ravel()).tolist() == [0, 4, 12]


def test_limits_are_what_the_documents_say() -> None:
    assert (files.MAX_TEXT_BYTES, files.MAX_VERTICES) == (64 * 2**20, 100_000)
