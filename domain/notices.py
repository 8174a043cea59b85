"""Which events are told to humans: all that are grave, and of the routine ones those that nobody has switched off.

The flags of a symbol gate routine notices only, never a WARNING or above (DESIGN 3, SYSTEM E1).
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.catalogue import EventType, Severity
from domain.instrument import PositionSide

ROUTINE = frozenset(
    {EventType.ENTRY_PLACED, EventType.ENTRY_FILLED, EventType.STOP_LOSS_PLACED, EventType.POSITION_CLOSED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFlags:
    """What is set for a symbol. `buy` and `sell` are for long and short positions."""

    alert: bool = True
    buy: bool = True
    sell: bool = True


def told(event: EventType, severity: Severity, side: PositionSide | None, flags: AlertFlags | None) -> bool:
    """Whether an event becomes a notice; without flags no routine one does."""
    if severity.alerts:
        return True
    if flags is None or side is None or event not in ROUTINE:
        return False
    return flags.alert and (flags.buy if side is PositionSide.LONG else flags.sell)
