"""Every change of the rules since this process began, in order, and how far each owner has taken them over.

Rules of this file: a change stands here only when it is in force for whoever decides on an entry, and before any owner
is told that there is one. An owner takes its news from here by itself: when told, at each start, and behind each
message. So one that is just being decided on, made, started or restarted misses no change, and takes each once: what
an operator set for it since is not undone by a change that it knew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from domain.identity import PositionId
from domain.position.inputs import RulesChanged
from domain.position.state import Position

RuleChange = Callable[[Position], RulesChanged | None]
"""What a change means for a position; None: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesNew:
    """To an owner: there is news of its rules."""


class RuleChanges:
    """Shared by threads: changes are added by whoever puts them in force, how far a position is by its owner."""

    def __init__(self) -> None:
        """Nothing has changed yet."""
        self._lock = threading.Lock()
        self._changes: list[RuleChange] = []
        self._known: dict[PositionId, int] = {}
        self.number = 0
        """How many there were; read by every owner behind every message."""

    def add(self, change: RuleChange) -> None:
        """Something is in force now that was not before."""
        with self._lock:
            self._changes.append(change)
            self.number = len(self._changes)

    def made(self, position_id: PositionId, number: int) -> None:
        """A position has an owner now. What was decided on it knew at least so many changes."""
        with self._lock:
            self._known.setdefault(position_id, number)

    def news(self, position: Position) -> list[tuple[int, RulesChanged | None]]:
        """The changes that its owner has not taken over yet, each with its number."""
        with self._lock:
            known = self._known.get(position.id, len(self._changes))
            changes = self._changes[known:]
        return [(number, change(position)) for number, change in enumerate(changes, known + 1)]

    def taken(self, position_id: PositionId, number: int) -> None:
        """Its owner has handed over a state that has so many of them in it."""
        with self._lock:
            if position_id in self._known:
                self._known[position_id] = number

    def forget(self, position_id: PositionId) -> None:
        """Its life is over."""
        with self._lock:
            self._known.pop(position_id, None)
