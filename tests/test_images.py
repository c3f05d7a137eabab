"""Files of every kind become RGB or one clear sentence; fit and restore are inverses."""

import contextlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from centermask.errors import UserError
from centermask.images import (
    Fitted,
    LargePictureError,
    SoftInstances,
    UnknownPictureError,
    decode_image,
    find_images,
    fit,
    read_image,
    restore,
    to_rgb,
)
from centermask.ops import mask_warp
from centermask.ops.mask_crop import crop_masks
from centermask.ops.mask_warp import Bitmap
from centermask.size import Size

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOURS = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=2)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def soft(boxes: list[list[float]], masks: np.ndarray | None = None) -> SoftInstances:
    count = len(boxes)
    return SoftInstances(
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        scores=np.full(count, 0.5, dtype=np.float32),
        box_scores=np.full(count, 0.75, dtype=np.float32),
        labels=np.zeros(count, dtype=np.int64),
        masks=np.ones((count, 28, 28), dtype=np.float32) if masks is None else masks,
    )


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "A.TIFF"])
def test_lossless_files_are_read_exactly(tmp_path: Path, name: str) -> None:
    np.testing.assert_array_equal(read_image(saved(tmp_path, Image.fromarray(COLOURS), name)), COLOURS)


def test_lossless_webp_is_read_exactly(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(COLOURS), "a.webp", lossless=True)
    np.testing.assert_array_equal(read_image(str(path)), COLOURS)


def test_jpeg_is_read_nearly(tmp_path: Path) -> None:
    plain = np.full((16, 16, 3), [200, 100, 50], dtype=np.uint8)
    read = read_image(saved(tmp_path, Image.fromarray(plain), "a.jpg", quality=95))
    assert np.abs(read.astype(int) - plain).max() <= 3


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, lambda image: image),
        (2, lambda image: image[:, ::-1]),
        (3, lambda image: image[::-1, ::-1]),
        (4, lambda image: image[::-1]),
        (5, lambda image: image.transpose(1, 0, 2)),
        (6, lambda image: np.rot90(image, 1)),
        (7, lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
        (8, lambda image: np.rot90(image, -1)),
    ],
)
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int, stored: object) -> None:
    upright = np.zeros((16, 32, 3), dtype=np.uint8)
    upright[:8, :8] = 255
    upright[8:, 24:] = 100
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored(upright)))
    read = read_image(saved(tmp_path, image, f"a.{suffix}", exif=exif))
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).max() <= 40  # JPEG and WebP are lossy; a wrong turn is off by 255


def test_broken_exif_does_not_spoil_a_sound_picture(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(COLOURS), "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(read_image(path), COLOURS)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_grey_of_16_bits_is_divided_by_257(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 257, 128 * 257], [65535, 128, 129]], dtype=np.uint16)
    read = read_image(saved(tmp_path, Image.fromarray(values), name))
    np.testing.assert_array_equal(read, grey(np.array([[0, 1, 128], [255, 0, 1]], dtype=np.uint8)))


def test_big_endian_grey_of_16_bits(tmp_path: Path) -> None:
    image = Image.frombytes("I;16B", (2, 1), b"\x80\x80\xff\xff")
    np.testing.assert_array_equal(to_rgb(image), grey(np.array([[128, 255]], dtype=np.uint8)))


def test_colour_png_of_16_bits_is_not_clipped(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">6H", 0, 257 * 100, 65535, 257 * 7, 257 * 200, 257 * 255)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    assert read_image(tmp_path / "a.png").tolist() == [[[0, 100, 255], [7, 200, 255]]]


def test_colour_tiff_of_16_bits_is_not_clipped(tmp_path: Path) -> None:
    pixels = struct.pack("<3H", 0, 257 * 100, 65535)
    tags = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 210)]
    tags += [(277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 1, 6)]
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    data = data.ljust(200, b"\0") + struct.pack("<3H", 16, 16, 16) + b"\0" * 4 + pixels
    (tmp_path / "a.tif").write_bytes(data)
    assert read_image(tmp_path / "a.tif").tolist() == [[[0, 100, 255]]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 100, 255]], dtype=np.int32), [0, 100, 255]),
        (np.array([[0, 2000, 4000]], dtype=np.int32), [0, 128, 255]),
        (np.array([[-10, 0, 10]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0.0, 0.2, 1.0]], dtype=np.float32), [0, 51, 255]),
        (np.array([[0.0, 2.4, 255.0]], dtype=np.float32), [0, 2, 255]),
        (np.array([[-1.0, 0.0, 1.0]], dtype=np.float32), [0, 128, 255]),
        (np.array([[np.nan, 300.0, np.inf, 0.0]], dtype=np.float32), [0, 255, 0, 0]),
        (np.array([[np.nan, np.nan]], dtype=np.float32), [0, 0]),
        (np.array([[np.nan, 0.2, 1.0]], dtype=np.float32), [51, 51, 255]),
        (np.array([[1e6, 1e6]], dtype=np.float32), [0, 0]),
    ],
)
def test_grey_of_32_bits_is_kept_or_stretched(tmp_path: Path, values: np.ndarray, expected: list[int]) -> None:
    read = read_image(saved(tmp_path, Image.fromarray(values), "a.tif"))
    assert read[0, :, 0].tolist() == expected


