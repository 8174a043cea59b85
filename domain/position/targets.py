"""Take-profits: conditional reduce-only market orders beside the stop, placed once the position is protected.

Rules of this file. They are no cover, and nothing that protects ever waits for one: they are decided on after the stop,
go to the venue behind it, and with no slot free the farthest of them makes room for it. Each rung has at most one order
that is not over; what they add up to stays within the position. What the mark has passed before an order of ours rested
there is closed at market (`ladder.owed`, sent by `exits`). They are cancelled when the position is flat.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from domain.catalogue import EventType, Severity
from domain.identity import ClientOrderId, OrderKind
from domain.orders import OrderIntent, OrderReport, OrderStatus, Rejected, RejectReason, Source
from domain.position import cancels, ladder, ledger, trailing
from domain.position.cover import closes
from domain.position.effects import Cancel
from domain.position.state import ZERO, OrderState, Position, Rung, TargetOrder
from domain.position.turn import Turn

CANCEL_LIMIT_S = 8
SETTLE_S = 2
CHILD_ASK_S = 1
RETRY_LIMIT_S = 60
SLOT_REFUSALS = 6
SLOT_FREE_WITHIN_S = 1
STRANGE = -1
RESTING = (OrderState.LIVE, OrderState.CANCELLING)


def decide(turn: Turn) -> None:
    """Take the next steps towards one order for each rung that is left."""
    p = turn.position
    if not (p.plan.take_profits or p.targets):
        return
    if ledger.flat(p):
        for target in p.targets:
            if target.state is OrderState.LIVE:
                _cancel(turn, target)
        return
    if ledger.exposure(p) <= 0:
        return
    _watch_triggered(turn)
    if _settled(turn):
        _fix(turn)
        _reduce(turn)
    _withdraw(turn)
    if _settled(turn):
        _place_missing(turn)


def _settled(turn: Turn) -> bool:
    """Protected, the entry over, the size agreed on, nobody closing: the time for take-profits."""
    p = turn.position
    if p.close_wanted is not None or p.close_fraction is not None or p.verify_wanted:
        return False
    if (p.entry is not None and not p.entry.state.over) or not all(x.state.over for x in p.exits):
        return False
    if not p.protected_once or any(s.state is OrderState.TRIGGERED for s in p.stops):
        return False
    if p.beyond_stop_since is not None:
        return False
    sure = sum((closes(p, s) for s in p.stops if s.state is OrderState.LIVE and s.ask_at is None), ZERO)
    if sure < ledger.exposure(p):
        return False
    reported = ledger.trusted_report(p)
    return reported is None or reported.quantity == ledger.book(p)


def _fix(turn: Turn) -> None:
    """The entry is over and protected: from now on the ladder stands."""
    p = turn.position
    if p.ladder is not None:
        return
    rungs, merged = ladder.planned(p, ledger.opened_quantity(p))
    turn.set(ladder=rungs)
    for small in merged:
        turn.say(
            EventType.TAKE_PROFIT_MERGED,
            {
                "symbol": p.symbol,
                "target_price": small.trigger,
                "quantity": small.quantity,
                "min_quantity": p.instrument.min_quantity,
                "min_notional": p.instrument.min_notional,
                "into": small.into,
            },
        )


def _reduce(turn: Turn) -> None:
    """The position holds less than the rungs add up to: after a moment for late news the farthest ones shrink.

    Until then nothing is wrong: the venue closes no more than there is (LAWS S2).
    """
    p = turn.position
    if ladder.wished(p) <= ledger.exposure(p):
        if p.oversold_since is not None:
            turn.note(oversold_since=None)
        return
    if p.oversold_since is None:
        turn.note(oversold_since=turn.now)
        for target in p.targets:  # one of them may have filled, and only its trigger is not heard of yet
            if target.state is OrderState.LIVE and target.ask_at is None:
                turn.find(target)
                turn.put(replace(target, ask_at=turn.now + timedelta(seconds=CANCEL_LIMIT_S)))
        turn.wake_at(turn.now + timedelta(seconds=SETTLE_S))
        return
    limit = p.oversold_since + timedelta(seconds=SETTLE_S)
    if turn.now < limit:
        turn.wake_at(limit)
        return
    if any(t.state in RESTING and t.ask_at is not None for t in p.targets):
        return  # the answer comes, or is asked for again
    _shrink(turn, ladder.wished(p) - ledger.exposure(p))


def _shrink(turn: Turn, excess: Decimal) -> None:
    """Take `excess` from the rungs, the farthest first."""
    p = turn.position
    rungs = list(p.ladder or ())
    for number in reversed(range(len(rungs))):
        rung, rest = rungs[number], ladder.left(p, number)
        if rest <= 0 or excess <= 0:
            continue
        kept = p.instrument.floor_quantity(max(rest - excess, ZERO))
        if not ladder.enough(p.instrument, kept, rung.trigger):
            kept = ZERO
        excess -= rest - kept
        rungs[number] = replace(rung, quantity=ladder.taken(p, number) + kept)
        turn.say(
            EventType.TAKE_PROFIT_REDUCED,
            {"target_price": rung.trigger, "old_quantity": rest, "quantity": kept, "left": ledger.exposure(p)},
        )
    turn.set(ladder=tuple(rungs))
    turn.note(oversold_since=None)


def _withdraw(turn: Turn) -> None:
    """Cancel what stands for more than its rung is left with, and what stands for none."""
    p = turn.position
    seen: set[int] = set()
    for target in p.targets:
        if target.state.over:
            continue
        surplus = target.rung in seen or target.rung == STRANGE
        seen.add(target.rung)
        if target.state is OrderState.LIVE and (surplus or target.quantity > ladder.left(p, target.rung)):
            _cancel(turn, target)


def _place_missing(turn: Turn) -> None:
    """An order for each rung that has none, nearest first."""
    for number in range(len(turn.position.ladder or ())):
        p = turn.position
        rung, rest = (p.ladder or ())[number], ladder.left(p, number)
        if rest <= 0 or any(t.rung == number and not t.state.over for t in p.targets):
            continue
        if p.instrument.floor_quantity(rest) < p.instrument.min_quantity:
            _settle_rung(turn, number, replace(rung, quantity=ladder.taken(p, number)))
        elif (mark := ledger.mark(p)) is not None and not p.side.better(rung.trigger, mark):
            pass_by(turn, number)
        elif rung.retry_at is not None and turn.now < rung.retry_at:
            turn.wake_at(rung.retry_at)
        elif rest <= ledger.exposure(p) - _committed(p):
            _send(turn, number, p.instrument.floor_quantity(rest))


def _committed(p: Position) -> Decimal:
    """What orders that are not over, and passed rungs, may still close."""
    open_orders = (t for t in p.targets if not t.state.over)
    return ladder.owed(p) + sum((t.quantity - ledger.filled_by(p, t.child_id) for t in open_orders), ZERO)


def pass_by(turn: Turn, number: int) -> None:
    """The mark is past a rung that no order of ours rests for: what is left of it is closed at market."""
    p = turn.position
    if p.ladder is None or p.ladder[number].passed:
        return
    rung = p.ladder[number]
    _settle_rung(turn, number, replace(rung, passed=True))
    turn.say(
        EventType.TAKE_PROFIT_PASSED,
        {"symbol": p.symbol, "target_price": rung.trigger, "quantity": rung.quantity, "mark_price": p.mark_price},
    )


def _settle_rung(turn: Turn, number: int, rung: Rung) -> None:
    rungs = turn.position.ladder or ()
    turn.set(ladder=(*rungs[:number], rung, *rungs[number + 1 :]))


def _send(turn: Turn, number: int, quantity: Decimal) -> None:
    client_id = turn.mint(OrderKind.TAKE_PROFIT)
    p = turn.position
    trigger = ladder.on_tick(p, (p.ladder or ())[number].trigger)
    order = TargetOrder(
        client_id=client_id,
        quantity=quantity,
        trigger=trigger,
        rung=number,
        state=OrderState.SENDING,
        sent_at=turn.now,
    )
    kept = tuple(t for t in p.targets if not t.state.over or t.child_id is not None)
    turn.set(targets=(*kept, order))
    turn.say(EventType.TAKE_PROFIT_SENT, {"target_price": trigger, "quantity": quantity}, order_id=client_id)
    turn.place(
        OrderIntent(
            client_id=client_id,
            position_id=p.id,
            account=p.account,
            symbol=p.symbol,
            kind=OrderKind.TAKE_PROFIT,
            side=p.side.closing,
            position_side=p.side,
            quantity=quantity,
            reduce_only=True,
            trigger_price=trigger,
            trigger_by=p.plan.protection.trigger_by,
            reference_price=ledger.mark(p),
        )
    )


def _cancel(turn: Turn, target: TargetOrder) -> None:
    if target.cancel_at is not None and turn.now < target.cancel_at:
        turn.wake_at(target.cancel_at)
        return
    limit = turn.now + timedelta(seconds=CANCEL_LIMIT_S)
    sent = replace(target, state=OrderState.CANCELLING, cancels=target.cancels + 1, cancel_at=None, cancel_until=None)
    turn.put(replace(sent, ask_at=limit, questions=0))
    turn.say(EventType.TAKE_PROFIT_CANCEL_SENT, {"target_price": target.trigger}, order_id=target.client_id)
    turn.want(Cancel(ref=turn.ref(target), client_id=target.client_id))
    turn.wake_at(limit)


def give_way(turn: Turn) -> bool:
    """A stop found no free slot: the farthest take-profit goes (DESIGN 3). False when there is none to go."""
    resting = [t for t in turn.position.targets if t.state in RESTING]
    if any(t.gives_way and t.state is OrderState.CANCELLING for t in resting):
        return True
    p = turn.position
    live = [t for t in resting if t.state is OrderState.LIVE]
    if not live:
        return False
    farthest = max(live, key=lambda t: t.trigger * p.side.sign)
    if farthest.rung != STRANGE:
        _put_off(turn, farthest.rung, at_least=SLOT_REFUSALS)
    _cancel(turn, replace(farthest, gives_way=True, cancel_at=None))
    return True


def _put_off(turn: Turn, number: int, at_least: int = 0) -> int:
    """Try a rung again after a pause that grows. Returns how often it was put off in a row."""
    rung = (turn.position.ladder or ())[number]
    refusals = max(rung.refusals + 1, at_least)
    pause = min(2**refusals, RETRY_LIMIT_S)
    _settle_rung(turn, number, replace(rung, refusals=refusals, retry_at=turn.now + timedelta(seconds=pause)))
    return refusals


# What becomes of them.


def placed(turn: Turn, target: TargetOrder, exchange_id: str, source: str) -> None:
    """A take-profit was accepted: say so in the words of a stop's own line (INTERFACE, 'Log lines')."""
    p = turn.position
    stop = trailing.stop_in_force(p)
    if p.ladder is not None and target.rung != STRANGE:
        _settle_rung(turn, target.rung, replace(p.ladder[target.rung], refusals=0, retry_at=None))
    turn.say(
        EventType.TAKE_PROFIT_PLACED,
        {
            "symbol": p.symbol,
            "order_id": p.entry.exchange_id if p.entry else None,
            "sl_order_id": stop.exchange_id if stop else None,
            "tp_order_id": exchange_id,
            "target_price": target.trigger,
            "quantity": target.quantity,
            "source": source,
        },
        order_id=target.client_id,
    )


