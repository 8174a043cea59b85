"""Cancels of ours whose fate nobody knows: sent by an owner that died then, or never answered.

Rules of this file: that a cancel was sent stands in the state, durable before its first byte, so the stop or target
that is gone then was cancelled by us, and is not lost. Such a request can act until its receive window is over: what is
seen to rest by a question from after that was not cancelled, and what becomes of it later is another's doing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from domain.orders import Found, OrderStatus
from domain.position.state import OrderState, StopOrder, TargetOrder
from domain.position.turn import Turn

RECEIVE_WINDOW_S = 3
"""For so long after it was sent a request may still be carried out: the venue's two (`domain/lease`) and one more."""
JUST_AFTER = timedelta(milliseconds=50)
_RESTING = (OrderStatus.NEW, OrderStatus.ACK)


def may_act_until(now: datetime) -> datetime:
    """Until when a cancel that may have been sent this very moment can still act."""
    return now + timedelta(seconds=RECEIVE_WINDOW_S)


def by_us(order: StopOrder | TargetOrder) -> bool:
    """Whether it is our doing that an order is gone, as far as we know."""
    return order.state is OrderState.CANCELLING or order.cancel_until is not None


def hear_resting(turn: Turn, answer: Found) -> None:
    """An order rests: its doubtful cancel did not act, or has not yet, and it is asked about once more."""
    order = turn.order(answer.report.client_id, answer.report.exchange_id)
    if not isinstance(order, StopOrder | TargetOrder) or order.cancel_until is None:
        return
    if order.state is not OrderState.LIVE or answer.report.status not in _RESTING:
        return
    if answer.asked_at is not None and answer.asked_at > order.cancel_until:
        turn.put(replace(order, cancel_until=None))
    else:
        turn.put(replace(order, ask_at=max(order.cancel_until + JUST_AFTER, turn.now + JUST_AFTER)))
