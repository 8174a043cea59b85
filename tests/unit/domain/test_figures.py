"""The figures of a position: sizes, prices, profits and fees, from executions, reports and outsiders' changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Context, localcontext

import pytest

from domain.instrument import PositionSide, Side
from domain.orders import OrderStatus, Source
from domain.position import cover, ledger, places
from domain.position.effects import AskFills, AskPosition, Place
from domain.position.inputs import OrderHeard, PositionHeard
from domain.position.state import OrderFills, OrderState, Position, Reported
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, protected
from tests.unit.domain.samples import D
from tests.unit.domain.telling import due

BOTH = pytest.mark.parametrize("side", list(PositionSide))


def fills(side: Side, quantity: str, price: str, *, fee: str = "0", pnl: str = "0", xid: str = "1") -> OrderFills:
    return OrderFills(
        exchange_id=xid,
        side=side,
        traded=D(quantity),
        traded_notional=D(quantity) * D(price),
        fee=D(fee),
        realized_pnl=D(pnl),
    )


def holding(side: PositionSide, *executed: OrderFills) -> Position:
    return replace(Conversation(side).position, fills=executed)


@BOTH
def test_a_life_in_figures(side: PositionSide) -> None:
    p = holding(
        side,
        fills(side.opening, "0.3", "60000", fee="1", xid="1"),
        fills(side.opening, "0.1", "64000", fee="2", xid="2"),
        fills(side.closing, "0.1", "62000", fee="3", pnl="7", xid="3"),
        fills(side.closing, "0.2", "65000", fee="4", pnl="-2", xid="4"),
    )
    p = replace(p, mark_price=D(61_500))
    assert ledger.book(p) == D("0.1")
    assert ledger.opened_quantity(p) == D("0.4")
    assert ledger.entry_price(p) == 61_000
    assert ledger.exit_price(p) == 64_000
    assert ledger.realized_pnl(p) == 5
    assert ledger.fees(p) == 10
    assert ledger.unrealized_pnl(p) == 50 * side.sign
    assert ledger.filled_by(p, "3") == D("0.1")
    assert ledger.filled_by(p, None) == ledger.filled_by(p, "9") == 0


def test_figures_of_nothing() -> None:
    p = Conversation().position
    assert (ledger.entry_price(p), ledger.exit_price(p), ledger.unrealized_pnl(p)) == (None, None, None)
    assert (ledger.realized_pnl(p), ledger.fees(p), ledger.opened_quantity(p), ledger.book(p)) == (D(0),) * 4
    assert not ledger.has_history(p)
    held = holding(PositionSide.LONG, fills(Side.BUY, "1", "60000"))
    assert ledger.unrealized_pnl(held) is None
    assert ledger.has_history(held)


@BOTH
def test_what_was_adopted_and_what_outsiders_added_counts_at_its_price(side: PositionSide) -> None:
    p = replace(
        holding(side, fills(side.opening, "0.2", "60000")),
        adopted_quantity=D("0.1"),
        adopted_price=D(63_000),
        adjustment=D("0.1"),
        adjustment_price=D(61_000),
    )
    assert (ledger.book(p), ledger.opened_quantity(p), ledger.entry_price(p)) == (D("0.4"), D("0.4"), D(61_000))
    p = replace(p, adjustment=D("-0.1"))
    assert (ledger.book(p), ledger.opened_quantity(p), ledger.entry_price(p)) == (D("0.2"), D("0.3"), D(61_000))
    assert ledger.has_history(replace(Conversation().position, adjustment=D(1)))
    assert ledger.has_history(replace(Conversation().position, adopted_quantity=D(1)))


def test_the_context_that_ccxt_leaves_behind_changes_no_figure() -> None:
    p = holding(PositionSide.LONG, fills(Side.BUY, "0.3", "60001", xid="1"), fills(Side.BUY, "0.3", "60004", xid="2"))
    p = replace(p, mark_price=D("60012.5"))
    with localcontext(Context(prec=5)):
        assert ledger.entry_price(p) == D("60002.5")
        assert ledger.unrealized_pnl(p) == D("6")


def test_whichever_knows_more_is_believed() -> None:
    known = OrderFills(
        exchange_id="1", side=Side.BUY, reported=D(3), reported_notional=D(30), traded=D(2), traded_notional=D(26)
    )
    assert (known.filled, known.notional) == (D(3), D(30))
    same = replace(known, traded=D(3), traded_notional=D(33))
    assert (same.filled, same.notional) == (D(3), D(33))
    assert not ledger.itemised(replace(Conversation().position, fills=(known,)))
    assert ledger.itemised(replace(Conversation().position, fills=(same,)))


@BOTH
def test_trades_of_one_order_add_up_and_each_counts_once(side: PositionSide) -> None:
    talk, _ = protected(side)
    more = {"client_id": "web_1", "realized_pnl": D(2)}
    talk.fill("900", side.opening, D("0.002"), D(61_000), **more)
    one = talk.position.fills[-1]
    assert one.traded == D("0.002")
    talk.fill("900", side.opening, D("0.004"), D(62_000), **more)
    both = talk.position.fills[-1]
    assert (both.traded, both.traded_notional, both.fee, both.realized_pnl) == (D("0.006"), D(370), D("0.2"), D(4))
    assert (both.side, both.client_id, both.exchange_id) == (side.opening, "web_1", "900")
    assert both.trades == {"101", "102"}
    assert not both.liquidation
    assert talk.position.last_activity_at == talk.now
    assert talk.position.last_fill_at == talk.last.trades[0].fill.at
    again = talk.fill("900", side.opening, D("0.004"), D(62_000), trade_id="102", **more)
    assert (again.trades, again.happenings, talk.position.fills[-1]) == ((), (), both)
    assert ledger.exposure(talk.position) == D("0.016")


def test_a_liquidation_is_remembered_whatever_comes_after() -> None:
    talk, _ = protected()
    talk.fill("900", Side.SELL, D("0.002"), ENTRY, liquidation=True)
    talk.fill("900", Side.SELL, D("0.001"), ENTRY)
    assert talk.position.fills[-1].liquidation


def test_a_strangers_execution_before_the_opening_is_not_ours() -> None:
    talk, _ = protected()
    early = talk.position.opened_at - timedelta(milliseconds=1)
    assert talk.fill("900", Side.SELL, D("0.004"), ENTRY, at=early).trades == ()
    assert len(talk.fill("901", Side.SELL, D("0.004"), ENTRY, at=talk.position.opened_at).trades) == 1


def test_anothers_order_with_an_id_of_ours_is_not_this_positions() -> None:
    talk, stop = protected()
    others = stop.client_id.replace("14n6wao001", "14n6wao002")
    assert talk.fill("900", Side.SELL, D("0.004"), ENTRY, client_id=others).trades == ()
    assert ledger.book(talk.position) == SIZE


def test_a_conditionals_own_figure_is_no_execution() -> None:
    """VENUES T8: only its child executes."""
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, filled=SIZE, child="77", price=D(58_800))
    assert ledger.book(talk.position) == SIZE


def test_a_report_of_less_than_is_known_takes_nothing_back() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.accept(entry, filled=D("0.006"))
    talk.see(entry, OrderStatus.PART_FILLED, filled=D("0.004"), price=D(50_000))
    assert (ledger.book(talk.position), ledger.entry_price(talk.position)) == (D("0.006"), ENTRY)


def test_a_report_without_a_price_is_valued_at_the_mark() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.mark(D(60_500))
    talk.see(entry, OrderStatus.FILLED, filled=SIZE)
    assert ledger.entry_price(talk.position) == 60_500


@BOTH
def test_the_larger_of_book_and_report_is_protected(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.size(D("0.012"))
    assert (ledger.exposure(talk.position), ledger.book(talk.position)) == (D("0.012"), SIZE)
    talk.size(D("0.004"))
    assert ledger.exposure(talk.position) == SIZE
    talk.size(D("-0.004"))
    assert ledger.exposure(talk.position) == SIZE
    assert not ledger.flat(talk.position)
    assert not ledger.agreed(talk.position)


def test_a_report_older_than_an_execution_says_nothing() -> None:
    talk, _ = protected()
    talk.fill("900", Side.BUY, D("0.002"), ENTRY)
    seen = talk.position.last_fill_at
    assert seen is not None
    older = replace(talk.position, reported=Reported(quantity=D(5), at=seen - timedelta(milliseconds=1)))
    assert ledger.trusted_report(older) is None
    same = replace(talk.position, reported=Reported(quantity=D(5), at=seen))
    assert ledger.trusted_report(same) == same.reported


def test_a_report_older_than_the_last_one_is_dropped() -> None:
    talk, _ = protected()
    before = talk.position.reported
    assert before is not None
    talk.size(D("0.004"), at=before.at - timedelta(seconds=1))
    assert talk.position.reported == before


def test_the_liquidation_price_is_of_the_position_that_is_held() -> None:
    talk, _ = protected()
    talk.hear(PositionHeard(report=replace(talk.row(SIZE), liquidation_price=D(50_000))))
    assert talk.position.liquidation_price == 50_000
    talk.hear(PositionHeard(report=replace(talk.row(SIZE), liquidation_price=None)))
    assert talk.position.liquidation_price == 50_000
    talk.hear(PositionHeard(report=replace(talk.row(-SIZE), liquidation_price=D(70_000))))
    assert talk.position.liquidation_price is None


@BOTH
def test_a_level_of_both_sides_of_a_hedge_is_not_where_the_winning_one_is_liquidated(side: PositionSide) -> None:
    talk, _ = protected(side)
    row = replace(talk.row(SIZE), liquidation_price=talk.at(70_000), mark_price=talk.at(60_000))
    talk.hear(PositionHeard(report=row))
    assert talk.position.liquidation_price is None


def test_a_mark_price_in_a_report_is_better_than_none() -> None:
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    assert talk.position.mark_price is None
    talk.hear(PositionHeard(report=replace(talk.row(SIZE), mark_price=D(60_100))))
    assert talk.position.reported is not None
    assert talk.position.mark_price == D(60_100)
    assert talk.position.mark_at == talk.position.reported.at
    talk.hear(PositionHeard(report=replace(talk.row(SIZE), mark_price=D(60_200))))
    assert talk.position.mark_price == 60_100


def test_a_difference_is_asked_about_after_half_a_second() -> None:
    talk, _ = protected()
    talk.size(D("0.005"))
    assert due(talk) == 0.5
    assert talk.wants(AskPosition) == []
    (asked,) = [e for e in talk.wait(0.5) if isinstance(e, AskPosition)]
    assert asked == AskPosition()
    assert due(talk) == 6.0
    talk.size(SIZE)
    assert due(talk) is None
    assert (talk.position.verify_at, talk.position.disagreed_since, talk.position.disagreements) == (None, None, 0)


def test_an_answer_that_differs_is_asked_for_again_a_second_later() -> None:
    talk, _ = protected()
    talk.now += timedelta(seconds=5)
    talk.size(D("0.005"), asked=True)
    assert talk.wants(AskFills)
    assert due(talk) == 1.0
    assert talk.position.disagreements == 1
    talk.wait(1)
    talk.size(D("0.004"), asked=True)  # another figure: counted from the start
    assert talk.position.disagreements == 1
    assert ledger.book(talk.position) == SIZE


def test_what_outsiders_took_or_added_is_valued_at_the_entry_price() -> None:
    talk, _ = protected()
    talk.now += timedelta(seconds=5)
    for _ in range(2):
        talk.size(D("0.015"), asked=True)
        talk.wait(1.2)
    p = talk.position
    assert (p.adjustment, p.adjustment_price, ledger.entry_price(p)) == (D("0.005"), ENTRY, ENTRY)
    assert (p.disagreements, p.disagreed_since) == (0, None)


def test_nothing_is_believed_while_an_order_of_ours_may_explain_it() -> None:
    talk = Conversation()
    talk.now += timedelta(seconds=1)
    for _ in range(4):
        talk.size(D("0.015"), asked=True)
        talk.now += timedelta(seconds=1)
    assert talk.position.adjustment == 0
    assert talk.position.entry is not None
    assert talk.position.entry.state in (OrderState.SENDING, OrderState.UNKNOWN)


@BOTH
def test_the_emergency_stop_is_ten_per_cent_away_and_before_the_liquidation(side: PositionSide) -> None:
    p = replace(protected(side)[0].position, mark_price=D(60_000))
    away = D(54_000) if side is PositionSide.LONG else D(66_000)
    assert places.emergency_trigger(p) == away
    assert places.emergency_trigger(replace(p, liquidation_price=D(0))) == away
    near = D(55_000) if side is PositionSide.LONG else D(65_000)
    assert places.emergency_trigger(replace(p, liquidation_price=near)) == near + D("0.1") * side.sign
    far = D(50_000) if side is PositionSide.LONG else D(70_000)
    assert places.emergency_trigger(replace(p, liquidation_price=far)) == away
    assert places.emergency_trigger(replace(p, mark_price=None)) == away
    assert places.emergency_trigger(Conversation(side).position) is None


@BOTH
def test_the_nearest_valid_stop(side: PositionSide) -> None:
    talk, _ = protected(side)
    p = replace(talk.position, mark_price=talk.at(58_000))
    wished = talk.at(58_000) - talk.at(58_000) * D("0.005") * side.sign
    assert places.nearest_trigger(p) == p.instrument.stop_price_outward(side, wished)
    assert places.nearest_trigger(replace(p, mark_price=None)) is None
    better = replace(p, mark_price=talk.at(58_900))
    assert places.nearest_trigger(better) == talk.at(58_800)  # not looser than the one it replaces
    assert places.nearest_trigger(replace(p, liquidation_price=talk.at(57_900))) == talk.at("57900.1")
    assert places.nearest_trigger(replace(p, liquidation_price=talk.at(57_000))) == places.nearest_trigger(p)


@BOTH
def test_where_the_first_stop_belongs(side: PositionSide) -> None:
    talk = Conversation(side)
    assert places.first_trigger(talk.position) == talk.at(58_800)
    bare = replace(talk.position.plan, reference_price=None)
    assert places.first_trigger(replace(talk.position, plan=bare)) is None
    marked = replace(talk.position, plan=bare, mark_price=talk.at(61_000))
    expected = talk.at(61_000) - talk.at(61_000) * D("0.02") * side.sign
    assert places.first_trigger(marked) == talk.position.instrument.stop_price(side, expected)
    odd = replace(marked, mark_price=talk.at("61000.07"))
    expected = talk.at("61000.07") - talk.at("61000.07") * D("0.02") * side.sign
    placed = places.first_trigger(odd)
    assert placed is not None
    assert 0 <= (placed - expected) * side.sign < D("0.1")  # towards the mark: no more is risked than was asked
    given = replace(marked, plan=replace(bare, stop_price=talk.at("59000.04")))
    assert places.first_trigger(given) == talk.at("59000.1")
    set_before = replace(given, initial_stop=talk.at(58_500))
    assert places.first_trigger(set_before) == talk.at(58_500)
    assert places.first_trigger(replace(set_before, operator_stop=talk.at(57_000))) == talk.at(57_000)
    trailed = replace(set_before, trail=replace(set_before.trail, wanted=talk.at(59_900)))
    assert places.wanted_trigger(trailed) == talk.at(59_900)
    behind = replace(set_before, trail=replace(set_before.trail, wanted=talk.at(58_000)))
    assert places.wanted_trigger(behind) == talk.at(58_500)


@BOTH
def test_the_mark_has_passed_a_trigger_when_it_meets_it(side: PositionSide) -> None:
    p = replace(Conversation(side).position, mark_price=ENTRY)
    assert not places.on_safe_side(p, ENTRY)
    assert places.on_safe_side(p, ENTRY - D("0.1") * side.sign)
    assert not places.on_safe_side(p, ENTRY + D("0.1") * side.sign)
    assert places.on_safe_side(replace(p, mark_price=None), ENTRY)


def test_a_triggered_stop_covers_for_a_second() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    assert cover.cover(talk.position) == 0
    assert talk.position.unprotected_since is None
    assert due(talk) == 1.0
    talk.wait(0.99)
    assert talk.position.unprotected_since is None
    talk.wait(0.02)
    assert talk.position.unprotected_since is not None


def test_a_reading_counts_as_a_source_of_its_own() -> None:
    talk = Conversation()
    entry = talk.placed()
    report = talk.order(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY, source=Source.SNAPSHOT)
    talk.hear(OrderHeard(report=report))
    assert [h.data.get("source") for h in talk.last.happenings][:2] == ["3/3 snapshot", "3/3 snapshot"]
    assert len(talk.wants(Place)) == 1
