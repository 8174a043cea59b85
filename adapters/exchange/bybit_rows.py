"""Raw rows of Bybit v5 linear -> the domain's reports, in exact decimals. Pure; REST rows and stream rows are the same.

Rules of this venue that shape the file (VENUES A.2, B.3, E). A conditional order keeps its id when it triggers: one row
then tells of two orders of ours, the conditional, which has triggered and whose child has the same id, and the ordinary
one that executes. A row of executions names no position index: in hedge mode the closed size tells the side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, localcontext

from adapters.exchange.interface import Balance, Candle, MarkPrice
from adapters.exchange.resolution import resolved
from adapters.exchange.rows import (
    ZERO,
    Row,
    client_id,
    flag,
    instant,
    last_change,
    liquidation,
    money,
    optional_money,
    positive,
    price,
    side,
)
from adapters.exchange.venue import BadReply, NoSuchOrder, attached_id
from domain.entries.situation import Quote
from domain.instrument import MONEY, Instrument, PositionSide, Side
from domain.orders import Fill, OrderReport, OrderStatus, PositionReport, Source

# VENUES E. What is not listed is UNKNOWN, and then the executed quantity decides.
ORDER_STATUS: Mapping[str, OrderStatus] = {
    "Created": OrderStatus.ACK,
    "New": OrderStatus.ACK,
    "Active": OrderStatus.ACK,
    "Untriggered": OrderStatus.ACK,
    "Triggered": OrderStatus.ACK,
    "PendingCancel": OrderStatus.ACK,
    "PartiallyFilled": OrderStatus.PART_FILLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELED,
    "Deactivated": OrderStatus.CANCELED,
    "Rejected": OrderStatus.REJECTED,
}
# Only 'Deactivated' was cancelled before its trigger; 'Rejected' failed at it. All others but the first have triggered.
CONDITIONAL_STATUS: Mapping[str, OrderStatus] = {
    "Untriggered": OrderStatus.ACK,
    "Created": OrderStatus.ACK,
    "PendingCancel": OrderStatus.ACK,
    "Triggered": OrderStatus.TRIGGERED,
    "Active": OrderStatus.TRIGGERED,
    "New": OrderStatus.TRIGGERED,
    "PartiallyFilled": OrderStatus.TRIGGERED,
    "PartiallyFilledCanceled": OrderStatus.TRIGGERED,
    "Filled": OrderStatus.TRIGGERED,
    "Cancelled": OrderStatus.TRIGGERED,
    "Deactivated": OrderStatus.CANCELED,
    "Rejected": OrderStatus.REJECTED,
}
_POSITION_SIDE: Mapping[str, PositionSide | None] = {"0": None, "1": PositionSide.LONG, "2": PositionSide.SHORT}
_NO_STOP_TYPE = ("", "UNKNOWN", None)
_NO_REASON = ("", "EC_NoError", "UNKNOWN", None)
# A market order of ours that triggered cannot be cancelled by a user: who did so took the conditional away.
_BY_HAND = ("CancelByUser", "CancelByTpSlTsClear")
_FORCED_EXECUTIONS = frozenset({"BustTrade", "AdlTrade", "Settle", "Delivery"})
_EXECUTIONS = _FORCED_EXECUTIONS | {"Trade", "BlockTrade", "MovePosition"}
_FORCED_ORDERS = frozenset({"CreateByLiq", "CreateByTakeOver_PassThrough", "CreateByAdl_PassThrough", "CreateBySettle"})
CONDITIONALS_A_SYMBOL = 10  # create-order's documentation: ten resting conditional orders a symbol and account


def result(reply: Row) -> Row:
    """What a reply says beside its code."""
    found = reply["result"]
    if not isinstance(found, Mapping):
        raise TypeError(f"result={found!r}: must be an object")
    return found


def listed(reply: Row) -> tuple[list[Row], str]:
    """The rows of one page, and the cursor of the next, '' at the end."""
    found = result(reply)
    rows = found["list"]
    if not isinstance(rows, list):
        raise TypeError(f"list={str(rows)[:100]}: must be a list")
    return rows, str(found.get("nextPageCursor") or "")


def server_time_ms(reply: Row) -> int:
    """The venue's clock."""
    return int(reply["time"])


