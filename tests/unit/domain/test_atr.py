"""Wilder's average true range: rows computed by hand, the edges of a candle's life, and what holds of any market."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.market.atr import AtrRules, Range, average_true_range, closed_candles, true_range
from tests.unit.domain.samples import START, D

FIVE = timedelta(minutes=5)


def candle(high: str, low: str, close: str, at: datetime = START) -> Range:
    return Range(opened_at=at, high=D(high), low=D(low), close=D(close))


# high, low, close; the true range against the close before, worked out with pencil and paper.
ROWS = [
    (("102", "98", "100"), None),
    (("103", "99", "101"), "4"),  # high - low
    (("110", "105", "107"), "9"),  # a gap up: 110 - 101
    (("106", "104", "105"), "3"),  # a gap down: 107 - 104
    (("105", "105", "105"), "0"),  # nothing moved
    (("107", "103", "103"), "4"),
]
CANDLES = [candle(*row) for row, _ in ROWS]


def test_true_ranges_by_hand() -> None:
    shown = [true_range(now, before.close) for before, now in pairwise(CANDLES)]
    assert shown == [D(wanted) for _, wanted in ROWS if wanted is not None]


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (1, None),
        (3, None),
        (4, D(16) / 3),  # the mean of 4, 9, 3
        (5, (D(16) / 3 * 2 + 0) / 3),  # 32/9
        (6, ((D(16) / 3 * 2 + 0) / 3 * 2 + 4) / 3),  # 100/27
    ],
)
def test_the_average_by_hand(count: int, wanted: Decimal | None) -> None:
    found = average_true_range(CANDLES[:count], 3)
    if wanted is None:
        assert found is None
    else:
        assert found is not None
        assert round(found, 20) == round(wanted, 20)


def test_a_period_of_one_is_the_last_range() -> None:
    assert average_true_range(CANDLES, 1) == D(4)


def test_no_period_is_refused() -> None:
    with pytest.raises(ValueError, match="period=0: must be at least 1"):
        average_true_range(CANDLES, 0)


def minutes(count: int, first: datetime = START) -> list[Range]:
    """Minute candles that rise by one a minute: the nth goes from n to n + 1."""
    return [
        Range(opened_at=first + timedelta(minutes=n), high=D(n + 1), low=D(n), close=D(n + 1)) for n in range(count)
    ]


def test_longer_candles_hold_all_of_the_shorter_ones() -> None:
    made = closed_candles(minutes(10), FIVE, START + timedelta(minutes=10))
    assert made == [
        Range(opened_at=START, high=D(5), low=D(0), close=D(5)),
        Range(opened_at=START + FIVE, high=D(10), low=D(5), close=D(10)),
    ]


def test_the_candle_under_way_is_left_out() -> None:
    almost = START + timedelta(minutes=10) - timedelta(milliseconds=1)
    assert [c.opened_at for c in closed_candles(minutes(10), FIVE, almost)] == [START]


def test_a_first_candle_that_began_before_is_left_out() -> None:
    late = [replace(m, opened_at=m.opened_at + timedelta(minutes=2)) for m in minutes(8)]
    assert [c.opened_at for c in closed_candles(late, FIVE, START + timedelta(hours=1))] == [START + FIVE]


def test_the_rules_ask_for_four_periods() -> None:
    rules = AtrRules(period=14, candle_minutes=5)
    now = START + timedelta(hours=10, minutes=7, seconds=3)
    assert rules.since(now) == START + timedelta(hours=10, minutes=5) - timedelta(minutes=280)


LARGE = st.integers(0, 10**6)
ROWS_OF_A_MARKET = st.lists(st.tuples(st.integers(1, 10**6), LARGE, LARGE), min_size=2, max_size=60)


@given(rows=ROWS_OF_A_MARKET, period=st.integers(1, 20))
def test_it_lies_between_the_smallest_and_the_largest_range(rows: list[tuple[int, int, int]], period: int) -> None:
    market = [
        Range(opened_at=START, high=D(low + size), low=D(low), close=D(low + min(close, size)))
        for low, size, close in rows
    ]
    ranges = [true_range(now, before.close) for before, now in pairwise(market)]
    found = average_true_range(market, period)
    if len(ranges) < period:
        assert found is None
    else:
        assert found is not None
        assert min(ranges) - D("1e-20") <= found <= max(ranges) + D("1e-20")
        tripled = average_true_range([candle_times(c, 3) for c in market], period)
        assert tripled == pytest.approx(found * 3, rel=D("1e-20"))


def candle_times(candle: Range, factor: int) -> Range:
    """The same market in another unit of money."""
    return replace(candle, high=candle.high * factor, low=candle.low * factor, close=candle.close * factor)
