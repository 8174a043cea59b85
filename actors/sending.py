"""One order, or one cancel, on its way out of the gateway: judged, made durable, judged again before its first byte.

On the gateway's event loop. Rules of this file:
- No order leaves before its intent is durable: acknowledged by the journal, or after 50 ms put into the spool by us.
- Whatever was waited for (a mark price, the journal, the proof of the lock, a connection), the order is judged again
  after it; the last time in the very call that writes its first byte.
- What can wait is not sent on an old mark price: it is asked for. What protects is not held up for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.admission import Admission, Wiring
from actors.mark_questions import ENTRY_WITHIN_S, WITHIN_S, MarkQuestions
from actors.messages import Perform
from actors.reporting import ReportingActor
from actors.ticket import Ticket
from actors.upkeep import Upkeep
from adapters.exchange.interface import TradingClient, VenueFailure
from adapters.exchange.transport import last_look
from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.orders import CancelOutcome, CancelResult, OrderIntent, OrderRef, Outcome, Rejected, RejectReason
from persistence.spool import SpoolFull

DURABLE_WITHIN_S = 0.05
DISK_WITHIN_S = 1.0


class LastLook:
    """Called right before the first byte: the reason why it must not leave, None: it may. `refusal`: what it was."""

    def __init__(self, withheld: Callable[[], str | None], refusal: Callable[[], Rejected | None]) -> None:
        """`withheld`: what the lease says; `refusal`: what speaks against this order now."""
        self._withheld = withheld
        self._refusal = refusal
        self.refusal: Rejected | None = None

    def __call__(self) -> str | None:
        """Look."""
        why = self._withheld()
        if why is None:
            self.refusal = self._refusal()
            why = None if self.refusal is None else self.refusal.text
        return why


class Sending:
    """One gateway's."""

    def __init__(
        self,
        wiring: Wiring,
        actor: ReportingActor,
        client: TradingClient,
        admission: Admission,
        marks: MarkQuestions,
        upkeep: Upkeep,
        note_failure: Callable[[RejectReason, int | None, str], None],
    ) -> None:
        """`note_failure` hears of everything that the venue refuses."""
        self._wiring = wiring
        self._actor = actor
        self._client = client
        self._admission = admission
        self._marks = marks
        self._upkeep = upkeep
        self._note_failure = note_failure

    async def place(self, request: Perform, intent: OrderIntent) -> Outcome:
        """Send an order, or say why not."""
        admission, entry = self._admission, intent.kind is OrderKind.ENTRY
        refusal = admission.barred(request, intent)
        if refusal is None:
            if admission.mark_wanted(request, intent):
                await self._marks.ask(intent.symbol, ENTRY_WITHIN_S if entry else WITHIN_S)
            refusal = self._against(request, intent)
        if refusal is None and entry:
            refusal = await admission.held_back(request, intent) or await self._prepared(intent)
        if refusal is None:
            durable = await self._durable(request.ticket)
            refusal = admission.refusal(request, intent)
            if refusal is None and entry:
                refusal = self._unwritten(request, intent, durable)
        return await self._sent(request, intent) if refusal is None else refusal

    async def _sent(self, request: Perform, intent: OrderIntent, *, again: bool = True) -> Outcome:
        """What the venue said of it; or, not a byte having left, what spoke against it at the last moment."""
        refusal = await self._admission.held_back(request, intent)
        if refusal is None and self._admission.unpriced(intent) is not None:
            await self._marks.ask(intent.symbol)
        refusal = refusal or self._against(request, intent)
        if refusal is not None:
            return refusal
        look = LastLook(
            lambda: self._wiring.lease.withheld(self._admission.deed(intent)), lambda: self._against(request, intent)
        )
        with last_look(look):
            sent_at = self._actor.clock.monotonic()
            outcome = await self._client.place(intent)
        if look.refusal is None:
            took_s = self._actor.clock.monotonic() - sent_at
            self._wiring.recorder.tally.round_trip(self._wiring.account, intent.kind.name.lower(), took_s)
        if not isinstance(outcome, Rejected):
            return outcome
        if look.refusal is None:
            self._note_failure(outcome.reason, outcome.retry_after_s, outcome.code)
            if outcome.reason is RejectReason.NO_FUNDS and intent.kind is OrderKind.ENTRY:
                self._upkeep.short_of_funds(outcome.text)
            if outcome.reason is RejectReason.PRECISION:
                await self._upkeep.filter_broken()
            return outcome
        if again and self._admission.unpriced(intent) is not None:
            # The price grew old while a connection was waited for: once more, by a new one.
            return await self._sent(request, intent, again=False)
        return look.refusal

    def _against(self, request: Perform, intent: OrderIntent) -> Rejected | None:
        return self._admission.refusal(request, intent) or self._admission.unpriced(intent)

    async def cancel(self, request: Perform, ref: OrderRef) -> CancelOutcome:
        """Send a cancel, or say why not."""
        text = "a newer owner has this position" if not self._wiring.dry_run else "dry run: nothing is sent"
        if not self._wiring.dry_run and not self._admission.fenced(request):
            await self._durable(request.ticket)
            held_back = await self._admission.cancel_held_back(request)
            if held_back is None and not self._admission.fenced(request):
                with last_look(lambda: self._wiring.lease.withheld(self._admission.cancel_deed(request))):
                    return await self._client.cancel(ref)
            text = held_back or text
        now = self._actor.clock.now()
        return CancelOutcome(ref=ref, result=CancelResult.REFUSED, code="", text=text, answered_at=now)

    def _unwritten(self, request: Perform, intent: OrderIntent, durable: bool) -> Rejected | None:
        """Why the record of an entry forbids it. What the database refuses is somebody else's already: of two processes
        that act on one signal only one gets its position written (SYSTEM A4).
        """
        why = None if durable else "the intent cannot be written anywhere"
        if request.ticket is not None and request.ticket.refused:
            why = "the database refuses the position: see its record_poisoned"
        return None if why is None else self._admission.rejected(intent, RejectReason.ENTRIES_CLOSED, why)

    async def _prepared(self, intent: OrderIntent) -> Rejected | None:
        try:
            return await self._admission.prepare(intent)
        except VenueFailure as failure:
            self._note_failure(failure.reason, failure.retry_after_s, failure.code)
            text = f"leverage {self._wiring.leverage(intent.symbol)} could not be set: {failure.text}"
            return self._admission.rejected(intent, failure.reason, text)

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
