"""The gateway: the only way to an account's exchange. One for an account, so that check-and-send is one step.

It lives on an event loop of its own; the actor only hands over what it is told. Rules of this file:
- A request of an older epoch than the newest seen for its position is refused, checked last before the first byte.
- No order leaves before its intent is durable: acknowledged by the journal, or after 50 ms put into the spool by us.
- What came in order for one position is sent in order only by priority: protection, closing, entry, query (S15).
- Whatever happens to a request, its sender gets exactly one answer, or a `GatewayStarted` when this gateway dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from loguru import logger

from actors import messages
from actors.guard import ActorContext
from actors.loop import EventLoop
from actors.marks import Marks
from actors.messages import (
    AskSnapshot,
    CancelOrphan,
    Claim,
    DatabaseIs,
    Disown,
    GatewayStarted,
    LockIs,
    Perform,
    SnapshotFailed,
    SnapshotTaken,
)
from actors.owners import Owners
from actors.recording import Recorder
from actors.reporting import ReportingActor
from actors.ticket import Ticket
from actors.turns import Turns
from adapters.exchange.interface import TradingClient, VenueFailure
from domain.catalogue import EventType
from domain.identity import ClientOrderId, Epoch, OrderKind, PositionId
from domain.instrument import Instrument
from domain.orders import (
    Answer,
    CancelOutcome,
    CancelResult,
    NoAnswer,
    OrderIntent,
    OrderRef,
    Outcome,
    Priority,
    Rejected,
    RejectReason,
    Unknown,
)
from domain.position.effects import AskCandles, AskFills, AskPosition, Cancel, Find, Place
from domain.position.inputs import (
    AnswerHeard,
    CancelHeard,
    CandlesHeard,
    FillsListed,
    OutcomeHeard,
    PositionHeard,
    QuestionFailed,
)
from domain.sanity import check_intent
from persistence.spool import Spool, SpoolFull

DURABLE_WITHIN_S = 0.05
SNAPSHOT_WEIGHT = 85
QUESTION_WEIGHT = 5
STALE_S = 4.0  # with window and skew still before the owner takes an absent order for absent (8 s)
DISK_WITHIN_S = 1.0
PROOF_AFTER_S = 3.0
DRAIN_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a gateway is given."""

    account: str
    open_client: Callable[[], TradingClient]
    instruments: dict[str, Instrument]
    owners: Owners
    marks: Marks
    spool: Spool
    recorder: Recorder
    leverage: int
    max_stop_distance_pct: Decimal
    dry_run: bool


class Gateway(ReportingActor):
    """Requests in, answers by message. `instruments` is filled at its start and refreshed at each restart."""

    def __init__(self, context: ActorContext, wiring: Wiring) -> None:
        """See `Wiring`."""
        super().__init__(context, wiring.recorder, wiring.account)
        self._wiring = wiring
        self._loop = EventLoop(f"loop:{context.name}")
        self._desk: RequestDesk | None = None

    def started(self) -> None:
        """Connect, then tell the owners that whatever was in flight has no outcome."""
        wiring = self._wiring
        self._loop.start()
        desk = self._desk = RequestDesk(wiring, self)
        wiring.instruments.update(self._loop.submit(desk.connect()).result(timeout=60))
        account = wiring.account
        self.report(EventType.ACCOUNT_CONNECTED, {"symbols": len(wiring.instruments)})
        for name in (*(messages.position(p.id) for p in wiring.owners.all(account)), messages.reconciler(account)):
            if self.directory.newest_incarnation(name) is not None:  # at the first start nobody is there yet
                self.tell(name, GatewayStarted(account=account))

    def receive(self, message: object) -> None:
        """Hand over to the loop."""
        if self._desk is not None:
            self._loop.call(self._desk.hear, message)

    def stopping(self) -> None:
        """Let what is on its way finish, then close."""
        if self._desk is not None:
            self._loop.submit(self._desk.drain()).result(timeout=4)
        self._loop.close()

    def perished(self) -> None:
        """A dead or replaced gateway can reach nothing any more."""
        desk = self._desk
        if desk is not None:
            desk.end()
        self._loop.close(seconds=0, last=desk.close if desk is not None else None)