def test_grey_palette_and_one_bit_become_rgb(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(saved(tmp_path, Image.fromarray(RAMP), "l.png")), grey(RAMP))
    bits = Image.fromarray(RAMP).convert("1", dither=Image.Dither.NONE)
    read = read_image(saved(tmp_path, bits, "b.png"))
    np.testing.assert_array_equal(read, grey(np.where(RAMP >= 128, 255, 0).astype(np.uint8)))
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert read_image(saved(tmp_path, palette, "p.png")).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert read_image(saved(tmp_path, palette, "t.png", transparency=1)).tolist() == [[[10, 20, 30], [255] * 3]]
    assert read_image(saved(tmp_path, palette, "g.gif", transparency=1)).tolist() == [[[10, 20, 30], [255] * 3]]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_transparent_pixels_lie_over_white(tmp_path: Path, name: str) -> None:
    image = Image.new("RGBA", (3, 1))
    for x, pixel in enumerate([(10, 20, 30, 255), (10, 20, 30, 0), (0, 0, 0, 51)]):
        image.putpixel((x, 0), pixel)
    assert read_image(saved(tmp_path, image, name)).tolist() == [[[10, 20, 30], [255] * 3, [204] * 3]]
    alpha = Image.new("LA", (1, 1), (0, 51))
    assert read_image(saved(tmp_path, alpha, name)).tolist() == [[[204] * 3]]


def test_cmyk_becomes_rgb_also_when_adobe_inverted_it(tmp_path: Path) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    for name in ("a.jpg", "a.tif"):  # Pillow writes CMYK JPEGs as Adobe does, inverted
        read = read_image(saved(tmp_path, image, name)).astype(int)
        assert np.abs(read - [255, 0, 0]).max() <= 6


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.webp", "a.png", "a.mpo"])
def test_the_first_of_several_frames_is_taken(tmp_path: Path, name: str) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    path = saved(tmp_path, first, name, save_all=True, append_images=[second])
    assert np.abs(read_image(path).astype(int) - [255, 0, 0]).max() <= 3


def refused(path: Path, **options: int) -> str:
    with pytest.raises(UserError) as caught:
        read_image(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


def test_what_is_no_picture_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    assert "no such file" in refused(tmp_path / "missing.jpg")
    assert "folder" in refused(tmp_path)
    assert "empty" in refused(tmp_path / "empty.jpg")
    assert "no picture" in refused(tmp_path / "text.jpg")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(COLOURS), "a.png")
    path.chmod(0)
    assert "permission" in refused(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "gif"])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert any(word in refused(path) for word in ("cut off", "no picture"))


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("1", (20000, 20000)), "bomb.png")
    assert "178956970 pixels" in refused(path)
    small = saved(tmp_path, Image.fromarray(COLOURS), "a.png")
    assert "11 pixels" in refused(small, max_pixels=11)
    assert read_image(small, max_pixels=12).shape == (3, 4, 3)


