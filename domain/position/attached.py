"""Stops that stand on the position itself, and stops that are changed in place (DESIGN 3, 'Stops on Bybit').

Rules of this file. A stop that comes with the entry shares the entry's fate until the first fill: accepted with it,
void with it. The venue keeps no client id of an attached stop, so every doubt is settled by reading what stands on the
position. A change in place is a stop of its own for us (an intent, an id, an outcome) but never a second order: until
it is known to stand, the old values count.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.orders import OrderReport, OrderStatus, PositionReport
from domain.position import guarding, ledger
from domain.position.plan import MoveStyle
from domain.position.state import ZERO, OrderState, Position, Purpose, StopOrder
from domain.position.turn import Turn

VERIFY_S = 1.0
OPEN_QUESTION = (OrderState.SENDING, OrderState.UNKNOWN)


def with_entry(turn: Turn, trigger: Decimal) -> None:
    """The stop that leaves together with the entry."""
    client_id = turn.mint(OrderKind.STOP)
    stop = StopOrder(
        client_id=client_id,
        quantity=turn.position.plan.quantity,
        trigger=trigger,
        purpose=Purpose.FIRST,
        state=OrderState.SENDING,
        sent_at=turn.now,
        attached=True,
        whole=True,
        with_entry=True,
    )
    turn.set(stops=(stop,), initial_stop=trigger)
    turn.order_changed(client_id, OrderStatus.NEW)
    turn.say(EventType.STOP_LOSS_SENT, {"stop_price": trigger, "purpose": Purpose.FIRST}, order_id=client_id)


def awaited(p: Position) -> bool:
    """Whether a stop is to come into being with a fill that is still to come."""
    return p.entry is not None and not p.entry.state.over and any(s.with_entry and not s.state.over for s in p.stops)


def coming(p: Position) -> StopOrder | None:
    """The stop whose fate is that of the entry, while that is undecided."""
    return next((s for s in p.stops if s.with_entry and s.state in OPEN_QUESTION), None)


def standing(p: Position) -> StopOrder | None:
    """The stop that stands on the position, as far as we know."""
    return next((s for s in p.stops if s.attached and s.covers), None)


def spoken_of(p: Position) -> StopOrder | None:
    """The stop that news of 'the stop on this position' are about: the one that stands, else one of unknown fate."""
    fresh = (s for s in p.stops if s.attached and s.state in OPEN_QUESTION and s.replaces is None)
    return standing(p) or next(fresh, None)


def unseen_until(p: Position) -> datetime | None:
    """Until when an adopted position waits for its first row: a stop set now would overwrite a tighter one there."""
    on_position = p.plan.venue.move is MoveStyle.ATTACHED
    unseen = p.adopted and on_position and not p.protected_once and p.verify_wanted
    return p.opened_at + timedelta(seconds=VERIFY_S) if unseen else None


def name(p: Position) -> str:
    """What we call a stop on the position as long as the venue has not told its own order's id."""
    return f"on {p.symbol} {p.side.value}"


def void(turn: Turn, why: str) -> None:
    """The entry came to nothing, and its stop with it."""
    for stop in turn.position.stops:
        if stop.with_entry and not stop.state.over:
            turn.order_changed(stop.client_id, OrderStatus.REJECTED, reason=why)
            turn.put(replace(stop, state=OrderState.REFUSED, ask_at=None))


def change_of(p: Position, stop: StopOrder) -> StopOrder | None:
    """The change of this stop whose outcome is still open."""
    return next((s for s in p.stops if s.replaces == stop.client_id and s.state in OPEN_QUESTION), None)


def made(turn: Turn, change: StopOrder) -> StopOrder:
    """A change in place stands: it takes over what the venue calls the old one. Returns it as it is known now."""
    old = turn.order(change.replaces)
    if not isinstance(old, StopOrder):
        return change
    wire_id = None if change.attached else old.wire_id or old.client_id
    exchange_id = change.exchange_id if change.attached else old.exchange_id or change.exchange_id
    taken = replace(change, exchange_id=exchange_id, wire_id=wire_id)
    if old.covers:
        turn.order_changed(old.client_id, OrderStatus.CANCELED, exchange_id=old.exchange_id, reason="moved in place")
        turn.put(replace(old, state=OrderState.DONE, ask_at=None))
    elif old.state is OrderState.TRIGGERED and not change.attached:  # the same order: it has triggered since
        taken = replace(
            taken, state=OrderState.TRIGGERED, child_id=old.child_id, triggered_at=old.triggered_at, ask_at=old.ask_at
        )
        turn.put(replace(old, state=OrderState.DONE, ask_at=None))
    else:
        taken = replace(taken, ask_at=turn.now)  # it triggered, or was lost, before the answer: does this one stand?
    turn.put(taken)
    return taken


