"""S15: requests stay under half of the venue's limits (LAWS.md has the wording).

Binance counts weight a minute and orders in ten seconds, Bybit requests in five seconds from an address. That a
protective order never waits behind a query happens before the wire: no timeline shows it.
"""

from __future__ import annotations

from collections import deque

from tests.oracle.asks import Ask, What
from tests.oracle.book import Book
from tests.oracle.court import Court
from tests.oracle.facts import Asked
from tests.oracle.law import Ears, Law
from tests.oracle.measures import Measures

MANY_STARTS = 2
_MINUTE_MS = 60_000
_TEN_SECONDS_MS = 10_000
_FIVE_SECONDS_MS = 5_000
# Weights of Binance USD-M, by the end of the path; with a symbol, and without one where that costs more.
_WEIGHTS = {
    "openOrders": (1, 40),
    "openAlgoOrders": (1, 40),
    "ticker/24hr": (1, 40),
    "ticker/bookTicker": (2, 5),
    "premiumIndex": (1, 10),
    "positionSide/dual": (30, 30),
    "income": (30, 30),
    "allOrders": (5, 5),
    "allAlgoOrders": (5, 5),
    "userTrades": (5, 5),
    "positionRisk": (5, 5),
    "account": (5, 5),
    "balance": (5, 5),
    "depth": (5, 5),
}
# Candles by the length of the page, which is 500 where none is named.
_CANDLES = ("klines", "markPriceKlines")
_BY_LENGTH = ((99, 1), (499, 2), (1000, 5), (1500, 10))


class Budget(Law):
    """S15. Requests stay under half of the venue's limits.

    Excuse: our process was started over and over; each start reads the account, and knows nothing of the ones before.
    """

    name = "S15"

    def __init__(self, book: Book, court: Court, measures: Measures) -> None:
        super().__init__(book, court, measures)
        self._weights: deque[tuple[int, int]] = deque()
        self._orders: deque[tuple[int, int]] = deque()
        self._requests: deque[tuple[int, int]] = deque()
        self._told = -_MINUTE_MS

    def hears(self) -> Ears:
        return {Asked: self._asked}

    def _asked(self, fact: Asked) -> None:
        ask, line = fact.ask, fact.ask.line
        if ask.outsider:
            return
        self.measures.requests[f"{line.method} {line.path}"] += 1
        terms = self.court.terms
        if line.path.startswith("/v5/"):
            _slide(self._requests, line.t, 1, _FIVE_SECONDS_MS)
            if len(self._requests) * 2 > terms.requests_per_5s:
                self._tell(ask, f"{len(self._requests)} requests in five seconds")
            return
        _slide(self._weights, line.t, _weight(ask), _MINUTE_MS)
        if ask.what is What.PLACE:
            _slide(self._orders, line.t, 1, _TEN_SECONDS_MS)
        weight, orders = sum(w for _, w in self._weights), len(self._orders)
        self.measures.most_weight = max(self.measures.most_weight, weight)
        if weight * 2 > terms.weight_limit or orders * 2 > terms.orders_per_10s:
            self._tell(ask, f"weight {weight} in a minute, {orders} orders in ten seconds")

    def _tell(self, ask: Ask, text: str) -> None:
        if ask.line.t - self._told > _MINUTE_MS:
            self._told = ask.line.t
            starts = self.court.starts_within(ask.line.t - _MINUTE_MS, ask.line.t)
            if starts >= MANY_STARTS:
                self.court.excuse(self.name, f"our process was started {starts} times within the minute")
                return
            self.breach(ask.line.t, "all", text, ask.line)


def _weight(ask: Ask) -> int:
    if ask.line.path.endswith(_CANDLES):
        length = int(ask.line.params.get("limit", 500))
        return next(weight for most, weight in _BY_LENGTH if length <= most or most == 1500)
    for ending, (one, every) in _WEIGHTS.items():
        if ask.line.path.endswith(ending):
            return one if ask.symbol else every
    return 1


def _slide(window: deque[tuple[int, int]], now: int, weight: int, length_ms: int) -> None:
    window.append((now, weight))
    while window[0][0] <= now - length_ms:
        window.popleft()
