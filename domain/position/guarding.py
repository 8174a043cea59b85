"""The guard: a stop that was missing, too small, elsewhere or doubled was put right, and how often (SYSTEM B6)."""

from __future__ import annotations

from dataclasses import replace

from domain.catalogue import EventType, Severity
from domain.position.state import StopOrder, Wrong
from domain.position.turn import Turn

OFTEN = 3


def recovered(turn: Turn, stop: StopOrder, what: Wrong) -> None:
    """One right stop stands again. From the third time on somebody else is at work, and a human hears of each."""
    times = turn.position.recoveries + 1
    turn.set(recoveries=times)
    turn.say(
        EventType.STOP_LOSS_RECOVERED,
        {"stop_price": stop.trigger, "what": what, "recoveries": times},
        Severity.WARNING if times >= OFTEN else None,
    )


def changed(turn: Turn, stop: StopOrder, shown: StopOrder) -> None:
    """Another hand has changed a stop of ours; what made it worse is to be put right, what made it better stays."""
    p = turn.position
    looser = p.side.better(stop.trigger, shown.trigger)
    smaller = not stop.whole and shown.quantity < stop.quantity
    wrong = Wrong.PRICE if looser else Wrong.SIZE if smaller else stop.wrong
    turn.put(replace(shown, wrong=wrong))
