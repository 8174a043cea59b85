"""What is known of each order of ours: outcomes, cancels, answers and reports, in whatever order they arrive.

An order that was sent is unknown until somebody says otherwise; whoever speaks first (reply, stream, question) decides,
later news of an earlier state changes nothing. Questions are asked again with growing pauses until there is an answer.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from domain.catalogue import EventType
from domain.identity import ClientOrderId, OrderKind, parse_client_id
from domain.orders import (
    Accepted,
    Answer,
    CancelOutcome,
    CancelResult,
    Found,
    NoAnswer,
    NotFound,
    OrderReport,
    OrderStatus,
    Outcome,
    Rejected,
    RejectReason,
    Source,
    Unknown,
)
from domain.position import attached, cancels, exits, fired, ledger, stops, targets, trailing
from domain.position.cover import covered
from domain.position.state import (
    ExitOrder,
    OrderFills,
    OrderState,
    Purpose,
    StopOrder,
    TargetOrder,
    TrackedOrder,
    Wrong,
)
from domain.position.turn import Turn

UNANSWERED_S = 8
ASK_AGAIN_S = 3
UNANSWERED_FIRST_STOP_S = 1.2
FIRST_QUESTION_S = 1.0
CANCEL_RETRY_S = 0.5


def pause(questions: int) -> timedelta:
    """How long to wait before asking again."""
    return timedelta(seconds=min(0.25 * 2 ** min(questions, 5), 5))


def hear_outcome(turn: Turn, outcome: Outcome) -> None:
    """What became of a request to place an order."""
    order = turn.order(outcome.client_id)
    if order is None or order.state not in (OrderState.SENDING, OrderState.UNKNOWN):
        if isinstance(outcome, Accepted) and outcome.report is not None and order is not None:
            hear_order(turn, outcome.report)
        return
    match outcome:
        case Accepted():
            accepted(turn, order, outcome.exchange_id, "1/3 reply")
            if outcome.report is not None:
                hear_order(turn, outcome.report)
        case Rejected():
            turn.order_changed(order.client_id, OrderStatus.REJECTED, reason=f"{outcome.reason} {outcome.code}")
            turn.put(replace(order, state=OrderState.REFUSED, ask_at=None))
            _refused(turn, order, outcome)
        case Unknown():
            turn.order_changed(order.client_id, OrderStatus.UNKNOWN, reason=outcome.text)
            turn.put(
                replace(
                    order, state=OrderState.UNKNOWN, absence_proof_at=outcome.absence_proof_at, ask_at=turn.now
                )
            )
            turn.say(_named(order, "unknown"), {"error": outcome.text}, order_id=order.client_id)


def accepted(turn: Turn, order: TrackedOrder, exchange_id: str, source: str) -> TrackedOrder:
    """The venue has the order. Returns it as it is known now."""
    turn.order_changed(order.client_id, OrderStatus.ACK, exchange_id=exchange_id)
    turn.set(last_activity_at=turn.now)
    if isinstance(order, StopOrder):
        resting = replace(order, state=OrderState.LIVE, exchange_id=exchange_id, accepted_at=turn.now, ask_at=None)
        turn.put(resting)
        stops.placed(turn, order, exchange_id, source)
        if order.replaces is not None:
            return attached.made(turn, resting)
        if order.attached:
            attached.supersede(turn, resting)
        return resting
    if isinstance(order, TargetOrder):
        waiting = replace(order, state=OrderState.LIVE, exchange_id=exchange_id, ask_at=None)
        turn.put(waiting)
        targets.placed(turn, waiting, exchange_id, source)
        return waiting
    first_question = turn.now + timedelta(seconds=FIRST_QUESTION_S)
    known = replace(order, state=OrderState.LIVE, exchange_id=exchange_id, ask_at=first_question, questions=0)
    turn.put(known)
    event = EventType.EXIT_ACCEPTED if isinstance(order, ExitOrder) else EventType.ENTRY_ACCEPTED
    turn.say(event, {"order_id": exchange_id, "source": source}, order_id=order.client_id)
    with_it = attached.coming(turn.position)
    if with_it is not None and not isinstance(order, ExitOrder):
        _came_with_entry(turn, with_it, source)
    return known


def _came_with_entry(turn: Turn, stop: StopOrder, source: str) -> None:
    """The entry was taken, and its stop with it."""
    resting = accepted(turn, stop, attached.name(turn.position), source)
    if isinstance(resting, StopOrder):
        turn.put(attached.verify_later(turn, resting))


def _refused(turn: Turn, order: TrackedOrder, outcome: Rejected) -> None:
    data: dict[str, object] = {"reason": outcome.reason, "code": outcome.code, "error": outcome.text}
    if outcome.reason is RejectReason.BUDGET:
        trailing.catch_up(turn)  # a move that was not sent: its newer self is decided on in the same turn
    elif isinstance(order, StopOrder):
        stops.refused(turn, order, outcome, data)
    elif isinstance(order, ExitOrder):
        exits.refused(turn, order, outcome, data)
    elif isinstance(order, TargetOrder):
        targets.refused(turn, order, outcome, data)
    else:
        attached.void(turn, "the entry was refused")
        turn.say(EventType.ENTRY_REFUSED, data, order_id=order.client_id)


def _named(order: TrackedOrder, what: str) -> EventType:
    names = {StopOrder: "stop_loss", TargetOrder: "take_profit", ExitOrder: "exit", TrackedOrder: "entry"}
    return EventType(f"{names[type(order)]}_{what}")


def hear_cancel(turn: Turn, outcome: CancelOutcome) -> None:
    """What became of a cancel request. 'Gone' says only that it no longer rests: it may have triggered."""
    order = turn.order(outcome.ref.client_id, outcome.ref.exchange_id)
    if not isinstance(order, StopOrder | TargetOrder) or order.state is not OrderState.CANCELLING:
        return
    match outcome.result:
        case CancelResult.DONE:
            turn.set(last_activity_at=turn.now)
            _gone(turn, order, OrderStatus.CANCELED, "cancelled by us")
        case CancelResult.GONE:
            turn.put(replace(order, ask_at=turn.now, absence_proof_at=turn.now))
        case CancelResult.REFUSED | CancelResult.UNKNOWN:
            turn.put(
                replace(
                    order,
                    state=OrderState.LIVE,
                    cancel_at=turn.now + pause(order.cancels),
                    cancel_until=cancels.may_act_until(turn.now) if outcome.result is CancelResult.UNKNOWN else None,
                    ask_at=turn.now,
                )
            )


def _gone(turn: Turn, order: StopOrder | TargetOrder, status: OrderStatus, why: str) -> None:
    if isinstance(order, StopOrder):
        stops.gone(turn, order, status, why)
    else:
        targets.gone(turn, order, status, why)


def hear_answer(turn: Turn, answer: Answer) -> None:
    """What the venue says of an order that we asked about."""
    order = turn.order(answer.ref.client_id, answer.ref.exchange_id)
    match answer:
        case Found():
            if order is not None:
                conditional = isinstance(order, StopOrder | TargetOrder)
                turn.put(replace(order, ask_at=None if conditional else turn.now + pause(2)))
            hear_order(turn, answer.report, answer.asked_at)
            _still_there(turn, answer.report)
            cancels.hear_resting(turn, answer)
            _was_it_changed(turn, answer)
        case NotFound():
            if order is not None and not order.state.over:
                _not_found(turn, order, answer.asked_at)
        case NoAnswer():
            if order is not None:
                wait = pause(order.questions)
                if answer.retry_after_s is not None:
                    wait = max(wait, timedelta(seconds=min(answer.retry_after_s, 30)))
                turn.put(replace(order, ask_at=turn.now + wait))


def _still_there(turn: Turn, report: OrderReport) -> None:
    """What we thought cancelled rests after all: cancel it again. An answer from before says nothing."""
    order = turn.order(report.client_id, report.exchange_id)
    resting = report.conditional and report.status in (OrderStatus.NEW, OrderStatus.ACK)
    if not isinstance(order, StopOrder | TargetOrder):
        return
    if order.state is OrderState.CANCELLING and resting and order.questions:
        again = turn.now + timedelta(seconds=CANCEL_RETRY_S)
        turn.put(replace(order, state=OrderState.LIVE, cancel_at=again, ask_at=None))


def _was_it_changed(turn: Turn, answer: Found) -> None:
    """What a reading from after the receive window does not show was never changed, or set, on the position (S12)."""
    change = turn.order(answer.ref.client_id)
    if not isinstance(change, StopOrder) or change.state is not OrderState.UNKNOWN:
        return
    if change.replaces is None and not change.attached:
        return
    proof_at = change.absence_proof_at or change.sent_at + timedelta(seconds=cancels.RECEIVE_WINDOW_S)
    if answer.asked_at is not None and answer.asked_at > proof_at:
        attached.not_made(turn, change, "not in effect after the receive window")
        turn.set(stop_retry_at=None)
    else:
        turn.put(replace(change, ask_at=max(proof_at + timedelta(milliseconds=50), turn.now + pause(change.questions))))


def _not_found(turn: Turn, order: TrackedOrder, asked_at: datetime) -> None:
    """'No such order' proves absence only when read after the receive window (LAWS S11, S12)."""
    if isinstance(order, StopOrder) and order.with_entry and not attached.missing(turn, order):
        return
    proof_at = order.absence_proof_at or order.sent_at + timedelta(seconds=cancels.RECEIVE_WINDOW_S)
    if asked_at <= proof_at:
        turn.put(replace(order, ask_at=min(proof_at + timedelta(milliseconds=50), turn.now + pause(order.questions))))
        return
    conditional = isinstance(order, StopOrder | TargetOrder)
    if order.exchange_id is not None and order.state is not OrderState.UNKNOWN and not conditional:
        turn.put(replace(order, ask_at=turn.now + pause(order.questions)))
        return
    executed = next((f for f in turn.position.fills if f.client_id == order.client_id), None)
    if executed is not None and not conditional:
        _executed(turn, order, executed)
        return
    if isinstance(order, StopOrder | TargetOrder) and order.exchange_id is not None:
        _gone(turn, order, OrderStatus.EXPIRED, "no such order")
        return
    if isinstance(order, StopOrder) and order.replaces is not None:
        attached.not_made(turn, order, "what it was to change is gone")
        changed = turn.order(order.replaces)
        if changed is not None and not changed.state.over:
            turn.put(replace(changed, ask_at=turn.now))
        return
    if isinstance(order, TargetOrder):
        targets.absent(turn, order)
    elif isinstance(order, ExitOrder):
        exits.in_vain(turn, order)
    elif not isinstance(order, StopOrder):
        attached.void(turn, "the entry never reached the venue")
    turn.order_changed(order.client_id, OrderStatus.REJECTED, reason="absent after the receive window")
    turn.put(replace(order, state=OrderState.REFUSED, ask_at=None))
    turn.say(_named(order, "refused"), {"reason": "absent", "code": "", "error": "never reached the venue"})
    turn.set(verify_wanted=True)


def _executed(turn: Turn, order: TrackedOrder, fills: OrderFills) -> None:
    """An order that the venue denies has executed something, so it was taken; nothing more can come of it."""
    known = accepted(turn, order, fills.exchange_id, SOURCES["stream"])
    turn.put(replace(known, state=OrderState.DONE, ask_at=None))
    status = OrderStatus.FILLED if fills.filled >= order.quantity else OrderStatus.EXPIRED
    turn.order_changed(
        order.client_id, status, exchange_id=fills.exchange_id, cumulative_quantity=fills.filled, reason="by its fills"
    )


def hear_order(turn: Turn, report: OrderReport, asked_at: datetime | None = None) -> None:
    """An order as the venue shows it, by whichever source. `asked_at`: when a reading was asked for, None for news."""
    order = turn.order(report.client_id, report.exchange_id)
    nameless = order is None or (order.state.over and report.exchange_id == attached.name(turn.position))
    if nameless and report.attached and report.conditional and report.side is turn.position.side.closing:
        order = attached.spoken_of(turn.position) or order
    if order is None:
        _unheld(turn, report)
    elif isinstance(order, StopOrder) and report.conditional:
        _stop_report(turn, order, report, asked_at)
    elif isinstance(order, TargetOrder) and report.conditional:
        _target_report(turn, order, report)
    elif not isinstance(order, StopOrder | TargetOrder) and not report.conditional:
        _market_report(turn, order, report)
    ledger.hear_report(turn, report)
    targets.hear_child(turn, report)


SOURCES = {"reply": "1/3 reply", "stream": "2/3 stream", "query": "3/3 query", "snapshot": "3/3 snapshot"}


def _market_report(turn: Turn, order: TrackedOrder, report: OrderReport) -> None:
    if order.state in (OrderState.SENDING, OrderState.UNKNOWN, OrderState.REFUSED):
        order = accepted(turn, order, report.exchange_id, SOURCES[report.source])
    if order.state is OrderState.DONE:
        return
    if report.status.terminal:
        turn.put(replace(order, state=OrderState.DONE, exchange_id=report.exchange_id, ask_at=None))
        if not isinstance(order, ExitOrder) and report.status in (OrderStatus.EXPIRED, OrderStatus.CANCELED):
            turn.set(entry_got=report.filled)
        turn.order_changed(
            order.client_id,
            report.status,
            exchange_id=report.exchange_id,
            cumulative_quantity=report.filled,
            average_price=report.average_price,
            reason=report.reason or None,
        )
        if report.filled > 0:
            event = EventType.EXIT_FILLED if isinstance(order, ExitOrder) else EventType.ENTRY_FILLED
            turn.say(
                event,
                {
                    "side": report.side,
                    "symbol": report.symbol,
                    "order_id": report.exchange_id,
                    "quantity": report.filled,
                    "price": report.average_price,
                    "status": report.status,
                    "source": SOURCES[report.source],
                },
                order_id=order.client_id,
            )
        else:
            if isinstance(order, ExitOrder):
                exits.in_vain(turn, order)
            else:
                attached.void(turn, "the entry ended without a fill")
            turn.say(_named(order, "refused"), {"reason": report.status, "code": "", "error": report.reason})
            turn.set(verify_wanted=True)


def _stop_report(turn: Turn, stop: StopOrder, report: OrderReport, asked_at: datetime | None) -> None:
    if stop.state is OrderState.DONE:
        return
    change = attached.change_of(turn.position, stop)
    match report.status:
        case OrderStatus.CANCELED | OrderStatus.EXPIRED | OrderStatus.REJECTED if stop.attached:
            # A new value makes the venue replace its own order: only the position tells whether a stop stands.
            turn.put(replace(stop, ask_at=stop.ask_at or turn.now))
        case OrderStatus.CANCELED | OrderStatus.EXPIRED | OrderStatus.REJECTED:
            stops.gone(turn, stop, report.status, report.reason)
        case OrderStatus.TRIGGERING | OrderStatus.TRIGGERED | OrderStatus.FILLED | OrderStatus.PART_FILLED:
            fired.triggered(turn, stop, report)
        case _:
            if stop.state in (OrderState.SENDING, OrderState.UNKNOWN, OrderState.REFUSED):
                if stop.replaces is None:
                    _stands(turn, stop, report)
            elif change is not None and report.trigger_price == change.trigger != stop.trigger:
                accepted(turn, change, report.exchange_id, SOURCES[report.source])
            else:
                attached.differs(turn, stop, report, asked_at)


def _stands(turn: Turn, stop: StopOrder, report: OrderReport) -> None:
    """It rests. Somebody may have changed it before we knew that it was there: what the venue shows counts."""
    if report.trigger_price is not None:
        stop = replace(stop, trigger=report.trigger_price, quantity=stop.quantity if stop.whole else report.quantity)
    accepted(turn, stop, report.exchange_id, SOURCES[report.source])


def _target_report(turn: Turn, target: TargetOrder, report: OrderReport) -> None:
    if target.state is OrderState.DONE:
        return
    match report.status:
        case OrderStatus.CANCELED | OrderStatus.EXPIRED | OrderStatus.REJECTED:
            targets.gone(turn, target, report.status, report.reason)
        case OrderStatus.TRIGGERING | OrderStatus.TRIGGERED | OrderStatus.FILLED | OrderStatus.PART_FILLED:
            targets.triggered(turn, target, report)
        case _:
            if target.state in (OrderState.SENDING, OrderState.UNKNOWN, OrderState.REFUSED):
                accepted(turn, target, report.exchange_id, SOURCES[report.source])


def _unheld(turn: Turn, report: OrderReport) -> None:
    """An order with an id of this position that it does not hold: made by an earlier life, taken back as ours.

    It is asked about before it is relied on. Of our own life it is one that is over and forgotten, and late news of the
    stream do not bring it back; should it rest after all, the next reading shows it.
    """
    ours = parse_client_id(report.client_id)
    if ours is None or ours.position_id != turn.position.id or report.client_id is None:
        return
    if not report.conditional or report.status.terminal or report.trigger_price is None:
        return
    if report.source is Source.STREAM and ours.epoch == turn.position.epoch:
        return
    if ours.kind is OrderKind.TAKE_PROFIT:
        _target_report(turn, targets.taken_back(turn, report, report.trigger_price), report)
        return
    stop = StopOrder(
        client_id=ClientOrderId(report.client_id),
        exchange_id=report.exchange_id,
        quantity=report.quantity,
        trigger=report.trigger_price,
        purpose=Purpose.GUARD,
        state=OrderState.LIVE,
        sent_at=report.at,
        accepted_at=turn.now,
        ask_at=turn.now,
        whole=report.close_position,
        wrong=Wrong.DOUBLED,
    )
    turn.set(stops=(*turn.position.stops, stop))
    turn.say(
        EventType.STOP_LOSS_DUPLICATE,
        {"order_id": report.exchange_id, "stop_price": report.trigger_price},
        order_id=report.client_id,
    )
    _stop_report(turn, stop, report, None)


def ask_open_questions(turn: Turn) -> None:
    """Ask about every order whose time has come; a request without any outcome becomes unknown by itself."""
    for tracked in turn.tracked():
        order = tracked
        if order.state.over or order is attached.coming(turn.position):
            continue
        if order.state is OrderState.SENDING:
            limit = order.sent_at + _patience(turn, order)
            if turn.now < limit:
                turn.wake_at(limit)
                continue
            proof = max(turn.now, order.sent_at + timedelta(seconds=UNANSWERED_S))
            order = replace(order, state=OrderState.UNKNOWN, absence_proof_at=proof, ask_at=turn.now)
            turn.put(order)
        if order.ask_at is None:
            continue
        if turn.now < order.ask_at:
            turn.wake_at(order.ask_at)
            continue
        turn.find(order)
        # A question that got lost is asked again before the network gives it up; from then on as slowly as that.
        again = turn.now + timedelta(seconds=UNANSWERED_S if order.questions else ASK_AGAIN_S)
        turn.put(replace(order, ask_at=again, questions=order.questions + 1))
        turn.wake_at(again)


def _patience(turn: Turn, order: TrackedOrder) -> timedelta:
    """How long to wait for an outcome. What is open without a stop does not wait for the network to give up."""
    bare = isinstance(order, StopOrder) and not covered(turn)
    return timedelta(seconds=UNANSWERED_FIRST_STOP_S if bare else UNANSWERED_S)
