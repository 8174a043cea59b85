"""The end of a life: flat by the venue's word, no order of ours left, the venue's own executions booked.

Rules of this file: nothing ends on silence. What may still act on the symbol is waited for, for a while, and what it
executed is asked for; then one event tells the whole life.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain.catalogue import EventType
from domain.position import entering, ledger
from domain.position.state import (
    CloseReason,
    OrderState,
    Phase,
    Position,
    StopOrder,
    TargetOrder,
    TrailState,
)
from domain.position.turn import Turn

FILLS_LIMIT_S = 6
WORKED_OFF_S = 60
ASK_STUCK_S = 1
MAX_FILLS_QUESTIONS = 5
UNANSWERED_PAUSE = timedelta(seconds=1)


def finish(turn: Turn) -> None:
    """End the life when the venue shows flat, no order of ours is left, and the venue's own fills are booked."""
    p = turn.position
    if p.phase.final:
        return
    if p.candles_ask_at is not None:
        turn.wake_at(p.candles_ask_at)
    entry_over = p.entry is None or p.entry.state.over
    if ledger.exposure(p) > 0 and p.flat_at is not None:
        turn.set(flat_at=None, fills_confirmed=False, fills_questions=0)  # it was not the end after all
    if not entry_over or not _orders_over(p) or ledger.exposure(p) > 0:
        return
    if not ledger.has_history(p):
        if not p.verify_wanted:
            _end(turn, Phase.FAILED, _failure(p))
        return
    if not ledger.flat(p):
        return
    if p.flat_at is None:
        turn.set(flat_at=turn.now)
    if not (p.fills_confirmed and ledger.itemised(p)) and p.fills_questions < MAX_FILLS_QUESTIONS:
        _ask_fills(turn)
        return
    if _awaits_triggering(turn):
        return
    reason = _reason(p)
    if reason is CloseReason.LIQUIDATION:
        phase = Phase.LIQUIDATED
    elif p.close_wanted is CloseReason.ROLLBACK:
        phase = Phase.ROLLED_BACK
    else:
        phase = Phase.CLOSED
    _end(turn, phase, reason)


def _awaits_triggering(turn: Turn) -> bool:
    """What is stuck in TRIGGERING may still act on whatever comes to the symbol: its position stays, for a while.

    So nobody enters there meanwhile, and what it executes after all is written down (LAWS S6, S10).
    """
    p = turn.position
    conditional: tuple[StopOrder | TargetOrder, ...] = (*p.stops, *p.targets)
    stuck = [order for order in conditional if order.state is OrderState.TRIGGERED and order.child_id is None]
    if not stuck or p.flat_at is None or turn.now >= p.flat_at + timedelta(seconds=WORKED_OFF_S):
        return False
    for order in stuck:
        ask_at = order.ask_at or turn.now + timedelta(seconds=ASK_STUCK_S)
        turn.put(replace(order, ask_at=ask_at))
        turn.wake_at(ask_at)
    return True


def _orders_over(p: Position) -> bool:
    stops_over = all(s.state.over or s.state is OrderState.TRIGGERED for s in (*p.stops, *p.targets))
    return stops_over and all(x.state.over for x in p.exits)


def _ask_fills(turn: Turn) -> None:
    p = turn.position
    if p.fills_ask_at is not None and turn.now < p.fills_ask_at:
        turn.wake_at(p.fills_ask_at)
        return
    limit = turn.now + timedelta(seconds=FILLS_LIMIT_S)
    turn.set(fills_ask_at=limit)
    ledger.ask_fills(turn)
    turn.wake_at(limit)


def _failure(p: Position) -> CloseReason:
    if p.entry is None:
        return CloseReason.OUTSIDE
    if entering.out_of_bounds(p):
        return CloseReason.SLIPPAGE
    if p.entry.state is OrderState.DONE:
        return CloseReason.ENTRY_EXPIRED
    return CloseReason.ENTRY_ABSENT if p.entry.exchange_id is None and p.entry.questions else CloseReason.ENTRY_REFUSED


def _slippage(p: Position) -> dict[str, object]:
    """What decided that nothing was bought."""
    return {
        "reference_price": p.plan.reference_price,
        "slippage_pct": p.plan.slippage_pct,
        "limit_price": entering.bound(p),
        "mark_price": p.mark_price,
        "tries": entering.tries(p),
    }


def _reason(p: Position) -> CloseReason:
    """Why it ended: by the last order that closed some of it."""
    if any(f.liquidation for f in p.fills):
        return CloseReason.LIQUIDATION
    closing = [f for f in p.fills if f.side is p.side.closing]
    if not closing:
        return CloseReason.OUTSIDE
    last = closing[-1]
    for stop in p.stops:
        if stop.child_id == last.exchange_id:
            trailed = p.trail.state in (TrailState.TRAILING, TrailState.TRIGGERED)
            return CloseReason.TRAILING_STOP if trailed else CloseReason.STOP_LOSS
    if any(target.child_id == last.exchange_id for target in p.targets):
        return CloseReason.TAKE_PROFIT
    for order in p.exits:
        if order.exchange_id == last.exchange_id or order.client_id == last.client_id:
            return order.reason
    return CloseReason.OUTSIDE


ENDS = {
    Phase.FAILED: EventType.POSITION_FAILED,
    Phase.CLOSED: EventType.POSITION_CLOSED,
    Phase.ROLLED_BACK: EventType.POSITION_ROLLED_BACK,
    Phase.LIQUIDATED: EventType.POSITION_LIQUIDATED,
}


def _end(turn: Turn, phase: Phase, reason: CloseReason) -> None:
    turn.set(
        phase=phase,
        close_reason=reason,
        closed_at=turn.now,
        unprotected_since=None,
        needs_intervention=False,
        entry_shown=None,
        stops=tuple(replace(s, state=OrderState.DONE) if not s.state.over else s for s in turn.position.stops),
        targets=tuple(replace(t, state=OrderState.DONE) if not t.state.over else t for t in turn.position.targets),
    )
    p = turn.position
    pnl, fees, apart = ledger.realized_pnl(p), ledger.fees(p), ledger.fees_apart(p)
    turn.say(
        ENDS[phase],
        {
            **(_slippage(p) if reason is CloseReason.SLIPPAGE else {}),
            "symbol": p.symbol,
            "side": p.side,
            "reason": reason,
            "entry_price": ledger.entry_price(p),
            "exit_price": ledger.exit_price(p),
            "quantity": ledger.opened_quantity(p),
            "realized_pnl": pnl,
            "fees": fees,
            "net_pnl": pnl - fees,
            **({"fees_apart": ", ".join(f"{amount} {coin}" for coin, amount in apart.items())} if apart else {}),
            "unprotected_seconds": p.unprotected_seconds,
            "stop_updates": p.trail.updates,
        },
    )
