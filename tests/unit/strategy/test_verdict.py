"""Which candles count, what the higher ones say, when it is time, and the signal that comes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapters.exchange.interface import Candle
from domain.entries.signal import Action, parse_signal
from domain.instrument import PositionSide
from domain.strategy.harami import Harami
from domain.strategy.schedule import candle_due, next_look
from domain.strategy.score import HIGHER_CHANGES, agreement, needed_for_agreement
from domain.strategy.series import Skipped, closed_run
from domain.strategy.verdict import Find, Origin, StrategyRules, as_signal, figures
from tests.candles import BEGIN, FIVE, bodies, walk

D = Decimal
HOUR = timedelta(hours=1)
MARKET = walk(1, 40)
CLOSED = MARKET[-1].opened_at + FIVE


def reason(found: object) -> str:
    assert isinstance(found, Skipped)
    return found.reason


def test_exactly_the_last_ones_are_handed_on() -> None:
    assert closed_run(MARKET, FIVE, CLOSED, 30) == MARKET[10:]


def test_a_candle_under_way_is_never_among_them() -> None:
    """The venue lists it last. An instant before its end it is still under way."""
    just_before = CLOSED - timedelta(microseconds=1)
    assert closed_run(MARKET, FIVE, MARKET[-1].opened_at, 30) == MARKET[9:-1]
    assert reason(closed_run(MARKET, FIVE, just_before, 30)) == "late"


def test_what_is_late_says_what_there_is_and_what_there_should_be() -> None:
    skipped = closed_run(MARKET[:-1], FIVE, CLOSED, 30)
    assert isinstance(skipped, Skipped)
    assert skipped.fault
    newest, wanted = MARKET[-2].opened_at.isoformat(), MARKET[-1].opened_at.isoformat()
    assert (skipped.reason, skipped.figures) == ("late", {"newest": newest, "wanted": wanted})
    assert closed_run([], FIVE, CLOSED, 30) == Skipped(
        reason="late", figures={"newest": None, "wanted": wanted}, fault=True
    )


def test_a_short_history_is_no_fault() -> None:
    wanted = Skipped(reason="short_history", figures={"candles": 40, "needed": 41})
    assert closed_run(MARKET, FIVE, CLOSED, 41) == wanted


@pytest.mark.parametrize("missing", [11, 20, 38])
def test_a_hole_is_never_bridged(missing: int) -> None:
    holed = MARKET[:missing] + MARKET[missing + 1 :]
    skipped = closed_run(holed, FIVE, CLOSED, 29)
    assert reason(skipped) == "gap"
    assert isinstance(skipped, Skipped)
    assert skipped.figures["after"] == MARKET[missing - 1].opened_at.isoformat()


def test_a_hole_before_what_is_looked_at_does_not_matter() -> None:
    assert closed_run(MARKET[:5] + MARKET[6:], FIVE, CLOSED, 30) == MARKET[10:]


def test_the_same_candle_twice_is_a_hole_too() -> None:
    assert reason(closed_run([*MARKET[:20], MARKET[19], *MARKET[20:]], FIVE, CLOSED, 30)) == "gap"


@pytest.mark.parametrize(
    "broken",
    [
        replace(MARKET[-1], high=D("0.5")),
        replace(MARKET[-1], low=D(10**6)),
        replace(MARKET[-1], low=D(0)),
        replace(MARKET[-1], close=D("NaN")),
        replace(MARKET[-1], open=D("Infinity")),
    ],
    ids=["high below", "low above", "zero", "NaN", "infinite"],
)
def test_a_candle_that_cannot_be_is_not_judged(broken: Candle) -> None:
    skipped = closed_run([*MARKET[:-1], broken], FIVE, CLOSED, 30)
    assert reason(skipped) == "impossible_candle"
    assert isinstance(skipped, Skipped)
    assert skipped.fault


# The higher candles.


@pytest.mark.parametrize(("step", "long", "short"), [(1, 100, 0), (-1, 0, 100), (0, 50, 50)])
def test_agreement_of_a_steady_market(step: int, long: int, short: int) -> None:
    candles = bodies(*((10_000 + n * step, 10_000 + (n + 1) * step) for n in range(167)))
    closed_at = candles[-1].opened_at + FIVE
    assert agreement(PositionSide.LONG, candles, HOUR, closed_at) == long
    assert agreement(PositionSide.SHORT, candles, HOUR, closed_at) == short


def test_agreement_by_hand() -> None:
    """Hours that end at 100, then 11 times +2, once -4: a way of 26 for a gain of 18: 50 + 50 x 18/26.

    The hour before those, at 500, does not count any more.
    """
    closes = [500, 100, *(100 + 2 * n for n in range(1, HIGHER_CHANGES)), 100 + 2 * (HIGHER_CHANGES - 1) - 4]
    candles = bodies(*((close, close) for close in closes for _ in range(12)))
    assert agreement(PositionSide.LONG, candles, HOUR, BEGIN + len(closes) * HOUR) == D("84.6")
    assert agreement(PositionSide.SHORT, candles, HOUR, BEGIN + len(closes) * HOUR) == D("15.4")


@pytest.mark.parametrize("minutes", [15, 30, 60, 240])
def test_the_candles_needed_for_agreement_are_enough_wherever_the_higher_ones_begin(minutes: int) -> None:
    higher = timedelta(minutes=minutes)
    needed = needed_for_agreement(FIVE, higher)
    market = walk(3, needed + higher // FIVE)
    for shift in range(higher // FIVE):
        run = market[shift : shift + needed]
        agreement(PositionSide.LONG, run, higher, run[-1].opened_at + FIVE)
    with pytest.raises(ValueError, match="too few"):
        agreement(PositionSide.LONG, market[1:needed], higher, market[needed - 1].opened_at + FIVE)


# When.

DELAY = timedelta(seconds=3)
NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "due"),
    [(0, None), (2.9, None), (3, NOON), (10, NOON), (63, NOON), (63.1, None), (299, None), (303, NOON + FIVE)],
)
def test_a_candle_is_due_for_a_while_after_its_close(seconds: float, due: datetime | None) -> None:
    assert candle_due(NOON + timedelta(seconds=seconds), FIVE, DELAY) == due


@pytest.mark.parametrize("seconds", [3, 60, 299, 302.9])
def test_the_next_look_is_the_moment_at_which_a_candle_becomes_due(seconds: float) -> None:
    look = next_look(NOON + timedelta(seconds=seconds), FIVE, DELAY)
    assert look == NOON + FIVE + DELAY
    assert candle_due(look, FIVE, DELAY) == NOON + FIVE
    assert candle_due(look - timedelta(microseconds=1), FIVE, DELAY) is None


# The signal.

FOUND = Find(
    harami=Harami(side=PositionSide.SHORT, atr=D(1), first_body=D(2), second_body=D("0.5"), trend=D(4)),
    score_week=D("83.3"),
    score_month=D("40.0"),
)
ORIGIN = Origin(account="main", exchange="bybit", symbol="1000PEPEUSDT")


def test_a_signal_is_like_any_other_and_follows_from_its_candle_alone() -> None:
    signal = as_signal(FOUND, ORIGIN, NOON, StrategyRules())
    assert signal.id == "harami-main-1000PEPEUSDT-5m-2026-11-30T12:00"
    assert (signal.account, signal.exchange, signal.symbol) == ("main", "bybit", "1000PEPEUSDT")
    assert (signal.action, signal.wave, signal.created_at) == (Action.SELL, "2026-11-30T12:00", NOON)
    names = ("id", "symbol", "exchange", "account", "score_week", "score_month", "wave")
    sent = {name: getattr(signal, name) for name in names} | {"action": "SELL", "created_at": NOON.isoformat()}
    assert parse_signal(sent) == signal, "what the feed would take, too"


def test_the_longest_names_still_make_an_id_that_the_feed_would_take() -> None:
    longest = Origin(account="a" * 32, exchange="binanceusdm", symbol="B" * 40)
    signal = as_signal(FOUND, longest, NOON, StrategyRules(candle_minutes=240))
    assert len(signal.id) <= 128


def test_the_figures_that_decided_go_with_it() -> None:
    shown = figures(replace(FOUND, harami=replace(FOUND.harami, atr=D(1) / 3 * 3 + D("1e-20"))), StrategyRules())
    assert (shown["atr"], shown["first_body"], shown["second_body"], shown["trend"]) == ("1.0000000", "2", "0.5", "4")
