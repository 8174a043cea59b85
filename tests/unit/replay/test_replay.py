"""Positions over tapes whose every figure was computed by hand, and what must hold on any tape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace as changed
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.replay.bars import Tape, open_tape
from actors.replay.owner import Terms
from actors.replay.session import Entry, Replayed, entries_at, entries_every, replay
from actors.replay.times import MINUTE_MS, read_time
from adapters.paper_exchange.tape import BarOrder, TapeError
from domain.instrument import PositionSide
from domain.position.plan import Protection, TrailingRules
from tests.oracle.court import Filters
from tests.oracle.court import Terms as OracleTerms
from tests.oracle.judge import Verdict, judge
from tests.oracle.reader import ordered
from tests.unit.replay.conftest import CRASH, START, TapeMaker

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
LOW_FIRST, HIGH_FIRST = BarOrder.LOW_FIRST, BarOrder.HIGH_FIRST
QUIET = "100 100 100 100"
AFTER_MS = 10_000


def one(tape: Tape, terms: Terms, order: BarOrder = LOW_FIRST, side: PositionSide = LONG, **more: bool) -> Replayed:
    (row,) = replay(tape, [Entry(at=START, side=side)], terms, order, **more)
    return row


def verdict_on(row: Replayed, tape: Tape) -> Verdict:
    """The oracle on the exchange's own record; ten quiet seconds decide what was due at its end."""
    filters = {row.symbol: Filters(tick=tape.contract.tick, step=tape.contract.step)}
    lines = list(row.timeline)
    last = lines[-1]
    lines.append({"seq": last["seq"] + 1, "t": last["t"] + AFTER_MS, "kind": "balance", "asset": "USDT", "wallet": "1"})
    return judge(ordered(lines), OracleTerms(filters=filters))


def assert_lawful(rows: Iterable[Replayed], tape: Tape) -> None:
    """No law is broken, and the oracle measures the same unprotected time."""
    for row in rows:
        verdict = verdict_on(row, tape)
        assert verdict.clean, verdict.breaches
        assert max((i.length for i in verdict.measures.intervals), default=0) == row.unprotected_ms
        # The oracle counts a move when the old stop is cancelled; the last one's may come after the end.
        assert row.moves - sum(life.moves for life in (*verdict.lives, *verdict.open_lives)) in (0, 1)


# By hand. The mark is 100: bought at 100.01 (a tick of spread), so the stop belongs at 98.0098, on the tick 98.01, and
# trailing begins at 101.51015. On the way from 100 to 103 in 20 s the published price rises by 0.15 a second: after 11
# it is 101.65 (stop 101.141 -> 101.15); the next move may come 5 s after the first one's acceptance, when 102.40 has
# been heard (101.888 -> 101.89); the third when 103 has (102.485 -> 102.49). Falling, the mark passes 102.49: sold a
# tick of spread below, at 102.48. 2.5 of it earn 6.175 less fees of 0.05 % twice, 0.1250125 + 0.1281.


def test_a_trail_activates_follows_and_calls_back(tape: TapeMaker, terms: Terms) -> None:
    row = one(tape(QUIET, "100 103 100 103", "103 103 102 102", "102 102 102 102"), terms)
    steps = [(at - START, price) for at, price in row.stops]
    assert steps == [
        (25, None),
        (75, Decimal("98.01")),
        (91_050, Decimal("101.15")),
        (96_100, Decimal("101.89")),
        (101_150, Decimal("102.49")),
        (130_200, None),
    ]
    assert (row.reason, row.entry_price, row.exit_price) == ("trailing_stop", Decimal("100.01"), Decimal("102.48"))
    assert (row.first_stop, row.last_stop, row.moves) == (Decimal("98.01"), Decimal("102.49"), 3)
    assert (row.extreme, row.quantity, row.unprotected_ms) == (Decimal(103), Decimal("2.5"), 50)
    assert (row.fees, row.pnl) == (Decimal("0.2531125"), Decimal("5.9218875"))
    assert row.pnl_pct.quantize(Decimal("0.0001")) == Decimal("2.3685")
    assert row.closed_at == START + 130_200


