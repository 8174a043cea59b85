"""Market orders: price, fee, position, reduce-only, partial fills, margin, liquidation."""

from decimal import Decimal

import pytest

from adapters.paper_exchange.margin import liquidation_price
from adapters.paper_exchange.orders import AlgoStatus, Balance, Fill, OrderStatus, Origin, Position
from adapters.paper_exchange.refusals import Reason, Refused
from tests.unit.paper_exchange.desk import Desk, algos, fills, orders


@pytest.fixture
def desk() -> Desk:
    return Desk()


def refusal(desk: Desk, *args: str, **more: object) -> Reason:
    before = desk.records()
    with pytest.raises(Refused) as caught:
        desk.market(*args, **more)  # type: ignore[arg-type]
    assert desk.records() == before, "a refused order changed the book"
    return caught.value.reason


def test_a_buy_fills_above_the_mark_and_pays_the_fee(desk: Desk) -> None:
    events = desk.market("BUY", "0.010", client="c1")
    (fill,) = fills(events)
    assert fill.price == Decimal("60006.0")
    assert fill.fee == Decimal("0.30003000")
    assert desk.book.wallet == Decimal("9999.69997000")
    assert desk.book.position("BTCUSDT").entry_price == Decimal("60006.0")


def test_a_step_is_told_in_the_order_of_happening(desk: Desk) -> None:
    kinds = [type(event).__name__ for event in desk.market("BUY", "0.010")]
    assert kinds == ["Order", "Order", "Fill", "Position", "Balance"]


def test_adding_averages_the_entry_price(desk: Desk) -> None:
    desk.market("BUY", "0.010")
    desk.price("61000")
    desk.market("BUY", "0.030")
    # (0.010 x 60006.0 + 0.030 x 61006.1) / 0.040
    assert desk.book.position("BTCUSDT").entry_price == Decimal("60756.075")


def test_closing_realises_the_difference_and_leaves_zero(desk: Desk) -> None:
    desk.market("SELL", "0.010")
    desk.price("59000")
    (fill,) = fills(desk.market("BUY", "0.010", reduce=True))
    assert fill.price == Decimal("59005.9")
    assert fill.realized_pnl == Decimal("9.88100000")
    assert desk.quantity() == 0
    assert desk.book.position("BTCUSDT").entry_price == 0


def test_flipping_restarts_the_entry_price(desk: Desk) -> None:
    desk.market("BUY", "0.010")
    (fill,) = fills(desk.market("SELL", "0.030"))
    assert desk.quantity() == Decimal("-0.020")
    assert desk.book.position("BTCUSDT").entry_price == fill.price


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_reduce_only_is_refused_without_a_position_it_reduces(desk: Desk, side: str) -> None:
    assert refusal(desk, side, "0.010", reduce=True) is Reason.REDUCE_ONLY
    desk.market(side, "0.010")
    assert refusal(desk, side, "0.010", reduce=True) is Reason.REDUCE_ONLY


def test_reduce_only_never_turns_a_position(desk: Desk) -> None:
    desk.market("BUY", "0.010")
    last = orders(desk.market("SELL", "0.030", reduce=True))[-1]
    assert desk.quantity() == 0
    assert (last.status, last.executed_qty) == (OrderStatus.EXPIRED, Decimal("0.010"))
    assert not desk.book.open_orders


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [
        ("0", Reason.QUANTITY_NOT_POSITIVE),
        ("-1", Reason.QUANTITY_NOT_POSITIVE),
        ("0.0105", Reason.PRECISION),
        ("121", Reason.QUANTITY_ABOVE_MAX),
        ("0.001", Reason.NOTIONAL_BELOW_MIN),
        ("100", Reason.INSUFFICIENT_MARGIN),
    ],
)
def test_the_filters(desk: Desk, quantity: str, reason: Reason) -> None:
    assert refusal(desk, "BUY", quantity) is reason


def test_a_reduce_only_order_may_be_below_the_minimum_value(desk: Desk) -> None:
    desk.market("BUY", "0.010")
    desk.market("SELL", "0.001", reduce=True)
    assert desk.quantity() == Decimal("0.009")


def test_an_unknown_symbol_and_one_without_a_price(desk: Desk) -> None:
    assert refusal(desk, "BUY", "1", symbol="NOPEUSDT") is Reason.UNKNOWN_SYMBOL
    assert refusal(desk, "BUY", "1", symbol="SOLUSDT") is Reason.NO_PRICE


