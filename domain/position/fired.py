"""A stop that fires: its own order tells, or what it executed, whichever is heard; from then on it is watched.

Rules of this file. What fired is said once, with the price of the stop. A venue's own order for a stop on the position
bears no id of ours, and once the position is flat nothing shows that stop any more: then its execution alone tells.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from domain.catalogue import EventType
from domain.orders import Fill, OrderReport, OrderStatus, Source
from domain.position import attached, ledger, trailing
from domain.position.cover import TRIGGERED_LIMIT_S
from domain.position.state import CloseReason, OrderState, StopOrder, TrailState
from domain.position.turn import Turn

STUCK_ASK_S = 0.5
STUCK_CLOSE_S = 1.5
TRIGGERED_ASK_S = 0.3


def triggered(turn: Turn, stop: StopOrder, report: OrderReport) -> None:
    """The venue says the trigger price was touched. That an order exists says nothing of its fill (VENUES T8)."""
    child = report.child_id or stop.child_id
    if stop.state is OrderState.TRIGGERED:
        if child != stop.child_id:
            turn.put(replace(stop, child_id=child))
            turn.set(fills_confirmed=False, fills_ask_at=None, fills_questions=0)
        return
    _fires(turn, stop, report.exchange_id, child)
    if report.source is not Source.STREAM:
        ledger.ask_fills(turn)  # it may have fired long ago: what it filled is in no stream of ours


def by_execution(turn: Turn, fill: Fill) -> None:
    """An execution of the stop on the position, counted already: it fired, whatever else was or will be heard of it.

    Flat may have been believed first, and the stop have ended with it: what it was is remembered and said all the same.
    """
    p = turn.position
    counted = any(f.exchange_id == fill.exchange_id for f in p.fills)
    if not fill.by_attached_stop or fill.side is not p.side.closing or not counted:
        return
    if any(s.child_id == fill.exchange_id for s in p.stops):
        return
    stop = attached.standing(p)
    if stop is not None:
        _fires(turn, stop, fill.exchange_id, fill.exchange_id)
        return
    ended = [s for s in p.stops if s.attached and s.accepted_at is not None and s.state is OrderState.DONE]
    if ended:
        turn.put(replace(ended[-1], child_id=fill.exchange_id))
        _say(turn, ended[-1], fill.exchange_id)


def _fires(turn: Turn, stop: StopOrder, exchange_id: str, child: str | None) -> None:
    turn.put(
        replace(
            stop,
            state=OrderState.TRIGGERED,
            exchange_id=exchange_id,
            child_id=child,
            triggered_at=turn.now,
            ask_at=turn.now + timedelta(seconds=TRIGGERED_ASK_S) if child is None else None,
        )
    )
    turn.set(last_activity_at=turn.now, fills_confirmed=False, fills_ask_at=None)
    turn.order_changed(stop.client_id, OrderStatus.TRIGGERED, exchange_id=exchange_id)
    trail = turn.position.trail
    if trail.state is TrailState.TRAILING:
        turn.set(trail=replace(trail, state=TrailState.TRIGGERED))
    _say(turn, stop, child)


def _say(turn: Turn, stop: StopOrder, child: str | None) -> None:
    turn.say(
        EventType.STOP_LOSS_TRIGGERED,
        {"stop_price": stop.trigger, "mark_price": turn.position.mark_price, "child_order_id": child},
        order_id=stop.client_id,
    )


def watch_triggered(turn: Turn) -> None:
    """A stop that triggered and left something open is finished by us: at once when it has filled whole (more of the
    entry came after it), else after the second for which it counts (LAWS S1).
    """
    p = turn.position
    for stop in p.stops:
        if stop.state is not OrderState.TRIGGERED or stop.triggered_at is None:
            continue
        spent = not stop.whole and ledger.filled_by(p, stop.child_id) >= stop.quantity
        if p.close_wanted is None and ledger.book(p) > 0 and spent:
            turn.set(close_wanted=CloseReason.STOP_LOSS)
            data: dict[str, object] = {"reason": CloseReason.STOP_LOSS, "quantity": ledger.book(p)}
            turn.say(EventType.CLOSE_REQUESTED, data)
            return
        limit = stop.triggered_at + timedelta(seconds=TRIGGERED_LIMIT_S)
        if turn.now < limit:
            turn.wake_at(limit)
        elif p.close_wanted is None:
            turn.set(close_wanted=CloseReason.STOP_STUCK)
            turn.say(EventType.STOP_LOSS_STUCK, {"stop_price": stop.trigger, "quantity": ledger.exposure(p)})


def watch_stuck(turn: Turn) -> None:
    """The mark is beyond a resting stop: ask about it, and close when it goes on doing nothing."""
    p = turn.position
    stop = trailing.stop_in_force(p)
    beyond = trailing.passed(p)
    if beyond is (p.beyond_stop_since is None):
        turn.note(beyond_stop_since=turn.now if beyond else None)
        p = turn.position
    if p.beyond_stop_since is None or stop is None:
        return
    ask, close = (p.beyond_stop_since + timedelta(seconds=s) for s in (STUCK_ASK_S, STUCK_CLOSE_S))
    if turn.now < ask:
        turn.wake_at(ask)
        return
    if stop.ask_at is None and turn.now < ask + timedelta(seconds=STUCK_ASK_S):
        turn.find(stop)
        turn.put(replace(stop, ask_at=close, questions=stop.questions + 1))
    if turn.now < close:
        turn.wake_at(close)
    elif p.close_wanted is None:
        turn.set(close_wanted=CloseReason.STOP_STUCK)
        turn.say(EventType.STOP_LOSS_STUCK, {"stop_price": stop.trigger, "mark_price": p.mark_price})
