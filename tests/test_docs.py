"""What the documents say holds: file tree, links, names of functions, floors, commands, and the README's Python."""

import ast
import configparser
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest

from centermask.bundled import BUNDLED
from centermask.cli import Command, parse
from centermask.config import TrainConfig

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "centermask"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return [body for name, body in FENCE.findall(document.read_text()) if name == language]


def prose(document: Path) -> str:
    """A document without its fenced blocks."""
    return FENCE.sub("", document.read_text())


def tree() -> Iterator[Path]:
    """The files and folders that the README's tree names, folders before what they hold."""
    (drawn,) = [block for block in blocks(ROOT / "README.md", "text") if "pyproject.toml" in block]
    above: list[str] = []
    for line in drawn.splitlines():
        branch, name = re.fullmatch(r"((?:│   |    )*)[├└]── (\S+)(?:  .*)?", line).groups()
        above = [*above[: len(branch) // 4], name.rstrip("/")]
        path = Path(*above)
        assert (ROOT / path).is_dir() == name.endswith("/") or not (ROOT / path).exists(), f"{path}: folders end in /"
        yield path


def holds_only_a_docstring(path: Path) -> bool:
    return path.name == "__init__.py" and len(ast.parse(path.read_text()).body) <= 1


def test_file_tree_names_what_exists() -> None:
    missing = [str(path) for path in tree() if not (ROOT / path).exists()]
    assert not missing


def test_file_tree_names_each_file_of_the_package() -> None:
    named = {path for path in tree() if (ROOT / path).is_file() and PACKAGE in (ROOT / path).parents}
    existing = {
        path.relative_to(ROOT)
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not holds_only_a_docstring(path)
    }
    assert named == existing


@pytest.mark.parametrize("folder", ["examples", "docs/how-to", "docs/images", "benchmarks/versus"])
def test_file_tree_names_each_file_of_a_folder(folder: str) -> None:
    named = {path for path in tree() if path.parent == Path(folder) and (ROOT / path).is_file()}
    assert named == {path.relative_to(ROOT) for path in (ROOT / folder).iterdir() if path.is_file()}


@every_document
def test_relative_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(document))
    relative = [target.partition("#")[0] for target in targets if "://" not in target]
    missing = [target for target in relative if target and not (document.parent / target).exists()]
    assert not missing


@every_document
def test_links_to_headings_lead_somewhere(document: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)\s:]*)#([^)\s]+)\)", prose(document)):
        text = (document.parent / target if target else document).read_text()
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert heading in [re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in headings]


@every_document
def test_named_files_and_functions_exist(document: Path) -> None:
    for path, name in re.findall(r"`((?:\w+/)*\w+\.py)::(\w+)", prose(document)):
        assert re.search(rf"^(?:def|class) {name}\b|^{name}\b.*=", (PACKAGE / path).read_text(), re.MULTILINE), name


def test_tour_opens_files_that_exist() -> None:
    named = re.findall(r"`((?:\w+/)*\w+\.py)", (ROOT / "docs" / "tour.md").read_text())
    assert named
    assert [path for path in named if not (PACKAGE / path).is_file()] == []


def test_tour_draws_the_floors_that_are_checked() -> None:
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter")
    contracts = [rules[section] for section in rules.sections() if "layers" in rules[section]]
    checked = [[one["containers"].strip(), *one["layers"].strip().splitlines()] for one in contracts]
    drawn = [[line.strip() for line in block.splitlines()] for block in blocks(ROOT / "docs" / "tour.md", "text")]
    assert drawn == checked


def commands(document: Path) -> list[list[str]]:
    """The arguments of each ``centermask`` command line in a document's shell blocks."""
    lines = "\n".join(blocks(document, "sh")).replace("\\\n", " ").splitlines()
    words = [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
    return [one[1:] for one in words if one[:1] == ["centermask"]]


@every_document
def test_commands_are_understood(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for body in blocks(document, "yaml"):  # a settings file, named by its first line
        (tmp_path / body.splitlines()[0].removeprefix("# ")).write_text(body)
    monkeypatch.chdir(tmp_path)
    for arguments in commands(document):
        assert is_dataclass(parse(arguments))


def test_the_main_documents_hold_commands() -> None:
    assert {arguments[0] for arguments in commands(ROOT / "README.md")} >= {"train", "evaluate", "predict", "demo"}
    assert commands(ROOT / "docs" / "how-to" / "train-your-own.md")
    for name in BUNDLED:
        assert commands(ROOT / "docs" / f"model-card-{name}.md")


@every_document
def test_flags_in_the_text_exist(document: Path) -> None:
    kinds = [TrainConfig, *(get_args(annotated)[0] for annotated in get_args(Command))]
    known = {field.name for kind in kinds for field in fields(kind)} | {"help"}
    named = re.findall(r"`(?:centermask [\w-]+ |[a-z]+ )?--([\w-]+)", prose(document))
    assert [flag for flag in named if flag.removeprefix("no-").replace("-", "_") not in known] == []


def test_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    shutil.copyfile(str(files("skimage.data") / "chelsea.png"), tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "<python of README.md>", "exec"), {})
    assert "cat 0." in capsys.readouterr().out
