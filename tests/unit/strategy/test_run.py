"""A run over many symbols: few at a time, asked again when it fails, over in any case, every symbol with its end."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.exchange.interface import Candle
from domain.strategy.run import AGAIN, ANSWER, ATTEMPTS, IN_FLIGHT, LONGEST, Run
from domain.strategy.series import Skipped
from domain.strategy.verdict import StrategyRules
from tests.candles import FIVE, walk

RULES = StrategyRules()
MARKET = walk(7, RULES.needed)
CLOSED = MARKET[-1].opened_at + FIVE
T0 = timedelta(seconds=1000)
SECOND = timedelta(seconds=1)


def run_of(*symbols: str) -> Run:
    return Run(CLOSED, symbols, RULES, T0)


def test_few_are_asked_for_at_a_time_and_the_next_when_one_is_heard() -> None:
    names = [f"S{n}" for n in range(6)]
    run = run_of(*names)
    assert run.asks(T0) == names[:IN_FLIGHT]
    assert run.asks(T0) == []
    run.heard("S1", MARKET, T0)
    assert run.asks(T0) == ["S4"]
    for symbol in names:
        run.asks(T0)
        run.heard(symbol, MARKET, T0)
    assert run.over
    assert (run.symbols, sorted([*run.quiet, *run.finds])) == (6, names)


def test_a_late_venue_is_asked_again_and_heard_in_the_end() -> None:
    run = run_of("A")
    run.asks(T0)
    run.heard("A", MARKET[:-1], T0)
    assert run.asks(T0) == []
    assert run.next_at() == T0 + AGAIN
    assert run.asks(T0 + AGAIN) == ["A"]
    run.heard("A", MARKET, T0 + AGAIN)
    assert run.over
    assert not run.skipped


def test_one_that_stays_late_is_skipped_as_late() -> None:
    run, now = run_of("A"), T0
    for _ in range(ATTEMPTS):
        assert run.asks(now) == ["A"]
        run.heard("A", MARKET[:-1], now)
        now += AGAIN
    assert run.over
    assert run.skipped["A"].reason == "late"
    assert run.faults == 1


def test_what_will_not_get_better_is_not_asked_for_again() -> None:
    run = run_of("YOUNG", "HOLED")
    run.asks(T0)
    run.heard("YOUNG", MARKET[5:], T0)
    run.heard("HOLED", MARKET[:50] + MARKET[51:], T0)
    assert run.over
    assert {symbol: each.reason for symbol, each in run.skipped.items()} == {"YOUNG": "short_history", "HOLED": "gap"}
    assert run.faults == 0


def test_a_failure_says_the_last_error() -> None:
    run, now = run_of("A"), T0
    for error in ("first", "second", "third"):
        assert run.asks(now) == ["A"]
        run.failed("A", error, now)
        now += AGAIN
    assert run.skipped["A"] == Skipped(reason="no_candles", figures={"error": "third"}, fault=True)


def test_a_question_that_nobody_answers_makes_room_for_others() -> None:
    """A gateway that died took four questions with it: the others are asked all the same."""
    names = [f"S{n}" for n in range(5)]
    run = run_of(*names)
    run.asks(T0)
    assert run.next_at() == T0 + ANSWER
    assert run.asks(T0 + ANSWER) == ["S4"]


def test_an_answer_that_comes_after_all_counts_once() -> None:
    run = run_of("A")
    run.asks(T0)
    run.asks(T0 + ANSWER)
    run.heard("A", MARKET, T0 + ANSWER)
    assert run.over
    run.failed("A", "late failure", T0 + ANSWER)
    run.heard("A", MARKET, T0 + ANSWER)
    assert run.symbols == 1
    assert not run.skipped


def test_when_its_time_is_up_everything_open_is_skipped() -> None:
    names = [f"S{n}" for n in range(9)]
    run = run_of(*names)
    run.asks(T0)
    run.heard("S0", MARKET, T0)
    assert run.asks(T0 + LONGEST) == []
    assert run.over
    assert run.symbols == 9
    assert {each.reason for each in run.skipped.values()} == {"no_candles"}


def test_short_candles_leave_less_time() -> None:
    minute = StrategyRules(candle_minutes=1, higher_minutes=15)
    run = Run(CLOSED, ["A"], minute, T0)
    run.asks(T0)
    assert not run.over
    run.asks(T0 + min(LONGEST, minute.span / 2))
    assert run.over


def test_who_is_not_asked_for_has_its_reason_from_the_start() -> None:
    run = Run(CLOSED, [], RULES, T0, {"OLDUSDT": Skipped(reason="not_trading")})
    assert run.over
    assert (run.symbols, run.faults) == (1, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("heard", "late", "short", "failed", "wait")),
        st.integers(min_value=0, max_value=11),
        st.integers(min_value=0, max_value=4),
    ),
    max_size=60,
)


@given(steps=STEPS)
@settings(max_examples=200, deadline=None)
def test_whatever_comes_every_symbol_ends_once_and_in_time(steps: list[tuple[str, int, int]]) -> None:
    answers: dict[str, list[Candle]] = {"heard": MARKET, "late": MARKET[:-1], "short": MARKET[-5:]}
    names = [f"S{n}" for n in range(10)]
    run, now = run_of(*names), T0
    asked: dict[str, int] = {}
    for what, place, seconds in steps:
        for symbol in run.asks(now):
            asked[symbol] = asked.get(symbol, 0) + 1
        symbol = f"S{place}"
        if what in answers:
            run.heard(symbol, answers[what], now)
        elif what == "failed":
            run.failed(symbol, "no", now)
        now += seconds * SECOND
    end = T0 + LONGEST
    while not run.over:
        assert run.next_at() <= end
        now = max(now, run.next_at())
        for symbol in run.asks(now):
            asked[symbol] = asked.get(symbol, 0) + 1
    assert sorted([*run.finds, *run.quiet, *run.skipped]) == names
    assert all(times <= ATTEMPTS for times in asked.values())