def resting_ids(p: Position) -> str | None:
    """The venue's ids of the take-profits that rest, nearest first, for a log line."""
    ids = [t.exchange_id for t in sorted(p.targets, key=lambda t: t.rung) if t.state in RESTING and t.exchange_id]
    return ",".join(ids) or None


def refused(turn: Turn, target: TargetOrder, outcome: Rejected, data: dict[str, object]) -> None:
    """A take-profit was refused: past its mark it is closed at market, all else is tried again with growing pauses."""
    if outcome.reason is RejectReason.FENCED or target.rung == STRANGE:
        return  # sent by our predecessor and never left: decided anew at once
    if outcome.reason is RejectReason.WOULD_TRIGGER:
        pass_by(turn, target.rung)
        return
    refusals = _put_off(turn, target.rung)
    turn.say(
        EventType.TAKE_PROFIT_REFUSED,
        {**data, "target_price": target.trigger, "quantity": target.quantity, "refusals": refusals},
        None if refusals == 1 else Severity.INFO,
        order_id=target.client_id,
    )


def absent(turn: Turn, target: TargetOrder) -> None:
    """A take-profit of unknown fate never reached the venue: its rung is tried again after a pause."""
    if target.rung != STRANGE:
        _put_off(turn, target.rung)


def gone(turn: Turn, target: TargetOrder, status: OrderStatus, why: str) -> None:
    """A take-profit no longer rests and did not trigger."""
    p = turn.position
    ours = cancels.by_us(target)
    turn.order_changed(target.client_id, status, exchange_id=target.exchange_id, reason=why or None)
    turn.put(replace(target, state=OrderState.DONE, ask_at=None))
    turn.set(last_activity_at=turn.now)
    data: dict[str, object] = {"target_price": target.trigger, "quantity": target.quantity}
    if target.gives_way:
        turn.set(stop_retry_at=None)
    if ours or ledger.flat(p):
        turn.say(
            EventType.TAKE_PROFIT_CANCELLED,
            {**data, "reason": "a stop needs its slot" if target.gives_way else None},
            order_id=target.client_id,
        )
        return
    if target.rung != STRANGE:
        _put_off(turn, target.rung)
    severity = Severity.INFO if ledger.exposure(p) <= 0 else None
    turn.say(
        EventType.TAKE_PROFIT_LOST, {**data, "status": status, "error": why}, severity, order_id=target.client_id
    )


