"""The admin actor: answers the control socket. Each method is one function; `METHODS` is the table.

A call runs on a thread of the socket's server, so it may wait for an actor or the database; it changes nothing by
itself: it asks the actor who may.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast

from actors import messages
from actors.directory import Unanswered, Unavailable
from actors.entry_desk import NOT_YET
from actors.guard import ActorContext
from actors.marks import Marks
from actors.messages import (
    EntriesRefused,
    EntriesState,
    FeedState,
    Health,
    OpenByHand,
    OperatorInput,
    PauseEntries,
    ReconcileNow,
    ReconcileReport,
    ResumeEntries,
    Show,
)
from actors.owners import Owners
from actors.position import RefusedByPosition
from actors.recording import Recorder
from actors.reporting import ReportingActor
from actors.root import census
from actors.supervision import Crash
from actors.views import database_health, outbox_health, position_view, what_stays
from adapters.admin.parameters import Parameters, refused, required
from adapters.admin.protocol import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    NOT_NOW,
    REFUSED,
    UNKNOWN_ID,
    AdminError,
    Caller,
)
from adapters.admin.server import AdminServer
from adapters.exchange.symbols import SymbolNames, UnknownSymbol
from domain.catalogue import EventType
from domain.identity import PositionId
from domain.instrument import Instrument, PositionSide
from domain.position.inputs import CloseWanted, Release, StopWanted, TrailingWanted
from domain.position.plan import TakeProfit, TrailingRules
from domain.position.state import CloseReason, Position
from persistence.database import DatabaseAway
from persistence.positions import load
from persistence.reader import Reader

ANSWER_S = 3.0
RECONCILE_S = 20.0
LOOK_EVERY_S = 0.05
MAX_EVENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the admin is given. `request_stop` ends the service in order."""

    socket: Path
    max_clients: int
    mode: str
    version: str
    dry_run: bool
    chaos: bool
    started_at: datetime
    accounts: Mapping[str, str]
    instruments: Mapping[str, Mapping[str, Instrument]]
    owners: Owners
    marks: Marks
    reader: Reader
    recorder: Recorder
    trailing: TrailingRules
    terms: Mapping[str, int]
    request_stop: Callable[[str], None]


