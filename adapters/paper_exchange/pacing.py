"""When prices move: the one loop of the paper exchange that follows the clock.

Each symbol's feed has its own pace. Points that fall due together are worked off together, none is left out. A tape is
streamed point by point; the synthetic market, like the venue, once a second.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from adapters.paper_exchange.exchange import Feed, PaperExchange
from adapters.paper_exchange.wire import Dialect

_SHORTEST_PAUSE_S: Final = 0.01
_WORK_PAUSE_S: Final = 0.25
# A machine that slept does not owe the market the hours it missed.
_LARGEST_ARREARS_S: Final = 1.0


class Pacer:
    """Moves the prices and the seconds."""

    def __init__(self, exchange: PaperExchange, dialect: Dialect) -> None:
        self._exchange = exchange
        self._dialect = dialect
        feeds: Mapping[str, Feed] = exchange.feeds
        fastest = max((feed.points_per_second for feed in feeds.values()), default=1.0)
        self._pause_s = max(_SHORTEST_PAUSE_S, min(_WORK_PAUSE_S, 1 / max(fastest, 0.1)))
        self._owed = dict.fromkeys(feeds, 0.0)

    async def run(self) -> None:
        """Go on until cancelled."""
        loop = asyncio.get_running_loop()
        before = worked = loop.time()
        second = self._exchange.clock() // 1000
        while True:
            await asyncio.sleep(self._pause_s)
            now = loop.time()
            if not self._exchange.frozen:
                self._move(min(now - before, _LARGEST_ARREARS_S))
            before = now
            if now - worked >= _WORK_PAUSE_S:
                worked = now
                self._exchange.work()
            if self._exchange.clock() // 1000 != second:
                second = self._exchange.clock() // 1000
                self._dialect.second(self._exchange.clock())
                await self._exchange.durable()

    def _move(self, elapsed_s: float) -> None:
        for symbol, feed in self._exchange.feeds.items():
            if symbol in self._exchange.frozen_symbols:
                continue
            self._owed[symbol] += elapsed_s * feed.points_per_second
            while self._owed[symbol] >= 1:
                self._owed[symbol] -= 1
                price = self._exchange.advance(symbol)
                if price is not None and feed.streams_every_point:
                    self._dialect.price(price.time, price)
