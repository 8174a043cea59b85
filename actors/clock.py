"""Clocks: the only source of time and timers for actors.

Rules of this file:
- `now()` is aware UTC. Timers go by the monotonic clock: a step of the wall clock neither fires nor delays them.
- Callbacks run in the clock's thread, one after another: they only send messages, and never block.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from loguru import logger

FOLLOWS = 0.001
Callback = Callable[[], object]
"""What it returns is ignored."""


class Cancellable(Protocol):
    """A timer that has been set."""

    def cancel(self) -> None:
        """Keep it from firing; harmless when it has fired already."""


class Clock(Protocol):
    """Time and timers."""

    def now(self) -> datetime:
        """Wall time, aware UTC."""

    def monotonic(self) -> float:
        """Seconds that never jump; only differences mean anything."""

    def call_at(self, at: datetime, callback: Callback) -> Cancellable:
        """Call back when as much time has passed as is now missing until `at` (aware); at once if that is past."""

    def call_after(self, seconds: float, callback: Callback) -> Cancellable:
        """Call back after so many seconds; at once if not positive."""


def _since_boot() -> float:
    """Seconds that never jump and count a suspended machine's sleep, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Timer:
    """One entry of a clock's heap; ordered by deadline, then by the order of setting."""

    __slots__ = ("_callback", "deadline", "order")

    def __init__(self, deadline: float, order: int, callback: Callback) -> None:
        """Set for `deadline` (monotonic seconds)."""
        self.deadline = deadline
        self.order = order
        self._callback: Callback | None = callback

    def __lt__(self, other: Timer) -> bool:
        """Earlier deadline first."""
        return (self.deadline, self.order) < (other.deadline, other.order)

    def cancel(self) -> None:
        """Keep it from firing and let go of what it holds."""
        self._callback = None

    def fire(self) -> None:
        """Call back, once."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


def _missing(clock: Clock, at: datetime) -> float:
    """Seconds until `at`.

    Raises:
        ValueError: if `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError(f"call_at: {at.isoformat()} has no time zone: an aware time is needed")
    return (at - clock.now()).total_seconds()


class SteadyTime:
    """Wall time that never jumps: it follows the machine's, but a step of that only by a thousandth of the time passed.

    Everything that is compared or waited for within one process is dated by it, so that a clock set by hours neither
    stops decisions (a reading 'older' than our last order) nor hurries them. Drift is far below a thousandth.
    """

    def __init__(self, wall: datetime, elapsed: float) -> None:
        """Begin at `wall` (aware); `elapsed`: seconds by a clock that never jumps, the machine's sleep included."""
        self._at, self._elapsed = wall, elapsed
        self._lock = threading.Lock()

    def read(self, wall: datetime, elapsed: float) -> datetime:
        """The steady time when the machine's clock shows `wall`."""
        with self._lock:
            passed = max(elapsed - self._elapsed, 0.0)
            expected = self._at + timedelta(seconds=passed)
            leeway = timedelta(seconds=passed * FOLLOWS)
            self._at = min(max(wall, expected - leeway), expected + leeway)
            self._elapsed = elapsed
            return self._at


class SystemClock:
    """Real time; timers fire in one daemon thread between `start()` and `stop()`."""

    def __init__(self) -> None:
        """Timers may be set at once; they fire when the clock runs."""
        # The heap belongs to the thread alone; the queue is both the way in and the alarm that wakes it.
        self._arrivals: queue.SimpleQueue[Timer | None] = queue.SimpleQueue()
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._steady = SteadyTime(datetime.now(UTC), _since_boot())

    def now(self) -> datetime:
        """Wall time, aware UTC; see `SteadyTime` for what it does when the machine's clock is set."""
        return self._steady.read(datetime.now(UTC), _since_boot())

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def call_at(self, at: datetime, callback: Callback) -> Cancellable:
        """See `Clock`."""
        return self.call_after(_missing(self, at), callback)

    def call_after(self, seconds: float, callback: Callback) -> Cancellable:
        """See `Clock`."""
        timer = Timer(time.monotonic() + seconds, next(self._order), callback)
        self._arrivals.put(timer)
        return timer

    def start(self) -> None:
        """Begin to fire timers.

        Raises:
            RuntimeError: if it runs already.
        """
        if self._thread is not None:
            raise RuntimeError("SystemClock.start: the clock runs already")
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """End the thread; timers not yet due never fire. False if a callback kept it longer than `timeout` seconds."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._arrivals.put(None)
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        heap: list[Timer] = []
        while True:
            wait = heap[0].deadline - time.monotonic() if heap else None
            if wait is None or wait > 0:
                try:
                    arrival = self._arrivals.get(timeout=wait)
                except queue.Empty:
                    continue
                if arrival is None:
                    return
                heapq.heappush(heap, arrival)
                continue
            timer = heapq.heappop(heap)
            try:
                timer.fire()
            except BaseException as error:  # noqa: BLE001 - whatever a callback raises, all other timers must go on
                logger.opt(exception=error).error("CLOCK_CALLBACK_FAILED error={!r}", repr(error))


class VirtualClock:
    """Time that stands still until it is told to advance; timers fire in the caller's thread."""

    def __init__(self, start: datetime) -> None:
        """Begin at `start` (aware)."""
        if start.tzinfo is None:
            raise ValueError(f"VirtualClock: {start.isoformat()} has no time zone: an aware time is needed")
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._heap: list[Timer] = []
        self._order = itertools.count()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Virtual wall time."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self._elapsed

    def call_at(self, at: datetime, callback: Callback) -> Cancellable:
        """See `Clock`."""
        return self.call_after(_missing(self, at), callback)

    def call_after(self, seconds: float, callback: Callback) -> Cancellable:
        """See `Clock`; what is due at once fires with the next `advance`, even of 0 seconds."""
        with self._lock:
            timer = Timer(self._elapsed + max(seconds, 0.0), next(self._order), callback)
            heapq.heappush(self._heap, timer)
        return timer

    def advance(self, by: float | datetime) -> None:
        """Go on by seconds, or to an aware time, firing what is due in order, also what callbacks set on the way.

        Raises:
            ValueError: if that is backwards.
            Exception: whatever a callback raises; the clock then stands at that callback's time.
        """
        target = (by - self._start).total_seconds() if isinstance(by, datetime) else self._elapsed + by
        if target < self._elapsed:
            raise ValueError(f"VirtualClock.advance: {by} is {self._elapsed - target} s in the past")
        while (timer := self._next_due(target)) is not None:
            timer.fire()
        self._elapsed = target

    def _next_due(self, target: float) -> Timer | None:
        with self._lock:
            if not self._heap or self._heap[0].deadline > target:
                return None
            timer = heapq.heappop(self._heap)
            self._elapsed = max(self._elapsed, timer.deadline)
            return timer
