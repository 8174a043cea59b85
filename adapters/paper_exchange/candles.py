"""One-minute candles of mark and last price, built from the price points; longer ones by adding them up.

Two days are kept. A minute without a point (the exchange was down, or prices are frozen) is a flat candle.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.orders import Price

MINUTE: Final = 60_000
KEPT_MINUTES: Final = 2_880
INTERVALS: Final = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": 60 * MINUTE,
    "2h": 120 * MINUTE,
    "4h": 240 * MINUTE,
    "6h": 360 * MINUTE,
    "8h": 480 * MINUTE,
    "12h": 720 * MINUTE,
    "1d": 1440 * MINUTE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Open, high, low and close of a price series."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    @classmethod
    def at(cls, price: Decimal) -> "Bar":
        """A bar of one price."""
        return cls(open=price, high=price, low=price, close=price)

    def then(self, other: "Bar") -> "Bar":
        """This bar prolonged by a later one."""
        return Bar(open=self.open, high=max(self.high, other.high), low=min(self.low, other.low), close=other.close)

    def values(self) -> list[str]:
        """Open, high, low, close as decimal strings."""
        return [plain(self.open), plain(self.high), plain(self.low), plain(self.close)]

    @classmethod
    def of(cls, values: Iterable[str]) -> "Bar":
        """The bar of four decimal strings."""
        first, high, low, close = (Decimal(value) for value in values)
        return cls(open=first, high=high, low=low, close=close)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """A span of `points` price points that begins at `open_time` (ms)."""

    symbol: str
    open_time: int
    mark: Bar
    last: Bar
    points: int

    def then(self, other: "Candle") -> "Candle":
        """This candle prolonged by a later one."""
        return Candle(
            symbol=self.symbol,
            open_time=self.open_time,
            mark=self.mark.then(other.mark),
            last=self.last.then(other.last),
            points=self.points + other.points,
        )

    def to_record(self) -> dict[str, Any]:
        """The candle as it is stored."""
        return {
            "kind": "candle",
            "symbol": self.symbol,
            "openTime": self.open_time,
            "mark": self.mark.values(),
            "last": self.last.values(),
            "points": self.points,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Candle":
        """The candle of a stored record."""
        return cls(
            symbol=record["symbol"],
            open_time=record["openTime"],
            mark=Bar.of(record["mark"]),
            last=Bar.of(record["last"]),
            points=record["points"],
        )


class CandleHistory:
    """The candles of all symbols."""

    def __init__(self) -> None:
        self._minutes: dict[str, deque[Candle]] = {}

    def take_price(self, price: Price) -> list[Candle]:
        """Add a point; returns the minutes that it closed."""
        minutes = self._minutes.setdefault(price.symbol, deque(maxlen=KEPT_MINUTES))
        opened = price.time - price.time % MINUTE
        point = Candle(
            symbol=price.symbol, open_time=opened, mark=Bar.at(price.mark), last=Bar.at(price.last), points=1
        )
        if not minutes:
            minutes.append(point)
            return []
        current = minutes[-1]
        if current.open_time >= opened:
            # Also when the clock was set back: time does not run backwards in a series of candles.
            minutes[-1] = current.then(point)
            return []
        closed = [current, *_flat_between(current, opened)]
        minutes.extend(closed[1:])
        minutes.append(point)
        return closed

    def take_candle(self, candle: Candle) -> None:
        """Add a stored minute; one that is not newer than the last is dropped (it was rebuilt from points already)."""
        minutes = self._minutes.setdefault(candle.symbol, deque(maxlen=KEPT_MINUTES))
        if not minutes or candle.open_time > minutes[-1].open_time:
            minutes.append(candle)

    def replace_current(self, candle: Candle) -> None:
        """Set the open minute as a snapshot has it."""
        minutes = self._minutes.setdefault(candle.symbol, deque(maxlen=KEPT_MINUTES))
        while minutes and minutes[-1].open_time >= candle.open_time:
            minutes.pop()
        minutes.append(candle)

    def current(self) -> list[Candle]:
        """The open minute of every symbol."""
        return [minutes[-1] for minutes in self._minutes.values() if minutes]

    def minutes(self, symbol: str) -> list[Candle]:
        """All minutes of a symbol, oldest first, the open one last."""
        return list(self._minutes.get(symbol, ()))

    def candles(self, symbol: str, span: int) -> list[Candle]:
        """Candles of `span` ms, oldest first, the open one last."""
        made: list[Candle] = []
        for minute in self._minutes.get(symbol, ()):
            opened = minute.open_time - minute.open_time % span
            if made and made[-1].open_time == opened:
                made[-1] = made[-1].then(minute)
            else:
                made.append(
                    Candle(symbol=symbol, open_time=opened, mark=minute.mark, last=minute.last, points=minute.points)
                )
        return made


def _flat_between(candle: Candle, until: int) -> list[Candle]:
    """The minutes without a point between a candle and `until`, at most as many as are kept."""
    first = max(candle.open_time + MINUTE, until - KEPT_MINUTES * MINUTE)
    return [
        Candle(
            symbol=candle.symbol,
            open_time=opened,
            mark=Bar.at(candle.mark.close),
            last=Bar.at(candle.last.close),
            points=0,
        )
        for opened in range(first, until, MINUTE)
    ]
