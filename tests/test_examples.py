"""The examples run one after the other, as a user would run them; the notebook from its first cell to its last."""

import runpy
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from centermask.demo import demo_pictures
from centermask.images import read_size
from tests.runtimes.made import write

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = {
    "IMAGES, EPOCHS, SIDE = 150, 6, 224": "IMAGES, EPOCHS, SIDE = 15, 1, 64",
    'Path("runs/stones.onnx"))': 'Path("runs/stones.onnx"), dynamic=False, size=(64, 64))',
}
"""What is changed in the notebook so that it takes seconds."""


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the second example has trained."""
    path = tmp_path_factory.mktemp("examples") / "gems"
    assert "mask AP" in run("2_train_on_gems.py", path)
    return path


@pytest.mark.slow
def test_what_one_example_trains_the_next_one_scores(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "mistakes.html"
    shown = run("3_look_at_mistakes.py", folder / "last.safetensors", "gems:images=10,size=96", page)
    assert "missed: " in shown
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_first_example_writes_an_overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, cat = demo_pictures(tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "1_predict.py"))["main"](cat)
    assert read_size("chelsea_overlay.png") == read_size(cat)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_cell_of_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / "stones.ipynb", as_version=4)
    assert all(sum(large in cell.source for cell in notebook.cells) == 1 for large in SMALL)
    for cell in notebook.cells:
        for large, small in SMALL.items():
            cell.source = cell.source.replace(large, small)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", ()) for output in shown) == 3  # a picture and two overlays
    assert any("text/html" in output.get("data", ()) for output in shown)  # the instances show themselves
    assert (tmp_path / "runs" / "stones.onnx").is_file()


def test_the_fourth_example_serves_a_file_and_asks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "model.onnx")  # what it would export takes a minute; the notebook exports
    Image.new("RGB", (50, 40)).save("photo.png")
    shown = run("4_export_and_serve.py", "photo.png")
    assert [line.split(" ")[0] for line in shown.splitlines()[:3]] == ["bright", "dark", "bright"]
    assert "centermask serve model.onnx" in shown
