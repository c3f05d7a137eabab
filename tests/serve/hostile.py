"""Uploads that mean harm, by the hundred: ``python -m tests.serve.hostile --count 1000 [--weights nano]``.

Each attack is what a client sends on a connection of its own, and how it ends. A service has withstood it if it answers
with a refusal, or closes the connection where nothing was asked, and answers an honest request between all of them.
"""

import argparse
import asyncio
import io
import random
import re
import socket
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from PIL import Image

from centermask.errors import UserError
from centermask.images import decode_image
from tests.serve.made import encoded, running

PIXELS = 1_000_000
"""Of a picture, as the service is told."""
BODY = 200_000
"""Bytes of a body, as the service is told."""
KINDS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
FLAGS = ("--port", "0", "--head-seconds", "1", "--body-seconds", "1", "--max-body-mb", str(BODY / 1e6),
         "--max-pixels-mp", str(PIXELS / 1e6))  # fmt: skip


class Attack(NamedTuple):
    """What a client sends."""

    kind: str
    sent: bytes
    end: Literal["wait", "abort", "unread"] = "wait"
    """It waits for an answer, drops the connection, or does so after a while in which it has not read its answer."""
    harmless: bool = False
    """By chance it is a picture that can be read."""


Draw = random.Random


def post(body: bytes, headers: str = "", path: str = "/predict", length: int | None = None) -> bytes:
    """A request; its declared length may be a lie."""
    count = len(body) if length is None else length
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {count}\r\n\r\n".encode() + body


def chunked(body: bytes) -> bytes:
    """The same without a declared length."""
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


def upload(kind: str, body: bytes) -> Attack:
    """A body that may be readable after all, which is then no attack."""
    try:
        decode_image(body, PIXELS)
    except UserError:
        return Attack(kind, post(body))
    return Attack(kind, post(body), harmless=True)


SOUND = {kind: encoded(48, 64, kind=kind) for kind in KINDS}


def fuzzed(draw: Draw) -> Attack:
    """A picture with some bytes changed, rather in its head."""
    data = bytearray(SOUND[draw.choice(KINDS)])
    for _ in range(draw.randint(1, 8)):
        data[int(draw.random() ** 2 * len(data))] = draw.randrange(256)
    return upload("fuzzed", bytes(data))


def truncated(draw: Draw) -> Attack:
    """The begin of a picture."""
    data = SOUND[draw.choice(KINDS)]
    return upload("truncated", data[: draw.randrange(1, len(data))])


