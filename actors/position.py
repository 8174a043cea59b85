"""The owner of one position: a thin shell around its machine. Nobody else moves its stop.

One turn: hear an input, hand the transition's record to the journal, then the effects to the gateway. What is shared
with a successor is the value handed to the journal, so that a crash at any point is followed by a decision from facts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from loguru import logger

from actors import messages
from actors.clock import Cancellable
from actors.directory import StaleIncarnationError
from actors.fee_prices import priced
from actors.guard import ActorContext, GuardedActor
from actors.marks import Marks
from actors.messages import (
    Claim,
    Disown,
    FeedStarted,
    GatewayStarted,
    Minute,
    OperatorInput,
    Perform,
    PositionEnded,
    Prices,
    Show,
    Unwatch,
    WakeUp,
    Watch,
    Write,
)
from actors.owners import Owners
from actors.recording import Recorder, log, plain_event, position_event
from actors.rule_changes import RulesNew
from actors.supervision import ChildSpec, Restart
from actors.ticket import Ticket
from domain.catalogue import EventType
from domain.decimals import plain, text_of
from domain.identity import Epoch, PositionId
from domain.instrument import distance_pct
from domain.orders import Fence
from domain.position import ledger, machine, places, trailing
from domain.position.effects import Transition
from domain.position.inputs import (
    Begin,
    CloseWanted,
    FillHeard,
    FillsListed,
    Input,
    PriceRange,
    Recovered,
    StopWanted,
    Wake,
)
from domain.position.state import Position
from domain.position.turn import happening
from domain.records import Record

MINUTE_S = 60.0


class RefusedByPosition(Exception):
    """An operator's wish that this position cannot take, with the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What the owners of one account have in common."""

    account: str
    term: int
    owners: Owners
    marks: Marks
    recorder: Recorder
    hang_after_s: float
    base_backoff_s: float
    max_backoff_s: float
    first_incarnation: int = 0
    """All epochs of this process are higher within the term: a life without the database takes none of its own."""
    doubtful: bool = False
    """See `foundation.Account`."""

    def epoch(self, incarnation: int) -> Epoch:
        """The epoch of an owner's incarnation in this process."""
        return Epoch(self.term, self.first_incarnation + incarnation)

    def stale(self, state: Position) -> bool:
        """Whether a state is that of an earlier life, which may have sent more than this life's book tells of."""
        return (self.first_incarnation > 0 or self.doubtful) and state.epoch <= self.epoch(0)


