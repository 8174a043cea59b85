"""The budget of one gateway: how many requests may leave without passing half of a limit of the venue (LAWS S15).

Rules of this file: what protects or closes is charged and never asked about; whatever else leaves is asked about first,
and who ranks lower leaves room for who ranks higher. A short limit is a window that remembers what left in it; a long
one a bucket that refills, so that nobody is silent until a window is over. Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from adapters.exchange.interface import Errand, RateLimit
from domain.orders import Priority

LEEWAY_S = 0.2  # so much later than the next one may a request arrive
_RANKS = {Priority.MOVE: 0, Priority.ENTRY: 1, Priority.QUERY: 2}


class Cost(NamedTuple):
    """What one piece of work takes: `requests` in number, `weight` by Binance's figures, the highest of the venues."""

    errand: Errand = Errand.QUESTION
    weight: int = 1
    requests: int = 1


class Window:
    """No more than half of a limit in any window of its length."""

    def __init__(self, limit: RateLimit) -> None:
        """Nothing has left yet."""
        self.limit = limit
        self.most = limit.most
        self._span = limit.window_s + LEEWAY_S
        self._left: deque[tuple[float, int]] = deque()
        self._used = 0

    def wait(self, cost: int, rank: int, now: float) -> float:
        """How long until so much fits in."""
        self._slide(now)
        room = self.most // 2 - self.limit.kept * (rank + 1)
        over = self._used + min(cost, room) - room
        if over <= 0:
            return 0.0
        for at, each in self._left:
            over -= each
            if over <= 0:
                return at + self._span - now
        return self._span

    def charge(self, cost: int, now: float) -> None:
        """So much leaves."""
        self._slide(now)
        self._left.append((now, cost))
        self._used += cost

    def _slide(self, now: float) -> None:
        while self._left and self._left[0][0] <= now - self._span:
            self._used -= self._left.popleft()[1]


class Bucket:
    """A burst, and what refills evenly: within a window together half of a limit."""

    def __init__(self, limit: RateLimit, burst: int, now: float) -> None:
        """It is full."""
        self.limit = limit
        self.most = limit.most
        self._burst = burst
        self._a_second = (limit.most / 2 - limit.kept - burst) / limit.window_s
        self._level = float(burst)
        self._at = now

    def wait(self, cost: int, rank: int, now: float) -> float:
        """How long until so much is in it."""
        self._refill(now)
        kept = self.limit.kept * rank
        return max((min(cost + kept, self._burst) - self._level) / self._a_second, 0.0)

    def charge(self, cost: int, now: float) -> None:
        """So much leaves. After a window of silence a venue has forgotten what we used: no debt is deeper than that."""
        self._refill(now)
        self._sink(self._level - cost)

    def correct(self, left: float, now: float) -> None:
        """By the venue's own count no more than this is left: somebody else may use the same address."""
        self._refill(now)
        self._sink(min(self._level, left))

    def _sink(self, level: float) -> None:
        self._level = max(level, -self.limit.window_s * self._a_second)

    def _refill(self, now: float) -> None:
        self._level = min(self._burst, self._level + (now - self._at) * self._a_second)
        self._at = now


class Budget:
    """All limits of a venue."""

    def __init__(self, limits: Iterable[RateLimit], now: float) -> None:
        """Nothing is used up."""
        self._all: list[Window | Bucket] = [
            Window(limit) if limit.burst is None else Bucket(limit, limit.burst, now) for limit in limits
        ]
        self._of = {errand: [each for each in self._all if errand in each.limit.of] for errand in Errand}

    def wait(self, priority: Priority, cost: Cost, now: float) -> float:
        """How long until work of this priority may leave; 0: now."""
        rank = _RANKS[priority]
        return max((each.wait(_of(each.limit, cost), rank, now) for each in self._of[cost.errand]), default=0.0)

    def charge(self, cost: Cost, now: float) -> None:
        """The work begins."""
        for each in self._of[cost.errand]:
            each.charge(_of(each.limit, cost), now)

    def weighed_left(self, left: float, now: float) -> None:
        """So much of its half the venue itself leaves of what it counts by weight."""
        for each in self._all:
            if isinstance(each, Bucket) and each.limit.weighed:
                each.correct(left, now)

    def path_allows(self, errand: Errand, most: int) -> None:
        """The venue's word on how much this account may do of one errand."""
        for each in self._of[errand]:
            if len(each.limit.of) == 1:
                each.most = most


def _of(limit: RateLimit, cost: Cost) -> int:
    return cost.weight if limit.weighed else cost.requests
