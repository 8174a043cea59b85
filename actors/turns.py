"""Turns: which of a gateway's requests may leave now. Everything in here runs on the gateway's event loop.

Rules of this file (LAWS S15): protection and closing wait only for their own kind, and never for a budget; entries and
questions share what is left of the places, a bucket of request weight, and any pause that the venue asked for. A full
bucket and a minute of refilling together stay under half of Binance's 2,400 a minute, orders included.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from loguru import logger

from actors.clock import Clock
from domain.orders import Priority

AT_ONCE = 12
RESERVED_FOR_PROTECTION = 6
WEIGHT_A_SECOND = 6.0
WEIGHT_BURST = 800.0
_ORDER = {Priority.PROTECTION: 0, Priority.CLOSING: 1, Priority.ENTRY: 2, Priority.QUERY: 3}


@dataclass(order=True, slots=True)
class Job:
    """One request waiting for its turn: by priority, then by arrival."""

    rank: int
    number: int
    work: Callable[[], Coroutine[Any, Any, None]]
    protective: bool
    weight: int


class Turns:
    """The queue, and what runs. `closed`, set from any thread, lets nothing begin any more."""

    def __init__(self, account: str, clock: Clock) -> None:
        """`account` is for the log."""
        self.closed = False
        self._account = account
        self._clock = clock
        self._waiting: list[Job] = []
        self._numbers = itertools.count()
        self._running: set[asyncio.Task[None]] = set()
        self._protective_running = 0
        self._budget = WEIGHT_BURST
        self._budget_at = clock.monotonic()
        self._paused_until = 0.0
        self._retry: asyncio.TimerHandle | None = None

    def queue(self, priority: Priority, work: Callable[[], Coroutine[Any, Any, None]], weight: int = 1) -> None:
        """Begin `work` when it is its turn. `weight` is what the venue counts for it."""
        protective = priority in (Priority.PROTECTION, Priority.CLOSING)
        number = next(self._numbers)
        job = Job(rank=_ORDER[priority], number=number, work=work, protective=protective, weight=weight)
        heapq.heappush(self._waiting, job)
        self._next()

    def pause(self, seconds: float) -> None:
        """No entries and no questions for so long."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    async def drain(self, seconds: float) -> None:
        """Wait for what runs and what may still begin, at most so long; after that nothing begins."""
        deadline = self._clock.monotonic() + seconds
        while self._running and (left := deadline - self._clock.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        self.closed = True

    def _next(self) -> None:
        while self._waiting and not self.closed:
            job = self._waiting[0]
            others = len(self._running) - self._protective_running
            if job.protective:
                if self._protective_running >= AT_ONCE:
                    return
            elif others >= AT_ONCE - RESERVED_FOR_PROTECTION or not self._affordable(job.weight):
                return
            heapq.heappop(self._waiting)
            self._protective_running += job.protective
            task = asyncio.get_running_loop().create_task(job.work())
            self._running.add(task)
            task.add_done_callback(lambda done, job=job: self._done(done, job))  # type: ignore[misc]

    def _affordable(self, weight: int) -> bool:
        now = self._clock.monotonic()
        self._budget = min(WEIGHT_BURST, self._budget + (now - self._budget_at) * WEIGHT_A_SECOND)
        self._budget_at = now
        wait = max(self._paused_until - now, (weight - self._budget) / WEIGHT_A_SECOND)
        if wait <= 0:
            self._budget -= weight
            return True
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(wait, self._retry_now)
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