def triggered(turn: Turn, target: TargetOrder, report: OrderReport) -> None:
    """The venue says that the target's price was touched. That says nothing of its fill (VENUES T8)."""
    child = report.child_id or target.child_id
    if target.state is OrderState.TRIGGERED:
        if child != target.child_id:
            asked_first = turn.now + timedelta(seconds=CHILD_ASK_S)
            turn.put(replace(target, child_id=child, ask_at=asked_first, questions=0))
            turn.set(fills_confirmed=False, fills_ask_at=None, fills_questions=0)
        elif child is None and target.ask_at is None:
            pause = min(CHILD_ASK_S * 2 ** min(target.questions, 5), RETRY_LIMIT_S)
            turn.put(replace(target, ask_at=turn.now + timedelta(seconds=pause)))
        return
    turn.put(
        replace(
            target,
            state=OrderState.TRIGGERED,
            exchange_id=report.exchange_id,
            child_id=child,
            triggered_at=turn.now,
            ask_at=turn.now + timedelta(seconds=CHILD_ASK_S),
            questions=0,
        )
    )
    turn.set(last_activity_at=turn.now, fills_confirmed=False, fills_ask_at=None)
    turn.order_changed(target.client_id, OrderStatus.TRIGGERED, exchange_id=report.exchange_id)
    if report.source is not Source.STREAM:
        ledger.ask_fills(turn)  # it may have fired long ago: what it filled is in no stream of ours
    turn.say(
        EventType.TAKE_PROFIT_TRIGGERED,
        {"target_price": target.trigger, "mark_price": turn.position.mark_price, "child_order_id": child},
        order_id=target.client_id,
    )


