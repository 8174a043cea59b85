"""The rows of Bybit v5, made from engine states; REST and the private streams share them (VENUES B.3).

Numbers are strings, "" is "does not apply". A conditional and the order that its trigger makes are one row.
"""

from decimal import Decimal
from typing import Final

from adapters.paper_exchange.book import Book
from adapters.paper_exchange.bybit_errors import TRIGGER_WORDS
from adapters.paper_exchange.bybit_ids import (
    conditional_id,
    execution_id,
    link_of_conditional,
    link_of_order,
    order_id,
)
from adapters.paper_exchange.bybit_routes import Row
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.engine import MatchingEngine
from adapters.paper_exchange.margin import liquidation_price, maintenance_margin, money
from adapters.paper_exchange.orders import (
    ZERO,
    AlgoOrder,
    AlgoStatus,
    ConditionalType,
    Fill,
    Order,
    OrderStatus,
    Origin,
    Position,
    PositionSide,
    Side,
)

SIDES: Final = {Side.BUY: "Buy", Side.SELL: "Sell"}
INDEXES: Final = {PositionSide.BOTH: 0, PositionSide.LONG: 1, PositionSide.SHORT: 2}
_ORDER_STATUS: Final = {
    OrderStatus.NEW: "New",
    OrderStatus.PARTIALLY_FILLED: "PartiallyFilled",
    OrderStatus.FILLED: "Filled",
    OrderStatus.CANCELED: "Cancelled",
    OrderStatus.EXPIRED: "Cancelled",
}
_ALGO_STATUS: Final = {
    AlgoStatus.NEW: "Untriggered",
    AlgoStatus.TRIGGERING: "Triggered",
    AlgoStatus.TRIGGERED: "Triggered",
    AlgoStatus.FINISHED: "Filled",
    AlgoStatus.CANCELED: "Deactivated",
    AlgoStatus.EXPIRED: "Deactivated",
    AlgoStatus.REJECTED: "Rejected",
}
_CREATED_BY: Final = {
    Origin.API: "CreateByUser",
    Origin.HUMAN: "CreateByUser",
    Origin.LIQUIDATION: "CreateByTakeOver_PassThrough",
    Origin.DELEVERAGE: "CreateByAdl_PassThrough",
}
_EXECUTED_AS: Final = {Origin.LIQUIDATION: "BustTrade", Origin.DELEVERAGE: "AdlTrade"}


def order_row(book: Book, order: Order) -> Row:
    """An ordinary order; one that a conditional made carries that one's id, trigger and kind."""
    parent = None if order.algo_id is None else book.algos.get(order.algo_id)
    fills = fills_of(book, order)
    open_still = order.status.is_open
    row = {
        "orderId": order_id(order),
        "orderLinkId": link_of_order(book, order),
        "blockTradeId": "",
        "symbol": order.symbol,
        "price": plain(order.price),
        "qty": plain(order.quantity),
        "side": SIDES[order.side],
        "isLeverage": "",
        "positionIdx": INDEXES[order.position_side],
        "orderStatus": _ORDER_STATUS[order.status],
        "cancelType": _cancel_type(order),
        "rejectReason": "EC_NoError" if order.status is not OrderStatus.EXPIRED else "EC_NoImmediateQtyToFill",
        "avgPrice": plain(order.avg_price) if order.executed_qty else "",
        "leavesQty": plain(order.remaining) if open_still else "0",
        "leavesValue": plain(money(order.remaining * book.prices[order.symbol].last)) if open_still else "0",
        "cumExecQty": plain(order.executed_qty),
        "cumExecValue": plain(order.cum_quote),
        "cumExecFee": plain(sum((fill.fee for fill in fills), ZERO)),
        "closedPnl": plain(sum((fill.realized_pnl for fill in fills), ZERO)),
        "timeInForce": "IOC",
        "orderType": order.type.value.capitalize(),
        "stopOrderType": "",
        "orderIv": "",
        "triggerPrice": "",
        "takeProfit": _price_or_none(order.take_profit),
        "stopLoss": _price_or_none(order.stop_loss),
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "triggerDirection": 0,
        "triggerBy": "",
        "lastPriceOnCreated": "",
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": False,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "tpslMode": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "marketUnit": "",
        "createType": _created_by(order, parent),
        "feeCurrency": "",
        "cumFeeDetail": {"USDT": plain(sum((fill.fee for fill in fills), ZERO))} if fills else {},
        "createdTime": str(order.time),
        "updatedTime": str(order.update_time),
    }
    return row if parent is None else row | _trigger_fields(parent) | {"createdTime": str(parent.create_time)}


