"""Harami: a long candle that ends a move, and a small one within its body that says the move has lost its breath.

Sources: S. Nison, "Japanese Candlestick Charting Techniques" (1991), chapter 6; G. L. Morris, "Candlestick Charting
Explained" (3rd ed. 2006), on the harami and on what makes a day long; J. W. Wilder (1978) for the ATR. They agree on
the picture and leave the measures open. Ours, for the last two of a run of closed candles, `first` and `second`:

1. Yardstick: the ATR of the candles *before* the pair, so that the long candle does not stretch its own measure.
2. Move before: the close before `first` lies at least `trend_atr` ATRs beyond the close `trend_candles` earlier, in the
   direction of `first`. A harami in a market that goes nowhere says nothing.
3. Long: the body of `first` (open to close) is at least `long_body_atr` ATRs.
4. Small: the body of `second` is at most `small_body_pct` percent of that of `first`; no body at all (a harami cross)
   is the extreme case.
5. Within: `second` closes inside the body of `first`, and opens inside it or at most OPEN_SLACK_ATR ATRs outside. The
   books ask for an opening inside, which means a gap; a market that never closes opens where it closed, a tick off on
   either side.

A falling `first` makes it bullish (buy), a rising one bearish (sell). The colour of `second` is not asked for: what
opens near the close of `first` and closes inside its body goes against it or nowhere. Nor are shadows.

Rules of this file: every measure is a difference of prices over another one, so that neither the unit of the price nor
its mirror image changes a verdict; nothing after `second` is looked at, and never more before it than `needed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from domain.instrument import MONEY, PositionSide, percent_of
from domain.market.atr import WARM_UP_PERIODS, average_true_range
from domain.strategy.series import Bar

OPEN_SLACK_ATR = Decimal("0.05")
PAIR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HaramiRules:
    """The measures of the pattern, as the head of this file explains them."""

    atr_period: int = 14
    long_body_atr: Decimal = Decimal(1)
    small_body_pct: Decimal = Decimal(50)
    trend_candles: int = 6
    trend_atr: Decimal = Decimal(1)

    @property
    def needed(self) -> int:
        """How many candles a verdict looks at: four periods for the ATR to settle, or the move, and the pair."""
        return max(self.atr_period * WARM_UP_PERIODS, self.trend_candles) + 1 + PAIR


@dataclass(frozen=True, slots=True, kw_only=True)
class Harami:
    """One found: which way it points, and what decided it, in quote units. `trend` is the size of the move before."""

    side: PositionSide
    atr: Decimal
    first_body: Decimal
    second_body: Decimal
    trend: Decimal


def find_harami(candles: Sequence[Bar], rules: HaramiRules) -> Harami | None:
    """The harami that the last two of these closed candles make, oldest first; None if they make none.

    Raises ValueError for fewer than `rules.needed` candles.
    """
    if len(candles) < rules.needed:
        raise ValueError(f"candles={len(candles)}: a verdict needs {rules.needed}")
    before, (first, second) = candles[-rules.needed : -PAIR], candles[-PAIR:]
    atr = average_true_range(before, rules.atr_period)
    if not atr:
        return None  # a market that stands still has no long candle
    side = PositionSide.LONG if first.close < first.open else PositionSide.SHORT
    with localcontext(MONEY):
        first_body, second_body = abs(first.close - first.open), abs(second.close - second.open)
        trend = (before[-1 - rules.trend_candles].close - before[-1].close) * side.sign
        found = (
            trend >= rules.trend_atr * atr
            and first_body >= rules.long_body_atr * atr
            and second_body <= percent_of(first_body, rules.small_body_pct)
            and is_within(first, second, OPEN_SLACK_ATR * atr)
        )
    if not found:
        return None
    return Harami(side=side, atr=atr, first_body=first_body, second_body=second_body, trend=trend)


def is_within(first: Bar, second: Bar, slack: Decimal) -> bool:
    """Whether `second` closes within the body of `first` and opens in it or at most `slack` outside."""
    low, high = sorted((first.open, first.close))
    return low <= second.close <= high and low - slack <= second.open <= high + slack
