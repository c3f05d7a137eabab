"""Memory of the service over many requests."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.runtimes.made import write
from tests.serve.hostile import resident
from tests.serve.made import encoded, running

COUNT = 800


async def send(port: int, count: int) -> int:
    """So many requests over four connections; gives how many were answered."""
    body = encoded(128, 128, kind="JPEG")
    request = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    async def client() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        for _ in range(count // 4):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
            answered += head.startswith("http/1.1 200")
        writer.close()
        return answered

    return sum(await asyncio.gather(*[client() for _ in range(4)]))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_memory_does_not_grow_with_requests_and_none_is_lost(tmp_path: Path) -> None:
    with running("-m", "centermask", "serve", write(tmp_path / "gems.onnx"), "--port", "0") as server:
        assert asyncio.run(send(server.port, 200)) == 200
        before = resident(server.port)
        assert asyncio.run(send(server.port, COUNT)) == COUNT
        after = resident(server.port)
    assert after - before < 15  # MB; to keep a picture of each request would be 39
