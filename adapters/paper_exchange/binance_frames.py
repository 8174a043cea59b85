"""The WebSocket messages of Binance USD-M, made from engine states (VENUES C)."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from adapters.paper_exchange.binance_rows import Row, time_in_force
from adapters.paper_exchange.book import Book
from adapters.paper_exchange.candles import Candle
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.margin import money
from adapters.paper_exchange.orders import (
    AlgoOrder,
    Balance,
    Event,
    Fill,
    Insurance,
    Leverage,
    Order,
    OrderStatus,
    Origin,
    Position,
    Price,
)

Frame = dict[str, Any]
_FORCED: Final = frozenset({Origin.LIQUIDATION, Origin.DELEVERAGE})


def user_frames(now: int, events: Sequence[Event], book: Book) -> Iterator[Frame]:
    """The private messages of one step of the engine, in order.

    A fill comes from the engine as order, fill, position, balance; the venue reports it as an account update and an
    order update.
    """
    filled: Order | None = None
    fill: Fill | None = None
    position: Position | None = None
    insured = False
    for event in events:
        match event:
            case Order() if event.status in (OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED):
                filled = event
            case Order():
                yield _order_frame(now, event, event.status.value, None)
            case Fill():
                fill = event
            case Position():
                position = event
            case Insurance():
                insured = True
            case Balance():
                yield _account_frame(now, event, position, book, insured=insured)
                if filled is not None and fill is not None:
                    yield _trade_lite_frame(now, filled, fill)
                    yield _order_frame(now, filled, "CALCULATED" if filled.origin in _FORCED else "TRADE", fill)
                filled = fill = position = None
                insured = False
            case AlgoOrder():
                yield _algo_frame(now, event)
            case Leverage():
                yield {
                    "e": "ACCOUNT_CONFIG_UPDATE",
                    "E": now,
                    "T": now,
                    "ac": {"s": event.symbol, "l": event.leverage},
                }
            case _:
                pass


def mark_frame(now: int, premium: Row) -> Frame:
    """A mark price, from the premiumIndex row."""
    return {
        "e": "markPriceUpdate",
        "E": now,
        "s": premium["symbol"],
        "p": premium["markPrice"],
        "ap": premium["markPrice"],
        "P": premium["estimatedSettlePrice"],
        "i": premium["indexPrice"],
        "r": premium["lastFundingRate"],
        "T": premium["nextFundingTime"],
    }


def quote_frame(now: int, quote: Row) -> Frame:
    """Best bid and ask, from the bookTicker row."""
    return {
        "e": "bookTicker",
        "u": quote["lastUpdateId"],
        "s": quote["symbol"],
        "b": quote["bidPrice"],
        "B": quote["bidQty"],
        "a": quote["askPrice"],
        "A": quote["askQty"],
        "T": quote["time"],
        "E": now,
    }


def ticker_frame(now: int, day: Row) -> Frame:
    """The 24-hour mini ticker, from the 24hr row."""
    return {
        "e": "24hrMiniTicker",
        "E": now,
        "s": day["symbol"],
        "c": day["lastPrice"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
    }


def kline_frame(now: int, candle: Candle, interval: str, span: int) -> Frame:
    """The open candle of the last price."""
    bar = candle.last
    return {
        "e": "kline",
        "E": now,
        "s": candle.symbol,
        "k": {
            "t": candle.open_time,
            "T": candle.open_time + span - 1,
            "s": candle.symbol,
            "i": interval,
            "f": candle.open_time,
            "L": candle.open_time + candle.points,
            "o": plain(bar.open),
            "c": plain(bar.close),
            "h": plain(bar.high),
            "l": plain(bar.low),
            "v": str(candle.points),
            "n": candle.points,
            "x": now >= candle.open_time + span,
            "q": plain(candle.points * bar.close),
            "V": "0",
            "Q": "0",
            "B": "0",
        },
    }


def trade_frame(now: int, price: Price) -> Frame:
    """The last trade price as a trade."""
    return {
        "e": "trade",
        "E": now,
        "T": price.time,
        "s": price.symbol,
        "t": price.step,
        "p": plain(price.last),
        "q": "1",
        "X": "MARKET",
        "m": False,
    }


def aggregate_trade_frame(now: int, price: Price) -> Frame:
    """The last trade price as an aggregate trade."""
    return {
        "e": "aggTrade",
        "E": now,
        "s": price.symbol,
        "a": price.step,
        "p": plain(price.last),
        "q": "1",
        "f": price.step,
        "l": price.step,
        "T": price.time,
        "m": False,
    }


def _account_frame(now: int, balance: Balance, position: Position | None, book: Book, *, insured: bool) -> Frame:
    without_position = "INSURANCE_CLEAR" if insured else "DEPOSIT"
    wallet = plain(balance.wallet)
    return {
        "e": "ACCOUNT_UPDATE",
        "E": now,
        "T": now,
        "a": {
            "m": without_position if position is None else "ORDER",
            "B": [{"a": balance.asset, "wb": wallet, "cw": wallet, "bc": "0"}],
            "P": [] if position is None else [_position(position, book)],
        },
    }


def _position(position: Position, book: Book) -> Row:
    return {
        "s": position.symbol,
        "pa": plain(position.quantity),
        "ep": plain(position.entry_price),
        "bep": plain(position.entry_price),
        "cr": "0",
        "up": plain(money(book.unrealized(position))),
        "mt": "cross",
        "iw": "0",
        "ps": position.position_side.value,
        "ma": "USDT",
    }


def _trade_lite_frame(now: int, order: Order, fill: Fill) -> Frame:
    """The execution in short, which the venue sends ahead of the order's update."""
    return {
        "e": "TRADE_LITE",
        "E": now,
        "T": fill.time,
        "s": order.symbol,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "m": False,
        "c": order.client_order_id,
        "S": order.side.value,
        "L": plain(fill.price),
        "l": plain(fill.quantity),
        "t": fill.trade_id,
        "i": order.order_id,
    }


