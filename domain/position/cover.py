"""How much of the position is covered, and for how long it was not: the unprotected seconds."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from domain.catalogue import EventType, Severity
from domain.position import ledger
from domain.position.state import ZERO, CloseReason, OrderState, Position, StopOrder, derived
from domain.position.turn import Turn

TRIGGERED_LIMIT_S = 1.0
ALARM_S = 5
# News of a fill is not later than this unless nobody was there to hear it, or the stream was slow.
IN_TIME = timedelta(seconds=1)


def closes(p: Position, stop: StopOrder) -> Decimal:
    """The quantity that a stop would close."""
    return ledger.exposure(p) if stop.whole else stop.quantity


@derived("stops", *ledger.SIZED)
def cover(p: Position) -> Decimal:
    """The quantity that the resting stops would close."""
    return sum((closes(p, s) for s in p.stops if s.covers), ZERO)


def covered(turn: Turn) -> bool:
    """Whether the exposure is covered; a stop that is triggering counts for a second (LAWS)."""
    p = turn.position
    triggering = sum(
        (
            closes(p, s)
            for s in p.stops
            if s.state is OrderState.TRIGGERED
            and s.triggered_at is not None
            and turn.now < s.triggered_at + timedelta(seconds=TRIGGERED_LIMIT_S)
        ),
        ZERO,
    )
    return cover(p) + triggering >= ledger.exposure(p)


def _bare_since(p: Position, now: datetime) -> datetime:
    """Since when, if it is seen now for the first time: the fill's own time where the news of it comes late.

    The process may have been dead between fill and stop, and those seconds count as well (LAWS 'unprotected'). What a
    position that was covered already lacks says nothing of when it was lost.
    """
    if p.protected_once or p.last_fill_at is None:
        return now
    filled = max(p.last_fill_at, p.opened_at)
    return filled if now - filled > IN_TIME else now


def measure(turn: Turn) -> None:
    """Keep the unprotected seconds: from the first moment without full cover to the first one with it."""
    p = turn.position
    bare = ledger.exposure(p) > 0 and not covered(turn) and not ledger.flat(p)
    if bare and p.unprotected_since is None:
        moving = bool(p.stops) and p.stops[-1].moved_for is not None  # the hole that this way of moving leaves
        expected = moving or not p.protected_once or (p.entry is not None and not p.entry.state.over)
        turn.set(unprotected_since=_bare_since(p, turn.now), unprotected_alerted=False)
        turn.say(
            EventType.POSITION_UNPROTECTED,
            {"symbol": p.symbol, "quantity": ledger.exposure(p), "cover": cover(p)},
            Severity.INFO if expected else Severity.WARNING,
        )
        p = turn.position
    if not bare and p.unprotected_since is not None:
        seconds = Decimal(str((turn.now - p.unprotected_since).total_seconds()))
        turn.set(unprotected_since=None, unprotected_seconds=p.unprotected_seconds + seconds)
        turn.say(EventType.POSITION_PROTECTED, {"symbol": p.symbol, "unprotected_seconds": seconds, "cover": cover(p)})
    elif p.unprotected_since is not None and not p.unprotected_alerted:
        limit = p.unprotected_since + timedelta(seconds=ALARM_S)
        # Where no stop can be had, so that it is being closed, nobody is kept waiting for the news (SYSTEM B2).
        if turn.now < limit and p.close_wanted not in (CloseReason.ROLLBACK, CloseReason.STOP_PASSED):
            turn.wake_at(limit)
        else:
            bare_s = int((turn.now - p.unprotected_since).total_seconds())
            turn.set(unprotected_alerted=True)
            turn.say(
                EventType.POSITION_UNPROTECTED,
                {"symbol": p.symbol, "quantity": ledger.exposure(p), "seconds": bare_s, "phase": p.phase},
                Severity.CRITICAL,
            )
