"""The scheduler keeps its promises: order by the seed, time by the timers, death without effects."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.simulation.loops import SimulatedEventLoop
from tests.simulation.scheduler import SECOND, Host, Livelock, Scheduler
from tests.simulation.threads import SimulatedEvent, SimulatedQueue, SimulatedThread


def _order(seed: int) -> list[int]:
    scheduler, host = Scheduler(seed), Host("h")
    seen: list[int] = []
    for number in range(20):
        scheduler.spawn(host, partial(seen.append, number), str(number))
    scheduler.run(1)
    return seen


def test_the_seed_alone_decides_the_order() -> None:
    assert _order(1) == _order(1) != _order(2)
    assert sorted(_order(1)) == list(range(20))


def test_time_passes_only_when_nobody_can_go_on() -> None:
    scheduler, host, seen = Scheduler(1), Host("h"), []

    def sleeper() -> None:
        scheduler.sleep(1.5)
        seen.append(scheduler.now)

    scheduler.spawn(host, sleeper, "sleeper")
    scheduler.after(3.0, lambda: seen.append(scheduler.now))
    scheduler.run(2 * SECOND)
    assert seen == [1_500_000]
    assert scheduler.now == 2 * SECOND


def test_a_queue_hands_over_in_order_and_an_event_wakes_or_times_out() -> None:
    scheduler, host, seen = Scheduler(1), Host("h"), []
    queue, event = SimulatedQueue(scheduler), SimulatedEvent(scheduler)

    def reader() -> None:
        seen.extend([queue.get(), queue.get(), event.wait(0.5), event.wait(5)])

    scheduler.spawn(host, reader, "reader")
    queue.put("a")
    queue.put("b")
    scheduler.after(1.0, event.set)
    scheduler.run(2 * SECOND)
    assert seen == ["a", "b", False, True]


def test_join_waits_for_the_end_of_a_thread() -> None:
    scheduler, host, seen = Scheduler(1), Host("h"), []
    thread = SimulatedThread(scheduler, host, target=lambda: scheduler.sleep(1), name="t")

    def joiner() -> None:
        thread.start()
        thread.join(0.2)
        seen.append(thread.is_alive())
        thread.join()
        seen.append(thread.is_alive())

    scheduler.spawn(host, joiner, "joiner")
    scheduler.run(2 * SECOND)
    assert seen == [True, False]


def test_a_killed_host_does_nothing_more() -> None:
    scheduler, host, seen = Scheduler(1), Host("h"), []

    def worker() -> None:
        try:
            scheduler.sleep(1)
            seen.append("worked")
        finally:
            seen.append("unwound")

    scheduler.spawn(host, worker, "worker")
    scheduler.after(0.5, lambda: seen.append("timer"), host)
    scheduler.run(SECOND // 4)
    scheduler.kill(host)
    scheduler.run(5 * SECOND)
    assert seen == ["unwound"]


def test_a_paused_host_gets_its_timers_afterwards() -> None:
    scheduler, host, seen = Scheduler(1), Host("h"), []
    host.paused_until = 3 * SECOND
    scheduler.after(1.0, lambda: seen.append(scheduler.now), host)
    scheduler.run(5 * SECOND)
    assert seen == [3 * SECOND]


def test_going_on_for_ever_at_one_time_is_found() -> None:
    scheduler, host = Scheduler(1), Host("h")
    queue = SimulatedQueue(scheduler)

    def spinner() -> None:
        while True:
            queue.put(1)
            queue.get()

    scheduler.spawn(host, spinner, "spinner")
    with pytest.raises(Livelock):
        scheduler.run(SECOND)


def test_a_loop_runs_coroutines_in_virtual_time() -> None:
    scheduler, host, seen = Scheduler(1), Host("h"), []
    loop = SimulatedEventLoop(scheduler, host, "loop")

    async def work() -> float:
        await asyncio.sleep(2)
        return asyncio.get_running_loop().time()

    def asker() -> None:
        seen.append(loop.submit(work()).result(timeout=5))
        seen.append(loop.close())

    scheduler.spawn(host, asker, "asker")
    scheduler.run(10 * SECOND)
    assert seen == [2.0, True]
