"""The Python of the guide runs, and the demonstration's clip is one."""

from pathlib import Path

import numpy as np
import pytest

from centermask.demo import HEIGHT, RATE, WIDTH, demo_clip, demo_pictures
from tests.test_docs import ROOT, blocks
from tests.video.made import clip, play


def test_the_python_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip(tmp_path / "clip.mp4", 3)
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks(ROOT / "docs" / "how-to" / "video.md", "python"))
    exec(compile(code, "<python of video.md>", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("3 frames, ")
    assert [line[:7] for line in told[1:]] == ["0.00 s:", "0.04 s:", "0.08 s:"]
    assert len(play(tmp_path / "found.mp4").pictures) == 3


def test_the_clip_of_the_demonstration_moves(tmp_path: Path) -> None:
    demo_clip(demo_pictures(tmp_path), tmp_path / "clip.mp4")
    seen = play(tmp_path / "clip.mp4")
    np.testing.assert_allclose(np.diff(seen.times), 1 / RATE, atol=1e-4)
    assert seen.pictures[0].shape == (HEIGHT, WIDTH, 3)
    assert np.abs(seen.pictures[0].astype(int) - seen.pictures[-1]).mean() > 20
