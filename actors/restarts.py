"""When to start a dead child again, and which children there are: the pure parts of supervision.

Durations are seconds by the monotonic clock.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterable

from actors.supervision import ChildSpec


def backoff(streak: int, spec: ChildSpec, rng: random.Random) -> float:
    """Delay before the next restart after `streak` in a row: none at first, then exponential with full jitter."""
    if streak == 0:
        return 0.0
    # The exponent is bounded so that a long streak does not make an absurd number before `min` sees it.
    ceiling = min(spec.max_backoff_s, spec.base_backoff_s * 2.0 ** min(streak - 1, 64))
    return rng.uniform(0.0, ceiling)


def slow_delay(spec: ChildSpec, rng: random.Random) -> float:
    """Delay for a child that falls too often: between half of the longest back-off and all of it."""
    return rng.uniform(spec.max_backoff_s / 2, spec.max_backoff_s)


class RestartWindow:
    """Counts restarts in a sliding window."""

    def __init__(self, limit: int, period_s: float) -> None:
        """More than `limit` restarts within `period_s` are too many."""
        self._limit = limit
        self._period_s = period_s
        # One more than the limit is enough to know, however many there are.
        self._times: deque[float] = deque(maxlen=limit + 1)

    def add(self, now: float) -> bool:
        """Count a restart; whether these are too many."""
        self._times.append(now)
        return len(self._times) > self._limit and now - self._times[0] <= self._period_s


class Roster:
    """The children a supervisor has to run, in start order; thread-safe, and alive longer than the supervisor."""

    def __init__(self, specs: Iterable[ChildSpec] = ()) -> None:
        """Begin with these.

        Raises:
            ValueError: if a name occurs twice.
        """
        self._lock = threading.Lock()
        self._specs: dict[str, ChildSpec] = {}
        for spec in specs:
            self.add(spec)

    def add(self, spec: ChildSpec) -> None:
        """Append a child.

        Raises:
            ValueError: if the name is taken.
        """
        with self._lock:
            if spec.name in self._specs:
                raise ValueError(f"child {spec.name!r} is on the roster already: names are unique")
            self._specs[spec.name] = spec

    def discard(self, name: str) -> None:
        """Take a child off, if it is there."""
        with self._lock:
            self._specs.pop(name, None)

    def specs(self) -> tuple[ChildSpec, ...]:
        """All of them, in start order."""
        with self._lock:
            return tuple(self._specs.values())
