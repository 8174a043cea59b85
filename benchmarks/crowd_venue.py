"""The venue of a crowd, in memory: it takes every order at once, and its prices are what it is told to say."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from actors import messages
from actors.directory import Directory
from adapters.exchange.interface import MarkPrice
from benchmarks.stopwatch import Stopwatch
from domain.identity import OrderKind
from domain.instrument import Instrument, PositionSide
from domain.orders import Accepted, OrderIntent, OrderReport, OrderStatus, Outcome, PositionReport, Source
from domain.position.inputs import PositionHeard
from tests.actors.order_path.scripted import ScriptedClient

PRICE = Decimal(100)
QUANTITY = Decimal(5)
STREAM_S = 0.002


class Venue(ScriptedClient):
    """Takes every order at once."""

    def __init__(self, markets: Mapping[str, Instrument], watch: Stopwatch, directory: Directory) -> None:
        super().__init__()
        self.markets = markets
        self.limits = ()  # what is measured is how fast orders leave
        self._watch = watch
        self._directory = directory
        self._numbers = itertools.count(1)

    async def place(self, intent: OrderIntent) -> Outcome:
        """Accepted; an entry is filled, and its owner hears the size at once, as from the private stream."""
        if intent.kind is OrderKind.STOP:
            self._watch.out(intent.client_id)
        else:
            heard = PositionHeard(report=held(intent.symbol, Source.STREAM))
            asyncio.get_running_loop().call_later(STREAM_S, self._directory.tell, _owner(intent), heard)
        now = datetime.now(UTC)
        number = str(next(self._numbers))
        report = _filled(intent, number, now) if intent.kind is OrderKind.ENTRY else None
        return Accepted(
            client_id=intent.client_id, exchange_id=number, report=report, sent_at=now, answered_at=now
        )

    async def _do(self, _name: str, _about: Any, answer: Any) -> Any:
        return answer

    async def position(self, symbol: str, _side: PositionSide | None) -> PositionReport:
        """What the entry made."""
        return held(symbol, Source.QUERY)


class Prices:
    """A price stream that yields frames of prices."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._run: tuple[asyncio.AbstractEventLoop, asyncio.Queue[Sequence[tuple[str, Decimal, bool]]]] | None = None

    @property
    def open(self) -> bool:
        """Whether the feed listens."""
        return self._run is not None

    def say(self, frame: Sequence[tuple[str, Decimal, bool]]) -> None:
        """Yield a frame of (symbol, mark price, whether it is timed)."""
        if self._run is None:
            raise RuntimeError("the price stream is not open")
        loop, frames = self._run
        loop.call_soon_threadsafe(frames.put_nowait, frame)

    async def watch(self, _symbols: tuple[str, ...] = ()) -> AsyncIterator[MarkPrice]:
        """All prices of a frame are in when the frame is."""
        frames: asyncio.Queue[Sequence[tuple[str, Decimal, bool]]] = asyncio.Queue()
        self._run = (asyncio.get_running_loop(), frames)
        while True:
            frame = await frames.get()
            at, now = self._watch.now(), datetime.now(UTC)
            for symbol, price, timed in frame:
                if timed:
                    self._watch.mark_in(symbol, at)
                yield MarkPrice(symbol=symbol, price=price, at=now)

    async def close(self) -> None:
        """Nothing to give back."""


def held(symbol: str, source: Source) -> PositionReport:
    """The venue's row of a position of the crowd."""
    return PositionReport(
        symbol=symbol, position_side=None, quantity=QUANTITY, entry_price=PRICE, mark_price=PRICE,
        liquidation_price=None, at=datetime.now(UTC), source=source,
    )  # fmt: skip


def _owner(intent: OrderIntent) -> str:
    return messages.position(intent.position_id)


def _filled(intent: OrderIntent, number: str, at: datetime) -> OrderReport:
    return OrderReport(
        symbol=intent.symbol, client_id=intent.client_id, exchange_id=number, conditional=False, side=intent.side,
        status=OrderStatus.FILLED, quantity=intent.quantity, filled=intent.quantity, average_price=PRICE,
        trigger_price=None, reduce_only=False, close_position=False, position_side=None, child_id=None, reason="",
        at=at, source=Source.REPLY,
    )  # fmt: skip
