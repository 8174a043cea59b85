"""Whether an order may leave, asked before its intent is durable and again right before its first byte.

Runs on the gateway's event loop. Rules of this file: nothing here sends an order; an older epoch than the newest seen
for its position is refused; entries may be closed by many (account, lock, database, maintenance), stops and exits only
by the lease, as the table of DESIGN 3 says; an order that breaks a rule of LAWS S13 is refused whoever decided it.
What can wait is not sent on the word of an old mark price (`unpriced`); what protects does not wait for one, unless
the old price speaks against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from actors import costs
from actors.account_check import Reporter
from actors.budget import Cost
from actors.lease import Lease
from actors.mark_questions import FRESH_S, MarkQuestions
from actors.marks import Marks
from actors.messages import Perform
from actors.owners import Owners
from actors.recording import Recorder
from actors.standing import Standing
from actors.upkeep import Upkeep
from adapters.exchange.interface import TradingClient
from domain.accounts import Expected
from domain.catalogue import EventType
from domain.identity import Epoch, OrderKind, PositionId
from domain.instrument import Instrument, PositionSide
from domain.lease import Deed, deed_of, deed_of_cancel
from domain.orders import Fence, OrderIntent, PositionReport, Rejected, RejectReason
from domain.position import urgency
from domain.sanity import Objection, Rule, check_intent, refusal_of
from persistence.spool import Spool

STALE_S = 4.0  # with window and skew still before the owner takes an absent order for absent (8 s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a gateway is given. `expected`: what the settings say of the account now."""

    account: str
    open_client: Callable[[], TradingClient]
    expected: Callable[[], Expected]
    standing: Standing
    lease: Lease
    instruments: dict[str, Instrument]
    owners: Owners
    marks: Marks
    spool: Spool
    recorder: Recorder
    leverage: Callable[[str], int]
    max_stop_distance_pct: Decimal
    dry_run: bool


