"""What is counted beside the verdict: unprotected time, moves, entry to cover, live stops, requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.oracle.facts import By, Life


@dataclass(slots=True, kw_only=True, eq=False)
class Interval:
    """A time (ms) in which a position of ours was not covered. `excuse` names what made it longer, if anything did."""

    symbol: str
    owner: int | None
    cause: By
    began: int
    ended: int = 0
    excuse: str | None = None

    @property
    def length(self) -> int:
        """Milliseconds."""
        return self.ended - self.began


@dataclass(slots=True, kw_only=True)
class Measures:
    """Figures of one timeline. Times in ms."""

    intervals: list[Interval] = field(default_factory=list)
    entry_to_cover: list[int] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    most_stops: int = 0
    most_weight: int = 0
    lines: int = 0
    first_at: int = 0
    last_at: int = 0

    def first_cover(self, life: Life) -> None:
        """A position is covered for the first time."""
        if life.first_entry_at is not None and life.first_cover_at is not None:
            self.entry_to_cover.append(life.first_cover_at - life.first_entry_at)


def percentile(values: Iterable[int], percent: int) -> int:
    """The smallest value that `percent` of the values do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0
