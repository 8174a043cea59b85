"""Which of many positions the page is told of: those nearest to their stop.

A page shows so many cards. To tell it of a thousand positions once a second would cost the service more than all their
decisions do. Rules of this file: who is bare or needs a human comes first and at once, then who is nearest to its stop.
So that cards do not come and go with every price, the others are chosen anew every `STAY_S` only, and who is shown
stays then too while it is among the first twice as many, unless the nearest half needs its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import chain

from domain.identity import PositionId
from domain.position import trailing
from domain.position.state import Position

CARDS = 24
STAY_S = 10.0

Marked = Callable[[Position], Decimal | None]


class Foremost:
    """What the last look has shown. For one thread at a time."""

    def __init__(self, most: int = CARDS) -> None:
        """Nothing has been shown yet."""
        self._most = most
        self._shown: frozenset[PositionId] = frozenset()
        self._chosen_at = -STAY_S

    def of(self, owned: Sequence[Position], mark: Marked, at: float) -> list[Position]:
        """At most so many of them, the most urgent first; all, if they are not more. `at`: monotonic seconds."""
        ranked = sorted(owned, key=lambda p: _urgency(p, mark(p)))
        if len(ranked) > self._most:
            alarming = (p.id for p in ranked if _alarming(p))
            settled = at - self._chosen_at < STAY_S
            if not settled:
                self._chosen_at = at
            nearest = (p.id for p in ranked[: 0 if settled else self._most // 2])
            staying = (p.id for p in (ranked if settled else ranked[: 2 * self._most]) if p.id in self._shown)
            wanted = chain(alarming, nearest, staying, (p.id for p in ranked))
            chosen = set(list(dict.fromkeys(wanted))[: self._most])
            ranked = [p for p in ranked if p.id in chosen]
        self._shown = frozenset(p.id for p in ranked)
        return ranked


def _alarming(p: Position) -> bool:
    return p.unprotected_since is not None or p.needs_intervention


def _urgency(p: Position, mark: Decimal | None) -> tuple[bool, Decimal]:
    """What is smaller comes first; without a mark or a stop nobody knows how near it is."""
    stop = trailing.stop_in_force(p)
    if stop is None or mark is None:
        return not _alarming(p), Decimal(0)
    return not _alarming(p), abs(mark / stop.trigger - 1)
