"""The example that uses an exported file without this package."""

import runpy
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from centermask.images import read_image
from centermask.predict import Predictor
from centermask.size import Size
from tests.runtimes.made import write
from tests.runtimes.test_without_torch import OURS, python

EXAMPLE = Path(__file__).parents[2] / "examples" / "onnx_without_us.py"
RUN = """
import os
os.chdir(sys.argv.pop())
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its camera was held sideways."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 100, 3), dtype=np.uint8))
    image.getexif()[0x0112] = 6
    image.save(path, exif=image.getexif())
    return path


def test_it_runs_where_neither_we_nor_torch_can_be_imported(photo: Path, tmp_path: Path) -> None:
    model = write(tmp_path / "a.onnx")
    done = python(RUN, f"centermask,{OURS}", EXAMPLE, model, photo, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "bright 0.80 [25, 50, 50, 100]",
        "dark 0.60 [0, 50, 25, 100]",
        "bright 0.40 [25, 0, 50, 50]",
    ]
    before, after = (np.asarray(Image.open(path).convert("RGB")) for path in (photo, tmp_path / "photo_overlay.png"))
    changed = (np.rot90(before, -1) != after).any(axis=2)
    assert changed[55:95].mean() > 0.9
    assert changed[5:45, 30:45].mean() > 0.9
    assert not changed[:45, :20].any()


def picture(mode: str) -> Image.Image:
    """Noise, with half of it transparent where the mode can tell."""
    values = np.random.default_rng(1).integers(0, 256, (6, 9, 4), dtype=np.uint8)
    values[:3, :, 3] = 0
    image = Image.fromarray(values)
    return image.convert("RGB").quantize(16) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "changes"),
    [("RGB", {}), ("L", {}), ("P", {}), ("1", {}), ("RGBA", {}), ("LA", {}), ("P", {"transparency": 3}),
     ("L", {"transparency": 100})],
)  # fmt: skip
def test_it_reads_pictures_of_eight_bits_as_we_do(mode: str, changes: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture(mode).save(path, **changes)
    np.testing.assert_array_equal(np.asarray(runpy.run_path(str(EXAMPLE))["read"](path)), read_image(path))


@pytest.mark.parametrize(("mode", "name"), [("I;16", "a.png"), ("F", "a.tif")])
def test_it_refuses_in_words_what_it_would_read_otherwise_than_we(mode: str, name: str, tmp_path: Path) -> None:
    values = np.full((4, 4), 30000, dtype=np.uint16 if mode == "I;16" else np.float32)
    Image.fromarray(values).save(tmp_path / name)
    with pytest.raises(SystemExit, match=f"kind {mode} are not read here"):
        runpy.run_path(str(EXAMPLE))["read"](tmp_path / name)


@pytest.mark.parametrize("given", [[], ["a.onnx"], ["a.onnx", "b.png", "c.png"]])
def test_without_its_two_files_it_says_what_to_give(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["onnx_without_us.py", *given])
    with pytest.raises(SystemExit, match=r"give two files: .* model\.onnx photo\.jpg"):
        runpy.run_path(str(EXAMPLE), run_name="__main__")


@pytest.mark.parametrize("form", [{}, {"plane": Size(40, 72), "pixels": "float32"}])
def test_its_answers_agree_with_ours(form: dict[str, object], photo: Path, tmp_path: Path) -> None:
    model = write(tmp_path / "a.onnx", **form)
    image = Image.open(photo).transpose(Image.Transpose.ROTATE_270)
    found = runpy.run_path(str(EXAMPLE))["find"](onnxruntime.InferenceSession(model), image)
    wanted = Predictor(model)(photo)
    names, scores, boxes, masks = zip(*found, strict=True)
    assert names == wanted.class_names
    np.testing.assert_array_equal(scores, wanted.scores)
    np.testing.assert_allclose(boxes, wanted.boxes, atol=1e-3)
    assert np.shape(masks) == (3, 28, 28)
