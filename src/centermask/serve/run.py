"""``centermask serve``: load a network, open a port, answer until told to stop, and finish what has begun."""

import asyncio
import logging.config
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any, cast

import numpy as np
import uvicorn

from centermask.errors import UserError
from centermask.predict import Predictor
from centermask.serve.app import app_of
from centermask.serve.metrics import Metrics
from centermask.serve.protocol import Patience, PatientProtocol
from centermask.serve.service import Service
from centermask.serve.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of a service that only this machine may call. Others would be a page's that points its own name here."""
GRACE = 2.0
"""Seconds after which a connection is closed whose slow body the app has answered, or should have; and for a thread to
come to its end once nobody waits for what it does."""
READING = 60.0
"""Seconds that a client may pause while it reads its answer."""
ANSWER = 300.0
"""Seconds in which it must have read all of it."""

TOKEN_VARIABLE = "CENTERMASK_TOKEN"


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a service is found, and what it asks of connections.

    Raises:
        UserError: a value is out of its range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    """0: any free one."""
    head_seconds: float = 10.0
    """In which a request's headers must have come."""
    connections: int = 256
    """That may be open at once."""
    drain_seconds: float = 30.0
    """For what has begun, once the service is told to stop."""
    log_requests: bool = False
    """Write a line for each request."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UserError(f"port must lie in 0 … 65535, not {self.port}")
        if self.connections < 1:
            raise UserError(f"connections must be at least 1, not {self.connections}")
        for name in ("head_seconds", "drain_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"{name} must be more than 0, not {getattr(self, name)}")


def serve(load: Callable[[], Predictor], settings: Settings, address: Address) -> None:
    """Serve until SIGTERM or SIGINT, then finish what has begun.

    What is not finished in time is given up. Nothing can stop a thread in the middle of a run of the network, and
    Python would wait for it at its exit; so then the process is ended here, at once, with code 0.

    Args:
        load: Opens the network. It is called once the port is known to be free, and before anybody can connect.
        settings: What the service allows.
        address: Where it is found. On this machine alone it answers to this machine's own names, unless the settings
            name others.

    Raises:
        UserError: the port or the network cannot be used.
    """
    with _bound(address) as port:
        local = is_local(port.getsockname()[0])
        if local and not settings.hosts:
            settings = replace(settings, hosts=LOOPBACK)
        if not local and settings.token is None:
            print(f"centermask: anybody who reaches {address.host} can use this service; give it a token with "
                  "--token-file, or leave --host out", file=sys.stderr)  # fmt: skip
        warnings.filterwarnings("ignore", module="PIL")  # for all threads: within one, a filter does not hold
        predictor = load()
        _warm_up(predictor)
        service = Service(predictor, settings, Metrics())
        server = _make_server(app_of(service), settings, address)
        _listen(port, address)
        with _ended_by_signals(server):
            print(f"{settings.name} at {_url(port)} (Ctrl+C stops it)", flush=True)
            server.run([port])
    if not service.end(GRACE):
        _exit()


def _exit() -> None:
    print("centermask: the time to stop is over, and a picture that was still in work is given up; "
          "--drain-seconds gives it longer", file=sys.stderr)  # fmt: skip
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def read_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """The token in a file, or in the variable CENTERMASK_TOKEN; never an argument, which every process may read.

    Raises:
        UserError: the file cannot be read, or is empty.
    """
    if file is None:
        token = environment.get(TOKEN_VARIABLE, "")
        return token.strip() if token else None  # a blank one is refused as a token: it was meant to be one
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: the token cannot be read ({error})") from None
    if not token:
        raise UserError(f"{file}: the file is empty; write a token into it")
    return token


def is_local(address: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_local("127.0.0.1"), is_local("::1"), is_local("0.0.0.0")
    (True, True, False)
    """
    return ip_address(address.partition("%")[0]).is_loopback


@contextmanager
def _bound(address: Address) -> Iterator[socket.socket]:
    """A socket at the address, taken but not open yet."""
    try:
        family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM,
                                                    flags=socket.AI_PASSIVE)[0]  # fmt: skip
        port = socket.socket(family)
    except (OSError, UnicodeError) as error:
        raise UserError(f"host '{address.host}' cannot be used ({error}); give an address of this machine") from None
    with port:
        if sys.platform != "win32":  # there, it would let two services have one port
            port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            port.bind(place)
        except OSError as error:
            raise _refusal(address, error) from None
        yield port


def _listen(port: socket.socket, address: Address) -> None:
    try:
        port.listen(max(128, address.connections))
    except OSError as error:  # another program has taken it meanwhile
        raise _refusal(address, error) from None


def _refusal(address: Address, error: OSError) -> UserError:
    place = f"port {address.port} of {address.host}"
    return UserError(f"{place} cannot be opened ({error.strerror}); choose another --port, or 0 for any free one")


def _url(port: socket.socket) -> str:
    host, number = port.getsockname()[:2]
    return f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"


def _warm_up(predictor: Predictor) -> None:
    """One picture: the first is slow, and a network that cannot run shall say so before the port is open."""
    predictor(np.zeros((64, 64, 3), dtype=np.uint8))


def _make_server(app: Any, settings: Settings, address: Address) -> uvicorn.Server:
    patience = Patience(head=address.head_seconds, body=settings.body_seconds + GRACE, reading=READING,
                        answer=ANSWER, connections=address.connections)  # fmt: skip
    protocol = cast(type[asyncio.Protocol], partial(PatientProtocol, patience=patience))
    return uvicorn.Server(
        uvicorn.Config(
            app, http=protocol, ws="none", lifespan="off", proxy_headers=False, server_header=False,
            backlog=max(128, address.connections), timeout_graceful_shutdown=cast(int, address.drain_seconds),
            log_config=_log_config(address.log_requests), access_log=address.log_requests,
        )
    )  # fmt: skip


def _log_config(requests: bool) -> dict[str, Any]:
    """Errors to stderr, with the time; requests, if asked for, to stdout."""
    plain = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": plain},
        "filters": {"no_cancelled": {"()": _NotCancelled}},
        "handlers": {
            "errors": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["no_cancelled"]},
            "requests": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stdout"},
        },
        "loggers": {
            "centermask.serve": {"handlers": ["errors"], "level": "INFO", "propagate": False},
            "uvicorn.error": {"handlers": ["errors"], "level": "ERROR", "propagate": False},
            "uvicorn.access": {"handlers": ["requests"] * requests, "level": "INFO", "propagate": False},
        },
    }


class _NotCancelled(logging.Filter):
    """Leaves out requests that were cut off when the time to drain was over: one line says how many there were."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let signals end the server in order, before and after its own handlers: it would raise them again at its end."""

    def stop(_: int, __: FrameType | None) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
