"""What a dialect and the server say to each other: requests, replies, streams. No socket in here.

A further dialect implements `Dialect` and is added to `options.DIALECTS`; nothing else changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters.paper_exchange.orders import Event, Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The one key pair that the exchange accepts."""

    key: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """A REST request as it came in; `query` and `body` are the raw strings, which signatures cover."""

    method: str
    path: str
    query: str
    body: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireReply:
    """A REST reply; `durable` says that it must not leave before what it acknowledges is on disk."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    durable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A refusal ordered through the control endpoints.

    An empty message and a missing status stand for the dialect's own words and status for that code. With `acted` the
    request is carried out all the same and only its answer is a refusal (an unknown outcome, as the client sees it).
    """

    code: int
    message: str = ""
    status: int | None = None
    acted: bool = False
    retry_after_s: int | None = None


class Stream(Protocol):
    """One open WebSocket, as the dialect sees it."""

    def receive(self, text: str) -> None:
        """A text frame came in."""

    def closed(self) -> None:
        """The connection is gone."""


Send = Callable[[str], None]


class Dialect(Protocol):
    """A venue's protocol over a paper exchange."""

    def answer(self, request: WireRequest, rejection: Rejection | None = None) -> WireReply:
        """Answer a REST request, with `rejection` if one is ordered."""

    def connect(self, path: str, query: str, send: Send) -> Stream | None:
        """A client opens a WebSocket; None refuses the path."""

    def publish(self, now: int, events: list[Event]) -> None:
        """Stream what has happened."""

    def price(self, now: int, price: Price) -> None:
        """Stream a price point at once."""

    def second(self, now: int) -> None:
        """Stream what is due every second; expire listen keys."""
