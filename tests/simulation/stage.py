"""Where the actors meet the simulation: the names they look up that are replaced while a schedule runs.

Threads, queues, event loops, the writer, the signal client and the supervisor's jitter. Nothing else of theirs differs.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

from pykka import _threading as pykka_threading

from actors import (
    account_feed,
    dispatch,
    errands,
    gateway,
    guard,
    inbox,
    journal,
    keeper,
    market_feed,
    memory,
    signal_feed,
    supervisor,
    tree,
    vitals,
    watchdog,
)
from tests.simulation.loops import SimulatedEventLoop
from tests.simulation.pace import Pace
from tests.simulation.scheduler import Host, Killed, Scheduler
from tests.simulation.threads import SimulatedFuture, queue_of, threading_of


@contextmanager
def set_up(
    scheduler: Scheduler,
    host: Callable[[], Host],
    *,
    writer: Callable[..., object],
    aside: Callable[[object], object],
    signals: Callable[[str, str, object], object],
    load_open: Callable[..., object],
    pace: Pace,
    seed: int,
) -> Iterator[None]:
    """Replace the names; put them back at the end. `host` says to which process what is made just now belongs."""
    threading, queue = threading_of(scheduler, host), queue_of(scheduler)
    jitter = random.Random(f"jitter {seed}")

    class Future(SimulatedFuture):
        """The answers of this schedule."""

    Future.scheduler = scheduler

    def event_loop(name: str) -> SimulatedEventLoop:
        return SimulatedEventLoop(scheduler, host(), name)

    replaced: list[tuple[ModuleType | type, str, object]] = [
        (guard, "threading", threading),
        (keeper, "threading", threading),
        (errands, "threading", threading),
        (dispatch, "threading", threading),
        (guard, "traceback", SimpleNamespace(format_exception=_trace)),
        (vitals, "threading", threading),
        (watchdog, "threading", threading_of(scheduler, host, pace.after)),
        (guard.GuardedActor, "remind_after", _method(pace.remind_after)),
        (inbox, "queue", queue),
        (pykka_threading, "ThreadingFuture", Future),
        *((module, "EventLoop", event_loop) for module in (gateway, market_feed, account_feed, signal_feed)),
        (journal, "Writer", writer),
        (journal, "Spool", aside),
        (signal_feed, "SignalClient", signals),
        (tree, "load_open", load_open),
        (memory, "Writer", writer),
        (supervisor, "random", SimpleNamespace(Random=lambda: jitter)),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    for module, name, value in replaced:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def _method(function: Callable[..., object]) -> Callable[..., object]:
    def method(*arguments: object) -> object:
        return function(*arguments)

    return method


def _trace(error: BaseException) -> list[str]:
    """A traceback for those who fall; whoever is unwound at kill -9 tells nobody, and there are many of them."""
    return [] if isinstance(error, Killed) else traceback.format_exception(error)
