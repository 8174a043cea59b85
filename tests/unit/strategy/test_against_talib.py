"""ATR, harami and sizes against TA-Lib, which computes in its own way: on made-up candles, and on recorded ones.

TA-Lib gets prices in whole ticks, so that its sums are exact and a tie is a tie. Where our harami differs from its
CDLHARAMI the difference is one of three, named in docs/strategy.md: the yardstick (ATR before the pair, not the average
of ten bodies), the move that must come before, and the slack for the opening. Every disagreement is accounted for by
these, and nothing else is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import talib

from adapters.exchange.interface import Candle
from domain.entries.funds import Funds
from domain.entries.situation import Refusal, Wish
from domain.entries.sizing import Asked, Method, Sizing, Stops, grant
from domain.instrument import PositionSide
from domain.market.atr import WARM_UP_PERIODS, average_true_range, true_range
from domain.strategy.harami import OPEN_SLACK_ATR, HaramiRules, find_harami, is_within
from tests.candles import BEGIN, FIVE, folded, walk
from tests.persistence.samples import BTC
from tests.unit.strategy.recorded import NAMES, recorded

RULES = HaramiRules()
FUNDS = Funds(wallet=Decimal(10_000), equity=Decimal(10_000), free=Decimal(10_000), read_at=BEGIN)
TICK = Decimal("0.01")
BODY_AVERAGE = 10
MINUTES = 10_000
MARKETS = [pytest.param(f"seed {seed}", id=f"seed {seed}") for seed in range(3)]
MARKETS += [pytest.param(name, id=name, marks=pytest.mark.slow) for name in NAMES]
Ticks = dict[str, "np.ndarray[Any, np.dtype[np.float64]]"]


@pytest.fixture(scope="module")
def market(request: pytest.FixtureRequest) -> list[Candle]:
    """The candles of a name, the longest stretch without a hole."""
    name = str(request.param)
    if name.startswith("seed"):
        return walk(int(name.removeprefix("seed ")), 1500)
    return _longest_run(folded(recorded(name, MINUTES), FIVE))


def _longest_run(candles: list[Candle]) -> list[Candle]:
    runs: list[list[Candle]] = [[candles[0]]]
    for before, candle in pairwise(candles):
        if candle.opened_at - before.opened_at == FIVE:
            runs[-1].append(candle)
        else:
            runs.append([candle])
    return max(runs, key=len)


def in_ticks(candles: Sequence[Candle]) -> Ticks:
    """The prices as TA-Lib wants them."""
    names = ("open", "high", "low", "close")
    shown = {name: [getattr(candle, name) / TICK for candle in candles] for name in names}
    assert all(price == int(price) for prices in shown.values() for price in prices)
    return {name: np.array([float(price) for price in prices]) for name, prices in shown.items()}


def their_atr(ticks: Ticks, period: int) -> list[float]:
    """TA-Lib's ATR of each candle, NaN where it has none."""
    found = talib.ATR(ticks["high"], ticks["low"], ticks["close"], timeperiod=period)
    return [float(value) for value in found]


@pytest.mark.parametrize("market", MARKETS, indirect=True)
@pytest.mark.parametrize("period", [2, 14, 50])
def test_the_average_true_range_is_that_of_talib(market: list[Candle], period: int) -> None:
    """From the first value, which neither has earlier, to the last."""
    theirs = their_atr(in_ticks(market[:400]), period)
    for end in [*range(period + 3), *range(period + 3, 400, 13), 399]:
        ours = average_true_range(market[: end + 1], period)
        if ours is None:
            assert np.isnan(theirs[end])
        else:
            assert float(ours / TICK) == pytest.approx(theirs[end], rel=1e-12)


@pytest.mark.parametrize("market", MARKETS, indirect=True)
def test_a_verdict_looks_back_far_enough_for_its_yardstick(market: list[Candle]) -> None:
    """Ours begins anew for each verdict, theirs with the market. What is left of the beginning is (13/14)^42 of it."""
    period, window = RULES.atr_period, RULES.atr_period * WARM_UP_PERIODS + 1
    left = (1 - 1 / period) ** (window - 1 - period)
    assert left < 0.045
    ticks = in_ticks(market)
    theirs = their_atr(ticks, period)
    for end in range(window + period, min(len(market), 1000), 17):
        run = market[end - window + 1 : end + 1]
        ours = average_true_range(run, period)
        first = sum((true_range(now, before.close) for before, now in pairwise(run[: period + 1])), Decimal(0)) / period
        assert ours is not None
        apart = float(first / TICK) - theirs[end - (window - 1 - period)]
        assert float(ours / TICK) - theirs[end] == pytest.approx(left * apart, rel=1e-6, abs=1e-6)


