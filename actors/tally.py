"""What is counted while the service runs, for whoever measures it: events, and how long things took.

Shared by threads; counting costs a lock and an addition. Nothing here is remembered over a restart: that is what the
book is for.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from domain.catalogue import EventType
from domain.records import Event

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REFUSALS = frozenset(
    {
        EventType.SIGNAL_REFUSED,
        EventType.ENTRY_REFUSED,
        EventType.STOP_LOSS_REFUSED,
        EventType.TAKE_PROFIT_REFUSED,
        EventType.EXIT_REFUSED,
    }
)


class Spread(NamedTuple):
    """How long something took, over all times: how often within each of `BOUNDS_S` (and beyond), and in sum."""

    counts: tuple[int, ...]
    sum_s: float


class _Spread:
    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds


class Tally:
    """The counts of one process."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self._lock = threading.Lock()
        self._events: Counter[tuple[str, str]] = Counter()
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._unprotected = _Spread()
        self._round_trips: dict[tuple[str, str], _Spread] = {}

    def count(self, events: Iterable[Event]) -> None:
        """Events on their way into the book."""
        with self._lock:
            for event in events:
                self._events[event.type.value, event.severity.value] += 1
                if event.type in REFUSALS:
                    self._refusals[event.type.value, _code(event)] += 1
                if event.type is EventType.POSITION_PROTECTED:
                    self._unprotected.add(_seconds(event))

    def round_trip(self, account: str, kind: str, seconds: float) -> None:
        """An order was sent and its answer came, whichever it was."""
        with self._lock:
            self._round_trips.setdefault((account, kind), _Spread()).add(seconds)

    def events(self) -> dict[tuple[str, str], int]:
        """How many of each type and severity."""
        with self._lock:
            return dict(self._events)

    def refusals(self) -> dict[tuple[str, str], int]:
        """How many refusals of each event type and reason code."""
        with self._lock:
            return dict(self._refusals)

    def unprotected(self) -> Spread:
        """How long positions were bare each time until they were covered."""
        with self._lock:
            return _read(self._unprotected)

    def round_trips(self) -> dict[tuple[str, str], Spread]:
        """By account and kind of order."""
        with self._lock:
            return {key: _read(each) for key, each in self._round_trips.items()}


def _read(spread: _Spread) -> Spread:
    return Spread(tuple(spread.counts), spread.sum_s)


def _code(event: Event) -> str:
    """The reason code: a word of ours or the venue's; a sentence is not one, and would make a label without end."""
    for name in ("code", "reason"):
        value = event.data.get(name)
        if isinstance(value, str) and value and " " not in value and len(value) <= 40:
            return value
    return "other"


def _seconds(event: Event) -> float:
    try:
        return float(str(event.data.get("unprotected_seconds", 0)))
    except ValueError:
        return 0.0
