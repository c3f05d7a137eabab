"""Where half precision pays."""

from pathlib import Path

import pytest

from centermask.runtimes.precision import has_bf16


@pytest.mark.parametrize(
    ("told", "has"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags : amx_bf16", True),
        ("flags : fpu avx2 avx512f", False),
        ("model name : avx512_bf16 in name only\n", False),
        ("", False),
    ],
)
def test_a_processor_says_by_its_flags_whether_it_computes_in_bf16(told: str, has: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(told)
    assert has_bf16(gpu=False, cpuinfo=tmp_path / "cpuinfo") is has


def test_a_processor_that_does_not_tell_has_none(tmp_path: Path) -> None:
    assert not has_bf16(gpu=False, cpuinfo=tmp_path / "missing")