def conditional_row(book: Book, algo: AlgoOrder) -> Row:
    """A conditional; once its trigger has made an order, that order, for as long as it is remembered."""
    child = None if algo.actual_order_id is None else book.orders.get(algo.actual_order_id)
    if child is not None:
        return order_row(book, child)
    rests = algo.status is AlgoStatus.NEW
    return {
        "orderId": conditional_id(algo.algo_id),
        "orderLinkId": link_of_conditional(algo),
        "blockTradeId": "",
        "symbol": algo.symbol,
        "price": "0",
        "qty": plain(algo.quantity),
        "side": SIDES[algo.side],
        "isLeverage": "",
        "positionIdx": INDEXES[algo.position_side],
        "orderStatus": _ALGO_STATUS[algo.status],
        "cancelType": _cancel_type_of_conditional(algo),
        "rejectReason": "EC_Others" if algo.status is AlgoStatus.REJECTED or algo.trigger_time else "EC_NoError",
        "avgPrice": plain(algo.actual_price) if algo.actual_qty else "",
        "leavesQty": plain(algo.quantity) if rests else "0",
        "leavesValue": plain(money(algo.quantity * algo.trigger_price)) if rests else "0",
        "cumExecQty": plain(algo.actual_qty),
        "cumExecValue": plain(algo.actual_qty * algo.actual_price),
        "cumExecFee": "0",
        "closedPnl": "0",
        "timeInForce": "IOC",
        "orderType": "Market",
        "orderIv": "",
        "takeProfit": "",
        "stopLoss": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "lastPriceOnCreated": "",
        "reduceOnly": algo.reduce_only,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "marketUnit": "",
        "feeCurrency": "",
        "cumFeeDetail": {},
        "createdTime": str(algo.create_time),
        "updatedTime": str(algo.update_time),
    } | _trigger_fields(algo)


def _trigger_fields(algo: AlgoOrder) -> Row:
    return {
        "triggerPrice": plain(algo.trigger_price),
        "triggerBy": TRIGGER_WORDS[algo.working_type],
        "triggerDirection": 2 if algo.triggers_at_or_below else 1,
        "stopOrderType": stop_order_type(algo),
        "tpslMode": ("Full" if algo.close_position else "Partial") if algo.attached else "",
        "closeOnTrigger": algo.attached or algo.close_position,
        "createType": f"CreateBy{stop_order_type(algo)}" if algo.attached else "CreateByUser",
    }


def stop_order_type(algo: AlgoOrder) -> str:
    """What kind of conditional the venue calls this."""
    if not algo.attached:
        return "Stop"
    leg = "StopLoss" if algo.type is ConditionalType.STOP_MARKET else "TakeProfit"
    return leg if algo.close_position else f"Partial{leg}"


def execution_row(book: Book, fill: Fill) -> Row:
    """One execution as REST lists it. The venue names no positionIdx here."""
    order = book.orders.get(fill.order_id)
    parent = None if order is None or order.algo_id is None else book.algos.get(order.algo_id)
    quantity = fill.quantity if order is None else order.quantity
    return {
        "symbol": fill.symbol,
        "orderId": "" if order is None else order_id(order),
        "orderLinkId": "" if order is None else link_of_order(book, order),
        "side": SIDES[fill.side],
        "orderPrice": "0",
        "orderQty": plain(quantity),
        "leavesQty": "0" if order is None else plain(order.remaining),
        "createType": "CreateByUser" if order is None else _created_by(order, parent),
        "orderType": "Market",
        "stopOrderType": "UNKNOWN" if parent is None else stop_order_type(parent),
        "execFee": plain(fill.fee),
        "execId": execution_id(fill),
        "execPrice": plain(fill.price),
        "execQty": plain(fill.quantity),
        "execType": execution_kind(book, fill),
        "execValue": plain(fill.price * fill.quantity),
        "execTime": str(fill.time),
        "feeCurrency": "",
        "isMaker": False,
        "feeRate": plain((fill.fee / (fill.price * fill.quantity)).quantize(Decimal("0.00000001")).normalize()),
        "tradeIv": "",
        "markIv": "",
        "markPrice": plain(book.prices[fill.symbol].mark),
        "indexPrice": plain(book.prices[fill.symbol].index),
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": plain(fill.closed),
        "seq": fill.trade_id,
        "extraFees": "",
    }


def _created_by(order: Order, parent: AlgoOrder | None) -> str:
    if parent is not None:
        return f"CreateBy{stop_order_type(parent)}" if parent.attached else "CreateByUser"
    # A human's exit is a click on "close".
    by_click = order.origin is Origin.HUMAN and order.reduce_only
    return "CreateByClosing" if by_click else _CREATED_BY[order.origin]


def execution_kind(book: Book, fill: Fill) -> str:
    """Trade, or BustTrade and AdlTrade for what the venue closed."""
    order = book.orders.get(fill.order_id)
    return "Trade" if order is None else _EXECUTED_AS.get(order.origin, "Trade")


