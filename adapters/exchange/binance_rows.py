"""Raw rows of Binance USD-M -> the domain's reports, in exact decimals. Pure; REST rows and stream events alike.

A stream spells the same fields shorter: its events are respelled and read by the same parser as the rows of REST.
Nothing here takes a conditional order's word on fills (VENUES T8): `filled` of one is 0, its child order tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adapters.exchange.interface import Balance, Candle, MarkPrice, WalletReport
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
    respelled,
    side,
)
from domain.entries.situation import Quote
from domain.instrument import Instrument, PositionSide
from domain.orders import Fill, OrderReport, OrderStatus, PositionReport, Source

# VENUES E. What is not listed is UNKNOWN, and then the executed quantity decides.
ORDER_STATUS: Mapping[str, OrderStatus] = {
    "NEW": OrderStatus.ACK,
    "NEW_INSURANCE": OrderStatus.ACK,
    "NEW_ADL": OrderStatus.ACK,
    "PARTIALLY_FILLED": OrderStatus.PART_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}
# TRIGGERED and FINISHED say only that an order exists or existed (VENUES T8): both are TRIGGERED to us.
ALGO_STATUS: Mapping[str, OrderStatus] = {
    "NEW": OrderStatus.ACK,
    "TRIGGERING": OrderStatus.TRIGGERING,
    "TRIGGERED": OrderStatus.TRIGGERED,
    "FINISHED": OrderStatus.TRIGGERED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
}
# Client ids that the venue gives to orders of its own making.
_LIQUIDATION = ("autoclose-", "adl_autoclose", "settlement_autoclose-")
# What a stream's event calls the fields of a REST row.
_ORDER_EVENT: Mapping[str, str] = {
    "s": "symbol",
    "c": "clientOrderId",
    "i": "orderId",
    "S": "side",
    "X": "status",
    "q": "origQty",
    "z": "executedQty",
    "ap": "avgPrice",
    "sp": "stopPrice",
    "R": "reduceOnly",
    "cp": "closePosition",
    "ps": "positionSide",
}
_ALGO_EVENT: Mapping[str, str] = {
    "s": "symbol",
    "caid": "clientAlgoId",
    "aid": "algoId",
    "S": "side",
    "X": "algoStatus",
    "q": "quantity",
    "tp": "triggerPrice",
    "R": "reduceOnly",
    "cp": "closePosition",
    "ps": "positionSide",
    "ai": "actualOrderId",
    "rm": "failReason",
}
_POSITION_EVENT: Mapping[str, str] = {"s": "symbol", "ps": "positionSide", "pa": "positionAmt", "ep": "entryPrice"}


def server_time_ms(reply: Row) -> int:
    """The venue's clock."""
    return int(reply["serverTime"])


def listen_key(reply: Row) -> str:
    """The key of the account's stream."""
    key = reply["listenKey"]
    if not isinstance(key, str) or not key:
        raise ValueError("listenKey: must not be empty")
    return key


def usdt_perpetuals(reply: Row) -> list[Row]:
    """The rows of exchangeInfo that are USDT-margined perpetuals; nothing else is in scope."""
    wanted = ("PERPETUAL", "USDT", "USDT")
    keys = ("contractType", "quoteAsset", "marginAsset")
    return [row for row in reply["symbols"] if tuple(row.get(key) for key in keys) == wanted]


def instrument(row: Row) -> Instrument:
    """A symbol of exchangeInfo. The coarser of the lot and the market-lot filter counts: all our orders are market."""
    filters = {entry["filterType"]: entry for entry in row["filters"]}
    lot, market = filters["LOT_SIZE"], filters["MARKET_LOT_SIZE"]
    limits = filters.get("MAX_NUM_ALGO_ORDERS", {})
    return Instrument(
        symbol=row["symbol"],
        base=row["baseAsset"],
        quote=row["quoteAsset"],
        tick=positive(filters["PRICE_FILTER"], "tickSize"),
        step=max(positive(lot, "stepSize"), money(market, "stepSize")),
        min_quantity=max(money(lot, "minQty"), money(market, "minQty")),
        max_market_quantity=min(positive(market, "maxQty"), positive(lot, "maxQty")),
        min_notional=money(filters["MIN_NOTIONAL"], "notional"),
        trading=row["status"] == "TRADING",
        max_conditional_orders=int(limits.get("limit", 10)),
    )


def order(row: Row, source: Source) -> OrderReport:
    """An ordinary order, from any REST reply."""
    quantity, filled = money(row, "origQty"), money(row, "executedQty")
    status = ORDER_STATUS.get(row["status"], OrderStatus.UNKNOWN)
    return OrderReport(
        symbol=row["symbol"],
        client_id=client_id(row.get("clientOrderId")),
        exchange_id=str(row["orderId"]),
        conditional=False,
        side=side(row["side"]),
        status=resolved(str(row["orderId"]), row["status"], status, quantity, filled),
        quantity=quantity,
        filled=filled,
        average_price=optional_money(row, "avgPrice"),
        trigger_price=optional_money(row, "stopPrice"),
        reduce_only=flag(row.get("reduceOnly")),
        close_position=flag(row.get("closePosition")),
        position_side=position_side(row.get("positionSide")),
        child_id=None,
        reason="",
        at=instant(row["updateTime"]),
        source=source,
    )


