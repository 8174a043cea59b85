"""A plain client of the paper exchange's Binance dialect, and the exchange it speaks to.

It signs by hand, opens a connection for each request and repeats nothing, so that a test sees what the wire does.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.unit.paper_exchange.program import Program

ORDER, ALGO, OPEN_ALGOS = "/fapi/v1/order", "/fapi/v1/algoOrder", "/fapi/v1/openAlgoOrders"
MARKET: dict[str, Any] = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
STOP: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "algoType": "CONDITIONAL",
    "type": "STOP_MARKET",
    "quantity": "0.010",
    "triggerPrice": "63000.0",
    "reduceOnly": "true",
    "workingType": "MARK_PRICE",
}
PATIENCE_S = 20.0


def standing_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A standing market at 64,000 with control endpoints, for as long as a module's tests run."""
    options = ("--volatility", "0", "--partial-fills", "0", "--control", "--symbols", "BTCUSDT,ETHUSDT")
    program = Program(tmp_path_factory.mktemp("exchange"), *options).start()
    yield program
    program.close()


def tidied(program: Program) -> Iterator[None]:
    """A test's turn on it: it begins flat at 64,000, with nothing resting and nothing wrong."""
    program.control("price", symbol="BTCUSDT", mark="64000")
    yield
    program.control("clear")
    program.control("skew", ms=0)
    program.control("limits", weight=2_400)
    program.control("cancel_all", symbol="BTCUSDT")
    position = program.control("state")["positions"].get("BTCUSDT")
    if position is not None:
        side = "BUY" if position.startswith("-") else "SELL"
        program.control("order", symbol="BTCUSDT", side=side, quantity=position.lstrip("-"), reduceOnly=True)


class Client:
    """Signed requests, one connection each, no repetition."""

    def __init__(self, session: aiohttp.ClientSession, program: Program) -> None:
        self._session = session
        self._program = program
        self.headers: dict[str, str] = {}

    async def send(self, method: str, path: str, **params: Any) -> tuple[int, Any]:
        text = urlencode({"recvWindow": 2_000, **params, "timestamp": time.time_ns() // 1_000_000})
        text += "&signature=" + hmac.new(b"paper", text.encode(), hashlib.sha256).hexdigest()
        url = f"{self._program.endpoint['rest_url']}{path}?{text}"
        async with self._session.request(method, url, headers={"X-MBX-APIKEY": "paper"}) as reply:
            self.headers = dict(reply.headers)
            body = await reply.text()
            return reply.status, json.loads(body) if reply.content_type == "application/json" else body

    async def known(self, client_id: str) -> bool:
        """True if the venue has the market order of this client id."""
        status, _body = await self.send("GET", ORDER, symbol="BTCUSDT", origClientOrderId=client_id)
        return status == 200

    async def control(self, command: str, **asked: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self._program.control, command, **asked)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self._session.ws_connect(self._program.endpoint["ws_url"] + path) as socket:
            yield socket

    @asynccontextmanager
    async def user_stream(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        _status, body = await self.send("POST", "/fapi/v1/listenKey")
        async with self.stream(f"/private/ws?listenKey={body['listenKey']}") as socket:
            yield socket


def with_client(program: Program, play: Callable[[Client], Awaitable[None]], timeout_s: float = PATIENCE_S) -> None:
    async def run() -> None:
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.wait_for(play(Client(session, program)), 20)

    asyncio.run(run())


async def next_event(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    frame: dict[str, Any] = await socket.receive_json(timeout=PATIENCE_S)
    return frame


async def statuses(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[str]:
    """The statuses of the next order updates."""
    found: list[str] = []
    while len(found) < count:
        frame = await next_event(socket)
        if frame["e"] == "ORDER_TRADE_UPDATE":
            found.append(frame["o"]["X"])
    return found