def test_a_short_is_the_mirror(tape: TapeMaker, terms: Terms) -> None:
    row = one(tape(QUIET, "100 100 97 97", "97 98 97 98", "98 98 98 98"), terms, HIGH_FIRST, SHORT)
    # Sold at 99.99; stop 101.9898 -> 101.98; active from 98.49015. Lowest 97: 97.485 -> 97.48, bought a tick above.
    assert (row.reason, row.entry_price, row.first_stop) == ("trailing_stop", Decimal("99.99"), Decimal("101.98"))
    assert (row.last_stop, row.exit_price, row.extreme) == (Decimal("97.48"), Decimal("97.49"), Decimal(97))
    assert row.pnl > 0


def test_the_two_orders_of_a_bar_are_two_stories(tape: TapeMaker, terms: Terms) -> None:
    wild = tape(QUIET, "100 103 97 100", QUIET)
    low, high = one(wild, terms, LOW_FIRST), one(wild, terms, HIGH_FIRST)
    assert (low.reason, low.moves, low.exit_price) == ("stop_loss", 0, Decimal("98.00"))
    assert (high.reason, high.moves, high.exit_price) == ("trailing_stop", 3, Decimal("102.48"))


def test_a_jump_fills_at_the_far_end_and_a_gap_between_bars_always_does(tape: TapeMaker, terms: Terms) -> None:
    falling = tape(QUIET, "100 100 90 90", "90 90 90 90")
    assert one(falling, terms).exit_price == Decimal("98.00")
    assert one(falling, terms, jumps=True).exit_price == Decimal("89.99")
    gap = tape(QUIET, "90 90 90 90", "90 90 90 90")
    assert one(gap, terms).exit_price == Decimal("89.99")
    hole = tape(QUIET, None, None, "90 90 90 90", "90 90 90 90")
    assert one(hole, terms).closed_at == START + 3 * MINUTE_MS


def test_break_even_moves_the_stop_to_the_entry_once(tape: TapeMaker, terms: Terms) -> None:
    rules = TrailingRules(breakeven_pct=Decimal(1))
    row = one(tape(QUIET, "100 101.2 100 101.2", "101.2 101.2 99 99"), changed(terms, trailing=rules))
    assert (row.moves, row.last_stop, row.exit_price) == (1, Decimal("100.01"), Decimal("100.00"))


def test_age_activates_a_trail_in_profit_only(tape: TapeMaker, terms: Terms) -> None:
    rules = TrailingRules(time_activation_minutes=2)
    old = changed(terms, trailing=rules)
    loss = one(tape(QUIET, *["99.5 99.5 99.5 99.5"] * 4), old)
    assert (loss.reason, loss.moves) == ("open", 0)
    young = one(tape(QUIET, "100 100.4 100 100.4", "100.4 100.4 99.5 99.5", "99.5 99.5 99.5 99.5"), old)
    assert young.moves == 1  # active when it came of age, in profit at that moment
    late = one(tape(QUIET, *["99.5 99.5 99.5 99.5"] * 3, "99.5 100.6 99.5 100.6"), old)
    assert late.stops[2][0] >= START + 4 * MINUTE_MS
    assert late.last_stop is not None
    assert late.last_stop > Decimal(99)


def test_what_is_still_open_is_worth_the_last_price(tape: TapeMaker, terms: Terms) -> None:
    row = one(tape(QUIET, "100 101 100 101"), terms)
    assert (row.reason, row.closed_at, row.exit_price) == ("open", None, Decimal(101))
    assert row.pnl == Decimal("0.99") * Decimal("2.5") - Decimal("0.1250125")


def test_a_size_below_the_minimum_is_not_opened(tape: TapeMaker, terms: Terms) -> None:
    row = one(tape(QUIET), changed(terms, usd=Decimal(1)))
    assert (row.reason, row.entry_price) == ("not opened: below_minimum", None)


def test_a_slow_network_leaves_a_fill_bare_for_a_round_trip(tape: TapeMaker, terms: Terms) -> None:
    assert one(tape(QUIET), changed(terms, round_trip_ms=801)).unprotected_ms == 801
    assert one(tape(QUIET), changed(terms, round_trip_ms=0)).unprotected_ms == 0


