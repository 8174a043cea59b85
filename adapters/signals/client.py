"""A WebSocket client of a signal server: reconnects without limit, resumes from the last stored signal.

Protocol (INTERFACE 'Signals'): on connecting we send `{"type": "hello", "last_id": …}`; the server sends frames
`{"type": "signals", "signals": […]}`. Every frame is handed on as it was decoded; what cannot be decoded is handed on
as `BadFrame`, never dropped in silence.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

# A source may send all that was missed in one frame: some 15,000 signals fit.
MAX_FRAME = 4 << 20
MAX_DEPTH = 16
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 30.0
# A server that is gone without a word is noticed after both together.
PING_EVERY_S = 10.0
PONG_WITHIN_S = 10.0


class NotReady(Exception):
    """`last_id` cannot be told at present: the client does not connect before it can, so that nothing is missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedUp:
    """Connected; `hello` has been sent."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedDown:
    """Not connected; tried again after `pause_s`."""

    reason: str
    pause_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """The signals of one frame, undecided and unchecked."""

    raw: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadFrame:
    """A frame that is no frame of signals: what is wrong with it, and its beginning."""

    error: str
    begins: str


News = FeedUp | FeedDown | Signals | BadFrame


class SignalClient:
    """One connection after another to one server."""

    def __init__(
        self, url: str, token: str, last_id: Callable[[], str | None], rng: random.Random | None = None
    ) -> None:
        """`last_id` is asked at each connect, on a thread: it may block for a moment, and raise NotReady."""
        self._url = url
        self._token = token
        self._last_id = last_id
        self._rng = rng or random.Random()

    async def watch(self) -> AsyncIterator[News]:
        """News without end; errors of the network are news, not exceptions."""
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            reason = "the server closed the connection"
            try:
                headers = {"Authorization": f"Bearer {self._token}"} if self._token else None
                hello = json.dumps({"type": "hello", "last_id": await asyncio.to_thread(self._last_id)})
                async with connect(
                    self._url,
                    additional_headers=headers,
                    max_size=MAX_FRAME,
                    open_timeout=10,
                    ping_interval=PING_EVERY_S,
                    ping_timeout=PONG_WITHIN_S,
                    close_timeout=2,
                ) as connection:
                    await connection.send(hello)
                    yield FeedUp(url=self._url)
                    async for frame in connection:
                        yield decode(frame)
            except (OSError, TimeoutError, WebSocketException, NotReady) as error:
                reason = f"{type(error).__name__}: {error}"
            failures = 0 if loop.time() - began > STEADY_S else failures + 1
            ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 10))
            pause = self._rng.uniform(ceiling / 2, ceiling)
            yield FeedDown(reason=reason, pause_s=round(pause, 2))
            await asyncio.sleep(pause)


def decode(frame: str | bytes) -> Signals | BadFrame:
    """One frame. Numbers are exact decimals."""
    if isinstance(frame, bytes):
        return BadFrame(error="binary frame: signals are text", begins=repr(frame[:60]))
    try:
        message = json.loads(frame, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return BadFrame(error=f"not JSON: {error}", begins=frame[:60])
    if _deep(message):
        return BadFrame(error=f"nested more than {MAX_DEPTH} deep", begins=frame[:60])
    if not isinstance(message, Mapping) or message.get("type") != "signals":
        return BadFrame(error='must be an object with "type": "signals"', begins=frame[:60])
    signals = message.get("signals")
    if not isinstance(signals, list):
        return BadFrame(error='"signals" must be a list', begins=frame[:60])
    return Signals(raw=tuple(signals))


def _deep(message: object) -> bool:
    """Whether it is nested deeper than any signal: what writes it down later could not follow."""
    level = [message]
    for _ in range(MAX_DEPTH):
        level = [below for each in level if isinstance(each, dict | list) for below in _inside(each)]
        if not level:
            return False
    return True


def _inside(value: dict[str, object] | list[object]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number")
