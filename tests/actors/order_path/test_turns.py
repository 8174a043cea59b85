"""Turns by themselves: order, room, budget, pauses, and the venue's own count."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.budget import Cost
from actors.clock import SystemClock
from actors.turns import AT_ONCE, MOVE_WAITS_S, MOVES_AT_ONCE, RESERVED_FOR_PROTECTION, Turns
from adapters.exchange import binance
from adapters.exchange.interface import Errand, Limit, RateLimit, Usage
from domain.orders import Priority
from domain.position.urgency import Standing

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
    weights: list[int] = field(default_factory=list)
    ends: list[asyncio.Event] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    given_back: list[str] = field(default_factory=list)
    limits: tuple[RateLimit, ...] = binance.CAPABILITIES.limits

    def __post_init__(self) -> None:
        self.turns = Turns("main", self.clock, self.limits)

    def queue(self, priority: Priority, weight: int = 1, *, lasts: bool = False) -> None:
        end = asyncio.Event()
        if not lasts:
            end.set()

        async def work() -> None:
            self.begun.append(priority)
            self.weights.append(weight)
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
        self.turns._retry_now()
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
        await line.later(20)  # 60 for the protection, 60 for the question, at 5.8 a second
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


class Walker:
    """A move as a test wants it: how near it is, and what has become of it."""

    def __init__(self, line: Line, name: str, nearness: str) -> None:
        self.at, self.now = Decimal(nearness), Standing.WAITS
        self.line, self.name = line, name
        self.nearness = self.at
        self.cost = Cost(Errand.PLACE)
        self.since, self.order = 0.0, 0
        self.begun = asyncio.Event()

    def __lt__(self, other: Walker) -> bool:
        return (self.nearness, self.order) < (other.nearness, other.order)

    def queued(self, now: float, order: int) -> None:
        self.since, self.order = now, order
        self.rank()

    def rank(self) -> None:
        self.nearness = self.at

    def standing(self) -> Standing:
        return self.now

    async def work(self) -> None:
        self.line.moved.append(self.name)
        self.begun.set()

    def give_back(self) -> None:
        self.line.given_back.append(self.name)


ONE_A_SECOND = (RateLimit(of=frozenset({Errand.PLACE}), most=2, window_s=1),)


def walk(scene: Callable[[Line], Awaitable[None]]) -> None:
    """With a venue that takes two orders a second: one is ours."""

    async def run() -> None:
        await scene(Line(limits=ONE_A_SECOND))

    asyncio.run(run())


def test_when_writes_are_short_the_nearest_stop_goes_first_by_where_it_is_then() -> None:
    async def scene(line: Line) -> None:
        walkers = [Walker(line, name, at) for name, at in (("a", "3"), ("b", "1"), ("c", "2"), ("d", "4"))]
        for walker in walkers:
            line.turns.queue_move(walker)
        await line.later(0.5)
        assert line.moved == ["a"], "there was a write left for the first one"
        walkers[3].at = Decimal("0.5")
        await line.later(0.8)
        assert line.moved == ["a", "d"]
        await line.later(0.7)
        assert sorted(line.given_back) == ["b", "c"], "they are decided on anew"
        assert line.moved == ["a", "d"]

    walk(scene)


def test_protection_goes_past_waiting_moves_and_is_charged() -> None:
    async def scene(line: Line) -> None:
        line.turns.queue_move(Walker(line, "first", "1"))
        line.turns.queue_move(Walker(line, "second", "1"))
        for _ in range(5):
            line.queue(PROTECTION)
        await line.settle()
        assert (line.moved, line.begun) == (["first"], [PROTECTION] * 5)
        await line.later(1.05)
        assert line.moved == ["first"], "six orders within a second are more than one"
        await line.later(0.2)
        assert line.moved == ["first", "second"]

    walk(scene)


def test_a_move_that_protects_by_now_leaves_at_once() -> None:
    async def scene(line: Line) -> None:
        line.turns.queue_move(Walker(line, "first", "1"))
        waiting = Walker(line, "second", "1")
        line.turns.queue_move(waiting)
        waiting.now = Standing.PROTECTS
        await line.later(0.2)
        assert line.moved == ["first", "second"]

    walk(scene)


def test_a_move_that_waits_too_long_or_in_vain_goes_back_to_its_owner() -> None:
    async def scene(line: Line) -> None:
        for name in ("first", "second", "third"):
            line.turns.queue_move(Walker(line, name, "1"))
        pointless = Walker(line, "pointless", "1")
        line.turns.queue_move(pointless)
        pointless.now = Standing.POINTLESS
        await line.later(0.2)
        assert line.given_back == ["pointless"]
        line.turns.pause(10)
        await line.later(MOVE_WAITS_S)
        assert line.moved == ["first"]
        assert sorted(line.given_back) == ["pointless", "second", "third"]

    walk(scene)


def test_moves_wait_for_no_question() -> None:
    async def scene(line: Line) -> None:
        for _ in range(400):
            line.queue(QUERY, weight=5, lasts=True)
        for number in range(20):
            line.turns.queue_move(Walker(line, str(number), "1"))
        await line.settle()
        assert len(line.moved) == 20
        for _ in range(MOVES_AT_ONCE):
            line.queue(PROTECTION, lasts=True)
        line.turns.queue_move(Walker(line, "last", "1"))
        line.queue(PROTECTION)
        await line.settle()
        assert line.begun[-1] is PROTECTION
        assert len(line.begun) == AT_ONCE - RESERVED_FOR_PROTECTION + MOVES_AT_ONCE + 1
        assert "last" not in line.moved, "the last places are for what protects first"

    play(scene)


def test_moves_look_after_themselves_without_being_asked() -> None:
    async def run() -> None:
        line = Line()
        line.turns = Turns("main", SystemClock(), ONE_A_SECOND)
        line.turns.queue_move(Walker(line, "first", "1"))
        waiting = Walker(line, "second", "1")
        line.turns.pause(60)
        line.turns.queue_move(waiting)
        waiting.now = Standing.PROTECTS
        await asyncio.wait_for(waiting.begun.wait(), 5)
        assert line.moved == ["first", "second"]

    asyncio.run(run())
