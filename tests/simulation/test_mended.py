"""What the simulation found and what was mended, each as the shortest history that showed it (docs/correctness.md)."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from loguru import logger

from actors import messages
from actors.supervision import Crash
from adapters.paper_exchange.orders import Side
from tests.simulation import liveness
from tests.simulation.faults import Fault, Nth, Step
from tests.simulation.market import Walk
from tests.simulation.plan import Wish, settings
from tests.simulation.scheduler import SECOND
from tests.simulation.workload import Workload
from tests.simulation.world import World

SYMBOL = "BTCUSDT"


@pytest.fixture(autouse=True)
def _silent() -> None:
    logger.remove()


def live(script: Callable[[World, Workload], None]) -> World:
    """A calm world in which only the script does something."""
    quiet = Walk(random.Random("calm"), 0.001)
    world = World(seed=1, faults=Nth(Fault.STARVED, 0), markets={SYMBOL: quiet}, settings=settings(3))

    def scripted(w: World) -> None:
        w.pass_time(1.5)
        script(w, Workload(w))

    world.live(scripted)
    assert not world.violations, world.violations
    return world


def broken(world: World) -> set[str]:
    return world.exchange.judge.verdict().broken()


def test_a_book_is_read_after_the_spool_is_written() -> None:
    """Killed while the journal hung: what was only spooled was unknown to the next life, and its stop an orphan."""

    def script(world: World, workload: Workload) -> None:
        process = world.process
        assert process is not None
        assert process.tree is not None
        process.tree.directory.tell(messages.JOURNAL, Crash(how="hang", hang_s=50.0))
        world.pass_time(0.1)
        workload.wish(Wish.OPEN_BY_HAND, SYMBOL)
        world.pass_time(2.0)
        assert world.exchange.quantity(SYMBOL)
        assert world.disk.spooled
        world.kill_process()
        world.pass_time(12.0)
        liveness.every_position_has_its_stop(world, strangers=True)
        assert not any(p.adopted for p in world.owners())

    assert broken(live(script)) == set()


def test_no_entry_beside_what_a_human_left_after_turning_our_position_over() -> None:
    """The old owner heard of the other side last, so that the desk took the symbol for flat."""

    def script(world: World, workload: Workload) -> None:
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(1.0)
        held = world.exchange.quantity(SYMBOL)
        world.exchange.human(SYMBOL, Side.SELL if held > 0 else Side.BUY, 2 * abs(held))
        world.pass_time(0.5)
        workload.wish(Wish.OPEN_BY_HAND, SYMBOL)
        world.pass_time(6.0)
        assert abs(world.exchange.quantity(SYMBOL)) == abs(held)
        liveness.every_position_has_its_stop(world, strangers=True)

    live(script)


def test_a_clock_set_back_stops_nothing() -> None:
    """Readings dated before our last order were dropped, and every timer waited, until the clock had caught up."""

    def script(world: World, workload: Workload) -> None:
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(2.0)
        process = world.process
        assert process is not None
        process.clock.ahead = timedelta(hours=-2)
        world.network.weather.streams_dead_until = world.scheduler.now + 60 * SECOND
        world.network.streams_die(60.0)
        held = world.exchange.quantity(SYMBOL)
        world.exchange.human(SYMBOL, Side.SELL if held > 0 else Side.BUY, abs(held))
        world.pass_time(25.0)
        liveness.nothing_is_left_over(world)

    live(script)


def test_a_gateway_is_back_soon_after_the_exchange() -> None:
    """Started in vain five times it was put to sleep for half a minute, and nothing was protected meanwhile."""

    def script(world: World, workload: Workload) -> None:
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(1.0)
        process = world.process
        assert process is not None
        assert process.tree is not None
        world.network.weather.rest_dead_until = world.scheduler.now + 12 * SECOND
        process.tree.directory.tell(messages.gateway("main"), Crash(how="exception"))
        world.pass_time(8.0)
        (stop,) = world.exchange.resting(SYMBOL)
        world.exchange.human_cancel(stop)
        world.pass_time(4.0 + 3.0)
        liveness.every_position_has_its_stop(world, strangers=True)

    live(script)


def test_a_hung_supervisor_of_positions_is_replaced_like_anybody() -> None:
    """It was given a minute, in which no position was begun and no dead owner replaced (LAWS L4: two seconds)."""

    def script(world: World, workload: Workload) -> None:
        process = world.process
        assert process is not None
        assert process.tree is not None
        process.tree.directory.tell(messages.positions("main"), Crash(how="hang", hang_s=50.0))
        world.pass_time(0.1)
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(4.0)
        assert world.exchange.quantity(SYMBOL)
        liveness.every_position_has_its_stop(world, strangers=True)

    live(script)


def test_a_first_stop_that_gets_lost_is_joined_by_another_at_once() -> None:
    """Its sender waited eight seconds for the network to give up, with the position bare."""
    class LoseFirstStop(Nth):
        def strikes(self, fault: Fault, symbol: str | None = None) -> bool:
            if fault is Fault.REQUEST_LOST and self.step_of(symbol) is Step.FIRST_STOP and not self.struck:
                self.count(fault, symbol)
                return True
            return False

    quiet = Walk(random.Random("calm"), 0.001)
    world = World(seed=1, faults=LoseFirstStop(Fault.STARVED, 0), markets={SYMBOL: quiet}, settings=settings(3))

    def script(w: World) -> None:
        w.pass_time(1.5)
        Workload(w).wish(Wish.OPEN, SYMBOL)
        w.pass_time(10.0)

    world.live(script)
    verdict = world.exchange.judge.verdict()
    assert world.faults.struck.total() == 1
    assert verdict.clean, verdict.breaches
    (interval,) = verdict.measures.intervals
    assert interval.length < 2_000
