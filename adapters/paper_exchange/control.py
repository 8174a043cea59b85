"""The control endpoints (`/control/*`, only with --control): what a test or a chaos run does to the venue.

POST with a JSON object; replies `{"ok": true, ...}`, or 400 `{"error": text}`:
price {symbol, mark}; freeze {on}; order {symbol, side, quantity, reduceOnly?} (a human's); cancel {algoId | orderId};
reject {next, code, msg, path, method?}; drop_reply {next, path, method?}; drop_request {next, path, method?};
cut_streams {}; state {} (a summary). `path` is the end of a REST path ("algoOrder"); `method` is POST unless given.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import Enum, auto
from typing import Any

from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.orders import Order, Origin, Price, Side
from adapters.paper_exchange.refusals import Refused
from adapters.paper_exchange.requests import MarketRequest
from adapters.paper_exchange.wire import Rejection


class ControlError(Exception):
    """A control request that makes no sense; the text names what and why."""


class Fault(Enum):
    """What is done to a REST request."""

    REJECT = auto()
    DROP_REPLY = auto()
    DROP_REQUEST = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A fault for the next `left` requests to a path."""

    fault: Fault
    method: str
    path: str
    left: int
    rejection: Rejection | None = None

    def concerns(self, method: str, path: str) -> bool:
        """True for a request that this fault is meant for."""
        return self.left > 0 and method == self.method and (path == self.path or path.endswith("/" + self.path))


class Control:
    """The faults that are ordered, and the hand on the market."""

    def __init__(
        self, exchange: PaperExchange, on_price: Callable[[int, Price], None], cut_streams: Callable[[], int]
    ) -> None:
        self._exchange = exchange
        self._on_price = on_price
        self._cut_streams = cut_streams
        self._ordered: list[Ordered] = []
        self._commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "price": self._price,
            "freeze": self._freeze,
            "order": self._order,
            "cancel": self._cancel,
            "reject": self._reject,
            "drop_reply": lambda asked: self._order_fault(Fault.DROP_REPLY, asked),
            "drop_request": lambda asked: self._order_fault(Fault.DROP_REQUEST, asked),
            "cut_streams": lambda _asked: {"cut": self._cut_streams()},
            "state": self._state,
        }

    def perform(self, command: str, asked: object) -> dict[str, Any]:
        """Do what a control request asks; raises ControlError."""
        perform = self._commands.get(command)
        if perform is None:
            raise ControlError(f"control command {command!r}: unknown, choose from {', '.join(sorted(self._commands))}")
        if not isinstance(asked, dict):
            raise ControlError(f"control command {command}: the body must be a JSON object")
        try:
            return {"ok": True, **perform(asked)}
        except Refused as refused:
            raise ControlError(str(refused)) from refused

    def fault_for(self, method: str, path: str) -> Ordered | None:
        """The fault that hits this request; it is used up by that."""
        for place, ordered in enumerate(self._ordered):
            if ordered.concerns(method, path):
                self._ordered[place] = replace(ordered, left=ordered.left - 1)
                self._ordered = [still for still in self._ordered if still.left > 0]
                return ordered
        return None

    def _price(self, asked: dict[str, Any]) -> dict[str, Any]:
        symbol, mark = _text(asked, "symbol"), _decimal(asked, "mark")
        before = self._exchange.book.prices.get(symbol)
        if before is None or mark <= 0:
            raise ControlError(f"price {symbol}={mark}: the symbol must be listed and the price positive")
        now = self._exchange.clock()
        price = replace(before, mark=mark, last=mark, index=mark, time=now)
        self._exchange.commit(now, self._exchange.engine.price(price))
        self._on_price(now, price)
        return {"symbol": symbol, "mark": plain(mark)}

    def _freeze(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(asked.get("on"), bool):
            raise ControlError("freeze: 'on' must be true or false")
        self._exchange.frozen = asked["on"]
        return {"frozen": self._exchange.frozen}

    def _order(self, asked: dict[str, Any]) -> dict[str, Any]:
        side = _text(asked, "side").upper()
        if side not in (Side.BUY, Side.SELL):
            raise ControlError(f"order: side {side!r} is neither BUY nor SELL")
        wanted = MarketRequest(
            symbol=_text(asked, "symbol"),
            side=Side(side),
            quantity=_decimal(asked, "quantity"),
            reduce_only=asked.get("reduceOnly") is True,
            origin=Origin.HUMAN,
        )
        events = self._exchange.run(lambda now: self._exchange.engine.place_market(now, wanted))
        return {"orderId": [event.order_id for event in events if isinstance(event, Order)][-1]}

    def _cancel(self, asked: dict[str, Any]) -> dict[str, Any]:
        engine = self._exchange.engine
        if "algoId" in asked:
            algo_id = _whole(asked, "algoId")
            self._exchange.run(lambda now: engine.cancel_conditional(now, algo_id))
            return {"algoId": algo_id}
        order_id = _whole(asked, "orderId")
        self._exchange.run(lambda now: engine.cancel_order(now, order_id))
        return {"orderId": order_id}

    def _reject(self, asked: dict[str, Any]) -> dict[str, Any]:
        rejection = Rejection(code=_whole(asked, "code"), message=_text(asked, "msg"))
        return self._order_fault(Fault.REJECT, asked, rejection)

    def _order_fault(self, fault: Fault, asked: dict[str, Any], rejection: Rejection | None = None) -> dict[str, Any]:
        count = _whole(asked, "next") if "next" in asked else 1
        method = str(asked.get("method", "POST")).upper()
        path = _text(asked, "path")
        if count < 1:
            raise ControlError(f"next={count}: must be at least 1")
        self._ordered.append(Ordered(fault=fault, method=method, path=path, left=count, rejection=rejection))
        return {"ordered": count}

    def _state(self, _asked: dict[str, Any]) -> dict[str, Any]:
        book = self._exchange.book
        return {
            "wallet": plain(book.wallet),
            "positions": {position.symbol: plain(position.quantity) for position in book.open_positions()},
            "open_conditionals": len(book.open_algos),
            "frozen": self._exchange.frozen,
            "faults_left": sum(ordered.left for ordered in self._ordered),
        }


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise ControlError(f"{name}={value!r}: must be a text")
    return value


def _whole(asked: dict[str, Any], name: str) -> int:
    try:
        return int(str(asked.get(name)))
    except ValueError:
        raise ControlError(f"{name}={asked.get(name)!r}: must be a whole number") from None


def _decimal(asked: dict[str, Any], name: str) -> Decimal:
    try:
        value = Decimal(str(asked.get(name)))
    except InvalidOperation:
        raise ControlError(f"{name}={asked.get(name)!r}: must be a decimal number") from None
    if not value.is_finite():
        raise ControlError(f"{name}={value}: must be finite")
    return value
