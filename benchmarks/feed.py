"""How many mark prices a second a market feed takes in: `python -m benchmarks.feed [--bands 1000]`.

The real `MarketFeed` with a band for each of a thousand positions on as many markets, and nobody else: prices inside
the bands, so that no owner is woken; once handed to its handler one after another, once through a stream, the event
loop and the mailbox as the service has them. The index of bands alone beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

from loguru import logger

from actors.clock import SystemClock
from actors.directory import Directory
from actors.guard import ActorContext
from actors.market_feed import MarketFeed, Wiring
from actors.marks import Marks
from actors.messages import FromStream, Watch
from actors.owners import Owners
from actors.recording import Recorder
from actors.restarts import Roster
from actors.root import start_root, stop_root
from actors.supervision import ChildSpec
from adapters.exchange.interface import MarkPrice
from benchmarks.figures import Figure, table
from domain.identity import PositionId
from domain.market.bands import BandIndex

ACCOUNT = "main"
LOW, HIGH = Decimal(98), Decimal(102)
AIM = "100,000"
LIMIT_S = 120.0


class Recorded:
    """A price stream that yields what was recorded, as fast as it is taken."""

    def __init__(self, prices: list[MarkPrice]) -> None:
        self._prices = prices
        self.go = threading.Event()

    async def watch(self, _symbols: tuple[str, ...] = ()) -> AsyncIterator[MarkPrice]:
        """All prices, then silence. Like a stream it lets others run after each frame."""
        await asyncio.to_thread(self.go.wait)
        for number, price in enumerate(self._prices):
            if number % 1000 == 0:
                await asyncio.sleep(0)
            yield price
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing to give back."""


class CountingFeed(MarketFeed):
    """The feed, which says when it has taken so many prices in."""

    def __init__(self, context: ActorContext, wiring: Wiring, count: int, done: threading.Event) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring)
        self._left = count
        self._done = done

    def receive(self, message: object) -> object:
        """Count prices."""
        answer = super().receive(message)
        if isinstance(message, FromStream):
            self._left -= 1
            if self._left == 0:
                self._done.set()
        return answer


def prices(bands: int, count: int) -> list[MarkPrice]:
    """Marks of all markets in turn, each a little different and none outside its band."""
    at = datetime.now(UTC)
    return [
        MarkPrice(symbol=symbol_of(number % bands), price=Decimal(100) + Decimal(number % 97) / 100, at=at)
        for number in range(count)
    ]


def symbol_of(number: int) -> str:
    """The market of a position."""
    return f"B{number:04}USDT"


def index_alone(bands: int, marks: list[MarkPrice]) -> float:
    """Prices a second into the index."""
    index: BandIndex[int] = BandIndex()
    for number in range(bands):
        index.register(number, symbol_of(number), LOW, HIGH)
    begun = time.perf_counter()
    for mark in marks:
        index.price(mark.symbol, mark.price, mark.at)
    return len(marks) / (time.perf_counter() - begun)


def through_feed(bands: int, marks: list[MarkPrice]) -> tuple[float, float]:
    """Prices a second through stream, loop, mailbox and handler; and into the handler alone."""
    clock = SystemClock()
    clock.start()
    directory = Directory()
    stream, done = Recorded(marks), threading.Event()
    wiring = Wiring(
        account=ACCOUNT, open_stream=lambda: stream, symbols=lambda: (), owners=Owners(), marks=Marks(),
        recorder=Recorder(clock.now()),
    )  # fmt: skip
    feeds: list[CountingFeed] = []
    roster = Roster()

    class Kept(CountingFeed):
        def started(self) -> None:
            feeds.append(self)
            super().started()

    roster.add(ChildSpec(name="feed", factory=lambda context: Kept.start(context, wiring, len(marks), done)))
    root = start_root("root", roster=roster, directory=directory, clock=clock, report_down=lambda _: None)
    try:
        for number in range(bands):
            watch = Watch(position_id=PositionId(number + 1), symbol=symbol_of(number), low=LOW, high=HIGH)
            directory.tell("feed", watch)
        begun = time.perf_counter()
        stream.go.set()
        if not done.wait(LIMIT_S):
            raise TimeoutError(f"{len(marks)} prices were not taken in within {LIMIT_S} s")
        whole = len(marks) / (time.perf_counter() - begun)
    finally:
        stream.go.set()
        stop_root(root, directory, LIMIT_S)
        clock.stop()
    (feed,) = feeds
    messages = [FromStream(news=mark) for mark in marks]
    begun = time.perf_counter()
    for message in messages:
        feed.receive(message)
    return whole, len(marks) / (time.perf_counter() - begun)


def measure(bands: int, count: int, runs: int) -> list[Figure]:
    """All figures; prices a second."""
    marks = prices(bands, count)
    gc.collect()
    gc.freeze()  # the recorded prices are nothing that the service would hold
    where = f"{bands} bands"
    logger.disable("actors")  # of starting and stopping the feed
    both = [through_feed(bands, marks) for _ in range(runs)]
    rates = {
        "mark prices a second, stream to bands through the mailbox": [whole for whole, _ in both],
        "… the feed's handler alone": [alone for _, alone in both],
        "… the index of bands alone": [index_alone(bands, marks) for _ in range(runs)],
    }
    return [
        Figure(name=name, where=where, values=values, aim=AIM if place == 0 else "", digits=0)
        for place, (name, values) in enumerate(rates.items())
    ]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed", description=__doc__.splitlines()[0])
    parser.add_argument("--bands", type=int, default=1000)
    parser.add_argument("--prices", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    sys.stdout.write(table(measure(asked.bands, asked.prices, asked.runs)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
