"""How far a market moves within a minute, from the prices that were heard now and then: a floor, not a measurement.

What passed between two prices heard is not in it. It costs no request and no candle of the venue's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from domain.market.atr import Range, average_true_range

PERIOD = 14


class Minutes:
    """The last minutes of one market."""

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._candles: deque[Range] = deque(maxlen=PERIOD + 1)

    def hear(self, price: Decimal, now: datetime) -> None:
        """Take a price in."""
        begun = now.replace(second=0, microsecond=0)
        if self._candles and self._candles[-1].opened_at == begun:
            known = self._candles[-1]
            self._candles[-1] = replace(
                known, high=max(known.high, price), low=min(known.low, price), close=price
            )
        else:
            self._candles.append(Range(opened_at=begun, high=price, low=price, close=price))

    def average_range(self) -> Decimal:
        """The average true range of the minutes heard, the present one included; 0 as long as nothing was."""
        if len(self._candles) < 2:
            return self._candles[0].high - self._candles[0].low if self._candles else Decimal(0)
        return average_true_range(self._candles, len(self._candles) - 1) or Decimal(0)
