"""The window, on a screen that nobody sees; in a process of its own, which Tk ends when its screen goes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_docs import ROOT
from tests.video.made import clip, play

SHOW = """
from centermask.video.window import Window
from tests.video.made import square
window = Window("a.mp4")
for i in range(3):
    window.show(square(i).repeat(10, axis=0).repeat(10, axis=1))
print(window.open, window._shown.width(), window._shown.height())
window._root.event_generate("<Escape>")
window.show(square(0))
window.close()
print(window.open)
"""
CLOSE = """
import sys
from pathlib import Path
from centermask.video import predict_video, run
from tests.video.made import bright
windows = []
opening = run._open_window
run._open_window = lambda *arguments: windows.append(opening(*arguments)) or windows[0]
summary = predict_video(bright, sys.argv[1], out=Path(sys.argv[2]), show=True,
                        on_frame=lambda found: windows[0].close() if found.frame.number == 5 else None)
print(summary.interrupted, summary.frames)
"""


@pytest.fixture
def screen() -> Iterator[str]:
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "320x240x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(20)


def visit(code: str, screen: str, *arguments: Path) -> list[str]:
    """What the code prints, word by word."""
    environment = os.environ | {"DISPLAY": screen}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_window_shows_pictures_as_large_as_the_screen_lets_it_and_closes(screen: str) -> None:
    # 640 × 480 pixels on a screen of 320 × 240, of which nine tenths are used.
    assert visit(SHOW, screen) == ["True", "288", "216", "False"]


def test_closing_the_window_ends_the_video_in_order(screen: str, tmp_path: Path) -> None:
    ended, frames = visit(CLOSE, screen, clip(tmp_path / "a.mp4", 300), tmp_path / "b.mp4")
    assert ended == "True"
    assert 6 <= int(frames) == len(play(tmp_path / "b.mp4").pictures) < 60
