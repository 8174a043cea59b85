"""Who has to hear of a price: each position leaves the band in which it has nothing to decide (ACTORS 3.8).

A price inside every band costs two comparisons, however many positions there are. A position whose band was left is
told once, then everything more accumulates until it registers again. Nothing is lost: whatever a key has not heard,
the touch between two readings included, reaches it as a range (last, low, high) (ACTORS 3.9).

How ranges are kept without work for each key: per symbol two stacks of records, the prices lower (higher) than all that
came later, each with its number. The lowest price since number n is the first record numbered n or later.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar

from domain.position.inputs import PriceRange

Key = TypeVar("Key", bound=Hashable)
RECORDS_BEFORE_PRUNING = 1024


class BandIndex(Generic[Key]):
    """The bands of all positions, by symbol. Not shared between threads: its one owner calls it."""

    def __init__(self) -> None:
        self._symbols: dict[str, _Symbol[Key]] = {}
        self._homes: dict[Key, str] = {}

    def __len__(self) -> int:
        return len(self._homes)

    def register(self, key: Key, symbol: str, low: Decimal | None, high: Decimal | None) -> PriceRange | None:
        """From now on tell `key` of prices <= `low` or >= `high` (None: no bound on that side).

        Returns at once what `key` has not heard yet if that leaves the new band; a new key has not heard the last
        price. Raises ValueError for a bound that is not a number.
        """
        for name, bound in (("low", low), ("high", high)):
            if bound is not None and not bound.is_finite():
                raise ValueError(f"band of {key!r}: {name}={bound}: must be a finite number")
        if self._homes.get(key, symbol) != symbol:
            self.drop(key)
        self._homes[key] = symbol
        return self._symbols.setdefault(symbol, _Symbol()).register(key, low, high)

    def price(self, symbol: str, price: Decimal, at: datetime) -> list[tuple[Key, PriceRange]]:
        """Take a price in. Returns the keys whose band it leaves, each with all that it has not heard yet.

        Raises ValueError for a price that is not finite and positive.
        """
        if not price.is_finite() or price <= 0:
            raise ValueError(f"price of {symbol}={price}: must be finite and positive")
        prices = self._symbols.get(symbol)
        if prices is None:
            prices = self._symbols[symbol] = _Symbol()
        return prices.hear(price, at)

    def heartbeat(self, key: Key) -> PriceRange | None:
        """Take what `key` has not heard yet; None when that is nothing or the key is unknown."""
        symbol = self._homes.get(key)
        return None if symbol is None else self._symbols[symbol].take(key)

    def drop(self, key: Key) -> None:
        """Forget a key; one that is unknown is no error, since the last word of an owner may come twice."""
        symbol = self._homes.pop(key, None)
        if symbol is not None:
            self._symbols[symbol].drop(key)

    def crossed(self, symbol: str, price: Decimal) -> list[Key]:
        """The keys waiting for a price <= their low or >= their high, nearest bound first. Changes nothing."""
        prices = self._symbols.get(symbol)
        return [] if prices is None else prices.crossed(price)


class _Levels(Generic[Key]):
    """Bounds in rising order, each with the keys that wait for it in the order of their registration."""

    __slots__ = ("keys", "prices")

    def __init__(self) -> None:
        self.prices: list[Decimal] = []
        self.keys: list[dict[Key, None]] = []

    def add(self, price: Decimal, key: Key) -> None:
        i = bisect_left(self.prices, price)
        if i == len(self.prices) or self.prices[i] != price:
            self.prices.insert(i, price)
            self.keys.insert(i, {})
        self.keys[i][key] = None

    def remove(self, price: Decimal, key: Key) -> None:
        i = bisect_left(self.prices, price)
        del self.keys[i][key]
        if not self.keys[i]:
            del self.prices[i], self.keys[i]


class _Symbol(Generic[Key]):
    """One symbol's last price, records, and bands."""

    __slots__ = ("at", "bands", "falls", "highs", "last", "lows", "number", "rises", "seen", "since")

    def __init__(self) -> None:
        self.last: Decimal | None = None
        self.at: datetime | None = None
        self.number = 0  # of the last price
        self.falls: tuple[list[int], list[Decimal]] = ([], [])  # records below all later prices
        self.rises: tuple[list[int], list[Decimal]] = ([], [])  # records above all later prices
        self.since: dict[Key, int] = {}  # the first price that a key has not heard
        self.seen: dict[Key, datetime | None] = {}  # the time before which nothing of that was
        self.bands: dict[Key, tuple[Decimal | None, Decimal | None]] = {}  # of the keys that wait
        self.lows: _Levels[Key] = _Levels()
        self.highs: _Levels[Key] = _Levels()

    def register(self, key: Key, low: Decimal | None, high: Decimal | None) -> PriceRange | None:
        self._unwait(key)
        if key not in self.since:
            self.since[key], self.seen[key] = self.number, self.at
        unheard = self._range(key)
        if unheard is not None and (
            (low is not None and unheard.low <= low) or (high is not None and unheard.high >= high)
        ):
            self._heard(key)
            return unheard
        self.bands[key] = (low, high)
        if low is not None:
            self.lows.add(low, key)
        if high is not None:
            self.highs.add(high, key)
        return None

    def hear(self, price: Decimal, at: datetime) -> list[tuple[Key, PriceRange]]:
        self.number += 1
        if self.last is None:
            self.seen = dict.fromkeys(self.seen, at)
        self.last, self.at = price, at
        numbers, records = self.falls
        while records and records[-1] >= price:
            records.pop()
            numbers.pop()
        records.append(price)
        numbers.append(self.number)
        if len(records) > RECORDS_BEFORE_PRUNING + 2 * len(self.since):
            self._prune(self.falls)
        numbers, records = self.rises
        while records and records[-1] <= price:
            records.pop()
            numbers.pop()
        records.append(price)
        numbers.append(self.number)
        if len(records) > RECORDS_BEFORE_PRUNING + 2 * len(self.since):
            self._prune(self.rises)
        lows, highs = self.lows.prices, self.highs.prices
        if (not lows or price > lows[-1]) and (not highs or price < highs[0]):
            return []
        told: list[tuple[Key, PriceRange]] = []
        for key in self.crossed(price):
            unheard = self.take(key)
            self._unwait(key)
            if unheard is not None:
                told.append((key, unheard))
        return told

    def crossed(self, price: Decimal) -> list[Key]:
        below = bisect_left(self.lows.prices, price)
        above = bisect_right(self.highs.prices, price)
        keys = [key for level in reversed(self.lows.keys[below:]) for key in level]
        keys += [key for level in self.highs.keys[:above] for key in level]
        return list(dict.fromkeys(keys))

    def take(self, key: Key) -> PriceRange | None:
        unheard = self._range(key)
        self._heard(key)
        return unheard

    def drop(self, key: Key) -> None:
        self._unwait(key)
        del self.since[key], self.seen[key]

    def _unwait(self, key: Key) -> None:
        low, high = self.bands.pop(key, (None, None))
        if low is not None:
            self.lows.remove(low, key)
        if high is not None:
            self.highs.remove(high, key)

    def _heard(self, key: Key) -> None:
        self.since[key], self.seen[key] = self.number + 1, self.at

    def _range(self, key: Key) -> PriceRange | None:
        since = self.since[key]
        if self.last is None or self.at is None or since > self.number:
            return None
        return PriceRange(
            last=self.last,
            low=self.falls[1][bisect_left(self.falls[0], since)],
            high=self.rises[1][bisect_left(self.rises[0], since)],
            at=self.at,
            since=self.seen[key],
        )

    def _prune(self, stack: tuple[list[int], list[Decimal]]) -> None:
        """Keep only the records that some key would be answered with, and the last."""
        numbers, records = stack
        wanted = {bisect_left(numbers, since) for since in self.since.values()} | {len(numbers) - 1}
        kept = sorted(i for i in wanted if i < len(numbers))
        records[:] = [records[i] for i in kept]
        numbers[:] = [numbers[i] for i in kept]
