"""Getting out: an operator's close, a roll-back, a stop that did not do its work. Every step is idempotent.

One reduce-only market order at a time; one of unknown fate is asked about before another is sent (LAWS S7, S12, S14).
The stop stays in force until the position is flat. When neither a close nor a stop can be had, an emergency stop
further away is tried, a human is called, and everything goes on being tried until the venue shows flat or covered.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import takewhile

from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.orders import OrderIntent, Rejected, RejectReason
from domain.position import ladder, ledger
from domain.position.cover import covered
from domain.position.state import CloseReason, ExitOrder, OrderState, Position
from domain.position.turn import Turn

EXIT_PAUSE_S = 0.25
ENTRY_PATIENCE_S = 2.0
EXIT_PAUSE_LIMIT_S = 5
REFUSALS_BEFORE_EMERGENCY = 2
TAKE_PROFIT_PAUSE_LIMIT_S = 60


def decide(turn: Turn) -> None:
    """Send the next exit order when one is wanted and none is under way."""
    p = turn.position
    wants = p.close_wanted is not None or p.close_fraction is not None
    if not (wants or ladder.owed(p)) or ledger.exposure(p) <= 0:
        return
    if any(not x.state.over for x in p.exits):
        return
    if not wants:
        _take_profit(turn)
        return
    if _entry_goes_on(turn) or _only_shown(p):
        return
    _emergency(turn)
    p = turn.position
    if p.exit_retry_at is not None and turn.now < p.exit_retry_at:
        turn.wake_at(p.exit_retry_at)
        return
    quantity = _quantity(p)
    if quantity <= 0:
        turn.set(close_fraction=None)
        return
    final = p.close_wanted is not None
    _send(turn, quantity, p.close_wanted or p.part_reason or CloseReason.OPERATOR, final)


def _entry_goes_on(turn: Turn) -> bool:
    """A close waits a moment for an entry that still fills under a stop on the position itself.

    That stop goes when the position is flat, and what the entry fills after it would stand bare.
    """
    p = turn.position
    if not p.plan.venue.attached_stop or p.entry is None or p.entry.state.over or not covered(turn):
        return False
    until = p.entry.sent_at + timedelta(seconds=ENTRY_PATIENCE_S)
    if turn.now >= until:
        return False
    turn.wake_at(until)
    return True


def _only_shown(p: Position) -> bool:
    """All that we know of is closed, and a reading shows a size: it may be a human's who opened after us (S9).

    The list of executions is asked for, and tells; or the readings go on saying so, and are believed.
    """
    return ledger.has_history(p) and ledger.book(p) <= 0


def _take_profit(turn: Turn) -> None:
    """Close at market what the mark passed before a take-profit rested there; after refusals with growing pauses."""
    p = turn.position
    tries = [x for x in p.exits if x.reason is CloseReason.TAKE_PROFIT]
    refusals = len(list(takewhile(lambda x: x.state is OrderState.REFUSED, reversed(tries))))
    if refusals:
        again = tries[-1].sent_at + timedelta(seconds=min(2**refusals, TAKE_PROFIT_PAUSE_LIMIT_S))
        if turn.now < again:
            turn.wake_at(again)
            return
    quantity = min(ladder.owed(p), ledger.exposure(p), p.instrument.max_market_quantity)
    _send(turn, quantity, CloseReason.TAKE_PROFIT, final=False)


def _quantity(p: Position) -> Decimal:
    exposure = ledger.exposure(p)
    if p.close_wanted is None and p.close_fraction is not None:
        exposure = p.instrument.floor_quantity(exposure * p.close_fraction)
    return min(exposure, p.instrument.max_market_quantity)


def _send(turn: Turn, quantity: Decimal, reason: CloseReason, final: bool) -> None:
    client_id = turn.mint(OrderKind.EXIT)
    p = turn.position
    order = ExitOrder(
        client_id=client_id,
        quantity=quantity,
        state=OrderState.SENDING,
        sent_at=turn.now,
        reason=reason,
        final=final,
    )
    turn.set(
        exits=(*p.exits, order),
        close_fraction=None,
        exit_retry_at=turn.now + timedelta(seconds=EXIT_PAUSE_S),
    )
    turn.say(
        EventType.EXIT_PLACED,
        {
            "side": p.side.closing,
            "symbol": p.symbol,
            "order_id": client_id,
            "quantity": quantity,
            "reason": reason,
            "mark_price": p.mark_price,
        },
        order_id=client_id,
    )
    turn.place(
        OrderIntent(
            client_id=client_id,
            position_id=p.id,
            account=p.account,
            symbol=p.symbol,
            kind=OrderKind.EXIT,
            side=p.side.closing,
            position_side=p.side,
            quantity=quantity,
            reduce_only=True,
            reference_price=p.mark_price,
        )
    )


def refused(turn: Turn, order: ExitOrder, outcome: Rejected, data: dict[str, object]) -> None:
    """An exit was refused: a reduce-only refusal means that the position is not what we think, all else is retried."""
    if outcome.reason is RejectReason.FENCED:
        turn.set(exit_retry_at=None)  # our predecessor's, never sent: decided anew at once
        return
    if order.reason is CloseReason.TAKE_PROFIT:  # says nothing of whether a close would be taken, and delays none
        turn.say(EventType.EXIT_REFUSED, data, order_id=order.client_id)
        turn.set(exit_retry_at=None)
        if outcome.reason is RejectReason.REDUCE_ONLY:
            turn.set(verify_wanted=True, verify_at=None)
        return
    in_vain(turn, order)
    turn.say(EventType.EXIT_REFUSED, {**data, "refusals": turn.position.exit_refusals}, order_id=order.client_id)
    if outcome.reason is RejectReason.REDUCE_ONLY:
        turn.set(verify_wanted=True, verify_at=None)


def in_vain(turn: Turn, order: ExitOrder) -> None:
    """An exit closed nothing: refused, never arrived, or expired without a fill. The next one waits longer."""
    if order.reason is CloseReason.TAKE_PROFIT:
        return
    refusals = turn.position.exit_refusals + 1
    wait = min(EXIT_PAUSE_S * 2 ** min(refusals, 6), EXIT_PAUSE_LIMIT_S)
    turn.set(exit_refusals=refusals, exit_retry_at=turn.now + timedelta(seconds=wait))


def _emergency(turn: Turn) -> None:
    """Neither covered nor able to close: an emergency stop, and a human."""
    p = turn.position
    if covered(turn) or p.exit_refusals < REFUSALS_BEFORE_EMERGENCY:
        return
    if not p.emergency_wanted:
        turn.set(emergency_wanted=True, stop_retry_at=None)


def watch_intervention(turn: Turn) -> None:
    """Raise or lower the flag that a human is needed: open, not covered, and closing does not work."""
    p = turn.position
    bare = ledger.exposure(p) > 0 and not covered(turn)
    helpless = bare and p.exit_refusals > REFUSALS_BEFORE_EMERGENCY and p.stop_refusals > 0
    if helpless and not p.needs_intervention:
        turn.set(needs_intervention=True)
        turn.say(
            EventType.POSITION_NEEDS_INTERVENTION,
            {
                "symbol": p.symbol,
                "quantity": ledger.exposure(p),
                "exit_refusals": p.exit_refusals,
                "stop_refusals": p.stop_refusals,
            },
        )
    elif p.needs_intervention and not bare:
        turn.set(needs_intervention=False)
        turn.say(EventType.POSITION_INTERVENTION_OVER, {"symbol": p.symbol})
