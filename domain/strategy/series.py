"""Which candles a verdict may look at: closed, without a hole, as many as it needs, and not one more.

Rules of this file: the newest candle must be the one that has just closed, else the verdict would be on an old market;
a candle still under way is left out whatever the venue sent; a hole is never bridged, since a range across it would be
the range of another market. Exactly `needed` candles are handed on, so that a verdict on one candle is the same however
many more were at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Protocol

from domain.market.atr import Candle


class Bar(Candle, Protocol):
    """A whole candle: prices in quote units, `opened_at` is its beginning (UTC)."""

    @property
    def open(self) -> Decimal: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Why a symbol was not judged. `fault`: something failed that should not have; else there is nothing to judge."""

    reason: str
    figures: Mapping[str, object] = field(default_factory=dict)
    fault: bool = False


def closed_run(candles: Sequence[Bar], span: timedelta, closed_at: datetime, needed: int) -> Sequence[Bar] | Skipped:
    """The last `needed` of the candles that were closed at `closed_at`, oldest first, or why they are not to be had."""
    closed = [candle for candle in candles if candle.opened_at + span <= closed_at]
    if not closed or closed[-1].opened_at + span != closed_at:
        newest = closed[-1].opened_at.isoformat() if closed else None
        wanted = (closed_at - span).isoformat()
        return Skipped(reason="late", figures={"newest": newest, "wanted": wanted}, fault=True)
    closed = closed[-needed:]
    for before, candle in pairwise(closed):
        if candle.opened_at - before.opened_at != span:
            figures = {"after": before.opened_at.isoformat(), "next": candle.opened_at.isoformat()}
            return Skipped(reason="gap", figures=figures)
    wrong = next((candle for candle in closed if not _possible(candle)), None)
    if wrong is not None:
        prices = {"open": wrong.open, "high": wrong.high, "low": wrong.low, "close": wrong.close}
        figures = {"opened_at": wrong.opened_at.isoformat(), **{name: str(price) for name, price in prices.items()}}
        return Skipped(reason="impossible_candle", figures=figures, fault=True)
    if len(closed) < needed:
        return Skipped(reason="short_history", figures={"candles": len(closed), "needed": needed})
    return closed


def _possible(candle: Bar) -> bool:
    prices = (candle.open, candle.high, candle.low, candle.close)
    if not all(price.is_finite() and price > 0 for price in prices):
        return False
    return candle.low <= min(candle.open, candle.close) and max(candle.open, candle.close) <= candle.high