def closed_row(book: Book, order: Order, fills: list[Fill]) -> Row:
    """What an order that closed something brought; `fills` are those of it that did."""
    closed = sum((fill.closed for fill in fills), ZERO)
    paid = sum((fill.closed * fill.price for fill in fills), ZERO)
    profit = sum((fill.realized_pnl for fill in fills), ZERO)
    # What the closed part had cost follows from what it brought.
    entered = paid - profit if order.side is Side.SELL else paid + profit
    fee = sum((fill.fee for fill in fills), ZERO)
    return {
        "symbol": order.symbol,
        "orderId": order_id(order),
        "side": SIDES[order.side],
        "qty": plain(order.quantity),
        "orderPrice": "0",
        "orderType": "Market",
        "execType": _EXECUTED_AS.get(order.origin, "Trade"),
        "closedSize": plain(closed),
        "cumEntryValue": plain(money(entered)),
        "avgEntryPrice": plain(money(entered / closed)),
        "cumExitValue": plain(money(paid)),
        "avgExitPrice": plain(money(paid / closed)),
        "closedPnl": plain(money(profit - fee)),
        "openFee": "0",
        "closeFee": plain(fee),
        "fillCount": str(len(fills)),
        "leverage": str(book.leverage(order.symbol)),
        "createdTime": str(order.time),
        "updatedTime": str(order.update_time),
    }


def position_row(engine: MatchingEngine, position: Position, whole: Decimal | None = None) -> Row:
    """A position as REST lists it; a flat one has side "" and size "0". `whole`: see `liquidation_price`."""
    book = engine.book
    held = bool(position.quantity)
    price = book.prices.get(position.symbol)
    liquidation = liquidation_price(book, engine.contracts, position, whole) if held else ZERO
    legs = {
        kind: book.attached(position.symbol, position.position_side, kind)
        for kind in (ConditionalType.STOP_MARKET, ConditionalType.TAKE_PROFIT_MARKET)
    }
    margin = plain(money(book.initial_margin(position))) if held else ""
    maintenance = plain(money(maintenance_margin(book, engine.contracts, position))) if held else ""
    return {
        "positionIdx": INDEXES[position.position_side],
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": position.symbol,
        "side": side_word(position),
        "size": plain(abs(position.quantity)),
        "avgPrice": plain(position.entry_price),
        "positionValue": plain(money(abs(position.quantity) * position.entry_price)) if held else "",
        "tradeMode": 0,
        "autoAddMargin": 0,
        "positionStatus": "Normal",
        "leverage": str(book.leverage(position.symbol)),
        "markPrice": "" if price is None else plain(price.mark),
        "liqPrice": plain(liquidation) if liquidation else "",
        "bustPrice": "",
        "positionIM": margin,
        "positionIMByMp": margin,
        "positionMM": maintenance,
        "positionMMByMp": maintenance,
        "positionBalance": "0",
        "tpslMode": "Full",
        "takeProfit": _leg_price(legs[ConditionalType.TAKE_PROFIT_MARKET]),
        "stopLoss": _leg_price(legs[ConditionalType.STOP_MARKET]),
        "trailingStop": "0.00",
        "sessionAvgPrice": "",
        "unrealisedPnl": plain(money(book.unrealized(position))) if held else "",
        "curRealisedPnl": plain(position.realized),
        "cumRealisedPnl": plain(position.realized_ever),
        "adlRankIndicator": 2 if held else 0,
        "createdTime": str(position.update_time),
        "updatedTime": str(
            max(position.update_time, *(0 if leg is None else leg.update_time for leg in legs.values()))
        ),
        "seq": book.last_trade_id or -1,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "breakEvenPrice": plain(position.entry_price) if held else "",
    }


def side_word(position: Position) -> str:
    """Buy, Sell or "" for a flat one."""
    return "" if not position.quantity else "Buy" if position.quantity > 0 else "Sell"


def fills_of(book: Book, order: Order) -> list[Fill]:
    """The executions of an order up to this state of it, oldest first; looked for from the newest on."""
    latest = book.orders.get(order.order_id, order)
    found: list[Fill] = []
    left = latest.executed_qty
    for fill in reversed(book.fills):
        if left <= 0:
            break
        if fill.order_id == order.order_id:
            left -= fill.quantity
            if left < order.executed_qty:
                found.append(fill)
    found.reverse()
    return found


def _price_or_none(price: Decimal) -> str:
    return plain(price) if price else ""


def _leg_price(leg: AlgoOrder | None) -> str:
    return "" if leg is None else plain(leg.trigger_price)


def _cancel_type(order: Order) -> str:
    if order.status is OrderStatus.CANCELED:
        return "CancelByUser"
    if order.status is OrderStatus.EXPIRED and order.reduce_only:
        return "CancelByReduceOnly"
    return "UNKNOWN"


def _cancel_type_of_conditional(algo: AlgoOrder) -> str:
    if algo.status is AlgoStatus.CANCELED:
        return "CancelByTpSlTsClear" if algo.attached else "CancelByUser"
    if algo.status is AlgoStatus.EXPIRED:
        return "CancelByReduceOnly" if algo.trigger_time or not algo.attached else "CancelByTpSlTsClear"
    return "UNKNOWN"
