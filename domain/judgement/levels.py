"""How endangered a position is, in five words, and what may be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class RiskLevel(StrEnum):
    """From nothing to fear to the worst."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"
    EMERGENCY = "emergency"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(RiskLevel)}


class RiskAction(StrEnum):
    """What is done when a level is reached. Everything beyond an alert is the owner's own act."""

    NONE = "none"
    ALERT = "alert"
    TIGHTEN = "tighten"
    REDUCE = "reduce"
    CLOSE = "close"

    @property
    def acts(self) -> bool:
        """Whether an order comes of it."""
        return self in (RiskAction.TIGHTEN, RiskAction.REDUCE, RiskAction.CLOSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """When something was last done about a level."""

    level: RiskLevel
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The level that a position is at, since when, and by which score it was reached.

    `withheld`: its action waits for a fresh price. `acted`: one for each level at most.
    """

    level: RiskLevel = RiskLevel.LOW
    score: Decimal = Decimal(0)
    at: datetime | None = None
    withheld: bool = False
    acted: tuple[Acted, ...] = ()
