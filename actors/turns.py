"""Turns: which of a gateway's requests may leave now. Everything in here runs on the gateway's event loop.

Rules of this file (LAWS S15): protection and closing wait only for their own kind, and never for a budget; entries and
questions share what is left of the places, a bucket of request weight, and any pause that the venue asked for. What
protects is charged to the bucket all the same, so that questions make room for it. A full bucket and a minute of
refilling together stay under half of Binance's 2,400 a minute, orders included. The venue's own count corrects ours,
downwards only: somebody else may use the same address.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from loguru import logger

from actors.clock import Clock
from adapters.exchange.interface import Limit, Usage
from domain.orders import Priority

AT_ONCE = 12
RESERVED_FOR_PROTECTION = 6
WEIGHT_A_SECOND = 6.0
WEIGHT_BURST = 800.0
# After a minute of silence any venue has forgotten what we used: no debt is deeper than that.
DEEPEST_DEBT = -60 * WEIGHT_A_SECOND
_PROTECTIVE = (Priority.PROTECTION, Priority.CLOSING)
_OTHERS = (Priority.ENTRY, Priority.QUERY)


@dataclass(slots=True)
class Job:
    """One request waiting for its turn."""

    work: Callable[[], Coroutine[Any, Any, None]]
    protective: bool
    weight: int


class Turns:
    """The queues, and what runs. `closed`, set from any thread, lets nothing begin any more."""

    def __init__(self, account: str, clock: Clock) -> None:
        """`account` is for the log."""
        self.closed = False
        self._account = account
        self._clock = clock
        self._waiting: dict[Priority, deque[Job]] = {priority: deque() for priority in (*_PROTECTIVE, *_OTHERS)}
        self._running: set[asyncio.Task[None]] = set()
        self._protective_running = 0
        self._budget = WEIGHT_BURST
        self._budget_at = clock.monotonic()
        self._until = dict.fromkeys(_OTHERS, 0.0)
        self._retry: asyncio.TimerHandle | None = None

    def queue(self, priority: Priority, work: Callable[[], Coroutine[Any, Any, None]], weight: int = 1) -> None:
        """Begin `work` when it is its turn. `weight` is what the venue counts for it."""
        self._waiting[priority].append(Job(work, priority in _PROTECTIVE, weight))
        self._next()

    def pause(self, seconds: float, of: Iterable[Priority] = _OTHERS) -> None:
        """No entries and no questions, or only some of these, for so long."""
        for priority in of:
            self._until[priority] = max(self._until[priority], self._clock.monotonic() + seconds)

    def correct(self, usage: Iterable[Usage]) -> None:
        """The venue's own count: what it shows beyond half of a limit is waited off, until that count begins anew."""
        for use in usage:
            left = use.most / 2 - use.used
            if use.limit is Limit.REQUESTS:
                self._refill()
                self._budget = max(min(self._budget, left), DEEPEST_DEBT)
            if left <= 0:
                self.pause(use.resets_in_s, (Priority.ENTRY,) if use.limit is Limit.ORDERS else _OTHERS)

    async def drain(self, seconds: float) -> None:
        """Wait for what runs and what may still begin, at most so long; after that nothing begins."""
        deadline = self._clock.monotonic() + seconds
        while self._running and (left := deadline - self._clock.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        self.closed = True

    def _next(self) -> None:
        if self.closed:
            return
        for priority in _PROTECTIVE:
            while self._waiting[priority] and self._protective_running < AT_ONCE:
                self._begin(self._waiting[priority].popleft())
        for priority in _OTHERS:
            waiting = self._waiting[priority]
            while waiting and self._has_room() and self._may(priority, waiting[0].weight):
                self._begin(waiting.popleft())

    def _has_room(self) -> bool:
        return len(self._running) - self._protective_running < AT_ONCE - RESERVED_FOR_PROTECTION

    def _begin(self, job: Job) -> None:
        self._refill()
        self._budget = max(self._budget - job.weight, DEEPEST_DEBT)
        self._protective_running += job.protective
        task = asyncio.get_running_loop().create_task(job.work())
        self._running.add(task)
        task.add_done_callback(lambda done: self._done(done, job))

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._budget = min(WEIGHT_BURST, self._budget + (now - self._budget_at) * WEIGHT_A_SECOND)
        self._budget_at = now

    def _may(self, priority: Priority, weight: int) -> bool:
        """Whether there is neither a pause nor a lack of budget; else look again when there will not be."""
        self._refill()
        wait = max(self._until[priority] - self._clock.monotonic(), (weight - self._budget) / WEIGHT_A_SECOND)
        if wait <= 0:
            return True
        loop = asyncio.get_running_loop()
        due = loop.time() + wait
        if self._retry is None or self._retry.when() > due:
            if self._retry is not None:
                self._retry.cancel()
            self._retry = loop.call_at(due, self._retry_now)
        return False

    def _retry_now(self) -> None:
        self._retry = None
        self._next()

    def _done(self, task: asyncio.Task[None], job: Job) -> None:
        self._running.discard(task)
        self._protective_running -= job.protective
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            logger.opt(exception=error).critical("GATEWAY_ERROR account={} error={!r}", self._account, error)
        self._next()
