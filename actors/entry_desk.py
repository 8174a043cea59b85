"""The entry desk: from a stored signal or an operator's wish to a position with an owner, or a refusal with figures.

It decides in its own thread, one wish after another, so that two wishes for one symbol can never both be granted. It
waits for nobody: the owner that it starts sends the entry itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from loguru import logger

from actors import messages
from actors.guard import ActorContext
from actors.marks import Marks
from actors.messages import (
    Adopt,
    DatabaseIs,
    EntriesRefused,
    EntriesState,
    LockIs,
    OpenByHand,
    PauseEntries,
    PositionEnded,
    Reconciled,
    ResumeEntries,
    SignalsStored,
    Tick,
    Write,
)
from actors.owners import Owners, Place
from actors.position import Wiring as PositionWiring
from actors.position import position_spec
from actors.recording import Recorder, log, plain_event, position_event
from actors.reporting import ReportingActor
from actors.supervision import StartChild
from adapters.exchange.symbols import SymbolNames, UnknownSymbol
from domain.catalogue import EventType, Happening
from domain.entries.checks import Refusal, Rules, Situation, Wish, judge
from domain.entries.opening import adopted_position, new_position
from domain.entries.signal import Action, Signal
from domain.entries.sizing import size_usd
from domain.identity import Epoch, PositionId, mint_position_id
from domain.instrument import Instrument, PositionSide
from domain.position import ledger
from domain.position.inputs import CloseWanted
from domain.position.plan import Plan, Protection, TrailingRules
from domain.position.state import CloseReason, Position
from domain.records import SignalOutcome
from persistence.database import DatabaseAway
from persistence.reader import Reader

REMEMBERED = timedelta(hours=24)
EXCHANGE_NAMES = {"binance": "binanceusdm", "binance_futures": "binanceusdm", "binance-futures": "binanceusdm"}
TAKE_UP_S = 5.0
PAUSES_FACT = "entries_paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDesk:
    """What the desk knows of one account."""

    exchange: str
    instance: str
    instruments: dict[str, Instrument]
    positions: PositionWiring


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the desk is given. Sizes in quote currency, percents of the wanted size."""

    accounts: Mapping[str, AccountDesk]
    owners: Owners
    marks: Marks
    reader: Reader
    recorder: Recorder
    rules: Rules
    protection: Protection
    trailing: TrailingRules
    position_size_usd: Decimal
    overshoot_pct: Decimal
    dry_run: bool


