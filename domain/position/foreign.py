"""Stops of strangers on a position that was adopted (DESIGN 3, 'Hands off').

One that covers the whole stays THE stop, as it is: nobody here moves it. Where the operator has set `adopt_stops` all
of them are taken over instead: ours is accepted first, then they are cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from domain.catalogue import EventType, Happening
from domain.identity import ClientOrderId, parse_client_id
from domain.instrument import PositionSide
from domain.orders import OrderReport, OrderStatus
from domain.position import ledger
from domain.position.state import ZERO, OrderState, Position, Purpose, StopOrder
from domain.position.turn import Turn, happening


def stops_of(
    reports: Iterable[OrderReport],
    side: PositionSide,
    quantity: Decimal,
    mark: Decimal | None,
    now: datetime,
    *,
    every: bool,
) -> tuple[StopOrder, ...]:
    """Which orders are stops of a position that is being adopted: the tightest that covers the whole, or every one."""
    found = [report for report in reports if _closes(report, side, mark)]
    if not every:
        whole = [report for report in found if report.close_position or report.quantity >= quantity]
        found = sorted(whole, key=lambda report: (report.trigger_price or ZERO) * side.sign)[-1:]
    return tuple(_stop(report, quantity, now) for report in found)


def take(turn: Turn, report: OrderReport) -> None:
    """A stranger's stop is seen before ours was sent: the same decision as at the adoption."""
    p = turn.position
    if not p.adopted or p.protected_once or any(s.purpose is not Purpose.FOREIGN for s in p.stops):
        return
    if p.stops and not p.plan.adopt_stops:
        return
    known = any(s.exchange_id == report.exchange_id for s in p.stops)
    quantity, every = ledger.exposure(p), p.plan.adopt_stops
    found = () if known else stops_of([report], p.side, quantity, p.mark_price, turn.now, every=every)
    if not found:
        return
    turn.set(stops=(*p.stops, *found), protected_once=not every)
    if not every:
        turn.set(unprotected_since=None)  # it was covered all the time
    turn.happenings.append(kept(p.symbol, found[0]))
    turn.record = True


def kept(symbol: str, stop: StopOrder) -> Happening:
    """A stranger's stop stays the stop: nothing is placed beside it."""
    data: dict[str, object] = {
        "symbol": symbol,
        "order_id": stop.exchange_id,
        "existing_orders": 1,
        "stop_price": stop.trigger,
    }
    return happening(EventType.STOP_LOSS_EXISTS, data)


def may_cancel(p: Position, stop: StopOrder) -> bool:
    """Whether a stop is ours to cancel (LAWS S9)."""
    return stop.purpose is not Purpose.FOREIGN or p.plan.adopt_stops


def is_replaced(p: Position, stop: StopOrder) -> bool:
    """Whether a stop is a stranger's that is to go once ours stands."""
    return stop.purpose is Purpose.FOREIGN and p.plan.adopt_stops


def _closes(report: OrderReport, side: PositionSide, mark: Decimal | None) -> bool:
    """Whether a stranger's order is a stop of this side: live, closing, triggered where the position loses."""
    trigger = report.trigger_price
    live = not report.status.terminal and report.status is not OrderStatus.TRIGGERED
    reducing = report.reduce_only or report.close_position or report.position_side is side
    if parse_client_id(report.client_id) is not None or report.attached or trigger is None:
        return False
    closing = report.conditional and live and reducing and report.side is side.closing
    return closing and (mark is None or side.better(mark, trigger))


def _stop(report: OrderReport, quantity: Decimal, now: datetime) -> StopOrder:
    return StopOrder(
        client_id=ClientOrderId(report.client_id or f"foreign {report.exchange_id}"),
        exchange_id=report.exchange_id,
        quantity=quantity if report.close_position else report.quantity,
        trigger=report.trigger_price or ZERO,
        purpose=Purpose.FOREIGN,
        whole=report.close_position,
        state=OrderState.LIVE,
        sent_at=report.at,
        accepted_at=now,
    )
