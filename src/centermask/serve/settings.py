"""What a service is told: its limits, how it gathers pictures, and who may ask."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address

from centermask.errors import UserError
from centermask.images import MAX_PIXELS


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a service.

    Raises:
        UserError: a value is out of its range.
    """

    name: str = "model"
    """What ``GET /model`` calls the weights."""
    batch: int = 8
    """Pictures in one run of the network, at most. Only pictures that the network sees in one size share a run."""
    window_seconds: float = 0.005
    """How long the first picture of a run waits for others."""
    queue: int = 64
    """Pictures that may be in work at once; who comes then is told to come again (429)."""
    body_bytes: int = 20_000_000
    """Of one request."""
    pixels: int = 50_000_000
    """Of one picture."""
    body_seconds: float = 10.0
    """In which a body must have come."""
    request_seconds: float = 30.0
    """In which a picture must have been answered, counted from the end of its body."""
    token: str | None = field(default=None, repr=False)
    """Who asks for predictions, the model or metrics must know it. None: everybody may."""
    hosts: tuple[str, ...] = ()
    """Names under which the service may be called, without ports; empty: any."""

    def __post_init__(self) -> None:
        for name in ("batch", "queue", "body_bytes", "pixels"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("body_seconds", "request_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"{name} must be more than 0, not {getattr(self, name)}")
        if not 0 <= self.window_seconds <= 10:
            raise UserError(f"window_seconds must lie in [0, 10], not {self.window_seconds}")
        if self.pixels > MAX_PIXELS:
            raise UserError(f"pixels must be at most {MAX_PIXELS}, not {self.pixels}: larger ones are never decoded")
        for host in self.hosts:
            if not _is_host(host):
                raise UserError(f"hosts must be names such as a.example.org, without a port or https://, not '{host}'")
        if self.token is not None and not _is_token(self.token):
            raise UserError("the token must be printable ASCII characters without spaces around them; choose another")


def _is_host(text: str) -> bool:
    """Whether it is a name or an address as the gate compares them: alone.

    >>> [_is_host(text) for text in ("masks.example.org", "::1", "masks.example.org:8443", "[::1]", "")]
    [True, True, False, False, False]
    """
    try:
        ip_address(text)
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9._-]+", text) is not None
    return True


def _is_token(text: str) -> bool:
    """Whether a header can carry it: spaces around it would be lost on the way."""
    return bool(text) and text.isascii() and text.isprintable() and text == text.strip()
