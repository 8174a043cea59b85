"""A tiny venue of the tests' own: answers what it is told to, notes every request, can cut, hang and push frames.

It knows no trading rules. What it is for: the exact shape and number of our requests, and faults at a chosen moment.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

from adapters.exchange.access import AccountAccess
from domain.identity import Epoch, OrderKind, PositionId, mint_client_id
from domain.instrument import PositionSide
from domain.orders import OrderIntent

Reply = tuple[int, Any] | Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY, SECRET = "the-api-key-0123456789", "the-secret-0123456789"
UNSIGNED = ("timestamp", "recvWindow", "signature")

SYMBOL_ROW: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "contractType": "PERPETUAL",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "120", "stepSize": "0.001"},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ],
}


def now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


def order_row(**changes: Any) -> dict[str, Any]:
    """An ordinary order as the venue shows it."""
    row = {
        "orderId": 8389765591,
        "symbol": "BTCUSDT",
        "status": "FILLED",
        "clientOrderId": "hfabcd-1-1_1-1e",
        "price": "0",
        "avgPrice": "60010.10000",
        "origQty": "0.002",
        "executedQty": "0.002",
        "cumQuote": "120.0202",
        "type": "MARKET",
        "reduceOnly": False,
        "closePosition": False,
        "side": "BUY",
        "positionSide": "BOTH",
        "stopPrice": "0",
        "updateTime": 1763458576201,
    }
    return row | changes


def algo_row(**changes: Any) -> dict[str, Any]:
    """A conditional order as the venue shows it."""
    row = {
        "algoId": 2146760,
        "clientAlgoId": "hfabcd-1-1_1-2s",
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "positionSide": "BOTH",
        "quantity": "0.002",
        "algoStatus": "NEW",
        "actualOrderId": "",
        "triggerPrice": "55000.10",
        "price": "0",
        "workingType": "MARK_PRICE",
        "closePosition": False,
        "reduceOnly": True,
        "createTime": 1763458576201,
        "updateTime": 1763458576201,
        "triggerTime": 0,
    }
    return row | changes


def position_row(**changes: Any) -> dict[str, Any]:
    """A flat row of positionRisk v2."""
    row = {
        "symbol": "BTCUSDT",
        "positionAmt": "0.000",
        "entryPrice": "0.0",
        "markPrice": "60010.00000000",
        "liquidationPrice": "0",
        "positionSide": "BOTH",
        "updateTime": 0,
    }
    return row | changes


def intent(kind: OrderKind = OrderKind.ENTRY, **changes: Any) -> OrderIntent:
    """A sound order of a long position of 0.002 BTC."""
    opens = kind is OrderKind.ENTRY
    side = PositionSide.LONG
    values: dict[str, Any] = {
        "client_id": mint_client_id("abcd", PositionId(1), Epoch(1, 1), 1 if opens else 2, kind),
        "position_id": PositionId(1),
        "account": "main",
        "symbol": "BTCUSDT",
        "kind": kind,
        "side": side.opening if opens else side.closing,
        "position_side": side,
        "quantity": Decimal("0.0020"),
        "reduce_only": not opens,
        "trigger_price": Decimal("55000.10") if kind.conditional else None,
    }
    return OrderIntent(**(values | changes))


def acknowledged(frame: dict[str, Any]) -> list[dict[str, Any]]:
    """What Binance answers to a subscription."""
    return [{"result": None, "id": frame["id"]}]


@dataclass(slots=True)
class Seen:
    """One request: parameters without those that only sign it."""

    method: str
    path: str
    params: dict[str, Any]
    window: str | None


@dataclass(slots=True)
class RecordingVenue:
    """`answers` by 'METHOD path'; `seen` in the order of arrival; `push` sends a frame to every open socket."""

    answers: dict[str, Reply]
    seen: list[Seen] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    transports: list[asyncio.Transport] = field(default_factory=list)
    dials: list[str] = field(default_factory=list)
    subscribed: list[dict[str, Any]] = field(default_factory=list)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    hearing: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answer_frame: Callable[[dict[str, Any]], list[dict[str, Any]]] = acknowledged
    exchange: str = "binanceusdm"
    url: str = ""

    def access(self, **changes: Any) -> AccountAccess:
        """Access to this venue."""
        values: dict[str, Any] = {
            "account": "main",
            "exchange": self.exchange,
            "api_key": KEY,
            "secret": SECRET,
            "rest_url": self.url,
            "ws_url": self.url.replace("http", "ws"),
        }
        return AccountAccess(**(values | changes))

    def paths(self) -> list[str]:
        """'METHOD path' of every request so far."""
        return [f"{request.method} {request.path}" for request in self.seen]

    def last(self) -> Seen:
        """The latest request."""
        return self.seen[-1]

    async def next_request(self) -> None:
        """Wait for one more request."""
        self.asked.clear()
        await self.asked.wait()

    async def push(self, frame: Any) -> None:
        """Send one frame; text is sent as it is."""
        text = frame if isinstance(frame, str) else json.dumps(frame)
        for socket in self.sockets:
            if not socket.closed:
                await socket.send_str(text)

    def cut(self) -> None:
        """Break every socket without a word."""
        for transport in self.transports:
            transport.abort()
        self.sockets.clear()
        self.transports.clear()
        self.connected.clear()
        self.hearing.clear()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Everything: sockets and REST."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request)
        body = await request.text()
        form = dict(parse_qsl(body, keep_blank_values=True))
        said: dict[str, Any] = json.loads(body) if body.startswith("{") else form
        params = dict(request.query) | said
        shown = {name: value for name, value in params.items() if name not in UNSIGNED}
        window = params.get("recvWindow") or request.headers.get("X-BAPI-RECV-WINDOW")
        self.seen.append(Seen(request.method, request.path, shown, window))
        self.asked.set()
        answer = self.answers.get(f"{request.method} {request.path}", (404, {"code": -5000, "msg": "no such path"}))
        if callable(answer):
            return await answer(request)
        status, reply = answer
        return web.json_response(reply, status=status)

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        self.dials.append(request.path_qs)
        self.sockets.append(socket)
        assert isinstance(request.transport, asyncio.Transport)
        self.transports.append(request.transport)
        self.connected.set()
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                frame = json.loads(message.data)
                self.subscribed.append(frame)
                for answer in self.answer_frame(frame):
                    await socket.send_json(answer)
                self.hearing.set()
        return socket


async def cut_the_line(request: web.Request) -> web.StreamResponse:
    """An answer that never comes: the connection is reset after the request was read."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def standard_answers() -> dict[str, Reply]:
    """What connecting needs."""
    return {
        "GET /fapi/v1/time": (200, {"serverTime": int(now().timestamp() * 1000)}),
        "GET /fapi/v1/exchangeInfo": (200, {"symbols": [SYMBOL_ROW]}),
        "GET /fapi/v1/positionSide/dual": (200, {"dualSidePosition": False}),
        "POST /fapi/v1/order": (200, order_row()),
        "POST /fapi/v1/algoOrder": (200, algo_row()),
        "POST /fapi/v1/listenKey": (200, {"listenKey": "the-listen-key"}),
        "PUT /fapi/v1/listenKey": (200, {"listenKey": "the-listen-key"}),
        "GET /fapi/v2/positionRisk": (200, [position_row()]),
        "GET /fapi/v1/openOrders": (200, []),
        "GET /fapi/v1/openAlgoOrders": (200, [algo_row()]),
    }


@asynccontextmanager
async def recording_venue(**answers: Reply) -> AsyncIterator[RecordingVenue]:
    """A listening Binance; `answers` by 'METHOD path' on top of the standard ones."""
    async with listening(RecordingVenue(answers=standard_answers() | answers)) as venue:
        yield venue


@asynccontextmanager
async def listening(venue: RecordingVenue) -> AsyncIterator[RecordingVenue]:
    """`venue`, served on a free port."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", venue.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    venue.url = f"http://{host}:{port}"
    try:
        yield venue
    finally:
        venue.cut()
        await runner.cleanup()
