"""What every request passes on its way in and out: hosts, headers, counts, and nothing of an exception but the log."""

import asyncio
import logging
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from centermask.serve.answers import refusal
from centermask.serve.metrics import Metrics

LOG = logging.getLogger("centermask.serve")
INTERNAL = "internal error; see the server's log"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURE = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
"""Headers of every answer."""


class Gate:
    """The outermost part of the app, itself an ASGI app."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], metrics: Metrics) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exit_ = _Exit(scope, send)
        try:
            await (self._refusal(Headers(scope=scope), scope["method"]) or self._app)(scope, receive, exit_.send)
        except asyncio.CancelledError:
            await exit_.last_word(503, "the service is closing; send it again later")
            raise
        except Exception:
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            await exit_.last_word(500, INTERNAL)
        finally:
            self._metrics.count_request(_route(scope), exit_.status)

    def _refusal(self, headers: Headers, method: str) -> ASGIApp | None:
        """A page of elsewhere may reach a service on this machine through its visitor's browser, which tells on it."""
        if self._hosts and _host_name(headers.get("host", "")) not in self._hosts:
            return refusal(400, "this host name is not served here; call the service by its own, or see --allow-host")
        if method == "POST" and headers.get("sec-fetch-site") == "cross-site":
            return refusal(403, "pages of other sites may not use this service; send it from the service's own page")
        return None


class _Exit:
    """Sends an answer with the headers of every answer, and remembers its status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self.status = 0
        """0 before an answer has begun."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SECURE.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-cache" if "etag" in headers else "no-store")
            if self.status >= 400 and "expect" in Headers(scope=self._scope):
                headers["Connection"] = "close"  # who waits for "100 Continue" will not send the body any more
        await self._send(message)

    async def last_word(self, status: int, message: str) -> None:
        if not self.status:
            await refusal(status, message)(self._scope, _nothing, self.send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _route(scope: Scope) -> str:
    """The path as the route spells it, so that no client makes up new ones."""
    return getattr(scope.get("route"), "path", "other")


def _host_name(host: str) -> str:
    """A Host header without its port; empty if it is none.

    >>> _host_name("localhost:8000"), _host_name("[::1]:8000"), _host_name("]")
    ('localhost', '::1', '')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