def order_id(reply: Row) -> tuple[str, str]:
    """The two ids of an acknowledged order: the venue's and ours."""
    found = result(reply)
    return str(found["orderId"]), str(found["orderLinkId"])


def usdt_perpetual(row: Row) -> bool:
    """Whether a row of instruments-info is in scope."""
    keys = ("contractType", "quoteCoin", "settleCoin")
    return tuple(row.get(key) for key in keys) == ("LinearPerpetual", "USDT", "USDT")


def instrument(row: Row) -> Instrument:
    """A symbol of instruments-info."""
    lot = row["lotSizeFilter"]
    return Instrument(
        symbol=row["symbol"],
        base=row["baseCoin"],
        quote=row["quoteCoin"],
        tick=positive(row["priceFilter"], "tickSize"),
        step=positive(lot, "qtyStep"),
        min_quantity=money(lot, "minOrderQty"),
        max_market_quantity=min(positive(lot, "maxMktOrderQty"), positive(lot, "maxOrderQty")),
        min_notional=optional_money(lot, "minNotionalValue") or ZERO,
        trading=row["status"] == "Trading",
        max_conditional_orders=CONDITIONALS_A_SYMBOL,
    )


def is_conditional(row: Row) -> bool:
    """Whether the order rests, or rested, until a trigger price is touched."""
    return row.get("stopOrderType") not in _NO_STOP_TYPE or optional_money(row, "triggerPrice") is not None


def order(row: Row, source: Source) -> OrderReport:
    """What a row says of the ordinary order, for a conditional one that which its trigger made."""
    quantity, filled = money(row, "qty"), money(row, "cumExecQty")
    status = ORDER_STATUS.get(row["orderStatus"], OrderStatus.UNKNOWN)
    return OrderReport(
        symbol=row["symbol"],
        client_id=client_id(row.get("orderLinkId")),
        exchange_id=str(row["orderId"]),
        conditional=False,
        side=side(row["side"]),
        status=resolved(str(row["orderId"]), row["orderStatus"], status, quantity, filled),
        quantity=quantity,
        filled=filled,
        average_price=optional_money(row, "avgPrice"),
        trigger_price=optional_money(row, "triggerPrice"),
        reduce_only=flag(row.get("reduceOnly")),
        close_position=False,
        position_side=position_side(row),
        child_id=None,
        reason=_reason(row),
        at=instant(row["updatedTime"]),
        source=source,
        attached=False,
    )


def conditional(row: Row, source: Source) -> OrderReport:
    """What a row says of a conditional order. Its `child_id` is its own id, from the trigger on."""
    status = CONDITIONAL_STATUS.get(row["orderStatus"], OrderStatus.UNKNOWN)
    executed = money(row, "cumExecQty") > 0
    if executed:
        status = OrderStatus.TRIGGERED
    elif row["orderStatus"] == "Cancelled" and row.get("cancelType") in _BY_HAND:
        status = OrderStatus.CANCELED
    attached = is_attached(row)
    return OrderReport(
        symbol=row["symbol"],
        client_id=client_id(row.get("orderLinkId")),
        exchange_id=str(row["orderId"]),
        conditional=True,
        side=side(row["side"]),
        status=status,
        quantity=money(row, "qty"),
        filled=ZERO,
        average_price=None,
        trigger_price=optional_money(row, "triggerPrice"),
        reduce_only=flag(row.get("reduceOnly")),
        close_position=attached,
        position_side=position_side(row),
        child_id=str(row["orderId"]) if status is OrderStatus.TRIGGERED else None,
        reason=_reason(row),
        at=instant(row["updatedTime"]),
        source=source,
        attached=attached,
    )


