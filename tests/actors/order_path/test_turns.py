"""Turns by themselves: order, room, budget, pauses, and the venue's own count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.budget import Cost
from actors.clock import SystemClock
from actors.turns import AT_ONCE, RESERVED_FOR_PROTECTION, Turns
from adapters.exchange import binance
from adapters.exchange.interface import Errand, Limit, RateLimit, Usage
from domain.orders import Priority

PROTECTION, CLOSING, ENTRY, QUERY = Priority.PROTECTION, Priority.CLOSING, Priority.ENTRY, Priority.QUERY
RANKS = [PROTECTION, CLOSING, ENTRY, QUERY]


class HandClock(SystemClock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Line:
    """Turns, and jobs that end when they are told to."""

    clock: HandClock = field(default_factory=HandClock)
    begun: list[Priority] = field(default_factory=list)
    ends: list[asyncio.Event] = field(default_factory=list)
    limits: tuple[RateLimit, ...] = binance.CAPABILITIES.limits

    def __post_init__(self) -> None:
        self.turns = Turns("main", self.clock, self.limits)

    def queue(self, priority: Priority, weight: int = 1, *, lasts: bool = False) -> None:
        end = asyncio.Event()
        if not lasts:
            end.set()

        async def work() -> None:
            self.begun.append(priority)
            await end.wait()

        self.ends.append(end)
        errand = Errand.QUESTION if priority is QUERY else Errand.PLACE
        self.turns.queue(priority, work, Cost(errand, weight))

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def later(self, seconds: float) -> None:
        """Time passes, and whatever waited for it is looked at again."""
        self.clock.seconds += seconds
        self.turns._next()
        await self.settle()


def play(scene: Callable[[Line], Awaitable[None]]) -> None:
    async def run() -> None:
        await scene(Line())

    asyncio.run(run())


@given(st.lists(st.sampled_from(RANKS), min_size=1, max_size=60))
def test_under_a_full_queue_the_rank_alone_decides(wanted: list[Priority]) -> None:
    async def scene(line: Line) -> None:
        for _ in range(AT_ONCE):
            line.queue(PROTECTION, lasts=True)
        for _ in range(AT_ONCE - RESERVED_FOR_PROTECTION):
            line.queue(QUERY, lasts=True)
        await line.settle()
        line.begun.clear()
        for priority in wanted:
            line.queue(priority)
        await line.settle()
        assert line.begun == []
        for end in line.ends:
            end.set()
        for _ in wanted:
            await line.settle()
        protective = [priority for priority in line.begun if priority in (PROTECTION, CLOSING)]
        others = [priority for priority in line.begun if priority in (ENTRY, QUERY)]
        assert protective == sorted(protective, key=RANKS.index)
        assert others == sorted(others, key=RANKS.index)
        assert sorted(line.begun) == sorted(wanted)

    play(scene)


def test_never_more_at_once_than_there_is_room() -> None:
    async def scene(line: Line) -> None:
        for _ in range(40):
            line.queue(PROTECTION, lasts=True)
            line.queue(QUERY, lasts=True)
        await line.settle()
        assert line.begun.count(PROTECTION) == AT_ONCE
        assert line.begun.count(QUERY) == AT_ONCE - RESERVED_FOR_PROTECTION

    play(scene)


def test_questions_wait_for_budget_and_protection_never_does() -> None:
    async def scene(line: Line) -> None:
        line.queue(QUERY, weight=800)
        line.queue(QUERY, weight=60)
        await line.settle()
        assert line.begun == [QUERY]
        line.queue(PROTECTION, weight=60)
        await line.settle()
        assert line.begun == [QUERY, PROTECTION]
        await line.later(19)  # 60 for the protection, 60 for the question, at 6 a second
        assert line.begun == [QUERY, PROTECTION]
        await line.later(1.1)
        assert line.begun == [QUERY, PROTECTION, QUERY]

    play(scene)


def test_a_pause_holds_entries_and_questions_only() -> None:
    async def scene(line: Line) -> None:
        line.turns.pause(10)
        for priority in RANKS:
            line.queue(priority)
        await line.later(9)
        assert line.begun == [PROTECTION, CLOSING]
        await line.later(1.1)
        assert line.begun == RANKS

    play(scene)


@pytest.mark.parametrize(
    ("usage", "held", "seconds"),
    [
        (Usage(limit=Limit.REQUESTS, used=1200, most=2400, resets_in_s=30), (ENTRY, QUERY), 30),
        (Usage(limit=Limit.ORDERS, used=150, most=300, resets_in_s=8), (ENTRY,), 8),
        (Usage(limit=Limit.PATH, used=5, most=10, resets_in_s=0.5), (ENTRY, QUERY), 0.5),
        (Usage(limit=Limit.REQUESTS, used=1150, most=2400, resets_in_s=30), (), 0),
        (Usage(limit=Limit.ORDERS, used=149, most=300, resets_in_s=8), (), 0),
        (Usage(limit=Limit.PATH, used=4, most=10, resets_in_s=0.5), (), 0),
    ],
)
def test_beyond_half_of_a_limit_the_venues_count_is_waited_off(
    usage: Usage, held: tuple[Priority, ...], seconds: float
) -> None:
    async def scene(line: Line) -> None:
        line.turns.correct((usage,))
        for priority in RANKS:
            line.queue(priority)
        await line.settle()
        assert line.begun == [priority for priority in RANKS if priority not in held]
        await line.later(seconds + 0.2)
        assert sorted(line.begun) == sorted(RANKS)

    play(scene)


def test_the_venues_count_makes_the_bucket_smaller_and_never_larger() -> None:
    async def scene(line: Line) -> None:
        line.turns.correct((Usage(limit=Limit.REQUESTS, used=1100, most=2400, resets_in_s=30),))
        line.turns.correct((Usage(limit=Limit.REQUESTS, used=0, most=2400, resets_in_s=60),))
        line.queue(QUERY, weight=81)  # twenty are kept for moves and entries
        await line.settle()
        assert line.begun == []
        await line.later(0.5)
        assert line.begun == [QUERY]

    play(scene)


def test_no_debt_is_deeper_than_a_minute() -> None:
    async def scene(line: Line) -> None:
        line.turns.correct((Usage(limit=Limit.REQUESTS, used=9_000, most=2400, resets_in_s=1),))
        for _ in range(500):
            line.queue(PROTECTION, weight=5)
        for _ in range(500):
            await line.settle()
        assert line.begun.count(PROTECTION) == 500
        line.queue(QUERY, weight=1)
        await line.later(65)
        assert line.begun[-1] is QUERY

    play(scene)


def test_a_waiting_entry_does_not_hold_up_questions() -> None:
    async def scene(line: Line) -> None:
        line.turns.correct((Usage(limit=Limit.ORDERS, used=300, most=300, resets_in_s=10),))
        line.queue(ENTRY)
        line.queue(QUERY)
        await line.settle()
        assert line.begun == [QUERY]

    play(scene)


def test_what_waits_is_looked_at_when_it_is_due_without_being_asked() -> None:
    async def run() -> None:
        line = Line()
        ready = Turns("main", SystemClock(), ())
        line.turns = ready
        ready.pause(0.05)
        begun = asyncio.Event()

        async def work() -> None:
            begun.set()

        ready.queue(QUERY, work, Cost())
        assert not begun.is_set()
        await asyncio.wait_for(begun.wait(), 5)

    asyncio.run(run())