def test_a_first_stop_that_the_price_has_passed_closes(tape: TapeMaker, terms: Terms) -> None:
    falling = tape("100 100 80 80", "80 80 80 80")
    (row,) = replay(falling, [Entry(at=START + 20_000, side=LONG)], changed(terms, round_trip_ms=4_000), HIGH_FIRST)
    assert row.reason == "stop_passed"
    assert row.first_stop is None


def test_a_record_changes_nothing(tape: TapeMaker, terms: Terms) -> None:
    market = tape(QUIET, "100 103 97 100", "100 104 99 104", "104 104 101 102")
    entries = entries_every(market, 1, [LONG, SHORT])
    seen = replay(market, entries, terms, HIGH_FIRST)
    unseen = replay(market, entries, changed(terms, recorded=False), HIGH_FIRST)
    assert [changed(row, timeline=()) for row in seen] == unseen


def test_entries_spare_the_holes_of_a_tape(tape: TapeMaker) -> None:
    holed = tape(QUIET, QUIET, None, QUIET)
    assert [e.at - START for e in entries_every(holed, 1, [LONG])] == [0, MINUTE_MS, 3 * MINUTE_MS]
    with pytest.raises(TapeError, match=r"--at 2021-05-03 00:02:00: no bar of the tape covers it"):
        entries_at(holed, [START + 2 * MINUTE_MS], [LONG])


@st.composite
def markets(draw: st.DrawFn) -> list[str]:
    """Bars that hang together, each within four per cent."""
    price, made = Decimal(100), []
    for _ in range(draw(st.integers(2, 12))):
        moves = [Decimal(draw(st.integers(-400, 400))) / 10_000 for _ in range(3)]
        points = [price, *(price * (1 + move) for move in moves)]
        made.append(f"{points[0]} {max(points)} {min(points)} {points[3]}")
        price = points[3]
    return made


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bars=markets(),
    order=st.sampled_from([LOW_FIRST, HIGH_FIRST]),
    jumps=st.booleans(),
    minutes=st.sampled_from([None, 3]),
)
def test_on_any_tape_the_laws_hold_and_each_position_is_alone(
    tape: TapeMaker, terms: Terms, bars: list[str], order: BarOrder, jumps: bool, minutes: int | None
) -> None:
    market = tape(*bars)
    varied = changed(terms, trailing=TrailingRules(breakeven_pct=Decimal(1), time_activation_minutes=minutes))
    entries = entries_every(market, 1, [LONG, SHORT])
    rows = replay(market, entries, varied, order, jumps=jumps)
    assert_lawful(rows, market)
    for row in rows:
        stops = [price for _, price in row.stops if price is not None]
        assert stops == sorted(stops, reverse=row.side is SHORT)
        entry = entries[row.number - 1]
        (alone,) = replay(market, [entry], varied, order, jumps=jumps)
        assert changed(alone, number=row.number, executions=(), timeline=()) == changed(row, executions=(), timeline=())


@pytest.mark.skipif(not CRASH.exists(), reason="the recorded markets are not beside the repository")
def test_the_day_of_the_crash() -> None:
    tape = open_tape(str(CRASH)).cut(read_time("2021-05-19T08:00"), read_time("2021-05-19T20:00"))
    terms = Terms(
        protection=Protection(),
        trailing=TrailingRules(breakeven_pct=Decimal(1)),
        usd=Decimal(250),
        overshoot_pct=Decimal(10),
        farthest_stop_pct=Decimal(50),
        recorded=True,
    )
    entries = entries_every(tape, 30, [LONG, SHORT])
    for order in (LOW_FIRST, HIGH_FIRST):
        rows = replay(tape, entries, terms, order)
        assert rows == replay(tape, entries, terms, order)
        assert_lawful(rows, tape)
        # Nothing but a gap between two bars costs more than stop, spread and fees.
        assert min(row.pnl_pct for row in rows) > Decimal("-2.5")
        assert {"stop_loss", "trailing_stop"} <= {row.reason for row in rows}
        assert max(row.unprotected_ms for row in rows) == terms.round_trip_ms