class RequestDesk:
    """The gateway's state. Everything in here runs on the event loop."""

    def __init__(self, wiring: Wiring, actor: Gateway) -> None:
        """Reports through `actor`, which refuses to speak once it is fenced."""
        self._wiring = wiring
        self._actor = actor
        self._client = wiring.open_client()
        self._epochs: dict[PositionId, Epoch] = {}
        self._turns = Turns(wiring.account, actor.clock)
        self._entries_closed: dict[str, str] = {}
        self._leverage_set: set[str] = set()
        self._placing: set[ClientOrderId] = set()

    async def connect(self) -> dict[str, Instrument]:
        """Load the markets."""
        return dict(await self._client.connect())

    async def drain(self) -> None:
        """Wait for what is on its way, then give the connections back."""
        await self._turns.drain(DRAIN_S)
        await self.close()

    def end(self) -> None:
        """Begin nothing any more, from any thread."""
        self._turns.closed = True

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.close()

    def hear(self, message: object) -> None:
        """One message of the actor's."""
        match message:
            case Claim(fence=fence):
                newest = self._epochs.get(fence.position_id)
                if newest is None or newest < fence.epoch:
                    self._epochs[fence.position_id] = fence.epoch
            case Disown(position_id=position_id):
                self._epochs.pop(position_id, None)
            case Perform(effect=effect):
                if isinstance(effect, Place):
                    self._placing.add(effect.intent.client_id)
                self._turns.queue(_priority(message), lambda: self._perform(message), _weight(message))
            case AskSnapshot(reply_to=reply_to):
                self._turns.queue(Priority.QUERY, lambda: self._snapshot(reply_to), SNAPSHOT_WEIGHT)
            case CancelOrphan(ref=ref):
                self._turns.queue(Priority.QUERY, lambda: self._cancel_orphan(ref))
            case DatabaseIs(up=up):
                self._close_entries("database", None if up else "the database cannot be reached")
            case LockIs(held=held, reason=reason):
                self._close_entries("lock", None if held else reason)
            case _:
                logger.error("GATEWAY_UNKNOWN_MESSAGE type={}", type(message).__name__)

    def _close_entries(self, by: str, reason: str | None) -> None:
        if reason is None:
            self._entries_closed.pop(by, None)
        else:
            self._entries_closed[by] = reason

    # Requests.

    async def _perform(self, request: Perform) -> None:
        """Answer one request, once. An error of ours is an answer too: nobody knows what became of the request."""
        try:
            answer = await self._answer(request)
        except Exception as error:
            self._reply(request, self._broken(request, f"{type(error).__name__}: {error}"))
            raise
        self._reply(request, answer)

    async def _answer(self, request: Perform) -> object:
        match request.effect:
            case Place(intent=intent):
                try:
                    return OutcomeHeard(outcome=await self._place(request, intent))
                finally:
                    self._placing.discard(intent.client_id)
            case Cancel(ref=ref):
                return CancelHeard(outcome=await self._cancel(request, ref))
            case Find(ref=ref):
                return AnswerHeard(answer=await self._find(ref))
            case AskPosition():
                return await self._question("position", self._position(request))
            case AskFills(since=since):
                return await self._question("fills", self._fills(request, since))
            case AskCandles(since=since):
                return await self._question("candles", self._candles(request, since))

    def _broken(self, request: Perform, text: str) -> object:
        now = self._actor.clock.now()
        match request.effect:
            case Place(intent=intent):
                proof = now + timedelta(seconds=PROOF_AFTER_S)
                unknown = Unknown(client_id=intent.client_id, text=text, sent_at=now, absence_proof_at=proof)
                return OutcomeHeard(outcome=unknown)
            case Cancel(ref=ref):
                return CancelHeard(
                    outcome=CancelOutcome(
                        ref=ref, result=CancelResult.UNKNOWN, code="", text=text, answered_at=now
                    )
                )
            case Find(ref=ref):
                return AnswerHeard(answer=NoAnswer(ref=ref, text=text))
            case AskPosition():
                return QuestionFailed(what="position", text=text)
            case AskFills():
                return QuestionFailed(what="fills", text=text)
            case AskCandles():
                return QuestionFailed(what="candles", text=text)

    async def _place(self, request: Perform, intent: OrderIntent) -> Outcome:
        refusal = self._refusal(request, intent)
        if refusal is None and intent.kind is OrderKind.ENTRY:
            refusal = await self._prepare(intent)
        if refusal is None:
            durable = await self._durable(request.ticket)
            refusal = self._refusal(request, intent)
            if refusal is None and not durable and intent.kind is OrderKind.ENTRY:
                refusal = self._rejected(intent, RejectReason.ENTRIES_CLOSED, "the intent cannot be written anywhere")
        if refusal is not None:
            return refusal
        outcome = await self._client.place(intent)
        self._note_limits(outcome)
        return outcome

    async def _find(self, ref: OrderRef) -> Answer:
        """What became of an order; 'no such order' proves nothing while we ourselves have yet to send it."""
        if ref.client_id in self._placing:
            return NoAnswer(ref=ref, text="the order is still on its way")
        answer = await self._client.find(ref)
        if isinstance(answer, NoAnswer) and answer.retry_after_s is not None:
            self._note_pause(RejectReason.RATE_LIMIT, answer.retry_after_s)
        return answer

    def _refusal(self, request: Perform, intent: OrderIntent) -> Rejected | None:
        """Why an order must not be sent, checked again right before it is."""
        if self._fenced(request):
            return self._rejected(intent, RejectReason.FENCED, "a newer owner has this position")
        waited = (self._actor.clock.now() - request.asked_at).total_seconds()
        if waited > STALE_S:
            why = f"not sent: it waited {waited:.1f} s, {STALE_S} s at most"
            return self._rejected(intent, RejectReason.TRANSIENT, why)
        if self._wiring.dry_run:
            return self._rejected(intent, RejectReason.ENTRIES_CLOSED, "dry run: nothing is sent")
        if intent.kind is OrderKind.ENTRY and self._entries_closed:
            return self._rejected(intent, RejectReason.ENTRIES_CLOSED, "; ".join(self._entries_closed.values()))
        instrument = self._wiring.instruments.get(intent.symbol)
        if instrument is None:
            return self._rejected(intent, RejectReason.SYMBOL, f"symbol={intent.symbol}: not known to the venue")
        mark = self._wiring.marks.get(self._wiring.account, intent.symbol)
        rule = check_intent(
            intent,
            instrument,
            mark.price if mark is not None else request.mark_price,
            request.liquidation_price,
            max_distance_pct=self._wiring.max_stop_distance_pct,
        )
        if rule is None:
            return None
        data = {"order_id": intent.client_id, "rule": rule}
        self._actor.report(EventType.ORDER_REFUSED_UNSAFE, data, symbol=intent.symbol)
        passed = intent.kind is OrderKind.STOP and "mark" in rule
        return self._rejected(intent, RejectReason.WOULD_TRIGGER if passed else RejectReason.INSANE, rule)

    def _fenced(self, request: Perform) -> bool:
        newest = self._epochs.get(request.fence.position_id)
        stale = newest is not None and request.fence.epoch < newest
        if stale or self._actor.fenced:
            data = {"position": request.fence.position_id, "effect": type(request.effect).__name__}
            self._actor.report(EventType.REQUEST_FENCED, data, symbol=request.symbol)
            return True
        return False

    def _rejected(self, intent: OrderIntent, reason: RejectReason, text: str) -> Rejected:
        return Rejected(
            client_id=intent.client_id, reason=reason, code="", text=text, sent_at=self._actor.clock.now()
        )

    async def _prepare(self, intent: OrderIntent) -> Rejected | None:
        """Leverage, once a symbol, on a symbol without a position (DESIGN 3, 'Hands off')."""
        leverage = self._wiring.leverage
        if leverage <= 0 or intent.symbol in self._leverage_set:
            return None
        try:
            await self._client.set_leverage(intent.symbol, leverage)
        except VenueFailure as failure:
            self._note_pause(failure.reason, failure.retry_after_s)
            return self._rejected(intent, failure.reason, f"leverage {leverage} could not be set: {failure.text}")
        self._leverage_set.add(intent.symbol)
        return None

    async def _durable(self, ticket: Ticket | None) -> bool:
        """Return once the intent is durable; after 50 ms by our own hand (DESIGN 3, 'Intent first').

        False: neither journal nor disk takes it. Who protects goes on all the same, and it is shouted about.
        """
        if ticket is None or ticket.settled or await ticket.wait(DURABLE_WITHIN_S):
            return True
        tickets = ticket.unsettled()
        records = [each.record for each in tickets]
        written = asyncio.get_running_loop().run_in_executor(None, self._wiring.spool.append, records)
        try:
            await asyncio.wait_for(asyncio.shield(written), DISK_WITHIN_S)
        except (SpoolFull, OSError) as error:  # a TimeoutError is an OSError
            if await ticket.wait(0):
                return True
            text = f"{type(error).__name__}: {error}"
            data = {"record": ticket.record.record_id, "error": f"the intent is not durable: {text}"}
            self._actor.report(EventType.RECORD_POISONED, data, error=text)
            return False
        for each in tickets:
            each.settle()
        self._actor.report(EventType.INTENT_SPOOLED, {"record": ticket.record.record_id, "limit_ms": 50})
        return True

    async def _cancel(self, request: Perform, ref: OrderRef) -> CancelOutcome:
        if not self._wiring.dry_run and not self._fenced(request):
            await self._durable(request.ticket)
            if not self._fenced(request):
                return await self._client.cancel(ref)
        return CancelOutcome(
            ref=ref,
            result=CancelResult.REFUSED,
            code="",
            text="a newer owner has this position" if not self._wiring.dry_run else "dry run: nothing is sent",
            answered_at=self._actor.clock.now(),
        )

    async def _question(self, what: str, answer: Coroutine[Any, Any, object]) -> object:
        try:
            return await answer
        except VenueFailure as failure:
            self._note_pause(failure.reason, failure.retry_after_s)
            return QuestionFailed(what=what, text=str(failure))

    async def _position(self, request: Perform) -> object:
        asked_at = self._actor.clock.now()
        report = await self._client.position(request.symbol, None)
        return PositionHeard(report=report, asked_at=asked_at)

    async def _fills(self, request: Perform, since: datetime) -> object:
        return FillsListed(fills=await self._client.fills(request.symbol, since))

    async def _candles(self, request: Perform, since: datetime) -> object:
        """Extremes since a time. A minute that began before the position was opened counts by its close only."""
        candles = await self._client.mark_candles(request.symbol, since)
        if not candles:
            return QuestionFailed(what="candles", text="the venue listed no candle")
        position = self._wiring.owners.state(request.fence.position_id)
        opened_at = position.opened_at if position is not None else since
        lows = [c.low if c.opened_at >= opened_at else c.close for c in candles]
        highs = [c.high if c.opened_at >= opened_at else c.close for c in candles]
        return CandlesHeard(low=min(lows), high=max(highs))

    async def _snapshot(self, reply_to: str) -> None:
        try:
            snapshot = await self._client.snapshot()
        except VenueFailure as failure:
            self._note_pause(failure.reason, failure.retry_after_s)
            self._actor.tell(reply_to, SnapshotFailed(text=str(failure)))
            return
        except Exception as error:
            self._actor.tell(reply_to, SnapshotFailed(text=f"{type(error).__name__}: {error}"))
            raise
        self._actor.tell(reply_to, SnapshotTaken(snapshot=snapshot))

    async def _cancel_orphan(self, ref: OrderRef) -> None:
        if self._wiring.dry_run or self._actor.fenced:
            return
        outcome = await self._client.cancel(ref)
        data = {"order_id": ref.client_id, "result": outcome.result.value, "error": outcome.text or None}
        self._actor.report(EventType.ORPHAN_CANCELLED, data, symbol=ref.symbol)

    # Answers.

    def _reply(self, request: Perform, answer: object) -> None:
        self._actor.tell(messages.position(request.fence.position_id), answer)

    def _note_limits(self, outcome: Outcome) -> None:
        if isinstance(outcome, Rejected):
            self._note_pause(outcome.reason, outcome.retry_after_s)

    def _note_pause(self, reason: RejectReason, retry_after_s: int | None) -> None:
        """A venue that says 'too much' gets no questions and no entries for as long as it says."""
        if reason not in (RejectReason.RATE_LIMIT, RejectReason.MAINTENANCE):
            return
        pause = retry_after_s or 5
        self._turns.pause(pause)
        self._actor.report(EventType.RATE_LIMITED, {"reason": reason.value, "pause_s": pause})


def _weight(request: Perform) -> int:
    """What the venue counts for a request (Binance's figures, the highest of the venues)."""
    return QUESTION_WEIGHT if isinstance(request.effect, AskPosition | AskFills | AskCandles) else 1


def _priority(request: Perform) -> Priority:
    match request.effect:
        case Place(intent=intent):
            return intent.priority
        case Cancel():
            return Priority.CLOSING
        case _:
            return Priority.QUERY
