"""The control endpoints (`/control/*`, only with --control): what a test or a chaos run does to the venue.

POST with a JSON object; replies `{"ok": true, ...}`, or 400 `{"error": text}`. Every act is a `control` line of the
timeline, before its effects; `state` is none. What is set here lasts until the process ends, but for what the account
holds.

Faults: the commands of `faults`, by the names there; each replies {"fault": number, "ordered": times or null}.
    clear {fault?}                 call off one fault or all
Connections:
    cut_streams {}                 every WebSocket breaks
    stall_streams {for_ms}         every WebSocket stays up and says nothing, pongs included
    down {for_ms}                  everything breaks and connections are refused
Venue:
    skew {ms}                      its clock goes wrong by that much
    limits {name: number}          what a client may ask; Binance: weight, orders_10s, orders_1m;
                                   Bybit: per_second (each endpoint), ip_5s
    expire_listen_key {silently?}  the private streams' keys end
    state {}                       a summary
Market and account: the commands of `outsider`.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from adapters.paper_exchange.asked import Asked, ControlError
from adapters.paper_exchange.book import Book
from adapters.paper_exchange.codec import plain
from adapters.paper_exchange.exchange import PaperExchange
from adapters.paper_exchange.faults import Aim, Fault, FaultPlan, Happening, Ordered, Stage
from adapters.paper_exchange.outsider import Outsider
from adapters.paper_exchange.past import Past, without_young_orders
from adapters.paper_exchange.refusals import Refused
from adapters.paper_exchange.treatment import Treatment
from adapters.paper_exchange.wilful import WilfulEngine
from adapters.paper_exchange.wire import Dialect, Rejection

Command = Callable[[Asked], dict[str, Any]]
_REORDER_MS: Final = 1_000


class Connections(Protocol):
    """What control does to the server's connections."""

    def cut_streams(self) -> int:
        """Break every WebSocket; returns how many."""

    def stall_streams(self, seconds: float) -> int:
        """Silence every WebSocket for a while; returns how many."""

    def shut(self, seconds: float) -> None:
        """Refuse connections for a while."""


