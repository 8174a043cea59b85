"""Raw rows of Binance -> exact reports; a row that lacks what it must have is refused, not guessed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.exchange import binance_rows as parse
from adapters.exchange.interface import WalletReport
from adapters.exchange.rows import EPOCH, instant, money, read, stamp
from adapters.exchange.venue import BadReply
from domain.instrument import PositionSide, Side
from domain.orders import OrderStatus, Source
from tests.unit.exchange.recording_venue import SYMBOL_ROW, algo_row, order_row, position_row

MOMENT = datetime(2025, 11, 18, 9, 36, 16, 201000, tzinfo=UTC)
STAMP = 1763458576201
ZERO = Decimal(0)


def order_event(**changes: Any) -> dict[str, Any]:
    """An ORDER_TRADE_UPDATE of an execution."""
    row = {
        "s": "BTCUSDT", "c": "hfabcd-1-1_1-1e", "S": "BUY", "o": "MARKET", "f": "GTC", "q": "0.003", "p": "0",
        "ap": "60010.10", "sp": "0", "x": "TRADE", "X": "PARTIALLY_FILLED", "i": 8389765591, "l": "0.001", "z": "0.001",
        "L": "60010.1", "N": "USDT", "n": "0.02400404", "T": STAMP, "t": 55, "R": False, "ps": "BOTH", "cp": False,
        "rp": "-1.25",
    }  # fmt: skip
    return {"e": "ORDER_TRADE_UPDATE", "E": STAMP + 3, "T": STAMP, "o": row | changes}


def algo_event(**changes: Any) -> dict[str, Any]:
    """An ALGO_UPDATE."""
    row = {
        "caid": "hfabcd-1-1_1-2s", "aid": 2146760, "at": "CONDITIONAL", "o": "STOP_MARKET", "s": "BTCUSDT", "S": "SELL",
        "ps": "BOTH", "f": "GTC", "q": "0.002", "X": "NEW", "ai": "", "ap": "0", "aq": "0", "tp": "55000.10", "p": "0",
        "wt": "MARK_PRICE", "cp": False, "R": True, "rm": "",
    }  # fmt: skip
    return {"e": "ALGO_UPDATE", "E": STAMP + 3, "T": STAMP, "o": row | changes}


def test_an_instrument_in_exact_decimals() -> None:
    btc = parse.instrument(SYMBOL_ROW)
    assert (btc.symbol, btc.base, btc.quote, btc.trading) == ("BTCUSDT", "BTC", "USDT", True)
    assert (btc.tick, btc.step, btc.min_quantity) == (Decimal("0.1"), Decimal("0.001"), Decimal("0.001"))
    assert (btc.max_market_quantity, btc.min_notional, btc.max_conditional_orders) == (Decimal(120), Decimal(100), 10)


def test_the_coarser_of_the_two_lot_filters_counts() -> None:
    filters = [
        {**entry, "stepSize": "0.01", "minQty": "0.05"} if entry["filterType"] == "MARKET_LOT_SIZE" else entry
        for entry in SYMBOL_ROW["filters"]
    ]
    btc = parse.instrument({**SYMBOL_ROW, "filters": filters, "status": "SETTLING"})
    assert (btc.step, btc.min_quantity, btc.trading) == (Decimal("0.01"), Decimal("0.05"), False)


@pytest.mark.parametrize(
    ("raw", "filled", "status"),
    [
        ("NEW", "0", OrderStatus.ACK),
        ("NEW", "0.001", OrderStatus.PART_FILLED),
        ("PARTIALLY_FILLED", "0.001", OrderStatus.PART_FILLED),
        ("FILLED", "0.002", OrderStatus.FILLED),
        ("CANCELED", "0.001", OrderStatus.CANCELED),
        ("REJECTED", "0", OrderStatus.REJECTED),
        ("EXPIRED", "0.001", OrderStatus.EXPIRED),
        ("EXPIRED_IN_MATCH", "0", OrderStatus.EXPIRED),
        ("NEW_ADL", "0", OrderStatus.ACK),
        ("BRAND_NEW_STATUS", "0", OrderStatus.UNKNOWN),
        ("BRAND_NEW_STATUS", "0.002", OrderStatus.FILLED),
    ],
)
def test_status_of_an_order(raw: str, filled: str, status: OrderStatus) -> None:
    report = parse.order(order_row(status=raw, executedQty=filled), Source.REPLY)
    assert report.status is status
    assert report.filled == Decimal(filled)


def test_an_order_in_full() -> None:
    report = parse.order(order_row(), Source.REPLY)
    assert (report.exchange_id, report.client_id, report.conditional) == ("8389765591", "hfabcd-1-1_1-1e", False)
    assert (report.side, report.average_price, report.trigger_price) == (Side.BUY, Decimal("60010.10000"), None)
    assert (report.position_side, report.reduce_only, report.close_position) == (None, False, False)
    assert (report.at, report.source) == (MOMENT, Source.REPLY)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("NEW", OrderStatus.ACK),
        ("TRIGGERING", OrderStatus.TRIGGERING),
        ("TRIGGERED", OrderStatus.TRIGGERED),
        ("FINISHED", OrderStatus.TRIGGERED),
        ("CANCELED", OrderStatus.CANCELED),
        ("REJECTED", OrderStatus.REJECTED),
        ("EXPIRED", OrderStatus.EXPIRED),
        ("BRAND_NEW_STATUS", OrderStatus.UNKNOWN),
    ],
)
def test_a_conditional_order_never_claims_a_fill(raw: str, status: OrderStatus) -> None:
    rest = parse.algo(algo_row(algoStatus=raw, actualOrderId="77", actualQty="0.002"), Source.QUERY)
    pushed = parse.algo_event(algo_event(X=raw, ai=77, aq="0.002", ap="54999.9"))
    for report in (rest, pushed):
        assert (report.status, report.filled, report.average_price) == (status, ZERO, None)
        assert (report.child_id, report.conditional) == ("77", True)
        assert (report.trigger_price, report.quantity, report.reduce_only) == (
            Decimal("55000.1"),
            Decimal("0.002"),
            True,
        )


@pytest.mark.parametrize("nothing", ["", None, "0", 0])
def test_no_child_before_the_trigger(nothing: object) -> None:
    assert parse.algo(algo_row(actualOrderId=nothing), Source.QUERY).child_id is None
    assert parse.algo_event(algo_event(ai=nothing)).child_id is None


def test_a_close_position_stop_has_no_quantity_and_a_refused_one_its_reason() -> None:
    report = parse.algo_event(algo_event(q="0", cp=True, R=False, X="REJECTED", rm="margin is insufficient"))
    assert (report.quantity, report.close_position, report.reason) == (ZERO, True, "margin is insufficient")


def test_a_flat_row_is_an_explicit_zero() -> None:
    report = parse.position(position_row(), MOMENT, Source.SNAPSHOT)
    assert (report.quantity, report.entry_price, report.liquidation_price) == (ZERO, None, None)
    assert (report.mark_price, report.at) == (Decimal(60010), MOMENT)


@pytest.mark.parametrize(("shown", "changed_at"), [(0, EPOCH), ("0", EPOCH), ("", None), (None, None), (STAMP, MOMENT)])
def test_a_row_that_never_changed_is_older_than_all(shown: object, changed_at: datetime | None) -> None:
    """A cached answer of before the first trade on a symbol must not pass for one that may hold it."""
    assert parse.position(position_row(updateTime=shown), MOMENT, Source.QUERY).changed_at == changed_at


def test_a_short_position() -> None:
    row = position_row(positionAmt="-0.002", entryPrice="60000.0", liquidationPrice="90120.5", positionSide="SHORT")
    report = parse.position(row, MOMENT, Source.QUERY)
    assert (report.quantity, report.position_side) == (Decimal("-0.002"), PositionSide.SHORT)
    assert (report.entry_price, report.liquidation_price) == (Decimal(60000), Decimal("90120.5"))


def test_an_execution_comes_with_its_order() -> None:
    report, fill = parse.order_event(order_event())
    assert fill is not None
    assert (report.status, report.filled, report.at) == (OrderStatus.PART_FILLED, Decimal("0.001"), MOMENT)
    assert (fill.trade_id, fill.exchange_id, fill.client_id) == ("55", "8389765591", "hfabcd-1-1_1-1e")
    assert (fill.quantity, fill.price) == (Decimal("0.001"), Decimal("60010.1"))
    assert (fill.fee, fill.fee_currency, fill.realized_pnl) == (Decimal("0.02400404"), "USDT", Decimal("-1.25"))
    assert (fill.liquidation, fill.at) == (False, MOMENT)


@pytest.mark.parametrize(("kind", "quantity"), [("NEW", "0"), ("CANCELED", "0"), ("EXPIRED", "0"), ("TRADE", "0")])
def test_an_order_event_without_an_execution(kind: str, quantity: str) -> None:
    assert parse.order_event(order_event(x=kind, l=quantity, L="0", z="0"))[1] is None


@pytest.mark.parametrize("client_id", ["autoclose-1763458576201", "adl_autoclose", "settlement_autoclose-9"])
def test_a_forced_execution_is_told_by_its_client_id(client_id: str) -> None:
    for kind in ("TRADE", "CALCULATED"):
        fill = parse.order_event(order_event(c=client_id, x=kind))[1]
        assert fill is not None
        assert fill.liquidation


def test_a_commission_that_is_missing_is_nothing() -> None:
    event = order_event()
    del event["o"]["n"], event["o"]["N"]
    fill = parse.order_event(event)[1]
    assert fill is not None
    assert (fill.fee, fill.fee_currency) == (ZERO, "USDT")


def test_positions_of_an_account_update_flat_ones_too() -> None:
    rows = [
        {"s": "BTCUSDT", "pa": "0", "ep": "0.0", "ps": "BOTH"},
        {"s": "ETHUSDT", "pa": "-1.5", "ep": "3000.5", "ps": "BOTH"},
    ]
    flat, short = parse.position_events({"e": "ACCOUNT_UPDATE", "E": STAMP, "T": STAMP, "a": {"m": "ORDER", "P": rows}})
    assert (flat.symbol, flat.quantity, flat.entry_price, flat.at) == ("BTCUSDT", ZERO, None, MOMENT)
    assert (short.symbol, short.quantity, short.entry_price) == ("ETHUSDT", Decimal("-1.5"), Decimal("3000.5"))
    assert parse.position_events({"e": "ACCOUNT_UPDATE", "E": STAMP, "T": STAMP, "a": {"m": "FUNDING_FEE"}}) == ()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"a": "BNB", "wb": "1"}, {"a": "USDT", "wb": "122624.12345678", "cw": "100", "bc": "0"}], "122624.12345678"),
        ([{"a": "BNB", "wb": "1"}], None),
        (None, None),
    ],
)
def test_the_wallet_in_a_change_of_the_account(rows: list[dict[str, str]] | None, told: str | None) -> None:
    changed = {"m": "ORDER"} if rows is None else {"m": "ORDER", "B": rows}
    wallet = parse.wallet_event({"e": "ACCOUNT_UPDATE", "E": STAMP, "T": STAMP, "a": changed})
    assert wallet == (None if told is None else WalletReport(wallet=Decimal(told)))


def test_a_trade_of_the_history() -> None:
    row = {
        "id": 698759, "orderId": 25851813, "symbol": "BTCUSDT", "side": "SELL", "price": "7819.01", "qty": "0.002",
        "realizedPnl": "-0.91539999", "commission": "0.00782", "commissionAsset": "USDT", "positionSide": "BOTH",
        "time": STAMP,
    }  # fmt: skip
    fill = parse.trade(row)
    assert (fill.trade_id, fill.exchange_id, fill.client_id, fill.side) == ("698759", "25851813", None, Side.SELL)
    assert (fill.price, fill.fee, fill.realized_pnl) == (Decimal("7819.01"), Decimal("0.00782"), Decimal("-0.91539999"))


@pytest.mark.parametrize(
    "broken", [["1"], ["1", "2", "3", "0", "2"], ["x", "2", "3", "1", "2"], ["1", "NaN", "3", "1", "2"], None]
)
def test_a_broken_candle_is_refused(broken: Any) -> None:
    assert read(parse.candle, [STAMP, "2", "3", "1", "2.5", "0"]).high == 3
    with pytest.raises(BadReply):
        read(parse.candle, broken)


@pytest.mark.parametrize("key", ["origQty", "executedQty", "orderId", "status", "side", "symbol", "updateTime"])
def test_an_order_that_lacks_what_it_must_have_is_refused(key: str) -> None:
    row = order_row()
    del row[key]
    with pytest.raises(BadReply, match=key):
        read(parse.order, row, Source.REPLY)


@pytest.mark.parametrize("value", [None, "", "abc", "NaN", "Infinity", [], {}])
def test_a_position_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(BadReply):
        read(parse.position, position_row(positionAmt=value), MOMENT, Source.SNAPSHOT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)


@given(JSON)
def test_rubbish_is_a_bad_reply_and_nothing_else(rubbish: object) -> None:
    parsers: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (parse.order, (Source.REPLY,)),
        (parse.algo, (Source.REPLY,)),
        (parse.position, (MOMENT, Source.REPLY)),
        (parse.trade, ()),
        (parse.instrument, ()),
        (parse.order_event, ()),
        (parse.algo_event, ()),
        (parse.mark_event, ()),
        (parse.listen_key, ()),
    ]
    for parser, rest in parsers:
        with pytest.raises(BadReply):
            read(parser, rubbish, *rest)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**12))
def test_numbers_are_taken_exactly(value: Decimal) -> None:
    assert money({"p": format(value, "f")}, "p") == value


def test_times_are_exact_to_the_millisecond() -> None:
    assert instant(STAMP) == MOMENT
    assert stamp(MOMENT) == STAMP


@pytest.mark.parametrize(("amount", "price"), [("0.002", "90120.5"), ("-0.002", "30120.5")])
def test_a_liquidation_price_where_the_position_gains_is_the_other_sides(amount: str, price: str) -> None:
    row = position_row(positionAmt=amount, liquidationPrice=price)
    assert parse.position(row, MOMENT, Source.QUERY).liquidation_price is None


def test_a_contract_that_does_not_trade_yet_has_a_mark_price_of_zero() -> None:
    event = {"e": "markPriceUpdate", "E": STAMP, "s": "NEWUSDT", "p": "0.00000000"}
    assert parse.mark_event(event).price == 0
    with pytest.raises(BadReply):
        read(parse.mark_event, event | {"p": "-1"})
