"""Limit orders that do not rest (IOC): what they can get within their price at once, in both dialects."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from adapters.paper_exchange.codec import from_record, to_record
from adapters.paper_exchange.orders import Fill, Order, OrderStatus, OrderType, Side
from adapters.paper_exchange.refusals import Reason, Refused
from adapters.paper_exchange.requests import MarketRequest
from tests.unit.paper_exchange.bybit_venue import BybitVenue
from tests.unit.paper_exchange.desk import Desk, fills, orders
from tests.unit.paper_exchange.venue import Venue

D = Decimal


def limited(desk: Desk, side: str, quantity: str, price: str) -> tuple[Order, list[Fill]]:
    asked = MarketRequest(symbol="BTCUSDT", side=Side(side), quantity=D(quantity), limit_price=D(price))
    events = desk.took(desk.engine.place_market(desk.now, asked))
    return orders(events)[-1], fills(events)


@pytest.mark.parametrize(
    ("side", "price", "filled"),
    [("BUY", "60006.0", True), ("BUY", "60005.9", False), ("SELL", "59994.0", True), ("SELL", "59994.1", False)],
)
def test_it_fills_at_its_price_or_a_better_one_and_never_beyond(side: str, price: str, filled: bool) -> None:
    desk = Desk()
    order, got = limited(desk, side, "0.010", price)
    assert (order.type, order.price) == (OrderType.LIMIT, D(price))
    assert order.status is (OrderStatus.FILLED if filled else OrderStatus.EXPIRED)
    assert [fill.price for fill in got] == ([D("60006.0") if side == "BUY" else D("59994.0")] if filled else [])
    assert not desk.book.open_orders
    assert abs(desk.quantity()) == (D("0.010") if filled else 0)


def test_what_does_not_fill_at_once_expires() -> None:
    desk = Desk(partial_fills=100)
    order, got = limited(desk, "BUY", "0.010", "70000")
    assert order.status is OrderStatus.EXPIRED
    assert 0 < order.executed_qty == sum(fill.quantity for fill in got) < D("0.010")
    assert desk.quantity() == order.executed_qty
    desk.took(desk.engine.work(desk.now))
    assert desk.quantity() == order.executed_qty


def test_the_rules_of_a_limit_order_are_its_own() -> None:
    desk = Desk()
    for price, reason in (("0", Reason.PRICE_NOT_POSITIVE), ("60000.01", Reason.PRECISION)):
        with pytest.raises(Refused) as refused:
            limited(desk, "BUY", "0.010", price)
        assert refused.value.reason is reason
    assert not desk.book.orders


def test_a_line_that_is_older_than_limit_orders_is_read() -> None:
    desk = Desk()
    order, _ = limited(desk, "BUY", "0.010", "60005.9")
    record = to_record(order)
    assert from_record(record) == order
    del record["price"]
    assert getattr(from_record(record), "price") == 0  # noqa: B009 - an Event has none for the type checker


@pytest.mark.parametrize(("price", "status", "executed"), [("70000", "FILLED", "0.010"), ("50000", "EXPIRED", "0")])
def test_on_binance(tmp_path: Path, price: str, status: str, executed: str) -> None:
    venue = Venue(tmp_path)
    row = venue.buy(type="LIMIT", price=price, timeInForce="IOC", newClientOrderId="e1")
    assert (row["type"], row["timeInForce"], row["price"], row["status"]) == ("LIMIT", "IOC", price, status)
    assert D(row["executedQty"]) == D(executed)
    later = venue.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="e1")
    assert (later["status"], later["executedQty"]) == (status, row["executedQty"])
    assert venue.ok("GET", "/fapi/v1/openOrders", symbol="BTCUSDT") == []


@pytest.mark.parametrize(
    ("price", "status", "reason"),
    [("70000", "Filled", "EC_NoError"), ("50000", "Cancelled", "EC_NoImmediateQtyToFill")],
)
def test_on_bybit(bybit: BybitVenue, price: str, status: str, reason: str) -> None:
    """The stop that came with it stands on the position only if there is one."""
    limit = {"orderType": "Limit", "price": price, "timeInForce": "IOC"}
    bybit.buy(orderLinkId="e1", stopLoss="49000", slTriggerBy="MarkPrice", tpslMode="Full", **limit)
    row = bybit.order(orderLinkId="e1")
    assert (row["orderType"], row["timeInForce"], row["price"]) == ("Limit", "IOC", price)
    assert (row["orderStatus"], row["rejectReason"], row["leavesQty"]) == (status, reason, "0")
    (held,) = bybit.get("/v5/position/list", symbol="BTCUSDT")["list"]
    assert (held["size"], D(held["stopLoss"] or "0")) == (("0.010", D(49_000)) if status == "Filled" else ("0", D(0)))
