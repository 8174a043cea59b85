"""A conversation with a position, told step by step: what it hears from the venue, what it wants done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from domain.catalogue import EventType
from domain.identity import Epoch, OrderKind
from domain.instrument import PositionSide, Side
from domain.orders import (
    Accepted,
    CancelOutcome,
    CancelResult,
    Fill,
    Found,
    NotFound,
    OrderIntent,
    OrderRef,
    OrderReport,
    OrderStatus,
    PositionReport,
    Rejected,
    RejectReason,
    Source,
    Unknown,
)
from domain.position import machine
from domain.position.effects import Cancel, Effect, Place, Transition
from domain.position.inputs import (
    AnswerHeard,
    Begin,
    CancelHeard,
    CloseWanted,
    FillHeard,
    FillsListed,
    Input,
    OrderHeard,
    OutcomeHeard,
    PositionHeard,
    PriceRange,
    Recovered,
    View,
    Wake,
)
from domain.position.plan import Plan, Protection, TrailingRules, VenueRules
from domain.position.state import CloseReason, Phase, Position, StopOrder
from tests.unit.domain.samples import BTC, POSITION, START, D

Wanted = TypeVar("Wanted", bound=Effect)
ENTRY = D(60_000)
SIZE = D("0.010")
NOTHING = D(0)


class Conversation:
    """One position; `at(long price)` mirrors a price for shorts, so that one script tells both sides."""

    def __init__(
        self,
        side: PositionSide = PositionSide.LONG,
        *,
        adopted: bool = False,
        venue: VenueRules | None = None,
        slippage_pct: Decimal = NOTHING,
        **trailing: Any,
    ) -> None:
        self.now = START
        self.side = side
        rules = TrailingRules(**{"min_interval_s": D(0), **trailing})
        plan = Plan(
            quantity=SIZE,
            protection=Protection(),
            trailing=rules,
            reference_price=ENTRY,
            slippage_pct=slippage_pct,
        )
        if venue is not None:
            plan = replace(plan, venue=venue)
        self.position = Position(
            id=POSITION,
            account="main",
            exchange="binanceusdm",
            instance="ab12",
            instrument=BTC,
            side=side,
            plan=plan,
            epoch=Epoch(1, 1),
            correlation_id="c",
            opened_at=START,
            adopted=adopted,
            mark_price=ENTRY if slippage_pct else None,
        )
        self.last: Transition = machine.handle(self.position, Wake(), self.now) if adopted else self._begin()
        self.number = 100

    def _begin(self) -> Transition:
        return self.hear(Begin())

    # What it hears.

    def hear(self, heard: Input, after: float = 0.05) -> Transition:
        """Hear one input, `after` seconds later."""
        self.now += timedelta(seconds=after)
        self.last = machine.handle(self.position, heard, self.now)
        self.position = self.last.position
        return self.last

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass, waking it whenever it wanted. Returns what it wanted done meanwhile."""
        until, wanted = self.now + timedelta(seconds=seconds), list[Effect]()
        while self.last.wake_at is not None and self.last.wake_at <= until:
            ahead = max((self.last.wake_at - self.now).total_seconds(), 0.001)
            wanted += self.hear(Wake(), ahead).effects
        self.now = max(until, self.now)
        return wanted

    def accept(self, intent: OrderIntent, *, filled: Decimal | None = None, price: Decimal = ENTRY) -> Transition:
        """The venue took an order; `filled`: its reply says so much of it is executed."""
        xid = self.id_of(intent)
        report = None
        if filled is not None:
            done = OrderStatus.FILLED if filled == intent.quantity else OrderStatus.PART_FILLED
            report = self.order(intent, done, filled=filled, price=price)
        outcome = Accepted(
            client_id=intent.client_id, exchange_id=xid, report=report, sent_at=self.now, answered_at=self.now
        )
        return self.hear(OutcomeHeard(outcome=outcome))

    def refuse(self, intent: OrderIntent, reason: RejectReason = RejectReason.OTHER) -> Transition:
        """The venue refused an order."""
        outcome = Rejected(client_id=intent.client_id, reason=reason, code="-1", text="no", sent_at=self.now)
        return self.hear(OutcomeHeard(outcome=outcome))

    def lose(self, intent: OrderIntent) -> Transition:
        """Nobody knows what became of an order; absence is proven 3 s from now."""
        proof = self.now + timedelta(seconds=3)
        return self.hear(
            OutcomeHeard(
                outcome=Unknown(
                    client_id=intent.client_id, text="timed out", sent_at=self.now, absence_proof_at=proof
                )
            )
        )

    def cancelled(self, cancel: Cancel, result: CancelResult = CancelResult.DONE) -> Transition:
        """What became of a cancel."""
        outcome = CancelOutcome(ref=cancel.ref, result=result, code="", text="", answered_at=self.now)
        return self.hear(CancelHeard(outcome=outcome))

    def see(self, intent: OrderIntent, status: OrderStatus, **figures: Any) -> Transition:
        """The stream says what an order has become."""
        return self.hear(OrderHeard(report=self.order(intent, status, **figures)))

    def found(self, intent: OrderIntent, status: OrderStatus, **figures: Any) -> Transition:
        """The answer to a question about an order."""
        report = self.order(intent, status, source=Source.QUERY, **figures)
        return self.hear(AnswerHeard(answer=Found(ref=self.ref(intent), report=report)))

    def absent(self, intent: OrderIntent, asked_after: float = 0.0) -> Transition:
        """'No such order', asked so many seconds before now."""
        asked_at = self.now - timedelta(seconds=asked_after)
        return self.hear(AnswerHeard(answer=NotFound(ref=self.ref(intent), asked_at=asked_at)))

    def size(self, quantity: Decimal, asked: bool = False, *, at: datetime | None = None) -> Transition:
        """The venue's word on the size, in our direction; by the stream, or as an answer."""
        report = self.row(quantity, at)
        return self.hear(PositionHeard(report=report, asked_at=self.now if asked else None))

    def view(self, quantity: Decimal, *orders: OrderReport, asked_at: datetime | None = None) -> Transition:
        """A complete reading of the account."""
        moment = asked_at or self.now
        return self.hear(View(report=self.row(quantity, moment), orders=orders, asked_at=moment))

    def mark(self, price: Decimal, *, low: Decimal | None = None, high: Decimal | None = None) -> Transition:
        """A mark price, or a range."""
        prices = PriceRange(last=price, low=low or price, high=high or price, at=self.now)
        return self.hear(prices)

    def fill(self, xid: str, side: Side, quantity: Decimal, price: Decimal, **more: Any) -> Transition:
        """An execution."""
        return self.hear(FillHeard(fill=self.execution(xid, side, quantity, price, **more)))

    def listed(self) -> Transition:
        """The venue lists what the orders were reported to have executed."""
        fills = [
            self.execution(f.exchange_id, f.side, f.reported - f.traded, f.reported_notional / f.reported)
            for f in self.position.fills
            if f.reported > f.traded
        ]
        return self.hear(FillsListed(fills=tuple(fills)))

    def restart(self) -> Transition:
        """A new owner takes over."""
        term = self.position.epoch.term + 1
        return self.hear(Recovered(epoch=Epoch(term, 1)))

    # What it wants.

    def wants(self, kind: type[Wanted]) -> list[Wanted]:
        """Effects of the last turn."""
        return [e for e in self.last.effects if isinstance(e, kind)]

    def placed(self, kind: OrderKind | None = None) -> OrderIntent:
        """The one order that the last turn wanted placed."""
        intents = [e.intent for e in self.wants(Place)]
        assert len(intents) == 1, intents
        assert kind is None or intents[0].kind is kind
        return intents[0]

    def said(self) -> list[EventType]:
        """What the last turn reported."""
        return [h.type for h in self.last.happenings]

    # Values.

    def at(self, price: int | str) -> Decimal:
        """A price for a long, mirrored at the entry for a short."""
        return ENTRY + (D(price) - ENTRY) * self.side.sign

    def id_of(self, intent: OrderIntent) -> str:
        """The exchange id of an order in these tests: its own sequence."""
        return "x" + intent.client_id[-3:]

    def ref(self, intent: OrderIntent) -> OrderRef:
        """How a question names it."""
        return OrderRef(
            symbol=intent.symbol, client_id=intent.client_id, exchange_id=None, conditional=intent.kind.conditional
        )

    def order(
        self,
        intent: OrderIntent,
        status: OrderStatus,
        *,
        filled: Decimal = NOTHING,
        price: Decimal | None = None,
        child: str | None = None,
        source: Source = Source.STREAM,
    ) -> OrderReport:
        """An order as the venue shows it."""
        return OrderReport(
            symbol=intent.symbol,
            client_id=intent.client_id,
            exchange_id=self.id_of(intent),
            conditional=intent.kind.conditional,
            side=intent.side,
            status=status,
            quantity=intent.quantity,
            filled=filled,
            average_price=price,
            trigger_price=intent.trigger_price,
            reduce_only=intent.reduce_only,
            close_position=False,
            position_side=None,
            child_id=child,
            reason="",
            at=self.now,
            source=source,
        )

    def row(self, quantity: Decimal, at: datetime | None = None) -> PositionReport:
        """A row of the position."""
        return PositionReport(
            symbol="BTCUSDT",
            position_side=None,
            quantity=quantity * self.side.sign,
            entry_price=ENTRY if quantity else None,
            mark_price=None,
            liquidation_price=None,
            at=at or self.now,
            source=Source.STREAM,
        )

    def execution(self, xid: str, side: Side, quantity: Decimal, price: Decimal, **more: Any) -> Fill:
        """An execution as a value."""
        self.number += 1
        fill = Fill(
            trade_id=str(self.number),
            symbol="BTCUSDT",
            exchange_id=xid,
            client_id=None,
            side=side,
            position_side=None,
            quantity=quantity,
            price=price,
            fee=D("0.1"),
            fee_currency="USDT",
            realized_pnl=D(0),
            at=self.now,
        )
        return replace(fill, **more)


