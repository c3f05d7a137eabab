"""The door in: a body is read within limits of bytes, time and memory, unpacked, and its picture decoded."""

import asyncio
from email.message import Message
from email.parser import HeaderParser
from email.utils import collapse_rfc2231_value
from typing import NamedTuple

from fastapi import HTTPException, Request

from centermask.errors import UserError
from centermask.images import LargePictureError, Picture, UnknownPictureError, decode_image
from centermask.serve.settings import Settings

FIELD = "file"
"""Of a form: where the picture lies."""
MAX_PARTS = 16
"""Of a form; one is needed."""
MAX_HEAD = 2048
"""Bytes of the headers of one part. Their parser takes a time that grows with the square of their length."""
MAX_TYPE = 1024
"""Characters of a Content-Type; for the same reason."""
MAX_DIGITS = 18
"""Of a Content-Length. Python refuses to read numbers of thousands of digits, because that takes long."""
BODIES = 16
"""So many bodies of full size may be in memory at once, and as many bytes of answers."""
AGAIN = {"Retry-After": "1"}
CLOSING = {"Connection": "close"}


class Room:
    """The memory that all bodies, or all answers, may take together, in bytes."""

    def __init__(self, most: int, fault: str) -> None:
        self._most = most
        self._fault = fault
        self._taken = 0

    def take(self, count: int) -> None:
        """Take some of it. What is larger than all of it can have it alone, or it would be sent away for ever.

        Raises:
            HTTPException: 429, there is not so much left.
        """
        if self._taken and self._taken + count > self._most:
            raise HTTPException(429, f"{self._fault}; send it again in a second", AGAIN)
        self._taken += count

    def give(self, count: int) -> None:
        """Give some of it back."""
        self._taken -= count


class Body:
    """The bytes of one request, which count against the room until they are dropped."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._bytes = bytearray()
        self._taken = 0

    def __enter__(self) -> "Body":
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def __len__(self) -> int:
        return len(self._bytes)

    def append(self, chunk: bytes) -> None:
        """More of it.

        Raises:
            HTTPException: see ``Room.take``.
        """
        self._room.take(len(chunk))
        self._taken += len(chunk)
        self._bytes += chunk

    def pop(self) -> bytes:
        """All of it, which the caller holds from now on; it still counts."""
        whole, self._bytes = bytes(self._bytes), bytearray()
        return whole

    def drop(self) -> None:
        """Nobody holds it any more."""
        self._room.give(self._taken)
        self._taken, self._bytes = 0, bytearray()


class Upload(NamedTuple):
    """A picture as it was sent."""

    data: bytes
    file_name: str
    """As the sender calls it, without folders; empty for a raw body."""


async def read_body(request: Request, body: Body, settings: Settings) -> None:
    """Read a request's body, counted as it comes.

    Raises:
        HTTPException: 408 it came too slowly, 413 it is too large, 415 it is packed, 429 there is no room, 400
            there is none, or its type is too long.
        ClientDisconnect: the sender has gone.
    """
    _check_headers(request, settings)
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for chunk in request.stream():
                if len(body) + len(chunk) > settings.body_bytes:
                    raise _too_long(settings)
                body.append(chunk)
    except TimeoutError:
        message = f"the body did not come within {settings.body_seconds:g} seconds; send it faster or make it smaller"
        raise HTTPException(408, message, CLOSING) from None
    if not len(body):
        raise HTTPException(400, f"no picture came; send it as the body, or as field '{FIELD}' of a form")


def _check_headers(request: Request, settings: Settings) -> None:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > MAX_DIGITS or int(length) > settings.body_bytes:
        raise _too_long(settings)
    if len(request.headers.get("content-type", "")) > MAX_TYPE:
        raise HTTPException(400, f"the Content-Type has more than {MAX_TYPE} characters; send a plain one")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "the body is packed (Content-Encoding); send the picture as it is")


def _too_long(settings: Settings) -> HTTPException:
    return HTTPException(413, f"the body has more than {settings.body_bytes} bytes; send a smaller picture")


def unpack(body: bytes, content_type: str) -> Upload:
    """The picture of a body: of a form its field ``file``, else all of it, whatever type is declared.

    Raises:
        HTTPException: 400 the form is broken, 422 it has not exactly one such field.
    """
    header = _headers(f"Content-Type: {content_type}")
    if header.get_content_type() != "multipart/form-data":
        return Upload(body, "")
    try:
        parts = _parts(body, header.get_boundary() or "")
    except (ValueError, LookupError):  # a parameter (RFC 2231) may name any encoding, also one that does not exist
        raise HTTPException(400, "the headers of the form cannot be read; send plain names and boundaries") from None
    pictures = [part for part in parts if part.name == FIELD]
    if len(pictures) != 1:
        raise HTTPException(422, f"the form has {len(pictures)} fields '{FIELD}'; send one picture, in one such field")
    return Upload(pictures[0].content, _safe_name(pictures[0].file_name))


class _Part(NamedTuple):
    name: str
    file_name: str
    content: bytes


def _parts(body: bytes, boundary: str) -> list[_Part]:
    """The parts of a form (RFC 7578). Written here because libraries put files on the disk, or walk byte by byte."""
    pieces = b"\r\n".join([b"", body]).split(b"\r\n--" + boundary.encode("latin-1"), MAX_PARTS + 1)
    if not boundary or len(pieces) == 1 or not pieces[-1].startswith(b"--"):
        raise HTTPException(400, f"the form is cut off, or has more than {MAX_PARTS} parts; send it anew")
    return [_part(part) for part in pieces[1:-1]]


def _part(part: bytes) -> _Part:
    head, end, content = part.partition(b"\r\n\r\n")
    if not end or len(head) > MAX_HEAD:
        raise HTTPException(
            400, f"a part of the form has no headers, or more than {MAX_HEAD} bytes of them; send it anew"
        )
    headers = _headers(head.decode("utf-8", "replace").lstrip())
    name = headers.get_param("name", "", "content-disposition")
    return _Part(collapse_rfc2231_value(name), headers.get_filename(""), content)


def _headers(text: str) -> Message:
    return HeaderParser().parsestr(text)


def _safe_name(name: str) -> str:
    """The last part of a path of any system, without control characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:255]


def decode(upload: Upload, settings: Settings) -> Picture:
    """The pixels of a picture that was sent.

    Raises:
        HTTPException: 400 it is broken, 413 it has too many pixels, 415 it is no picture of a known format.
    """
    try:
        return decode_image(upload.data, settings.pixels, "the upload")
    except UnknownPictureError as error:
        raise HTTPException(415, str(error)) from None
    except LargePictureError as error:
        raise HTTPException(413, str(error)) from None
    except UserError as error:
        raise HTTPException(400, str(error)) from None
