"""A position at the moment of its decision: before its first order, with everything it will live by."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from domain.identity import Epoch, PositionId
from domain.instrument import Instrument, PositionSide
from domain.position.plan import Plan
from domain.position.state import Phase, Position


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
) -> Position:
    """A position that somebody else opened and that we protect from now on."""
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
    )
