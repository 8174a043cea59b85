"""What an owner wants done, on its way to the venue and back: late, lost, refused or answered.

Rules of this file: an intent is durable before it leaves; a request that arrives after the receive window is refused;
an answer reaches only the life of the owner that asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from domain.identity import OrderKind
from domain.orders import (
    Accepted,
    CancelOutcome,
    CancelResult,
    Found,
    NoAnswer,
    NotFound,
    OrderIntent,
    OrderRef,
    OrderReport,
    Outcome,
    PositionReport,
    Rejected,
    RejectReason,
    Source,
    Unknown,
)
from domain.position.effects import AskCandles, AskFills, AskPosition, Cancel, Effect, Find, Place
from domain.position.inputs import (
    AnswerHeard,
    CancelHeard,
    CandlesHeard,
    FillsListed,
    Input,
    OutcomeHeard,
    PositionHeard,
    QuestionFailed,
    View,
)
from domain.position.state import Position
from domain.sanity import check_intent
from tests.properties.judge import Breach
from tests.properties.venue import Refused, VenueOrder

if TYPE_CHECKING:
    from tests.properties.world import World

RECEIVE_WINDOW = 2.0
SKEW = 1.0
SECOND_TRY_S = 3.0
THIN_BOOK = 0.3  # how often there is not enough within an entry's bound
REFUSALS = (RejectReason.OTHER, RejectReason.LIMIT, RejectReason.TRANSIENT)


@dataclass(slots=True)
class Life:
    """One incarnation of the owner. A dead one hears nothing."""

    number: int
    alive: bool = True


class Wire:
    """The way between the owner and the venue of one world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _delay(self) -> float:
        return self.world.chance.uniform(*self.world.weather.latency)

    def carry_out(self, effect: Effect) -> None:
        life, record = self.world.life, self.world.position
        if isinstance(effect, Place):
            if effect.intent.client_id in self.world.sent_ids:
                raise Breach(f"S7: {effect.intent.client_id} was sent twice")
            self.world.sent_ids.add(effect.intent.client_id)
            if effect.intent.kind is OrderKind.ENTRY:
                self._entering(effect.intent, life)
            objection = check_intent(
                effect.intent, record.instrument, None, record.liquidation_price, max_distance_pct=Decimal(25)
            )
            if objection is not None:
                raise Breach(f"S13: {objection.text}")
            shown = f"{effect.intent.quantity} at {effect.intent.trigger_price}"
            self.world.say(f"        PLACE {effect.intent.client_id[-8:]} {effect.intent.side} {shown}")
        else:
            self.world.say(f"        {effect}"[:160])
        # The intent is made durable first, then it leaves; a process that dies before sends nothing.
        self.world.after(self.world.chance.uniform(0.001, 0.03), lambda: self._leave(effect, life, record))

    def _entering(self, intent: OrderIntent, life: Life) -> None:
        """A second entry may be sent by who sent the first, soon, and after the venue's word that the first is over."""
        world = self.world
        if world.entry_sent is not None:
            first, by, at = world.entry_sent
            if first not in world.told_over:
                raise Breach(f"S12: {intent.client_id} is sent while {first} may still fill")
            if by != life.number or world.now > at + timedelta(seconds=SECOND_TRY_S):
                raise Breach(f"S7: {intent.client_id} is sent by life {life.number}, {first} at {at} by life {by}")
            world.second_tries += 1
        world.entry_sent = (intent.client_id, life.number, world.now)

    def _leave(self, effect: Effect, life: Life, record: Position) -> None:
        if not life.alive:
            return
        if isinstance(effect, Place | Cancel):
            self.world.durable = [p for p in self.world.durable if p.version >= record.version] or [record]
        sent_at, weather = self.world.now, self.world.weather
        if self.world.chosen(weather.unreachable):
            self._reply(effect, life, self._failed(effect, sent_at, certain=True), self._delay())
            return
        there, back = self._delay(), self._delay()
        lost = self.world.chosen(weather.lose_request)
        deaf = self.world.chosen(weather.lose_reply)
        late = there + back > weather.patience
        if lost or deaf or late:
            self._reply(effect, life, self._failed(effect, sent_at, certain=False), weather.patience)
        if not lost:
            self.world.after(there, lambda: self._arrive(effect, life, sent_at, None if deaf or late else back))

    def _reply(self, effect: Effect, life: Life, answer: Input, delay: float) -> None:
        del effect
        self.world.after(delay, lambda: self.world.hear(answer) if life is self.world.life else None)

    def _failed(self, effect: Effect, sent_at: datetime, *, certain: bool) -> Input:
        match effect:
            case Place(intent=intent) if certain:
                return OutcomeHeard(outcome=self._rejected(intent, RejectReason.TRANSIENT, sent_at))
            case Place(intent=intent):
                proof = sent_at + timedelta(seconds=RECEIVE_WINDOW + SKEW)
                unknown = Unknown(
                    client_id=intent.client_id, text="timed out", sent_at=sent_at, absence_proof_at=proof
                )
                return OutcomeHeard(outcome=unknown)
            case Cancel(ref=ref):
                result = CancelResult.REFUSED if certain else CancelResult.UNKNOWN
                return CancelHeard(outcome=self._cancelled(ref, result))
            case Find(ref=ref):
                return AnswerHeard(answer=NoAnswer(ref=ref, text="timed out"))
            case AskPosition():
                return QuestionFailed(what="position", text="timed out")
            case AskFills():
                return QuestionFailed(what="fills", text="timed out")
            case AskCandles():
                return QuestionFailed(what="candles", text="timed out")

    def _rejected(self, intent: OrderIntent, reason: RejectReason, sent_at: datetime) -> Rejected:
        return Rejected(client_id=intent.client_id, reason=reason, code="", text=reason.value, sent_at=sent_at)

    def _cancelled(self, ref: OrderRef, result: CancelResult) -> CancelOutcome:
        return CancelOutcome(ref=ref, result=result, code="", text="", answered_at=self.world.now)

    def _arrive(self, effect: Effect, life: Life, sent_at: datetime, back: float | None) -> None:
        """The request is at the venue; the answer takes `back` seconds or never comes."""
        answer: Input
        match effect:
            case Place(intent=intent):
                answer = OutcomeHeard(outcome=self._placed(intent, sent_at))
            case Cancel(ref=ref):
                answer = CancelHeard(outcome=self._cancel(ref, sent_at))
            case Find(ref=ref):
                answer = self._found(ref, sent_at)
            case AskPosition():
                report = self._reading(sent_at)
                answer = PositionHeard(report=report, asked_at=sent_at)
            case AskFills(since=since):
                answer = FillsListed(
                    fills=tuple(replace(f, client_id=None) for f in self.world.venue.trades if f.at >= since)
                )
            case AskCandles(since=since):
                marks = [mark for at, mark in self.world.venue.marks if at >= since] or [self.world.venue.mark]
                answer = CandlesHeard(low=min(marks), high=max(marks))
        if back is not None:
            self._reply(effect, life, answer, back)

    def _placed(self, intent: OrderIntent, sent_at: datetime) -> Outcome:
        weather = self.world.weather
        refusals = {
            OrderKind.STOP: weather.refuse_stop,
            OrderKind.EXIT: weather.refuse_exit,
            OrderKind.ENTRY: weather.refuse_entry,
            OrderKind.TAKE_PROFIT: weather.refuse_target,
        }
        try:
            if self.world.now > sent_at + timedelta(seconds=RECEIVE_WINDOW):
                raise Refused(RejectReason.CLOCK)
            if self.world.chosen(refusals[intent.kind]):
                raise Refused(self.world.chance.choice(REFUSALS))
            added = intent.kind.conditional and intent.replaces is None and not intent.attached
            if added and len(self.world.venue.resting()) >= weather.slots:
                raise Refused(RejectReason.LIMIT)
            order = self.world.venue.place(intent, sent_at)
        except Refused as refusal:
            self.world.say(f"VENUE refuses {intent.client_id[-8:]}: {refusal}")
            self.world.judge.refused(intent, refusal.reason)
            return self._rejected(intent, refusal.reason, sent_at)
        self.world.say(f"VENUE takes {intent.client_id[-8:]} as {order.exchange_id}")
        report = None
        if order.trigger is None:
            self.execute(order)
            report = self.world.venue.shown(order, Source.REPLY) if self.world.chosen(0.7) else None
        return Accepted(
            client_id=intent.client_id,
            exchange_id=order.exchange_id,
            report=report,
            sent_at=sent_at,
            answered_at=self.world.now,
        )

    def execute(self, order: VenueOrder) -> None:
        """Fill an order at once, or in pieces, or in part only."""
        thin = 0.0 if order.limit is None else THIN_BOOK
        if not self.world.chosen(max(self.world.weather.part_fill, thin)):
            self.world.venue.execute(order, order.quantity, last=True)
            return
        step = self.world.position.instrument.step
        steps = int(order.quantity / step)
        if order.limit is not None:
            self.world.venue.execute(order, step * self.world.chance.randint(0, steps), last=True)
            return
        first = step * self.world.chance.randint(0, steps)
        self.world.venue.execute(order, first, last=False) if first else None
        expires = self.world.chosen(0.5)
        rest = step * self.world.chance.randint(0, steps) if expires else order.quantity

        def finish() -> None:
            self.world.venue.execute(order, rest, last=True)

        self.world.after(self.world.chance.uniform(0.05, 3), finish)

    def _cancel(self, ref: OrderRef, sent_at: datetime) -> CancelOutcome:
        late = self.world.now > sent_at + timedelta(seconds=RECEIVE_WINDOW)
        if late or self.world.chosen(self.world.weather.cancel_fails):
            return self._cancelled(ref, CancelResult.REFUSED)
        standing = self.world.venue.attached() if ref.attached else None
        exchange_id = standing.exchange_id if standing is not None else ref.exchange_id
        done = self.world.venue.cancel(exchange_id, ref.client_id)
        self.world.say(f"VENUE {'cancels' if done else 'cannot cancel'} {str(ref.client_id)[-8:]}")
        return self._cancelled(ref, CancelResult.DONE if done else CancelResult.GONE)

    def _found(self, ref: OrderRef, sent_at: datetime) -> Input:
        order = self.world.venue.attached() if ref.attached else self.world.venue.find(ref.exchange_id, ref.client_id)
        young = order is not None and order.sent_at is not None and sent_at <= order.sent_at + timedelta(seconds=2)
        if order is None or (young and self.world.chosen(self.world.weather.deny_young)):
            return AnswerHeard(answer=NotFound(ref=ref, asked_at=sent_at))
        return AnswerHeard(answer=Found(ref=ref, report=self.world.venue.shown(order, Source.QUERY), asked_at=sent_at))

    def _reading(self, asked_at: datetime) -> PositionReport:
        """The position as a query shows it; a replica may lag by up to a second."""
        report = self.world.venue.report(Source.QUERY, at=asked_at)
        if self.world.chosen(self.world.weather.stale_reading):
            limit = self.world.now - timedelta(seconds=self.world.chance.uniform(0, 0.9))
            older = [quantity for at, what, quantity in self.world.past if at <= limit]
            return replace(report, quantity=older[-1] if older else Decimal(0))
        return report

    def view(self) -> None:
        """One cycle of the reconciler: positions and open orders, read at different moments."""
        life, asked_at = self.world.life, self.world.now
        if not life.alive or self.world.chosen(self.world.weather.unreachable):
            return
        read: list[PositionReport] = []
        orders: list[OrderReport] = []

        def position() -> None:
            read.append(self._reading(asked_at))

        def listing() -> None:
            orders.extend(self.world.venue.shown(o, Source.SNAPSHOT) for o in self.world.venue.resting())

        one, other = self._delay(), self._delay()
        self.world.after(one, position)
        self.world.after(other, listing)
        answered = max(one, other) + self._delay()

        def answer() -> None:
            if life is self.world.life:
                self.world.judge.blind = False
                self.world.hear(View(report=read[0], orders=tuple(orders), asked_at=asked_at))

        self.world.after(answered, answer)
