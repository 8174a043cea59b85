"""Prices of a simulation: a walk with trends and jumps, or a tape, drawn from the seed, one mark price a second."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from adapters.paper_exchange.candles import Bar

SPAN_S = 15


class Market(Protocol):
    """Where the prices of one symbol come from."""

    def following(self, mark: Decimal) -> Decimal:
        """The mark price after `mark`."""


class Walk:
    """Noise around trends that last for some seconds; now and then a jump."""

    def __init__(self, chance: random.Random, volatility_pct: float) -> None:
        """`volatility_pct`: the typical move of a second, in per cent."""
        self._chance = chance
        self._volatility = volatility_pct
        self._drift = 0.0
        self._left = 0

    def following(self, mark: Decimal) -> Decimal:
        """The mark price after `mark`."""
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

    def following(self, mark: Decimal) -> Decimal:
        """The next point, scaled so that the tape begins at the first `mark`; at its end the price stands still."""
        if self._scale is None:
            self._scale = mark / self._points[0]
        if self._place >= len(self._points):
            return mark
        point = self._points[self._place]
        self._place += 1
        return point * self._scale


def _points(bar: Bar, *, low_first: bool) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    inner = (bar.low, bar.high) if low_first else (bar.high, bar.low)
    return (bar.open, *inner, bar.close)
