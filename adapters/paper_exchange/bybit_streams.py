"""The WebSocket side of Bybit v5: connections, auth, subscriptions, what goes where.

Paths: `/v5/public/linear` and `/v5/private`. Tickers come as a snapshot and then as what has changed: a price that
stands still is silent. Both sides answer `ping`, each in its own way (VENUES C).
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from adapters.paper_exchange import bybit_dead_man as dead_man
from adapters.paper_exchange.bybit_auth import stream_auth_fault
from adapters.paper_exchange.bybit_frames import private_rows
from adapters.paper_exchange.bybit_market_data import SPANS, MarketData
from adapters.paper_exchange.bybit_routes import Row
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import Event, Price
from adapters.paper_exchange.wire import Credentials, Send

_PATHS: Final = {"/v5/public/linear": False, "/v5/private": True}
_PRIVATE_TOPICS: Final = ("order", "execution", "position", "wallet", dead_man.TOPIC)
_LARGEST_SUBSCRIPTION: Final = 2_000
_DAY_FIGURES_MS: Final = 10_000


class BybitStream:
    """One client connection."""

    def __init__(self, hub: "StreamHub", send: Send, *, private: bool, connection: str) -> None:
        self._hub = hub
        self._send = send
        self._connection = connection
        self.private = private
        self.authorized = False
        self.topics: dict[str, None] = {}

    def receive(self, text: str) -> None:
        """Answer auth, subscribe, unsubscribe and ping."""
        try:
            asked = json.loads(text)
        except ValueError:
            self._answer({}, "", success=False, text="error:invalid json")
            return
        if not isinstance(asked, dict):
            self._answer({}, "", success=False, text="error:invalid request")
            return
        operation = asked.get("op")
        if operation == "ping":
            self._pong(asked)
        elif operation == "auth" and self.private:
            fault = self._hub.auth_fault(asked.get("args"))
            self.authorized = fault is None
            self._answer(asked, "auth", success=fault is None, text=fault or "")
        elif operation in ("subscribe", "unsubscribe"):
            self._change(asked, operation)
        else:
            self._answer(asked, str(operation or ""), success=False, text="error:invalid op")

    def closed(self) -> None:
        """The connection is gone."""
        self._hub.forget(self)

    def deliver(self, frame: Row) -> None:
        """Send a frame."""
        self._send(json.dumps(frame, separators=(",", ":")))

    def _change(self, asked: Row, operation: str) -> None:
        topics = asked.get("args")
        if self.private and not self.authorized:
            self._answer(asked, operation, success=False, text="Request not authorized")
            return
        if not isinstance(topics, list) or not topics or not all(isinstance(topic, str) for topic in topics):
            self._answer(asked, operation, success=False, text="error:args is empty")
            return
        if operation == "unsubscribe":
            for topic in topics:
                self.topics.pop(topic, None)
            self._answer(asked, operation, success=True)
            return
        unknown = next((topic for topic in topics if not self._hub.knows(topic, private=self.private)), None)
        double = next((topic for topic in topics if topic in self.topics), None)
        if unknown is not None:
            self._answer(asked, operation, success=False, text=f"error:handler not found,topic:{unknown}")
        elif double is not None:
            self._answer(asked, operation, success=False, text=f"error:already subscribed,topic:{double}")
        elif len(self.topics) + len(topics) > _LARGEST_SUBSCRIPTION:
            self._answer(asked, operation, success=False, text="error:too many topics")
        else:
            self.topics |= dict.fromkeys(topics)
            self._answer(asked, operation, success=True)
            self._hub.welcome(self, topics)

    def _answer(self, asked: Row, operation: str, *, success: bool, text: str = "") -> None:
        frame: Row = {"success": success, "ret_msg": text, "op": operation, "conn_id": self._connection}
        if "req_id" in asked or not self.private:
            frame["req_id"] = asked.get("req_id", "")
        self.deliver(frame)

    def _pong(self, asked: Row) -> None:
        identity = asked.get("req_id", "")
        if self.private:
            now = str(self._hub.now())
            self.deliver({"req_id": identity, "op": "pong", "args": [now], "conn_id": self._connection})
        else:
            self.deliver(
                {"success": True, "ret_msg": "pong", "conn_id": self._connection, "req_id": identity, "op": "ping"}
            )


class StreamHub:
    """All connections, and what each of them is to hear."""

    def __init__(self, exchange: PaperExchange, market_data: MarketData, credentials: Credentials) -> None:
        self._exchange = exchange
        self._market_data = market_data
        self._credentials = credentials
        self._streams: list[BybitStream] = []
        self._tickers: dict[str, Row] = {}
        self._day_figures_at: dict[str, int] = {}
        self._connections = 0
        self._frames = 0

    def now(self) -> int:
        """Venue time in ms."""
        return self._exchange.clock()

    def connect(self, path: str, send: Send) -> BybitStream | None:
        """A client opens a WebSocket; None refuses the path."""
        private = _PATHS.get(path)
        if private is None:
            return None
        self._connections += 1
        stream = BybitStream(self, send, private=private, connection=f"paper-{self._connections}")
        self._streams.append(stream)
        return stream

    def forget(self, stream: BybitStream) -> None:
        """A connection is gone."""
        self._streams.remove(stream)

    def auth_fault(self, arguments: Any) -> str | None:
        """What is wrong with an `auth`, None if nothing is."""
        return stream_auth_fault(arguments, self._credentials, self.now())

    def knows(self, topic: str, *, private: bool) -> bool:
        """True for a topic that this kind of connection may subscribe to."""
        if private:
            return topic in _PRIVATE_TOPICS or topic.removesuffix(".linear") in _PRIVATE_TOPICS[:3]
        kind, _, rest = topic.partition(".")
        middle, _, symbol = rest.rpartition(".")
        if symbol not in self._exchange.book.prices:
            return False
        match kind:
            case "tickers" | "publicTrade":
                return not middle
            case "kline":
                return middle in SPANS
            case "orderbook":
                return middle in ("1", "50", "200", "500", "1000")
        return False

    def welcome(self, stream: BybitStream, topics: Iterable[str]) -> None:
        """Send a new subscriber the state from which its changes go on."""
        for topic in topics:
            kind, _, symbol = topic.partition(".")
            if kind == "tickers":
                row = self._market_data.ticker_row(self._exchange.book.prices[symbol], self.now())
                self._tickers.setdefault(symbol, row)
                stream.deliver(self._ticker(topic, "snapshot", row))
            elif kind == "orderbook":
                stream.deliver(self._book(topic))

    def publish(self, now: int, events: list[Event]) -> None:
        """Send the messages of a step: the account's, and its prices."""
        if any(stream.authorized and stream.topics for stream in self._streams):
            for topic, row in private_rows(events, self._exchange.engine):
                self._frames += 1
                frame = {"id": f"paper{self._frames}", "topic": topic, "creationTime": now, "data": [row]}
                self._deliver(topic, frame)
                self._deliver(f"{topic}.linear", frame | {"topic": f"{topic}.linear"})
        if self._streams:
            for event in events:
                if isinstance(event, Price):
                    self._price(event)

    def hears(self, topic: str) -> bool:
        """True if an open connection has subscribed to the topic."""
        return any(topic in stream.topics for stream in self._streams)

    def second(self, now: int) -> None:
        """Send the open candles."""
        for topic in self._subscribed("kline."):
            _, interval, symbol = topic.split(".")
            span = SPANS[interval]
            for candle in self._exchange.candles.candles(symbol, span)[-2:]:
                # A candle that has just closed is sent once more, as closed.
                if now < candle.open_time + span + 1_000:
                    bar = candle.last
                    row = {
                        "start": candle.open_time,
                        "end": candle.open_time + span - 1,
                        "interval": interval,
                        "open": plain(bar.open),
                        "close": plain(bar.close),
                        "high": plain(bar.high),
                        "low": plain(bar.low),
                        "volume": str(candle.points),
                        "turnover": plain(candle.points * bar.close),
                        "confirm": now >= candle.open_time + span,
                        "timestamp": now,
                    }
                    self._deliver(topic, {"topic": topic, "data": [row], "ts": now, "type": "snapshot"})

    def _price(self, price: Price) -> None:
        symbol = price.symbol
        topic = f"tickers.{symbol}"
        if self.hears(topic):
            before = self._tickers.get(symbol, {})
            row = self._ticker_row(price, before)
            changed = {name: value for name, value in row.items() if before.get(name) != value}
            self._tickers[symbol] = row
            if changed:
                self._deliver(topic, self._ticker(topic, "delta", {"symbol": symbol} | changed))
        trades = f"publicTrade.{symbol}"
        if self.hears(trades):
            trade = {
                "T": price.time,
                "s": symbol,
                "S": "Buy" if price.last >= price.mark else "Sell",
                "v": "1",
                "p": plain(price.last),
                "L": "ZeroPlusTick",
                "i": f"7ade0000-0000-4000-8000-{price.step:012x}",
                "BT": False,
                "RPI": False,
                "seq": price.step,
            }
            self._deliver(trades, {"topic": trades, "type": "snapshot", "ts": price.time, "data": [trade]})
        for book in self._subscribed("orderbook."):
            if book.endswith(f".{symbol}"):
                self._deliver(book, self._book(book))

    def _ticker_row(self, price: Price, before: Row) -> Row:
        """The ticker now; the figures of the last day and hour are added up anew only every few seconds."""
        now = self.now()
        if not before or now - self._day_figures_at.get(price.symbol, 0) >= _DAY_FIGURES_MS:
            self._day_figures_at[price.symbol] = now
            return self._market_data.ticker_row(price, now)
        return before | self._market_data.quote_figures(price)

    def _ticker(self, topic: str, kind: str, row: Row) -> Row:
        return {"topic": topic, "type": kind, "data": row, "cs": self._exchange.book.last_trade_id, "ts": self.now()}

    def _book(self, topic: str) -> Row:
        _, depth, symbol = topic.split(".")
        price = self._exchange.book.prices[symbol]
        levels = self._market_data.levels(price, int(depth)) | {"seq": price.step}
        return {"topic": topic, "type": "snapshot", "ts": self.now(), "data": levels, "cts": price.time}

    def _deliver(self, topic: str, frame: Row) -> None:
        for stream in list(self._streams):
            if topic in stream.topics:
                stream.deliver(frame)

    def _subscribed(self, begin: str) -> list[str]:
        return list({topic: None for stream in self._streams for topic in stream.topics if topic.startswith(begin)})