def protected(side: PositionSide = PositionSide.LONG, **trailing: Any) -> tuple[Conversation, OrderIntent]:
    """A filled position of 0.01 at 60,000 whose first stop, 2 % away, is accepted; and that stop."""
    talk = Conversation(side, **trailing)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    talk.size(SIZE)
    talk.accept(stop)
    talk.mark(ENTRY)
    assert talk.position.phase is Phase.ACTIVE
    return talk, stop


def resting(p: Position) -> list[StopOrder]:
    """Stops that rest at the venue."""
    return [s for s in p.stops if s.covers]


def closing(fraction: str = "1") -> CloseWanted:
    return CloseWanted(reason=CloseReason.OPERATOR, fraction=D(fraction))


def end_by_stop(talk: Conversation, stop: OrderIntent, price: Decimal) -> None:
    """The stop triggers, its child fills, the venue shows flat."""
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, stop.quantity, price)
    talk.size(D(0))


def stop_like(talk: Conversation, client_id: str) -> OrderIntent:
    """The last turn's order with this id, or one like it: only its id matters for a refusal."""
    _, stop = protected()
    sent = next((s for s in talk.position.stops if s.client_id == client_id), None)
    assert sent is not None
    return OrderIntent(
        client_id=sent.client_id,
        position_id=stop.position_id,
        account="main",
        symbol="BTCUSDT",
        kind=OrderKind.STOP,
        side=stop.side,
        position_side=stop.position_side,
        quantity=sent.quantity,
        reduce_only=True,
        trigger_price=sent.trigger,
    )


def exit_like(talk: Conversation) -> OrderIntent:
    return OrderIntent(
        client_id=talk.position.exits[-1].client_id,
        position_id=talk.position.id,
        account="main",
        symbol="BTCUSDT",
        kind=OrderKind.EXIT,
        side=talk.side.closing,
        position_side=talk.side,
        quantity=SIZE,
        reduce_only=True,
    )