class PositionActor(GuardedActor):
    """Owns position `position_id` of `Owners` until its life is over."""

    def __init__(self, context: ActorContext, wiring: Wiring, position_id: PositionId) -> None:
        """The state is taken from the owners' table when the actor starts."""
        super().__init__(context)
        self._wiring = wiring
        self._id = position_id
        self._gateway = messages.gateway(wiring.account)
        self._feed = messages.market_feed(wiring.account)
        self._timer: Cancellable | None = None
        self._band: trailing.Band | None = None
        self._passed: PriceRange | None = None
        self._passed_count = 0
        self._rules_known = -1
        self._position: Position

    def started(self) -> None:
        """Take the position over: a new one sends its entry, any other is verified against the venue.

        One that is no longer in the table ended while its supervisor was being replaced: there is nothing to own.
        """
        state = self._wiring.owners.state(self._id)
        if state is None:
            logger.info("POSITION_OVER position={}: its life ended before this owner began", self._id)
            self.stop()
            return
        epoch = self._wiring.epoch(self.incarnation)
        self.tell(self._gateway, Claim(fence=Fence(position_id=self._id, epoch=epoch)))
        self._position = state
        fresh = state.entry is None and not state.adopted and state.epoch == epoch
        self._hear(Begin() if fresh else Recovered(epoch=epoch, stale=self._wiring.stale(state)))
        self.remind_after(MINUTE_S, Minute())
        self._take_news()

    def receive(self, message: Any) -> object:
        """Inputs of the machine are heard as they are."""
        answer = self._answer(message)
        if self._rules_known != self._wiring.owners.rule_changes.number:
            self._take_news()
        return answer

    def _answer(self, message: Any) -> object:
        match message:
            case Prices(range=prices):
                self._note(prices)
                self._band = None  # the feed tells a band once: it waits until it is told one again
                self._hear(prices)
            case FillHeard() | FillsListed():
                self._hear(priced(message, self._wiring.account, self._wiring.marks))
            case WakeUp():
                self._hear(Wake())
            case Minute():
                self._write_minute()
                self.remind_after(MINUTE_S, Minute())
            case Show():
                return self._position
            case OperatorInput():
                return self._operator(message)
            case GatewayStarted():
                epoch = self._position.epoch
                self.tell(self._gateway, Claim(fence=Fence(position_id=self._id, epoch=epoch)))
                self._hear(Recovered(epoch=epoch))
            case FeedStarted():
                self._band = None
                self._watch()
            case RulesNew():
                pass  # taken behind each message
            case _ if type(message) in machine.ANSWERS:
                self._hear(message)
            case _:
                raise TypeError(f"{self.name}: no answer to {type(message).__name__}")
        return None

    def _take_news(self) -> None:
        """Hear what changed in the rules since they were looked at last, told of it or not."""
        changes = self._wiring.owners.rule_changes
        there_were = changes.number
        for number, change in changes.news(self._position):
            if change is not None and not self._position.phase.final:
                self._hear(change)
            if self.fenced:
                return
            changes.taken(self._id, number)
        self._rules_known = there_were

    def _freshen(self) -> None:
        """Decide on the newest mark price there is: inside its band a position is not told each one."""
        p = self._position
        mark = self._wiring.marks.get(p.account, p.symbol)
        if mark is not None and (p.mark_at is None or mark.at > p.mark_at):
            self._position = p.changed(mark_price=mark.price, mark_at=mark.at)

    def _hear(self, heard: Input) -> None:
        if not isinstance(heard, Recovered):  # it needs to know since when nobody looked
            self._freshen()
        transition = machine.handle(self._position, heard, self.clock.now())
        self._position = transition.position
        ticket = self._write(transition) if transition.record else None
        for effect in transition.effects:
            self.tell(self._gateway, self._request(effect, ticket))
        if self._position.phase.final:
            self._end()
            return
        self._watch()
        self._set_timer(transition)

    def _request(self, effect: Any, ticket: Ticket | None) -> Perform:
        p = self._position
        return Perform(
            effect=effect,
            asked_at=self.clock.now(),
            fence=Fence(position_id=p.id, epoch=p.epoch),
            symbol=p.symbol,
            side=p.side,
            ticket=ticket,
            mark_price=p.mark_price,
            liquidation_price=p.liquidation_price,
        )

    def _write(self, transition: Transition) -> Ticket:
        now = self.clock.now()
        events = [position_event(happening, transition.position, now) for happening in transition.happenings]
        log(events)
        record = self._wiring.recorder.record(
            now,
            events=events,
            position=transition.position,
            orders=transition.orders,
            trades=transition.trades,
        )
        return self._hand_over(record, transition.position)

    def _hand_over(self, record: Record, position: Position) -> Ticket:
        ticket = Ticket(record, self._wiring.owners.ticket(position.id))
        # Who hung in the middle of a turn, and goes on after it was replaced, must not leave its state to anybody.
        if self.fenced or not self._wiring.owners.handed_over(position, ticket):
            raise StaleIncarnationError(f"{self.name}: incarnation {self.incarnation} was replaced, or has ended")
        self.tell(messages.JOURNAL, Write(record=record, ticket=ticket))
        return ticket

    def _set_timer(self, transition: Transition) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if transition.wake_at is not None:
            seconds = (transition.wake_at - self.clock.now()).total_seconds()
            self._timer = self.remind_after(max(seconds, 0.001), WakeUp())

    def _watch(self) -> None:
        band = trailing.band(self._position)
        if band != self._band:
            self._band = band
            p = self._position
            self.tell(self._feed, Watch(position_id=p.id, symbol=p.symbol, low=band.low, high=band.high))

    def _note(self, prices: PriceRange) -> None:
        passed = self._passed
        self._passed_count += 1
        if passed is None:
            self._passed = prices
            return
        self._passed = replace(
            prices, low=min(prices.low, passed.low), high=max(prices.high, passed.high)
        )

    def _write_minute(self) -> None:
        """What passed between moves is recorded once a minute as a range (DESIGN 3)."""
        if self._passed is None:
            return
        p, prices = self._position, self._passed
        now = self.clock.now()
        passed = happening(
            EventType.PRICE_RANGE,
            {
                "last": prices.last,
                "low": prices.low,
                "high": prices.high,
                "count": self._passed_count,
                "extreme_price": p.trail.extreme,
            },
        )
        self._passed, self._passed_count = None, 0
        self._position = p.changed(version=p.version + 1)
        event = position_event(passed, self._position, now)
        record = self._wiring.recorder.record(now, events=[event], position=self._position)
        self._hand_over(record, self._position)

    def _operator(self, order: OperatorInput) -> Position:
        """Hear what an operator wants, after the checks that only the owner can make.

        Raises:
            RefusedByPosition: with the reason and the figures.
        """
        p = self._position
        answer = machine.ANSWERS[type(order.input)]
        if p.phase not in answer.phases:
            raise RefusedByPosition(f"position {p.id} is {p.phase.value}: {order.method} is not possible now")
        if isinstance(order.input, StopWanted):
            self._check_stop(order.input)
        if isinstance(order.input, CloseWanted):
            self._check_part(order.input)
        now = self.clock.now()
        command = plain_event(
            EventType.OPERATOR_COMMAND,
            now,
            {"method": order.method, "uid": order.uid},
            account=p.account,
            symbol=p.symbol,
            correlation_id=p.correlation_id,
        )
        command = replace(command, position_id=p.id, exchange=p.exchange)
        log([command])
        self._hand_over(self._wiring.recorder.record(now, events=[command]), p)
        self._hear(order.input)  # type: ignore[arg-type]
        return self._position

    def _check_stop(self, wanted: StopWanted) -> None:
        p = self._position
        price = p.instrument.stop_price(p.side, wanted.price)
        if p.mark_price is not None and not p.side.better(p.mark_price, price):
            raise RefusedByPosition(
                f"price={plain(price)}: a {p.side.value}'s stop must be on the losing side of the mark price "
                f"{plain(p.mark_price)}"
            )
        distance = None if p.mark_price is None else distance_pct(price, p.mark_price)
        if distance is not None and distance > places.FARTHEST_PCT:
            raise RefusedByPosition(
                f"price={plain(price)}: {distance:.2f} % away from the mark price {text_of(p.mark_price)}, "
                f"at most {places.FARTHEST_PCT} % are allowed"
            )
        beyond = p.liquidation_price
        if beyond is not None and beyond > 0 and not p.side.better(price, beyond):
            raise RefusedByPosition(f"price={plain(price)}: must come before the liquidation price {plain(beyond)}")

    def _check_part(self, wanted: CloseWanted) -> None:
        """A part below the venue's minimum would leave nothing to send, and the operator would wait for it."""
        p = self._position
        held = ledger.exposure(p)
        part, least = p.instrument.floor_quantity(held * wanted.fraction), p.instrument.min_quantity
        if wanted.fraction < 1 and part < min(least, held):
            raise RefusedByPosition(
                f"fraction={wanted.fraction}: of {held} that is {part} (step {p.instrument.step}), "
                f"the venue takes {least} at least"
            )

    def _end(self) -> None:
        p = self._position
        self.tell(self._feed, Unwatch(position_id=p.id))
        self.tell(self._gateway, Disown(position_id=p.id))
        self.tell(messages.ENTRY_DESK, PositionEnded(position=p))
        self.stop()


def position_spec(wiring: Wiring, position_id: PositionId) -> ChildSpec:
    """How the owner of a position is started, restarted and stopped; it is never given up."""
    return ChildSpec(
        name=messages.position(position_id),
        factory=lambda context: PositionActor.start(context, wiring, position_id),
        restart=Restart.TRANSIENT,
        essential=False,
        hang_after_s=wiring.hang_after_s,
        base_backoff_s=wiring.base_backoff_s,
        max_backoff_s=wiring.max_backoff_s,
    )
