"""An exported file needs no torch, which is proved where importing it raises; and it needs no network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.runtimes.made import write

FORBIDDEN = """
import importlib.abc
import runpy
import sys


FORBIDDEN = sys.argv.pop(1).split(",")


class Forbidding(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is not there")


sys.meta_path.insert(0, Forbidding())
for name in FORBIDDEN:
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} can be imported")
"""
PREDICT = """
from centermask import Predictor
from centermask.images import read_image

picture = read_image(sys.argv[2])
instances = Predictor(sys.argv[1])(picture)
assert instances.overlay(picture).shape == picture.shape
assert instances.masks.shape == (3, *picture.shape[:2])
print(instances)
"""
COMMAND = """
runpy.run_module("centermask", run_name="__main__")
"""
OURS = "torch,torchvision,timm,accelerate"


def python(code: str, forbidden: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", FORBIDDEN + code, forbidden, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.full((50, 100, 3), 51, dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("kind", [".onnx", ".xml"])
def test_a_predictor_works_where_torch_cannot_be_imported(kind: str, photo: Path, tmp_path: Path) -> None:
    done = python(PREDICT, OURS, write(tmp_path / f"a{kind}"), photo)
    assert done.returncode == 0, done.stderr
    assert "3" in done.stdout


@pytest.mark.parametrize("kind", [".onnx", ".xml"])
def test_the_command_line_works_where_torch_cannot_be_imported(kind: str, photo: Path, tmp_path: Path) -> None:
    done = python(COMMAND, OURS, "predict", photo, "--weights", write(tmp_path / f"a{kind}"),
                  "--json", tmp_path / "a.json", "--out", tmp_path / "out")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{photo}: 3 found" in done.stdout
    assert [len(record["instances"]) for record in json.loads((tmp_path / "a.json").read_text())] == [3]
    assert (tmp_path / "out" / "photo.png").is_file()


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture whose right lower quarter is an object, which the network by hand finds."""
    folder = tmp_path_factory.mktemp("annotated")
    for name in ("val", "annotations"):
        (folder / name).mkdir()
    Image.fromarray(np.full((50, 100, 3), 51, dtype=np.uint8)).save(folder / "val" / "a.png")
    quarter = {"id": 1, "image_id": 1, "category_id": 9, "bbox": [50, 25, 50, 25], "area": 1250, "iscrowd": 0,
               "segmentation": [[50, 25, 100, 25, 100, 50, 50, 50]]}  # fmt: skip
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "height": 50, "width": 100}],
        "categories": [{"id": 9, "name": "bright"}],
        "annotations": [quarter],
    }
    (folder / "annotations" / "instances_val.json").write_text(json.dumps(truth))
    return folder


@pytest.mark.parametrize("kind", [".onnx", ".xml"])
def test_a_file_is_evaluated_where_torch_cannot_be_imported(kind: str, annotated: Path, tmp_path: Path) -> None:
    done = python(COMMAND, OURS, "evaluate", write(tmp_path / f"a{kind}"), annotated,
                  "--json", tmp_path / "a.json", "--html", tmp_path / "a.html")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 images, 1 instances" in done.stdout
    assert json.loads((tmp_path / "a.json").read_text())["box"]["ap"] == pytest.approx(1)
    assert (tmp_path / "a.html").is_file()


def test_two_files_are_compared_where_torch_cannot_be_imported(annotated: Path, tmp_path: Path) -> None:
    a, b = (write(tmp_path / f"a{kind}") for kind in (".onnx", ".xml"))
    done = python(COMMAND, OURS, "compare", a, b, "--data", annotated, "--resamples", "2",
                  "--html", tmp_path / "a.html")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mask AP" in done.stdout
    assert (tmp_path / "a.html").is_file()


def test_an_evaluation_that_could_not_be_written_is_refused_at_once(annotated: Path, tmp_path: Path) -> None:
    model = write(tmp_path / "a.onnx")
    done = python(COMMAND, OURS, "evaluate", model, annotated, "--json", model / "a.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "a.json: cannot be written" in done.stderr


def test_the_doctor_says_that_torch_cannot_be_imported() -> None:
    done = python(COMMAND, OURS, "doctor")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("| import torch |")]
    assert "torch is not there" in line
    assert "exported .onnx and .xml files can" in line
    assert all(line.count("|") == 3 for line in done.stdout.splitlines())


@pytest.mark.parametrize(("kind", "engine"), [(".onnx", "onnxruntime"), (".xml", "openvino")])
def test_a_missing_engine_is_named_with_its_mend(kind: str, engine: str, photo: Path, tmp_path: Path) -> None:
    done = python(COMMAND, engine, "predict", photo, "--weights", write(tmp_path / f"a{kind}"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"a{kind}: needs {engine}" in line
    assert "pip install 'centermask[export]'" in line


QUIET = """
import sys
from pathlib import Path

from centermask.runtimes.openvino import OpenVinoRuntime

OpenVinoRuntime(sys.argv[1])
from openvino.tools.ovc import telemetry  # what tells OpenVINO's makers that it was imported

print("openvino_telemetry" in sys.modules, type(telemetry).__module__, [path.name for path in Path.home().iterdir()])
"""


def test_openvino_is_kept_from_reporting_to_its_makers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "USERPROFILE": str(home)}
    # It keeps quiet in CI by itself, which would prove nothing.
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    words = [sys.executable, "-c", QUIET, str(write(tmp_path / "a.xml"))]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment | places)
    assert done.stdout.split(maxsplit=2) == ["False", "openvino.tools.ovc.telemetry_stub", "[]\n"], done.stderr
