"""Conditional orders: acceptance, trigger, what becomes of them."""

from dataclasses import replace
from decimal import Decimal

import pytest

from adapters.paper_exchange.orders import AlgoStatus, OrderStatus, Origin
from adapters.paper_exchange.refusals import Reason, Refused
from tests.unit.paper_exchange.desk import Desk, algos, fills, orders


@pytest.fixture
def desk() -> Desk:
    """Long 0.010 BTC at 60,006."""
    desk = Desk()
    desk.market("BUY", "0.010")
    return desk


def refusal(desk: Desk, *args: str | None, **more: object) -> Reason:
    before = desk.records()
    with pytest.raises(Refused) as caught:
        desk.stop(*args, **more)  # type: ignore[arg-type]
    assert desk.records() == before, "a refused conditional changed the book"
    return caught.value.reason


def test_a_stop_rests_until_the_mark_reaches_it(desk: Desk) -> None:
    algo = desk.stop("SELL", "59000.0")
    assert algo.status is AlgoStatus.NEW
    assert len(desk.price("59000.1")) == 1
    events = desk.price("59000.0")
    assert [state.status for state in algos(events)] == [
        AlgoStatus.TRIGGERING,
        AlgoStatus.TRIGGERED,
        AlgoStatus.FINISHED,
    ]
    child = orders(events)[-1]
    assert (child.status, child.origin, child.algo_id) == (OrderStatus.FILLED, Origin.ALGO, algo.algo_id)
    done = desk.book.algos[algo.algo_id]
    assert (done.actual_order_id, done.actual_qty) == (child.order_id, Decimal("0.010"))
    assert child.client_order_id != algo.client_algo_id
    assert desk.quantity() == 0


@pytest.mark.parametrize(
    ("entry", "side", "profit", "trigger", "not_yet", "reached"),
    [
        ("BUY", "SELL", False, "59000.0", "59000.1", "58000.0"),
        ("BUY", "SELL", True, "61000.0", "60999.9", "61000.0"),
        ("SELL", "BUY", False, "61000.0", "60999.9", "62000.0"),
        ("SELL", "BUY", True, "59000.0", "59000.1", "59000.0"),
    ],
)
def test_direction(entry: str, side: str, profit: bool, trigger: str, not_yet: str, reached: str) -> None:
    desk = Desk()
    desk.market(entry, "0.010")
    desk.stop(side, trigger, profit=profit)
    assert not fills(desk.price(not_yet))
    assert fills(desk.price(reached))
    assert desk.quantity() == 0


def test_the_working_type_says_which_price_counts(desk: Desk) -> None:
    desk.stop("SELL", "59000.0", "0.005")
    desk.stop("SELL", "59000.0", "0.005", last=True)
    desk.price("59500", last="58900")
    assert desk.quantity() == Decimal("0.005")
    desk.price("58900", last="59500")
    assert desk.quantity() == 0


def test_a_gap_fills_where_the_market_is_not_at_the_trigger(desk: Desk) -> None:
    desk.stop("SELL", "59000.0")
    (fill,) = fills(desk.price("50000"))
    assert fill.price == Decimal("49995.0")


@pytest.mark.parametrize(
    ("side", "trigger", "profit"),
    [("SELL", "60000.0", False), ("SELL", "60000.1", False), ("BUY", "59999.9", False), ("SELL", "59000.0", True)],
)
def test_one_that_would_trigger_at_once_is_refused(desk: Desk, side: str, trigger: str, profit: bool) -> None:
    assert refusal(desk, side, trigger, profit=profit) is Reason.WOULD_TRIGGER


@pytest.mark.parametrize(
    ("trigger", "quantity", "reason"),
    [
        ("0", "0.010", Reason.PRICE_NOT_POSITIVE),
        ("59000.05", "0.010", Reason.PRECISION),
        ("59000.0", "0.0105", Reason.PRECISION),
        ("59000.0", "0", Reason.QUANTITY_NOT_POSITIVE),
        ("59000.0", "121", Reason.QUANTITY_ABOVE_MAX),
        ("99999999.0", "0.010", Reason.PRICE_ABOVE_MAX),
    ],
)
def test_the_filters(desk: Desk, trigger: str, quantity: str, reason: Reason) -> None:
    assert refusal(desk, "SELL", trigger, quantity) is reason


def test_a_tick_that_is_no_power_of_ten_is_kept() -> None:
    contract = Desk().engine.contracts["BTCUSDT"]
    assert contract.on_tick(Decimal("60000.05")) == Decimal("60000.1")


def test_close_position_closes_what_there_is_and_dies_with_it(desk: Desk) -> None:
    stop = desk.stop("SELL", "59000.0", None)
    profit = desk.stop("SELL", "62000.0", None, profit=True)
    desk.market("BUY", "0.020")
    desk.price("58999.0")
    assert desk.quantity() == 0
    assert desk.book.algos[stop.algo_id].actual_qty == Decimal("0.030")
    assert desk.book.algos[profit.algo_id].status is AlgoStatus.EXPIRED


