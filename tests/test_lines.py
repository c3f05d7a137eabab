"""JSON lines that grow: nothing that is there is lost, and what was broken off is cut away."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centermask.errors import UserError
from centermask.lines import encode_line, open_lines


def record(name: str) -> dict[str, object]:
    return {"file_name": name, "instances": []}


def test_a_record_is_there_before_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    with open_lines(path) as lines:
        lines.append(record("a"))
        assert json.loads(path.read_text()) == record("a")
    assert path.read_bytes() == encode_line(record("a"))


def test_what_is_there_stays_unless_it_shall_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(encode_line(record("a")))
    with pytest.raises(UserError, match=r"a\.jsonl: is there already"), open_lines(path):
        pass
    assert path.read_bytes() == encode_line(record("a"))


@given(cut=st.integers(0, 200), count=st.integers(0, 4))
def test_wherever_it_was_cut_the_whole_lines_are_kept(
    cut: int, count: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    whole = [encode_line(record(f"{i} é")) for i in range(count)]
    path.write_bytes(b"".join(whole)[:cut])
    kept, length = 0, 0
    while kept < count and length + len(whole[kept]) <= cut:
        length += len(whole[kept])
        kept += 1
    with open_lines(path, resume=True) as lines:
        assert lines.names == {f"{i} é" for i in range(kept)}
        lines.append(record("next"))
    assert path.read_bytes() == b"".join(whole[:kept]) + encode_line(record("next"))


def test_an_empty_file_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()  # of a run that found out at once that it could not begin
    with open_lines(tmp_path / "a.jsonl") as lines:
        lines.append(record("a"))
    assert (tmp_path / "a.jsonl").read_bytes() == encode_line(record("a"))


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(encode_line(record("a")) + b"[1, 2]\n")
    with pytest.raises(UserError, match="line 2 is no record"), open_lines(path, resume=True):
        pass
    assert path.read_bytes() == encode_line(record("a")) + b"[1, 2]\n"


def test_two_runs_do_not_write_to_one_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "a.jsonl"
    with open_lines(path) as lines:
        lines.append(record("a"))
        with pytest.raises(UserError, match="another run is writing"), open_lines(path, resume=True):
            pass
        lines.append(record("b"))
    assert path.read_bytes() == encode_line(record("a")) + encode_line(record("b"))


def test_a_name_that_is_no_utf8_reads_back(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff.jpg")
    with open_lines(tmp_path / "a.jsonl") as lines:
        lines.append(record(odd))
    with open_lines(tmp_path / "a.jsonl", resume=True) as lines:
        assert lines.names == {odd}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"a\.jsonl: cannot be written"), open_lines(tmp_path / "file" / "a.jsonl"):
        pass
