"""Where a row of faults is played: one symbol of one venue, what is ordered there, and what has to be true afterwards.

Rules of this file: a fault is aimed at one act of one symbol and must have struck, else the row has shown nothing;
what rests on the exchange is read from its timeline; every position is closed when its row is over. Rows on different
symbols may be played at the same time.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from tests.end_to_end.service import ServiceProcess
from tests.oracle.book import Book
from tests.oracle.facts import ZERO, Life, Order
from tests.oracle.reader import AlgoLine, parse_line

BYBIT = "bybit"
READ_WITHIN_S = 90
Answer = TypeVar("Answer")


class Act(StrEnum):
    """What of ours a fault strikes."""

    ENTRY = "entry"
    STOP = "stop"
    CANCEL = "cancel"
    EXIT = "exit"
    ASK_ORDER = "question about an order"
    ASK_STOP = "question about a stop"
    ASK_POSITION = "question about a position"
    ORDERS = "stream of orders"
    STOPS = "stream of stops"
    POSITIONS = "stream of positions"
    TRIGGER = "trigger of a stop"
    MARKET = "market order"


_BINANCE: dict[Act, tuple[str, str]] = {
    Act.ENTRY: ("POST", "/fapi/v1/order"),
    Act.STOP: ("POST", "/fapi/v1/algoOrder"),
    Act.CANCEL: ("DELETE", "/fapi/v1/algoOrder"),
    Act.EXIT: ("POST", "/fapi/v1/order"),
    Act.ASK_ORDER: ("GET", "/fapi/v1/order"),
    Act.ASK_STOP: ("GET", "/fapi/v1/algoOrder"),
    Act.ASK_POSITION: ("GET", "/fapi/v2/positionRisk"),
    Act.ORDERS: ("*", "ORDER_TRADE_UPDATE"),
    Act.STOPS: ("*", "ALGO_UPDATE"),
    Act.POSITIONS: ("*", "ACCOUNT_UPDATE"),
}
_BYBIT: dict[Act, tuple[str, str]] = {
    Act.ENTRY: ("POST", "/v5/order/create"),
    Act.STOP: ("POST", "/v5/position/trading-stop"),
    Act.EXIT: ("POST", "/v5/order/create"),
    Act.ASK_ORDER: ("GET", "/v5/order/realtime"),
    Act.ASK_STOP: ("GET", "/v5/position/list"),
    Act.ASK_POSITION: ("GET", "/v5/position/list"),
    Act.ORDERS: ("*", "execution"),
    Act.STOPS: ("*", "order"),
    Act.POSITIONS: ("*", "position"),
}
# These requests name no symbol: a cancel is aimed by the order's id, a question strikes whoever asks next.
_NAMELESS = frozenset({("binanceusdm", Act.CANCEL), ("binanceusdm", Act.ASK_STOP)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A dialect and a position mode."""

    exchange: str
    hedged: bool = False

    @property
    def attaches(self) -> bool:
        """Whether an entry takes its stop along, and stops stand on the position."""
        return self.exchange == BYBIT

    def __str__(self) -> str:
        return f"{self.exchange}{'-hedge' if self.hedged else ''}"

    @property
    def account(self) -> dict[str, object]:
        """The settings of an account there."""
        return {"exchange": self.exchange, "hedge_mode": self.hedged}


class Watch:
    """The exchange's book and the faults that struck, kept up from its timeline. For any number of threads."""

    def __init__(self, timeline: Path) -> None:
        self._timeline = timeline
        self._lock = threading.Lock()
        self._read = 0
        self._book = Book()
        self._struck: set[int] = set()
        self._conditionals: set[tuple[str, Decimal]] = set()

    def triggers(self) -> int:
        """How many different trigger prices have rested so far: each move of a stop adds one."""
        with self._lock:
            self._catch_up()
            return len(self._conditionals)

    def resting(self, key: tuple[str, str]) -> tuple[Decimal, list[Order]]:
        """The signed quantity of a position on the exchange, and the stops of ours that rest there."""
        with self._lock:
            self._catch_up()
            live = [order for order in self._book.resting.get(key, []) if order.live and order.our_stop]
            return self._book.quantity.get(key, ZERO), live

    def lives(self, owner: int) -> list[Life]:
        """What the exchange shows of a position of ours, from flat to flat."""
        with self._lock:
            self._catch_up()
            return [life for life in (*self._book.past, *self._book.lives.values()) if life.owner == owner]

    def read(self, ask: Callable[[Book], Answer]) -> Answer:
        """Ask something of the book as it is now."""
        with self._lock:
            self._catch_up()
            return ask(self._book)

    def struck(self) -> frozenset[int]:
        """The numbers of the faults that befell something."""
        with self._lock:
            self._catch_up()
            return frozenset(self._struck)

    def _catch_up(self) -> None:
        with self._timeline.open("rb") as file:
            file.seek(self._read)
            whole, newline, _torn = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        for text in whole.splitlines():
            raw = json.loads(text)
            if raw["kind"] == "struck":
                self._struck.add(raw["fault"])
            line = parse_line(raw)
            if isinstance(line, AlgoLine):
                self._conditionals.add((line.symbol, line.trigger))
            for _fact in self._book.take(line):
                pass