def hear_child(turn: Turn, report: OrderReport) -> None:
    """The order that a trigger made has come to its end: what it did not take is left to its rung."""
    if report.conditional or not report.status.terminal:
        return
    for target in turn.position.targets:
        if target.child_id == report.exchange_id and target.state is OrderState.TRIGGERED:
            _over(turn, target)


def _watch_triggered(turn: Turn) -> None:
    p = turn.position
    for target in p.targets:
        filled = ledger.filled_by(p, target.child_id)
        if target.state is OrderState.TRIGGERED and filled >= target.quantity:
            _over(turn, target)


def _over(turn: Turn, target: TargetOrder) -> None:
    p = turn.position
    filled = ledger.filled_by(p, target.child_id)
    turn.put(replace(target, state=OrderState.DONE, ask_at=None))
    if filled <= 0:
        return
    turn.order_changed(
        target.client_id, OrderStatus.FILLED, exchange_id=target.exchange_id, cumulative_quantity=filled
    )
    turn.say(
        EventType.TAKE_PROFIT_FILLED,
        {
            "symbol": p.symbol,
            "order_id": target.exchange_id,
            "target_price": target.trigger,
            "quantity": filled,
            "wanted": target.quantity,
            "left": ledger.exposure(p),
        },
        order_id=target.client_id,
    )


def taken_back(turn: Turn, report: OrderReport, trigger: Decimal) -> TargetOrder:
    """A take-profit with an id of this position that it does not hold; one that fits no rung will be cancelled."""
    p = turn.position
    rungs = (
        number
        for number, rung in enumerate(p.ladder or ())
        if rung.trigger == trigger and not any(t.rung == number and not t.state.over for t in p.targets)
    )
    target = TargetOrder(
        client_id=ClientOrderId(report.client_id or ""),
        exchange_id=report.exchange_id,
        quantity=report.quantity,
        trigger=trigger,
        rung=next(rungs, STRANGE),
        state=OrderState.LIVE,
        sent_at=report.at,
        ask_at=turn.now,
    )
    turn.set(targets=(*p.targets, target))
    return target