def orders(row: Row, source: Source) -> tuple[OrderReport, ...]:
    """All that a row says: of a conditional order, and once something has executed of the ordinary one after it."""
    if not is_conditional(row):
        return (order(row, source),)
    first = conditional(row, source)
    return (first, order(row, source)) if money(row, "cumExecQty") > 0 else (first,)


def is_attached(row: Row) -> bool:
    """Whether it is, or executes, the stop-loss of the whole position, which the venue keeps on the position itself."""
    stop = row.get("stopOrderType") == "StopLoss" or row.get("createType") == "CreateByStopLoss"
    return stop and row.get("tpslMode") in ("Full", "", None)


def asked_order(row: Row, as_conditional: bool) -> OrderReport:
    """An order that was asked for by its id, as the conditional or as the ordinary order that it is or became."""
    face = conditional if as_conditional and is_conditional(row) else order
    return face(row, Source.QUERY)


def attached_stop(rows: Iterable[Row], symbol: str, shown: PositionSide | None, at: datetime) -> OrderReport:
    """The stop on a position as an order of its own, read from the position. Raises NoSuchOrder where there is none.

    The row of a position does not say when its stop was set: `at` is the venue's time of the reading.
    """
    found = [row for row in rows if row["symbol"] == symbol and position_side(row) == shown]
    if len(found) != 1:
        raise BadReply(f"position of {symbol} {shown or 'one-way'}: {len(found)} rows in the reply, there must be 1")
    report = position(found[0], at, Source.QUERY)
    if not report.attached_stop:
        raise NoSuchOrder(f"the position {symbol} {shown or 'one-way'} has no stop of its own")
    held = PositionSide.LONG if report.quantity > 0 else PositionSide.SHORT
    return OrderReport(
        symbol=symbol,
        client_id=None,
        exchange_id=attached_id(symbol, held),
        conditional=True,
        side=held.closing,
        status=OrderStatus.ACK,
        quantity=abs(report.quantity),
        filled=ZERO,
        average_price=None,
        trigger_price=report.attached_stop,
        reduce_only=True,
        close_position=True,
        position_side=shown,
        child_id=None,
        reason="",
        at=at,
        source=Source.QUERY,
        attached=True,
    )


def position(row: Row, at: datetime, source: Source) -> PositionReport:
    """A row of position/list or of the stream, which calls the entry price otherwise. '' and 0 mean no stop on it."""
    quantity = money(row, "size")
    if quantity and side(row["side"]) is Side.SELL:
        quantity = -quantity
    mark = optional_money(row, "markPrice")
    entry = "avgPrice" if "avgPrice" in row else "entryPrice"
    return PositionReport(
        symbol=row["symbol"],
        position_side=position_side(row),
        quantity=quantity,
        entry_price=optional_money(row, entry) if quantity else None,
        mark_price=mark,
        liquidation_price=liquidation(row, "liqPrice", quantity, mark),
        at=at,
        source=source,
        attached_stop=optional_money(row, "stopLoss") or ZERO,
        attached_profit=optional_money(row, "takeProfit") or ZERO,
        leverage=optional_money(row, "leverage"),
        changed_at=last_change(row, "updatedTime"),
    )


def pushed_position(row: Row) -> PositionReport:
    """A row of the position stream, at the time of its change."""
    return position(row, instant(row["updatedTime"]), Source.STREAM)


def is_execution(row: Row) -> bool:
    """Whether a row of executions changed a position; funding is listed among them too."""
    return row["execType"] in _EXECUTIONS


def closes(row: Row) -> bool:
    """Whether an execution made a position smaller."""
    return optional_money(row, "closedSize") is not None


def executed_at(row: Row) -> datetime:
    """When an execution happened."""
    return instant(row["execTime"])