class EntryDesk(ReportingActor):
    """Decides on entries."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._numbers = itertools.count()
        self._paused: dict[str, str] = {}
        self._locks_lost: dict[str, str] = {}
        self._database_up = True
        self._last_order: dict[tuple[str, str], Any] = {}
        self._unread: set[str] = set(wiring.accounts)

    def started(self) -> None:
        """Remember what an earlier life knew; the signals that nobody answered for come once prices are known."""
        self._load()
        self.remind_after(TAKE_UP_S, Tick())

    def receive(self, message: Any) -> object:
        """A wish, or news that opens and closes the desk."""
        match message:
            case SignalsStored(signals=signals):
                for signal in signals:
                    self._signal(signal)
            case OpenByHand():
                return self._by_hand(message)
            case Adopt():
                self._adopt(message)
            case Reconciled(account=account):
                self._unread.discard(account)
            case Tick():
                self._take_up()
            case PositionEnded(position=position):
                self._ended(position)
            case DatabaseIs(up=up):
                self._database(up)
            case LockIs(account=account, held=held, reason=reason):
                self._lock(account, held, reason)
            case PauseEntries():
                self._pause(message)
            case ResumeEntries():
                self._resume(message)
            case EntriesState():
                return {name: self._closed_because(name) for name in self._wiring.accounts}
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    # What it knows.

    def _load(self) -> None:
        reader = self._wiring.reader
        try:
            self._paused = dict(reader.fact(PAUSES_FACT) or {})
            for name, account in self._wiring.accounts.items():
                bases = sorted({i.base for i in account.instruments.values()})
                for base, at in reader.last_order_at(name, bases).items():
                    self._last_order[name, base] = at
        except DatabaseAway as away:
            self._database_up = False
            logger.warning("DESK_UNREAD error={!r}", str(away))

    def _take_up(self) -> None:
        """Decide on signals that were stored and never answered for (a crash, or the database was away)."""
        try:
            waiting = self._wiring.reader.unprocessed_signals(self.clock.now() - REMEMBERED)
        except DatabaseAway as away:
            self._database_up = False
            logger.warning("DESK_UNREAD error={!r}", str(away))
            return
        for row in waiting:
            self._signal(
                Signal(
                    id=row["id"],
                    symbol=row["pair_symbol"],
                    exchange=row["exchange_name"],
                    account=row["account"],
                    action=Action(row["recommended_action"]),
                    score_week=row["score_week"],
                    score_month=row["score_month"],
                    wave=row["wave"],
                    created_at=row["created_at"],
                )
            )

    def _database(self, up: bool) -> None:
        restored = up and not self._database_up
        self._database_up = up
        if restored:
            self._load()
            self._take_up()

    def _lock(self, account: str, held: bool, reason: str) -> None:
        if held:
            self._locks_lost.pop(account, None)
        else:
            self._locks_lost[account] = reason

    def _closed_because(self, account: str) -> str | None:
        if not self._database_up:
            return "the database cannot be reached"
        if account in self._unread:
            return "the account has not been read yet"
        if account in self._locks_lost:
            return self._locks_lost[account]
        return self._paused.get(account, self._paused.get("*"))

    def _pause(self, order: PauseEntries) -> None:
        self._paused[order.account or "*"] = order.reason
        self._write_pauses(EventType.ENTRIES_PAUSED, {"reason": order.reason, "uid": order.uid}, order.account)

    def _resume(self, order: ResumeEntries) -> None:
        if order.account is None:
            self._paused.clear()
        else:
            self._paused.pop(order.account, None)
        self._write_pauses(EventType.ENTRIES_RESUMED, {"uid": order.uid}, order.account)

    def _write_pauses(self, event: EventType, data: dict[str, object], account: str | None) -> None:
        now = self.clock.now()
        told = plain_event(event, now, data, account=account)
        log([told])
        record = self.recorder.record(now, events=[told], facts={PAUSES_FACT: dict(self._paused)})
        self.tell(messages.JOURNAL, Write(record=record))

    # Signals.

    def _signal(self, signal: Signal) -> None:
        try:
            row = self._wiring.reader.signal(signal.id)
        except DatabaseAway as away:
            self._database_up = False
            logger.warning("SIGNAL_DEFERRED id={} error={!r}", signal.id, str(away))
            return
        if row is not None and row["is_processed"]:
            logger.info(
                "GUARD idempotency_blocked signal_key={} existing_order_id={}", signal.id, row["position_id"]
            )
            return
        account = self._account_of(signal)
        if isinstance(account, Refusal):
            self._refuse(signal, account, None)
            return
        desk = self._wiring.accounts[account]
        try:
            symbol = SymbolNames(desk.instruments).canonical(signal.symbol)
        except UnknownSymbol as unknown:
            self._refuse(signal, Refusal(code="unknown_symbol", figures={"error": str(unknown)}), account)
            return
        if signal.action is Action.CLOSE:
            self._close(signal, account, symbol)
            return
        side = PositionSide.LONG if signal.action is Action.BUY else PositionSide.SHORT
        wish = Wish(
            account=account,
            symbol=symbol,
            instrument=desk.instruments[symbol],
            side=side,
            key=signal.key(symbol),
            created_at=signal.created_at,
        )
        granted = self._consider(wish, self._wiring.position_size_usd, None)
        if isinstance(granted, Refusal):
            self._refuse(signal, granted, account, symbol)
        elif self._wiring.dry_run:
            figures = {"quantity": str(granted)}
            self._answer(signal, "dry_run", figures, None, EventType.SIGNAL_ACCEPTED, account, symbol)
        else:
            plan = self._plan(wish, granted)
            self._open(wish, plan, signal=signal)

    def _account_of(self, signal: Signal) -> str | Refusal:
        """The one account that a signal means (INTERFACE 'Signals')."""
        accounts = self._wiring.accounts
        if signal.account is not None:
            if signal.account in accounts:
                return signal.account
            return Refusal(code="unknown_account", figures={"account": signal.account, "known": ",".join(accounts)})
        wanted = EXCHANGE_NAMES.get(signal.exchange.lower(), signal.exchange.lower())
        fitting = [name for name, desk in accounts.items() if desk.exchange == wanted]
        if len(fitting) == 1:
            return fitting[0]
        code = "ambiguous_account" if fitting else "unknown_exchange"
        return Refusal(code=code, figures={"exchange": signal.exchange, "accounts": ",".join(fitting or accounts)})

    def _refuse(self, signal: Signal, refusal: Refusal, account: str | None, symbol: str | None = None) -> None:
        self._answer(signal, refusal.code, refusal.figures, None, EventType.SIGNAL_REFUSED, account, symbol)

    def _answer(
        self,
        signal: Signal,
        outcome: str,
        figures: Mapping[str, object],
        position_id: PositionId | None,
        event: EventType,
        account: str | None,
        symbol: str | None,
    ) -> None:
        now = self.clock.now()
        data = {"signal": signal.id, "action": signal.action.value, "outcome": outcome, **figures}
        told = plain_event(
            event, now, data, account=account, symbol=symbol or signal.symbol, correlation_id=signal.id
        )
        log([told])
        answered = SignalOutcome(
            signal_id=signal.id, outcome=outcome, at=now, figures=figures, position_id=position_id
        )
        self.tell(messages.JOURNAL, Write(record=self.recorder.record(now, events=[told], outcomes=(answered,))))

    def _close(self, signal: Signal, account: str, symbol: str) -> None:
        owner = self._wiring.owners.owner(Place(account, symbol))
        if owner is None:
            self._refuse(signal, Refusal(code="no_position", figures={"symbol": symbol}), account, symbol)
            return
        self._answer(signal, "closing", {}, owner, EventType.SIGNAL_ACCEPTED, account, symbol)
        self.tell(messages.position(owner), CloseWanted(reason=CloseReason.SIGNAL))

    # Decisions.

    def _consider(self, wish: Wish, usd: Decimal | None, quantity: Decimal | None) -> Decimal | Refusal:
        """The quantity to open, or why not."""
        try:
            situation = self._situation(wish)
        except DatabaseAway as away:
            return Refusal(code="entries_closed", figures={"reason": str(away)})
        for name, found in judge(wish, self._wiring.rules, situation):
            if found is not None:
                figures = " ".join(f"{key}={value}" for key, value in found.figures.items())
                logger.info("GUARD {}_blocked symbol={} {}", name, wish.symbol, figures)
                return found
            level = "INFO" if name in ("idempotency", "cooldown") else "DEBUG"
            extra = f" signal_key={wish.key}" if name == "idempotency" else ""
            logger.log(level, "GUARD {}_passed symbol={}{}", name, wish.symbol, extra)
        return self._sized(wish, situation, usd, quantity)

    def _sized(
        self, wish: Wish, situation: Situation, usd: Decimal | None, quantity: Decimal | None
    ) -> Decimal | Refusal:
        price = situation.mark_price
        if price is None:
            return Refusal(code="no_mark_price", figures={"symbol": wish.symbol})
        if quantity is not None:
            return _checked_quantity(wish.instrument, quantity, price)
        return size_usd(usd or self._wiring.position_size_usd, price, wish.instrument, self._wiring.overshoot_pct)

    def _situation(self, wish: Wish) -> Situation:
        """Raises DatabaseAway."""
        now = self.clock.now()
        owned = self._wiring.owners.all(wish.account)
        mark = self._wiring.marks.get(wish.account, wish.symbol)
        seen = None
        if wish.key is not None and self._database_up:
            seen = self._wiring.reader.signal_key_seen(wish.account, wish.key, now - REMEMBERED)
            seen = seen or next((p.id for p in owned if p.signal_key == wish.key), None)
        return Situation(
            now=now,
            closed_because=self._closed_because(wish.account),
            held={p.symbol: p.side for p in owned},
            open_positions=len(owned),
            exposure_usd=sum((ledger.exposure(p) * (p.mark_price or 0) for p in owned), Decimal(0)),
            last_order_at=self._last_order.get((wish.account, wish.instrument.base)),
            key_seen_by=None if seen is None else str(seen),
            mark_price=None if mark is None else mark.price,
            mark_heard_at=None if mark is None else mark.heard_at,
            foreign_quantity=self._wiring.owners.foreign(wish.account, wish.symbol),
        )

    def _plan(
        self,
        wish: Wish,
        quantity: Decimal,
        protection: Protection | None = None,
        trailing: TrailingRules | None = None,
        stop_price: Decimal | None = None,
    ) -> Plan:
        mark = self._wiring.marks.get(wish.account, wish.symbol)
        return Plan(
            quantity=quantity,
            protection=protection or self._wiring.protection,
            trailing=trailing or self._wiring.trailing,
            stop_price=stop_price,
            reference_price=None if mark is None else mark.price,
        )

    def _open(self, wish: Wish, plan: Plan, signal: Signal | None = None, uid: int | None = None) -> Position:
        desk = self._wiring.accounts[wish.account]
        now = self.clock.now()
        position_id = mint_position_id(now, next(self._numbers))
        position = new_position(
            position_id=position_id,
            account=wish.account,
            exchange=desk.exchange,
            instance=desk.instance,
            instrument=wish.instrument,
            side=wish.side,
            plan=plan,
            epoch=Epoch(desk.positions.term, 1),
            now=now,
            correlation_id=signal.id if signal is not None else f"operator-{position_id}",
            signal_id=signal.id if signal is not None else None,
            signal_key=wish.key if signal is not None else None,
        )
        happening = Happening(
            EventType.POSITION_CREATED,
            {
                "side": wish.side.value,
                "quantity": str(plan.quantity),
                "stop_pct": str(plan.protection.stop_pct),
                "stop_price": None if plan.stop_price is None else str(plan.stop_price),
                "by": "signal" if signal is not None else f"operator uid={uid}",
            },
        )
        self._start(position, happening, signal)
        self._last_order[wish.account, wish.instrument.base] = now
        return position

    def _start(self, position: Position, happening: Happening, signal: Signal | None = None) -> None:
        """Claim the place, write it down, start the owner: in this order."""
        place = Place(position.account, position.symbol)
        if not self._wiring.owners.claim(place, position):
            raise RuntimeError(f"{position.symbol} on {position.account} has an owner already")
        now = self.clock.now()
        events = [position_event(happening, position, now)]
        outcomes: tuple[SignalOutcome, ...] = ()
        if signal is not None:
            figures = {"quantity": str(position.plan.quantity)}
            accepted = Happening(EventType.SIGNAL_ACCEPTED, {"signal": signal.id, "action": signal.action.value})
            events.insert(0, position_event(accepted, position, now))
            outcomes = (
                SignalOutcome(
                    signal_id=signal.id, outcome="opened", at=now, figures=figures, position_id=position.id
                ),
            )
        log(events)
        record = self.recorder.record(now, events=events, position=position, outcomes=outcomes)
        self.tell(messages.JOURNAL, Write(record=record))
        spec = position_spec(self._wiring.accounts[position.account].positions, position.id)
        self.tell(messages.positions(position.account), StartChild(spec=spec))

    def _by_hand(self, order: OpenByHand) -> Position | EntriesRefused:
        desk = self._wiring.accounts.get(order.account)
        if desk is None:
            known = ",".join(self._wiring.accounts)
            return EntriesRefused(code="unknown_account", figures={"account": order.account, "known": known})
        try:
            symbol = SymbolNames(desk.instruments).canonical(order.symbol)
        except UnknownSymbol as unknown:
            return EntriesRefused(code="unknown_symbol", figures={"error": str(unknown)})
        wish = Wish(
            account=order.account,
            symbol=symbol,
            instrument=desk.instruments[symbol],
            side=order.side,
            key=None,
            created_at=None,
        )
        granted = self._consider(wish, order.usd, order.quantity)
        if isinstance(granted, Refusal):
            return EntriesRefused(code=granted.code, figures=granted.figures)
        protection = self._wiring.protection
        if order.stop_pct is not None:
            protection = replace(protection, stop_pct=order.stop_pct)
        plan = self._plan(wish, granted, protection, order.trailing, order.stop_price)
        wrong = _wrong_stop(wish, plan)
        if wrong is not None:
            return EntriesRefused(code=wrong.code, figures=wrong.figures)
        if self._wiring.dry_run:
            return EntriesRefused(code="dry_run", figures={"quantity": str(granted)})
        return self._open(wish, plan, uid=order.uid)

    def _adopt(self, adopt: Adopt) -> None:
        place = Place(adopt.account, adopt.instrument.symbol)
        if self._wiring.owners.owner(place) is not None or self._wiring.dry_run:
            return
        desk = self._wiring.accounts[adopt.account]
        now = self.clock.now()
        position_id = mint_position_id(now, next(self._numbers))
        position = adopted_position(
            position_id=position_id,
            account=adopt.account,
            exchange=desk.exchange,
            instance=desk.instance,
            instrument=adopt.instrument,
            side=adopt.side,
            quantity=adopt.quantity,
            entry_price=adopt.entry_price,
            mark_price=adopt.mark_price,
            plan=Plan(
                quantity=adopt.quantity, protection=self._wiring.protection, trailing=self._wiring.trailing
            ),
            epoch=Epoch(desk.positions.term, 1),
            now=now,
            correlation_id=f"adopted-{position_id}",
        )
        happening = Happening(
            EventType.POSITION_ADOPTED,
            {
                "side": adopt.side.value,
                "quantity": str(adopt.quantity),
                "entry_price": None if adopt.entry_price is None else str(adopt.entry_price),
            },
        )
        self._start(position, happening)
        if adopt.close:
            self.tell(messages.position(position_id), CloseWanted(reason=CloseReason.OUTSIDE))

    def _ended(self, position: Position) -> None:
        self._wiring.owners.release(Place(position.account, position.symbol), position.id)
        self._last_order[position.account, position.instrument.base] = position.closed_at or self.clock.now()


def _checked_quantity(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal | Refusal:
    """An operator's own quantity: on the step, within the venue's limits."""
    if not instrument.on_step(quantity):
        return Refusal(code="quantity_off_step", figures={"quantity": str(quantity), "step": str(instrument.step)})
    if not instrument.min_quantity <= quantity <= instrument.max_market_quantity:
        figures = {
            "quantity": str(quantity),
            "min": str(instrument.min_quantity),
            "max": str(instrument.max_market_quantity),
        }
        return Refusal(code="quantity_out_of_range", figures=figures)
    notional = quantity * price
    if notional < instrument.min_notional:
        figures = {"notional": str(notional), "min_notional": str(instrument.min_notional)}
        return Refusal(code="below_min_notional", figures=figures)
    return quantity


def _wrong_stop(wish: Wish, plan: Plan) -> Refusal | None:
    """A given stop price has to lie on the losing side of the mark."""
    if plan.stop_price is None or plan.reference_price is None:
        return None
    if wish.side.better(plan.reference_price, plan.stop_price):
        return None
    figures = {"stop_price": str(plan.stop_price), "mark_price": str(plan.reference_price), "side": wish.side.value}
    return Refusal(code="stop_on_wrong_side", figures=figures)
