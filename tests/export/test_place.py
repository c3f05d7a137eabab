"""A file is in its place whole, or not at all."""

from pathlib import Path

import pytest

from centermask.errors import UserError
from centermask.export.place import aside, parts, put_in_place


def write(path: Path, text: str) -> None:
    for part in parts(path):
        part.write_text(f"{text} {part.suffix}")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["a.onnx", "a.xml", "A.XML"])
def test_a_file_takes_its_place_and_nothing_else_remains(tmp_path: Path, name: str) -> None:
    out = tmp_path / "new" / name
    for text in ("one", "two"):
        with aside(out) as written:
            write(written, text)
            put_in_place(written, out)
        assert [part.read_text() for part in parts(out)] == [f"{text} {part.suffix.lower()}" for part in parts(out)]
        assert names(out.parent) == sorted(part.name for part in parts(out))


@pytest.mark.parametrize("name", ["a.onnx", "a.xml"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError, OSError])
def test_if_anything_goes_wrong_what_stood_there_stays(tmp_path: Path, name: str, error: type[BaseException]) -> None:
    out = tmp_path / name
    write(out, "old")
    before = names(tmp_path)
    with pytest.raises(UserError if error is OSError else error):
        write_and_stop(out, error)
    assert [part.read_text() for part in parts(out)] == [f"old {part.suffix}" for part in parts(out)]
    assert names(tmp_path) == before


def write_and_stop(out: Path, error: type[BaseException]) -> None:
    with aside(out) as written:
        write(written, "new")
        raise error


def test_aside_the_ending_is_in_small_letters(tmp_path: Path) -> None:
    with aside(tmp_path / "Net.v2.XML") as written:
        assert written.name == "Net.v2.xml"


def test_a_pair_of_old_and_new_is_never_found(tmp_path: Path) -> None:
    out = tmp_path / "a.xml"
    write(out, "old")
    with pytest.raises(UserError):
        place_half(out)
    assert not out.exists()


def place_half(out: Path) -> None:
    with aside(out) as written:
        written.with_suffix(".bin").write_text("new")
        put_in_place(written, out)  # ends in the middle: there is no .xml to move


def test_a_folder_or_a_file_of_anothers_in_the_way_is_not_pushed_out(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").mkdir()
    (tmp_path / "model.bin").write_text("of another program")
    for name, named in (("a.onnx", "a.onnx"), ("model.xml", "model.bin")):
        with pytest.raises(UserError, match=f"{named}: stands in the way"), aside(tmp_path / name):
            pass
    assert (tmp_path / "model.bin").read_text() == "of another program"


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.onnx").write_text("old")
    (tmp_path / "a.onnx").symlink_to(tmp_path / "there" / "real.onnx")
    with aside(tmp_path / "a.onnx") as written:
        write(written, "new")
        put_in_place(written, tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").is_symlink()
    assert (tmp_path / "there" / "real.onnx").read_text() == "new .onnx"


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"), aside(tmp_path / "file" / "a.onnx"):
        pytest.fail("nothing was to be done")