class Control:
    """The plan of faults, and the hands on the venue."""

    def __init__(self, exchange: PaperExchange, dialect: Dialect, connections: Connections, seed: int) -> None:
        self._exchange = exchange
        self._connections = connections
        self._dialect = dialect
        self._past = Past(exchange.book)
        exchange.listeners.append(lambda _now, events: self._past.hear(exchange.true_time(), events))
        self.plan = FaultPlan(exchange.true_time, seed, self._note)
        self._outsider = Outsider(exchange, dialect.price)
        if isinstance(exchange.engine, WilfulEngine):
            exchange.engine.follow(self.plan)
        self._commands: dict[str, Command] = {
            **{fault.value: _ordering(self, fault) for fault in Fault},
            **self._outsider.commands(),
            "clear": self._clear,
            "cut_streams": lambda _asked: {"cut": connections.cut_streams()},
            "stall_streams": self._stall_streams,
            "down": self._down,
            "skew": self._skew,
            "limits": self._limits,
            "expire_listen_key": self._expire_listen_key,
            "state": self._state,
        }

    def perform(self, command: str, asked: object) -> dict[str, Any]:
        """Do what a control request asks; raises ControlError."""
        perform = self._commands.get(command)
        if perform is None:
            raise ControlError(f"control command {command!r}: unknown, choose from {', '.join(sorted(self._commands))}")
        if not isinstance(asked, dict):
            raise ControlError(f"control command {command}: the body must be a JSON object")
        if command != "state":
            self._exchange.note_control(command, asked)
        try:
            return {"ok": True, **perform(Asked(asked))}
        except ControlError as refused:
            self._exchange.note_control(command, asked, str(refused))
            raise
        except Refused as refused:
            self._exchange.note_control(command, asked, str(refused))
            raise ControlError(str(refused)) from refused

    def treatment(self, happening: Happening) -> Treatment:
        """What becomes of a REST request."""
        return Treatment.of(self.plan.strikes(happening))

    def refuses_stream(self, path: str) -> bool:
        """True if a WebSocket that is being opened is to be reset."""
        return self.plan.strike(Happening(stage=Stage.CONNECT, name=path)) is not None

    def seen_by(self, treatment: Treatment) -> Book | None:
        """The book from which a query is answered, None for the true one."""
        if treatment.stale_ms is None and treatment.hide_ms is None:
            return None
        book = self._exchange.book
        if treatment.stale_ms is not None:
            book = self._past.book(self._exchange.true_time() - treatment.stale_ms)
        if treatment.hide_ms is not None:
            book = without_young_orders(book, self._exchange.clock() - treatment.hide_ms)
        return book

    def order(self, fault: Fault, asked: Asked) -> dict[str, Any]:
        """Let a fault wait for its chance; raises ControlError."""
        waits = "for_ms" in asked
        where = asked.texts("where")
        if "symbol" in asked:
            where["symbol"] = asked.text("symbol")
        ordered = Ordered(
            fault=fault,
            aim=Aim(
                name=asked.text("path", "*"), method=str(asked.values.get("method", fault.method)).upper(), where=where
            ),
            left=asked.whole("next", 1, least=1) if "next" in asked or not waits else None,
            until=self._exchange.true_time() + asked.whole("for_ms", least=1) if waits else None,
            percent=asked.share("percent", 100),
            skip=asked.whole("skip", 0, least=0),
            acted=asked.flag("acted", False),
            before_ms=asked.whole("before_ms", 0, least=0),
            after_ms=asked.whole("after_ms", 0, least=0),
            ms=asked.whole("ms", _default_ms(fault), least=0),
            share=asked.share("share", 50),
            drop=_rows_to_drop(asked),
            status=asked.whole("status", 503, least=200),
            retry_after_s=asked.whole("retry_after_s", least=0) if "retry_after_s" in asked else None,
            text=str(asked.values.get("text") or asked.values.get("reason") or ""),
            rejection=_rejection(asked) if fault is Fault.REJECT else None,
        )
        numbered = self.plan.order(ordered)
        return {"fault": numbered.number, "ordered": numbered.left}

    def _note(self, ordered: Ordered, happening: Happening) -> None:
        self._exchange.note_strike(
            {
                "fault": ordered.number,
                "what": ordered.fault.value,
                "name": happening.name,
                "method": happening.method,
                "params": dict(happening.values),
            }
        )

    def _clear(self, asked: Asked) -> dict[str, Any]:
        return {"cleared": self.plan.clear(asked.whole("fault") if "fault" in asked else None)}

    def _stall_streams(self, asked: Asked) -> dict[str, Any]:
        return {"stalled": self._connections.stall_streams(asked.whole("for_ms", least=1) / 1000)}

    def _down(self, asked: Asked) -> dict[str, Any]:
        self._connections.shut(asked.whole("for_ms", least=1) / 1000)
        return {}

    def _skew(self, asked: Asked) -> dict[str, Any]:
        self._exchange.skew_ms = asked.whole("ms")
        return {"skew_ms": self._exchange.skew_ms}

    def _limits(self, asked: Asked) -> dict[str, Any]:
        self._exchange.request_limits |= {name: asked.whole(name, least=0) for name in asked.values}
        return {"limits": dict(self._exchange.request_limits)}

    def _expire_listen_key(self, asked: Asked) -> dict[str, Any]:
        silently = asked.flag("silently", False)
        now = self._exchange.clock()
        keys = [key.key for key in self._exchange.book.listen_keys.values()]
        for key in keys:
            # A key that is closed says nothing; one whose time has come is announced by the dialect.
            self._exchange.commit(now, self._exchange.engine.set_listen_key(key, 0 if silently else now))
        if not silently:
            self._dialect.second(now)
        return {"expired": len(keys)}

    def _state(self, _asked: Asked) -> dict[str, Any]:
        book = self._exchange.book
        waiting = self.plan.waiting()
        return {
            "wallet": plain(book.wallet),
            "positions": {position.symbol: plain(position.quantity) for position in book.open_positions()},
            "position_sides": [
                {
                    "symbol": position.symbol,
                    "side": position.position_side.value,
                    "quantity": plain(position.quantity),
                    "entry_price": plain(position.entry_price),
                }
                for position in book.open_positions()
            ],
            "open_conditionals": len(book.open_algos),
            "frozen": self._exchange.frozen,
            "skew_ms": self._exchange.skew_ms,
            "faults_left": sum(ordered.left or 0 for ordered in waiting),
            "faults": [
                {"fault": o.number, "what": o.fault.value, "path": o.aim.name, "left": o.left, "struck": o.struck}
                for o in waiting
            ],
        }


def _ordering(control: Control, fault: Fault) -> Command:
    return lambda asked: control.order(fault, asked)


def _default_ms(fault: Fault) -> int | None:
    """How late, where an order need not say; None where it must."""
    if fault is Fault.REORDER:
        return _REORDER_MS
    return None if fault in (Fault.LATE, Fault.STALE, Fault.HIDE, Fault.HOLD_FILL) else 0


def _rows_to_drop(asked: Asked) -> int | None:
    return None if asked.values.get("drop", "all") == "all" else asked.whole("drop", least=1)


def _rejection(asked: Asked) -> Rejection:
    return Rejection(
        code=asked.whole("code"),
        message=str(asked.values.get("msg") or ""),
        status=asked.whole("status", least=200) if "status" in asked else None,
        acted=asked.flag("acted", False),
        retry_after_s=asked.whole("retry_after_s", least=0) if "retry_after_s" in asked else None,
    )
