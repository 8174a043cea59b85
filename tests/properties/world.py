"""A world for one position: the machine, a venue of our own, and a network between them that fails on request.

Rules of this file: time is virtual, chance comes from one seeded generator, and everything that happens is in
`history`, so that a seed tells the whole story again. The owner does what the position actor does: hear, record,
carry out.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from domain.identity import ClientOrderId, Epoch, OrderKind, mint_position_id
from domain.instrument import Instrument, PositionSide
from domain.market.bands import BandIndex
from domain.orders import (
    Accepted,
    CancelOutcome,
    CancelResult,
    Fill,
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
from domain.position import ledger, machine, trailing
from domain.position.effects import AskCandles, AskFills, AskPosition, Cancel, Effect, Find, Place, Transition
from domain.position.inputs import (
    AnswerHeard,
    Begin,
    CancelHeard,
    CandlesHeard,
    FillHeard,
    FillsListed,
    Input,
    OrderHeard,
    OutcomeHeard,
    PositionHeard,
    PriceRange,
    QuestionFailed,
    Recovered,
    View,
    Wake,
)
from domain.position.plan import Plan
from domain.position.state import Phase, Position
from domain.sanity import check_intent
from tests.properties.judge import Breach, Judge
from tests.properties.venue import News, Refused, Venue, VenueOrder

START = datetime(2026, 11, 21, tzinfo=UTC)
RECEIVE_WINDOW = 2.0
SKEW = 1.0
EFFECTS_A_MINUTE = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How the network and the venue behave: seconds, and chances between 0 and 1."""

    latency: tuple[float, float] = (0.01, 0.06)
    stream_latency: tuple[float, float] = (0.005, 0.08)
    patience: float = 3.0
    lose_request: float = 0.0
    lose_reply: float = 0.0
    unreachable: float = 0.0
    drop_news: float = 0.0
    repeat_news: float = 0.0
    refuse_stop: float = 0.0
    refuse_exit: float = 0.0
    refuse_entry: float = 0.0
    cancel_fails: float = 0.0
    deny_young: float = 0.0
    stale_reading: float = 0.0
    part_fill: float = 0.0
    stuck_trigger: float = 0.0
    refuse_trigger: float = 0.0
    feed_stops: float = 0.0


CALM = Weather()


@dataclass(slots=True)
class Life:
    """One incarnation of the owner. A dead one hears nothing."""

    number: int
    alive: bool = True


