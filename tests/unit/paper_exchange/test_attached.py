"""Stops and take-profits that stand on a position itself: set, changed, cleared, triggered, gone with it."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from adapters.paper_exchange.codec import from_record, to_record
from adapters.paper_exchange.orders import AlgoOrder, AlgoStatus, ConditionalType, OrderStatus, Origin, Side
from adapters.paper_exchange.refusals import Reason, Refused
from adapters.paper_exchange.requests import Fate
from tests.unit.paper_exchange.desk import algos, fills, orders
from tests.unit.paper_exchange.hedger import Hedger


@pytest.fixture
def desk() -> Hedger:
    """Long 0.010 BTC with a stop at 59,000 and a take-profit at 62,000."""
    desk = Hedger()
    desk.trade("BUY", "0.010", stop="59000.0", profit="62000.0")
    return desk


def refusal(desk: Hedger, act: Callable[[], object]) -> Refused:
    before = desk.records()
    with pytest.raises(Refused) as caught:
        act()
    assert desk.records() == before, "a refused request changed the book"
    return caught.value


def stop_of(desk: Hedger, position_side: str = "BOTH") -> AlgoOrder:
    stop = desk.standing(position_side)
    assert stop is not None
    return stop


def test_an_entry_brings_its_stop_in_the_step_of_its_first_fill() -> None:
    desk = Hedger(partial_fills=100)
    events = desk.trade("BUY", "0.010", stop="59000.0")
    filled = next(place for place, event in enumerate(events) if event in fills(events))
    placed = events.index(stop_of(desk))
    assert fills(events)[0].quantity < Decimal("0.010"), "the entry was to be filled in parts"
    assert placed > filled
    stop = stop_of(desk)
    assert (stop.attached, stop.close_position, stop.reduce_only) == (True, True, True)
    assert (stop.client_algo_id, stop.quantity, stop.side) == ("", Decimal(0), Side.SELL)


def test_it_covers_what_comes_later(desk: Hedger) -> None:
    desk.trade("BUY", "0.030")
    events = desk.price("58900.0")
    assert sum(fill.quantity for fill in fills(events)) == Decimal("0.040")
    assert desk.quantity() == 0


def test_the_trigger_makes_an_order_and_takes_the_other_leg_with_it(desk: Hedger) -> None:
    stop = stop_of(desk)
    events = desk.price("59000.0")
    states = [(algo.type, algo.status) for algo in algos(events)]
    assert states == [
        (ConditionalType.STOP_MARKET, AlgoStatus.TRIGGERING),
        (ConditionalType.STOP_MARKET, AlgoStatus.TRIGGERED),
        (ConditionalType.TAKE_PROFIT_MARKET, AlgoStatus.EXPIRED),
        (ConditionalType.STOP_MARKET, AlgoStatus.FINISHED),
    ]
    child = orders(events)[-1]
    assert (child.algo_id, child.origin, child.status) == (stop.algo_id, Origin.ALGO, OrderStatus.FILLED)
    assert child.order_id != stop.algo_id
    assert not desk.book.open_algos


def test_a_take_profit_is_not_a_stop(desk: Hedger) -> None:
    desk.price("61999.9")
    assert desk.quantity()
    desk.price("62000.0")
    assert not desk.quantity()
    assert not desk.book.open_algos


def test_setting_it_anew_changes_it_in_place(desk: Hedger) -> None:
    before = stop_of(desk)
    (changed,) = algos(desk.protect("59500.0"))
    assert (changed.algo_id, changed.status) == (before.algo_id, AlgoStatus.NEW)
    assert (changed.trigger_price, stop_of(desk).trigger_price) == (Decimal("59500.0"),) * 2
    assert desk.standing(profit=True) is not None, "the other leg was left alone"


def test_a_later_entry_may_move_it(desk: Hedger) -> None:
    before = stop_of(desk)
    desk.trade("BUY", "0.010", stop="59800.0")
    assert (stop_of(desk).algo_id, stop_of(desk).trigger_price) == (before.algo_id, Decimal("59800.0"))


def test_clearing_it(desk: Hedger) -> None:
    events = desk.protect("0")
    assert [(algo.type, algo.status) for algo in algos(events)] == [(ConditionalType.STOP_MARKET, AlgoStatus.CANCELED)]
    assert desk.standing() is None
    assert refusal(desk, lambda: desk.protect("0")).reason is Reason.NOT_MODIFIED


def test_the_same_value_again_is_refused_as_not_modified(desk: Hedger) -> None:
    assert refusal(desk, lambda: desk.protect("59000.0")).reason is Reason.NOT_MODIFIED
    # Another price to watch is a change.
    assert desk.protect("59000.0", last=True)
    assert desk.protect("59000.0", "62500.0", last=True), "one leg that changes is enough"


def test_nothing_stands_on_a_flat_position() -> None:
    desk = Hedger()
    assert refusal(desk, lambda: desk.protect("59000.0")).reason is Reason.POSITION_FLAT


@pytest.mark.parametrize(
    ("entry", "stop", "profit"),
    [
        ("BUY", "60000.0", None),
        ("BUY", "61000.0", None),
        ("BUY", None, "60000.0"),
        ("SELL", "60000.0", None),
        ("SELL", "59000.0", None),
        ("SELL", None, "60500.0"),
    ],
)
def test_the_wrong_side_of_the_price_is_refused(entry: str, stop: str | None, profit: str | None) -> None:
    desk = Hedger()
    refused = refusal(desk, lambda: desk.trade(entry, "0.010", stop=stop, profit=profit))
    assert refused.reason is Reason.ATTACHED_WRONG_SIDE
    desk.trade(entry, "0.010")
    assert refusal(desk, lambda: desk.protect(stop, profit)).reason is Reason.ATTACHED_WRONG_SIDE


def test_it_goes_when_the_position_does(desk: Hedger) -> None:
    events = desk.trade("SELL", "0.010", reduce=True)
    assert [algo.status for algo in algos(events)] == [AlgoStatus.EXPIRED] * 2
    assert not desk.book.open_algos
    # The next position begins bare.
    desk.trade("BUY", "0.010")
    assert desk.standing() is None


def test_it_goes_when_the_position_turns_in_one_fill(desk: Hedger) -> None:
    desk.trade("SELL", "0.030", stop="61000.0")
    assert desk.quantity() == Decimal("-0.020")
    assert [(algo.side, algo.trigger_price) for algo in desk.resting_attached()] == [(Side.BUY, Decimal("61000.0"))]


def test_an_entry_that_only_reduces_attaches_nothing() -> None:
    desk = Hedger()
    desk.trade("BUY", "0.030")
    desk.trade("SELL", "0.010", stop="61000.0")
    assert desk.quantity() == Decimal("0.020")
    assert not desk.resting_attached()


def test_it_may_be_cancelled_and_amended_by_its_id(desk: Hedger) -> None:
    stop = stop_of(desk)
    assert desk.amend(stop, "59100.0").trigger_price == Decimal("59100.0")
    assert stop_of(desk).trigger_price == Decimal("59100.0")
    assert refusal(desk, lambda: desk.amend(stop, quantity="0.005")).reason is Reason.QUANTITY_OF_WHOLE
    desk.took(desk.engine.cancel_conditional(desk.now, stop.algo_id))
    assert desk.standing() is None


def test_partial_legs_are_added_and_bounded(desk: Hedger) -> None:
    for place in range(desk.engine.rules.attached_parts):
        desk.protect(f"{59100 + place}.0", part="0.001")
    assert refusal(desk, lambda: desk.protect("59500.0", part="0.001")).reason is Reason.TOO_MANY_ATTACHED
    assert stop_of(desk).trigger_price == Decimal("59000.0")
    events = desk.price("59119.0")
    assert [fill.quantity for fill in fills(events)] == [Decimal("0.001")]
    assert desk.quantity() == Decimal("0.009")
    desk.trade("SELL", "0.009", reduce=True)
    assert not desk.book.open_algos, "a partial leg outlived its position"


def test_attached_ones_do_not_count_against_the_caps() -> None:
    desk = Hedger()
    desk.trade("BUY", "0.010", stop="59000.0", profit="62000.0")
    for place in range(desk.engine.contracts["BTCUSDT"].max_conditionals):
        desk.rest("SELL", f"{58000 + place}.0", "0.001")
    reason = refusal(desk, lambda: desk.rest("SELL", "57000.0", "0.001")).reason
    assert reason is Reason.TOO_MANY_CONDITIONALS


def test_each_side_has_its_own_in_hedge_mode() -> None:
    desk = Hedger(hedge=True)
    desk.trade("BUY", "0.010", "LONG", stop="59000.0")
    desk.trade("SELL", "0.010", "SHORT", stop="61000.0")
    long_stop, short_stop = stop_of(desk, "LONG"), stop_of(desk, "SHORT")
    assert long_stop.algo_id != short_stop.algo_id
    desk.protect("59500.0", None, "LONG")
    assert stop_of(desk, "SHORT") == short_stop
    desk.trade("SELL", "0.010", "LONG")
    assert desk.standing("LONG") is None
    assert stop_of(desk, "SHORT") == short_stop


def test_the_clock_of_a_conditional_amended_in_place(desk: Hedger) -> None:
    resting = desk.rest("SELL", "58000.0", "0.010")
    changed = desk.amend(resting, "58500.0", "0.005")
    assert (changed.algo_id, changed.status) == (resting.algo_id, AlgoStatus.NEW)
    assert (changed.trigger_price, changed.quantity) == (Decimal("58500.0"), Decimal("0.005"))
    assert changed.create_time == resting.create_time < changed.update_time
    assert refusal(desk, lambda: desk.amend(changed, "58500.0")).reason is Reason.NOT_MODIFIED
    assert refusal(desk, lambda: desk.amend(changed, "60000.0")).reason is Reason.WOULD_TRIGGER
    assert refusal(desk, lambda: desk.amend(changed, "58500.05")).reason is Reason.PRECISION
    assert refusal(desk, lambda: desk.amend(changed, quantity="0.0005")).reason is Reason.PRECISION
    desk.took(desk.engine.cancel_conditional(desk.now, changed.algo_id))
    assert refusal(desk, lambda: desk.amend(changed, "58000.0")).reason is Reason.NOT_OPEN


@pytest.mark.parametrize(
    ("fate", "status", "left"),
    [
        (Fate.STUCK, AlgoStatus.TRIGGERING, "0.010"),
        (Fate.REJECTED, AlgoStatus.REJECTED, "0.010"),
        (Fate.PART, AlgoStatus.FINISHED, "0.009"),
    ],
)
def test_what_may_befall_it_at_its_trigger(desk: Hedger, fate: Fate, status: AlgoStatus, left: str) -> None:
    stop = stop_of(desk)
    desk.engine.fate = lambda _algo: fate
    desk.price("58900.0")
    assert desk.book.algos[stop.algo_id].status is status
    assert desk.quantity() == Decimal(left)
    if fate is Fate.STUCK:
        assert refusal(desk, lambda: desk.engine.cancel_conditional(desk.now, stop.algo_id)).reason is Reason.NOT_OPEN
        desk.took(desk.engine.resume_trigger(desk.now, stop.algo_id))
        assert desk.quantity() == 0


def test_a_log_from_before_reads_as_not_attached(desk: Hedger) -> None:
    record = to_record(stop_of(desk))
    assert record["attached"] is True
    assert record["positionSide"] == "BOTH"
    del record["attached"]
    old = from_record(record)
    assert isinstance(old, AlgoOrder)
    assert not old.attached