class Admin(ReportingActor):
    """Serves the socket; a crash closes it, a restart opens it again."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._server = AdminServer(wiring.socket, self._dispatch, max_clients=wiring.max_clients)

    def started(self) -> None:
        """Open the socket. Raises SocketRefused."""
        self._server.start()

    def stopping(self) -> None:
        """Answer what was asked, then close."""
        self._server.stop()

    def perished(self) -> None:
        """A dead admin answers nobody."""
        self._server.stop(drain_s=0)

    def _dispatch(self, method: str, params: dict[str, object], caller: Caller) -> object:
        answer = METHODS.get(method)
        if answer is None:
            raise AdminError(METHOD_NOT_FOUND, f"method {method}: not known", {"known": sorted(METHODS)})
        try:
            return answer(self, Parameters(params), caller)
        except Unavailable as failure:
            raise AdminError(NOT_NOW, str(failure)) from failure
        except Unanswered as failure:
            raise AdminError(NOT_NOW, f"{failure}; it may still be carried out") from failure
        except DatabaseAway as away:
            raise AdminError(NOT_NOW, f"the database cannot be reached: {away}") from away

    # Asking.

    def _status(self, params: Parameters, _: Caller) -> object:
        params.done()
        wiring = self._wiring
        now = self.clock.now()
        owned = wiring.owners.all()
        closed = {name: reason for name, reason in self._closed().items() if reason is not None}
        return {
            "mode": wiring.mode,
            "dry_run": wiring.dry_run,
            "version": wiring.version,
            "uptime_s": int((now - wiring.started_at).total_seconds()),
            "accounts": [self._account(name, exchange) for name, exchange in wiring.accounts.items()],
            "components": self._components(),
            "positions": len(owned),
            "unprotected_now": sum(1 for p in owned if p.unprotected_since is not None),
            "unprotected_seconds_today": self._unprotected_today(now),
            "entries": {"open": not closed, "why": closed or None},
        }

    def _account(self, name: str, exchange: str) -> dict[str, object]:
        owned = self._wiring.owners.all(name)
        return {"name": name, "exchange": exchange, "term": self._wiring.terms[name], "positions": len(owned)}

    def _components(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        feeds = [messages.SIGNAL_FEED]
        for name in self._wiring.accounts:
            feeds += [messages.market_feed(name), messages.account_feed(name)]
        for name in feeds:
            if self.directory.newest_incarnation(name) is None:
                continue
            try:
                health: Health = self.directory.ask(name, FeedState(), ANSWER_S)
            except (Unavailable, Unanswered) as failure:
                health = Health(state="down", reason=str(failure), since=None, last_at=None)
            found.append(
                {"name": name, "state": health.state, "reason": health.reason or None, "last_at": health.last_at}
            )
        found.append(self._component("database", messages.JOURNAL, database_health))
        found.append(self._component("notifier", messages.NOTIFIER, outbox_health))
        return found

    def _component(self, name: str, actor: str, judge: Callable[[Any], tuple[str, str | None]]) -> dict[str, object]:
        """A component as its actor tells of it; one that does not answer is down, the rest is shown all the same."""
        try:
            state, reason = judge(self.directory.ask(actor, Show(), ANSWER_S))
        except (Unavailable, Unanswered) as failure:
            state, reason = "down", str(failure)
        return {"name": name, "state": state, "reason": reason}

    def _closed(self) -> Mapping[str, str | None]:
        """Why entries are closed, by account. A desk that does not answer takes none."""
        try:
            closed: Mapping[str, str | None] = self.directory.ask(messages.ENTRY_DESK, EntriesState(), ANSWER_S)
        except (Unavailable, Unanswered) as failure:
            return dict.fromkeys(self._wiring.accounts, str(failure))
        return closed

    def _unprotected_today(self, now: datetime) -> Decimal | None:
        """None while the database, which alone knows the whole day, is away."""
        try:
            return self._wiring.reader.unprotected_seconds(now.astimezone(UTC).date())
        except DatabaseAway:
            return None

    def _positions(self, params: Parameters, _: Caller) -> object:
        account, symbol, everything = params.text("account"), params.text("symbol"), params.flag("all")
        params.done()
        if account is not None:
            self._known_account(account)
        wanted = self._canonical(symbol) if symbol is not None else None
        now = self.clock.now()
        shown = [self._position(p, now) for p in self._wiring.owners.all(account) if wanted in (None, p.symbol)]
        if everything:
            live = {each["id"] for each in shown}
            rows = self._wiring.reader.positions(account=account, symbol=wanted, only_open=False, limit=500)
            over = [load(self._wiring.reader.pool, row["id"]) for row in rows if row["id"] not in live]
            shown = [self._position(p, now) for p in over if p is not None] + shown
        return {"positions": shown, "as_of": now}

    def _position(self, p: Position, now: datetime) -> dict[str, object]:
        """A position as INTERFACE names its parts; the mark price is the newest one known."""
        mark = self._wiring.marks.get(p.account, p.symbol)
        if mark is not None and not p.phase.final:
            p = p.changed(mark_price=mark.price, mark_at=mark.at)
        return position_view(p, now)

    def _show(self, params: Parameters, _: Caller) -> object:
        position_id = required("id", params.whole("id"))
        params.done()
        state = self._wiring.owners.state(PositionId(position_id)) or load(
            self._wiring.reader.pool, PositionId(position_id)
        )
        if state is None:
            raise AdminError(UNKNOWN_ID, f"position {position_id}: there is no such position", {"id": position_id})
        shown = self._position(state, self.clock.now())
        try:
            rows = self._wiring.reader.orders(PositionId(position_id))
        except DatabaseAway as away:
            return {**shown, "orders": None, "orders_missing": f"the database cannot be reached: {away}"}
        names = ("client_id", "exchange_id", "kind", "status", "side", "quantity", "trigger_price", "average_price")
        orders = [{**{name: row[name] for name in names}, "filled": row["cumulative_quantity"]} for row in rows]
        return {**shown, "orders": orders}

    def _events(self, params: Parameters, _: Caller) -> object:
        since, limit = params.whole("since"), params.whole("limit", least=1, most=MAX_EVENTS)
        symbol, kind = params.text("symbol"), params.text("type")
        severity = params.choice("severity", "debug", "info", "warning", "error", "critical")
        position, correlation = params.whole("position"), params.text("correlation")
        params.done()
        if kind is not None and kind not in {event.value for event in EventType}:
            raise refused("type", kind, "is no event type")
        if position is not None and limit is None:
            limit = MAX_EVENTS
        rows = self._wiring.reader.events(
            since=since,
            limit=limit or 100,
            symbol=self._canonical(symbol) if symbol is not None else None,
            type_=kind,
            severity=severity,
            position=position,
            correlation=correlation,
        )
        next_since = rows[-1]["seq"] if rows else since if since is not None else self._wiring.reader.last_event_seq()
        return {"events": rows, "next_since": next_since}

    def _signal(self, params: Parameters, _: Caller) -> object:
        signal_id = required("id", params.text("id"))
        params.done()
        row = self._wiring.reader.signal(signal_id)
        if row is None:
            raise AdminError(UNKNOWN_ID, f"signal {signal_id}: there is no such signal", {"id": signal_id})
        return row

    def _signals(self, params: Parameters, _: Caller) -> object:
        limit, symbol = params.whole("limit", least=1, most=1000), params.text("symbol")
        outcome = params.text("outcome")
        params.done()
        return {"signals": self._wiring.reader.signals(limit=limit or 50, symbol=symbol, outcome=outcome)}

    def _actors(self, params: Parameters, _: Caller) -> object:
        params.done()
        found = census(messages.ROOT, self.directory, ANSWER_S)
        return {
            "actors": [
                {
                    "name": each.name,
                    "state": each.state.value,
                    "epoch": each.incarnation,
                    "restarts": each.restarts,
                    "last_error": each.last_error,
                    "mailbox": each.mailbox,
                    "heartbeat_age_s": round(each.heartbeat_age_s, 2),
                    "parent": each.parent,
                }
                for each in found
            ],
            "dead_letters": self.directory.dead_letter_counts(),
            "abandoned": [each.name for each in self.directory.abandoned()],
        }

    # Telling.

    def _kill(self, params: Parameters, caller: Caller) -> object:
        name = required("name", params.text("name"))
        how = params.choice("how", "exception", "exit", "hang") or "exception"
        params.done()
        if not self._wiring.chaos:
            raise AdminError(REFUSED, "actors.kill: chaos.enabled is false in the settings")
        if self.directory.ref(name) is None:
            raise AdminError(UNKNOWN_ID, f"actor {name}: there is no such actor", {"name": name})
        self.report(EventType.OPERATOR_COMMAND, {"method": "actors.kill", "name": name, "how": how, "uid": caller.uid})
        self.directory.tell(name, Crash(how=cast("Literal['exception', 'exit', 'hang']", how)))
        return {"name": name, "how": how}

    def _open(self, params: Parameters, caller: Caller) -> object:
        account = params.text("account") or self._only_account()
        symbol = required("symbol", params.text("symbol"))
        side = required("side", params.choice("side", "long", "short"))
        usd, quantity = params.positive("usd"), params.positive("quantity")
        stop_pct, stop_price = params.positive("stop_pct"), params.positive("stop_price")
        trails = params.flag("trailing")
        targets = params.rows("take_profits", "pct", "fraction")
        params.done()
        if usd is not None and quantity is not None:
            raise refused("usd", usd, "give usd or quantity, not both")
        if stop_pct is not None and stop_price is not None:
            raise refused("stop_pct", stop_pct, "give stop_pct or stop_price, not both")
        if stop_pct is not None and stop_pct >= 100:
            raise refused("stop_pct", stop_pct, "must be less than 100 per cent")
        order = OpenByHand(
            account=self._known_account(account),
            symbol=symbol,
            side=PositionSide(side),
            usd=usd,
            quantity=quantity,
            stop_pct=stop_pct,
            stop_price=stop_price,
            trailing=None if trails is None else replace(self._wiring.trailing, enabled=trails),
            uid=caller.uid,
            take_profits=None if targets is None else _targets(targets),
        )
        answer = self._opened(order)
        if isinstance(answer, EntriesRefused) and answer.code == NOT_YET:
            raise AdminError(NOT_NOW, f"position.open: {answer.figures['reason']}", answer.figures)
        if isinstance(answer, EntriesRefused):
            figures = ", ".join(f"{key} {value}" for key, value in answer.figures.items())
            data = {"code": answer.code, **answer.figures}
            raise AdminError(REFUSED, f"position.open refused: {answer.code} ({figures})", data)
        return self._position(answer, self.clock.now())

    def _opened(self, order: OpenByHand) -> Position | EntriesRefused:
        """The desk's answer; right after a start it may take a moment to know enough for one."""
        deadline = self.clock.monotonic() + ANSWER_S
        while True:
            answer: Position | EntriesRefused = self.directory.ask(messages.ENTRY_DESK, order, ANSWER_S)
            refused_yet = isinstance(answer, EntriesRefused) and answer.code == NOT_YET
            if not refused_yet or self.clock.monotonic() > deadline:
                return answer
            threading.Event().wait(LOOK_EVERY_S)

    def _operate(self, position_id: int, wanted: object, method: str, caller: Caller) -> object:
        """Have the owner hear an operator's wish."""
        state = self._wiring.owners.state(PositionId(position_id))
        if state is None:
            past = load(self._wiring.reader.pool, PositionId(position_id))
            if past is None:
                raise AdminError(UNKNOWN_ID, f"position {position_id}: there is no such position", {"id": position_id})
            data = {"id": position_id, "state": past.phase.name}
            raise AdminError(REFUSED, f"position {position_id} is {past.phase.name}: its life is over", data)
        order = OperatorInput(input=wanted, method=method, uid=caller.uid)
        try:
            answer: Position = self.directory.ask(messages.position(PositionId(position_id)), order, ANSWER_S)
        except RefusedByPosition as refusal:
            raise AdminError(REFUSED, str(refusal)) from refusal
        return self._position(answer, self.clock.now())

    def _close(self, params: Parameters, caller: Caller) -> object:
        position_id, fraction = required("id", params.whole("id")), params.positive("fraction")
        params.done()
        if fraction is not None and fraction > 1:
            raise refused("fraction", fraction, "must be at most 1")
        wanted = CloseWanted(reason=CloseReason.OPERATOR, fraction=fraction or Decimal(1))
        return self._operate(position_id, wanted, "position.close", caller)

    def _set_stop(self, params: Parameters, caller: Caller) -> object:
        position_id, price = required("id", params.whole("id")), required("price", params.positive("price"))
        params.done()
        return self._operate(position_id, StopWanted(price=price), "position.set_stop", caller)

    def _set_trailing(self, params: Parameters, caller: Caller) -> object:
        position_id = required("id", params.whole("id"))
        state = self._wiring.owners.state(PositionId(position_id))
        rules = state.plan.trailing if state is not None else self._wiring.trailing
        enabled = params.flag("enabled")
        activation, callback = params.positive("activation_pct"), params.positive("callback_pct")
        params.done()
        for name, value in (("activation_pct", activation), ("callback_pct", callback)):
            if value is not None and value >= 100:
                raise refused(name, value, "must be less than 100 per cent")
        rules = replace(
            rules,
            enabled=rules.enabled if enabled is None else enabled,
            activation_pct=activation or rules.activation_pct,
            callback_pct=callback or rules.callback_pct,
            atr_multiple=None if callback else rules.atr_multiple,  # per cents take the place of ATRs
        )
        return self._operate(position_id, TrailingWanted(rules=rules), "position.set_trailing", caller)

    def _release(self, params: Parameters, caller: Caller) -> object:
        position_id = required("id", params.whole("id"))
        params.done()
        return self._operate(position_id, Release(), "position.release", caller)

    def _close_all(self, params: Parameters, caller: Caller) -> object:
        account, everything = params.text("account"), params.flag("all")
        params.done()
        if account is not None:
            self._known_account(account)
        if everything:
            raise AdminError(REFUSED, "close_all: all=true is not taken yet: only owned positions can be closed")
        told: list[int] = []
        for p in self._wiring.owners.all(account):
            wanted = CloseWanted(reason=CloseReason.OPERATOR)
            self.directory.tell(
                messages.position(p.id), OperatorInput(input=wanted, method="close_all", uid=caller.uid)
            )
            told.append(p.id)
        return {"closing": told}

    def _pause(self, params: Parameters, caller: Caller) -> object:
        account, reason = params.text("account"), params.text("reason")
        params.done()
        if account is not None:
            self._known_account(account)
        why = reason or f"paused by uid {caller.uid}"
        self.directory.tell(messages.ENTRY_DESK, PauseEntries(account=account, reason=why, uid=caller.uid))
        return self._entries()

    def _resume(self, params: Parameters, caller: Caller) -> object:
        account = params.text("account")
        params.text("reason")
        params.done()
        if account is not None:
            self._known_account(account)
        self.directory.ask(messages.ENTRY_DESK, ResumeEntries(account=account, uid=caller.uid), ANSWER_S)
        return self._entries()

    def _entries(self) -> object:
        entries = self._closed()
        return {name: {"open": reason is None, "why": reason} for name, reason in entries.items()}

    def _reconcile(self, params: Parameters, _: Caller) -> object:
        account = params.text("account")
        params.done()
        names = [self._known_account(account)] if account is not None else list(self._wiring.accounts)
        return {"accounts": [self._reconcile_one(name) for name in names]}

    def _reconcile_one(self, account: str) -> dict[str, object]:
        asked_at = self.clock.now()
        name = messages.reconciler(account)
        before: ReconcileReport = self.directory.ask(name, Show(), ANSWER_S)
        self.directory.tell(name, ReconcileNow(reason="operator"))
        deadline = asked_at + timedelta(seconds=RECONCILE_S)
        while self.clock.now() < deadline:
            report: ReconcileReport = self.directory.ask(name, Show(), ANSWER_S)
            fresh = report.asked_at is not None and report.asked_at >= asked_at
            if fresh or (report.error is not None and report.cycle > before.cycle):
                return {
                    "account": account,
                    "cycle": report.cycle,
                    "positions": report.positions,
                    "findings": list(report.findings),
                    "error": report.error,
                }
            threading.Event().wait(LOOK_EVERY_S)
        raise AdminError(NOT_NOW, f"reconcile: no reading of {account} within {RECONCILE_S:.0f} s")

    def _shutdown(self, params: Parameters, caller: Caller) -> object:
        params.flag("all")
        params.done()
        self.report(EventType.OPERATOR_COMMAND, {"method": "shutdown", "uid": caller.uid})
        stays = what_stays(self._wiring.owners)
        self._wiring.request_stop(f"shutdown by uid {caller.uid}")
        return {"stays": stays}

    # Names.

    def _known_account(self, account: str) -> str:
        if account not in self._wiring.accounts:
            raise refused("account", account, f"must be one of {', '.join(self._wiring.accounts)}")
        return account

    def _only_account(self) -> str:
        if len(self._wiring.accounts) == 1:
            return next(iter(self._wiring.accounts))
        raise AdminError(INVALID_PARAMS, f"account is required: one of {', '.join(self._wiring.accounts)}")

    def _canonical(self, symbol: str) -> str:
        """The symbol by any spelling, of whichever account knows it."""
        known = {name for instruments in self._wiring.instruments.values() for name in instruments}
        try:
            return SymbolNames(known).canonical(symbol)
        except UnknownSymbol as unknown:
            raise AdminError(INVALID_PARAMS, str(unknown), {"parameter": "symbol", "value": symbol}) from unknown


