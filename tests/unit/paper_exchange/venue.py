"""The Binance dialect in this process: signed requests by hand, a clock that is set, streams caught in lists."""

import hashlib
import hmac
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from adapters.paper_exchange.binance_dialect import BinanceDialect
from adapters.paper_exchange.contracts import listed_contracts
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.market import SyntheticMarket
from adapters.paper_exchange.orders import Price
from adapters.paper_exchange.requests import Rules
from adapters.paper_exchange.wilful import WilfulEngine
from adapters.paper_exchange.wire import Credentials, Rejection, Stream, WireReply, WireRequest


class Venue:
    """BTCUSDT at 64,000 and ETHUSDT at 3,100, standing still; key and secret 'paper'."""

    def __init__(self, state_dir: Path, *, partial_fills: int = 0, volatility: str = "0") -> None:
        self.now = 1_800_000_000_000
        feeds = {
            symbol: SyntheticMarket(contract=listed_contracts()[symbol], seed=1, volatility=Decimal(volatility))
            for symbol in ("BTCUSDT", "ETHUSDT")
        }
        rules = Rules(partial_fills=partial_fills)
        self.log = state_dir / "timeline.jsonl"
        self.exchange = PaperExchange(state_dir, feeds, rules, lambda: self.now, WilfulEngine)
        self.exchange.open(1, Decimal(10_000), history_minutes=180)
        self.dialect = BinanceDialect(self.exchange, Credentials(key="paper", secret="paper"))
        self.exchange.listeners.append(self.dialect.publish)

    def close(self) -> None:
        self.exchange.close(1)

    def send(
        self,
        method: str,
        path: str,
        *,
        in_query: bool | None = None,
        signed: bool = True,
        tamper: Callable[[str], str] = str,
        key: str | None = "paper",
        at: int | None = None,
        rejection: Rejection | None = None,
        **params: object,
    ) -> WireReply:
        if signed:
            params["timestamp"] = self.now if at is None else at
        text = urlencode(params)
        if signed:
            text += "&signature=" + hmac.new(b"paper", text.encode(), hashlib.sha256).hexdigest()
        text = tamper(text)
        query = method in ("GET", "DELETE") if in_query is None else in_query
        request = WireRequest(
            method=method,
            path=path,
            query=text if query else "",
            body="" if query else text,
            headers={} if key is None else {"X-MBX-APIKEY": key},
        )
        return self.dialect.answer(request, rejection)

    def ok(self, method: str, path: str, **params: Any) -> Any:
        reply = self.send(method, path, **params)
        assert reply.status == 200, reply.body
        return reply.body

    def code(self, method: str, path: str, **params: Any) -> int:
        reply = self.send(method, path, **params)
        assert reply.status >= 400, reply.body
        return int(reply.body["code"])

    def buy(self, quantity: str = "0.010", **more: Any) -> Any:
        asked = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": quantity} | more
        return self.ok("POST", "/fapi/v1/order", newOrderRespType="RESULT", **asked)

    def stop(self, trigger: str = "63000.0", **more: Any) -> Any:
        return self.ok("POST", "/fapi/v1/algoOrder", **stop_params(triggerPrice=trigger, **more))

    def move(self, mark: str, symbol: str = "BTCUSDT") -> None:
        value = Decimal(mark)
        price = Price(symbol=symbol, mark=value, last=value, index=value, step=1, time=self.now)
        self.exchange.commit(self.now, self.exchange.engine.price(price))

    def stream(self, path: str, query: str = "") -> tuple[Stream, list[Any]]:
        frames: list[Any] = []
        stream = self.dialect.connect(path, query, lambda text: frames.append(json.loads(text)))
        assert stream is not None
        return stream, frames


def stop_params(**more: Any) -> dict[str, Any]:
    """A reduce-only stop on the mark price; None takes a parameter away."""
    params = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "algoType": "CONDITIONAL",
        "type": "STOP_MARKET",
        "quantity": "0.010",
        "triggerPrice": "63000.0",
        "reduceOnly": "true",
        "workingType": "MARK_PRICE",
    } | more
    return {name: value for name, value in params.items() if value is not None}
