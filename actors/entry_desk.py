"""The entry desk: from a stored signal or an operator's wish to a position with an owner, or a refusal with figures.

It decides in its own thread, one wish after another, so that two wishes for one symbol can never both be granted. It
waits for nobody: the owner that it starts sends the entry itself. Rules of this file:
- A signal that cannot be decided on yet (database away, account not read, or so shortly after the start that no price
  is known or nothing is heard of the account) gets no answer: it stays unanswered in the database, where the desk
  looks for such every few seconds.
- Signals are decided on a few at a time, so that nobody who asks waits behind a flood of them.
- A close is answered for when its owner has it, as it may safely be asked for twice.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from loguru import logger

from actors import messages
from actors.agreement_messages import Adopt
from actors.clock import Cancellable
from actors.close_signals import CloseSignals
from actors.closings import Closings
from actors.directory import Unanswered, Unavailable
from actors.entry_gate import EntryGate
from actors.entry_judgement import AccountDesk, Judgement, Wiring
from actors.grants import Grants
from actors.guard import ActorContext
from actors.hand_entries import NOT_YET, HandEntries
from actors.intake import Intake, as_stored
from actors.messages import (
    DatabaseIs,
    EntriesRefused,
    EntriesState,
    LockIs,
    MarkCandles,
    OpenByHand,
    PauseEntries,
    PositionEnded,
    QuoteHeard,
    Reconciled,
    ReconcileNow,
    ResumeEntries,
    Show,
    SignalsStored,
    Tick,
)
from actors.openings import Openings
from actors.quotes import Quotes
from actors.recording import plain_event
from actors.reporting import ReportingActor
from actors.signal_answers import SignalAnswers
from actors.switch_messages import CloseStranger
from actors.volatility import Volatility
from actors.wave_desk import Market, WaveDesk
from actors.zombie_messages import PositionOver
from domain.catalogue import EventType
from domain.entries.signal import Action, Signal, UnsupportedAction
from domain.entries.situation import Refusal
from domain.identity import POSITION_EPOCH, PositionId
from domain.position import ledger
from domain.position.state import CloseReason, Phase, Position
from persistence.database import DatabaseAway

__all__ = ["NOT_YET", "AccountDesk", "EntryDesk", "Wiring"]

LOOK_EVERY_S = 5.0
LOOK_AGAIN_S = 1.0
CLOSINGS_EVERY_S = 0.1
WARDEN_ANSWERS_S = 1.0
AT_A_TIME = 10
ADOPTED_WITHIN = timedelta(seconds=5)


class EntryDesk(ReportingActor):
    """Decides on entries."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder)
        self._wiring = wiring
        self._intake = Intake(told=wiring.told)
        self._gate = EntryGate(wiring.accounts)
        self._volatility = Volatility(self)
        self._quotes = Quotes(self)
        self._judgement = Judgement(wiring, self._intake, self._volatility.atr, self._quotes.quote)
        self._closings = Closings(self, wiring.owners)
        self._openings = Openings(self, wiring)
        self._grants = Grants(self, self._gate, self._judgement, self._openings, self._volatility)
        self._hand = HandEntries(self, wiring, self._gate, self._judgement, self._grants, self._openings)
        self._answers = SignalAnswers(self, self._intake, wiring.told)
        self._waves = WaveDesk(
            self, wiring, self._gate, self._judgement, self._grants, self._openings, self._answers, self._intake
        )
        self._closes = CloseSignals(
            self, wiring, self._gate, self._judgement, self._closings, self._answers, self._intake, self._waves.closed
        )
        self._busy = False
        self._look_at = 0.0
        self._timer: Cancellable | None = None

    def started(self) -> None:
        """Remember what an earlier life knew, and have each account read: before that there are no entries."""
        now = self.clock.monotonic()
        self._look_at = now + LOOK_EVERY_S
        self._openings.mend()
        self._load()
        self._ask_for_locks()
        for account in self._wiring.accounts:
            name = messages.reconciler(account)
            if self.directory.newest_incarnation(name) is not None:  # at the first start it is yet to come, and looks
                self.tell(name, ReconcileNow(reason="entry desk started"))
        self._go_on()

    def receive(self, message: Any) -> object:
        """A wish, or news that opens and closes the desk."""
        self._openings.rules_known = self._wiring.owners.rule_changes.number
        match message:
            case SignalsStored(signals=signals):
                busy = len(self._intake) > 0
                for doubled in self._intake.add(s for s in signals if not self._waves.holds(s.id)):
                    _say_doubled(doubled.id, self._intake.answer(doubled.id))
                if not busy:  # else a turn is due anyway, behind whoever asks meanwhile
                    self._turn()
            case OpenByHand():
                return self._by_hand(message)
            case Adopt():
                self._adopt(message)
            case Reconciled(account=account):
                self._read(account)
            case Tick():
                self._turn()
            case MarkCandles() | QuoteHeard():
                self._market_said(message)
            case PositionEnded(position=position):
                self._ended(position)
            case DatabaseIs(up=up):
                self._database(up)
            case LockIs(account=account, held=held, reason=reason):
                self._gate.lock(account, held, reason)
            case PauseEntries():
                self._pause(message)
            case ResumeEntries():
                self._resume(message)
            case EntriesState():
                return {name: self._closed_because(name) for name in self._wiring.accounts}
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    # Turns.

    def _market_said(self, answer: MarkCandles | QuoteHeard) -> None:
        """What some signal waits for may be known now."""
        if isinstance(answer, QuoteHeard):
            self._quotes.hear(answer)
        else:
            self._volatility.hear(answer)
        self._waves.soon(Market(answer.account, answer.symbol))
        self._turn()

    def _turn(self) -> None:
        """One slice of what is to be done, then make room for whoever waits in the mailbox."""
        if not self._gate.locks_known:
            self._ask_for_locks()
        self._closes.push()
        self._busy = all(self._one_signal() for _ in range(AT_A_TIME))
        if not self._intake and self.clock.monotonic() >= self._look_at:
            self._look()
        self._go_on()

    def _one_signal(self) -> bool:
        """Have one join and answer one; False: there was nothing to do."""
        signal = self._intake.take()
        if signal is not None:
            self._signal(signal)
        if not self._gate.database_known:
            return signal is not None
        try:
            return self._waves.turn() or signal is not None
        except DatabaseAway as away:
            self._unreadable(away)
            return False

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = self._look_at - self.clock.monotonic()
        if self._closings:
            wait = min(wait, CLOSINGS_EVERY_S)
        due = self._waves.due_in(CLOSINGS_EVERY_S) if self._gate.database_known else None
        if due is not None:
            wait = min(wait, due)
        if self._intake or self._busy:
            wait = 0.0
        self._timer = self.remind_after(max(wait, 0.0), Tick())

    def _look(self) -> None:
        """Take up signals that were stored and never answered for (a crash, the database away, no room in hand)."""
        self._look_at = self.clock.monotonic() + LOOK_EVERY_S
        self._openings.mend()
        if not self._gate.journal_up or not self._load():
            return  # what is in the spool is not in the database yet; its return is told
        self._end_the_ended()
        try:
            rows = self._wiring.reader.unprocessed_signals(POSITION_EPOCH)
        except DatabaseAway as away:
            self._unreadable(away)
            return
        self._gate.readable = True
        self._waves.soon()
        self._intake.add(as_stored(row) for row in rows if not self._waves.holds(row["id"]))

    def _closed_because(self, account: str) -> str | None:
        """All that is against entries: one ground may fall away before the other."""
        grounds = (self._gate.closed_because(account), self._wiring.accounts[account].standing.closed_because)
        return "; ".join(ground for ground in grounds if ground is not None) or None

    # What it knows.

    def _load(self) -> bool:
        """Read, once, what outlives the desk; False if the database is away."""
        try:
            if not self._gate.whole:
                self._gate.load(self._wiring.reader, self._wiring.accounts, self._wiring.owners, self.clock.now())
        except DatabaseAway as away:
            self._unreadable(away)
        return self._gate.loaded

    def _unreadable(self, away: DatabaseAway) -> None:
        """No entries until the database can be read again, which is tried once a second; what waits is in it."""
        if self._gate.readable:
            logger.warning("DESK_UNREAD error={!r}", str(away))
        self._gate.readable = False
        self._intake.put_back()
        self._look_at = self.clock.monotonic() + LOOK_AGAIN_S

    def _database(self, up: bool) -> None:
        self._gate.journal_up = up
        if up:
            self._look()
        else:
            self._intake.put_back()
        self._go_on()

    def _ask_for_locks(self) -> None:
        """A new desk asks which locks are lost: it was told so once, perhaps in an earlier life."""
        try:
            shown = self.directory.ask(messages.WARDEN, Show(), WARDEN_ANSWERS_S)
        except (Unavailable, Unanswered) as failure:
            logger.warning("DESK_LOCKS_UNKNOWN error={!r}", str(failure))
            self._look_at = min(self._look_at, self.clock.monotonic() + LOOK_AGAIN_S)
            return
        self._gate.locks(shown["locks_lost"])

    def _read(self, account: str) -> None:
        """The account was read whole: signals that waited for it are taken up at once."""
        facts = self._gate.forget_flat(account, self._wiring.owners, self.clock.now())
        if facts is not None:
            self.write(facts=facts)
        self._load()
        if self._gate.account_read(account):
            self._look_at = self.clock.monotonic()
            self._waves.soon()
            self._go_on()

    def _pause(self, order: PauseEntries) -> None:
        facts = self._gate.pause(order.account, order.reason)
        data = {"reason": order.reason, "uid": order.uid}
        self.write(plain_event(EventType.ENTRIES_PAUSED, self.clock.now(), data, account=order.account), facts=facts)

    def _resume(self, order: ResumeEntries) -> None:
        facts = self._gate.resume(order.account)
        data = {"uid": order.uid}
        self.write(plain_event(EventType.ENTRIES_RESUMED, self.clock.now(), data, account=order.account), facts=facts)

    # Signals.

    def _signal(self, signal: Signal) -> None:
        """Have it answered, now or when its wave is ripe, or leave it unanswered for a later look."""
        try:
            row = self._wiring.reader.signal(signal.id)
            if row is None:
                return  # still in the spool
            if row["is_processed"]:
                self._doubled(signal.id, row["position_id"])
                return
            if (opened := self._opened_before(signal.id)) is not None:
                self._doubled(signal.id, opened)
                return
            stored = as_stored(row)
            if isinstance(stored.action, UnsupportedAction):
                self._unsupported(stored, stored.action)
            elif stored.action is Action.CLOSE:
                self._closes.take(stored)
            else:
                self._waves.join(stored)
        except DatabaseAway as away:
            logger.warning("SIGNAL_DEFERRED id={} error={!r}", signal.id, str(away))
            self._unreadable(away)

    def _unsupported(self, signal: Signal, action: UnsupportedAction) -> None:
        """Refuse what nobody here can do (SYSTEM A3); without the account's lock it is left unanswered, as all else."""
        account = self._judgement.account_of(signal)
        named = account if isinstance(account, str) else None
        if named is not None and self._gate.undecidable(named) is not None:
            return
        figures = {"action": action.value, "supported": ",".join(Action)}
        self._answers.refuse(signal, Refusal(code="unsupported_action", figures=figures), named, None)

    def _opened_before(self, signal_id: str) -> PositionId | None:
        """A position whose opening, by a desk that died, may not have reached the book yet."""
        if self.incarnation == 1:
            return None
        return next((p.id for p in self._wiring.owners.all() if p.signal_id == signal_id), None)

    def _doubled(self, signal_id: str, position_id: PositionId | None) -> None:
        self._intake.answered(signal_id, position_id)
        _say_doubled(signal_id, position_id)

    # Positions.

    def _by_hand(self, order: OpenByHand) -> Position | EntriesRefused:
        try:
            return self._hand.open(order)
        except DatabaseAway as away:
            self._unreadable(away)
            return EntriesRefused(code="entries_closed", figures={"reason": str(away)})

    def _adopt(self, adopt: Adopt) -> None:
        place = self._wiring.owners.place(adopt.account, adopt.instrument.symbol, adopt.side)
        if self._wiring.owners.owner(place) is not None or self._wiring.dry_run:
            return
        ordered = isinstance(adopt, CloseStranger)
        if self._gate.is_released(place.account, place.symbol) and not ordered:
            return  # an operator has taken it over
        shown = self._wiring.owners.foreign(place)
        changed = shown is not None and shown * adopt.side.sign != adopt.quantity
        if changed or self.clock.now() - adopt.seen_at > ADOPTED_WITHIN:
            logger.info("ADOPTION_PASSED_OVER symbol={} seen={} now={}", place.symbol, adopt.quantity, shown)
            return  # not what is there now, or nobody knows: the next readings find it again
        position_id = self._openings.adopt(adopt).id
        # Nobody's no more: else an entry after its end would be refused for it, until the next reading says it is gone.
        self._wiring.owners.show_foreign(place, Decimal(0))
        if adopt.close:
            self._closings.want(position_id, CloseReason.OPERATOR if ordered else CloseReason.OUTSIDE)
            self._turn()

    def _end_the_ended(self) -> None:
        """A life is over and its owner gone, but the desk that was told of it fell with the news in hand."""
        for position in self._wiring.owners.all():
            if position.phase.final and self.directory.ref(messages.position(position.id)) is None:
                self._ended(position)

    def _ended(self, position: Position) -> None:
        if self._wiring.owners.state(position.id) is None:
            return  # heard before
        account, symbol = position.account, position.symbol
        now = self.clock.now()
        place = self._wiring.owners.place_of(position)
        self._wiring.owners.release(place, position.id)
        self._waves.ended(position)
        self._gate.ordered(account, position.instrument.base, position.closed_at or now)
        if position.phase is Phase.RELEASED:
            self._wiring.owners.show_foreign(place, ledger.exposure(position) * position.side.sign)
            self.write(facts=self._gate.release(account, symbol, self._wiring.owners, now))
        elif position.reported is not None and position.reported.quantity:
            # A human turned it over: ours is closed, what is there now is a stranger's.
            left = position.reported.quantity * position.side.sign
            self._wiring.owners.show_foreign(place, left)
            self.tell(messages.reconciler(account), ReconcileNow(reason="a stranger's position"))
        if position.phase in (Phase.CLOSED, Phase.ROLLED_BACK, Phase.LIQUIDATED):
            reason, at = position.phase.value, position.last_fill_at
            over = PositionOver(symbol=symbol, side=place.side, reason=reason, last_fill_at=at)
            self.tell(messages.reconciler(account), over)
        self._go_on()  # a spare may move up


def _say_doubled(signal_id: str, position_id: PositionId | None) -> None:
    text = "GUARD idempotency_blocked signal_key={} existing_order_id={}"
    logger.bind(event="guard").info(text, signal_id, position_id)
