"""Raw rows of Bybit -> exact reports; a row that lacks what it must have is refused, not guessed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.exchange import bybit_rows as parse
from adapters.exchange.rows import EPOCH, read
from adapters.exchange.venue import BadReply
from domain.instrument import PositionSide, Side
from domain.orders import OrderStatus, Source
from tests.unit.exchange.bybit_samples import (
    ENTRY_ID,
    ORDER_ID,
    STAMP,
    STOP_ID,
    attached_row,
    envelope,
    execution_row,
    flat_row,
    instrument_row,
    order_row,
    position_row,
    stop_row,
    ticker_row,
    wallet_row,
)

MOMENT = datetime(2025, 11, 18, 9, 36, 16, 201000, tzinfo=UTC)
ZERO = Decimal(0)
ACK, TRIGGERED, CANCELED = OrderStatus.ACK, OrderStatus.TRIGGERED, OrderStatus.CANCELED
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT


def test_an_instrument_in_exact_decimals() -> None:
    btc = parse.instrument(instrument_row())
    assert (btc.symbol, btc.base, btc.quote, btc.trading) == ("BTCUSDT", "BTC", "USDT", True)
    assert (btc.tick, btc.step, btc.min_quantity) == (Decimal("0.1"), Decimal("0.001"), Decimal("0.001"))
    assert (btc.max_market_quantity, btc.min_notional, btc.max_conditional_orders) == (Decimal(500), Decimal(5), 10)
    assert not parse.instrument(instrument_row(status="Delivering")).trading


@pytest.mark.parametrize(
    ("raw", "filled", "status"),
    [
        ("Created", "0", ACK),
        ("New", "0", ACK),
        ("PartiallyFilled", "0.001", OrderStatus.PART_FILLED),
        ("Filled", "0.002", OrderStatus.FILLED),
        ("Cancelled", "0", CANCELED),
        ("Cancelled", "0.001", CANCELED),
        ("PartiallyFilledCanceled", "0.001", CANCELED),
        ("Rejected", "0", OrderStatus.REJECTED),
        ("PendingCancel", "0", ACK),
        ("Brand new", "0", OrderStatus.UNKNOWN),
        ("Brand new", "0.002", OrderStatus.FILLED),
    ],
)
def test_status_of_an_order(raw: str, filled: str, status: OrderStatus) -> None:
    report = parse.order(order_row(orderStatus=raw, cumExecQty=filled), Source.STREAM)
    assert (report.status, report.filled, report.conditional) == (status, Decimal(filled), False)


def test_an_order_in_full() -> None:
    report = parse.order(order_row(), Source.QUERY)
    assert (report.exchange_id, report.client_id, report.side) == (ORDER_ID, ENTRY_ID, Side.BUY)
    assert (report.average_price, report.trigger_price) == (Decimal("60010.1"), None)
    assert (report.position_side, report.reduce_only, report.attached) == (None, False, False)
    assert (report.at, report.source, report.reason) == (MOMENT, Source.QUERY, "")
    assert parse.orders(order_row(), Source.STREAM) == (parse.order(order_row(), Source.STREAM),)


def test_why_an_order_ended() -> None:
    report = parse.order(order_row(orderStatus="Cancelled", cancelType="CancelByReduceOnly"), Source.STREAM)
    assert report.reason == "CancelByReduceOnly"
    report = parse.conditional(stop_row(orderStatus="Rejected", rejectReason="EC_NoEnoughQtyToFill"), Source.STREAM)
    assert report.reason == "EC_NoEnoughQtyToFill"


@pytest.mark.parametrize(
    ("raw", "filled", "status"),
    [
        ("Untriggered", "0", ACK),
        ("Triggered", "0", TRIGGERED),
        ("New", "0", TRIGGERED),
        ("PartiallyFilled", "0.001", TRIGGERED),
        ("Filled", "0.002", TRIGGERED),
        ("PartiallyFilledCanceled", "0.001", TRIGGERED),
        ("Cancelled", "0.001", TRIGGERED),
        ("Cancelled", "0", TRIGGERED),
        ("Deactivated", "0", CANCELED),
        ("Rejected", "0", OrderStatus.REJECTED),
        ("Rejected", "0.001", TRIGGERED),
        ("Brand new", "0", OrderStatus.UNKNOWN),
    ],
)
def test_a_conditional_order_never_claims_a_fill_and_its_child_has_its_id(
    raw: str, filled: str, status: OrderStatus
) -> None:
    row = stop_row(orderStatus=raw, cumExecQty=filled, avgPrice="54990", cancelType="CancelByReduceOnly")
    first, *rest = parse.orders(row, Source.STREAM)
    assert (first.status, first.filled, first.average_price, first.conditional) == (status, ZERO, None, True)
    assert first.child_id == (ORDER_ID if status is TRIGGERED else None)
    assert (first.trigger_price, first.quantity, first.client_id) == (Decimal("55000.1"), Decimal("0.002"), STOP_ID)
    assert len(rest) == (1 if Decimal(filled) else 0)
    for ordinary in rest:
        assert (ordinary.conditional, ordinary.exchange_id) == (False, ORDER_ID)
        assert (ordinary.filled, ordinary.average_price) == (Decimal(filled), Decimal(54990))


@pytest.mark.parametrize("by_hand", ["CancelByUser", "CancelByTpSlTsClear"])
def test_a_conditional_order_that_somebody_cancelled_has_not_triggered(by_hand: str) -> None:
    row = stop_row(orderStatus="Cancelled", cancelType=by_hand)
    assert parse.conditional(row, Source.STREAM).status is CANCELED
    assert parse.conditional(row | {"cumExecQty": "0.001"}, Source.STREAM).status is TRIGGERED


@pytest.mark.parametrize(
    ("changes", "attached"),
    [
        ({}, True),
        ({"tpslMode": "Partial"}, False),
        ({"tpslMode": "Partial", "stopOrderType": "PartialStopLoss", "createType": "CreateByPartialStopLoss"}, False),
        ({"stopOrderType": "TakeProfit", "createType": "CreateByTakeProfit"}, False),
        ({"stopOrderType": "TrailingStop", "createType": "CreateByTrailingStop"}, False),
        ({"stopOrderType": "StopLoss", "createType": ""}, True),
        ({"stopOrderType": "", "createType": "CreateByStopLoss"}, True),
    ],
)
def test_only_the_stop_loss_of_the_whole_position_is_attached(changes: dict[str, Any], attached: bool) -> None:
    report = parse.conditional(attached_row(**changes), Source.STREAM)
    assert (report.attached, report.close_position) == (attached, attached)
    assert report.client_id is None


def test_our_own_conditional_order_is_not_attached() -> None:
    report = parse.conditional(stop_row(tpslMode="Full"), Source.STREAM)
    assert (report.attached, report.close_position, report.reduce_only) == (False, False, True)


def test_a_limit_order_that_carries_a_stop_loss_is_no_conditional_one() -> None:
    assert not parse.is_conditional(order_row(stopLoss="55000", stopOrderType="UNKNOWN", triggerPrice="0.00"))
    assert parse.is_conditional(order_row(triggerPrice="55000"))


@pytest.mark.parametrize(("index", "side"), [(0, None), ("0", None), (1, LONG), ("2", SHORT)])
def test_the_position_index_tells_the_side(index: object, side: PositionSide | None) -> None:
    assert parse.order(order_row(positionIdx=index), Source.QUERY).position_side is side
    assert parse.position(position_row(positionIdx=index), MOMENT, Source.QUERY).position_side is side


def test_an_unknown_position_index_is_refused() -> None:
    with pytest.raises(BadReply, match="positionIdx=3"):
        read(parse.position, position_row(positionIdx=3), MOMENT, Source.QUERY)


def test_a_long_and_a_short_position() -> None:
    report = parse.position(position_row(), MOMENT, Source.SNAPSHOT)
    assert (report.quantity, report.entry_price, report.mark_price) == (
        Decimal("0.002"),
        Decimal("60010.1"),
        Decimal(60020),
    )
    assert (report.liquidation_price, report.attached_stop, report.at) == (
        Decimal("30120.5"),
        Decimal("55000.1"),
        MOMENT,
    )
    report = parse.position(position_row(side="Sell", liqPrice="90120.5"), MOMENT, Source.QUERY)
    assert (report.quantity, report.liquidation_price) == (Decimal("-0.002"), Decimal("90120.5"))


def test_a_flat_row_is_an_explicit_zero_without_a_stop() -> None:
    report = parse.position(flat_row(), MOMENT, Source.SNAPSHOT)
    assert (report.quantity, report.entry_price, report.liquidation_price, report.attached_stop) == (
        ZERO,
        None,
        None,
        ZERO,
    )


@pytest.mark.parametrize(("shown", "changed_at"), [("0", EPOCH), ("", None), (str(STAMP), MOMENT)])
def test_a_row_that_never_changed_is_older_than_all(shown: str, changed_at: datetime | None) -> None:
    """A cached answer of before the first trade on a symbol must not pass for one that may hold it."""
    assert parse.position(flat_row(updatedTime=shown), MOMENT, Source.QUERY).changed_at == changed_at


@pytest.mark.parametrize(("side", "liquidation"), [("Buy", "90000"), ("Buy", "60020.00"), ("Sell", "30000")])
def test_a_liquidation_price_where_the_position_gains_is_the_other_sides(side: str, liquidation: str) -> None:
    row = position_row(side=side, liqPrice=liquidation)
    assert parse.position(row, MOMENT, Source.QUERY).liquidation_price is None


def test_a_pushed_position_is_dated_by_its_change_and_spells_the_entry_price_otherwise() -> None:
    row = position_row(entryPrice="60010.1")
    del row["avgPrice"]
    report = parse.pushed_position(row)
    assert (report.entry_price, report.at, report.source) == (Decimal("60010.1"), MOMENT, Source.STREAM)


def test_an_execution() -> None:
    fill = parse.fill(execution_row(), False)
    assert (fill.exchange_id, fill.client_id, fill.side) == (ORDER_ID, ENTRY_ID, Side.BUY)
    assert (fill.quantity, fill.price, fill.fee) == (Decimal("0.002"), Decimal("60010.1"), Decimal("0.06601111"))
    assert (fill.fee_currency, fill.realized_pnl, fill.at) == ("USDT", ZERO, MOMENT)
    assert (fill.position_side, fill.liquidation) == (None, False)
    assert parse.fill(execution_row(orderLinkId="", feeCurrency=""), False).client_id is None


@pytest.mark.parametrize(
    ("side", "closed", "owner"),
    [("Buy", "", LONG), ("Sell", "0.002", LONG), ("Sell", "0", SHORT), ("Buy", "0.002", SHORT)],
)
def test_in_hedge_mode_the_closed_size_tells_whose_execution_it_was(
    side: str, closed: str, owner: PositionSide
) -> None:
    row = execution_row(side=side, closedSize=closed)
    assert parse.fill(row, True).position_side is owner
    assert parse.fill(row, False).position_side is None


@pytest.mark.parametrize(
    ("side", "price", "entry", "gained"),
    [("Sell", "60100", "60000", "0.2"), ("Sell", "59900", "60000", "-0.2"), ("Buy", "59900", "60000", "0.2")],
)
def test_what_an_execution_gained_follows_from_the_entry_price(
    side: str, price: str, entry: str, gained: str
) -> None:
    row = execution_row(side=side, execPrice=price, closedSize="0.002")
    assert parse.fill(row, False, Decimal(entry)).realized_pnl == Decimal(gained)
    assert parse.fill(row, False).realized_pnl == 0
    assert parse.fill(row | {"execPnl": "7"}, False, Decimal(entry)).realized_pnl == 7


def test_part_of_an_execution_may_close_and_the_rest_open() -> None:
    row = execution_row(side="Sell", execQty="0.005", execPrice="60100", closedSize="0.002")
    assert parse.fill(row, False, Decimal(60000)).realized_pnl == Decimal("0.2")


@pytest.mark.parametrize(
    "forced",
    [
        {"execType": "BustTrade"},
        {"execType": "AdlTrade"},
        {"execType": "Settle"},
        {"createType": "CreateByLiq"},
        {"createType": "CreateByTakeOver_PassThrough"},
        {"createType": "CreateByAdl_PassThrough"},
    ],
)
def test_a_forced_execution_is_told_by_its_kind(forced: dict[str, str]) -> None:
    assert parse.is_execution(execution_row(**forced))
    assert parse.fill(execution_row(**forced), False).liquidation


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ({"stopOrderType": "StopLoss", "createType": "CreateByStopLoss"}, True),
        ({"stopOrderType": "PartialStopLoss", "createType": "CreateByPartialStopLoss"}, False),
        ({"stopOrderType": "TakeProfit", "createType": "CreateByTakeProfit"}, False),
        ({"stopOrderType": "Stop", "createType": "CreateByUser"}, False),
        ({"stopOrderType": "UNKNOWN", "createType": "CreateByClosing"}, False),
        ({}, False),
    ],
)
def test_an_execution_tells_when_the_stop_on_the_position_did_it(of: dict[str, str], told: bool) -> None:
    assert parse.fill(execution_row(side="Sell", closedSize="0.002", **of), False).by_attached_stop is told


def test_funding_is_no_execution() -> None:
    assert not parse.is_execution(execution_row(execType="Funding"))


@pytest.mark.parametrize(
    ("changes", "free"),
    [({}, "987.96"), ({"totalAvailableBalance": "0"}, "0"), ({"totalAvailableBalance": ""}, "986.44")],
)
def test_the_balance(changes: dict[str, str], free: str) -> None:
    balance = parse.balance(envelope({"list": [wallet_row(**changes)]}))
    assert (balance.currency, balance.total, balance.free) == ("USDT", Decimal("1000.02"), Decimal(free))


def test_a_wallet_that_never_held_any_is_empty_and_one_in_debt_has_nothing_free() -> None:
    assert parse.balance(envelope({"list": [{"coin": []}]})).total == 0
    owing = envelope({"list": [wallet_row(totalAvailableBalance="-3")]})
    assert parse.balance(owing).free == 0


@pytest.mark.parametrize("broken", [["1"], ["1", "2", "3", "0", "2"], ["x", "2", "3", "1", "2"], None])
def test_a_broken_candle_is_refused(broken: Any) -> None:
    assert read(parse.candle, [str(STAMP), "2", "3", "1", "2.5"]).high == 3
    with pytest.raises(BadReply):
        read(parse.candle, broken)


@pytest.mark.parametrize("key", ["qty", "cumExecQty", "orderId", "orderStatus", "side", "positionIdx", "updatedTime"])
def test_an_order_that_lacks_what_it_must_have_is_refused(key: str) -> None:
    for row in (order_row(), stop_row()):
        del row[key]
        with pytest.raises(BadReply, match=key):
            read(parse.orders, row, Source.STREAM)


@pytest.mark.parametrize("value", [None, "", "abc", "NaN", "Infinity", [], {}])
def test_a_position_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(BadReply):
        read(parse.position, position_row(size=value), MOMENT, Source.SNAPSHOT)


@pytest.mark.parametrize("reply", [envelope(None), envelope({}), envelope({"list": None}), {"retCode": 0}, []])
def test_a_page_without_its_list_is_refused(reply: Any) -> None:
    with pytest.raises(BadReply):
        read(parse.listed, reply)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)


@given(JSON)
def test_rubbish_is_a_bad_reply_and_nothing_else(rubbish: object) -> None:
    parsers: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (parse.listed, ()),
        (parse.order_id, ()),
        (parse.instrument, ()),
        (parse.orders, (Source.STREAM,)),
        (parse.position, (MOMENT, Source.QUERY)),
        (parse.fill, (False,)),
        (parse.balance, ()),
        (parse.ticker, (MOMENT,)),
        (parse.closed_entry, ()),
        (parse.server_time_ms, ()),
    ]
    for parser, rest in parsers:
        with pytest.raises(BadReply):
            read(parser, rubbish, *rest)


def test_a_mark_price_may_be_zero_and_not_less() -> None:
    assert parse.ticker(ticker_row(markPrice="0"), MOMENT).price == 0
    with pytest.raises(BadReply):
        read(parse.ticker, ticker_row(markPrice="-1"), MOMENT)
