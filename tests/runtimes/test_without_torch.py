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
