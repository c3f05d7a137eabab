"""The way of a picture through a service: in line, decoded, through the network, and into the form asked for."""

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from fastapi import HTTPException, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from centermask.errors import UserError
from centermask.images import SoftInstances
from centermask.predict import Predictor, Prepared
from centermask.serve.answers import Format, coco_answer, json_answer, png_answer
from centermask.serve.door import AGAIN, BODIES, Body, Room, Upload, decode, read_body, unpack
from centermask.serve.gate import LOG
from centermask.serve.metrics import Metrics
from centermask.serve.queue import Gatherer, Threads
from centermask.serve.settings import Settings

CODERS = 2
"""Threads that decode and encode pictures. Each needs 11 to 31 bytes for each pixel, and up to 40 where the picture is
a TIFF of floats that lies on its side and is asked for as PNG (measured)."""
PIECE = 65536
"""Bytes of an answer that are handed over at once: as many as servers keep for a client before they have us wait."""
GONE = 499
"""Status of an answer that nobody waits for any more; nobody sees it, but the metrics."""
T = TypeVar("T")


class Answer(NamedTuple):
    """An answer on its way out."""

    response: Response
    objects: int


class Asked(NamedTuple):
    """What a request wants."""

    score_threshold: float
    max_detections: int
    format: Format


class Parcel(Response):
    """An answer that counts against the room until the client has all of it but the last pieces, or has gone.

    A whole answer handed over at once would lie with the server for as long as its client pleases, unseen by us.

    Raises:
        HTTPException: see ``Room.take``.
    """

    def __init__(self, answer: Response, room: Room, metrics: Metrics) -> None:
        room.take(len(answer.body))
        super().__init__(answer.body, answer.status_code, media_type=answer.media_type)
        self._room = room
        self._metrics = metrics
        self._metrics.unread += len(self.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, no faster than it is read."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for begin in range(0, len(self.body), PIECE):
                piece = bytes(self.body[begin : begin + PIECE])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)  # only now can the server hear that the client has gone, and drop the rest
            await send({"type": "http.response.body"})
        finally:
            self._room.give(len(self.body))
            self._metrics.unread -= len(self.body)


class Service:
    """Answers requests for predictions; everything but the work itself runs in the event loop."""

    def __init__(self, predictor: Predictor, settings: Settings, metrics: Metrics) -> None:
        self.predictor = predictor
        self.settings = settings
        self.metrics = metrics
        self._bodies = Room(BODIES * settings.body_bytes, "too many large uploads at once")
        self._answers = Room(BODIES * settings.body_bytes, "too many large answers have not been read yet")
        self._coders = Threads(CODERS, "coder")
        self._network = Gatherer(
            predictor.find, window=settings.window_seconds, batch=settings.batch, on_run=metrics.count_run
        )

    async def answer(self, request: Request, asked: Asked) -> Response:
        """Answer one request.

        Raises:
            HTTPException: it cannot be answered; its status and text say why.
        """
        began = time.perf_counter()
        self._check_line()  # before the body is sent in vain
        try:
            with Body(self._bodies) as body:
                await read_body(request, body, self.settings)
                with self._place():
                    work = self._predict(body, request.headers.get("content-type", ""), asked)
                    answer = await in_time(request, work, self.settings.request_seconds)
        except ClientDisconnect:
            return Response(status_code=GONE)
        parcel = Parcel(answer.response, self._answers, self.metrics)
        self.metrics.count_prediction(time.perf_counter() - began, answer.objects)
        return parcel

    def end(self, seconds: float) -> bool:
        """Begin nothing more, and wait so long for each kind of thread; whether all came to their end."""
        return self._coders.end(seconds) and self._network.end(seconds)

    def _check_line(self) -> None:
        if self.metrics.in_work >= self.settings.queue:
            raise HTTPException(
                429, f"{self.settings.queue} pictures are in work already; come again in a second", AGAIN
            )

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place in the line, whose length is known to the metrics."""
        self._check_line()
        self.metrics.in_work += 1
        try:
            yield
        finally:
            self.metrics.in_work -= 1

    async def _predict(self, body: Body, content_type: str, asked: Asked) -> Answer:
        """The story of a picture."""
        upload, prepared = await self._coders.run(lambda: self._prepare(body.pop(), content_type))
        if asked.format != "png":  # only there the picture is needed again
            upload = upload._replace(data=b"")
            body.drop()
        found = await self._find(prepared, asked.score_threshold)
        return await self._coders.run(lambda: self._finish(found, prepared, upload, asked))

    def _prepare(self, body: bytes, content_type: str) -> tuple[Upload, Prepared]:
        upload = unpack(body, content_type)
        try:
            return upload, self.predictor.prepare(decode(upload, self.settings))
        except UserError as error:  # a predictor that does not resize may have no plane that is large enough
            raise HTTPException(413, str(error)) from None

    async def _find(self, prepared: Prepared, score_threshold: float) -> SoftInstances:
        try:
            return await self._network.find(prepared, score_threshold)
        except UserError as error:
            LOG.error("%s", error)
            raise HTTPException(
                503, "the service has too little memory for this picture; scale it down", AGAIN
            ) from None

    def _finish(self, found: SoftInstances, prepared: Prepared, upload: Upload, asked: Asked) -> Answer:
        instances = self.predictor.finish(
            found, prepared, score_threshold=asked.score_threshold, max_detections=asked.max_detections,
            file_name=upload.file_name,
        )  # fmt: skip
        match asked.format:
            case "json":
                response = json_answer(instances)
            case "coco":
                response = coco_answer(instances)
            case "png":
                response = png_answer(instances, decode(upload, self.settings))
        return Answer(response, len(instances))


async def in_time(request: Request, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """The outcome of the work, which is cancelled when its time is over, or nobody waits for it any more.

    Raises:
        HTTPException: 503, it took too long.
        ClientDisconnect: whoever asked has gone.
    """
    task, gone = asyncio.create_task(work), asyncio.create_task(_until_gone(request))
    try:
        done, _ = await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        task.cancel()  # does nothing to one that is done
    if task in done:
        return task.result()
    if gone in done:
        raise ClientDisconnect
    raise HTTPException(
        503, f"no answer within {seconds:g} seconds; send a smaller picture, or come again later", AGAIN
    )


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