def supersede(turn: Turn, stop: StopOrder) -> None:
    """A position has one stop on it: setting one anew is the end of whatever was there."""
    for old in turn.position.stops:
        if old.attached and old.covers and old.client_id != stop.client_id:
            turn.order_changed(old.client_id, OrderStatus.CANCELED, reason=f"set anew by {stop.client_id}")
            turn.put(replace(old, state=OrderState.DONE, ask_at=None))


def not_made(turn: Turn, change: StopOrder, why: str) -> None:
    """A change of unknown fate never took effect: the old values stand."""
    turn.order_changed(change.client_id, OrderStatus.REJECTED, reason=why)
    turn.put(replace(change, state=OrderState.REFUSED, ask_at=None))
    turn.say(EventType.TRAILING_MOVE_FAILED, {"stop_price": change.trigger, "error": why}, order_id=change.client_id)


def differs(turn: Turn, stop: StopOrder, report: OrderReport, asked_at: datetime | None) -> None:
    """The venue shows other values than we hold: late news or another hand. Only a newer reading is believed."""
    p = turn.position
    trigger = report.trigger_price
    other_size = not stop.whole and report.quantity != stop.quantity
    if trigger is None or (trigger == stop.trigger and not other_size) or change_of(p, stop) is not None:
        return
    if asked_at is None or (stop.accepted_at is not None and asked_at <= stop.accepted_at):
        turn.put(replace(stop, ask_at=stop.ask_at or turn.now))
        return
    quantity = stop.quantity if stop.whole else report.quantity
    guarding.changed(turn, stop, replace(stop, trigger=trigger, quantity=quantity))
    if p.operator_stop is not None and p.side.better(trigger, p.operator_stop):
        turn.set(operator_stop=trigger)  # the newer wish: going back to the older one would loosen it (S3)
    turn.say(
        EventType.STOP_LOSS_CHANGED_OUTSIDE,
        {"old_stop": stop.trigger, "new_stop": trigger, "old_quantity": stop.quantity, "quantity": quantity},
        order_id=stop.client_id,
    )


def hear_position(turn: Turn, report: PositionReport) -> StopOrder | None:
    """What a position's own row says of the stop on it. Another value is asked about, never believed at once.

    Returns the stop that is no longer there: a row of an open position that is newer than its acceptance and shows none
    is proof enough to set it again, which does no harm should it stand after all.
    """
    p = turn.position
    shown = report.attached_stop
    if shown is None or report.quantity * p.side.sign <= 0 or p.over_at is not None:
        return None
    stop = standing(p)
    if stop is None:
        if shown > 0 and not p.phase.final and not any(s.attached and not s.state.over for s in p.stops):
            _take(turn, report, shown)
        return None
    change = change_of(p, stop)
    if shown == 0 and change is None and stop.accepted_at is not None and report.at > stop.accepted_at:
        return stop
    doubt = shown != stop.trigger and (change is None or shown != change.trigger)
    if doubt and stop.ask_at is None:
        turn.put(replace(stop, ask_at=turn.now))
    return None


def confirmed(turn: Turn, report: PositionReport) -> None:
    """A complete reading of after our last activity shows the stop as we know it: no question of its own is needed."""
    p = turn.position
    stop = standing(p)
    if stop is None or stop.ask_at is None or any(s.attached and s.state in OPEN_QUESTION for s in p.stops):
        return
    if report.quantity * p.side.sign > 0 and report.attached_stop == stop.trigger:
        turn.put(replace(stop, ask_at=None, questions=0))


def _take(turn: Turn, report: PositionReport, trigger: Decimal) -> None:
    """A stop stands on our position that we do not hold: whatever is attached to a position of ours is ours."""
    client_id = turn.mint(OrderKind.STOP)
    stop = StopOrder(
        client_id=client_id,
        quantity=ledger.exposure(turn.position),
        trigger=trigger,
        purpose=Purpose.GUARD,
        state=OrderState.LIVE,
        sent_at=report.at,
        accepted_at=turn.now,
        ask_at=turn.now,
        attached=True,
        whole=True,
    )
    turn.set(stops=(*turn.position.stops, stop), protected_once=True)
    turn.say(EventType.STOP_LOSS_EXISTS, {"symbol": report.symbol, "stop_price": trigger}, order_id=client_id)


def verify_later(turn: Turn, stop: StopOrder) -> StopOrder:
    """Accepted with the entry is not yet standing: look at the position once there has been time for a fill."""
    return replace(stop, ask_at=turn.now + timedelta(seconds=VERIFY_S), questions=0)


def missing(turn: Turn, stop: StopOrder) -> bool:
    """Whether that nothing stands on the position says something: not before a fill of the entry is known."""
    p = turn.position
    if ledger.exposure(p) > ZERO:
        return True
    turn.put(verify_later(turn, stop))
    return False
