"""Files that are found whole or not at all."""

import stat
from pathlib import Path

import pytest

from centermask.errors import UserError
from centermask.files import whole_file, whole_path, write_whole


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    write_whole(path, b"first")
    write_whole(path, b"")
    assert path.read_bytes() == b""
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_failing_block_leaves_the_old_file_and_no_other(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def write() -> None:
        with whole_file(path) as file:
            file.write(b"half of the new one")
            file.flush()
            raise error("stop")

    with pytest.raises(UserError if error is OSError else error):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_sees_a_half_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_file_in_place_of_a_folder_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(UserError, match=r"a/b\.bin: cannot be written .*choose another place"):
        write_whole(tmp_path / "a" / "b.bin", b"content")


def test_a_folder_in_place_of_the_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="choose another name"):
        write_whole(tmp_path / "a", b"content")
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_name_too_long_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write_whole(tmp_path / ("n" * 300), b"content")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full is Linux's")
def test_a_device_is_not_replaced_by_a_file() -> None:
    with pytest.raises(UserError, match="choose another name"):
        write_whole(Path("/dev/full"), b"content")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to(tmp_path / "real.bin")
    write_whole(tmp_path / "link.bin", b"new")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "real.bin").read_bytes() == b"new"


def test_a_name_aside_becomes_the_file_even_if_it_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.bin"
    with whole_path(path) as aside:
        assert aside.parent == path.parent
        aside.write_bytes(b"half")
        aside.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_another_file_that_is_missing_is_not_blamed_on_this_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="engine"), whole_file(tmp_path / "a"):
        (tmp_path / "engine").read_bytes()
    assert not list(tmp_path.iterdir())
