"""How good a harami is, as the two scores that a signal carries; both run from 0 to 100.

`score_week` is its strength on its own candles, from 50 (it just passes) to 100: the mean of three parts, each from 0
at the rule's limit to 1: how far the move before it, and how long the first body, exceed what is asked, full at FULL
times as much; how small the second body is, full where there is none.

`score_month` is the agreement of the next higher candles: 50 + 50 x the efficiency ratio (P. J. Kaufman, "Smarter
Trading", 1995) of their last HIGHER_CHANGES closes, counted in the signal's direction. 100: they went its way without a
step back, so that the harami ends a pull-back. 0: they went straight against it. 50: nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from itertools import pairwise

from domain.instrument import MONEY, PositionSide
from domain.market.atr import Candle, closed_candles
from domain.strategy.harami import Harami, HaramiRules

FULL = 3
HIGHER_CHANGES = 12
_TENTH = Decimal("0.1")
_HALF = Decimal(50)


def strength(found: Harami, rules: HaramiRules) -> Decimal:
    """`score_week`: 50 to 100, to a tenth."""
    with localcontext(MONEY):
        smallest = found.first_body * rules.small_body_pct / 100
        parts = (
            _excess(found.trend / found.atr, rules.trend_atr),
            _excess(found.first_body / found.atr, rules.long_body_atr),
            1 - found.second_body / smallest,
        )
        return _rounded(_HALF + _HALF * sum(parts) / len(parts))


def agreement(side: PositionSide, candles: Sequence[Candle], higher: timedelta, closed_at: datetime) -> Decimal:
    """`score_month`: 0 to 100, to a tenth. `candles` are those of the signal, gap-free, enough for HIGHER_CHANGES.

    Raises ValueError for fewer.
    """
    closes = [candle.close for candle in closed_candles(candles, higher, closed_at)][-HIGHER_CHANGES - 1 :]
    if len(closes) <= HIGHER_CHANGES:
        raise ValueError(f"candles={len(candles)}: too few for {HIGHER_CHANGES} changes of {higher}")
    with localcontext(MONEY):
        path = sum((abs(after - before) for before, after in pairwise(closes)), Decimal(0))
        ratio = (closes[-1] - closes[0]) / path if path else Decimal(0)
        return _rounded(_HALF + _HALF * ratio * side.sign)


def needed_for_agreement(span: timedelta, higher: timedelta) -> int:
    """How many candles of `span` hold HIGHER_CHANGES changes of the `higher` ones, wherever these begin."""
    factor = higher // span
    return (HIGHER_CHANGES + 1) * factor + factor - 1


def _excess(value: Decimal, least: Decimal) -> Decimal:
    """0 at `least`, 1 from FULL times that on."""
    return min((value - least) / (least * (FULL - 1)), Decimal(1))


def _rounded(score: Decimal) -> Decimal:
    return score.quantize(_TENTH, rounding=ROUND_HALF_EVEN)
