"""A world for one position: the machine, a venue of our own, and a network between them that fails on request.

Rules of this file: time is virtual, chance comes from one seeded generator, and everything that happens is in
`history`, so that a seed tells the whole story again. The owner does what the position actor does: hear, record,
carry out.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from domain.catalogue import EventType
from domain.identity import ClientOrderId, Epoch, mint_position_id
from domain.instrument import Instrument, PositionSide
from domain.market.bands import BandIndex
from domain.orders import (
    Accepted,
    Fill,
    Found,
    OrderReport,
    OrderStatus,
)
from domain.position import ladder, ledger, machine, trailing
from domain.position.effects import Cancel, Place, Transition
from domain.position.inputs import (
    AnswerHeard,
    Begin,
    FillHeard,
    Input,
    OrderHeard,
    OutcomeHeard,
    PositionHeard,
    PriceRange,
    Recovered,
    View,
    Wake,
)
from domain.position.plan import MoveStyle, Plan
from domain.position.state import CloseReason, Phase, Position, Purpose
from tests.properties.judge import Breach, Judge
from tests.properties.venue import News, Venue, VenueOrder
from tests.properties.weather import CALM, Weather
from tests.properties.wire import Life, Wire

START = datetime(2026, 11, 21, tzinfo=UTC)
EFFECTS_A_MINUTE = 240
WAKES_IN_TEN_SECONDS = 150


class World:
    """Everything there is, in virtual time."""

    def __init__(self, seed: int, side: PositionSide, plan: Plan, instrument: Instrument, mark: Decimal) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.weather = CALM
        self.history: list[str] = []
        self.judge = Judge(side, plan, holes=plan.venue.move is MoveStyle.CANCEL_THEN_PLACE)
        self.venue = Venue(
            symbol=instrument.symbol,
            mark=mark,
            watcher=self.judge.watcher(),
            told=self._news,
            now=self.now,
            tick=instrument.tick,
            attaches=plan.venue.attached_stop,
        )
        self.judge.venue = self.venue
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0
        self._heard = 0
        self._moved_by_hand: set[str] = set()
        self._shadow = random.Random(1)
        self.wire = Wire(self)
        self._bands: BandIndex[int] = BandIndex()
        self.life = Life(1)
        self._wake: int = 0
        self._effects_at: list[datetime] = []
        self._wakes_at: list[datetime] = []
        self.past: list[tuple[datetime, str, Decimal]] = []
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
            mark_price=mark if plan.slippage_pct else None,
        )
        self.sent_ids: set[str] = set()
        self.entry_sent: tuple[str, int, datetime] | None = None
        self.told_over: set[str | None] = set()
        self.second_tries = 0
        self.targets: dict[Decimal, Decimal] = {}
        self.durable: list[Position] = [self.position]
        self.say(f"a {side} of {plan.quantity} at {mark}, {plan}")
        self.advance(0.001)
        self.hear(Begin())

    @property
    def alive(self) -> bool:
        """Whether the owner runs."""
        return self.life.alive

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

    # The owner.

    def hear(self, heard: Input) -> None:
        """Let the owner hear something, as the position actor would."""
        p = self.position
        if p.phase.final or not self.life.alive:
            return
        self._note_end(heard)
        marks = self.venue.marks
        if marks and not self.chosen(self.weather.feed_stops) and (p.mark_at is None or marks[-1][0] > p.mark_at):
            p = p.changed(mark_price=marks[-1][1], mark_at=marks[-1][0])
        transition = machine.handle(p, heard, self.now)
        self._heard += 1
        if isinstance(heard, PriceRange) or self._heard % 8 == 0:
            self._no_short_cut(p, heard, transition)
            self._price_again(transition.position)
        self.position = transition.position
        if self.position.ladder and not self.targets:
            self.targets = {rung.trigger: rung.quantity for rung in self.position.ladder}
        self._tell(heard, p, transition.position)
        for happening in transition.happenings:
            self.say(f"        {happening.type.value} {happening.data}")
            if happening.type is EventType.STOP_LOSS_SENT and happening.data["purpose"] == Purpose.EMERGENCY:
                self.judge.allow(Decimal(str(happening.data["stop_price"])))
        self._check(transition, p)
        if transition.record:
            self.durable.append(transition.position)
        for effect in transition.effects:
            self.wire.carry_out(effect)
        if self.position.phase.final:
            self._bands.drop(self.life.number)
            self.judge.ended(proven_gone=self.position.phase is not Phase.RELEASED)
            return
        self._watch()
        if transition.wake_at is not None:
            self._wake += 1
            wake, life = self._wake, self.life
            self.after((transition.wake_at - self.now).total_seconds(), lambda: self._woken(wake, life))

    def _note_end(self, heard: Input) -> None:
        """Which orders the owner has been told the end of, by whatever way."""
        reports: list[OrderReport] = []
        match heard:
            case OrderHeard(report=report) | AnswerHeard(answer=Found(report=report)):
                reports = [report]
            case OutcomeHeard(outcome=Accepted(report=OrderReport() as report)):
                reports = [report]
            case View(orders=orders):
                reports = list(orders)
            case _:
                pass
        self.told_over |= {report.client_id for report in reports if report.status.terminal}

    def _no_short_cut(self, p: Position, heard: Input, transition: Transition) -> None:
        """What a position remembers of itself (derived figures, its calm) must not change any answer."""
        if transition != machine.handle(replace(p), heard, self.now):  # a copy that remembers nothing
            raise Breach(f"short cut: {heard} is answered otherwise when nothing is remembered")

    def _price_again(self, p: Position) -> None:
        """Two more prices that nobody will have heard: the second may find the calm that the first one noted."""
        if p.mark_price is None:
            return
        for _ in range(2):
            here, moment = p.mark_price, self.now + timedelta(seconds=self._shadow.choice((0, 0, 1, 7)))
            ends = [here * (1 + Decimal(self._shadow.randint(-90, 90)) / 10_000) for _ in range(2)]
            prices = PriceRange(last=self._shadow.choice(ends), low=min(ends), high=max(ends), at=moment)
            transition = machine.handle(p, prices, moment)
            if transition != machine.handle(replace(p), prices, moment):
                raise Breach(f"short cut: {prices} is answered otherwise when nothing is remembered")
            p = transition.position
            if p.mark_price is None:
                return

    def _woken(self, wake: int, life: Life) -> None:
        if wake == self._wake and life is self.life:
            self._wakes_at = [at for at in self._wakes_at if at > self.now - timedelta(seconds=10)] + [self.now]
            if len(self._wakes_at) > WAKES_IN_TEN_SECONDS:
                raise Breach("L6: it goes on waking itself")
            self.hear(Wake())

    def _check(self, transition: Transition, before: Position) -> None:
        sends = [e for e in transition.effects if isinstance(e, Place | Cancel)]
        if not transition.record and (sends or transition.happenings or transition.orders or transition.trades):
            raise Breach("S10: something was done or said that no record holds")
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
        missed = self._bands.register(self.life.number, self.position.symbol, band.low, band.high)
        if missed is not None:
            self._price_later(missed)

    def _price_later(self, prices: PriceRange) -> None:
        life = self.life
        self.after(self.chance.uniform(0.001, 0.02), lambda: self.hear(prices) if life is self.life else None)

    def crash(self, down: float) -> None:
        """Kill the process: what was not durable is forgotten, what had not left is not sent."""
        if not self.life.alive:
            return
        self._bands.drop(self.life.number)
        self.life.alive = False
        self.position = self.chance.choice(self.durable)
        self.say(f"CRASH, down for {down:.2f} s; version {self.position.version} is what the database has")
        self.after(down, self._restart)

    def _restart(self) -> None:
        self.life = Life(self.life.number + 1)
        self.durable = [self.position]
        self.hear(Recovered(epoch=Epoch(self.life.number, 1)))

    # The stream.

    def _news(self, news: News) -> None:
        """The venue says something on its private stream."""
        self.say(f"VENUE says {_shown(news)}")
        if not isinstance(news, Fill | OrderReport):
            self.past.append((self.now, "position", news.quantity))
        heard: Input
        if isinstance(news, Fill):
            heard = FillHeard(fill=news)
        elif isinstance(news, OrderReport):
            heard = OrderHeard(report=news)
        else:
            heard = PositionHeard(report=news)
        life = self.life
        for _ in range(2 if self.chosen(self.weather.repeat_news) else 1):
            if not self.chosen(self.weather.drop_news):
                delay = self.chance.uniform(*self.weather.stream_latency)
                self.after(delay, lambda: self.hear(heard) if life is self.life else None)
            else:
                self.judge.blind = True

    # What happens in the world.

    def change(self, weather: Weather) -> None:
        """From now on the network and the venue behave like this."""
        self.weather = weather
        odd = {name: value for name, value in asdict(weather).items() if value != getattr(CALM, name)}
        self.say(f"WEATHER {odd or 'calm'}")

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
            if key == self.life.number:
                self._price_later(prices)

    def _touched(self, order: VenueOrder) -> None:
        stuck = self.chosen(self.weather.stuck_trigger)
        refuse = self.chosen(self.weather.refuse_trigger)
        pause = self.chance.uniform(3, 20) if stuck else self.chance.uniform(0, 0.2)

        def fire() -> None:
            child = self.venue.fire(order, refuse=refuse)
            if child is not None:
                self.wire.execute(child)

        self.after(pause, fire)

    def heartbeat(self) -> None:
        """What the position has not heard of the prices, now and then."""
        prices = self._bands.heartbeat(self.life.number) if self.life.alive else None
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
        """A human cancels a stop or a take-profit of ours."""
        resting = self.venue.resting()
        for order in [self.chance.choice(resting)] if resting else []:
            self.say(f"HUMAN cancels {order.client_id}")
            if order.exchange_id in self._moved_by_hand:
                self.judge.best = None  # where a human had put it is nothing that we have to keep to
            self.venue.cancel(order.exchange_id, None, by="human")

    def human_moves(self, trigger: Decimal) -> None:
        """A human changes the stop on the position, or one of ours, in place."""
        for order in self.venue.stops()[:1]:
            if self.position.plan.venue.move is not MoveStyle.NEW_BEFORE_CANCEL and order.status is OrderStatus.NEW:
                self.say(f"HUMAN moves {order.client_id} to {trigger}")
                order.trigger = trigger
                self._moved_by_hand.add(order.exchange_id)
                self.judge.allow(trigger)
                self.venue.tell(order)
                self.venue.watcher.changed("human")

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
            self.wire.view()
            self.heartbeat()
            self.advance(1)
            if self.life.alive and self.position.phase.final and not self._heap:
                break
        if not self.life.alive:
            raise Breach("the owner was not started again")
        p = self.position
        self.judge.at_rest(final=p.phase.final, released=p.phase is Phase.RELEASED)
        self._agree()

    def _ladder_stands(self, p: Position) -> None:
        """Each target that is left has its order at the venue, and there is no other."""
        wished = _as_wished(p)
        resting = {o.trigger: o.quantity for o in self.judge.targets()}
        if {trigger: quantity for trigger, quantity in resting.items() if trigger in wished} != wished:
            raise Breach(f"B3: targets {wished}, take-profits at the venue {resting}")
        if p.plan.take_profits and p.ladder is None and p.close_wanted is None:
            raise Breach("B3: the take-profits were forgotten")
        passed = sum((r.quantity - self._took(r.trigger) for r in p.ladder or () if r.passed), Decimal(0))
        exits = [o for o in self.venue.orders.values() if o.owner == "us" and o.reduce_only and o.trigger is None]
        sold = sum((o.filled for o in exits if o.client_id is not None), Decimal(0))
        if passed > sold and p.close_wanted is None:
            raise Breach(f"B3: the mark has passed targets of {passed}, {sold} was closed at market")

    def _took(self, trigger: Decimal) -> Decimal:
        """What the take-profits at a price have closed."""
        children = {o.child_id for o in self.venue.orders.values() if o.take_profit and o.trigger == trigger}
        return sum((o.filled for o in self.venue.orders.values() if o.exchange_id in children), Decimal(0))

    def _no_target_took_too_much(self) -> None:
        for trigger, quantity in self.targets.items():
            if self._took(trigger) > quantity:
                raise Breach(f"S7: the target at {trigger} is for {quantity} and took {self._took(trigger)}")
        ours = {x.client_id for x in self.position.exits if x.reason is CloseReason.TAKE_PROFIT}
        sold = sum((o.filled for o in self.venue.orders.values() if o.client_id in ours), Decimal(0))
        took = sum((self._took(trigger) for trigger in self.targets), Decimal(0))
        if sold + took > sum(self.targets.values()):
            raise Breach(f"S7: targets of {self.targets} took {took}, and {sold} was closed at market for them")

    def _agree(self) -> None:
        p = self.position
        self._no_target_took_too_much()
        if p.phase in (Phase.RELEASED, Phase.FAILED):
            return
        size = self.venue.quantity * p.side.sign
        if not p.phase.final and ledger.book(p) != size:
            raise Breach(f"book {ledger.book(p)}, venue {size}")
        if not p.phase.final:
            self._ladder_stands(p)
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


def _as_wished(p: Position) -> dict[Decimal, Decimal]:
    """What is left of each target that nothing puts off."""
    return {
        rung.trigger: ladder.left(p, number)
        for number, rung in enumerate(p.ladder or ())
        if ladder.left(p, number) > 0 and rung.retry_at is None
    }


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
