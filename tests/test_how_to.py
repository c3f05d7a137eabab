"""The shell blocks of the guides run, one after the other, in an empty folder."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from centermask.cli import main
from tests.test_docs import ROOT, blocks

SMALL = {
    "train": ["--short-side", "64", "--batch", "2", "--epochs", "1", "--workers", "0", "--device", "cpu"],
    "evaluate": ["--device", "cpu"],
    "compare": ["--device", "cpu", "--resamples", "20"],
    "export": ["--no-dynamic", "--size", "128", "128"],
    "bench": ["--rounds", "1", "--no-memory", "--device", "cpu"],
}
"""What is added so that a command takes seconds; of two equal flags the last one counts."""
GUIDES = ("your-own-data", "many-gpus", "read-the-report", "deploy", "video")


def lines(guide: str) -> list[list[str]]:
    """The words of each command of a guide."""
    text = "\n".join(blocks(ROOT / "docs" / "how-to" / f"{guide}.md", "sh")).replace("\\\n", " ")
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


def run_ours(arguments: list[str]) -> int:
    if arguments[0] == "export":  # shapes that depend on the picture cannot be checked while a network is traced
        command = [sys.executable, "-m", "centermask", *arguments, *SMALL["export"]]
        return subprocess.run(command, timeout=300, check=False).returncode
    with pytest.raises(SystemExit) as end:
        main([*arguments, *SMALL.get(arguments[0], [])])
    return int(end.value.code or 0)


def run_torchrun(arguments: list[str]) -> int:
    command = [sys.executable, "-m", "torch.distributed.run", *arguments, *SMALL["train"]]
    return subprocess.run(command, timeout=300, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}).returncode


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_a_guide_run_in_an_empty_folder(
    guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = lines(guide)
    assert len(commands) >= 2
    for first, *arguments in commands:
        match first:
            case "centermask":
                assert run_ours(arguments) == 0, arguments
            case "torchrun":
                assert run_torchrun(arguments) == 0, arguments
            case _:
                pytest.fail(f"{guide} has a command that the test does not know: {first}")
