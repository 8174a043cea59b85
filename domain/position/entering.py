"""The entry: one order, or within a slippage bound at most two, and how far from the price decided on it may fill.

Rules of this file. With a bound every entry is a limit order that does not rest, so that nothing can be bought beyond
it. What of the first one did not fill is tried once more, in the very turn that hears how the first one ended: before
anything else is decided, so that no stop, target or end is decided on an entry that is not over. It is tried only
- after the venue's own word that nothing more comes of the first: never while that one's fate is unknown (LAWS S12);
- by the owner that decided on the entry, while it is fresh, and while nothing speaks against more of the position.
Protection does not depend on it: a second try that is refused or lost leaves a smaller position with its stop.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, localcontext

from domain.catalogue import EventType
from domain.identity import OrderKind, parse_client_id
from domain.instrument import MONEY, percent_of
from domain.orders import OrderIntent
from domain.position import attached, ladder, ledger, places
from domain.position.state import ZERO, OrderState, Position, TrackedOrder
from domain.position.turn import Turn

FRESH_S = 3.0


def bound(p: Position) -> Decimal | None:
    """The worst price that an entry may fill at, on the tick and never beyond the set distance; None: any price."""
    price, pct = p.plan.reference_price, p.plan.slippage_pct
    if price is None or pct <= 0:
        return None
    with localcontext(MONEY):
        worst = price + percent_of(price, pct) * p.side.sign
    return p.instrument.round_down(worst) if p.side.sign > 0 else p.instrument.round_up(worst)


def begin(turn: Turn) -> None:
    """The first order of a new position, with its stop attached where the venue can."""
    p = turn.position
    if p.entry is not None or p.adopted:
        return
    _send(turn, p.plan.quantity, places.first_trigger(p) if p.plan.venue.attached_stop else None)


def again(turn: Turn) -> None:
    """What the first order did not get is tried once more, if this turn has heard of its end."""
    p = turn.position
    first = p.entry
    if first is None or first.state is not OrderState.DONE or not _just_over(turn, first) or not _may_try(turn, first):
        return
    filled = ledger.filled_by(p, first.exchange_id)
    stop_price = None
    if p.plan.venue.attached_stop and filled <= 0:
        stop_price = places.first_trigger(p)  # the first one's stop was void with it
    elif p.plan.venue.attached_stop:
        stop = attached.standing(p)
        if stop is None:
            return
        turn.put(replace(stop, with_entry=False))  # it stands, whatever becomes of the rest
    turn.set(earlier=first, entry_got=None)
    _send(turn, first.quantity - filled, stop_price)


def _just_over(turn: Turn, first: TrackedOrder) -> bool:
    """Whether it was still under way before this turn, and the owner of now is the one that sent it."""
    before, ours = turn.began.entry, parse_client_id(first.client_id)
    under_way = before is not None and before.client_id == first.client_id and not before.state.over
    return under_way and ours is not None and ours.epoch == turn.position.epoch


def _may_try(turn: Turn, first: TrackedOrder) -> bool:
    p, limit = turn.position, bound(turn.position)
    if limit is None or p.earlier is not None or p.entry_got is None:
        return False
    if not timedelta(0) <= turn.now - first.sent_at <= timedelta(seconds=FRESH_S):
        return False
    if p.close_wanted is not None or p.close_fraction is not None or p.over_at is not None:
        return False
    if p.exits or p.stop_refusals or p.emergency_wanted or p.needs_intervention:
        return False
    filled = ledger.filled_by(p, first.exchange_id)
    if not filled == p.entry_got == ledger.book(p) == ledger.exposure(p):
        return False  # somebody else trades here, or the venue shows other figures than we have heard of
    if any(s.state is OrderState.TRIGGERED or (filled <= 0 and not s.state.over) for s in p.stops):
        return False
    trigger = places.first_trigger(p)
    if p.mark_price is None or (p.mark_price - limit) * p.side.sign > 0:
        return False
    if trigger is not None and not places.on_safe_side(p, trigger):
        return False
    rest = first.quantity - filled
    return rest > ZERO and ladder.enough(p.instrument, rest, min(limit, p.mark_price))


def _send(turn: Turn, quantity: Decimal, stop_price: Decimal | None) -> None:
    client_id = turn.mint(OrderKind.ENTRY)
    p = turn.position
    limit = bound(p)
    if stop_price is not None:
        attached.with_entry(turn, stop_price)
    turn.set(entry=TrackedOrder(client_id=client_id, quantity=quantity, state=OrderState.SENDING, sent_at=turn.now))
    data: dict[str, object] = {
        "side": p.side.opening,
        "symbol": p.symbol,
        "order_id": client_id,
        "quantity": quantity,
        "reference_price": p.plan.reference_price,
    }
    if limit is not None:
        data |= {"limit_price": limit, "try": tries(turn.position)}
    turn.say(EventType.ENTRY_PLACED, data, order_id=client_id)
    turn.place(
        OrderIntent(
            client_id=client_id,
            position_id=p.id,
            account=p.account,
            symbol=p.symbol,
            kind=OrderKind.ENTRY,
            side=p.side.opening,
            position_side=p.side,
            quantity=quantity,
            reduce_only=False,
            trigger_by=p.plan.protection.trigger_by,
            reference_price=p.plan.reference_price,
            limit_price=limit,
            attached_stop=stop_price,
        )
    )


def tries(p: Position) -> int:
    """How many orders the entry has taken so far."""
    return sum(order is not None for order in (p.earlier, p.entry))


def out_of_bounds(p: Position) -> bool:
    """Whether an entry that got nothing came to nothing because of its bound."""
    return bound(p) is not None and (p.earlier is not None or p.entry_got is not None)
