"""Prices of a simulation: a walk with trends and jumps, or a tape, drawn from the seed.

One mark price a second in trouble, one each `POINT_S` in a long calm (each bar of a minute then shows all its points).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from adapters.paper_exchange.candles import Bar

SPAN_S = 15
POINT_S = 12.0


class Market(Protocol):
    """Where the prices of one symbol come from."""

    def following(self, mark: Decimal, seconds: float) -> Decimal:
        """The mark price `seconds` after `mark`."""


class Walk:
    """Noise around trends that last for some seconds; now and then a jump."""

    def __init__(self, chance: random.Random, volatility_pct: float) -> None:
        """`volatility_pct`: the typical move of a second, in per cent."""
        self._chance = chance
        self._volatility = volatility_pct
        self._drift = 0.0
        self._left = 0

    def following(self, mark: Decimal, seconds: float) -> Decimal:
        """The mark price after `mark`; the steps of this walk are seconds."""
        chance = self._chance
        if self._left <= 0:
            self._left = chance.randrange(3, SPAN_S)
            self._drift = chance.choice((-1.0, -0.5, 0.0, 0.5, 1.0)) * self._volatility
        self._left -= 1
        move = chance.gauss(self._drift, self._volatility)
        if chance.random() < 0.01:
            move += chance.choice((-8, 8)) * self._volatility
        return mark * (1 + Decimal(round(move * 1_000_000)) / 100_000_000)


class TapePlayer:
    """Recorded bars, each in four points: open, both extremes (in either order), close."""

    def __init__(self, bars: Sequence[Bar], *, low_first: bool) -> None:
        self._points = [point for bar in bars for point in _points(bar, low_first=low_first)]
        self._scale: Decimal | None = None
        self._place = 0

    def following(self, mark: Decimal, seconds: float) -> Decimal:
        """The next point, whatever time has passed; the tape begins at the first `mark`, and ends by standing still."""
        if self._scale is None:
            self._scale = mark / self._points[0]
        if self._place >= len(self._points):
            return mark
        point = self._points[self._place]
        self._place += 1
        return point * self._scale


class DayPlayer:
    """Bars of a minute in their own time: open, one extreme, the middle, the other one, close, and lines between."""

    def __init__(self, bars: Sequence[Bar], *, low_first: bool) -> None:
        self._points = [point for bar in bars for point in _five(bar, low_first=low_first)]
        self._scale: Decimal | None = None
        self._played_s = 0.0

    def following(self, mark: Decimal, seconds: float) -> Decimal:
        """The tape `seconds` on, scaled so that it begins at the first `mark`; at its end the price stands still."""
        if self._scale is None:
            self._scale = mark / self._points[0]
        self._played_s += seconds
        place, into = divmod(self._played_s, POINT_S)
        if place + 1 >= len(self._points):
            return mark
        before, after = self._points[int(place)], self._points[int(place) + 1]
        return (before + (after - before) * round(into * 1000) / round(POINT_S * 1000)) * self._scale


def made_bars(chance: random.Random, count: int, volatility_pct: float) -> list[Bar]:
    """Bars where there is no tape: trends of some hours, noise, now and then a minute that runs away.

    `volatility_pct`: the typical move of a minute, in per cent.
    """
    bars, price, drift = [], Decimal(100), 0.0
    for minute in range(count):
        if minute % 90 == 0:
            drift = chance.choice((-0.3, -0.1, 0.0, 0.1, 0.3)) * volatility_pct
        move = chance.gauss(drift, volatility_pct) * (8 if chance.random() < 0.003 else 1)
        close = price * (1 + Decimal(round(move * 10_000)) / 1_000_000)
        wick = Decimal(abs(round(chance.gauss(0.0, volatility_pct / 2) * 10_000))) / 1_000_000
        high, low = max(price, close) * (1 + wick), min(price, close) * (1 - wick)
        bars.append(Bar(open=price, high=high, low=low, close=close))
        price = close
    return bars


def _five(bar: Bar, *, low_first: bool) -> tuple[Decimal, ...]:
    first, second = (bar.low, bar.high) if low_first else (bar.high, bar.low)
    return (bar.open, first, (first + second) / 2, second, bar.close)


def _points(bar: Bar, *, low_first: bool) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    inner = (bar.low, bar.high) if low_first else (bar.high, bar.low)
    return (bar.open, *inner, bar.close)