def test_leverage_sets_the_margin(desk: Desk) -> None:
    assert refusal(desk, "BUY", "4") is Reason.INSUFFICIENT_MARGIN
    desk.took(desk.engine.set_leverage("BTCUSDT", 50))
    desk.market("BUY", "4")
    assert desk.quantity() == 4


def test_an_order_filled_in_parts_is_open_until_the_last() -> None:
    desk = Desk(partial_fills=100)
    desk.market("BUY", "0.100", client="c1")
    (order,) = desk.book.open_orders.values()
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert refusal(desk, "BUY", "0.100", client="c1") is Reason.DUPLICATE_CLIENT_ID
    while desk.book.open_orders:
        before = desk.quantity()
        desk.took(desk.engine.work(desk.now))
        assert desk.quantity() > before
    assert desk.quantity() == Decimal("0.100")
    done = desk.book.orders[order.order_id]
    assert (done.status, done.executed_qty) == (OrderStatus.FILLED, Decimal("0.100"))
    assert len(fills(desk.events)) >= 2
    desk.market("BUY", "0.100", client="c1")


def test_the_rest_of_an_order_can_be_cancelled() -> None:
    desk = Desk(partial_fills=100)
    desk.market("BUY", "0.100")
    (order,) = desk.book.open_orders.values()
    desk.took(desk.engine.cancel_order(desk.now, order.order_id))
    assert desk.book.orders[order.order_id].status is OrderStatus.CANCELED
    assert desk.took(desk.engine.work(desk.now)) == []
    with pytest.raises(Refused) as caught:
        desk.engine.cancel_order(desk.now, order.order_id)
    assert caught.value.reason is Reason.NOT_OPEN


def test_the_parts_are_drawn_from_the_seed() -> None:
    def quantities(seed: int) -> list[Decimal]:
        desk = Desk(partial_fills=50, seed=seed)
        for _ in range(8):
            desk.market("BUY", "0.100")
            while desk.book.open_orders:
                desk.took(desk.engine.work(desk.now))
        return [fill.quantity for fill in fills(desk.events)]

    assert quantities(1) == quantities(1) != quantities(2)


def test_liquidation_at_its_price_and_not_before(desk: Desk) -> None:
    desk.market("BUY", "3.000")
    desk.stop("SELL", "50000.0", "3.000")
    level = liquidation_price(desk.book, desk.engine.contracts, desk.book.position("BTCUSDT"))
    assert Decimal(56000) < level < Decimal(57500)
    assert len(desk.price(str(level + 10))) == 1
    events = desk.price(str(level - 10))
    order = orders(events)[0]
    assert order.origin is Origin.LIQUIDATION
    assert order.client_order_id.startswith("autoclose-")
    assert desk.quantity() == 0
    assert [algo.status for algo in algos(events)] == [AlgoStatus.EXPIRED]


def test_the_insurance_fund_takes_a_loss_beyond_the_wallet(desk: Desk) -> None:
    desk.market("BUY", "3.000")
    desk.price("40000")
    assert desk.book.wallet == 0
    assert desk.book.insurances[-1].amount > 0
    wallet = Decimal(10_000) + desk.book.insurances[-1].amount
    wallet += sum((fill.realized_pnl - fill.fee for fill in fills(desk.events)), Decimal(0))
    assert wallet == 0


def test_every_fill_is_followed_by_position_and_balance() -> None:
    desk = Desk(partial_fills=60)
    for side in ("BUY", "SELL", "BUY", "SELL"):
        desk.market(side, "0.100")
        desk.took(desk.engine.work(desk.now))
    for place, event in enumerate(desk.events):
        if isinstance(event, Fill):
            position, balance = desk.events[place + 1 : place + 3]
            assert isinstance(position, Position)
            assert isinstance(balance, Balance)


def test_a_client_id_names_one_order_of_each_symbol() -> None:
    desk = Desk()
    desk.market("BUY", "0.010", client="same")
    desk.market("BUY", "0.100", symbol="ETHUSDT", client="same")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        found = desk.book.order_by_client_id(symbol, "same")
        assert found is not None
        assert found.symbol == symbol
    assert desk.book.order_by_client_id("BTCUSDT", "other") is None
