"""What a dialect and the server say to each other: requests, replies, streams. No socket in here.

A second dialect implements `Dialect` and is added to the server's table; nothing else changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters.paper_exchange.orders import Event, Price


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
    """A refusal ordered through the control endpoints."""

    code: int
    message: str


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