def _order_frame(now: int, order: Order, execution: str, fill: Fill | None) -> Frame:
    row: Row = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side.value,
        "o": "LIQUIDATION" if order.origin is Origin.LIQUIDATION else order.type.value,
        "f": time_in_force(order),
        "q": plain(order.quantity),
        "p": plain(order.price),
        "ap": plain(order.avg_price),
        "sp": plain(order.stop_price),
        "x": execution,
        "X": order.status.value,
        "i": order.order_id,
        "l": "0" if fill is None else plain(fill.quantity),
        "z": plain(order.executed_qty),
        "L": "0" if fill is None else plain(fill.price),
        "T": order.update_time,
        "t": 0 if fill is None else fill.trade_id,
        "b": "0",
        "a": "0",
        "m": False,
        "R": order.reduce_only,
        "wt": order.working_type.value,
        "ot": order.orig_type,
        "ps": order.position_side.value,
        "cp": order.close_position,
        "rp": "0" if fill is None else plain(fill.realized_pnl),
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": 0,
    }
    if fill is not None:
        row |= {"N": fill.fee_asset, "n": plain(fill.fee)}
    return {"e": "ORDER_TRADE_UPDATE", "E": now, "T": order.update_time, "o": row}


def _algo_frame(now: int, algo: AlgoOrder) -> Frame:
    row: Row = {
        "caid": algo.client_algo_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.type.value,
        "s": algo.symbol,
        "S": algo.side.value,
        "ps": algo.position_side.value,
        "f": "GTE_GTC" if algo.close_position else "GTC",
        "q": plain(algo.quantity),
        "X": algo.status.value,
        "ai": "" if algo.actual_order_id is None else str(algo.actual_order_id),
        "ap": plain(algo.actual_price),
        "aq": plain(algo.actual_qty),
        "act": "0" if algo.actual_order_id is None else "MARKET",
        "tp": plain(algo.trigger_price),
        "p": "0",
        "V": "EXPIRE_MAKER",
        "wt": algo.working_type.value,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": algo.price_protect,
        "R": algo.reduce_only,
        "tt": algo.trigger_time,
        "gtd": 0,
        "rm": algo.reject_reason,
    }
    return {"e": "ALGO_UPDATE", "E": now, "T": algo.update_time, "o": row}