def _targets(rows: list[dict[str, Decimal]]) -> tuple[TakeProfit, ...]:
    """Take-profits as an operator wrote them. A single one is for the whole position unless it says otherwise."""
    found: list[TakeProfit] = []
    for number, row in enumerate(rows):
        pct = required(f"take_profits[{number}].pct", row.get("pct"))
        fraction = row.get("fraction", Decimal(1) if len(rows) == 1 else None)
        found.append(TakeProfit(pct=pct, fraction=required(f"take_profits[{number}].fraction", fraction)))
    return tuple(found)


Method = Callable[[Admin, Parameters, Caller], object]
METHODS: dict[str, Method] = {
    "status": Admin._status,
    "positions": Admin._positions,
    "position.show": Admin._show,
    "position.open": Admin._open,
    "position.close": Admin._close,
    "position.set_stop": Admin._set_stop,
    "position.set_trailing": Admin._set_trailing,
    "position.release": Admin._release,
    "close_all": Admin._close_all,
    "entries.pause": Admin._pause,
    "entries.resume": Admin._resume,
    "signal.show": Admin._signal,
    "signals": Admin._signals,
    "reconcile": Admin._reconcile,
    "actors": Admin._actors,
    "actors.kill": Admin._kill,
    "events": Admin._events,
    "shutdown": Admin._shutdown,
}
