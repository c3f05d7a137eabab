"""Load on a service of its own, over loopback: requests a second, how long they take, memory, and what is lost.

    python benchmarks/serve.py [--weights nano] [--clients 1 8 32] [--seconds 20] [--picture 320 320] [--flags ...]
    python benchmarks/serve.py --requests 10000 --clients 8 --picture 64 64

Each client keeps one connection and sends the same JPEG again as soon as it has its answer; ``--picture`` is its height
and width. With ``--requests`` there are so many in all, in place of a time, and the memory is printed as they pass.
The times are those of the client, from the first byte sent to the last one received. Lost is a request without an
answer of status 200; 429 and 503 count as lost, too. The client takes a part of the same cores.

``--flags`` are those of ``centermask serve``: ``--flags=--batch=16``.
"""

import argparse
import asyncio
import io
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import psutil
from PIL import Image
from rich import box
from rich.console import Console
from rich.table import Table


@dataclass
class Load:
    """What came of one number of clients."""

    clients: int
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    """Of each answer, in seconds."""
    lost: int = 0
    memory: list[float] = field(default_factory=list)
    """Of the service in MB: before, at ten points on the way if requests are counted, and after."""

    def row(self) -> list[str]:
        """As the table has it."""
        p50, p95, p99 = np.percentile(self.times or [float("nan")], [50, 95, 99]) * 1000
        figures = (f"{len(self.times) / self.seconds:.1f}", f"{p50:.0f}", f"{p95:.0f}", f"{p99:.0f}")
        memory = (f"{self.memory[0]:.0f}", f"{self.memory[-1]:.0f}")
        return [str(self.clients), str(len(self.times)), *figures, str(self.lost), *memory]


@contextmanager
def service(weights: str, flags: list[str]) -> Iterator[tuple[psutil.Process, int]]:
    """A service in a process of its own, and its port."""
    words = [sys.executable, "-m", "centermask", "serve", weights, "--port", "0", *flags]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r":(\d+) \(", process.stdout.readline())
            if found is None:
                sys.exit("the service did not start")
            yield psutil.Process(process.pid), int(found[1])
        finally:
            process.terminate()


def picture(height: int, width: int) -> bytes:
    """A JPEG: the cat of scikit-image where it is installed, else noise."""
    try:
        from skimage.data import chelsea

        image = Image.fromarray(chelsea())
    except ImportError:
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    file = io.BytesIO()
    image.resize((width, height)).save(file, "JPEG", quality=90)
    return file.getvalue()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """One request on an open connection; whether it was answered."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
    return head.startswith(b"HTTP/1.1 200 ")


async def load(port: int, request: bytes, clients: int, seconds: float, requests: int | None,
               process: psutil.Process) -> Load:  # fmt: skip
    """Let clients ask for some seconds, or for a number of requests."""
    found = Load(clients, memory=[megabytes(process)])
    begin = time.perf_counter()
    left = requests if requests is not None else sys.maxsize

    async def client() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0 and (requests is not None or time.perf_counter() - begin < seconds):
            left -= 1
            start = time.perf_counter()
            try:
                answered = await ask(reader, writer, request)
            except (OSError, asyncio.IncompleteReadError):
                answered = False
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if answered:
                found.times.append(time.perf_counter() - start)
            else:
                found.lost += 1
            if requests is not None and (len(found.times) + found.lost) % max(1, requests // 10) == 0:
                found.memory.append(megabytes(process))
        writer.close()

    await asyncio.gather(*[client() for _ in range(clients)])
    found.seconds = time.perf_counter() - begin
    found.memory.append(megabytes(process))
    return found


def megabytes(process: psutil.Process) -> float:
    """Resident memory."""
    return process.memory_info().rss / 1e6


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="nano")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--picture", type=int, nargs=2, default=[320, 320], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--flags", nargs="*", default=[])
    options = parser.parse_args()
    body = picture(*options.picture)
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    table = Table("clients", "answered", "a second", "p50 ms", "p95 ms", "p99 ms", "lost", "MB before", "MB after",
                  box=box.ASCII_DOUBLE_HEAD)  # fmt: skip
    with service(options.weights, options.flags) as (process, port):
        asyncio.run(load(port, request, 1, 2, None, process))  # what is slow the first time
        for clients in options.clients:
            found = asyncio.run(load(port, request, clients, options.seconds, options.requests, process))
            table.add_row(*found.row())
            if options.requests is not None:
                print("memory in MB, tenth by tenth:", " ".join(f"{one:.0f}" for one in found.memory))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
