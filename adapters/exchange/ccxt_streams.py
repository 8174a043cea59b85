"""Streams that heal themselves, on raw frames of ccxt's websocket client.

ccxt opens the socket, answers pings, measures pongs and tells when the connection is lost. Its parsed `watch_*` calls
are not used: they coalesce updates of one order, hang after a failed snapshot (VENUES T13), report fills that nobody
saw (T8), forget the mark price (T17), stop silently when a handler raises (T14), and give floats. Instead the
instance is made with a message handler of ours that does nothing but queue: every frame arrives once, in order, exact.

Rules of the file: each connection has a ccxt instance of its own, thrown away with it, so no stale key or half-done
login survives (T6, T15). It counts as connected once the venue has acknowledged what must be (login and topics), so
that a reading by REST after that misses nothing. It is lost when ccxt says so (closed, reset, pong missing), when the
venue says so (key expired, login or subscription refused), or, for prices, when none came for `silence_s`; from a venue
that sends changes only any frame will do, a pong too. It is then replaced, without limit.
A frame that cannot be read counts as a gap: Lost and Connected are yielded and the connection goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from loguru import logger

from adapters.exchange.access import AccountAccess
from adapters.exchange.interface import AccountNews, Connected, Lost, PriceNews
from adapters.exchange.outcomes import redact
from adapters.exchange.venue import BadReply

N_co = TypeVar("N_co", covariant=True)
N = TypeVar("N")

_FIRST_BACK_OFF_S = 0.2
# Deaf for no longer after the venue is back (LAWS L1, L3): twelve dials a minute, far below what any venue allows.
_LONGEST_BACK_OFF_S = 5.0
_HEALTHY_AFTER_S = 10.0
_CLOSE_TIMEOUT_S = 2.0


class StreamLost(Exception):
    """The connection is of no more use. Its text is the reason, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """How to open one connection: where, what to send, and what to do beside it while it lives.

    Each message of `greeting` is sent when the one before it was acknowledged (`acknowledges` says so of a frame, or
    raises StreamLost for a refusal); then the stream is connected, and `messages` go out one after the other.
    `changes_only`: the venue is silent while nothing changes, so that any frame proves the stream alive.
    """

    url: str
    greeting: tuple[dict[str, Any], ...] = ()
    acknowledges: Callable[[Any], bool] = bool
    changes_only: bool = False
    messages: tuple[dict[str, Any], ...] = ()
    upkeep: Callable[[], Awaitable[None]] | None = None


class Dialect(Protocol[N_co]):
    """What a venue module knows of one stream."""

    def open(self, access: AccountAccess, on_frame: Callable[[Any, Any], None]) -> Any:
        """A fresh ccxt instance whose message handler is `on_frame(client, message)`."""
        ...

    async def dial(self, api: Any) -> Dial:
        """Whatever must be asked before connecting."""
        ...

    def news(self, frame: Any) -> Iterator[N_co]:
        """What a frame says. Raises BadReply if it cannot be read, StreamLost if it ends the stream."""
        ...


