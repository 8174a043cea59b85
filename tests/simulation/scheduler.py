"""The scheduler: it alone decides who goes on next, and when time passes.

What waits to go on is a `Runnable`: a fiber (what a thread is in production) or an event loop with work to do. One of
them is drawn by the seed and runs until it waits again; time stands still meanwhile. Only when nobody can go on does
time jump to the next timer. A `Host` is an operating system process: it can be killed or paused at any step, and what
it owned goes with it. Times are whole microseconds since the beginning; seconds are given where a caller says how long.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Protocol

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

SECOND = 1_000_000
MOST_STEPS_AT_ONE_TIME = 20_000


class Killed(BaseException):
    """The host of this fiber is dead: unwind, without any effect."""


class Livelock(Exception):
    """The program goes on and on while no time passes."""


class Host:
    """One operating system process, as far as time and threads are concerned."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused_until = 0
        self.fibers: dict[Fiber, None] = {}


class Runnable(Protocol):
    """Something that can go on."""

    host: Host
    queued: bool

    def run(self) -> None:
        """Go on until there is nothing to do."""


class Timer:
    """One call to come."""

    __slots__ = ("action", "host")

    def __init__(self, action: Callable[[], object], host: Host | None) -> None:
        self.action: Callable[[], object] | None = action
        self.host = host

    def cancel(self) -> None:
        """Keep it from firing; harmless when it has fired."""
        self.action = None


class Fiber:
    """What a thread is in production: it runs until it waits."""

    __slots__ = ("_greenlet", "done", "host", "joiners", "name", "queued", "scheduler", "thread")

    def __init__(self, scheduler: Scheduler, host: Host, target: Callable[[], object], name: str) -> None:
        self.scheduler = scheduler
        self.host = host
        self.name = name
        self.queued = False
        self.done = False
        self.joiners: list[Fiber] = []
        self.thread: object = None
        self._greenlet = greenlet(lambda: self._live(target), parent=scheduler.hub)
        host.fibers[self] = None

    def run(self) -> None:
        """Go on where it waited."""
        self._greenlet.switch()

    def kill(self) -> None:
        """Unwind it; whatever its clean-up does has no effect, as its host is dead."""
        self.done = True
        if self._greenlet:  # one that never began has nothing to unwind
            self._greenlet.throw(Killed)

    def _live(self, target: Callable[[], object]) -> None:
        try:
            target()
        except Killed:
            pass
        finally:
            self.done = True
            self.host.fibers.pop(self, None)
            for joiner in self.joiners:
                self.scheduler.wake(joiner)


class Scheduler:
    """Owner of time and order. Everything random about them comes from `chance`."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"order {seed}")
        self.now = 0
        self.steps = 0
        self.starve: Callable[[], float] | None = None
        """How many seconds whoever was drawn has to wait before it really goes on (0: not at all)."""
        self.hub = getcurrent()
        self.current: Fiber | None = None
        self._ready: list[Runnable] = []
        # By deadline, then by the order of setting: numbers are unique, so no timer is ever compared.
        self._timers: list[tuple[int, int, Timer]] = []
        self._numbers = itertools.count()
        self._at_once: list[Callable[[], object]] = []

    # Who may go on.

    def wake(self, runnable: Runnable) -> None:
        """It can go on; twice is once."""
        if not runnable.queued and runnable.host.alive:
            runnable.queued = True
            self._ready.append(runnable)

    def spawn(self, host: Host, target: Callable[[], object], name: str) -> Fiber:
        """A new fiber of `host`, ready to go on."""
        fiber = Fiber(self, host, target, name)
        self.wake(fiber)
        return fiber

    def park(self) -> None:
        """Wait, in a fiber, until somebody wakes it. Raises Killed."""
        fiber = self.current
        if fiber is None:
            raise RuntimeError("the hub cannot wait: only fibers can")
        if not fiber.host.alive:
            raise Killed
        self.hub.switch()
        if not fiber.host.alive:
            raise Killed

    def sleep(self, seconds: float) -> None:
        """Wait, in a fiber. Raises Killed."""
        fiber = self.current
        if fiber is None:
            raise RuntimeError("the hub cannot wait: only fibers can")
        over = False

        def enough() -> None:
            nonlocal over
            over = True
            self.wake(fiber)

        self.after(seconds, enough, fiber.host)
        while not over:
            self.park()

    # Time.

    def after(self, seconds: float, action: Callable[[], object], host: Host | None = None) -> Timer:
        """Call `action` later; never, if its host is dead by then. A host that is paused gets its calls afterwards."""
        wait = max(round(seconds * SECOND), 1) if seconds > 0 else 0
        timer = Timer(action, host)
        heapq.heappush(self._timers, (self.now + wait, next(self._numbers), timer))
        return timer

    def soon(self, action: Callable[[], object]) -> None:
        """Call `action` from the hub before anybody else goes on."""
        self._at_once.append(action)

    def run(self, until: int) -> None:
        """Let everything happen that happens before `until`. Raises Livelock."""
        ready, timers = self._ready, self._timers
        limit = self.steps + MOST_STEPS_AT_ONE_TIME
        while True:
            while ready or self._at_once:
                if self._at_once:
                    self._at_once.pop(0)()
                    continue
                self._go_on(ready)
                if self.steps > limit:
                    raise Livelock(f"{MOST_STEPS_AT_ONE_TIME} steps at one time, at last of {self._named()}")
            if not timers or timers[0][0] > until:
                self.now = until
                return
            deadline, number, timer = heapq.heappop(timers)
            if timer.action is None:
                continue
            if deadline > self.now:
                self.now = deadline
                limit = self.steps + MOST_STEPS_AT_ONE_TIME
            self.steps += 1
            self._fire(timer, number)

    def _go_on(self, ready: list[Runnable]) -> None:
        place = int(self.chance.random() * len(ready))
        runnable = ready[place]
        ready[place] = ready[-1]
        ready.pop()
        runnable.queued = False
        host = runnable.host
        if not host.alive:
            return
        self.steps += 1
        wait = 0.0
        if host.paused_until > self.now:
            wait = (host.paused_until - self.now) / SECOND
        elif self.starve is not None:
            wait = self.starve()
        if wait > 0:
            # It stays as if queued, so that nobody else brings it on earlier.
            runnable.queued = True
            self.after(wait, lambda: self._late(runnable), host)
            return
        self.current = runnable if isinstance(runnable, Fiber) else None
        runnable.run()
        self.current = None

    def _late(self, runnable: Runnable) -> None:
        runnable.queued = False
        self.wake(runnable)

    def _fire(self, timer: Timer, number: int) -> None:
        action, host = timer.action, timer.host
        if action is None or (host is not None and not host.alive):
            return
        if host is not None and host.paused_until > self.now:
            heapq.heappush(self._timers, (host.paused_until, number, timer))
            return
        timer.action = None
        action()

    def _named(self) -> str:
        return ", ".join(sorted({getattr(r, "name", type(r).__name__) for r in self._ready})) or "nobody"

    # Death.

    def kill(self, host: Host) -> None:
        """kill -9, from the hub: nothing of it goes on, nothing it does on the way has an effect."""
        if self.current is not None:
            raise RuntimeError("a host is killed from the hub")
        host.alive = False
        for fiber in list(host.fibers):
            self.current = fiber
            fiber.kill()
            self.current = None
        host.fibers.clear()