class Admission:
    """One gateway's."""

    def __init__(
        self,
        wiring: Wiring,
        actor: Reporter,
        client: TradingClient,
        upkeep: Upkeep,
        marks: MarkQuestions,
        charge: Callable[[Cost], object],
    ) -> None:
        """`upkeep` knows the filters that are in force, `marks` the prices; `charge`: what is asked on the way."""
        self._wiring = wiring
        self._actor = actor
        self._client = client
        self._upkeep = upkeep
        self._marks = marks
        self._charge = charge
        self._epochs: dict[PositionId, Epoch] = {}
        self._entries_closed: dict[str, str] = {}
        self._withholding = False

    def claim(self, fence: Fence) -> None:
        """This epoch owns the position from now on; its owner may know older filters."""
        newest = self._epochs.get(fence.position_id)
        if newest is None or newest < fence.epoch:
            self._epochs[fence.position_id] = fence.epoch
        self._upkeep.outdated(self._wiring.owners.state(fence.position_id))

    def disown(self, position_id: PositionId) -> None:
        """The position's life is over."""
        self._epochs.pop(position_id, None)

    def close_entries(self, by: str, reason: str | None) -> None:
        """One ground for closing entries arises, or (None) falls away."""
        if reason is None:
            self._entries_closed.pop(by, None)
        else:
            self._entries_closed[by] = reason

    def refusal(self, request: Perform, intent: OrderIntent) -> Rejected | None:
        """Why an order must not be sent, checked again right before it is."""
        return self.barred(request, intent) or self._insane(request, intent)

    def barred(self, request: Perform, intent: OrderIntent) -> Rejected | None:
        """Why an order must not be sent whatever its prices are."""
        if self.fenced(request):
            return self.rejected(intent, RejectReason.FENCED, "a newer owner has this position")
        if (gone := self._wiring.lease.gone) is not None:
            return self.rejected(intent, RejectReason.FENCED, gone)
        waited = (self._actor.clock.now() - request.asked_at).total_seconds()
        if waited > STALE_S:
            why = f"not sent: it waited {waited:.1f} s, {STALE_S} s at most"
            return self.rejected(intent, RejectReason.TRANSIENT, why)
        if self._wiring.dry_run:
            return self.rejected(intent, RejectReason.ENTRIES_CLOSED, "dry run: nothing is sent")
        if intent.kind is OrderKind.ENTRY and (closed := self._closed_because(intent.symbol)) is not None:
            return self.rejected(intent, RejectReason.ENTRIES_CLOSED, closed)
        instrument = self._wiring.instruments.get(intent.symbol)
        if instrument is None:
            return self.rejected(intent, RejectReason.SYMBOL, f"symbol={intent.symbol}: not known to the venue")
        if self._decided_by_old_filters(intent, instrument):
            return self.rejected(intent, RejectReason.PRECISION, "not sent: the symbol's tick or step has changed")
        return None

    def mark_wanted(self, request: Perform, intent: OrderIntent) -> bool:
        """Whether a mark price has to be asked for before this order is judged."""
        if _judged_by_mark(intent) is None or self._marks.fresh(intent.symbol) is not None:
            return False
        if self._can_wait(intent):
            return True
        if self._marks.newest(intent.symbol) is None and request.mark_price is None:
            return intent.trigger_price is not None
        objection = self._objection(request, intent)
        return objection is not None and objection.rule is Rule.MARK_SIDE

    def unpriced(self, intent: OrderIntent) -> Rejected | None:
        """Why an order that can wait is not sent: no price is known that is young enough to judge it by."""
        if _judged_by_mark(intent) is None or not self._can_wait(intent):
            return None
        if self._marks.fresh(intent.symbol) is not None:
            return None
        newest = self._marks.newest(intent.symbol)
        told = "none" if newest is None else f"the last, {newest.price}, is of {newest.at:%H:%M:%S}"
        text = f"not sent: no mark price of {intent.symbol} of the last {FRESH_S} s is known; {told}"
        reason = RejectReason.ENTRIES_CLOSED if intent.kind is OrderKind.ENTRY else RejectReason.WITHHELD
        return self.rejected(intent, reason, text)

    def _can_wait(self, intent: OrderIntent) -> bool:
        """Whether nothing is unprotected while it is not sent."""
        if intent.kind is not OrderKind.STOP:
            return intent.kind is not OrderKind.EXIT
        state = self._wiring.owners.state(intent.position_id)
        return urgency.standing(intent, state) is not urgency.Standing.PROTECTS

    def _objection(self, request: Perform, intent: OrderIntent) -> Objection | None:
        instrument = self._wiring.instruments[intent.symbol]
        mark = self._marks.newest(intent.symbol)
        return check_intent(
            intent,
            instrument,
            mark.price if mark is not None else request.mark_price,
            request.liquidation_price,
            max_distance_pct=self._wiring.max_stop_distance_pct,
        )

    def _insane(self, request: Perform, intent: OrderIntent) -> Rejected | None:
        """Why its prices or figures forbid it (LAWS S13)."""
        objection = self._objection(request, intent)
        if objection is None:
            return None
        instrument = self._wiring.instruments[intent.symbol]
        if not self._overtaken(request, intent, instrument, objection):
            state = self._wiring.owners.state(intent.position_id)
            self._actor.report(
                EventType.ORDER_REFUSED_UNSAFE,
                {"order_id": intent.client_id, "rule": objection.text},
                symbol=intent.symbol,
                position_id=intent.position_id,
                correlation_id=None if state is None else state.correlation_id,
            )
        return self.rejected(intent, refusal_of(intent, objection), objection.text)

    async def held_back(self, request: Perform, intent: OrderIntent) -> Rejected | None:
        """The last question of all: whether the account is ours still, as far as this order needs that proven."""
        if self._wiring.lease.fresh:
            self._withholding = False
            return None
        deed = self.deed(intent)
        why = await self._wiring.lease.renewed(deed)
        overtaken = self.refusal(request, intent)
        if overtaken is not None or why is None:
            return overtaken
        self._tell_withheld(deed, why, intent.symbol)
        reason = RejectReason.ENTRIES_CLOSED if deed is Deed.ENTRY else RejectReason.WITHHELD
        return self.rejected(intent, reason, why)

    async def cancel_held_back(self, request: Perform) -> str | None:
        """The same for a cancel: why it must not leave."""
        if self._wiring.lease.fresh:
            self._withholding = False
            return None
        deed = self.cancel_deed(request)
        why = await self._wiring.lease.renewed(deed)
        if why is not None:
            self._tell_withheld(deed, why, request.symbol)
        return why

    def deed(self, intent: OrderIntent) -> Deed:
        """What an order does, by the last state that its owner handed over."""
        return deed_of(intent, self._wiring.owners.state(intent.position_id))

    def cancel_deed(self, request: Perform) -> Deed:
        """What a cancel does."""
        return deed_of_cancel(self._wiring.owners.state(request.fence.position_id))

    def _tell_withheld(self, deed: Deed, why: str, symbol: str) -> None:
        """Once, until the lock is proven again: what is withheld is wanted again and again."""
        if not self._withholding and self._wiring.lease.gone is None:
            self._withholding = True
            self._actor.report(EventType.REQUEST_WITHHELD, {"deed": deed.value, "error": why}, symbol=symbol)

    def _overtaken(
        self, request: Perform, intent: OrderIntent, instrument: Instrument, objection: Objection
    ) -> bool:
        """Whether the order was sane by the mark of its decision, if one was known then: its owner is answered as by
        the venue and reports it; nobody has to be called for that.
        """
        if objection.rule is not Rule.MARK_SIDE:
            return False
        limit = self._wiring.max_stop_distance_pct
        then = check_intent(intent, instrument, None, request.liquidation_price, max_distance_pct=limit)
        return then is None

    def _decided_by_old_filters(self, intent: OrderIntent, instrument: Instrument) -> bool:
        """Whether an order fits only the filters that its owner still knew; it is told the new ones."""
        if not self._upkeep.outdated(self._wiring.owners.state(intent.position_id)):
            return False
        named = (intent.trigger_price, intent.limit_price, intent.attached_stop)
        prices = [price for price in named if price is not None]
        return not instrument.on_step(intent.quantity) or not all(instrument.on_tick(price) for price in prices)

    def _closed_because(self, symbol: str) -> str | None:
        """Why there is no entry on the symbol now: account, lock, database, or a margin mode that is not as set."""
        standing = self._wiring.standing
        reasons = [*self._entries_closed.values(), standing.closed_because, standing.margin_refusal(symbol)]
        return "; ".join(reason for reason in reasons if reason) or None

    def fenced(self, request: Perform) -> bool:
        """Whether a newer owner has the position, or this gateway was replaced."""
        newest = self._epochs.get(request.fence.position_id)
        stale = newest is not None and request.fence.epoch < newest
        if stale or self._actor.fenced:
            data = {"position": request.fence.position_id, "effect": type(request.effect).__name__}
            self._actor.report(EventType.REQUEST_FENCED, data, symbol=request.symbol)
            return True
        return False

    def rejected(self, intent: OrderIntent, reason: RejectReason, text: str) -> Rejected:
        """An order that we ourselves refuse."""
        return Rejected(
            client_id=intent.client_id, reason=reason, code="", text=text, sent_at=self._actor.clock.now()
        )

    async def prepare(self, intent: OrderIntent) -> Rejected | None:
        """Leverage, on a symbol without a position (DESIGN 3, 'Hands off'). Raises VenueFailure.

        It is read before each entry: a human may have changed it since the last, and no venue surely tells of that.
        """
        symbol, leverage = intent.symbol, self._wiring.leverage(intent.symbol)
        if leverage <= 0:
            return None
        hedged = self._wiring.expected().hedge_mode
        row = await self._row(symbol, intent.position_side if hedged else None)
        shown = self._wiring.standing.leverage(symbol) if row.leverage is None else row.leverage
        if row.leverage == leverage:
            return None
        held = bool(row.quantity)
        if hedged and not held:
            other = PositionSide.SHORT if intent.position_side is PositionSide.LONG else PositionSide.LONG
            held = bool((await self._row(symbol, other)).quantity)
        if not held:
            self._charge(costs.LEVERAGE)
            await self._client.set_leverage(symbol, leverage)
        elif shown != leverage:
            text = f"leverage {leverage} is not set on {symbol}: a position is open there, with leverage {shown}"
            return self.rejected(intent, RejectReason.OTHER, text)
        return None

    async def _row(self, symbol: str, side: PositionSide | None) -> PositionReport:
        """What the venue shows of a position, whosever it is. Raises VenueFailure."""
        self._charge(costs.QUESTION)
        return await self._client.position(symbol, side)


def _judged_by_mark(intent: OrderIntent) -> Decimal | None:
    """The price in an order that has to lie on its side of the mark, if there is one."""
    return intent.trigger_price if intent.trigger_price is not None else intent.attached_stop