def fill(row: Row, hedge_mode: bool, entry: Decimal | None = None) -> Fill:
    """An execution. `entry`: average entry price of what it closed, for a row that does not say what was gained."""
    order_side = side(row["side"])
    closed = optional_money(row, "closedSize")
    held = PositionSide.LONG if (order_side is Side.BUY) is (closed is None) else PositionSide.SHORT
    realized = optional_money(row, "execPnl")
    if realized is None and closed is not None and entry is not None:
        with localcontext(MONEY):
            realized = (positive(row, "execPrice") - entry) * closed * -order_side.sign
    if not row["orderId"]:
        raise ValueError("orderId is empty: the execution of no order would be counted beside the order's own")
    return Fill(
        trade_id=str(row["execId"]),
        symbol=row["symbol"],
        exchange_id=str(row["orderId"]),
        client_id=client_id(row.get("orderLinkId")),
        side=order_side,
        position_side=held if hedge_mode else None,
        quantity=positive(row, "execQty"),
        price=positive(row, "execPrice"),
        fee=optional_money(row, "execFee") or ZERO,
        fee_currency=row.get("feeCurrency") or "USDT",
        realized_pnl=realized or ZERO,
        at=instant(row["execTime"]),
        liquidation=row["execType"] in _FORCED_EXECUTIONS or row.get("createType") in _FORCED_ORDERS,
        by_attached_stop=is_attached(row),
    )


def closed_entry(row: Row) -> tuple[str, Decimal]:
    """The order that closed something, and the average entry price of that."""
    return str(row["orderId"]), positive(row, "avgEntryPrice")


def balance(reply: Row) -> Balance:
    """The USDT row of the unified wallet. In cross margin the account's own figure of what is free counts."""
    accounts, _ = listed(reply)
    found = next((told for told in map(wallet, accounts) if told is not None), None)
    return found or Balance(currency="USDT", wallet=ZERO, total=ZERO, free=ZERO)


def wallet(account: Row) -> Balance | None:
    """One account's row, as a question or the stream's topic has it."""
    for coin in account["coin"]:
        if coin["coin"] != "USDT":
            continue
        held = money(coin, "walletBalance")
        if account.get("totalAvailableBalance") not in ("", None):
            free = money(account, "totalAvailableBalance")
        else:
            used = ("locked", "totalPositionIM", "totalOrderIM")
            free = held - sum((optional_money(coin, key) or ZERO for key in used), ZERO)
        return Balance(currency="USDT", wallet=held, total=money(coin, "equity"), free=max(free, ZERO))
    return None


def ticker(row: Row, at: datetime) -> MarkPrice:
    """The mark price in a row of tickers."""
    return MarkPrice(symbol=row["symbol"], price=price(row, "markPrice"), at=at)


def quote(row: Row) -> Quote:
    """Bid and ask in a row of tickers; a side that nobody is on is empty."""
    return Quote(bid=optional_money(row, "bid1Price") or ZERO, ask=optional_money(row, "ask1Price") or ZERO)


def candle(row: list[str]) -> Candle:
    """A row of mark-price-kline or kline: start, open, high, low, close, and of the latter volume and turnover."""
    named = dict(zip(("at", "open", "high", "low", "close"), row, strict=False))
    return Candle(
        opened_at=instant(named["at"]),
        open=positive(named, "open"),
        high=positive(named, "high"),
        low=positive(named, "low"),
        close=positive(named, "close"),
    )


def position_side(row: Row) -> PositionSide | None:
    """None in one-way mode (position index 0)."""
    index = str(row["positionIdx"])
    if index not in _POSITION_SIDE:
        raise ValueError(f"positionIdx={index}: must be 0, 1 or 2")
    return _POSITION_SIDE[index]


def _reason(row: Row) -> str:
    words = (row.get("rejectReason"), row.get("cancelType"))
    return " ".join(str(word) for word in words if word not in _NO_REASON)
