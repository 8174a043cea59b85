"""Raw rows of Binance USD-M -> the domain's reports, in exact decimals. Pure; REST rows and stream events alike.

A row that lacks what it must have raises BadReply: a wrong reading of a position is worse than none. Nothing here
takes a conditional order's word on fills (VENUES T8): `filled` of one is 0, its child order tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from adapters.exchange.interface import Balance, Candle, MarkPrice
from adapters.exchange.venue import BadReply
from domain.identity import ClientOrderId
from domain.instrument import Instrument, PositionSide, Side
from domain.orders import Fill, OrderReport, OrderStatus, PositionReport, Source, resolve_status

Row = Mapping[str, Any]
T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZERO = Decimal(0)

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


def read(parse: Callable[..., T], row: Any, *rest: Any) -> T:
    """`parse(row, …)`, with whatever a malformed row raises turned into one BadReply that shows the row."""
    try:
        return parse(row, *rest)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, InvalidOperation) as error:
        raise BadReply(f"{parse.__name__}: {type(error).__name__} {error} in {str(row)[:200]}") from error


def rows(reply: Any) -> list[Any]:
    """The rows of a reply that must be a list."""
    if not isinstance(reply, list):
        raise BadReply(f"a list was expected, not {str(reply)[:200]}")
    return reply


def instant(milliseconds: Any) -> datetime:
    """A venue's time stamp, exactly."""
    return EPOCH + timedelta(milliseconds=int(milliseconds))


def stamp(at: datetime) -> int:
    """A time as whole milliseconds since 1970."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def money(row: Row, key: str) -> Decimal:
    """A required finite decimal."""
    value = Decimal(str(row[key]))
    if not value.is_finite():
        raise ValueError(f"{key}={row[key]!r}: must be finite")
    return value


def optional_money(row: Row, key: str) -> Decimal | None:
    """A decimal of which absence, '' and 0 mean 'none'."""
    if row.get(key) in (None, ""):
        return None
    return money(row, key) or None


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
        tick=_positive(filters["PRICE_FILTER"], "tickSize"),
        step=max(_positive(lot, "stepSize"), money(market, "stepSize")),
        min_quantity=max(money(lot, "minQty"), money(market, "minQty")),
        max_market_quantity=min(_positive(market, "maxQty"), _positive(lot, "maxQty")),
        min_notional=money(filters["MIN_NOTIONAL"], "notional"),
        trading=row["status"] == "TRADING",
        max_conditional_orders=int(limits.get("limit", 10)),
    )


def order(row: Row, source: Source) -> OrderReport:
    """An ordinary order, from any REST reply."""
    quantity, filled = money(row, "origQty"), money(row, "executedQty")
    return OrderReport(
        symbol=row["symbol"],
        client_id=_client_id(row.get("clientOrderId")),
        exchange_id=str(row["orderId"]),
        conditional=False,
        side=_side(row["side"]),
        status=resolve_status(ORDER_STATUS.get(row["status"], OrderStatus.UNKNOWN), quantity, filled),
        quantity=quantity,
        filled=filled,
        average_price=optional_money(row, "avgPrice"),
        trigger_price=optional_money(row, "stopPrice"),
        reduce_only=_flag(row.get("reduceOnly")),
        close_position=_flag(row.get("closePosition")),
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
        client_id=_client_id(row.get("clientAlgoId")),
        exchange_id=str(row["algoId"]),
        conditional=True,
        side=_side(row["side"]),
        status=ALGO_STATUS.get(row["algoStatus"], OrderStatus.UNKNOWN),
        quantity=optional_money(row, "quantity") or ZERO,
        filled=ZERO,
        average_price=None,
        trigger_price=optional_money(row, "triggerPrice"),
        reduce_only=_flag(row.get("reduceOnly")),
        close_position=_flag(row.get("closePosition")),
        position_side=position_side(row.get("positionSide")),
        child_id=_child(row.get("actualOrderId")),
        reason=str(row.get("failReason") or ""),
        at=instant(row.get("updateTime") or row["createTime"]),
        source=source,
    )


def position(row: Row, at: datetime, source: Source) -> PositionReport:
    """A row of positionRisk v2."""
    quantity = money(row, "positionAmt")
    return PositionReport(
        symbol=row["symbol"],
        position_side=position_side(row.get("positionSide")),
        quantity=quantity,
        entry_price=optional_money(row, "entryPrice") if quantity else None,
        mark_price=optional_money(row, "markPrice"),
        liquidation_price=optional_money(row, "liquidationPrice") if quantity else None,
        at=at,
        source=source,
    )


def trade(row: Row) -> Fill:
    """A row of userTrades. It carries no client id: the order's own id links it."""
    return Fill(
        trade_id=str(row["id"]),
        symbol=row["symbol"],
        exchange_id=str(row["orderId"]),
        client_id=None,
        side=_side(row["side"]),
        position_side=position_side(row.get("positionSide")),
        quantity=_positive(row, "qty"),
        price=_positive(row, "price"),
        fee=money(row, "commission"),
        fee_currency=row["commissionAsset"],
        realized_pnl=money(row, "realizedPnl") or ZERO,
        at=instant(row["time"]),
    )


