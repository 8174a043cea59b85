"""The WebSocket side of Binance USD-M: connections, subscriptions, what goes where.

Paths: `/ws`, `/stream`, and both behind `/market`, `/public` or `/private`. The tail or the query names streams or a
listen key. An unknown listen key is taken and stays silent, as on the venue; an unknown stream too.
"""

import json
import re
from collections.abc import Iterable
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

from adapters.paper_exchange.binance_frames import (
    Frame,
    aggregate_trade_frame,
    kline_frame,
    mark_frame,
    quote_frame,
    ticker_frame,
    trade_frame,
    user_frames,
)
from adapters.paper_exchange.binance_market_data import MarketData, premium_row
from adapters.paper_exchange.candles import INTERVALS
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import Event, Price
from adapters.paper_exchange.wire import Send

_PATH: Final = re.compile(r"(?:/(?:market|public|private))?/(ws|stream)(?:/(.*))?\Z")
_LARGEST_SUBSCRIPTION: Final = 1_024


class BinanceStream:
    """One client connection."""

    def __init__(self, hub: "StreamHub", send: Send, *, combined: bool) -> None:
        self._hub = hub
        self._send = send
        self._combined = combined
        self.names: set[str] = set()

    def receive(self, text: str) -> None:
        """Answer SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS."""
        try:
            asked = json.loads(text)
        except ValueError:
            self._refuse(None, 3, "Invalid JSON")
            return
        if not isinstance(asked, dict):
            self._refuse(None, 2, "Invalid request: request must be an object")
            return
        identity = asked.get("id")
        names = asked.get("params", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._refuse(identity, 2, "Invalid request: params must be an array of strings")
            return
        result: Any = None
        match asked.get("method"):
            case "SUBSCRIBE" if len(self.names) + len(names) > _LARGEST_SUBSCRIPTION:
                self._refuse(identity, 2, "Invalid request: too many streams")
                return
            case "SUBSCRIBE":
                self._hub.listen(self, names)
            case "UNSUBSCRIBE":
                self._hub.unlisten(self, names)
            case "LIST_SUBSCRIPTIONS":
                result = sorted(self.names)
            case method:
                self._refuse(identity, 2, f"Invalid request: unknown method {method}")
                return
        self._send(json.dumps({"result": result, "id": identity}))

    def closed(self) -> None:
        """The connection is gone."""
        self._hub.unlisten(self, set(self.names))

    def deliver(self, name: str, frame: Frame | list[Frame]) -> None:
        """Send a message of the stream `name`, wrapped on a combined connection."""
        self._send(json.dumps({"stream": name, "data": frame} if self._combined else frame, separators=(",", ":")))

    def _refuse(self, identity: object, code: int, message: str) -> None:
        self._send(json.dumps({"error": {"code": code, "msg": message}, "id": identity}))


class StreamHub:
    """All connections, by the names that they listen to."""

    def __init__(self, exchange: PaperExchange, market_data: MarketData) -> None:
        self._exchange = exchange
        self._market_data = market_data
        self._listening: dict[str, list[BinanceStream]] = {}

    def connect(self, path: str, query: str, send: Send) -> BinanceStream | None:
        """Open a connection; None if the path is none of the venue's."""
        match = _PATH.match(path)
        if match is None:
            return None
        named = parse_qs(query)
        names = {name for text in named.get("streams", []) for name in text.split("/") if name}
        names |= set(named.get("listenKey", []))
        # ccxt numbers its connections in the path: `/market/ws/0` (VENUES B.4).
        names |= {name for name in (match[2] or "").split("/") if name and not name.isdigit()}
        stream = BinanceStream(self, send, combined=match[1] == "stream")
        self.listen(stream, names)
        return stream

    def listen(self, stream: "BinanceStream", names: Iterable[str]) -> None:
        """Send these streams to the connection from now on."""
        for name in set(names) - stream.names:
            stream.names.add(name)
            self._listening.setdefault(name, []).append(stream)

    def unlisten(self, stream: "BinanceStream", names: Iterable[str]) -> None:
        """No longer send these streams to the connection."""
        for name in set(names) & stream.names:
            stream.names.remove(name)
            self._listening[name].remove(stream)
            if not self._listening[name]:
                del self._listening[name]

    def publish(self, now: int, events: list[Event]) -> None:
        """Send the private messages of a step."""
        for key in list(self._exchange.book.listen_keys.values()):
            if key.expires > now and key.key in self._listening:
                for frame in user_frames(now, events, self._exchange.book):
                    self._deliver(key.key, frame)

    def price(self, now: int, price: Price) -> None:
        """Send a price point at once (fast tapes, prices set by hand)."""
        self._mark(now, price, ("", "@1s", "@3s"))
        for name in ("!markPrice@arr", "!markPrice@arr@1s"):
            self._deliver(name, [mark_frame(now, premium_row(price, now))])
        self._quote(now, price)

    def second(self, now: int) -> None:
        """Send what is due each second: marks (every third one without @1s), quotes, open candles, tickers."""
        self._expire_keys(now)
        prices = list(self._exchange.book.prices.values())
        slow_too = now // 1000 % 3 == 0
        if {"!markPrice@arr", "!markPrice@arr@1s"} & self._listening.keys():
            marks = [mark_frame(now, premium_row(price, now)) for price in prices]
            self._deliver("!markPrice@arr@1s", marks)
            if slow_too:
                self._deliver("!markPrice@arr", marks)
        for price in prices:
            self._mark(now, price, ("", "@1s", "@3s") if slow_too else ("@1s",))
            self._quote(now, price)
            self._trade_and_ticker(now, price)
        for name in [name for name in self._listening if "@kline_" in name]:
            self._kline(now, name)

    def _deliver(self, name: str, frame: Frame | list[Frame]) -> None:
        for stream in self._listening.get(name, ()):
            stream.deliver(name, frame)

    def _mark(self, now: int, price: Price, speeds: Iterable[str]) -> None:
        names = [f"{price.symbol.lower()}@markPrice{speed}" for speed in speeds]
        if not self._listening.keys().isdisjoint(names):
            frame = mark_frame(now, premium_row(price, now))
            for name in names:
                self._deliver(name, frame)

    def _quote(self, now: int, price: Price) -> None:
        names = (f"{price.symbol.lower()}@bookTicker", "!bookTicker")
        if not self._listening.keys().isdisjoint(names):
            frame = quote_frame(now, self._market_data.quote_row(price))
            for name in names:
                self._deliver(name, frame)

    def _trade_and_ticker(self, now: int, price: Price) -> None:
        symbol = price.symbol.lower()
        if f"{symbol}@aggTrade" in self._listening:
            self._deliver(f"{symbol}@aggTrade", aggregate_trade_frame(now, price))
        if f"{symbol}@trade" in self._listening:
            self._deliver(f"{symbol}@trade", trade_frame(now, price))
        if not self._listening.keys().isdisjoint((f"{symbol}@miniTicker", "!miniTicker@arr")):
            ticker = ticker_frame(now, self._market_data.day_row(price, now))
            self._deliver(f"{symbol}@miniTicker", ticker)
            self._deliver("!miniTicker@arr", [ticker])

    def _kline(self, now: int, name: str) -> None:
        symbol, _, interval = name.partition("@kline_")
        span = INTERVALS.get(interval)
        if span is None:
            return
        for candle in self._exchange.candles.candles(symbol.upper(), span)[-2:]:
            # A candle that has just closed is sent once more, as closed.
            if now < candle.open_time + span + 1000:
                self._deliver(name, kline_frame(now, candle, interval, span))

    def _expire_keys(self, now: int) -> None:
        for key in list(self._exchange.book.listen_keys.values()):
            if key.expires <= now:
                self._deliver(key.key, {"e": "listenKeyExpired", "E": now, "listenKey": key.key})
                self._exchange.run(partial(self._close_key, key.key))

    def _close_key(self, key: str, _now: int) -> list[Event]:
        return self._exchange.engine.set_listen_key(key, 0)
