"""Rows and replies of Bybit v5 as its documentation shows them, and a recording venue that gives them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.unit.exchange.recording_venue import RecordingVenue, Reply, listening, now

STAMP = 1763458576201
ENTRY_ID, STOP_ID, EXIT_ID = "hfabcd-1-1_1-1e", "hfabcd-1-1_1-2s", "hfabcd-1-1_1-2x"
ORDER_ID = "fd4300ae-7847-404e-b947-b46980a4d140"


def envelope(result: Any, code: int = 0, text: str = "OK") -> dict[str, Any]:
    """A reply, whatever it says."""
    return {"retCode": code, "retMsg": text, "result": result, "retExtInfo": {}, "time": STAMP}


def page(*rows: Any, cursor: str = "") -> Reply:
    """A list's page."""
    return 200, envelope({"category": "linear", "list": list(rows), "nextPageCursor": cursor})


def refusal(code: int, text: str = "some words") -> Reply:
    """A refusal, with HTTP 200 as the venue sends it."""
    return 200, envelope({}, code, text)


def acknowledged(order_id: str = ORDER_ID, link_id: str = ENTRY_ID) -> Reply:
    """The reply to an order."""
    return 200, envelope({"orderId": order_id, "orderLinkId": link_id})


def instrument_row(**changes: Any) -> dict[str, Any]:
    """A row of instruments-info."""
    row: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "1190.000",
            "minOrderQty": "0.001",
            "qtyStep": "0.001",
            "maxMktOrderQty": "500.000",
            "minNotionalValue": "5",
        },
    }
    return row | changes


def order_row(**changes: Any) -> dict[str, Any]:
    """A market order that has filled."""
    row: dict[str, Any] = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderId": ORDER_ID,
        "orderLinkId": ENTRY_ID,
        "side": "Buy",
        "positionIdx": 0,
        "orderType": "Market",
        "price": "63011",
        "qty": "0.002",
        "cumExecQty": "0.002",
        "cumExecValue": "120.0202",
        "cumExecFee": "0.066",
        "avgPrice": "60010.1",
        "leavesQty": "0.000",
        "orderStatus": "Filled",
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "createType": "CreateByUser",
        "stopOrderType": "",
        "triggerPrice": "",
        "triggerDirection": 0,
        "triggerBy": "",
        "tpslMode": "",
        "stopLoss": "",
        "takeProfit": "",
        "reduceOnly": False,
        "closeOnTrigger": False,
        "createdTime": str(STAMP - 5),
        "updatedTime": str(STAMP),
    }
    return row | changes


def stop_row(**changes: Any) -> dict[str, Any]:
    """A conditional order of ours that rests."""
    row = order_row(
        orderLinkId=STOP_ID,
        side="Sell",
        cumExecQty="0.000",
        avgPrice="",
        orderStatus="Untriggered",
        stopOrderType="Stop",
        createType="CreateByStopOrder",
        triggerPrice="55000.10",
        triggerDirection=2,
        triggerBy="MarkPrice",
        reduceOnly=True,
        closeOnTrigger=True,
    )
    return row | changes


def attached_row(**changes: Any) -> dict[str, Any]:
    """The venue's own order behind the stop on a position."""
    own = {"orderLinkId": "", "stopOrderType": "StopLoss", "createType": "CreateByStopLoss", "tpslMode": "Full"}
    return stop_row(**own) | changes


def position_row(**changes: Any) -> dict[str, Any]:
    """A long position with a stop on it, as position/list shows it."""
    row: dict[str, Any] = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "positionIdx": 0,
        "side": "Buy",
        "size": "0.002",
        "avgPrice": "60010.1",
        "positionValue": "120.0202",
        "markPrice": "60020.00",
        "liqPrice": "30120.5",
        "leverage": "10",
        "stopLoss": "55000.10",
        "takeProfit": "",
        "createdTime": str(STAMP - 5),
        "updatedTime": str(STAMP),
    }
    return row | changes


def flat_row(**changes: Any) -> dict[str, Any]:
    """A flat position, as the venue lists it when asked by symbol."""
    return position_row(side="", size="0", avgPrice="0", positionValue="", liqPrice="", stopLoss="") | changes


def execution_row(**changes: Any) -> dict[str, Any]:
    """An execution of an entry."""
    row: dict[str, Any] = {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderId": ORDER_ID,
        "orderLinkId": ENTRY_ID,
        "side": "Buy",
        "execId": "7e2ae69c-4edf-5800-a352-893d52b446aa",
        "execPrice": "60010.1",
        "execQty": "0.002",
        "execFee": "0.06601111",
        "feeCurrency": "USDT",
        "execType": "Trade",
        "createType": "CreateByUser",
        "closedSize": "",
        "execTime": str(STAMP),
    }
    return row | changes


def ticker_row(**changes: Any) -> dict[str, Any]:
    """A row of tickers."""
    return {"symbol": "BTCUSDT", "lastPrice": "60005.00", "markPrice": "60010.00", "bid1Price": "60004.9"} | changes


def wallet_row(**changes: Any) -> dict[str, Any]:
    """A unified account with its USDT row."""
    coin = {
        "coin": "USDT",
        "equity": "1000.02",
        "walletBalance": "1000",
        "locked": "0",
        "totalPositionIM": "12.06",
        "totalOrderIM": "1.5",
    }
    return {"accountType": "UNIFIED", "totalAvailableBalance": "987.96", "coin": [coin]} | changes


def standard_answers() -> dict[str, Reply]:
    """What most scenes need."""
    return {
        "GET /v5/market/time": (200, envelope({}) | {"time": int(now().timestamp() * 1000)}),
        "GET /v5/market/instruments-info": page(instrument_row()),
        "GET /v5/market/tickers": page(ticker_row()),
        "POST /v5/order/create": acknowledged(),
        "POST /v5/order/amend": acknowledged(link_id=STOP_ID),
        "POST /v5/order/cancel": acknowledged(link_id=STOP_ID),
        "POST /v5/position/trading-stop": (200, envelope({})),
        "GET /v5/order/realtime": page(order_row()),
        "GET /v5/order/history": page(),
        "GET /v5/position/list": page(position_row()),
        "GET /v5/execution/list": page(),
        "GET /v5/account/wallet-balance": page(wallet_row()),
    }


def answer_frame(frame: dict[str, Any]) -> list[dict[str, Any]]:
    """What the venue answers to a message on a socket."""
    if frame["op"] == "ping":
        return [{"success": True, "ret_msg": "pong", "conn_id": "c", "op": "ping"}]
    return [{"success": True, "ret_msg": "", "op": frame["op"], "conn_id": "c"}]


@asynccontextmanager
async def recording_bybit(**answers: Reply) -> AsyncIterator[RecordingVenue]:
    """A listening Bybit; `answers` by 'METHOD path' on top of the standard ones."""
    venue = RecordingVenue(answers=standard_answers() | answers, answer_frame=answer_frame, exchange="bybit")
    async with listening(venue):
        yield venue
