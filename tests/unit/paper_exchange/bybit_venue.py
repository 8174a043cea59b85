"""The Bybit dialect in this process: signed requests by hand, a clock that is set, streams caught in lists."""

import hashlib
import hmac
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from adapters.paper_exchange.bybit_dialect import BybitDialect
from adapters.paper_exchange.bybit_streams import BybitStream
from adapters.paper_exchange.contracts import listed_contracts
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.market import SyntheticMarket
from adapters.paper_exchange.orders import Price
from adapters.paper_exchange.requests import Rules
from adapters.paper_exchange.wire import Credentials, Rejection, WireReply, WireRequest

SYMBOL = "BTCUSDT"


class BybitVenue:
    """BTCUSDT at 64,000 and ETHUSDT at 3,100, standing still; key and secret 'paper'."""

    def __init__(self, state_dir: Path, *, partial_fills: int = 0, hedge: bool = False) -> None:
        self.now = 1_800_000_000_000
        feeds = {
            symbol: SyntheticMarket(contract=listed_contracts()[symbol], seed=1, volatility=Decimal(0))
            for symbol in (SYMBOL, "ETHUSDT")
        }
        rules = Rules(
            partial_fills=partial_fills,
            hedge_mode=hedge,
            conditionals_per_account=1_000,
            one_close_position=False,
        )
        self.exchange = PaperExchange(state_dir, feeds, rules, lambda: self.now)
        self.exchange.open(1, Decimal(10_000), history_minutes=180)
        self.dialect = BybitDialect(self.exchange, Credentials(key="paper", secret="paper"))
        self.exchange.listeners.append(self.dialect.publish)

    def close(self) -> None:
        self.exchange.close(1)

    def request(self, method: str, path: str, params: dict[str, Any], **headers: str | None) -> WireRequest:
        """A signed request; a header given here replaces the right one, None takes it away."""
        query = urlencode(params) if method == "GET" else ""
        body = "" if method == "GET" else json.dumps(params)
        signed = {
            "X-BAPI-API-KEY": "paper",
            "X-BAPI-TIMESTAMP": str(self.now),
            "X-BAPI-RECV-WINDOW": "5000",
        } | {name: value for name, value in headers.items() if value is not None}
        covered = signed["X-BAPI-TIMESTAMP"] + signed["X-BAPI-API-KEY"] + signed["X-BAPI-RECV-WINDOW"] + query + body
        signed.setdefault("X-BAPI-SIGN", hmac.new(b"paper", covered.encode(), hashlib.sha256).hexdigest())
        for name, value in headers.items():
            if value is None:
                signed.pop(name, None)
        return WireRequest(method=method, path=path, query=query, body=body, headers=signed)

    def send(self, method: str, path: str, rejection: Rejection | None = None, **params: Any) -> WireReply:
        params = {name: value for name, value in params.items() if value is not None}
        # Venue time goes on a little with every request, so that no limit is met by accident.
        self.now += 100
        return self.dialect.answer(self.request(method, path, params), rejection)

    def ok(self, method: str, path: str, **params: Any) -> Any:
        reply = self.send(method, path, **params)
        assert (reply.status, reply.body["retCode"], reply.body["retMsg"]) == (200, 0, "OK"), reply.body
        return reply.body["result"]

    def error(self, method: str, path: str, **params: Any) -> tuple[int, str]:
        reply = self.send(method, path, **params)
        assert reply.status == 200
        assert reply.body["retCode"], reply.body
        return reply.body["retCode"], reply.body["retMsg"]

    def code(self, method: str, path: str, **params: Any) -> int:
        return self.error(method, path, **params)[0]

    def get(self, path: str, **params: Any) -> Any:
        return self.ok("GET", path, category="linear", **params)

    def post(self, path: str, **params: Any) -> Any:
        return self.ok("POST", path, **({"category": "linear", "symbol": SYMBOL} | params))

    def refused(self, path: str, **params: Any) -> tuple[int, str]:
        return self.error("POST", path, **({"category": "linear", "symbol": SYMBOL} | params))

    def buy(self, qty: str = "0.010", **more: Any) -> Any:
        return self.post("/v5/order/create", **({"side": "Buy", "orderType": "Market", "qty": qty} | more))

    def stop(self, trigger: str = "63000.0", **more: Any) -> Any:
        return self.post("/v5/order/create", **stop_params(trigger, **more))

    def protect(self, stop: str, **more: Any) -> Any:
        return self.post("/v5/position/trading-stop", **protect_params(stop, **more))

    def order(self, **ids: Any) -> Any:
        """The one row that an id names, of what is open or recently was."""
        (row,) = self.get("/v5/order/realtime", **ids)["list"]
        return row

    def position(self, index: int = 0) -> Any:
        rows = self.get("/v5/position/list", symbol=SYMBOL)["list"]
        return next(row for row in rows if row["positionIdx"] == index)

    def move(self, mark: str, symbol: str = SYMBOL, *, last: str | None = None) -> None:
        value, traded = Decimal(mark), Decimal(last or mark)
        before = self.exchange.book.prices[symbol]
        price = replace(before, mark=value, last=traded, index=value, step=before.step + 1, time=self.now)
        assert isinstance(price, Price)
        self.exchange.commit(self.now, self.exchange.engine.price(price))

    def stream(self, path: str = "/v5/private", *, auth: bool = True) -> tuple[BybitStream, list[Any]]:
        """An open connection and what came over it; the private one authorized unless told not to."""
        frames: list[Any] = []
        stream = self.dialect.connect(path, "", lambda text: frames.append(json.loads(text)))
        assert stream is not None
        if path == "/v5/private" and auth:
            stream.receive(json.dumps({"op": "auth", "args": self.auth_arguments()}))
            assert frames.pop()["success"] is True
        return stream, frames

    def listen(self, *topics: str, path: str = "/v5/private") -> list[Any]:
        """What comes over these topics from now on."""
        stream, frames = self.stream(path)
        stream.receive(json.dumps({"op": "subscribe", "req_id": "1", "args": list(topics)}))
        assert frames[0]["success"] is True, frames
        del frames[0]
        return frames

    def auth_arguments(self, *, key: str = "paper", secret: bytes = b"paper", ahead_ms: int = 10_000) -> list[Any]:
        expires = self.now + ahead_ms
        return [key, expires, hmac.new(secret, f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()]


def stop_params(trigger: str = "63000.0", **more: Any) -> dict[str, Any]:
    """A reduce-only conditional on the mark price that a fall triggers."""
    return {
        "side": "Sell",
        "orderType": "Market",
        "qty": "0.010",
        "triggerPrice": trigger,
        "triggerDirection": 2,
        "triggerBy": "MarkPrice",
        "reduceOnly": True,
    } | more


def protect_params(stop: str, **more: Any) -> dict[str, Any]:
    """A trading-stop for the whole one-way position."""
    return {"stopLoss": stop, "slTriggerBy": "MarkPrice", "tpslMode": "Full", "positionIdx": 0} | more