class _Link:
    """One ccxt instance and its one socket. Frames that came before the loss are delivered before it."""

    def __init__(self, access: AccountAccess, dialect: Dialect[Any]) -> None:
        self._access = access
        self._dialect = dialect
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._api = dialect.open(access, self._on_frame)
        self._upkeep: asyncio.Task[None] | None = None
        self._early: deque[Any] = deque()
        self.changes_only = False

    async def open(self) -> None:
        """Connect and subscribe. Raises StreamLost."""
        try:
            dial = await self._dialect.dial(self._api)
        except StreamLost:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller dials again and says why
            raise StreamLost(self._text(error)) from None
        self.changes_only = dial.changes_only
        ended = self._api.watch(dial.url, "frames")
        ended.add_done_callback(self._on_end)
        connected = self._api.client(dial.url).connected
        await asyncio.wait({connected, ended}, timeout=self._access.timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise self._loss(ended)
        if not connected.done():
            raise StreamLost(f"no connection within {self._access.timeout_s} s")
        for number, message in enumerate(dial.greeting):
            self._api.watch(dial.url, "frames", message, f"greeting {number}")
            await self._acknowledged(dial, message)
        for number, message in enumerate(dial.messages):
            self._api.watch(dial.url, "frames", message, f"subscription {number}")
        if dial.upkeep is not None:
            self._upkeep = asyncio.create_task(self._keep_up(dial.upkeep))

    async def next(self, timeout_s: float | None) -> Any:
        """The next frame. Raises StreamLost."""
        if self._early:
            return self._early.popleft()
        return await self._newest(timeout_s)

    async def _newest(self, timeout_s: float | None) -> Any:
        try:
            item = self._queue.get_nowait()
        except asyncio.QueueEmpty:
            try:
                item = await asyncio.wait_for(self._queue.get(), timeout_s)
            except TimeoutError:
                raise StreamLost(f"silent for {self._access.silence_s} s") from None
        if isinstance(item, StreamLost):
            raise item
        return item

    async def _acknowledged(self, dial: Dial, message: dict[str, Any]) -> None:
        """Wait for the answer to a greeting. What the venue pushes before it is news for later. Raises StreamLost."""
        try:
            async with asyncio.timeout(self._access.timeout_s):
                while not dial.acknowledges(frame := await self._newest(None)):
                    self._early.append(frame)
        except TimeoutError:
            raise StreamLost(f"no answer to {message.get('op')!r} within {self._access.timeout_s} s") from None

    def end(self, reason: str) -> None:
        """Let whoever waits for a frame go. Only from the stream's own loop."""
        self._queue.put_nowait(StreamLost(reason))

    async def close(self) -> None:
        """Close the socket, gently for a moment, then by force: a peer that is gone does not answer."""
        if self._upkeep is not None:
            self._upkeep.cancel()
        session = self._api.session
        try:
            await asyncio.wait_for(self._api.close(), _CLOSE_TIMEOUT_S)
        except TimeoutError:
            self._api.session = None
            if session is not None:
                await session.close()

    def _on_frame(self, client: Any, message: Any) -> None:
        """Any frame proves that the peer lives, as a pong does. ccxt's own handlers, which note that, are not run."""
        if client is not None:
            client.lastPong = client.last_message_at
        self._queue.put_nowait(message)

    def _on_end(self, ended: asyncio.Future[Any]) -> None:
        self._queue.put_nowait(self._loss(ended))

    def _loss(self, ended: asyncio.Future[Any]) -> StreamLost:
        error = None if ended.cancelled() else ended.exception()
        return StreamLost("closed" if error is None else self._text(error))

    async def _keep_up(self, upkeep: Callable[[], Awaitable[None]]) -> None:
        try:
            await upkeep()
        except Exception as error:  # noqa: BLE001 - whatever ended it, the connection must not outlive it
            self.end(self._text(error))

    def _text(self, error: BaseException) -> str:
        text = str(error) if isinstance(error, StreamLost) else f"{type(error).__name__}: {error}"
        return redact(text, self._access.secrets)


class _Healing(Generic[N]):
    """Dials, reads, redials. The news of one dialect with Connected and Lost between them."""

    def __init__(
        self, access: AccountAccess, now: Callable[[], datetime], jitter: Callable[[], float] = random.random
    ) -> None:
        self._access = access
        self._now = now
        self._jitter = jitter
        self._closing = asyncio.Event()
        self._link: _Link | None = None
        self._disposals: set[asyncio.Task[None]] = set()

    async def run(self, dialect: Dialect[N], silence_s: float | None) -> AsyncIterator[N | Connected | Lost]:
        """Until `close`. `silence_s`: how long news may stay out."""
        clock = asyncio.get_running_loop().time
        failures = 0
        reason = ""
        while not self._closing.is_set():
            self._link = link = _Link(self._access, dialect)
            opened = clock()
            lost = False
            try:
                await link.open()
                yield Connected(at=self._now())
                heard = clock()
                while not self._closing.is_set():
                    frame = await link.next(None if silence_s is None else max(0.0, heard + silence_s - clock()))
                    if link.changes_only:
                        heard = clock()
                    try:
                        for news in dialect.news(frame):
                            heard = clock()
                            yield news
                    except BadReply as error:
                        logger.warning("STREAM_FRAME_UNREADABLE account={} error={}", self._access.account, error)
                        yield Lost(at=self._now(), reason=f"unreadable frame: {error}")
                        yield Connected(at=self._now())
            except StreamLost as error:
                lost, reason = True, str(error)
            finally:
                self._link = None
                if lost:
                    self._dispose(link)
                else:
                    await link.close()
            if self._closing.is_set():
                break
            failures = 0 if clock() - opened >= _HEALTHY_AFTER_S else failures + 1
            yield Lost(at=self._now(), reason=reason)
            await self._pause(failures)
        await self._disposed()

    async def close(self) -> None:
        """End `run`; sockets are closed when this returns."""
        self._closing.set()
        if self._link is not None:
            self._link.end("closed")
        await self._disposed()

    def _dispose(self, link: _Link) -> None:
        """In the background: closing a half-open connection may take seconds, and the next must not wait for it."""
        task = asyncio.create_task(link.close())
        self._disposals.add(task)
        task.add_done_callback(self._disposals.discard)

    async def _disposed(self) -> None:
        await asyncio.gather(*self._disposals, return_exceptions=True)

    async def _pause(self, failures: int) -> None:
        longest = min(_LONGEST_BACK_OFF_S, _FIRST_BACK_OFF_S * 2 ** min(failures, 10))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), longest * (0.5 + self._jitter() / 2))


class CcxtPriceStream:
    """Implements PriceStream."""

    def __init__(
        self,
        access: AccountAccess,
        dialect: Callable[[AccountAccess, tuple[str, ...]], Dialect[PriceNews]],
        now: Callable[[], datetime],
    ) -> None:
        """`dialect` makes the dialect of a set of symbols."""
        self._access = access
        self._dialect = dialect
        self._healing: _Healing[PriceNews] = _Healing(access, now)

    def watch(self, symbols: tuple[str, ...]) -> AsyncIterator[PriceNews]:
        """Mark prices of `symbols`, of all symbols if there are none, with Connected and Lost between them."""
        return self._healing.run(self._dialect(self._access, symbols), self._access.silence_s)

    async def close(self) -> None:
        """End the stream."""
        await self._healing.close()


class CcxtAccountStream:
    """Implements AccountStream."""

    def __init__(self, access: AccountAccess, dialect: Dialect[AccountNews], now: Callable[[], datetime]) -> None:
        """`dialect` is the venue's."""
        self._dialect = dialect
        self._healing: _Healing[AccountNews] = _Healing(access, now)

    def watch(self) -> AsyncIterator[AccountNews]:
        """Orders, fills and positions in the order received, with Connected and Lost between them."""
        return self._healing.run(self._dialect, None)

    async def close(self) -> None:
        """End the stream."""
        await self._healing.close()
