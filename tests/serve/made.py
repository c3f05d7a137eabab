"""A network by hand that can be held up or made to fail, pictures as bytes, and a service as a process."""

import asyncio
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
from PIL import Image

from centermask.config import ModelConfig
from centermask.images import Fitted, SoftInstances
from centermask.predict import Predictor
from centermask.serve import Settings, make_app
from centermask.size import Size

CONFIG = ModelConfig(class_names=("dark", "bright"), category_ids=(3, 9), max_detections=4, test_short_side=64,
                     test_long_side=128, score_threshold=0.3)  # fmt: skip
SCORES = np.array([0.8, 0.6, 0.4, 0.2])
QUARTERS = np.array([(0.5, 0.5, 1, 1), (0, 0.5, 0.5, 1), (0.5, 0, 1, 0.5), (0, 0, 0.5, 0.5)])
T = TypeVar("T")


@dataclass
class Quarters:
    """Finds the four quarters of each picture; their box score is the redness of its first pixel. A ``Runtime``."""

    open: threading.Event = field(default_factory=threading.Event)
    """Runs wait for it."""
    error: Exception | None = None
    """Raised where a picture's first pixel is red all over."""
    runs: list[int] = field(default_factory=list)
    """How many pictures each run had."""
    config = CONFIG
    device = "cpu"
    plane: Size | None = None

    def __call__(self, fitted: Fitted, score_threshold: float) -> list[SoftInstances]:
        self.runs.append(len(fitted.pixels))
        assert self.open.wait(30)
        redness = fitted.pixels[:, 0, 0, 0] / 255
        if self.error is not None and (redness == 1).any():
            raise self.error
        return [
            SoftInstances(QUARTERS * [*size[::-1], *size[::-1]], SCORES, np.full(4, red), np.array([1, 0, 1, 0]),
                          np.ones((4, 28, 28)))
            for size, red in zip(fitted.sizes.tolist(), redness, strict=True)
        ]  # fmt: skip

    def keep_detections(self, count: int) -> None:
        pass


def opened(**options: Any) -> Quarters:
    """A network that nothing holds up."""
    network = Quarters(**options)
    network.open.set()
    return network


def encoded(height: int = 40, width: int = 60, red: int = 51, kind: str = "PNG") -> bytes:
    """A picture of one colour as a file."""
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), [red, 0, 0], dtype=np.uint8)).save(file, format=kind)
    return file.getvalue()


def noise(height: int, width: int) -> bytes:
    """A picture that no file holds in less than its pixels."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format="PNG", compress_level=0)
    return file.getvalue()


Client = httpx.AsyncClient


def asking(
    talk: Callable[[Client], Awaitable[T]], network: Quarters | None = None, headers: dict[str, str] | None = None,
    **settings: Any,
) -> T:  # fmt: skip
    """What comes of talking to a service within this process."""
    app = make_app(Predictor(network or opened()), Settings(**settings))

    async def go() -> T:
        async with Client(transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers) as client:
            return await talk(client)

    return asyncio.run(go())


def ask(method: str, path: str, *, settings: dict[str, Any] | None = None, network: Quarters | None = None,
        **request: Any) -> httpx.Response:  # fmt: skip
    """One request, and its answer."""
    return asking(lambda client: client.request(method, path, **request), network, **(settings or {}))


class Server:
    """A service in a process of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, out: Path, err: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._out = out
        self._err = err

    def connect(self, timeout: float = 20) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def post(self, data: bytes, path: str = "/predict", **options: Any) -> httpx.Response:
        """One request."""
        return httpx.post(self.url + path, content=data, timeout=30, **options)

    def figure(self, name: str) -> int:
        """One of its figures without a label."""
        text = httpx.get(f"{self.url}/metrics", timeout=30).text
        return int(re.search(rf"^{name} (\d+)$", text, re.MULTILINE)[1])

    def printed(self) -> str:
        """What it has written to stdout."""
        return self._out.read_text()

    def said(self) -> str:
        """What it has written to stderr."""
        return self._err.read_text()

    def stop(self, number: int) -> tuple[int, str]:
        """Send a signal; gives the exit code and what was said on stderr."""
        self.process.send_signal(number)
        code = self.process.wait(30)
        return code, self.said()


ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}


@contextmanager
def running(*words: str | Path, patience: float = 120) -> Iterator[Server]:
    """A process that says in its first line where it is found, and must do so within so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")  # files, because nobody reads pipes, which fill up
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen([sys.executable, *map(str, words)], stdout=stdout, stderr=stderr,
                                       env=ENVIRONMENT)  # fmt: skip
        with process:
            try:
                yield Server(process, _wait_for_port(process, out, err, patience), out, err)
            finally:
                process.kill()


def _wait_for_port(process: "subprocess.Popen[bytes]", out: Path, err: Path, patience: float) -> int:
    end = time.monotonic() + patience
    while time.monotonic() < end and process.poll() is None and not out.read_bytes().endswith(b"\n"):
        time.sleep(0.02)
    found = re.search(r":(\d+) \(", out.read_text())
    assert found, f"the service did not say where it is: {out.read_text()}{err.read_text()}"
    return int(found[1])


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received
