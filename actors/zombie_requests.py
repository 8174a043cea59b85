"""A gateway's part in the hunt for zombie orders: one symbol read, one order of nobody's cancelled; each answered once.

On the gateway's event loop, as the rest of its requests.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from actors.admission import Wiring
from actors.reporting import ReportingActor
from actors.zombie_messages import AskSymbol, CancelZombie, SymbolRead, ZombieAnswered
from adapters.exchange.interface import TradingClient, VenueFailure
from adapters.exchange.transport import last_look
from domain.lease import Deed
from domain.orders import CancelOutcome, CancelResult


class ZombieRequests:
    """Used by one gateway."""

    def __init__(
        self, wiring: Wiring, client: TradingClient, actor: ReportingActor, note_failure: Callable[[VenueFailure], None]
    ) -> None:
        """Answers in the name of `actor`; `note_failure` hears of everything that the venue refuses."""
        self._wiring = wiring
        self._client = client
        self._actor = actor
        self._note_failure = note_failure

    async def read(self, ask: AskSymbol) -> None:
        """The rows and open orders of one symbol."""
        answer = SymbolRead(symbol=ask.symbol, snapshot=None)
        try:
            snapshot = await self._client.symbol_snapshot(ask.symbol, rows=ask.rows)
            answer = SymbolRead(symbol=ask.symbol, snapshot=snapshot)
        except VenueFailure as failure:
            self._note_failure(failure)
            answer = SymbolRead(symbol=ask.symbol, snapshot=None, error=str(failure))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            self._actor.tell(ask.reply_to, SymbolRead(symbol=ask.symbol, snapshot=None, error=text))
            raise
        if answer.snapshot is not None:
            for report in answer.snapshot.orders:
                self._wiring.lease.saw(report.client_id, "open orders of a symbol")
        self._actor.tell(ask.reply_to, answer)

    async def cancel(self, order: CancelZombie) -> None:
        """Cancel what nobody has in hand, unless the account is not ours for that, or somebody has it by now."""
        why = await self._held_back(order)
        try:
            outcome = await self._cancelled(order) if why is None else self._refused(order, why, CancelResult.REFUSED)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            self._tell(order, self._refused(order, text, CancelResult.UNKNOWN))
            raise
        self._tell(order, outcome)

    async def _cancelled(self, order: CancelZombie) -> CancelOutcome:
        with last_look(lambda: self._wiring.lease.withheld(Deed.UPKEEP)):
            return await self._client.cancel(order.ref)

    async def _held_back(self, order: CancelZombie) -> str | None:
        if self._wiring.dry_run:
            return "dry run: nothing is sent"
        if self._actor.fenced:
            return "this gateway was replaced"
        why = await self._wiring.lease.renewed(Deed.UPKEEP)
        if why is None and order.ref.attached and self._wiring.owners.owners_on(self._wiring.account, order.ref.symbol):
            why = "a position of ours is there by now"
        return why

    def _refused(self, order: CancelZombie, text: str, result: CancelResult) -> CancelOutcome:
        now: datetime = self._actor.clock.now()
        return CancelOutcome(ref=order.ref, result=result, code="", text=text, answered_at=now)

    def _tell(self, order: CancelZombie, outcome: CancelOutcome) -> None:
        self._actor.tell(order.reply_to, ZombieAnswered(key=order.key, outcome=outcome))