def test_a_picture_between_pillows_two_limits_gives_no_warning(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("1", (12000, 8000)), "big.png")
    assert "1000 pixels" in refused(path, max_pixels=1000)  # opened, hence past Pillow's warning, not decoded


def test_bytes_are_read_like_the_file_that_holds_them(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(COLOURS), "a.png")
    np.testing.assert_array_equal(decode_image(path.read_bytes()), read_image(path))


def test_bytes_are_refused_by_kind_under_the_name_they_are_given(tmp_path: Path) -> None:
    whole = saved(tmp_path, Image.fromarray(COLOURS), "a.png").read_bytes()
    with pytest.raises(UnknownPictureError, match=r"^the upload: this is no picture"):
        decode_image(b"not a picture", name="the upload")
    with pytest.raises(UnknownPictureError, match=r"^the picture: "):
        decode_image(b"")
    with pytest.raises(LargePictureError, match="11 pixels"):
        decode_image(whole, max_pixels=11)
    with pytest.raises(UserError, match="cut off"):
        decode_image(whole[:50])


def encoded(kind: str) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format=kind)
    return file.getvalue()


GOOD = {kind: encoded(kind) for kind in ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")}
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        assert read_image(path, max_pixels=1_000_000).dtype == np.uint8


@QUICK
@given(data=st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_user_errors(tmp_path: Path, data: bytes) -> None:
    read_or_refuse(tmp_path / "a.jpg", data)


@QUICK
@given(
    kind=st.sampled_from(sorted(GOOD)),
    cut=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
)
def test_mutilated_pictures_raise_nothing_but_user_errors(
    tmp_path: Path, kind: str, cut: float, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(GOOD[kind])
    for place, value in changes:
        data[int(place**2 * len(data))] = value  # more in the head, where it hurts
    read_or_refuse(tmp_path / "a.jpg", bytes(data[: int((1 - cut**3) * len(data))]))


def test_find_images_takes_file_folder_and_pattern(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.jpg", "odd[1].jpg"):
        (tmp_path / name).touch()
    (tmp_path / "deep.jpg").mkdir()
    (tmp_path / "deep.jpg" / "c.jpg").touch()
    folder = [tmp_path / "a.PNG", tmp_path / "b.jpg", tmp_path / "odd[1].jpg"]
    assert find_images(tmp_path) == folder
    assert find_images(str(tmp_path / "*")) == folder
    assert find_images(str(tmp_path / "**" / "*.jpg")) == [folder[1], tmp_path / "deep.jpg" / "c.jpg", folder[2]]
    assert find_images(tmp_path / "odd[1].jpg") == [tmp_path / "odd[1].jpg"]
    assert find_images(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_find_images_refuses_nothing_found(tmp_path: Path) -> None:
    for pattern, reason in (("", "no picture"), ("*.jpg", "no picture matches"), ("a.jpg", "no such file")):
        with pytest.raises(UserError, match=reason):
            find_images(tmp_path / pattern)


def test_fit_puts_pictures_into_the_corner_of_a_common_plane() -> None:
    red, noise = np.zeros((10, 20, 3), dtype=np.uint8), np.random.default_rng(0).integers(0, 256, (33, 5, 3), np.uint8)
    red[:, :, 0] = 200
    pixels, sizes = fit([red, noise], [Size(20, 40), Size(33, 5)])
    assert pixels.shape == (2, 3, 64, 64)
    assert sizes.tolist() == [[20, 40], [33, 5]]
    np.testing.assert_array_equal(pixels[1, :, :33, :5], noise.transpose(2, 0, 1))
    assert (pixels[0, 0, :20, :40] == 200).all()
    assert int(pixels[0].sum()) == 200 * 20 * 40
    assert not pixels[1, :, 33:].any()
    assert not pixels[1, :, :, 5:].any()


def test_fit_averages_when_it_shrinks() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    inner = fit([stripes], [Size(16, 16)], divisor=1).pixels[0, :, 2:-2, 2:-2]
    assert np.abs(inner.astype(int) - 128).max() <= 16


def test_fit_of_nothing_is_empty() -> None:
    fitted: Fitted = fit([], [])
    assert fitted.pixels.shape[0] == 0
    assert fitted.sizes.shape == (0, 2)


def test_restore_scales_each_axis_by_its_own_factor() -> None:
    found = restore(soft([[2, 3, 10, 6]]), fitted=Size(10, 20), original=Size(40, 40), class_names=("a",))
    assert found.boxes.tolist() == [[4, 12, 20, 24]]
    assert mask_warp.bounds(mask_warp.from_rle(found.rle[0])).tolist() == [4, 12, 20, 24]
    assert found.scores.tolist() == [0.5]
    assert found.box_scores.tolist() == [0.75]


def test_a_mask_is_pasted_through_the_whole_box_and_the_box_is_clipped() -> None:
    # The box reaches 14 pixels over the left border: only the right half of the mask is in the picture, a cell a pixel.
    mask = np.zeros((1, 28, 28), dtype=np.float32)
    mask[0, :, :7] = mask[0, :, 14:21] = 1
    found = restore(soft([[-14, 0, 14, 28]], mask), fitted=Size(28, 28), original=Size(28, 28), class_names=("a",))
    assert found.boxes.tolist() == [[0, 0, 14, 28]]
    expected = np.zeros((28, 28), dtype=bool)
    expected[:, :7] = True
    np.testing.assert_array_equal(found.masks[0], expected)


def test_objects_outside_the_picture_or_without_extent_are_left_out() -> None:
    boxes = [
        [0, 0, 4, 4],
        [-9, 0, -1, 4],
        [0, 12, 4, 20],
        [3, 3, 3, 8],
        [5, 5, 4, 8],
        [0, 0, np.nan, 4],
        [0, 0, np.inf, 4],
    ]
    found = restore(soft(boxes), fitted=Size(10, 10), original=Size(10, 10), class_names=("a",))
    assert found.boxes.tolist() == [[0, 0, 4, 4]]


def test_restore_of_nothing_is_empty() -> None:
    found = restore(soft([]), fitted=Size(10, 10), original=Size(20, 20), class_names=("a",))
    assert len(found) == 0
    assert found.masks.shape == (0, 20, 20)


@settings(max_examples=25, deadline=None)
@given(
    original=st.tuples(st.integers(40, 200), st.integers(40, 200)),
    fitted=st.tuples(st.integers(40, 200), st.integers(40, 200)),
    corner=st.tuples(st.floats(-0.2, 0.6), st.floats(-0.2, 0.6)),
    extent=st.tuples(st.floats(0.25, 0.7), st.floats(0.25, 0.7)),
)
def test_fit_and_restore_are_inverses(
    original: tuple[int, int], fitted: tuple[int, int], corner: tuple[float, float], extent: tuple[float, float]
) -> None:
    """An ellipse drawn in the original, cropped as the fitted picture shows it, comes back to where it was."""
    before, seen = Size(*original), Size(*fitted)
    y, x = np.mgrid[: before.height, : before.width] + 0.5
    shares = np.array([corner[0], corner[1], corner[0] + extent[0], corner[1] + extent[1]])
    left, top, right, bottom = shares * np.array([before.width, before.height] * 2)
    ellipse = ((2 * x - left - right) / (right - left)) ** 2 + ((2 * y - top - bottom) / (bottom - top)) ** 2 <= 1
    in_fitted = shares * np.array([seen.width, seen.height] * 2)
    moved = mask_warp.move(
        Bitmap(ellipse, 0, 0), (seen.width / before.width, seen.height / before.height), (0.0, 0.0), seen
    )
    masks = crop_masks([moved], np.array([0]), in_fitted[None], 28).grids.astype(np.float32)
    found = restore(soft([in_fitted.tolist()], masks), fitted=seen, original=before, class_names=("a",))
    back = found.masks[0] if len(found) else np.zeros_like(ellipse)
    overlap = (back & ellipse).sum() / max((back | ellipse).sum(), 1)
    assert overlap > 0.8 or ellipse.sum() < 200