class Criteria:
    """What decides on the pair that ends at `end`, from TA-Lib's figures and whole ticks only."""

    def __init__(self, ticks: Ticks, end: int) -> None:
        begin = end + 1 - RULES.needed
        before = {name: prices[begin : end - 1] for name, prices in ticks.items()}
        atr = their_atr(before, RULES.atr_period)[-1]
        (first_open, second_open), (first, second) = (ticks[name][end - 1 : end + 1] for name in ("open", "close"))
        bodies = np.abs(ticks["close"] - ticks["open"])
        falls = first < first_open
        moved = before["close"][-1 - RULES.trend_candles] - before["close"][-1]
        low, high = min(first_open, first), max(first_open, first)
        slack = float(OPEN_SLACK_ATR) * atr
        closes_within = low <= second <= high
        self.side = PositionSide.LONG if falls else PositionSide.SHORT
        self.trend = bool((moved if falls else -moved) >= atr)
        self.sizes = bool(bodies[end - 1] >= atr and bodies[end] <= bodies[end - 1] / 2 and atr > 0)
        self.within = bool(closes_within and low <= second_open <= high)
        self.with_slack = bool(closes_within and low - slack <= second_open <= high + slack)
        self.their_sizes = bool(
            bodies[end - 1] > bodies[end - 1 - BODY_AVERAGE : end - 1].sum() / BODY_AVERAGE
            and bodies[end] <= bodies[end - BODY_AVERAGE : end].sum() / BODY_AVERAGE
        )


@pytest.mark.parametrize("market", MARKETS, indirect=True)
def test_every_disagreement_with_talib_is_one_of_three_that_are_meant(market: list[Candle]) -> None:
    ticks = in_ticks(market)
    theirs = talib.CDLHARAMI(ticks["open"], ticks["high"], ticks["low"], ticks["close"])
    seen: Counter[str] = Counter()
    for end in range(RULES.needed - 1, len(market)):
        ours = find_harami(market[: end + 1], RULES)
        criteria = Criteria(ticks, end)
        first, second = market[end - 1 : end + 1]
        assert is_within(first, second, Decimal(0)) == criteria.within
        # Theirs is containment and the sizes by ten bodies; ours is the rest. Neither is anything more.
        assert bool(theirs[end]) == (criteria.within and criteria.their_sizes)
        assert (ours is not None) == (criteria.with_slack and criteria.sizes and criteria.trend)
        if theirs[end] and first.open != first.close:
            side = PositionSide.LONG if theirs[end] > 0 else PositionSide.SHORT
            assert side is criteria.side
            assert ours is None or ours.side is side
        if ours is not None and theirs[end]:
            seen["both"] += 1
        elif ours is not None:
            seen["ours: slack" if not criteria.within else "ours: yardstick"] += 1
        elif theirs[end]:
            seen["theirs: no move before" if not criteria.trend else "theirs: yardstick"] += 1
    print(len(market), dict(sorted(seen.items())))  # noqa: T201 - docs/strategy.md shows these figures
    assert seen["both"] >= 5, "the agreement is about something"
    assert seen["theirs: no move before"] >= 5


@pytest.mark.parametrize("market", MARKETS, indirect=True)
@pytest.mark.parametrize("side", PositionSide)
def test_the_size_by_atr_is_that_of_plain_arithmetic_on_talib_s_atr(market: list[Candle], side: PositionSide) -> None:
    """Risk per trade over (ATR x multiple), a step at most below it; the loss at the stop is the risk that was set."""
    ticks = in_ticks(market)
    theirs = their_atr(ticks, RULES.atr_period)
    equity, risk_pct, multiple, step = 10_000.0, 0.5, 2.0, Decimal("0.0001")
    sizing = Sizing(method=Method.ATR, risk_pct=Decimal("0.5"), atr_multiple=Decimal(2))
    sized = 0
    for end in range(RULES.atr_period, min(len(market), 1000), 23):
        close = market[end].close
        instrument = replace(BTC, tick=TICK, step=step, min_quantity=step, min_notional=Decimal(5))
        wish = Wish(
            account="main", symbol=BTC.symbol, instrument=instrument, side=side, key=None, created_at=None
        )
        atr = average_true_range(market[: end + 1], RULES.atr_period)
        stops = Stops(usual_pct=Decimal(2), farthest_pct=Decimal(60))
        granted = grant(wish, Asked(), sizing, stops, close, FUNDS, atr)
        distance = theirs[end] * float(TICK) * multiple
        wanted = equity * risk_pct / 100 / distance
        if isinstance(granted, Refusal):
            assert granted.code in ("above_maximum", "below_minimum", "stop_too_far")
            continue
        sized += 1
        assert wanted - float(step) * 1.000001 <= float(granted.quantity) <= wanted * 1.000001
        assert granted.stop_price is not None
        assert float(abs(close - granted.stop_price)) == pytest.approx(distance, rel=1e-4)
        lost = float(granted.quantity * abs(close - granted.stop_price))
        assert lost == pytest.approx(equity * risk_pct / 100, rel=1e-3 + float(step) / wanted)
    assert sized >= 20
