"""Where a stop belongs: its own place, the emergency one, the nearest valid one."""

from __future__ import annotations

from decimal import Decimal

from domain.position import ledger, trailing
from domain.position.state import Position

FARTHEST_PCT = Decimal(50)
"""How far from the mark a stop may be asked for: at a worse price it is still within the reach of the last check."""


def first_trigger(p: Position) -> Decimal | None:
    """Where the first stop belongs: the given price, or the set distance from the entry price."""
    if p.operator_stop is not None:
        return p.operator_stop
    if p.initial_stop is not None:
        return p.initial_stop
    if p.plan.stop_price is not None:
        return p.instrument.stop_price(p.side, p.plan.stop_price)
    entry = ledger.entry_price(p) or p.mark_price or p.plan.reference_price
    if entry is None:
        return None
    return p.instrument.stop_price(p.side, trailing.offset(p.side, entry, -p.plan.protection.stop_pct))


def wanted_trigger(p: Position) -> Decimal | None:
    """Where the stop should be now: the first one's place or, when that is better, where it has trailed to."""
    first = first_trigger(p)
    if first is None or p.trail.wanted is None:
        return first
    return p.side.best(first, p.trail.wanted)


def on_safe_side(p: Position, trigger: Decimal) -> bool:
    """Whether the mark price has not passed a trigger; unknown marks forbid nothing."""
    return p.mark_price is None or p.side.better(p.mark_price, trigger)


def emergency_trigger(p: Position) -> Decimal | None:
    """The set distance from the mark, never past the liquidation price (DESIGN 3, 'Retries of a first stop')."""
    mark = p.mark_price or ledger.entry_price(p)
    if mark is None:
        return None
    trigger = trailing.offset(p.side, mark, -p.plan.protection.emergency_stop_pct)
    return p.instrument.stop_price(p.side, _short_of_liquidation(p, trigger))


def _short_of_liquidation(p: Position, trigger: Decimal) -> Decimal:
    """A trigger, or the last one before the venue liquidates."""
    if p.liquidation_price is None or p.liquidation_price <= 0:
        return trigger
    return p.side.best(trigger, p.liquidation_price + p.instrument.tick * p.side.sign)


def nearest_trigger(p: Position) -> Decimal | None:
    """The nearest valid stop for one whose own place the mark has passed while nobody watched.

    Not looser than the stop that was lost, nor than the first one, as long as the mark has not passed those (S3).
    """
    if p.mark_price is None:
        return None
    wished = trailing.offset(p.side, p.mark_price, -p.plan.protection.nearest_stop_pct)
    nearest = p.instrument.stop_price_outward(p.side, wished)
    for known in (first_trigger(p), *(s.trigger for s in p.stops if s.accepted_at is not None)):
        if known is not None and on_safe_side(p, known):
            nearest = p.side.best(nearest, known)
    last = p.instrument.stop_price(p.side, _short_of_liquidation(p, nearest))
    return last if on_safe_side(p, last) else nearest
