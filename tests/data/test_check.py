"""The check of a data set: a corpus of broken ones, each with one fault, and a sound one."""

import faulthandler
import hashlib
import os
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from centermask.data.check import CheckReport, check_data
from centermask.data.check.kinds import KINDS
from centermask.data.sources import open_data
from centermask.errors import UserError
from tests.data.faults import CONSEQUENCES, FAULTS, sound

SECONDS = 20
"""What hangs is told with a traceback, and ends the tests: nothing else can end a loop in C."""


@pytest.fixture(autouse=True)
def _limit_time() -> Iterator[None]:
    faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


def spoilt(name: str, folder: Path) -> Path:
    """A set with the fault of that name."""
    one = sound(folder / "set")
    FAULTS[name][0](one)
    one.save()
    return one.folder


def kinds(report: CheckReport) -> dict[str, int]:
    return {group.kind: group.count for group in report.groups}


def test_a_sound_set_has_no_finding(tmp_path: Path) -> None:
    sound(tmp_path / "set").save()
    report = check_data(str(tmp_path / "set"))
    assert kinds(report) == {}
    assert not report.harmful


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_for_what_it_is(tmp_path: Path, name: str) -> None:
    _, kind, severity = FAULTS[name]
    report = check_data(str(spoilt(name, tmp_path)))
    found = kinds(report)
    assert kind in found
    assert KINDS[kind].severity == severity
    assert set(found) <= {kind} | CONSEQUENCES.get(name, set())
    assert report.harmful == (severity == "error")


def test_the_corpus_has_every_kind() -> None:
    assert {kind for _, kind, _ in FAULTS.values()} == set(KINDS)
    assert len(FAULTS) >= 40


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_loader_refuses_is_an_error(tmp_path: Path, name: str) -> None:
    folder = spoilt(name, tmp_path)
    try:
        split = open_data(str(folder))
    except UserError:
        assert FAULTS[name][2] == "error"
    else:
        assert split.train is not None


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file with its bytes and the time of its last change."""
    paths = sorted(Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in paths}


def test_nothing_in_the_folder_changes(tmp_path: Path) -> None:
    folder = spoilt("look-alike in val", tmp_path)
    before = fingerprint(folder)
    check_data(str(folder), workers=1)
    assert fingerprint(folder) == before


GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "your-own-data.md"


def test_the_guide_explains_every_kind_with_its_severity() -> None:
    tables = GUIDE.read_text(encoding="utf-8").split("| finding | severity |")[1:]
    lines = [line for table in tables for line in takewhile(lambda line: line.startswith("|"), table.splitlines()[1:])]
    rows = [line.split("|")[1:3] for line in lines if line.startswith("| `")]
    said = {name.strip("` "): severity.strip() for names, severity in rows for name in names.split(",")}
    assert said == {kind: value.severity for kind, value in KINDS.items()}
