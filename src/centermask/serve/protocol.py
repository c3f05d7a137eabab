"""uvicorn's HTTP connection with an end to its patience.

uvicorn waits for ever for a request that never comes, for a body that an app has refused already, and for a client that
does not read its answer, or reads a byte of it now and then. Whatever waits for the client here is closed in time.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from centermask.serve.answers import refusal
from centermask.serve.gate import SECURE


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a connection may wait for its client, in seconds, and how many connections there may be."""

    head: float
    """For a request's line and headers."""
    body: float
    """For the rest of its body, refused or not. More than an app's own limit, which can answer."""
    reading: float
    """For the client to read on."""
    answer: float
    """For it to have read all of an answer, however steadily it does."""
    connections: int
    """More are told to come again, and more than twice as many are closed at once."""


class Wait(NamedTuple):
    """What a connection waits for."""

    what: str
    """``head``, ``body`` or ``reading``."""
    cycle: object
    """The request before or in which it does."""
    unread: int
    """Bytes that the client has not taken yet."""


class Clock:
    """How long one thing has lasted, in seconds."""

    def __init__(self) -> None:
        self._thing: object = None
        self._seconds = 0.0

    def add(self, thing: object, seconds: float) -> float:
        """So long more, if it is still the same thing, else none yet."""
        self._seconds = self._seconds + seconds if thing == self._thing else 0.0
        self._thing = thing
        return self._seconds


class PatientProtocol(H11Protocol):
    """A connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        patience: Patience,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._patience = patience
        self._waiting = Clock()
        self._answering = Clock()
        self._looked = self.loop.time()
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The client has come."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self._patience.connections:
            transport.abort()
        elif len(self.connections) > self._patience.connections:
            self.app = _busy
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the form of all errors."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": "this is no proper HTTP request; see /docs"}).encode()
            length = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            headers = {**SECURE, **length, "Connection": "close"}
            for event in (
                h11.Response(status_code=400, headers=[*headers.items()], reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _look(self) -> None:
        """Look now and then whether the same is still waited for, or the same answer still on its way.

        Time in which the loop was held up by other work, and could not have heard the client, does not count.
        """
        limits = self._patience
        step = min(1.0, limits.head / 4, limits.body / 4, limits.reading / 4, limits.answer / 4)
        now = self.loop.time()
        passed, self._looked = min(now - self._looked, 2 * step), now
        wait, answer = self._waits_for(), self._answers()
        waited, answered = self._waiting.add(wait, passed), self._answering.add(answer, passed)
        too_long = wait is not None and waited >= getattr(limits, wait.what)
        if too_long or (answer is not None and answered >= limits.answer):
            self.transport.abort()
        self._watch = self.loop.call_later(step, self._look)

    def _answers(self) -> object | None:
        """The request whose answer the client has begun to get, and has not got yet."""
        if self.cycle is None or not self.cycle.response_started:
            return None
        done = self.cycle.response_complete and not self.transport.get_write_buffer_size()
        return None if done else self.cycle

    def _waits_for(self) -> Wait | None:
        """None: it waits for us."""
        unread = self.transport.get_write_buffer_size()
        answering = self.cycle is not None and not self.cycle.response_complete
        match self.conn.their_state:
            case h11.SEND_BODY:
                return Wait("body", self.cycle, 0)
            case _ if unread:
                return Wait("reading", self.cycle, unread)
            case h11.IDLE if not answering:
                return Wait("head", self.cycle, 0)
            case _:
                return None


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:
    """The app of a connection too many."""
    headers = {**SECURE, "Retry-After": "1", "Connection": "close"}
    await refusal(503, "too many connections; come again in a second", headers)(scope, receive, send)
