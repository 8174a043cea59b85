"""The pattern by hand, rule by rule at its edge; and what holds of any market: mirror, scale, no look ahead."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.exchange.interface import Candle
from domain.instrument import PositionSide
from domain.strategy.harami import HaramiRules, find_harami
from domain.strategy.score import strength
from domain.strategy.verdict import Find, StrategyRules, judge
from tests.candles import FIVE, bodies, walk

D = Decimal
RULES = HaramiRules(atr_period=3, trend_candles=4)
SHORT_RULES = StrategyRules(candle_minutes=5, higher_minutes=15, harami=RULES)
MIRROR = D(10_000)


def fall(*pair: tuple[object, object]) -> list[Candle]:
    """Ten candles that fall by 1 each, their ATR 1, down to 90; then the pair."""
    return bodies(*((100 - n, 99 - n) for n in range(RULES.needed - 2)), *pair)[-RULES.needed :]


START = 100 - (RULES.needed - 2)  # where the fall has got to: the pair's opening
PAIR = ((START, START - 2), (START - 2, START - D("1.5")))


def mirrored(candles: list[Candle]) -> list[Candle]:
    return [
        replace(c, open=MIRROR - c.open, high=MIRROR - c.low, low=MIRROR - c.high, close=MIRROR - c.close)
        for c in candles
    ]


def scaled(candles: list[Candle], factor: Decimal) -> list[Candle]:
    return [
        replace(c, open=c.open * factor, high=c.high * factor, low=c.low * factor, close=c.close * factor)
        for c in candles
    ]


def test_a_bullish_one_by_hand() -> None:
    """The body of 2 is twice the ATR, the second a quarter of it and within; the fall before is 4 over 4 candles."""
    found = find_harami(fall(*PAIR), RULES)
    assert found is not None
    assert (found.side, found.atr, found.trend) == (PositionSide.LONG, D(1), D(4))
    assert (found.first_body, found.second_body) == (D(2), D("0.5"))
    # trend 4 ATRs: full; body 2 ATRs: half way from 1 to 3; second: 0.5 of at most 1.
    assert strength(found, RULES) == D("83.3")


def test_a_bearish_one_is_its_mirror_image() -> None:
    found = find_harami(mirrored(fall(*PAIR)), RULES)
    assert found is not None
    assert found.side is PositionSide.SHORT
    assert strength(found, RULES) == D("83.3")


def test_a_cross_is_one_too() -> None:
    found = find_harami(fall((START, START - 2), (START - 1, START - 1)), RULES)
    assert found is not None
    assert found.second_body == 0


E = D("0.0001")
TURNED_DOWN = {
    "first body too short": ((START, START - 1 + E), (START - D("0.9"), START - D("0.8"))),
    "second body too long": ((START, START - 2), (START - 2, START - 1 + E)),
    "second closes below": ((START, START - 2), (START - D("1.5"), START - 2 - E)),
    "second closes above": ((START, START - 1), (START - D("0.1"), START + E)),
    "second opens too far below": ((START, START - 2), (START - D("2.05") - E, START - D("1.9"))),
    "first rises after a fall": ((START, START + 2), (START + 2, START + D("1.5"))),
    "no body at all": ((START, START), (START, START)),
}
LET_THROUGH = {
    "first body just long enough": ((START, START - 1), (START - D("0.9"), START - D("0.8"))),
    "second body just short enough": ((START, START - 2), (START - 2, START - 1)),
    "second closes at the end of the first": ((START, START - 2), (START - D("1.5"), START - 2)),
    "second opens a slack outside": ((START, START - 2), (START - D("2.05"), START - D("1.9"))),
    "second opens where the first began": ((START, START - 2), (START, START - D("0.5"))),
}


@pytest.mark.parametrize("pair", TURNED_DOWN.values(), ids=TURNED_DOWN)
def test_what_just_fails(pair: tuple[tuple[Decimal, Decimal], ...]) -> None:
    assert find_harami(fall(*pair), RULES) is None


@pytest.mark.parametrize("pair", LET_THROUGH.values(), ids=LET_THROUGH)
def test_what_just_passes(pair: tuple[tuple[Decimal, Decimal], ...]) -> None:
    assert find_harami(fall(*pair), RULES) is not None


def test_a_market_that_went_nowhere_has_none() -> None:
    """The same pair after candles that go up and down by 1."""
    sideways = [(START, START - 1) if n % 2 == 0 else (START - 1, START) for n in range(RULES.needed - 2)]
    assert find_harami(bodies(*sideways, *PAIR), RULES) is None
    assert find_harami(bodies(*sideways, *PAIR), replace(RULES, trend_atr=D("0.0001"))) is None


def test_a_market_that_stands_still_has_none() -> None:
    assert find_harami(bodies(*[(START, START)] * (RULES.needed - 2), *PAIR), RULES) is None


def test_the_long_candle_does_not_stretch_its_own_yardstick() -> None:
    found = find_harami(fall((START, START - 50), (START - 50, START - 45)), RULES)
    assert found is not None
    assert found.atr == 1


def test_too_few_candles_are_an_error_of_ours() -> None:
    with pytest.raises(ValueError, match=f"candles={RULES.needed - 1}: a verdict needs {RULES.needed}"):
        find_harami(fall(*PAIR)[1:], RULES)


# What holds of any market. A seeded walk has patterns enough for these to be about something: see the last test.

seeds = st.integers(min_value=0, max_value=10**6)


def verdicts(candles: list[Candle], rules: StrategyRules = SHORT_RULES) -> list[object]:
    """The verdict on each candle, from all that was known when it closed."""
    return [judge(candles[: end + 1], candles[end].opened_at + FIVE, rules) for end in range(len(candles))]


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_a_mirror_image_gives_the_opposite_verdict_with_the_same_scores(seed: int) -> None:
    market = walk(seed, 120)
    for one, other in zip(verdicts(market), verdicts(mirrored(market)), strict=True):
        if not isinstance(one, Find):
            assert other == one
            continue
        assert isinstance(other, Find)
        assert other.harami.side is not one.harami.side
        assert replace(other.harami, side=one.harami.side) == one.harami
        assert (other.score_week, other.score_month) == (one.score_week, one.score_month)


@given(seed=seeds, power=st.integers(min_value=-6, max_value=6))
@settings(max_examples=25, deadline=None)
def test_the_unit_of_the_price_does_not_matter(seed: int, power: int) -> None:
    market = walk(seed, 120)
    for one, other in zip(verdicts(market), verdicts(scaled(market, D(10) ** power)), strict=True):
        if isinstance(one, Find) and isinstance(other, Find):
            assert other.harami.side is one.harami.side
            assert (other.score_week, other.score_month) == (one.score_week, one.score_month)
        else:
            assert other == one


@given(seed=seeds, end=st.integers(min_value=0, max_value=119), later=st.integers(min_value=1, max_value=30))
@settings(max_examples=60, deadline=None)
def test_no_later_candle_changes_a_verdict(seed: int, end: int, later: int) -> None:
    """Nor does one that is still under way, nor one older than what a verdict looks at."""
    market = walk(seed, 150)
    closed_at = market[end].opened_at + FIVE
    known = judge(market[: end + 1], closed_at, SHORT_RULES)
    assert judge(market[: end + 1 + later], closed_at, SHORT_RULES) == known
    if end >= SHORT_RULES.needed:
        assert judge(market[end + 1 - SHORT_RULES.needed : end + 1], closed_at, SHORT_RULES) == known


def test_these_markets_have_patterns_of_both_sides() -> None:
    finds = [each for seed in range(10) for each in verdicts(walk(seed, 120)) if isinstance(each, Find)]
    sides = [find.harami.side for find in finds]
    assert sides.count(PositionSide.LONG) >= 5
    assert sides.count(PositionSide.SHORT) >= 5
    assert all(50 <= find.score_week <= 100 and 0 <= find.score_month <= 100 for find in finds)
