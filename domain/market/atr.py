"""Average true range: how far a market moves within one candle, as J. Welles Wilder defined it.

Source: J. W. Wilder, "New Concepts in Technical Trading Systems" (1978), chapter III. The true range of a candle is the
largest of high - low, |high - previous close| and |low - previous close|; the first average is the plain mean of
`period` true ranges; from then on ATR = (previous ATR x (period - 1) + true range) / period. The first candle has no
previous close and only lends its own, so that `period` + 1 candles are the least.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Protocol

from domain.instrument import MONEY

WARM_UP_PERIODS = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Candle(Protocol):
    """A candle of any source: prices in quote units, `opened_at` is its beginning (UTC)."""

    @property
    def opened_at(self) -> datetime: ...
    @property
    def high(self) -> Decimal: ...
    @property
    def low(self) -> Decimal: ...
    @property
    def close(self) -> Decimal: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What a span of time went through."""

    opened_at: datetime
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AtrRules:
    """Over how many candles of how many minutes the average is taken."""

    period: int = 14
    candle_minutes: int = 5

    @property
    def span(self) -> timedelta:
        """How long one candle lasts."""
        return timedelta(minutes=self.candle_minutes)

    def since(self, now: datetime) -> datetime:
        """From when on candles are needed: four periods, after which the start hardly matters any more."""
        return _begin(now, self.span) - self.span * (self.period * WARM_UP_PERIODS)


def average_true_range(candles: Sequence[Candle], period: int) -> Decimal | None:
    """The ATR after the last of these closed candles, oldest first; None when there are fewer than `period` + 1.

    Raises ValueError for a period below 1.
    """
    if period < 1:
        raise ValueError(f"period={period}: must be at least 1")
    ranges = [true_range(candle, before.close) for before, candle in pairwise(candles)]
    if len(ranges) < period:
        return None
    with localcontext(MONEY):
        average = sum(ranges[:period], Decimal(0)) / period
        for each in ranges[period:]:
            average = (average * (period - 1) + each) / period
    return average


def true_range(candle: Candle, previous_close: Decimal) -> Decimal:
    """How far the price went within one candle, the gap from the one before it included."""
    return max(candle.high, previous_close) - min(candle.low, previous_close)


def closed_candles(minutes: Iterable[Candle], span: timedelta, now: datetime) -> list[Range]:
    """Candles of `span`, begun on its multiples, from shorter ones, oldest first; none still under way at `now`.

    The first is left out when the shorter ones begin in its midst: it would show a part of its range only.
    """
    made: list[Range] = []
    first: datetime | None = None
    for minute in minutes:
        begin = _begin(minute.opened_at, span)
        first = first or minute.opened_at
        if made and made[-1].opened_at == begin:
            known = made[-1]
            made[-1] = Range(
                opened_at=begin,
                high=max(known.high, minute.high),
                low=min(known.low, minute.low),
                close=minute.close,
            )
        else:
            made.append(Range(opened_at=begin, high=minute.high, low=minute.low, close=minute.close))
    if made and first is not None and first > made[0].opened_at:
        made = made[1:]
    return [candle for candle in made if candle.opened_at + span <= now]


def _begin(moment: datetime, span: timedelta) -> datetime:
    return moment - (moment - _EPOCH) % span
