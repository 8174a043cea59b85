"""The gateway: the only way to an account's exchange. One for an account, so that check-and-send is one step.

It lives on an event loop of its own; the actor only hands over what it is told. Rules of this file:
- A request of an older epoch than the newest seen for its position is refused, checked last before the first byte.
- No order leaves before its intent is durable: acknowledged by the journal, or after 50 ms put into the spool by us.
- What came in order for one position is sent in order only by priority: protection, closing, entry, query (S15).
- Whatever happens to a request, its sender gets exactly one answer, or a `GatewayStarted` when this gateway dies.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
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
from adapters.exchange.interface import TradingClient, VenueFailure
from domain.catalogue import EventType
from domain.identity import Epoch, OrderKind, PositionId
from domain.instrument import Instrument
from domain.orders import (
    CancelOutcome,
    CancelResult,
    OrderIntent,
    OrderRef,
    Outcome,
    Priority,
    Rejected,
    RejectReason,
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
from persistence.spool import Spool

DURABLE_WITHIN_S = 0.05
AT_ONCE = 12
RESERVED_FOR_PROTECTION = 6
QUESTIONS_A_SECOND = 10
QUESTION_BURST = 20
_ORDER = {Priority.PROTECTION: 0, Priority.CLOSING: 1, Priority.ENTRY: 2, Priority.QUERY: 3}


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
        desk = RequestDesk(wiring, self)
        wiring.instruments.update(self._loop.submit(desk.connect()).result(timeout=60))
        self._desk = desk
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
        self._loop.close(seconds=0)


@dataclass(order=True, slots=True)
class Job:
    """One request waiting for its turn: by priority, then by arrival."""

    rank: int
    number: int
    work: Callable[[], Coroutine[Any, Any, None]]
    protective: bool


class RequestDesk:
    """The gateway's state. Everything in here runs on the event loop."""

    def __init__(self, wiring: Wiring, actor: Gateway) -> None:
        """Reports through `actor`, which refuses to speak once it is fenced."""
        self._wiring = wiring
        self._actor = actor
        self._client = wiring.open_client()
        self._epochs: dict[PositionId, Epoch] = {}
        self._waiting: list[Job] = []
        self._numbers = itertools.count()
        self._running: set[asyncio.Task[None]] = set()
        self._protective_running = 0
        self._tokens = float(QUESTION_BURST)
        self._tokens_at = actor.clock.monotonic()
        self._paused_until = 0.0
        self._entries_closed: dict[str, str] = {}
        self._leverage_set: set[str] = set()
        self._retry: asyncio.TimerHandle | None = None

    async def connect(self) -> dict[str, Instrument]:
        """Load the markets."""
        return dict(await self._client.connect())

    async def drain(self) -> None:
        """Wait for what is on its way, then give the connections back."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=3)
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
            case Perform():
                self._queue(_priority(message), lambda: self._perform(message))
            case AskSnapshot(reply_to=reply_to):
                self._queue(Priority.QUERY, lambda: self._snapshot(reply_to))
            case CancelOrphan(ref=ref):
                self._queue(Priority.QUERY, lambda: self._cancel_orphan(ref))
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

    # Turns.

    def _queue(self, priority: Priority, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        protective = priority in (Priority.PROTECTION, Priority.CLOSING)
        heapq.heappush(
            self._waiting, Job(rank=_ORDER[priority], number=next(self._numbers), work=work, protective=protective)
        )
        self._next()

    def _next(self) -> None:
        """Start what may start. Protection and closing wait only for their own kind."""
        while self._waiting:
            job = self._waiting[0]
            others = len(self._running) - self._protective_running
            if job.protective:
                if self._protective_running >= AT_ONCE:
                    return
            elif others >= AT_ONCE - RESERVED_FOR_PROTECTION or not self._affordable():
                return
            heapq.heappop(self._waiting)
            self._protective_running += job.protective
            task = asyncio.get_running_loop().create_task(job.work())
            self._running.add(task)
            task.add_done_callback(lambda done, job=job: self._done(done, job))  # type: ignore[misc]

    def _affordable(self) -> bool:
        now = self._actor.clock.monotonic()
        self._tokens = min(QUESTION_BURST, self._tokens + (now - self._tokens_at) * QUESTIONS_A_SECOND)
        self._tokens_at = now
        wait = max(self._paused_until - now, (1 - self._tokens) / QUESTIONS_A_SECOND)
        if wait <= 0:
            self._tokens -= 1
            return True
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(wait, self._retry_now)
        return False

    def _retry_now(self) -> None:
        self._retry = None
        self._next()

    def _done(self, task: asyncio.Task[None], job: Job) -> None:
        self._running.discard(task)
        self._protective_running -= job.protective
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            logger.opt(exception=error).critical("GATEWAY_ERROR account={} error={!r}", self._wiring.account, error)
        self._next()

    # Requests.

    async def _perform(self, request: Perform) -> None:
        match request.effect:
            case Place(intent=intent):
                await self._place(request, intent)
            case Cancel(ref=ref):
                await self._cancel(request, ref)
            case Find(ref=ref):
                self._reply(request, AnswerHeard(answer=await self._client.find(ref)))
            case AskPosition():
                await self._question(request, "position", self._position(request))
            case AskFills(since=since):
                await self._question(request, "fills", self._fills(request, since))
            case AskCandles(since=since):
                await self._question(request, "candles", self._candles(request, since))

    async def _place(self, request: Perform, intent: OrderIntent) -> None:
        refusal = self._refusal(request, intent)
        if refusal is None and intent.kind is OrderKind.ENTRY:
            refusal = await self._prepare(intent)
        if refusal is None:
            await self._durable(request.ticket)
            refusal = self._refusal(request, intent)
        if refusal is not None:
            self._reply(request, OutcomeHeard(outcome=refusal))
            return
        outcome = await self._client.place(intent)
        self._note_limits(outcome)
        self._reply(request, OutcomeHeard(outcome=outcome))

    def _refusal(self, request: Perform, intent: OrderIntent) -> Rejected | None:
        """Why an order must not be sent, checked again right before it is."""
        if self._fenced(request):
            return self._rejected(intent, RejectReason.FENCED, "a newer owner has this position")
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
            return self._rejected(intent, failure.reason, f"leverage {leverage} could not be set: {failure.text}")
        self._leverage_set.add(intent.symbol)
        return None

    async def _durable(self, ticket: Ticket | None) -> None:
        """Return once the intent is durable; after 50 ms by our own hand (DESIGN 3, 'Intent first')."""
        if ticket is None or ticket.settled or await ticket.wait(DURABLE_WITHIN_S):
            return
        await asyncio.get_running_loop().run_in_executor(None, self._wiring.spool.append, [ticket.record])
        ticket.settle()
        self._actor.report(EventType.INTENT_SPOOLED, {"record": ticket.record.record_id, "limit_ms": 50})

    async def _cancel(self, request: Perform, ref: OrderRef) -> None:
        if self._fenced(request) or self._wiring.dry_run:
            refused = CancelOutcome(
                ref=ref,
                result=CancelResult.REFUSED,
                code="",
                text="a newer owner has this position" if not self._wiring.dry_run else "dry run: nothing is sent",
                answered_at=self._actor.clock.now(),
            )
            self._reply(request, CancelHeard(outcome=refused))
            return
        await self._durable(request.ticket)
        self._reply(request, CancelHeard(outcome=await self._client.cancel(ref)))

    async def _question(self, request: Perform, what: str, answer: Coroutine[Any, Any, object]) -> None:
        try:
            self._reply(request, await answer)
        except VenueFailure as failure:
            self._note_pause(failure.reason, failure.retry_after_s)
            self._reply(request, QuestionFailed(what=what, text=str(failure)))

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
        self._paused_until = max(self._paused_until, self._actor.clock.monotonic() + pause)
        self._actor.report(EventType.RATE_LIMITED, {"reason": reason.value, "pause_s": pause})

def _priority(request: Perform) -> Priority:
    match request.effect:
        case Place(intent=intent):
            return intent.priority
        case Cancel():
            return Priority.CLOSING
        case _:
            return Priority.QUERY
