"""When nothing is to be decided: noted once a price has changed nothing, so that the next ones cost next to nothing.

A short cut, never a rule: whatever is answered by it, `machine.handle` answers the same without it (a property test).
"""

from __future__ import annotations

from datetime import datetime

from domain.position import aged, cover, ledger, places, trailing
from domain.position.effects import Transition
from domain.position.inputs import PriceRange
from domain.position.state import Calm, Phase, Position, TrailState


def rest(transition: Transition, heard: PriceRange, now: datetime) -> None:
    """A price has just changed nothing: note between which prices and until when that stays so."""
    p = transition.position
    stop = trailing.stop_in_force(p)
    resting = [s for s in p.stops if not s.state.over]
    settled = p.entry is None or p.entry.state.over
    if p.phase is not Phase.ACTIVE or stop is None or resting != [stop] or not settled or p.mark_price is None:
        return
    if p.close_wanted is not None or p.beyond_stop_since is not None or not all(x.state.over for x in p.exits):
        return
    if aged.overdue(p, now):
        return  # a price that is dated later is all that it waits for
    if trailing.touched(p, trailing.adverse_end(p, heard)):
        return  # what follows from the extreme was not looked at
    wanted = places.wanted_trigger(p)
    if wanted is None or trailing.worth_moving(p, stop.trigger, wanted) or cover.closes(p, stop) != ledger.exposure(p):
        return  # a move is only waiting for its time
    low, high = trailing.band(p)
    if p.trail.state is not TrailState.OFF:
        extreme = p.trail.extreme  # a better price becomes the extreme, even where it moves nothing
        if extreme is None:
            return
        if p.side.sign > 0:
            high = extreme if high is None else min(high, extreme)
        else:
            low = extreme if low is None else max(low, extreme)
    p.calmed(Calm(low, high, transition.wake_at))


def unmoved(p: Position, calm: Calm, heard: PriceRange, now: datetime) -> bool:
    """Whether a range of prices lies within what is known to change nothing."""
    return (
        (calm.low is None or heard.low > calm.low)
        and (calm.high is None or heard.high < calm.high)
        and (calm.until is None or now < calm.until)
        and (p.mark_at is None or heard.at >= p.mark_at)
    )


def still(p: Position, calm: Calm, heard: PriceRange) -> Transition:
    """The answer to such a range: the last mark is noted."""
    return Transition(
        position=p.changed(mark_price=heard.last, mark_at=heard.at),
        effects=(),
        happenings=(),
        orders=(),
        trades=(),
        wake_at=calm.until,
        record=False,
    )
