"""Streams in memory: a test says what they yield, and breaks them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from adapters.exchange.interface import Connected, Lost, MarkPrice


class Tape:
    """Implements PriceStream and AccountStream: every incarnation of a feed gets a run of its own."""

    def __init__(self) -> None:
        self.symbols: list[tuple[str, ...]] = []
        self.ended = 0
        self._runs: list[tuple[asyncio.AbstractEventLoop, asyncio.Queue[Any]]] = []
        self._bell = threading.Condition()

    @property
    def runs(self) -> int:
        """How often it was opened."""
        with self._bell:
            return len(self._runs)

    def opened(self, number: int = 1, seconds: float = 30) -> None:
        """Wait until it was opened so often."""
        with self._bell:
            assert self._bell.wait_for(lambda: len(self._runs) >= number, seconds), "the stream was not opened"

    def say(self, *news: object) -> None:
        """Yield news to the latest run."""
        self.opened()
        loop, queue = self._runs[-1]
        for each in news:
            loop.call_soon_threadsafe(queue.put_nowait, each)

    def price(self, symbol: str, price: object, at: datetime | None = None) -> None:
        """Yield a mark price."""
        self.say(MarkPrice(symbol=symbol, price=Decimal(str(price)), at=at or datetime.now(UTC)))

    def connected(self) -> None:
        """Yield Connected."""
        self.say(Connected(at=datetime.now(UTC)))

    def lost(self, reason: str) -> None:
        """Yield Lost."""
        self.say(Lost(at=datetime.now(UTC), reason=reason))

    async def watch(self, symbols: tuple[str, ...] = ()) -> AsyncIterator[Any]:
        """What `say` says; an exception said is raised, None ends it."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        with self._bell:
            self._runs.append((asyncio.get_running_loop(), queue))
            self.symbols.append(symbols)
            self._bell.notify_all()
        try:
            while (news := await queue.get()) is not None:
                if isinstance(news, Exception):
                    raise news
                yield news
        finally:
            self.ended += 1

    async def close(self) -> None:
        """Nothing to give back."""
