"""Another process takes the account over from one that lives: paused, or cut off from the database (LAWS S8).

Each history has its moment in the middle of something. The one that was replaced wakes up with requests in hand, or
goes on without knowing; the oracle judges what arrives at the exchange.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal

import pytest
from loguru import logger

from domain.identity import ParsedClientId, parse_client_id
from tests.simulation import liveness
from tests.simulation.faults import Fault, Nth
from tests.simulation.market import Walk
from tests.simulation.plan import Wish, settings
from tests.simulation.process import Process
from tests.simulation.scheduler import SECOND
from tests.simulation.workload import Workload
from tests.simulation.world import World

SYMBOL = "BTCUSDT"


@pytest.fixture(autouse=True)
def _silent() -> None:
    logger.remove()


def taken_over(seed: int, strike: Callable[[World, Process], None], after_s: float) -> None:
    """A position whose stop trails a rising price; `strike` at its owner's process, and a stand-by takes over."""
    market = Walk(random.Random("rising"), 0.0005)
    world = World(
        seed=seed, faults=Nth(Fault.STARVED, 0), markets={SYMBOL: market}, settings=settings(0), rivals=True
    )

    def script(w: World) -> None:
        w.pass_time(1.5)
        first, workload = w.process, Workload(w)
        assert first is not None
        second = w.start_standby()
        workload.wish(Wish.OPEN, SYMBOL)
        w.pass_time(0.4)
        rise(w, after_s)
        strike(w, first)
        rise(w, 25.0)
        assert second.ready_at is not None, "nobody took over"
        assert not first.host.alive, "the one that was replaced goes on"
        assert w.process is second
        w.pass_time(6.0)
        liveness.every_position_has_its_stop(w, strangers=True)
        liveness.nothing_is_left_over(w)
        liveness.nobody_fell_by_itself(w)

    world.live(script)
    assert not world.violations, world.violations
    verdict = world.exchange.judge.verdict()
    assert verdict.broken() == set(), verdict.breaches
    assert {fact.epoch.term for fact in sent_stops(world)} == {1, 2}


def sent_stops(world: World) -> list[ParsedClientId]:
    """Whose stops the exchange has taken."""
    ids = (parse_client_id(algo.client_algo_id) for algo in world.exchange.engine.book.algos.values())
    return [ours for ours in ids if ours is not None]


def rise(world: World, seconds: float) -> None:
    """The price runs in favour of whoever is long, so that a stop moves all the time."""
    until = world.scheduler.now + round(seconds * SECOND)
    while world.scheduler.now < until:
        held = world.exchange.quantity(SYMBOL)
        step = Decimal("1.0015") if held >= 0 else Decimal("0.9985")
        world.exchange.price(SYMBOL, world.exchange.engine.book.prices[SYMBOL].mark * step)
        world.pass_time(min(0.25, (until - world.scheduler.now) / SECOND))


MOMENTS = [(seed, 0.05 + 0.61 * seed) for seed in range(4)]


@pytest.mark.parametrize(("seed", "after_s"), MOMENTS)
@pytest.mark.parametrize("pause_s", [6.0, 14.0])
def test_who_was_paused_sends_nothing_once_another_has_the_account(seed: int, after_s: float, pause_s: float) -> None:
    def pause(world: World, first: Process) -> None:
        first.host.paused_until = world.scheduler.now + round(pause_s * SECOND)

    taken_over(seed, pause, after_s)


@pytest.mark.parametrize(("seed", "after_s"), MOMENTS)
@pytest.mark.parametrize("deaf", [False, True])
def test_who_is_cut_off_from_the_database_stops_before_another_begins(seed: int, after_s: float, *, deaf: bool) -> None:
    def cut(world: World, first: Process) -> None:
        first.access.cut_until = world.scheduler.now + 20 * SECOND
        for subscriber in world.network.accounts if deaf else ():
            if subscriber.host is first.host:
                subscriber.deaf_until = first.access.cut_until

    taken_over(seed, cut, after_s)