def balance(reply: Row) -> Balance:
    """The USDT row of account v3; an account that never held any has none."""
    for row in reply["assets"]:
        if row["asset"] == "USDT":
            return Balance(currency="USDT", total=money(row, "marginBalance"), free=money(row, "availableBalance"))
    return Balance(currency="USDT", total=ZERO, free=ZERO)


def premium_index(row: Row) -> MarkPrice:
    """The mark price of a symbol."""
    return MarkPrice(symbol=row["symbol"], price=_positive(row, "markPrice"), at=instant(row["time"]))


def candle(row: list[Any]) -> Candle:
    """A row of markPriceKlines: open time, open, high, low, close, …"""
    named = dict(zip(("at", "open", "high", "low", "close"), row, strict=False))
    return Candle(
        opened_at=instant(named["at"]),
        open=_positive(named, "open"),
        high=_positive(named, "high"),
        low=_positive(named, "low"),
        close=_positive(named, "close"),
    )


def mark_event(event: Row) -> MarkPrice:
    """A markPriceUpdate."""
    return MarkPrice(symbol=event["s"], price=_positive(event, "p"), at=instant(event["E"]))


def order_event(event: Row) -> tuple[OrderReport, Fill | None]:
    """An ORDER_TRADE_UPDATE: the order, and the execution if it tells of one."""
    row = event["o"]
    at = instant(event["T"])
    quantity, filled = money(row, "q"), money(row, "z")
    report = OrderReport(
        symbol=row["s"],
        client_id=_client_id(row.get("c")),
        exchange_id=str(row["i"]),
        conditional=False,
        side=_side(row["S"]),
        status=resolve_status(ORDER_STATUS.get(row["X"], OrderStatus.UNKNOWN), quantity, filled),
        quantity=quantity,
        filled=filled,
        average_price=optional_money(row, "ap"),
        trigger_price=optional_money(row, "sp"),
        reduce_only=_flag(row.get("R")),
        close_position=_flag(row.get("cp")),
        position_side=position_side(row.get("ps")),
        child_id=None,
        reason="",
        at=at,
        source=Source.STREAM,
    )
    # CALCULATED is how a liquidation's execution is announced.
    if row["x"] not in ("TRADE", "CALCULATED") or optional_money(row, "l") is None:
        return report, None
    client_id = row.get("c") or ""
    return report, Fill(
        trade_id=str(row["t"]),
        symbol=report.symbol,
        exchange_id=report.exchange_id,
        client_id=report.client_id,
        side=report.side,
        position_side=report.position_side,
        quantity=_positive(row, "l"),
        price=_positive(row, "L"),
        fee=optional_money(row, "n") or ZERO,
        fee_currency=row.get("N") or "USDT",
        realized_pnl=optional_money(row, "rp") or ZERO,
        at=instant(row["T"]),
        liquidation=client_id.startswith(_LIQUIDATION),
    )


def algo_event(event: Row) -> OrderReport:
    """An ALGO_UPDATE."""
    row = event["o"]
    return OrderReport(
        symbol=row["s"],
        client_id=_client_id(row.get("caid")),
        exchange_id=str(row["aid"]),
        conditional=True,
        side=_side(row["S"]),
        status=ALGO_STATUS.get(row["X"], OrderStatus.UNKNOWN),
        quantity=optional_money(row, "q") or ZERO,
        filled=ZERO,
        average_price=None,
        trigger_price=optional_money(row, "tp"),
        reduce_only=_flag(row.get("R")),
        close_position=_flag(row.get("cp")),
        position_side=position_side(row.get("ps")),
        child_id=_child(row.get("ai")),
        reason=str(row.get("rm") or ""),
        at=instant(event["T"]),
        source=Source.STREAM,
    )


def position_events(event: Row) -> tuple[PositionReport, ...]:
    """The rows of an ACCOUNT_UPDATE; a position that became flat has an explicit zero row."""
    at = instant(event["T"])
    return tuple(_position_event(row, at) for row in event["a"].get("P", ()))


def _position_event(row: Row, at: datetime) -> PositionReport:
    quantity = money(row, "pa")
    return PositionReport(
        symbol=row["s"],
        position_side=position_side(row.get("ps")),
        quantity=quantity,
        entry_price=optional_money(row, "ep") if quantity else None,
        mark_price=None,
        liquidation_price=None,
        at=at,
        source=Source.STREAM,
    )


def position_side(text: str | None) -> PositionSide | None:
    """None in one-way mode ('BOTH')."""
    return None if text in (None, "", "BOTH") else PositionSide(text.lower())


def _side(text: str) -> Side:
    return Side(text.lower())


def _client_id(text: str | None) -> ClientOrderId | None:
    return ClientOrderId(text) if text else None


def _child(number: Any) -> str | None:
    return str(number) if number not in (None, "", 0, "0") else None


def _flag(value: Any) -> bool:
    return value is True or value == "true"


def _positive(row: Row, key: str) -> Decimal:
    value = money(row, key)
    if value <= 0:
        raise ValueError(f"{key}={row[key]!r}: must be positive")
    return value
