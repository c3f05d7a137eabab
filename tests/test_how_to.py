"""The shell blocks of the guides run, one after the other, in an empty folder."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from centermask.cli import main
from tests.serve.made import running
from tests.test_docs import ROOT, blocks

SMALL = {
    "train": ["--short-side", "64", "--batch", "2", "--epochs", "1", "--workers", "0", "--device", "cpu"],
    "evaluate": ["--device", "cpu"],
    "compare": ["--device", "cpu", "--resamples", "20"],
    "export": ["--no-dynamic", "--size", "128", "128"],
    "bench": ["--rounds", "1", "--no-memory", "--device", "cpu"],
}
"""What is added so that a command takes seconds; of two equal flags the last one counts."""
GUIDES = ("your-own-data", "many-gpus", "read-the-report", "deploy", "video", "many-pictures")


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


@contextmanager
def served(words: list[str]) -> Iterator[str]:
    """A service as a guide starts it, on a free port; gives its address."""
    with running("-m", "centermask", *words[1:], "--port", "0") as server:
        yield f"127.0.0.1:{server.port}"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_guide_asks_of_a_service_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each `centermask serve` runs until the next; what stands between them is asked of it."""
    monkeypatch.chdir(tmp_path)
    guide = ROOT / "docs" / "how-to" / "serve.md"
    asked = 0
    with ExitStack() as stack:
        address = ""
        for line in filter(None, "\n".join(blocks(guide, "sh")).splitlines()):
            words = shlex.split(line)
            if words[:2] == ["centermask", "serve"]:
                stack.close()
                address = stack.enter_context(served(words))
            elif words[0] == "centermask":
                assert run_ours(words[1:]) == 0, line
            else:
                done = subprocess.run(["bash", "-c", line.replace("127.0.0.1:8000", address)], check=False, timeout=60)
                assert done.returncode == 0, line
                asked += words[0] == "curl"
        (client,) = [code for code in blocks(guide, "python") if "httpx" in code]
        assert asked >= 8
        assert (tmp_path / "astronaut.png").read_bytes().startswith(b"\x89PNG")
        stack.close()
        address = stack.enter_context(served(["centermask", "serve"]))
        exec(compile(client.replace("127.0.0.1:8000", address), "<python of serve.md>", "exec"), {})


def test_the_guide_mounts_an_app_that_works() -> None:
    (code,) = [code for code in blocks(ROOT / "docs" / "how-to" / "serve.md", "python") if "make_app" in code]
    made: dict[str, object] = {}
    exec(compile(code, "<python of serve.md>", "exec"), made)
    assert made["app"].title == "centermask"
