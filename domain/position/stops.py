"""The stop-loss: there is one, of the right size, and it only ratchets (LAWS S1, S3, S4, S5).

A wish (`wanted_trigger`, the exposure) is compared with what rests at the venue, and at most one step is taken: place
what is missing; change it in place where the venue can; else place the better one beside the old one, and cancel the
old one once the new one is accepted (SYSTEM B5).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from domain.catalogue import EventType, Severity
from domain.identity import OrderKind
from domain.orders import OrderIntent, OrderStatus, Rejected, RejectReason
from domain.position import attached, cancels, fired, foreign, guarding, ledger, places, targets, trailing
from domain.position.cover import closes
from domain.position.effects import Cancel
from domain.position.plan import MoveStyle
from domain.position.state import (
    CloseReason,
    OrderState,
    Position,
    Purpose,
    StopOrder,
    TrailState,
    Wrong,
)
from domain.position.turn import Turn

FIRST_STOP_PAUSE_S = 0.4
MOVE_PAUSE_S = 2.0
WITHHELD_PAUSE_S = 5.0
LOST_BEFORE_PAUSE = 3
LOST_PAUSE_S = 1.0


def decide(turn: Turn) -> None:
    """Take the next step towards one right stop."""
    p = turn.position
    if ledger.flat(p) and not attached.awaited(p):
        _cancel_all(turn)
        return
    if ledger.exposure(p) <= 0:
        return
    _filled_before_its_acknowledgement(turn)
    fired.watch_triggered(turn)
    fired.watch_stuck(turn)
    live = [s for s in turn.position.stops if s.state is OrderState.LIVE]
    busy = [s for s in turn.position.stops if s.state in (OrderState.SENDING, OrderState.UNKNOWN)]
    if any(s.state is OrderState.TRIGGERED for s in turn.position.stops):
        return
    if p.unread_until is not None and turn.now < p.unread_until:
        turn.wake_at(p.unread_until)  # what rests may be more than the local book knows of
        return
    if live:
        keep = _best(turn.position, live)
        if len(live) > 1 and not foreign.is_replaced(turn.position, keep):
            _cancel_others(turn, live, keep)
        elif not busy and not any(s.state is OrderState.CANCELLING for s in turn.position.stops):
            _improve(turn, keep)
    elif not any(s.state is OrderState.CANCELLING for s in turn.position.stops):
        _first(turn, busy)


def _filled_before_its_acknowledgement(turn: Turn) -> None:
    """A fill proves that the entry was taken, and the stop with it: to be verified at once."""
    stop = attached.coming(turn.position)
    if stop is not None:
        exchange_id = attached.name(turn.position)
        turn.put(replace(stop, state=OrderState.LIVE, exchange_id=exchange_id, accepted_at=turn.now, ask_at=turn.now))
        placed(turn, stop, exchange_id, "2/3 stream")


def _best(p: Position, live: list[StopOrder]) -> StopOrder:
    """The stop to keep: one that covers everything before one that does not, then the best trigger, then the newest.

    The operator's is the best while it is the wanted one, not once the trailing stop has passed it. One that we have
    tried to cancel is not relied on beside its equal: that request may still arrive.
    """
    needed = ledger.exposure(p)
    forced = p.operator_stop if places.wanted_trigger(p) == p.operator_stop else None
    return max(
        live,
        key=lambda s: (
            min(closes(p, s), needed),
            s.cancels == 0,
            s.trigger == forced,
            s.trigger * p.side.sign,
            s.sent_at,
        ),
    )


def _first(turn: Turn, busy: list[StopOrder]) -> None:
    """No stop rests: place one. Beside one of unknown fate one more may stand, and no third (DESIGN 3)."""
    p = turn.position
    if any(s.state is OrderState.SENDING for s in busy) or len(busy) > 1:
        return
    if busy and busy[0].questions == 0:
        return
    if _shown_gone(p) or (p.close_wanted is not None and not p.emergency_wanted):
        return
    waits = (p.stop_retry_at, _lost_at_once(p), attached.unseen_until(p))
    later = max((at for at in waits if at is not None and turn.now < at), default=None)
    if later is not None:
        turn.wake_at(later)
        return
    trigger = places.wanted_trigger(p)
    purpose = Purpose.GUARD if p.protected_once or p.adopted else Purpose.FIRST
    if p.stops and p.stops[-1].moved_for is not None:
        purpose = p.stops[-1].moved_for
    if p.emergency_wanted and (trigger is None or p.stop_refusals > 0 or not places.on_safe_side(p, trigger)):
        trigger, purpose = places.emergency_trigger(p), Purpose.EMERGENCY
    if trigger is None:
        return
    if not places.on_safe_side(p, trigger):
        nearest = places.nearest_trigger(p)
        if purpose is not Purpose.GUARD or nearest is None or p.stop_refusals > p.plan.protection.retries:
            turn.set(close_wanted=p.close_wanted or CloseReason.STOP_PASSED)
            turn.say(
                EventType.ROLLBACK_STARTED,
                {"reason": "the mark price has passed the stop", "stop_price": trigger, "mark_price": p.mark_price},
            )
            return
        trigger = nearest
    if p.initial_stop is None and purpose is Purpose.FIRST:
        turn.set(initial_stop=trigger)
    _send(turn, trigger, ledger.exposure(p), purpose)


def _shown_gone(p: Position) -> bool:
    """The venue says flat, or the other way round: being settled; a reduce-only stop would be refused, or add."""
    reported = ledger.trusted_report(p)
    return reported is not None and reported.quantity <= 0


def _lost_at_once(p: Position) -> datetime | None:
    """Until when to wait with the next stop: several were lost already, the last one as soon as it stood (LAWS L6)."""
    lost = p.stops[-1] if p.stops and p.stops[-1].state.over else None
    if lost is None or lost.accepted_at is None or lost.moved_for is not None or p.recoveries < LOST_BEFORE_PAUSE:
        return None
    return lost.accepted_at + timedelta(seconds=LOST_PAUSE_S)


def _improve(turn: Turn, keep: StopOrder) -> None:
    """One stop rests: replace it when its size is wrong or its place has become better."""
    p = turn.position
    if not foreign.may_cancel(p, keep) or p.close_fraction is not None or _shown_gone(p):
        return
    if p.close_wanted is not None:
        _grow(turn, keep)
        return
    needed, wanted = ledger.exposure(p), places.wanted_trigger(p)
    if wanted is None:
        return
    asked_for = p.operator_stop is not None and wanted == p.operator_stop
    forced = asked_for and keep.trigger not in (wanted, p.instrument.stop_price(p.side, wanted))
    target = wanted if forced else p.side.best(keep.trigger, wanted)
    takes_over = foreign.is_replaced(p, keep)
    resize = closes(p, keep) != needed or takes_over
    trails = p.trail.wanted == wanted
    better = trailing.worth_moving(p, keep.trigger, wanted) if trails else p.side.better(wanted, keep.trigger)
    move = forced or better
    if not (resize or move):
        return
    too_small = closes(p, keep) < needed
    if p.entry is not None and not p.entry.state.over and not too_small:
        return  # more of the entry may fill while a move is under way: two stops too small, none of which may go
    if p.verify_wanted and not too_small:
        return  # the size is being asked for: a stop of the old size beside this one would have to be undone
    if p.stop_retry_at is not None and turn.now < p.stop_retry_at:
        turn.wake_at(p.stop_retry_at)
        return
    interval = timedelta(seconds=float(p.plan.trailing.min_interval_s))
    if not too_small and not forced and p.trail.moved_at is not None and turn.now < p.trail.moved_at + interval:
        turn.wake_at(p.trail.moved_at + interval)
        return
    if not places.on_safe_side(p, target):
        if trails or forced:
            if move and p.beyond_stop_since is None:
                turn.set(close_wanted=CloseReason.TRAILING_STOP)
                turn.say(
                    EventType.CLOSE_REQUESTED,
                    {"reason": CloseReason.TRAILING_STOP, "stop_price": target, "mark_price": p.mark_price},
                )
            return
        # A place of the first stop that was passed while nobody watched is not traded upon: the nearest one stands.
        nearest = places.nearest_trigger(p)
        move = nearest is not None and trailing.worth_moving(p, keep.trigger, nearest)
        target = nearest if nearest is not None and move else keep.trigger
        if not (resize or move) or not places.on_safe_side(p, target):
            return
    purpose = Purpose.OPERATOR if forced else _why(p, keep, move=move, trails=trails)
    if p.plan.venue.move is MoveStyle.CANCEL_THEN_PLACE and not takes_over:
        _cancel(turn, replace(keep, moved_for=purpose))
        return
    _send(turn, target, needed, purpose, keep)


def _grow(turn: Turn, keep: StopOrder) -> None:
    """The close is refused, and the position has grown: all of it is covered, where the stop stands."""
    p = turn.position
    needed = ledger.exposure(p)
    beside = p.plan.venue.move is not MoveStyle.CANCEL_THEN_PLACE
    if not p.emergency_wanted or closes(p, keep) >= needed or not beside or not places.on_safe_side(p, keep.trigger):
        return
    if p.stop_retry_at is not None and turn.now < p.stop_retry_at:
        turn.wake_at(p.stop_retry_at)
        return
    _send(turn, keep.trigger, needed, Purpose.EMERGENCY, keep)


def _why(p: Position, keep: StopOrder, *, move: bool, trails: bool) -> Purpose:
    """What a stop is replaced for, when nobody asked for it."""
    if keep.wrong is not None or foreign.is_replaced(p, keep):
        return Purpose.GUARD
    if not move:
        return Purpose.RESIZE
    if not trails:
        return Purpose.GUARD  # somebody else had loosened it
    return Purpose.BREAKEVEN if p.trail.state is TrailState.WAITING else Purpose.TRAIL


def _send(turn: Turn, trigger: Decimal, quantity: Decimal, purpose: Purpose, keep: StopOrder | None = None) -> None:
    """Send a stop beside `keep`, or in its place where the venue can change what rests."""
    client_id = turn.mint(OrderKind.STOP)
    p = turn.position
    trigger = p.instrument.stop_price(p.side, trigger)  # decided on an earlier grid, perhaps
    on_position = p.plan.venue.move is MoveStyle.ATTACHED
    in_place = keep is not None and keep.purpose is not Purpose.FOREIGN and (
        keep.attached if on_position else p.plan.venue.move is MoveStyle.AMEND and not keep.whole
    )
    stop = StopOrder(
        client_id=client_id,
        quantity=quantity,
        trigger=trigger,
        purpose=purpose,
        state=OrderState.SENDING,
        sent_at=turn.now,
        attached=on_position,
        whole=on_position or _may_grow(p, purpose),
        replaces=keep.client_id if keep is not None and in_place else None,
    )
    lost = [s for s in p.stops if s.state.over and s.accepted_at is not None][-1:]
    turn.set(stops=(*lost, *(s for s in p.stops if not s.state.over), stop), stop_retry_at=None)
    turn.say(
        EventType.STOP_LOSS_SENT, {"stop_price": trigger, "quantity": quantity, "purpose": purpose}, order_id=client_id
    )
    turn.place(
        OrderIntent(
            client_id=client_id,
            position_id=p.id,
            account=p.account,
            symbol=p.symbol,
            kind=OrderKind.STOP,
            side=p.side.closing,
            position_side=p.side,
            quantity=quantity,
            reduce_only=True,
            trigger_price=trigger,
            trigger_by=p.plan.protection.trigger_by,
            reference_price=ledger.mark(p),
            urgent=purpose in (Purpose.FIRST, Purpose.GUARD, Purpose.EMERGENCY),
            attached=stop.attached,
            replaces=turn.ref(keep) if keep is not None and in_place else None,
            close_position=stop.whole and not stop.attached,
        )
    )


def _may_grow(p: Position, purpose: Purpose) -> bool:
    """Whether to cover whatever the position will hold: the entry is still filling, and no such stop of ours may rest.

    Only as first cover: a second one that closes the position would be refused (DESIGN 3, 'Stops on Binance'), be the
    other one ours or a stranger's.
    """
    filling = p.entry is not None and not p.entry.state.over
    alone = p.stop_refusals == 0 and all(s.state.over for s in p.stops)
    return p.plan.venue.close_position_stop and purpose is Purpose.FIRST and filling and alone


def _cancel_others(turn: Turn, live: list[StopOrder], keep: StopOrder) -> None:
    """Cancel all but one; not while that one is in question or triggering, nor while the size is unverified."""
    p = turn.position
    if keep.ask_at is not None or p.verify_wanted or not places.on_safe_side(p, keep.trigger):
        return
    for stop in live:
        if stop.client_id != keep.client_id and foreign.may_cancel(p, stop):
            _cancel(turn, stop)


def _cancel_all(turn: Turn) -> None:
    for stop in turn.position.stops:
        if stop.state is OrderState.LIVE and foreign.may_cancel(turn.position, stop) and not stop.attached:
            _cancel(turn, stop)
        elif stop.state.over or stop.state is OrderState.TRIGGERED:
            continue
        elif not foreign.may_cancel(turn.position, stop) or (stop.attached and stop.state is not OrderState.SENDING):
            turn.put(replace(stop, state=OrderState.DONE, ask_at=None))


def _cancel(turn: Turn, stop: StopOrder) -> None:
    if stop.cancel_at is not None and turn.now < stop.cancel_at:
        turn.wake_at(stop.cancel_at)
        return
    limit = turn.now + timedelta(seconds=8)
    sent = replace(stop, state=OrderState.CANCELLING, cancels=stop.cancels + 1, cancel_at=None, cancel_until=None)
    turn.put(replace(sent, ask_at=limit, questions=0))
    turn.say(EventType.STOP_LOSS_CANCEL_SENT, {"stop_price": stop.trigger}, order_id=stop.client_id)
    turn.want(Cancel(ref=turn.ref(stop), client_id=stop.client_id))
    turn.wake_at(limit)


def placed(turn: Turn, stop: StopOrder, exchange_id: str, source: str) -> None:
    """A stop was accepted: say what it means."""
    p = turn.position
    old = next((s for s in p.stops if (s.covers or s.moved_for) and s.client_id != stop.client_id), None)
    data: dict[str, object] = {
        "symbol": p.symbol,
        "order_id": p.entry.exchange_id if p.entry else None,
        "sl_order_id": exchange_id,
        "tp_order_id": targets.resting_ids(p),
        "stop_price": stop.trigger,
        "quantity": stop.quantity,
        "purpose": stop.purpose,
        "source": source,
    }
    turn.set(stop_refusals=0, stop_retry_at=None, emergency_wanted=False)
    if old is None:
        turn.say(EventType.STOP_LOSS_PLACED, data, order_id=stop.client_id)
        if p.protected_once:
            guarding.recovered(turn, stop, Wrong.MISSING)
    else:
        trail = p.trail
        if stop.purpose in (Purpose.TRAIL, Purpose.BREAKEVEN):
            trail = replace(trail, updates=trail.updates + 1)
        turn.set(trail=replace(trail, moved_at=turn.now))
        if old.moved_for is not None and old.state.over:
            turn.put(replace(old, moved_for=None))
        moved: dict[str, object] = {
            "old_stop": old.trigger,
            "new_stop": stop.trigger,
            "mark_price": p.mark_price,
            "extreme_price": p.trail.extreme,
            "quantity": stop.quantity,
            "purpose": stop.purpose,
            "updates": trail.updates,
        }
        trails = stop.purpose in (Purpose.TRAIL, Purpose.BREAKEVEN)
        turn.say(EventType.TRAILING_MOVED if trails else EventType.STOP_LOSS_MOVED, moved, order_id=stop.client_id)
        if old.wrong in (Wrong.PRICE, Wrong.SIZE):
            guarding.recovered(turn, stop, old.wrong)
    if stop.purpose is Purpose.EMERGENCY:
        turn.say(EventType.EMERGENCY_STOP, data, order_id=stop.client_id)
    if not p.protected_once and stop.purpose is not Purpose.EMERGENCY:
        create_trailing(turn)


def create_trailing(turn: Turn) -> None:
    """The position is protected for the first time: from now on its stop trails."""
    turn.set(protected_once=True)
    p = turn.position
    if p.trail.state is TrailState.OFF and p.plan.trailing.enabled:
        turn.set(trail=trailing.created(p))
        turn.say(
            EventType.TRAILING_STOP_CREATED,
            {
                "activation_price": trailing.activation_price(p),
                "activation_pct": p.plan.trailing.activation_pct,
                "callback_pct": p.plan.trailing.callback_pct,
            },
        )


def refused(turn: Turn, stop: StopOrder, outcome: Rejected, data: dict[str, object]) -> None:
    """A stop was refused: what follows depends on why it was sent and whether anything else covers (DESIGN 3)."""
    p = turn.position
    data = {**data, "purpose": stop.purpose, "stop_price": stop.trigger}
    if outcome.reason is RejectReason.FENCED:
        return  # sent by our predecessor and never left: decided anew at once, it was no refusal of the venue
    if outcome.reason is RejectReason.REDUCE_ONLY:
        turn.set(verify_wanted=True, verify_at=None)  # there is nothing, or less, to close: ask before three of these
    if outcome.reason is RejectReason.LIMIT and targets.give_way(turn):
        turn.set(stop_retry_at=turn.now + timedelta(seconds=targets.SLOT_FREE_WITHIN_S))
        return
    still_covered = any(s.covers for s in p.stops)
    if still_covered and outcome.reason is RejectReason.WITHHELD:
        turn.set(stop_retry_at=turn.now + timedelta(seconds=WITHHELD_PAUSE_S))  # said once, by the gateway
        return
    if still_covered:
        turn.say(EventType.TRAILING_MOVE_FAILED, data, order_id=stop.client_id)
        turn.set(stop_retry_at=turn.now + timedelta(seconds=MOVE_PAUSE_S))
        if outcome.reason is RejectReason.WOULD_TRIGGER and stop.purpose in (Purpose.TRAIL, Purpose.BREAKEVEN):
            turn.set(close_wanted=p.close_wanted or CloseReason.TRAILING_STOP)
        return
    turn.say(EventType.STOP_LOSS_REFUSED, data, order_id=stop.client_id)
    if ledger.exposure(p) <= 0:
        return
    refusals = p.stop_refusals + 1
    turn.set(stop_refusals=refusals, stop_retry_at=turn.now + timedelta(seconds=FIRST_STOP_PAUSE_S))
    if stop.purpose is Purpose.EMERGENCY:
        turn.set(stop_retry_at=turn.now + timedelta(seconds=min(0.5 * 2 ** min(refusals, 4), 5)))
        return
    passed = outcome.reason is RejectReason.WOULD_TRIGGER and stop.purpose is Purpose.FIRST
    if passed or refusals >= p.plan.protection.retries:
        turn.set(close_wanted=p.close_wanted or (CloseReason.STOP_PASSED if passed else CloseReason.ROLLBACK))
        turn.say(
            EventType.ROLLBACK_STARTED,
            {"reason": outcome.reason, "refusals": refusals, "quantity": ledger.exposure(p), "symbol": p.symbol},
        )


def gone(turn: Turn, stop: StopOrder, status: OrderStatus, why: str) -> None:
    """A stop no longer rests and did not trigger."""
    p = turn.position
    ours = cancels.by_us(stop)
    turn.order_changed(stop.client_id, status, exchange_id=stop.exchange_id, reason=why or None)
    turn.put(replace(stop, state=OrderState.DONE, ask_at=None))
    turn.set(last_activity_at=turn.now)
    if stop.state is OrderState.TRIGGERED and p.trail.state is TrailState.TRIGGERED:
        turn.set(trail=replace(p.trail, state=TrailState.TRAILING))  # it came to nothing: the next one trails on
    if ours or ledger.flat(p):
        turn.say(EventType.STOP_LOSS_CANCELLED, {"stop_price": stop.trigger}, order_id=stop.client_id)
        if stop.wrong is Wrong.DOUBLED and not ledger.flat(p):
            guarding.recovered(turn, stop, Wrong.DOUBLED)
    else:
        severity = Severity.INFO if ledger.exposure(p) <= 0 else None
        data: dict[str, object] = {"stop_price": stop.trigger, "status": status, "error": why}
        turn.say(EventType.STOP_LOSS_LOST, data, severity, order_id=stop.client_id)
        ledger.doubt(turn)  # a venue takes it away with the position
