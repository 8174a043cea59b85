"""A stop has to fire, and be filled, before the venue liquidates (LAWS S13).

An entry of ours is checked for that beforehand. Afterwards the liquidation price comes nearer when a human enlarges the
position or the account loses what held it up, and an adopted position was never checked. Then the first stop's place
comes nearer too, for good: should the liquidation price go away again, the stop stays where it is (S3).
"""

from __future__ import annotations

from decimal import Decimal, localcontext

from domain.catalogue import EventType
from domain.instrument import MONEY, percent_of
from domain.position import ledger, places, trailing
from domain.position.state import Position, Purpose
from domain.position.turn import Turn

WAY_TO_LIQUIDATION_PCT = Decimal(90)
"""So much of the way to the liquidation price a stop may use up: what triggers it has yet to be filled."""


def hear(turn: Turn) -> None:
    """The liquidation price was read: bring the stop's place before it, where it is not."""
    p = turn.position
    beyond, stop = p.liquidation_price, trailing.stop_in_force(p)
    wanted = places.wanted_trigger(p)
    if beyond is None or beyond <= 0 or wanted is None or ledger.exposure(p) <= 0 or p.close_wanted is not None:
        return
    if stop is not None and stop.purpose is Purpose.FOREIGN:
        return  # a stranger's stop stays where it is
    if p.side.better(wanted if stop is None else p.side.best(wanted, stop.trigger), beyond):
        return
    place = _place(p, beyond)
    if place is None or not p.side.better(place, wanted):
        return
    if p.operator_stop is not None:
        turn.set(operator_stop=place)
    else:
        turn.set(initial_stop=place)
    turn.say(
        EventType.LIQUIDATION_NEAR,
        {
            "symbol": p.symbol,
            "liquidation_price": beyond,
            "old_stop": wanted if stop is None else stop.trigger,
            "new_stop": place,
            "mark_price": p.mark_price,
        },
    )


def _place(p: Position, beyond: Decimal) -> Decimal | None:
    """The farthest place that is early enough; the nearest valid one where the mark has passed that; None: no place."""
    starts = (ledger.entry_price(p), p.mark_price)
    start = next((price for price in starts if price is not None and p.side.better(price, beyond)), None)
    if start is None:
        return None
    with localcontext(MONEY):
        farthest = start + percent_of(beyond - start, WAY_TO_LIQUIDATION_PCT)
    place: Decimal | None = p.instrument.stop_price(p.side, farthest)
    if place is not None and not places.on_safe_side(p, place):
        place = places.nearest_trigger(p)
    return place if place is not None and p.side.better(place, beyond) else None
