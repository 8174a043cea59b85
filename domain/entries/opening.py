"""A position at the moment of its decision: before its first order, with everything it will live by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from domain.decimals import plain
from domain.entries.situation import Refusal
from domain.identity import Epoch, PositionId
from domain.instrument import Instrument, PositionSide, distance_pct
from domain.orders import OrderReport
from domain.position import foreign, places
from domain.position.plan import Plan
from domain.position.state import Phase, Position

FARTHEST_TARGET_PCT = Decimal(50)


def new_position(
    *,
    position_id: PositionId,
    account: str,
    exchange: str,
    instance: str,
    instrument: Instrument,
    side: PositionSide,
    plan: Plan,
    epoch: Epoch,
    now: datetime,
    correlation_id: str,
    signal_id: str | None = None,
    signal_key: str | None = None,
) -> Position:
    """A position that has yet to send its entry."""
    return Position(
        id=position_id,
        account=account,
        exchange=exchange,
        instance=instance,
        instrument=instrument,
        side=side,
        plan=plan,
        epoch=epoch,
        correlation_id=correlation_id,
        opened_at=now,
        signal_id=signal_id,
        signal_key=signal_key,
        mark_price=plan.reference_price,
    )


def adopted_position(
    *,
    position_id: PositionId,
    account: str,
    exchange: str,
    instance: str,
    instrument: Instrument,
    side: PositionSide,
    quantity: Decimal,
    entry_price: Decimal | None,
    mark_price: Decimal | None,
    plan: Plan,
    epoch: Epoch,
    now: datetime,
    correlation_id: str,
    bare_since: datetime | None = None,
    orders: Iterable[OrderReport] = (),
    mark_at: datetime | None = None,
) -> Position:
    """A position that somebody else opened and that we protect from now on.

    `bare_since`: when it was first seen without a stop; those seconds count as unprotected. `orders`: what rested
    beside it: a stop that covers it whole stays its stop. `mark_at`: of when its mark price is.
    """
    stops = foreign.stops_of(orders, side, quantity, mark_price, now, every=plan.adopt_stops)
    return Position(
        id=position_id,
        account=account,
        exchange=exchange,
        instance=instance,
        instrument=instrument,
        side=side,
        plan=plan,
        epoch=epoch,
        correlation_id=correlation_id,
        opened_at=now,
        adopted=True,
        phase=Phase.PENDING_SL,
        adopted_quantity=quantity,
        adopted_price=entry_price or mark_price,
        mark_price=mark_price,
        mark_at=mark_at,
        unprotected_since=bare_since,
        stops=stops,
        protected_once=bool(stops) and not plan.adopt_stops,
    )


def wrong_stop(side: PositionSide, plan: Plan) -> Refusal | None:
    """A stop has to lie on the losing side of the mark, and where the last check before the wire lets it pass.

    One that it does not would be found out with the position open already, and that closed at market again.
    """
    price, mark, pct = plan.stop_price, plan.reference_price, plan.protection.stop_pct
    figures = {"stop_pct": plain(pct)}
    if price is not None:
        if mark is None:
            return None
        figures = {"stop_price": plain(price), "mark_price": plain(mark), "side": side.value}
        if not side.better(mark, price):
            return Refusal(code="stop_on_wrong_side", figures=figures)
        pct = distance_pct(price, mark)
        figures["distance_pct"] = f"{pct:.2f}"
    if pct <= places.FARTHEST_PCT:
        return None
    return Refusal(code="stop_too_far", figures={**figures, "farthest_pct": plain(places.FARTHEST_PCT)})


def wrong_targets(plan: Plan) -> Refusal | None:
    """Take-profits lie apart, within reach of the last check's distance, and close no more than the whole."""
    seen: set[Decimal] = set()
    for goal in plan.take_profits:
        rule = None
        if not 0 < goal.pct <= FARTHEST_TARGET_PCT:
            rule = f"pct must be greater than 0 and at most {FARTHEST_TARGET_PCT}"
        elif not 0 < goal.fraction <= 1:
            rule = "fraction must be greater than 0 and at most 1"
        elif goal.pct in seen:
            rule = "two targets must not have the same pct"
        if rule is not None:
            figures = {"pct": plain(goal.pct), "fraction": plain(goal.fraction), "rule": rule}
            return Refusal(code="wrong_take_profit", figures=figures)
        seen.add(goal.pct)
    total = sum((goal.fraction for goal in plan.take_profits), Decimal(0))
    if total > 1:
        rule = "the fractions must not add up to more than 1"
        return Refusal(code="wrong_take_profit", figures={"sum": plain(total), "rule": rule})
    return None