def test_close_position_is_expired_by_a_close_by_hand_reduce_only_is_not(desk: Desk) -> None:
    closing = desk.stop("SELL", "59000.0", None)
    plain = desk.stop("SELL", "58000.0")
    desk.market("SELL", "0.010", reduce=True)
    assert desk.book.algos[closing.algo_id].status is AlgoStatus.EXPIRED
    assert desk.book.algos[plain.algo_id].status is AlgoStatus.NEW


def test_a_gap_over_two_triggers_the_one_that_the_first_expired_no_more(desk: Desk) -> None:
    desk.stop("SELL", "59000.0")
    closing = desk.stop("SELL", "58000.0", None)
    events = desk.price("57000")
    assert [state.status for state in algos(events) if state.algo_id == closing.algo_id] == [AlgoStatus.EXPIRED]


def test_only_one_close_position_of_a_kind_and_direction(desk: Desk) -> None:
    desk.stop("SELL", "59000.0", None)
    assert refusal(desk, "SELL", "58000.0", None) is Reason.CLOSE_POSITION_EXISTS
    desk.stop("SELL", "62000.0", None, profit=True)
    assert refusal(desk, "BUY", "62000.0", None) is Reason.CLOSE_POSITION_FLAT


def test_a_reduce_only_stop_on_a_flat_account_expires_at_its_trigger(desk: Desk) -> None:
    algo = desk.stop("SELL", "59000.0")
    desk.market("SELL", "0.010", reduce=True)
    events = desk.price("58000")
    assert [state.status for state in algos(events)] == [AlgoStatus.TRIGGERING, AlgoStatus.EXPIRED]
    assert desk.book.algos[algo.algo_id].reject_reason
    assert not orders(events)
    assert desk.quantity() == 0


def test_of_two_overlapping_stops_the_nearer_fires_and_the_other_adds_nothing(desk: Desk) -> None:
    far = desk.stop("SELL", "58000.0")
    near = desk.stop("SELL", "59000.0")
    desk.price("57000")
    assert desk.quantity() == 0
    assert desk.book.algos[near.algo_id].status is AlgoStatus.FINISHED
    assert desk.book.algos[far.algo_id].status is AlgoStatus.EXPIRED


def test_a_stop_larger_than_the_position_never_turns_it(desk: Desk) -> None:
    algo = desk.stop("SELL", "59000.0", "0.050")
    child = orders(desk.price("58000"))[-1]
    assert desk.quantity() == 0
    assert (child.status, child.executed_qty) == (OrderStatus.EXPIRED, Decimal("0.010"))
    assert desk.book.algos[algo.algo_id].status is AlgoStatus.FINISHED


def test_one_that_is_not_reduce_only_may_be_rejected_at_the_trigger(desk: Desk) -> None:
    algo = desk.stop("SELL", "59000.0", "100", reduce=False)
    desk.price("58000")
    done = desk.book.algos[algo.algo_id]
    assert (done.status, done.reject_reason) == (AlgoStatus.REJECTED, "INSUFFICIENT_MARGIN")


def test_cancel(desk: Desk) -> None:
    algo = desk.stop("SELL", "59000.0")
    desk.took(desk.engine.cancel_conditional(desk.now, algo.algo_id))
    assert desk.book.algos[algo.algo_id].status is AlgoStatus.CANCELED
    assert len(desk.price("58000")) == 1
    with pytest.raises(Refused) as caught:
        desk.engine.cancel_conditional(desk.now, algo.algo_id)
    assert caught.value.reason is Reason.NOT_OPEN


def test_client_ids_are_unique_among_the_resting_only(desk: Desk) -> None:
    algo = desk.stop("SELL", "59000.0", client="s1")
    assert refusal(desk, "SELL", "58000.0", client="s1") is Reason.DUPLICATE_CLIENT_ID
    desk.took(desk.engine.cancel_conditional(desk.now, algo.algo_id))
    again = desk.stop("SELL", "58000.0", client="s1")
    assert desk.book.algo_by_client_id("s1") == again


def test_ten_a_symbol() -> None:
    desk = Desk()
    for number in range(10):
        desk.stop("SELL", f"{59000 + number}.0")
    assert refusal(desk, "SELL", "58000.0") is Reason.TOO_MANY_CONDITIONALS
    desk.stop("SELL", "2000.00", symbol="ETHUSDT")


def test_two_hundred_an_account() -> None:
    desk = Desk()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        desk.engine.contracts[symbol] = replace(desk.engine.contracts[symbol], max_conditionals=150)
    for number in range(150):
        desk.stop("SELL", f"{50000 + number}.0")
    for number in range(50):
        desk.stop("SELL", f"{2000 + number}.00", symbol="ETHUSDT")
    assert refusal(desk, "SELL", "1000.00", symbol="ETHUSDT") is Reason.TOO_MANY_CONDITIONALS