def random_bytes(draw: Draw) -> Attack:
    """No picture, perhaps with the first bytes of one."""
    magic = draw.choice(
        [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP"]
    )
    return upload("random bytes", magic + draw.randbytes(draw.randint(1, 2000)))


def wrong_type(draw: Draw) -> Attack:
    """Files of other kinds, some of which Pillow would start programs or fetch things for."""
    files = [
        b"%PDF-1.7\n1 0 obj", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        b"PK\3\4" + b"\0" * 60,
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", b"<html></html>",
        b'{"url": "http://127.0.0.1:1/a.jpg"}', b"file:///etc/passwd", b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        b"\0\0\0\x18ftypmp42" + b"\0" * 60, b"P6 99999 99999 255\n", b"#!/bin/sh\n", b"\x7fELF" + b"\0" * 60,
    ]  # fmt: skip
    return upload("wrong type", draw.choice(files))


def chunk(kind: bytes, data: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(height: int, width: int, text: bytes = b"") -> bytes:
    """Small as a file, huge as a picture."""
    header = struct.pack(">IIBBBBBxxxxx", width, height, 1, 0, 0, 0, 0)[:13]
    packed = zlib.compress(b"\0" * min(20_000_000, height * (width // 8 + 2)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def text_bomb(count: int) -> bytes:
    """Texts that unpack to a thousand times their size."""
    return chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 1_000_000, 9)) * count


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    file = io.BytesIO()
    Image.new("L", (900, 900), 128).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + b"\xff\xd9"


BOMBS = {
    "png": png_bomb(60_000, 60_000),
    "png over the limit": png_bomb(1100, 1000),
    "png with texts": png_bomb(100, 100, text_bomb(100)),
    "gif": b"GIF89a\xff\xff\xff\xff\x00\x00\x00,\0\0\0\0\xff\xff\xff\xff\x00\x02\x00;",
    "bmp": b"BM" + struct.pack("<IHHIIiiHH6I", 99, 0, 0, 54, 40, 40_000, 40_000, 1, 24, *[0] * 6) + b"\0" * 99,
    "jpeg of many scans": scans(1000),
    "tiff": b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIIHHIII", 256, 4, 1, 2**31, 257, 4, 1, 2**31, 0),
}  # fmt: skip


def bomb(draw: Draw) -> Attack:
    """Small to send, large to unpack."""
    name = draw.choice([*BOMBS])
    return upload(f"bomb: {name}", BOMBS[name])


def too_long(draw: Draw) -> Attack:
    """More bytes than are allowed, declared or not."""
    body = draw.randbytes(BODY + draw.randint(1, BODY))
    return Attack("too long", draw.choice([post, chunked])(body))


ODD_NAMES = (b"idna''%41%ff", b"undefined''a", b"a\0b''a")
"""File names in encodings that do not fit them, or do not exist."""


def bad_form(draw: Draw) -> Attack:
    """Forms that are broken, hold nothing, or too much."""
    part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="../../a"\r\n\r\n' + SOUND["PNG"] + b"\r\n"
    body = draw.choice([
        b"", b"--B", b"--B--\r\n", part, part[:-30], part * 2 + b"--B--\r\n", part * 500 + b"--B--\r\n",
        b"\r\n--B" * 9999,
        part.replace(b"name", b"x" * 9000) + b"--B--\r\n", part.replace(b"\r\n\r\n", b"\r\n") + b"--B--\r\n",
        part.replace(b'"file"', draw.randbytes(20)) + b"--B--\r\n",
        *(part.replace(b'filename="../../a"', b"filename*=" + name) + b"--B--" for name in ODD_NAMES),
        part.replace(b'name="file"', b"name*=idna''file") + b"--B--\r\n",
    ])  # fmt: skip
    kinds = [
        "multipart/form-data; boundary=B", 'multipart/form-data; boundary="', "multipart/form-data", "multipart/",
        "multipart/form-data; boundary*=utf-8''%E2%82%AC", "multipart/form-data; boundary*=undefined''B",
        "multipart/form-data; boundary*=idna''%41",
    ]  # fmt: skip
    return Attack("bad form", post(body, f"Content-Type: {draw.choice(kinds)}\r\n"))


def costly_head(draw: Draw) -> Attack:
    """Headers that are short to send and take long to read: parsers walk over them again from each of their signs."""
    count = draw.choice([500, 5000, 50_000])
    value = draw.choice(
        ['"' + ";" * count, "a;" * (count // 2), 'a="' + '\\";' * (count // 3), "a*0=b;" * (count // 6)]
    )
    part = b'--B\r\nContent-Disposition: form-data; name="file"; %b\r\n\r\nx\r\n' % value[:10_000].encode()
    return Attack("costly head", draw.choice([
        post(SOUND["PNG"][:-20], f"Content-Type: multipart/form-data; {value}\r\n"),
        post(part * 16 + b"--B--\r\n", "Content-Type: multipart/form-data; boundary=B\r\n"),
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {'9' * count}\r\n\r\n".encode(),
    ]))  # fmt: skip


def bad_query(draw: Draw) -> Attack:
    """Values out of range, of a sound picture."""
    queries = [
        "threshold=2", "threshold=nan", "threshold=1e999", "max_detections=0", "max_detections=-1", "format=exe",
        "max_detections=99999999999999999999", "format=../../etc/passwd", "threshold=%00", "format=%ff",
    ]  # fmt: skip
    return Attack("bad query", post(SOUND["PNG"], path=f"/predict?{draw.choice(queries)}"))


def bad_http(draw: Draw) -> Attack:
    """What is hardly HTTP, or asks for what is not there."""
    host = "Host: localhost\r\n"
    heads = [
        "GET /predict HTTP/1.1\r\n" + host, "BREW /predict HTTP/1.1\r\n" + host, "POST / HTTP/1.1\r\n" + host,
        "GET /page/../../../../etc/passwd HTTP/1.1\r\n" + host, "GET /page/%2e%2e/%2e%2e/app.py HTTP/1.1\r\n" + host,
        "GET http://169.254.169.254/latest HTTP/1.1\r\n" + host, "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n",
        "POST /predict HTTP/1.1\r\n" + host + "Content-Length: -5\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        "POST /predict HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n",
        "POST /predict HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n",
        "GET / HTTP/1.1\r\nA: " + "x" * 99_999 + "\r\n",
        "GET /healthz HTTP/1.1\r\n" + host + "no colon\r\n", "\0\1\2\3", "GET /" + "a" * 9999 + " HTTP/1.1\r\n" + host,
        "POST /predict HTTP/1.1\r\n" + host + "Content-Encoding: gzip\r\nContent-Length: 0\r\n",
        "GET /nothing HTTP/1.1\r\n" + host + "Upgrade: websocket\r\nConnection: Upgrade\r\n",
    ]  # fmt: skip
    return Attack("bad http", draw.choice(heads).encode() + b"\r\n")


def slow(draw: Draw) -> Attack:
    """Stops somewhere, and waits."""
    whole = draw.choice([post(SOUND["PNG"]), chunked(SOUND["PNG"])])
    return Attack("slow", whole[: draw.randrange(len(whole) - 8)])


def aborted(draw: Draw) -> Attack:
    """Stops somewhere, and goes; or goes when all is sent."""
    whole = post(SOUND["PNG"], length=len(SOUND["PNG"]))
    return Attack("aborted", whole[: draw.choice([len(whole), draw.randrange(len(whole))])], "abort")


def noisy_jpeg() -> bytes:
    """A picture that takes little room, though no PNG of it does."""
    file = io.BytesIO()
    Image.frombytes("RGB", (1000, 900), random.Random(0).randbytes(2_700_000)).save(file, "JPEG", quality=10)
    return file.getvalue()


LARGE_ANSWER = post(noisy_jpeg(), path="/predict?format=png")
"""Twenty times as large as the request."""


def unread(draw: Draw) -> Attack:
    """Asks for large answers, one or several, and takes none of them."""
    return Attack("unread", LARGE_ANSWER * draw.randint(1, 3), "unread")


ATTACKS: tuple[Callable[[Draw], Attack], ...] = (
    fuzzed, truncated, random_bytes, wrong_type, bomb, too_long, bad_form, costly_head, bad_query, bad_http, slow,
    aborted, unread
)  # fmt: skip


def attacks(count: int, seed: int = 0) -> Iterator[Attack]:
    """All kinds in turns."""
    draw = random.Random(seed)
    for i in range(count):
        yield ATTACKS[i % len(ATTACKS)](draw)


async def launch(attack: Attack, port: int) -> str:
    """Do it; gives the status of the answer, ``closed`` where none came, or ``gone``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(attack.sent)
        if attack.end != "wait":
            writer.transport.pause_reading()
            await asyncio.sleep(0.02 if attack.end == "abort" else 1)
            # With no time to linger, the system resets the connection instead of closing it in order.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return "gone"
        answer = await asyncio.wait_for(reader.read(12), 30)
        return answer[9:12].decode() if answer else "closed"
    except (ConnectionError, asyncio.IncompleteReadError):
        return "closed"
    finally:
        writer.transport.abort()


def withstood(attack: Attack, outcome: str) -> bool:
    """Whether this is how it should end."""
    if attack.end != "wait":
        return outcome == "gone"
    if attack.kind == "slow":
        return outcome in ("408", "closed")
    return re.fullmatch("4..", outcome) is not None or (attack.harmless and outcome == "200")


async def assault(port: int, count: int, at_once: int = 16) -> tuple[Counter[tuple[str, str]], list[str], int]:
    """All attacks; gives how they ended, which should have ended otherwise, and how many honest requests failed."""
    outcomes: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    failed = 0
    queue = iter(enumerate(attacks(count)))

    async def attacker() -> None:
        nonlocal failed
        for i, attack in queue:
            outcome = await launch(attack, port)
            outcomes[attack.kind, outcome] += 1
            if not withstood(attack, outcome):
                wrong.append(f"{attack.kind}: {outcome} after {attack.sent[:300]!r}")
            if i % 10 == 0:
                honest = Attack("honest", post(SOUND["JPEG"]), harmless=True)
                failed += await launch(honest, port) != "200"

    await asyncio.gather(*[attacker() for _ in range(at_once)])
    return outcomes, wrong, failed


def resident(port: int) -> float:
    """Megabytes of memory that the service says it takes."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return int(re.search(r"^process_resident_memory_bytes (\d+)", text, re.MULTILINE)[1]) / 1e6


def main() -> None:
    """Attack a service of its own, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--weights", default="nano")
    options = parser.parse_args()
    with running("-m", "centermask", "serve", options.weights, *FLAGS) as server:
        before = resident(server.port)
        outcomes, wrong, failed = asyncio.run(assault(server.port, options.count))
        after = resident(server.port)
        code, said = server.stop(15)
    for (kind, outcome), number in sorted(outcomes.items()):
        print(f"{number:5d}  {kind}: {outcome}")
    print(f"{len(wrong)} of {options.count} ended otherwise than they should, {failed} honest requests failed")
    print(f"memory {before:.0f} MB before, {after:.0f} MB after; exit code {code}, said: {said or 'nothing'}")
    print("\n".join(wrong))
    sys.exit(bool(wrong or failed or code or said))


if __name__ == "__main__":
    main()