def algo(row: Row, source: Source) -> OrderReport:
    """A conditional order, from any REST reply."""
    return OrderReport(
        symbol=row["symbol"],
        client_id=client_id(row.get("clientAlgoId")),
        exchange_id=str(row["algoId"]),
        conditional=True,
        side=side(row["side"]),
        status=ALGO_STATUS.get(row["algoStatus"], OrderStatus.UNKNOWN),
        quantity=optional_money(row, "quantity") or ZERO,
        filled=ZERO,
        average_price=None,
        trigger_price=optional_money(row, "triggerPrice"),
        reduce_only=flag(row.get("reduceOnly")),
        close_position=flag(row.get("closePosition")),
        position_side=position_side(row.get("positionSide")),
        child_id=_child(row.get("actualOrderId")),
        reason=str(row.get("failReason") or ""),
        at=instant(row.get("updateTime") or row["createTime"]),
        source=source,
    )


def position(row: Row, at: datetime, source: Source) -> PositionReport:
    """A row of positionRisk v2."""
    quantity, mark = money(row, "positionAmt"), optional_money(row, "markPrice")
    return PositionReport(
        symbol=row["symbol"],
        position_side=position_side(row.get("positionSide")),
        quantity=quantity,
        entry_price=optional_money(row, "entryPrice") if quantity else None,
        mark_price=mark,
        liquidation_price=liquidation(row, "liquidationPrice", quantity, mark),
        at=at,
        source=source,
        leverage=optional_money(row, "leverage"),
        changed_at=last_change(row, "updateTime"),
    )


def trade(row: Row) -> Fill:
    """A row of userTrades. It carries no client id: the order's own id links it."""
    return Fill(
        trade_id=str(row["id"]),
        symbol=row["symbol"],
        exchange_id=str(row["orderId"]),
        client_id=None,
        side=side(row["side"]),
        position_side=position_side(row.get("positionSide")),
        quantity=positive(row, "qty"),
        price=positive(row, "price"),
        fee=money(row, "commission"),
        fee_currency=row["commissionAsset"],
        realized_pnl=money(row, "realizedPnl") or ZERO,
        at=instant(row["time"]),
    )


def balance(reply: Row) -> Balance:
    """The USDT row of account v3; an account that never held any has none."""
    for row in reply["assets"]:
        if row["asset"] == "USDT":
            wallet, total, free = (money(row, name) for name in ("walletBalance", "marginBalance", "availableBalance"))
            return Balance(currency="USDT", wallet=wallet, total=total, free=free)
    return Balance(currency="USDT", wallet=ZERO, total=ZERO, free=ZERO)


def wallet_event(event: Row) -> WalletReport | None:
    """The USDT row of an ACCOUNT_UPDATE, if it has one."""
    rows = (row for row in event["a"].get("B", ()) if row["a"] == "USDT")
    return next((WalletReport(wallet=money(row, "wb")) for row in rows), None)


def premium_index(row: Row) -> MarkPrice:
    """The mark price of a symbol."""
    return MarkPrice(symbol=row["symbol"], price=positive(row, "markPrice"), at=instant(row["time"]))


def quote(row: Row) -> Quote:
    """Bid and ask of a bookTicker."""
    return Quote(bid=money(row, "bidPrice"), ask=money(row, "askPrice"))


def candle(row: list[Any]) -> Candle:
    """A row of klines or markPriceKlines: open time, open, high, low, close, …"""
    named = dict(zip(("at", "open", "high", "low", "close"), row, strict=False))
    return Candle(
        opened_at=instant(named["at"]),
        open=positive(named, "open"),
        high=positive(named, "high"),
        low=positive(named, "low"),
        close=positive(named, "close"),
    )


def mark_event(event: Row) -> MarkPrice:
    """A markPriceUpdate."""
    return MarkPrice(symbol=event["s"], price=price(event, "p"), at=instant(event["E"]))


def order_event(event: Row) -> tuple[OrderReport, Fill | None]:
    """An ORDER_TRADE_UPDATE: the order, and the execution if it tells of one."""
    row = event["o"]
    report = order({**respelled(row, _ORDER_EVENT), "updateTime": event["T"]}, Source.STREAM)
    # CALCULATED is how a liquidation's execution is announced.
    if row["x"] not in ("TRADE", "CALCULATED") or optional_money(row, "l") is None:
        return report, None
    return report, Fill(
        trade_id=str(row["t"]),
        symbol=report.symbol,
        exchange_id=report.exchange_id,
        client_id=report.client_id,
        side=report.side,
        position_side=report.position_side,
        quantity=positive(row, "l"),
        price=positive(row, "L"),
        fee=optional_money(row, "n") or ZERO,
        fee_currency=row.get("N") or "USDT",
        realized_pnl=optional_money(row, "rp") or ZERO,
        at=instant(row["T"]),
        liquidation=(report.client_id or "").startswith(_LIQUIDATION),
    )


def algo_event(event: Row) -> OrderReport:
    """An ALGO_UPDATE."""
    return algo({**respelled(event["o"], _ALGO_EVENT), "updateTime": event["T"]}, Source.STREAM)


def position_events(event: Row) -> tuple[PositionReport, ...]:
    """The rows of an ACCOUNT_UPDATE; a position that became flat has an explicit zero row."""
    at = instant(event["T"])
    rows = event["a"].get("P", ())
    return tuple(position(respelled(row, _POSITION_EVENT), at, Source.STREAM) for row in rows)


def position_side(text: str | None) -> PositionSide | None:
    """None in one-way mode ('BOTH')."""
    return None if text in (None, "", "BOTH") else PositionSide(text.lower())


def _child(number: Any) -> str | None:
    return str(number) if number not in (None, "", 0, "0") else None
