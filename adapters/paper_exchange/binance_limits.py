"""What a client of Binance may ask: request weight a minute, orders in ten seconds and a minute, and bans.

Going on after 429 leads to 418: a ban, which grows with every offence from two minutes to three days. The counts of
orders are the account's, the weight and the ban are the address's.
"""

from collections.abc import Mapping
from typing import Final

from adapters.paper_exchange.binance_codes import banned_words
from adapters.paper_exchange.binance_errors import VenueError

WEIGHT_LIMIT: Final = 2_400
ORDERS_10S: Final = 300
ORDERS_1M: Final = 1_200
_MINUTE: Final = 60_000
_TEN_SECONDS: Final = 10_000
_OFFENCES_TO_BAN: Final = 10
_SHORTEST_BAN: Final = 2 * _MINUTE
_LONGEST_BAN: Final = 3 * 24 * 60 * _MINUTE


class RequestLimits:
    """The counters. `limits` are read at every request: a test may change them."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._minute = 0
        self._weight = 0
        self._order_times: list[int] = []
        self._offences = 0
        self._bans = 0
        self._banned_until = 0

    def weigh(self, cost: int, now: int) -> None:
        """Count a request; raises VenueError 429 or 418."""
        if now < self._banned_until:
            raise self._ban(now)
        if now // _MINUTE != self._minute:
            self._minute, self._weight, self._offences = now // _MINUTE, 0, 0
        self._weight += cost
        limit = self._limits.get("weight", WEIGHT_LIMIT)
        if self._weight <= limit:
            return
        self._offences += 1
        if self._offences > _OFFENCES_TO_BAN:
            self._banned_until = now + min(_SHORTEST_BAN * 2**self._bans, _LONGEST_BAN)
            self._bans += 1
            raise self._ban(now)
        raise VenueError(
            -1003,
            f"Too many requests; current limit is {limit} requests per minute. Please use the websocket for live "
            "updates to avoid polling the API.",
            status=429,
            retry_after_s=(_MINUTE - now % _MINUTE) // 1000 + 1,
        )

    def count_order(self, now: int) -> None:
        """Count an order; raises VenueError -1015."""
        self._forget(now)
        for name, default, span, words in (
            ("orders_10s", ORDERS_10S, _TEN_SECONDS, "10 SECOND"),
            ("orders_1m", ORDERS_1M, _MINUTE, "1 MINUTE"),
        ):
            limit = self._limits.get(name, default)
            if self._orders_since(now - span) >= limit:
                raise VenueError(
                    -1015, f"Too many new orders; current limit is {limit} orders per {words}.", status=429
                )
        self._order_times.append(now)

    def headers(self, now: int) -> dict[str, str]:
        """The counters as every reply carries them. A test's limit above the venue's own is told as a smaller count:
        a client knows the ordinary limit and saves by it.
        """
        self._forget(now)
        used = self._weight if now // _MINUTE == self._minute else 0
        used = used * WEIGHT_LIMIT // max(self._limits.get("weight", WEIGHT_LIMIT), WEIGHT_LIMIT)
        return {
            "X-MBX-USED-WEIGHT-1M": str(used),
            "X-MBX-ORDER-COUNT-10S": str(self._orders_since(now - _TEN_SECONDS)),
            "X-MBX-ORDER-COUNT-1M": str(self._orders_since(now - _MINUTE)),
        }

    def rows(self) -> list[dict[str, object]]:
        """The limits as exchangeInfo lists them."""
        rows = (
            ("REQUEST_WEIGHT", "MINUTE", 1, self._limits.get("weight", WEIGHT_LIMIT)),
            ("ORDERS", "MINUTE", 1, self._limits.get("orders_1m", ORDERS_1M)),
            ("ORDERS", "SECOND", 10, self._limits.get("orders_10s", ORDERS_10S)),
        )
        names = ("rateLimitType", "interval", "intervalNum", "limit")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _orders_since(self, start: int) -> int:
        return sum(time > start for time in self._order_times)

    def _forget(self, now: int) -> None:
        self._order_times = [time for time in self._order_times if time > now - _MINUTE]

    def _ban(self, now: int) -> VenueError:
        wait = (self._banned_until - now) // 1000 + 1
        return VenueError(-1003, banned_words(self._banned_until), status=418, retry_after_s=wait)
