"""What `threading` and `queue` are to the actors in a simulation: the same words, waiting in the scheduler instead.

Only what the actors use is here. A lock needs no replacement: no fiber ever waits while it holds one.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import pykka

from actors.clock import Cancellable
from tests.simulation.scheduler import Fiber, Host, Scheduler

After = Callable[[float, Callable[[], object], Host | None], Cancellable]


class SimulatedEvent:
    """`threading.Event`."""

    __slots__ = ("_after", "_scheduler", "_set", "_waiting")

    def __init__(self, scheduler: Scheduler, after: After | None = None) -> None:
        """`after` sets the timers of those who wait only so long."""
        self._scheduler = scheduler
        self._after = after or scheduler.after
        self._set = False
        self._waiting: list[Fiber] = []

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._set

    def set(self) -> None:
        """Wake everybody who waits."""
        self._set = True
        waiting, self._waiting = self._waiting, []
        for fiber in waiting:
            self._scheduler.wake(fiber)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most so many seconds."""
        if self._set:
            return True
        scheduler, fiber = self._scheduler, self._scheduler.current
        if fiber is None:
            raise RuntimeError("only fibers wait for events")
        overdue: list[bool] = []

        def give_up() -> None:
            overdue.append(True)
            scheduler.wake(fiber)

        timer = None if timeout is None else self._after(timeout, give_up, fiber.host)
        self._waiting.append(fiber)
        while not self.is_set() and not overdue:
            scheduler.park()
        if timer is not None:
            timer.cancel()
        if not self.is_set():
            self._waiting.remove(fiber)
        return self.is_set()


def _over(fiber: Fiber) -> bool:
    return fiber.done


class SimulatedThread:
    """`threading.Thread`: its fiber belongs to the host whose fiber starts it."""

    ident: int | None = None

    def __init__(
        self, scheduler: Scheduler, host: Host, *, target: Callable[[], object], name: str, daemon: bool = True
    ) -> None:
        self.name = name
        self.daemon = daemon
        self._scheduler = scheduler
        self._host = host
        self._target = target
        self._fiber: Fiber | None = None

    def start(self) -> None:
        """Begin."""
        self._fiber = self._scheduler.spawn(self._host, self._target, self.name)
        self._fiber.thread = self

    def is_alive(self) -> bool:
        """Whether it began and has not ended."""
        return self._fiber is not None and not self._fiber.done

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most so many seconds."""
        fiber, waiter = self._fiber, self._scheduler.current
        if fiber is None or fiber.done or waiter is None:
            return
        overdue: list[bool] = []

        def give_up() -> None:
            overdue.append(True)
            self._scheduler.wake(waiter)

        timer = None if timeout is None else self._scheduler.after(timeout, give_up, waiter.host)
        fiber.joiners.append(waiter)
        while not overdue and not _over(fiber):
            self._scheduler.park()
        if timer is not None:
            timer.cancel()


class SimulatedQueue:
    """`queue.SimpleQueue`."""

    __slots__ = ("_items", "_scheduler", "_waiting")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._items: deque[Any] = deque()
        self._waiting: deque[Fiber] = deque()

    def put(self, item: object) -> None:
        """Add; never waits."""
        self._items.append(item)
        if self._waiting:
            self._scheduler.wake(self._waiting.popleft())

    def get(self) -> Any:
        """Take the oldest, or wait for one. Even what is there already is taken in another step: see `Scheduler`."""
        fiber = self._scheduler.current
        if fiber is None:
            raise RuntimeError("only fibers read queues")
        if self._items:
            self._scheduler.wake(fiber)
            self._scheduler.park()
        while not self._items:
            self._waiting.append(fiber)
            self._scheduler.park()
        return self._items.popleft()


class SimulatedFuture(pykka.Future[Any]):
    """`pykka.ThreadingFuture`: the answer to an ask. pykka makes more of its class: the class has the scheduler."""

    scheduler: ClassVar[Scheduler]

    def __init__(self) -> None:
        super().__init__()
        self._answered = SimulatedEvent(self.scheduler)
        self._value: Any = None
        self._error: BaseException | None = None

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait for the answer. Raises pykka.Timeout, or what the answer is."""
        try:
            return super().get(timeout=timeout)
        except NotImplementedError:
            pass
        if not self._answered.wait(timeout):
            raise pykka.Timeout(f"{timeout} seconds")
        if self._error is not None:
            raise self._error
        return self._value

    @property
    def answer(self) -> Any:
        """The answer, for whoever cannot wait: None while there is none, or where it is an exception."""
        return self._value

    def set(self, value: Any | None = None) -> None:
        """Answer. Raises queue.Full."""
        self._answer()
        self._value = value
        self._answered.set()

    def set_exception(self, exc_info: Any = None) -> None:
        """Answer by an exception: that being handled, if none is given. Raises queue.Full."""
        self._answer()
        self._error = sys.exc_info()[1] if exc_info is None else exc_info[1]
        self._answered.set()

    def _answer(self) -> None:
        if self._answered.is_set():
            raise queue.Full


def threading_of(scheduler: Scheduler, host: Callable[[], Host], after: After | None = None) -> SimpleNamespace:
    """A stand-in for the module `threading`; `host` says to which host a new thread belongs."""
    return SimpleNamespace(
        Event=lambda: SimulatedEvent(scheduler, after),
        Thread=lambda **options: SimulatedThread(scheduler, host(), **options),
        Lock=threading.Lock,
        RLock=threading.RLock,
        stack_size=threading.stack_size,
        current_thread=lambda: None if scheduler.current is None else scheduler.current.thread,
    )


def queue_of(scheduler: Scheduler) -> SimpleNamespace:
    """A stand-in for the module `queue`."""
    return SimpleNamespace(SimpleQueue=lambda: SimulatedQueue(scheduler), Full=queue.Full, Empty=queue.Empty)