class Stage:
    """One symbol of a running service, for one row."""

    def __init__(self, service: ServiceProcess, watch: Watch, venue: Venue, symbol: str, side: str) -> None:
        self.service = service
        self.watch = watch
        self.venue = venue
        self.symbol = symbol
        self.side = side
        self.id = 0
        self._faults: list[int] = []

    @property
    def sign(self) -> int:
        """+1 for a long position, -1 for a short one."""
        return 1 if self.side == "long" else -1

    # What goes wrong

    def fault(self, command: str, act: Act, **body: object) -> None:
        """Order a fault at one act of this symbol."""
        aim: dict[str, object] = {}
        if (self.venue.exchange, act) not in _NAMELESS:
            aim["symbol"] = self.symbol
        elif act is Act.CANCEL:
            aim["where"] = {"algoId": self.shown["stop_order_id"]}
        if act in (Act.ENTRY, Act.EXIT):
            word = "BUY" if (act is Act.ENTRY) == (self.sign > 0) else "SELL"
            aim["where"] = {"side": word.capitalize() if self.venue.attaches else word}
        if act not in (Act.TRIGGER, Act.MARKET):
            aim["method"], aim["path"] = (_BYBIT if self.venue.attaches else _BINANCE)[act]
        # Straight to the exchange: the line of its strike tells the oracle, and nothing else need.
        ordered = self.service.exchange("POST", f"/control/{command}", {**aim, **body})
        self._faults.append(int(ordered["fault"]))

    def expects(self, fault: int) -> None:
        """A fault that was ordered elsewhere belongs to this row."""
        self._faults.append(fault)

    def hand(self, command: str, **body: object) -> dict[str, Any]:
        """A human's or the venue's act on this position."""
        side = {"position_side": self.side.upper()} if self.venue.hedged else {}
        return self.service.control(command, symbol=self.symbol, **side, **body)

    def hand_order(self, *, opens: bool, quantity: Decimal) -> None:
        """A market order by hand, with the position or against it."""
        side = "BUY" if opens == (self.sign > 0) else "SELL"
        closes = {} if self.venue.hedged else {"reduceOnly": not opens}
        self.hand("order", side=side, quantity=str(quantity), **closes)

    def lose_stop_by_hand(self) -> None:
        """A human takes the stop away."""
        if self.venue.attaches:
            self.hand("position_stop", stop_loss="0")
        else:
            self.service.control("cancel_all", symbol=self.symbol)

    def move(self, percent: str) -> Decimal:
        """The mark goes so many percent in the position's favour (negative: against it)."""
        return self.service.move_mark(self.symbol, Decimal(percent) * self.sign)

    def moved(self, percent: str) -> Callable[[], None]:
        """The same, to be done later, when the exchange may not answer a question."""
        mark = self.service.mark(self.symbol) * (100 + Decimal(percent) * self.sign) / 100
        body = {"symbol": self.symbol, "mark": str(self.service.on_tick(self.symbol, mark))}

        def move() -> None:
            self.service.exchange("POST", "/control/price", body)

        return move

    # What we ask for

    def order(self, **more: object) -> None:
        """Ask for a position, and do not wait. `more`: what `position.open` takes beside its size."""
        self.service.wait_price(self.symbol)
        wanted = {"account": "main", "symbol": self.symbol, "side": self.side, "usd": "500"}
        opened = self.service.ctl("position.open", **wanted, **more)
        self.id = int(opened["id"])

    def open(self, **more: object) -> dict[str, Any]:
        """A protected position, its entry filled whole."""
        self.order(**more)
        self.state("ACTIVE")
        self.event("entry_filled", "info")
        return self.shown

    def ask_close(self) -> None:
        """Ask for the position to be closed."""
        self.service.ctl("position.close", id=self.id)

    def reconcile(self) -> dict[str, Any]:
        """What a reading of the account found; the requests of a minute may have to be waited for (Binance)."""

        def look() -> dict[str, Any] | None:
            report: dict[str, Any] = self.service.ctl("reconcile", account="main")["accounts"][0]
            return report

        found: dict[str, Any] = self.service.wait_for(look, READ_WITHIN_S, "a reading of the account")
        return found

    # What has to be true

    @property
    def shown(self) -> dict[str, Any]:
        """The position, as the service shows it."""
        return self.service.position(self.id)

    def state(self, *states: str, limit_s: float = 60) -> dict[str, Any]:
        """Wait for one of these states."""
        return self.service.wait_state(self.id, *states, limit_s=limit_s)

    def event(self, type_: str, severity: str, limit_s: float = 40) -> dict[str, Any]:
        """An event of this position, at this severity."""

        def look() -> dict[str, Any] | None:
            found = self.service.events(type=type_, position=self.id)
            return next((each for each in found if each["severity"] == severity), None)

        event: dict[str, Any] = self.service.wait_for(look, limit_s, f"{severity} {type_} of position {self.id}")
        return event

    def no_event(self, *types: str) -> None:
        """None of these happened to the position."""
        happened = {event["type"] for event in self.service.events(position=self.id)}
        assert not happened & set(types), f"{self.symbol}: {sorted(happened & set(types))}"

    def in_profit(self) -> dict[str, Any]:
        """Wait for a stop that was moved beyond the entry price."""
        return self.service.wait_position(
            self.id,
            lambda p: (
                bool(p["stop_price"])
                and (Decimal(p["stop_price"]) - Decimal(p["entry_price"])) * self.sign > 0
                and p["state"] == "ACTIVE"
            ),
            30,
            "a stop in profit",
        )

    def sized(self, quantity: Decimal) -> None:
        """Wait until the service shows this quantity."""
        self.service.wait_position(self.id, lambda p: Decimal(p["quantity"]) == quantity, 40, f"quantity {quantity}")

    def protected(self, limit_s: float = 40) -> dict[str, Any]:
        """Wait until exactly one stop of ours rests, of the size and in the place that the service shows."""

        def look() -> dict[str, Any] | None:
            shown = self.shown
            held, stops = self.resting()
            right = (
                shown["state"] == "ACTIVE"
                and abs(held) == Decimal(shown["quantity"]) > 0
                and [(s.trigger, s.closing_quantity(abs(held)), s.closes(self.sign)) for s in stops]
                == [(Decimal(shown["stop_price"]), abs(held), True)]
            )
            return shown if right else None

        found: dict[str, Any] = self.service.wait_for(look, limit_s, f"one right stop of {self.symbol}")
        return found

    def flat(self, *states: str, limit_s: float = 60) -> dict[str, Any]:
        """Wait until the position is over in both books, and nothing of ours rests."""
        shown = self.state(*states, limit_s=limit_s)
        self.service.wait_for(lambda: self.resting() == (ZERO, []), 20, f"nothing left of {self.symbol}")
        return shown

    def resting(self) -> tuple[Decimal, list[Order]]:
        """The signed quantity on the exchange, and the stops of ours that rest there."""
        return self.watch.resting((self.symbol, self.side.upper() if self.venue.hedged else "BOTH"))

    def lives(self) -> list[Life]:
        """What the exchange shows of this position, from flat to flat."""
        return self.watch.lives(self.id)

    def finish(self) -> None:
        """Close what is open; every fault that was ordered has struck, and none is left."""
        try:
            if self.shown["state"] == "ACTIVE":
                self.ask_close()
            self.flat("CLOSED", "FAILED", "ROLLED_BACK", "LIQUIDATED")
            idle = set(self._faults) - self.watch.struck()
            assert not idle, f"{self.symbol}: of the faults {self._faults} these never struck: {sorted(idle)}"
        finally:
            self.calm()

    def calm(self) -> None:
        """Call off what is left of this row's faults."""
        for fault in self._faults:
            self.service.exchange("POST", "/control/clear", {"fault": fault})
