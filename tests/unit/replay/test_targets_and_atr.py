"""Take-profits and trailing by the ATR over tapes, computed by hand; the oracle judges the exchange's own record."""

from __future__ import annotations

from dataclasses import replace as changed
from decimal import Decimal
from pathlib import Path

import pytest

from actors.replay.bars import Tape
from actors.replay.command import parse, terms_of
from actors.replay.owner import Terms
from actors.replay.session import Entry, Replayed, replay
from actors.replay.times import MINUTE_MS
from actors.replay.totals import totals
from config.load import load_settings
from domain.market.atr import AtrRules
from domain.position.plan import TakeProfit, TrailingRules
from tests.unit.replay.conftest import START, TapeMaker
from tests.unit.replay.test_replay import HIGH_FIRST, LONG, LOW_FIRST, QUIET, SHORT, one, verdict_on

D = Decimal
HALVES = (TakeProfit(pct=D(1), fraction=D("0.5")), TakeProfit(pct=D(2), fraction=D("0.5")))
STEADY = "100 100.5 99.5 100"
RULES = AtrRules(period=3, candle_minutes=1)


def assert_lawful(row: Replayed, market: Tape) -> None:
    """No law is broken, and the oracle measures the same unprotected time."""
    verdict = verdict_on(row, market)
    assert verdict.clean, verdict.breaches
    assert max((i.length for i in verdict.measures.intervals), default=0) == row.unprotected_ms


# By hand. Bought 2.5 at 100.01: the targets belong at 101.0101 and 102.0102, on the tick 101.02 and 102.02. On the way
# from 100 to 103 the mark passes both: 1.25 are sold a tick of spread below each, at 101.01 and 102.01. That earns
# 1.25 x (1.00 + 2.00) = 3.75.


def test_each_target_takes_its_part(tape: TapeMaker, terms: Terms) -> None:
    market = tape(QUIET, "100 103 100 103", "103 103 103 103")
    row = one(market, changed(terms, trailing=TrailingRules(enabled=False), take_profits=HALVES))
    sold = [(f.price, f.quantity) for f in row.executions if f.side.value == "SELL"]
    assert sold == [(D("101.01"), D("1.25")), (D("102.01"), D("1.25"))]
    assert (row.reason, row.first_stop, row.unprotected_ms) == ("take_profit", D("98.01"), 50)
    assert row.pnl == D("3.75") - row.fees
    assert_lawful(row, market)


def test_a_short_is_the_mirror(tape: TapeMaker, terms: Terms) -> None:
    market = tape(QUIET, "100 100 97 97", "97 97 97 97")
    row = one(market, changed(terms, trailing=TrailingRules(enabled=False), take_profits=HALVES), HIGH_FIRST, SHORT)
    bought = [(f.price, f.quantity) for f in row.executions if f.side.value == "BUY"]
    # Sold at 99.99: targets at 98.9901 and 97.9902, rounded down to 98.99 and 97.99; bought a tick above.
    assert bought == [(D("99.00"), D("1.25")), (D("98.00"), D("1.25"))]
    assert row.reason == "take_profit"
    assert_lawful(row, market)


def test_what_no_target_takes_is_left_to_the_stop(tape: TapeMaker, terms: Terms) -> None:
    market = tape(QUIET, "100 101.5 100 101.5", "101.5 101.5 97 97", "97 97 97 97")
    row = one(market, changed(terms, trailing=TrailingRules(enabled=False), take_profits=HALVES[:1]))
    assert (row.reason, row.executions[-1].price, row.executions[-1].quantity) == ("stop_loss", D("98.00"), D("1.25"))
    assert_lawful(row, market)


def test_the_totals_count_them(tape: TapeMaker, terms: Terms) -> None:
    market = tape(QUIET, "100 103 100 103", "103 103 103 103")
    rows = [one(market, changed(terms, trailing=TrailingRules(enabled=False), take_profits=HALVES))]
    (found,) = totals(rows)
    assert (found.taken, found.other, found.closed) == (1, 0, 1)


# Each candle has a range of 1 and closes where it opened, so the ATR is 1 and two of them are a distance of 2.00. The
# highest mark is 103: the stop ends at 101.00, where half a per cent would have put it at 102.485.


def test_the_stop_keeps_a_distance_of_two_ranges(tape: TapeMaker, terms: Terms) -> None:
    market = tape(*[STEADY] * 5, QUIET, "100 103 100 103", "103 103 103 103")
    by_atr = changed(terms, trailing=TrailingRules(atr_multiple=D(2), min_interval_s=D(0)), atr=RULES)
    (row,) = replay(market, [Entry(at=START + 5 * MINUTE_MS, side=LONG)], by_atr, LOW_FIRST)
    assert (row.last_stop, row.extreme, row.reason) == (D("101.00"), D(103), "open")
    assert_lawful(row, market)


@pytest.mark.parametrize("minutes", [0, 3])
def test_too_few_candles_open_nothing(tape: TapeMaker, terms: Terms, minutes: int) -> None:
    market = tape(*[STEADY] * 5, QUIET)
    by_atr = changed(terms, trailing=TrailingRules(atr_multiple=D(2)), atr=RULES)
    (row,) = replay(market, [Entry(at=START + minutes * MINUTE_MS, side=LONG)], by_atr, LOW_FIRST)
    assert row.reason == "not opened: no_atr"


def test_the_tape_s_own_bars_serve_when_they_are_longer(tape: TapeMaker) -> None:
    market = tape(*[STEADY] * 8)
    assert market.average_range(START + 6 * MINUTE_MS, RULES) == 1
    assert market.average_range(START + 6 * MINUTE_MS, changed(RULES, candle_minutes=2)) is None
    longer = changed(market, bars=market.bars[::2], bar_ms=2 * MINUTE_MS)
    assert longer.average_range(START + 8 * MINUTE_MS, RULES) == 1
    assert longer.average_range(START + 8 * MINUTE_MS - 1, RULES) is None


def test_the_settings_reach_a_replay(tmp_path: Path) -> None:
    text = (
        '[accounts.main]\nexchange = "binanceusdm"\n[protection]\n'
        "take_profits = [{pct = 1, fraction = 0.5}, {pct = 2, fraction = 0.5}]\n"
        "[trailing]\natr_multiple = 2.5\natr_period = 3\natr_candle_minutes = 1\n"
    )
    (tmp_path / "settings.toml").write_text(text)
    settings = load_settings(tmp_path / "settings.toml", {})
    assert list(settings.without_effect()) == []
    terms = terms_of(settings, parse(["any.json"]))
    assert (terms.take_profits, terms.atr, terms.trailing.atr_multiple) == (HALVES, RULES, D("2.5"))
