"""The gateway: the only way to an account's exchange. One for an account, so that check-and-send is one step.

It lives on an event loop of its own; the actor only hands over what it is told. Rules of this file:
- A request of an older epoch than the newest seen for its position is refused, checked last before the first byte.
- How an order leaves, its intent durable before it, is `sending`'s.
- Nothing leaves once another process has the account; whoever cannot prove that it is ours sends by DESIGN 3's table.
- What came in order for one position is sent in order only by priority: protection, closing, move, entry, query (S15).
- Whatever happens to a request, its sender gets exactly one answer, or a `GatewayStarted` when this gateway dies; none
  once another process has the account: this one ends, and its owners have nothing more to decide. Questions that say
  the same and wait together are one.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from loguru import logger

from actors import costs, messages
from actors.account_check import AccountCheck
from actors.admission import Admission, Wiring
from actors.budget import Cost
from actors.candle_questions import CandleQuestions
from actors.guard import ActorContext
from actors.loop import EventLoop
from actors.mark_questions import MarkQuestions
from actors.messages import (
    AskMarkCandles,
    AskQuote,
    AskSnapshot,
    AskTradedCandles,
    Claim,
    DatabaseIs,
    Disown,
    GatewayStarted,
    LockIs,
    Perform,
    QuoteHeard,
    SnapshotFailed,
    SnapshotTaken,
)
from actors.moves import StopMove
from actors.questions import Questions, Waiting, failed, key_of
from actors.reporting import ReportingActor
from actors.sending import Sending
from actors.switch_messages import AskFunds
from actors.turns import WAITING, Turns
from actors.upkeep import Upkeep
from actors.zombie_messages import AskSymbol, CancelZombie
from actors.zombie_requests import ZombieRequests
from adapters.exchange.interface import Holding, VenueFailure
from domain.catalogue import EventType
from domain.entries.funds import Funds
from domain.identity import ClientOrderId
from domain.instrument import Instrument
from domain.orders import (
    Answer,
    CancelOutcome,
    CancelResult,
    Found,
    NoAnswer,
    OrderIntent,
    OrderRef,
    Priority,
    RejectReason,
    Unknown,
)
from domain.position import urgency
from domain.position.effects import AskCandles, AskFills, AskPosition, Cancel, Find, Place
from domain.position.inputs import AnswerHeard, CancelHeard, OutcomeHeard
from domain.position.urgency import Standing

__all__ = ["Gateway", "Wiring"]

FUNDS_APART_S = 25.0  # readings that follow one another to make sure of something are not about money
PROOF_AFTER_S = 3.0
DRAIN_S = 3.0


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
        if not wiring.lease.ever_proven:  # started without the database: who else was here, the exchange tells
            self._loop.submit(desk.look_first()).result(timeout=30)
        account = wiring.account
        self.report(EventType.ACCOUNT_CONNECTED, {"symbols": len(wiring.instruments)})
        self._loop.submit(desk.upkeep.begin(first=wiring.standing.facts is None)).result(timeout=30)
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
        self._turns = Turns(wiring.account, actor.clock, self._client.limits)
        self._placing: set[ClientOrderId] = set()
        self._funds_read_at: float | None = None
        self.upkeep = Upkeep(
            wiring.account,
            self._client,
            self._turns,
            actor,
            wiring.instruments,
            wiring.owners,
            wiring.standing,
            AccountCheck(self._client, actor, wiring.standing, wiring.expected),
        )
        marks = MarkQuestions(
            wiring.account, wiring.marks, self._client, actor.clock, lambda: self._turns.charge(costs.MARK)
        )
        self._admission = Admission(wiring, actor, self._client, self.upkeep, marks, self._turns.charge)
        self._sending = Sending(
            wiring, actor, self._client, self._admission, marks, self.upkeep, self._note_failure
        )
        self._waiting = Waiting(lambda work, cost: self._queue(Priority.QUERY, work, cost))
        self._questions = Questions(wiring, self._client, actor.clock.now, self._venue_failed)
        self._zombies = ZombieRequests(wiring, self._client, actor, self._venue_failed)
        self._candles_asked = CandleQuestions(wiring.account, self._client, actor, self._venue_failed)

    async def connect(self) -> dict[str, Instrument]:
        """Load the markets."""
        return dict(await self._client.connect())

    async def look_first(self) -> None:
        """See whether orders of a higher term rest at the venue. Raises VenueFailure."""
        self._turns.charge(costs.reading(owned=0))
        for report in (await self._client.snapshot()).orders:
            self._wiring.lease.saw(report.client_id, "open orders at the start")

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
                self._admission.claim(fence)
            case Disown(position_id=position_id):
                self._admission.disown(position_id)
            case Perform(effect=Find() | AskPosition() | AskFills() | AskCandles()):
                self._waiting.add(key_of(message), lambda: self._perform(message), costs.of(message))
            case Perform(effect=effect):
                if isinstance(effect, Place):
                    self._placing.add(effect.intent.client_id)
                    if self._queue_if_move(message, effect.intent):
                        return
                self._queue(costs.priority(message), lambda: self._perform(message), costs.of(message))
            case AskSnapshot(reply_to=reply_to):
                self._queue_reading(reply_to)
            case AskFunds():
                self._queue(Priority.QUERY, self._read_funds, costs.FUNDS)
            case AskMarkCandles(since=since):
                cost = costs.candles_since(since, self._actor.clock.now())
                self._queue(Priority.QUERY, lambda: self._candles_asked.mark(message), cost)
            case AskQuote():
                # Part of an entry, which waits for it.
                self._queue(Priority.ENTRY, lambda: self._quote(message), costs.QUOTE)
            case AskTradedCandles(count=count):
                self._queue(Priority.QUERY, lambda: self._candles_asked.traded(message), costs.page(count))
            case AskSymbol() | CancelZombie():
                self._hunt(message)
            case DatabaseIs(up=up):
                self._admission.close_entries("database", None if up else "the database cannot be reached")
            case LockIs(held=held, reason=reason):
                self._admission.close_entries("lock", None if held else reason)
            case _:
                logger.error("GATEWAY_UNKNOWN_MESSAGE type={}", type(message).__name__)

    def _hunt(self, message: AskSymbol | CancelZombie) -> None:
        if isinstance(message, AskSymbol):
            cost = costs.SYMBOL if message.rows else costs.SYMBOL_ORDERS
            self._waiting.add(("symbol", message.symbol, message.rows), lambda: self._zombies.read(message), cost)
        else:
            self._queue(Priority.QUERY, lambda: self._zombies.cancel(message), costs.zombie(message.ref))

    def _queue_reading(self, reply_to: str) -> None:
        """The account, and now and then its money beside it."""
        cost = costs.reading(len(self._wiring.owners.all(self._wiring.account)))
        self._waiting.add(("account", reply_to), lambda: self._snapshot(reply_to), cost)
        if self._funds_read_at is None or self._actor.clock.monotonic() > self._funds_read_at + FUNDS_APART_S:
            self._funds_read_at = self._actor.clock.monotonic()
            self._queue(Priority.QUERY, self._read_funds, costs.FUNDS)

    def _queue(self, priority: Priority, work: Callable[[], Coroutine[Any, Any, None]], cost: Cost) -> None:
        self._turns.queue(priority, partial(self._heeded, work), cost)

    async def _heeded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        finally:
            self.upkeep.answered()

    def _queue_if_move(self, request: Perform, intent: OrderIntent) -> bool:
        owners = self._wiring.owners
        if urgency.standing(intent, owners.state(intent.position_id)) is Standing.PROTECTS:
            return False

        def give_back() -> None:
            self._placing.discard(intent.client_id)
            if self._wiring.lease.gone is None:
                outcome = self._admission.rejected(intent, RejectReason.BUDGET, "not sent: no write is left for now")
                self._reply(request, OutcomeHeard(outcome=outcome))

        work = partial(self._heeded, lambda: self._perform(request))
        self._turns.queue_move(StopMove(request, intent, owners, self._wiring.marks, work, give_back))
        return True

    # Requests.

    async def _perform(self, request: Perform) -> None:
        """Answer one request, once. An error of ours is an answer too: nobody knows what became of the request."""
        try:
            answer = await self._answer(request)
        except Exception as error:
            self._reply(request, self._broken(request, f"{type(error).__name__}: {error}"))
            raise
        if self._wiring.lease.gone is None:
            self._reply(request, answer)

    async def _answer(self, request: Perform) -> object:
        match request.effect:
            case Place(intent=intent):
                try:
                    return OutcomeHeard(outcome=await self._sending.place(request, intent))
                finally:
                    self._placing.discard(intent.client_id)
            case Cancel(ref=ref):
                return CancelHeard(outcome=await self._sending.cancel(request, ref))
            case Find(ref=ref):
                return AnswerHeard(answer=await self._find(ref))
            case AskPosition() | AskFills() | AskCandles():
                return await self._questions.answer(request, request.effect)

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
            case AskPosition() | AskFills() | AskCandles():
                return failed(request.effect, text)

    async def _find(self, ref: OrderRef) -> Answer:
        """What became of an order; 'no such order' proves nothing while we ourselves have yet to send it."""
        if ref.client_id in self._placing:
            return NoAnswer(ref=ref, text="the order is still on its way")
        answer = await self._client.find(ref)
        if isinstance(answer, Found):
            self._wiring.lease.saw(answer.report.client_id, "asked for")
        if isinstance(answer, NoAnswer) and answer.retry_after_s is not None:
            self._note_failure(RejectReason.RATE_LIMIT, answer.retry_after_s)
        return answer

    async def _quote(self, ask: AskQuote) -> None:
        answer = QuoteHeard(account=self._wiring.account, symbol=ask.symbol)
        try:
            answer = replace(answer, quote=await self._client.quote(ask.symbol))
        except VenueFailure as failure:
            self._note_failure(failure.reason, failure.retry_after_s, failure.code)
            answer = replace(answer, error=str(failure))
        except Exception as error:
            self._actor.tell(ask.reply_to, replace(answer, error=f"{type(error).__name__}: {error}"))
            raise
        self._actor.tell(ask.reply_to, answer)

    async def _snapshot(self, reply_to: str) -> None:
        try:
            snapshot = await self._client.snapshot(self._held())
        except VenueFailure as failure:
            self._note_failure(failure.reason, failure.retry_after_s, failure.code)
            self._actor.tell(reply_to, SnapshotFailed(text=str(failure)))
            return
        except Exception as error:
            self._actor.tell(reply_to, SnapshotFailed(text=f"{type(error).__name__}: {error}"))
            raise
        if snapshot.left_out:
            self._turns.charge(costs.left_out(snapshot.left_out))
        for report in snapshot.orders:
            self._wiring.lease.saw(report.client_id, "open orders")
        owned = [position.id for position in self._wiring.owners.all(self._wiring.account)]
        self._wiring.standing.seen(snapshot, owned)
        self._actor.tell(reply_to, SnapshotTaken(snapshot=snapshot))

    def _held(self) -> list[Holding]:
        """What a reading has to show even where it is flat: what we own, and what a stranger was last seen to hold.

        Where only open positions are listed a stranger's that is gone would be in the way of entries for ever.
        """
        owners, account, known = self._wiring.owners, self._wiring.account, self._wiring.instruments
        strangers = (p for p in owners.strangers(account) if p.symbol in known and known[p.symbol].trading)
        return [*((p.symbol, p.side) for p in owners.all(account)), *((p.symbol, p.side) for p in strangers)]

    async def _read_funds(self) -> None:
        """Beside a reading of the account, which must not wait for it; after a failure what was known grows old."""
        read_at = self._actor.clock.now()
        try:
            balance = await self._client.balance()
        except VenueFailure as failure:
            self._note_failure(failure.reason, failure.retry_after_s, failure.code)
            logger.warning("BALANCE_UNREAD account={} error={!r}", self._wiring.account, str(failure))
            return
        funds = Funds(wallet=balance.wallet, equity=balance.total, free=balance.free, read_at=read_at)
        self._wiring.standing.funds_read(funds)

    # Answers.

    def _reply(self, request: Perform, answer: object) -> None:
        self._actor.tell(messages.position(request.fence.position_id), answer)

    def _venue_failed(self, failure: VenueFailure) -> None:
        self._note_failure(failure.reason, failure.retry_after_s, failure.code)

    def _note_failure(self, reason: RejectReason, retry_after_s: int | None, code: str = "") -> None:
        """A venue that says 'too much' gets no questions and no entries for as long as it says."""
        if code == "local":
            return  # never sent: what was to be noted has been
        self.upkeep.failed(reason)
        if reason not in (RejectReason.RATE_LIMIT, RejectReason.MAINTENANCE):
            return
        pause = retry_after_s or 5
        entries_closed = reason is RejectReason.MAINTENANCE  # then an entry's answer need not wait
        self._turns.pause(pause, (Priority.QUERY,) if entries_closed else WAITING)
        self._actor.report(EventType.RATE_LIMITED, {"reason": reason.value, "pause_s": pause})

