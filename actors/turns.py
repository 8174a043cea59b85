"""Turns: which of a gateway's requests may leave now. Everything in here runs on the gateway's event loop.

Rules of this file (LAWS S15): protection and closing wait only for their own kind, and never for a budget. Moves of a
stop wait for the account's writes, never for a question, the nearest stop first; while they wait, the states of their
positions are looked at: one that protects by now leaves at once, one that has waited too long goes back to its owner,
who decides anew. Entries and questions share what is left of the places, the budget (`budget`), and any pause that the
venue asked for. What protects is charged all the same, so that the others make room for it. A small question goes past
a big one that the budget holds back: an owner's would wait for a reading of the account, else. Not without end: the
reading is what finds strangers.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from loguru import logger

from actors.budget import Budget, Cost
from actors.clock import Clock
from adapters.exchange.interface import Errand, Limit, RateLimit, Usage
from domain.orders import Priority
from domain.position.urgency import Standing

AT_ONCE = 12
RESERVED_FOR_PROTECTION = 6
MOVES_AT_ONCE = 10  # the others of the places for protection are kept for first covers and closes
SMALL = 7  # by weight: what concerns one position or one symbol
PASSED_AT_MOST = 30  # by weight: so much goes past one that waits, which costs it five seconds
LOOK_S = 0.2
MOVE_WAITS_S = 2.0
WAITING = (Priority.MOVE, Priority.ENTRY, Priority.QUERY)
"""Who heeds a budget and a pause."""
_PROTECTIVE = (Priority.PROTECTION, Priority.CLOSING)
_OTHERS = (Priority.ENTRY, Priority.QUERY)
_WRITES: dict[Errand | None, tuple[Priority, ...]] = {
    Errand.PLACE: (Priority.ENTRY,),
    Errand.ATTACH: (),
    Errand.AMEND: (),
    Errand.CANCEL: (),
}


@dataclass(slots=True)
class Job:
    """One request waiting for its turn. `passed`: the weight of those that came later and left earlier."""

    work: Callable[[], Coroutine[Any, Any, None]]
    protective: bool
    cost: Cost
    passed: int = 0


class Move(Protocol):
    """One move of a stop that waits for its turn; ordered by who is to go first."""

    cost: Cost
    since: float

    def work(self) -> Coroutine[Any, Any, None]:
        """Send it."""
        ...

    def give_back(self) -> None:
        """Tell its owner that it was not sent."""
        ...

    def queued(self, now: float, order: int) -> None:
        """It begins to wait, as number `order`."""
        ...

    def rank(self) -> None:
        """Look how urgent it is now."""
        ...

    def standing(self) -> Standing:
        """What has become of it."""
        ...

    def __lt__(self, other: Any) -> bool: ...


class Turns:
    """The queues, and what runs. `closed`, set from any thread, lets nothing begin any more."""

    def __init__(self, account: str, clock: Clock, limits: Iterable[RateLimit]) -> None:
        """`account` is for the log; `limits` are the venue's."""
        self.closed = False
        self._account = account
        self._clock = clock
        self._waiting: dict[Priority, deque[Job]] = {priority: deque() for priority in (*_PROTECTIVE, *_OTHERS)}
        self._moves: list[Move] = []
        self._order = itertools.count()
        self._running: set[asyncio.Task[None]] = set()
        self._protective_running = 0
        self._budget = Budget(limits, clock.monotonic())
        self._until = dict.fromkeys(WAITING, 0.0)
        self._retry: asyncio.TimerHandle | None = None

    def queue(self, priority: Priority, work: Callable[[], Coroutine[Any, Any, None]], cost: Cost) -> None:
        """Begin `work` when it is its turn. `cost` is what the venue counts for it."""
        self._waiting[priority].append(Job(work, priority in _PROTECTIVE, cost))
        self._next()

    def queue_move(self, move: Move) -> None:
        """Begin a move when it is its turn, or give it back."""
        move.queued(self._clock.monotonic(), next(self._order))
        heapq.heappush(self._moves, move)
        self._next()

    def charge(self, cost: Cost) -> None:
        """Something leaves that cannot wait for a turn, and that the others make room for: what a start has to know."""
        self._budget.charge(cost, self._clock.monotonic())

    def pause(self, seconds: float, of: Iterable[Priority] = WAITING) -> None:
        """Nothing of these leaves for so long."""
        for priority in of:
            self._until[priority] = max(self._until[priority], self._clock.monotonic() + seconds)

    def correct(self, usage: Iterable[Usage]) -> None:
        """The venue's own count: what it shows beyond half of a limit is waited off, until that count begins anew."""
        for use in usage:
            left = use.most / 2 - use.used
            if use.limit is Limit.REQUESTS:
                self._budget.weighed_left(left, self._clock.monotonic())
            if use.of is not None:
                self._budget.path_allows(use.of, use.most)
            if left <= 0:
                self.pause(use.resets_in_s, _held_by(use))

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
        while self._moves and self._may_move(self._moves[0]):
            move = heapq.heappop(self._moves)
            self._begin(Job(move.work, protective=True, cost=move.cost))
        if self._moves:
            self._look_again(LOOK_S)
        for priority in _OTHERS:
            waiting = self._waiting[priority]
            while waiting and self._has_room() and self._may(priority, waiting[0].cost):
                self._begin(waiting.popleft())
        self._let_small_ones_pass(self._waiting[Priority.QUERY])

    def _let_small_ones_pass(self, waiting: deque[Job]) -> None:
        """The first of these waits for a place or for budget; what is small may not have to."""
        while waiting and waiting[0].cost.weight > SMALL and self._has_room():
            first = waiting[0]
            small = next((job for job in waiting if job.cost.weight <= SMALL), None)
            if small is None or first.passed + small.cost.weight > PASSED_AT_MOST:
                return
            if not self._may(Priority.QUERY, small.cost):
                return
            first.passed += small.cost.weight
            waiting.remove(small)
            self._begin(small)

    def _look_at_moves(self) -> None:
        """What has become of those that wait; the rest in the order of who is nearest now."""
        waiting, self._moves = self._moves, []
        overdue = self._clock.monotonic() - MOVE_WAITS_S
        for move in waiting:
            standing = move.standing()
            if standing is Standing.PROTECTS:
                self._waiting[Priority.PROTECTION].append(Job(move.work, protective=True, cost=move.cost))
            elif standing is Standing.POINTLESS or move.since <= overdue:
                move.give_back()
            else:
                move.rank()
                self._moves.append(move)
        heapq.heapify(self._moves)

    def _has_room(self) -> bool:
        return len(self._running) - self._protective_running < AT_ONCE - RESERVED_FOR_PROTECTION

    def _may_move(self, move: Move) -> bool:
        return self._protective_running < MOVES_AT_ONCE and self._may(Priority.MOVE, move.cost)

    def _begin(self, job: Job) -> None:
        self.charge(job.cost)
        self._protective_running += job.protective
        task = asyncio.get_running_loop().create_task(job.work())
        self._running.add(task)
        task.add_done_callback(lambda done: self._done(done, job))

    def _may(self, priority: Priority, cost: Cost) -> bool:
        """Whether there is neither a pause nor a lack of budget; else look again when there will not be."""
        now = self._clock.monotonic()
        wait = max(self._until[priority] - now, self._budget.wait(priority, cost, now))
        if wait <= 0:
            return True
        self._look_again(wait)
        return False

    def _look_again(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._retry is None or self._retry.when() > due:
            if self._retry is not None:
                self._retry.cancel()
            self._retry = loop.call_at(due, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        if self._moves and not self.closed:
            self._look_at_moves()
        self._next()

    def _done(self, task: asyncio.Task[None], job: Job) -> None:
        self._running.discard(task)
        self._protective_running -= job.protective
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            logger.opt(exception=error).critical("GATEWAY_ERROR account={} error={!r}", self._account, error)
        self._next()


def _held_by(use: Usage) -> tuple[Priority, ...]:
    """Who waits off a count that is used up. Moves have their paths to themselves, and windows of ours on them."""
    if use.limit is Limit.ORDERS:
        return (Priority.MOVE, Priority.ENTRY)
    return _OTHERS if use.limit is Limit.REQUESTS else _WRITES.get(use.of, _OTHERS)