class World:
    """Everything there is, in virtual time."""

    def __init__(self, seed: int, side: PositionSide, plan: Plan, instrument: Instrument, mark: Decimal) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.weather = CALM
        self.history: list[str] = []
        self.judge = Judge(side)
        self.venue = Venue(
            symbol=instrument.symbol,
            mark=mark,
            watcher=self.judge.watcher(),
            told=self._news,
            now=self.now,
            tick=instrument.tick,
        )
        self.judge.venue = self.venue
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0
        self._bands: BandIndex[int] = BandIndex()
        self._life = Life(1)
        self._wake: int = 0
        self._effects_at: list[datetime] = []
        self._past: list[tuple[datetime, str, Decimal]] = []
        self.position = Position(
            id=mint_position_id(self.now, 1),
            account="main",
            exchange="model",
            instance="ab12",
            instrument=instrument,
            side=side,
            plan=plan,
            epoch=Epoch(1, 1),
            correlation_id="c",
            opened_at=self.now,
        )
        self.sent_ids: set[str] = set()
        self.durable: list[Position] = [self.position]
        self.say(f"a {side} of {plan.quantity} at {mark}, {plan}")
        self.advance(0.001)
        self.hear(Begin())

    @property
    def alive(self) -> bool:
        """Whether the owner runs."""
        return self._life.alive

    # Time.

    def say(self, what: str) -> None:
        """Write the history."""
        self.history.append(f"{(self.now - START).total_seconds():9.3f}  {what}")

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        moment = self.now + timedelta(milliseconds=max(round(seconds * 1000), 1))
        heapq.heappush(self._heap, (moment, self._count, what))

    def advance(self, seconds: float) -> None:
        """Let time pass and happen what is due."""
        until = self.now + timedelta(milliseconds=max(round(seconds * 1000), 1))
        while self._heap and self._heap[0][0] <= until:
            moment, _, what = heapq.heappop(self._heap)
            self.now = self.venue.now = max(moment, self.now)
            what()
        self.now = self.venue.now = until

    def chosen(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return probability > 0 and self.chance.random() < probability

    def _delay(self) -> float:
        return self.chance.uniform(*self.weather.latency)

    # The owner.

    def hear(self, heard: Input) -> None:
        """Let the owner hear something, as the position actor would."""
        p = self.position
        if p.phase.final or not self._life.alive:
            return
        marks = self.venue.marks
        if marks and not self.chosen(self.weather.feed_stops) and (p.mark_at is None or marks[-1][0] > p.mark_at):
            p = replace(p, mark_price=marks[-1][1], mark_at=marks[-1][0])
        transition = machine.handle(p, heard, self.now)
        self.position = transition.position
        self._tell(heard, p, transition.position)
        for happening in transition.happenings:
            self.say(f"        {happening.type.value} {happening.data}")
        self._check(transition, p)
        if transition.record:
            self.durable.append(transition.position)
        for effect in transition.effects:
            self._carry_out(effect)
        if self.position.phase.final:
            self._bands.drop(self._life.number)
            self.judge.ended(proven_gone=self.position.phase is not Phase.RELEASED)
            return
        self._watch()
        if transition.wake_at is not None:
            self._wake += 1
            wake, life = self._wake, self._life
            self.after((transition.wake_at - self.now).total_seconds(), lambda: self._woken(wake, life))

    def _woken(self, wake: int, life: Life) -> None:
        if wake == self._wake and life is self._life:
            self.hear(Wake())

    def _check(self, transition: Transition, before: Position) -> None:
        sends = [e for e in transition.effects if isinstance(e, Place | Cancel)]
        if not transition.record and (sends or transition.happenings or transition.orders or transition.trades):
            raise Breach("S10: something was done or said that no record holds")
        if transition.wake_at is not None and transition.wake_at <= self.now:
            raise Breach(f"L6: wants to be woken at {transition.wake_at}, now is {self.now}")
        if transition.record is (transition.position.version == before.version):
            raise Breach("version: moves with a record and only then")
        self._effects_at = [at for at in self._effects_at if at > self.now - timedelta(minutes=1)]
        self._effects_at += [self.now] * len(transition.effects)
        if len(self._effects_at) > EFFECTS_A_MINUTE:
            raise Breach(f"L6: {len(self._effects_at)} requests within a minute")

    def _tell(self, heard: Input, before: Position, after: Position) -> None:
        text = str(heard)
        for noise in ("datetime.datetime", "Decimal", ", tzinfo=datetime.timezone.utc", "symbol='BTCUSDT', "):
            text = text.replace(noise, "")
        change = "" if before.phase is after.phase else f"  {before.phase.value} -> {after.phase.value}"
        self.say(f"  hears {text[:420]}{change}")

    def _watch(self) -> None:
        band = trailing.band(self.position)
        missed = self._bands.register(self._life.number, self.position.symbol, band.low, band.high)
        if missed is not None:
            self._price_later(missed)

    def _price_later(self, prices: PriceRange) -> None:
        life = self._life
        self.after(self.chance.uniform(0.001, 0.02), lambda: self.hear(prices) if life is self._life else None)

    def crash(self, down: float) -> None:
        """Kill the process: what was not durable is forgotten, what had not left is not sent."""
        if not self._life.alive:
            return
        self._bands.drop(self._life.number)
        self._life.alive = False
        self.position = self.chance.choice(self.durable)
        self.say(f"CRASH, down for {down:.2f} s; version {self.position.version} is what the database has")
        self.after(down, self._restart)

    def _restart(self) -> None:
        self._life = Life(self._life.number + 1)
        self.durable = [self.position]
        self.hear(Recovered(epoch=Epoch(self._life.number, 1)))

    # The wire.

    def _carry_out(self, effect: Effect) -> None:
        life, record = self._life, self.position
        if isinstance(effect, Place):
            if effect.intent.client_id in self.sent_ids:
                raise Breach(f"S7: {effect.intent.client_id} was sent twice")
            self.sent_ids.add(effect.intent.client_id)
            rule = check_intent(
                effect.intent, record.instrument, None, record.liquidation_price, max_distance_pct=Decimal(25)
            )
            if rule is not None:
                raise Breach(f"S13: {rule}")
            shown = f"{effect.intent.quantity} at {effect.intent.trigger_price}"
            self.say(f"        PLACE {effect.intent.client_id[-8:]} {effect.intent.side} {shown}")
        else:
            self.say(f"        {effect}"[:160])
        # The intent is made durable first, then it leaves; a process that dies before sends nothing.
        self.after(self.chance.uniform(0.001, 0.03), lambda: self._leave(effect, life, record))

    def _leave(self, effect: Effect, life: Life, record: Position) -> None:
        if not life.alive:
            return
        if isinstance(effect, Place | Cancel):
            self.durable = [p for p in self.durable if p.version >= record.version] or [record]
        sent_at, weather = self.now, self.weather
        if self.chosen(weather.unreachable):
            self._reply(effect, life, self._failed(effect, sent_at, certain=True), self._delay())
            return
        there, back = self._delay(), self._delay()
        lost = self.chosen(weather.lose_request)
        deaf = self.chosen(weather.lose_reply)
        late = there + back > weather.patience
        if lost or deaf or late:
            self._reply(effect, life, self._failed(effect, sent_at, certain=False), weather.patience)
        if not lost:
            self.after(there, lambda: self._arrive(effect, life, sent_at, None if deaf or late else back))

    def _reply(self, effect: Effect, life: Life, answer: Input, delay: float) -> None:
        del effect
        self.after(delay, lambda: self.hear(answer) if life is self._life else None)

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
        return CancelOutcome(ref=ref, result=result, code="", text="", answered_at=self.now)

    def _arrive(self, effect: Effect, life: Life, sent_at: datetime, back: float | None) -> None:
        """The request is at the venue; the answer takes `back` seconds or never comes."""
        answer: Input
        match effect:
            case Place(intent=intent):
                answer = OutcomeHeard(outcome=self._placed(intent, sent_at))
            case Cancel(ref=ref):
                answer = CancelHeard(outcome=self._cancel(ref))
            case Find(ref=ref):
                answer = self._found(ref, sent_at)
            case AskPosition():
                report = self._reading(sent_at)
                answer = PositionHeard(report=report, asked_at=sent_at)
            case AskFills(since=since):
                answer = FillsListed(
                    fills=tuple(replace(f, client_id=None) for f in self.venue.trades if f.at >= since)
                )
            case AskCandles(since=since):
                marks = [mark for at, mark in self.venue.marks if at >= since] or [self.venue.mark]
                answer = CandlesHeard(low=min(marks), high=max(marks))
        if back is not None:
            self._reply(effect, life, answer, back)

    def _placed(self, intent: OrderIntent, sent_at: datetime) -> Outcome:
        weather = self.weather
        refusals = {
            OrderKind.STOP: weather.refuse_stop,
            OrderKind.EXIT: weather.refuse_exit,
            OrderKind.ENTRY: weather.refuse_entry,
        }
        try:
            if self.now > sent_at + timedelta(seconds=RECEIVE_WINDOW):
                raise Refused(RejectReason.CLOCK)
            if self.chosen(refusals[intent.kind]):
                raise Refused(self.chance.choice([RejectReason.OTHER, RejectReason.LIMIT, RejectReason.TRANSIENT]))
            order = self.venue.place(intent, sent_at)
        except Refused as refusal:
            self.say(f"VENUE refuses {intent.client_id[-8:]}: {refusal}")
            self.judge.refused(intent, refusal.reason)
            return self._rejected(intent, refusal.reason, sent_at)
        self.say(f"VENUE takes {intent.client_id[-8:]} as {order.exchange_id}")
        report = None
        if order.trigger is None:
            self._execute(order)
            report = self.venue.shown(order, Source.REPLY) if self.chosen(0.7) else None
        return Accepted(
            client_id=intent.client_id,
            exchange_id=order.exchange_id,
            report=report,
            sent_at=sent_at,
            answered_at=self.now,
        )

    def _execute(self, order: VenueOrder) -> None:
        """Fill an order at once, or in pieces, or in part only."""
        if not self.chosen(self.weather.part_fill):
            self.venue.execute(order, order.quantity, last=True)
            return
        step = self.position.instrument.step
        steps = int(order.quantity / step)
        first = step * self.chance.randint(0, steps)
        self.venue.execute(order, first, last=False) if first else None
        expires = self.chosen(0.5)
        rest = step * self.chance.randint(0, steps) if expires else order.quantity

        def finish() -> None:
            self.venue.execute(order, rest, last=True)

        self.after(self.chance.uniform(0.05, 3), finish)

    def _cancel(self, ref: OrderRef) -> CancelOutcome:
        if self.chosen(self.weather.cancel_fails):
            return self._cancelled(ref, CancelResult.REFUSED)
        done = self.venue.cancel(ref.exchange_id, ref.client_id)
        self.say(f"VENUE {'cancels' if done else 'cannot cancel'} {str(ref.client_id)[-8:]}")
        return self._cancelled(ref, CancelResult.DONE if done else CancelResult.GONE)

    def _found(self, ref: OrderRef, sent_at: datetime) -> Input:
        order = self.venue.find(ref.exchange_id, ref.client_id)
        young = order is not None and order.sent_at is not None and sent_at <= order.sent_at + timedelta(seconds=2)
        if order is None or (young and self.chosen(self.weather.deny_young)):
            return AnswerHeard(answer=NotFound(ref=ref, asked_at=sent_at))
        return AnswerHeard(answer=Found(ref=ref, report=self.venue.shown(order, Source.QUERY)))

    def _reading(self, asked_at: datetime) -> PositionReport:
        """The position as a query shows it; a replica may lag by up to a second."""
        report = self.venue.report(Source.QUERY, at=asked_at)
        if self.chosen(self.weather.stale_reading):
            limit = self.now - timedelta(seconds=self.chance.uniform(0, 0.9))
            older = [quantity for at, what, quantity in self._past if at <= limit]
            return replace(report, quantity=older[-1] if older else Decimal(0))
        return report

    def view(self) -> None:
        """One cycle of the reconciler: positions and open orders, read at different moments."""
        life, asked_at = self._life, self.now
        if not life.alive or self.chosen(self.weather.unreachable):
            return
        read: list[PositionReport] = []
        orders: list[OrderReport] = []

        def position() -> None:
            read.append(self._reading(asked_at))

        def listing() -> None:
            orders.extend(self.venue.shown(o, Source.SNAPSHOT) for o in self.venue.resting())

        one, other = self._delay(), self._delay()
        self.after(one, position)
        self.after(other, listing)
        answered = max(one, other) + self._delay()

        def answer() -> None:
            if life is self._life:
                self.judge.blind = False
                self.hear(View(report=read[0], orders=tuple(orders), asked_at=asked_at))

        self.after(answered, answer)

    # The stream.

    def _news(self, news: News) -> None:
        """The venue says something on its private stream."""
        self.say(f"VENUE says {_shown(news)}")
        if not isinstance(news, Fill | OrderReport):
            self._past.append((self.now, "position", news.quantity))
        heard: Input
        if isinstance(news, Fill):
            heard = FillHeard(fill=news)
        elif isinstance(news, OrderReport):
            heard = OrderHeard(report=news)
        else:
            heard = PositionHeard(report=news)
        life = self._life
        for _ in range(2 if self.chosen(self.weather.repeat_news) else 1):
            if not self.chosen(self.weather.drop_news):
                delay = self.chance.uniform(*self.weather.stream_latency)
                self.after(delay, lambda: self.hear(heard) if life is self._life else None)
            else:
                self.judge.blind = True

    # What happens in the world.

    def mark(self, price: Decimal) -> None:
        """A new mark price."""
        if price <= 0:
            return
        touched = self.venue.move(price)
        self.say(f"MARK {price}")
        for order in touched:
            self._touched(order)
        if self.chosen(self.weather.feed_stops):
            return
        for key, prices in self._bands.price(self.venue.symbol, price, self.now):
            if key == self._life.number:
                self._price_later(prices)

    def _touched(self, order: VenueOrder) -> None:
        stuck = self.chosen(self.weather.stuck_trigger)
        refuse = self.chosen(self.weather.refuse_trigger)
        pause = self.chance.uniform(3, 20) if stuck else self.chance.uniform(0, 0.2)

        def fire() -> None:
            child = self.venue.fire(order, refuse=refuse)
            if child is not None:
                self._execute(child)

        self.after(pause, fire)

    def heartbeat(self) -> None:
        """What the position has not heard of the prices, now and then."""
        prices = self._bands.heartbeat(self._life.number) if self._life.alive else None
        if prices is not None:
            self._price_later(prices)

    def human_trades(self, quantity: Decimal) -> None:
        """A human buys (positive) or sells."""
        if quantity == 0:
            return
        side = self.position.side.opening if quantity > 0 else self.position.side.closing
        self.say(f"HUMAN {side} {abs(quantity)}")
        self.venue.outsider(side, abs(quantity))

    def human_cancels(self) -> None:
        """A human cancels a stop of ours."""
        for order in self.venue.resting()[:1]:
            self.say(f"HUMAN cancels {order.client_id}")
            self.venue.cancel(order.exchange_id, None, by="human")

    def liquidate(self) -> None:
        """The venue closes the position by force."""
        quantity = self.venue.quantity * self.position.side.sign
        if quantity > 0:
            self.say("LIQUIDATION")
            self.venue.outsider(self.position.side.closing, quantity, owner="liquidation")

    def heal(self) -> None:
        """All faults end; the position must come right. Raises Breach."""
        self.say("HEALED")
        self.weather = CALM
        for _ in range(90):
            self.view()
            self.heartbeat()
            self.advance(1)
            if self._life.alive and self.position.phase.final and not self._heap:
                break
        if not self._life.alive:
            raise Breach("the owner was not started again")
        p = self.position
        self.judge.at_rest(final=p.phase.final, released=p.phase is Phase.RELEASED)
        self._agree()

    def _agree(self) -> None:
        p = self.position
        if p.phase in (Phase.RELEASED, Phase.FAILED):
            return
        size = self.venue.quantity * p.side.sign
        if not p.phase.final and ledger.book(p) != size:
            raise Breach(f"book {ledger.book(p)}, venue {size}")
        ours = {f.trade_id for f in self.venue.trades if _is_ours(self.venue, f)}
        heard = {t for f in p.fills for t in f.trades}
        if p.phase.final and p.fills_confirmed and ours - heard:
            raise Breach(f"over without the trades {ours - heard}")
        traded = sum((f.traded for f in p.fills if f.side is p.side.opening), Decimal(0))
        bought = sum(
            (f.quantity for f in self.venue.trades if f.side is p.side.opening and f.trade_id in heard), Decimal(0)
        )
        if traded != bought:
            raise Breach(f"S7: executions count {traded}, the venue has {bought}")


def _is_ours(venue: Venue, fill: Fill) -> bool:
    order = venue.orders[fill.exchange_id]
    return order.owner == "us"


def _shown(news: News) -> str:
    if isinstance(news, Fill):
        return f"fill {news.trade_id} of {news.exchange_id}: {news.side} {news.quantity} at {news.price}"
    if isinstance(news, OrderReport):
        name = (news.client_id or ClientOrderId("-"))[-8:]
        child = f" child {news.child_id}" if news.child_id else ""
        return f"order {news.exchange_id} {name} {news.status.value} {news.filled}/{news.quantity}{child}"
    return f"position {news.quantity}"
