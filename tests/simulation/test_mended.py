"""What the simulation found and what was mended, each as the shortest history that showed it (docs/correctness.md)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from loguru import logger

from actors import messages
from actors.owners import Place
from actors.supervision import Crash
from adapters.paper_exchange.orders import Side
from domain.identity import PositionId
from domain.position.state import CloseReason, Phase, Position
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


def live(script: Callable[[World, Workload], None], faults: Nth | None = None) -> World:
    """A calm world in which only the script does something, and `faults` strike."""
    quiet = Walk(random.Random("calm"), 0.001)
    world = World(seed=1, faults=faults or Nth(Fault.STARVED, 0), markets={SYMBOL: quiet}, settings=settings(3))

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
        world.pass_time(1.2)
        assert world.exchange.quantity(SYMBOL)
        assert world.disk.spooled
        world.kill_process()
        world.pass_time(12.0)
        liveness.every_position_has_its_stop(world, strangers=True)
        assert not any(p.adopted for p in world.owners())

    assert broken(live(script)) == set()


def test_of_two_stored_owners_of_one_place_the_older_is_closed_in_the_book() -> None:
    """Its last record was lost: it stayed open there, and was called at every start."""

    def script(world: World, workload: Workload) -> None:
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(2.0)
        stored = world.database.positions
        (newer,) = (p for p in stored.values() if not p.phase.final)
        world.kill_process()
        older = PositionId(newer.id - 4096)
        stored[older] = newer.changed(id=older, opened_at=newer.opened_at - timedelta(seconds=1))
        world.pass_time(12.0)
        assert (stored[older].phase, stored[older].close_reason) == (Phase.RELEASED, CloseReason.SUPERSEDED)
        assert [p.id for p in world.owners()] == [newer.id]
        liveness.every_position_has_its_stop(world, strangers=True)

    live(script)


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


class LoseFirstStops(Nth):
    """The first so many requests of a first stop get lost."""

    def __init__(self, most: int) -> None:
        super().__init__(Fault.STARVED, 0)
        self._most = most

    def strikes(self, fault: Fault, symbol: str | None = None) -> bool:
        """See `Faults`."""
        asked = fault is Fault.REQUEST_LOST and self.step_of(symbol) is Step.FIRST_STOP
        if asked and self.struck[Fault.REQUEST_LOST, Step.FIRST_STOP] < self._most:
            self.count(fault, symbol)
            return True
        return False


def test_a_first_stop_that_gets_lost_is_joined_by_another_at_once() -> None:
    """Its sender waited eight seconds for the network to give up, with the position bare."""

    def script(world: World, workload: Workload) -> None:
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(10.0)

    world = live(script, LoseFirstStops(1))
    verdict = world.exchange.judge.verdict()
    assert world.faults.struck[Fault.REQUEST_LOST, Step.FIRST_STOP] == 1
    assert verdict.clean, verdict.breaches
    (interval,) = verdict.measures.intervals
    assert interval.length < 2_000


def test_the_nearest_stop_of_a_strangers_position_is_not_traded_upon() -> None:
    """Its own place was passed before we came: the next price 'passed' it again, and the position was closed."""

    def script(world: World, workload: Workload) -> None:
        world.exchange.human(SYMBOL, Side.BUY, Decimal("0.01"))
        price = world.exchange.engine.book.prices[SYMBOL].mark
        world.exchange.price(SYMBOL, price * Decimal("0.95"))
        world.pass_time(22.0)
        assert world.exchange.quantity(SYMBOL) == Decimal("0.01")
        liveness.every_position_has_its_stop(world, strangers=True)

    assert broken(live(script)) == set()


def test_a_close_ends_with_the_position_it_was_wanted_for() -> None:
    """A human turned it over and back while no request got through; then the close was carried on against theirs."""

    def script(world: World, workload: Workload) -> None:
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(2.0)
        world.network.weather.rest_dead_until = world.scheduler.now + 4 * SECOND
        workload.wish(Wish.CLOSE, SYMBOL)
        world.pass_time(1.0)
        held = world.exchange.quantity(SYMBOL)
        closing, opening = (Side.SELL, Side.BUY) if held > 0 else (Side.BUY, Side.SELL)
        world.exchange.human(SYMBOL, closing, 2 * abs(held))
        world.pass_time(1.0)
        world.exchange.human(SYMBOL, opening, 2 * abs(held))
        world.pass_time(25.0)
        assert world.exchange.quantity(SYMBOL) == held
        assert [p.adopted for p in world.owners()] == [True]
        liveness.every_position_has_its_stop(world, strangers=True)

    live(script)


def test_nobody_enters_while_a_stop_of_an_earlier_position_is_stuck() -> None:
    """It had only to be worked off by the venue to act on the next position of its symbol (S6)."""

    def script(world: World, workload: Workload) -> None:
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(2.0)
        (stop,) = world.exchange.resting(SYMBOL)
        beyond = Decimal("0.998") if stop.side == "SELL" else Decimal("1.002")
        world.exchange.price(SYMBOL, stop.trigger_price * beyond)
        world.pass_time(8.0)
        assert world.exchange.engine.stuck
        assert not world.exchange.quantity(SYMBOL)
        workload.wish(Wish.OPEN_BY_HAND, SYMBOL)
        world.pass_time(2.0)
        assert not world.exchange.quantity(SYMBOL)
        world.exchange.release_stuck()
        world.pass_time(4.0)
        assert not world.owners()
        workload.wish(Wish.OPEN_BY_HAND, SYMBOL)
        world.pass_time(2.0)
        assert world.exchange.quantity(SYMBOL)
        liveness.every_position_has_its_stop(world, strangers=True)

    live(script, Nth(Fault.STOP_STUCK, 1))


def test_a_clock_set_right_between_two_lives_delays_no_proof() -> None:
    """What a process with a clock hours ahead had left unknown could be called absent hours later only."""

    def script(world: World, workload: Workload) -> None:
        world.clock_ahead = timedelta(hours=2)
        world.kill_process()
        world.pass_time(8.0)
        workload.wish(Wish.OPEN_BY_HAND, SYMBOL)
        world.pass_time(2.5)
        assert world.faults.struck.total() == 1
        world.clock_ahead = timedelta(0)
        world.kill_process()
        world.pass_time(20.0)
        liveness.every_position_has_its_stop(world, strangers=True)
        assert all(s.covers or s.state.over for p in world.owners() for s in p.stops)

    live(script, LoseFirstStops(1))


def test_of_two_owners_in_the_store_the_newest_owns() -> None:
    """Killed between the durable intent of a position and the last record of the one before it on the symbol."""

    def script(world: World, workload: Workload) -> None:
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(2.0)
        (ours,) = world.owners()
        older = replace(world.database.positions[ours.id], id=PositionId(ours.id - 4096), phase=Phase.CLOSING, stops=())
        world.database.positions[older.id] = older
        world.kill_process()
        world.pass_time(8.0)
        assert [p.id for p in world.owners()] == [ours.id]
        liveness.every_position_has_its_stop(world, strangers=True)

    live(script)


def test_a_signal_opens_no_second_position_while_the_journal_hangs() -> None:
    """Its position had come to nothing, the desk died, and nothing of that was in the database yet (S7)."""

    def script(world: World, workload: Workload) -> None:
        process = world.process
        assert process is not None
        assert process.tree is not None
        workload.wish(Wish.OPEN, SYMBOL)
        directory = process.tree.directory
        while not world.database.signals:
            world.pass_time(0.0005)
        directory.tell(messages.JOURNAL, Crash(how="hang", hang_s=50.0))
        world.pass_time(0.5)
        directory.tell(messages.ENTRY_DESK, Crash(how="exception"))
        world.pass_time(12.0)
        positions = [p for p in world.database.positions.values() if p.signal_id is not None]
        assert [p.phase for p in positions] == [Phase.FAILED]

    live(script, Nth(Fault.ENTRY_REFUSED, 1))


@pytest.mark.parametrize("hang_s", [8.0, 500.0])
def test_a_desk_that_hangs_with_a_place_claimed_gives_it_back(monkeypatch: pytest.MonkeyPatch, hang_s: float) -> None:
    """Fenced between claim and start it left an owner that nobody started: no entry there before the next process."""

    def script(world: World, workload: Workload) -> None:
        process = world.process
        assert process is not None
        assert process.tree is not None
        owners = process.tree.owners
        claim = owners.claim

        def claim_and_hang(place: Place, position: Position, rules_known: int = 0) -> bool:
            monkeypatch.setattr(owners, "claim", claim)
            claimed = claim(place, position, rules_known)
            world.scheduler.sleep(hang_s)
            return claimed

        monkeypatch.setattr(owners, "claim", claim_and_hang)
        workload.wish(Wish.OPEN, SYMBOL)
        world.pass_time(12.0)
        if not world.exchange.quantity(SYMBOL):  # its signal may have been answered for by the next desk
            workload.wish(Wish.OPEN_BY_HAND, SYMBOL)
            world.pass_time(3.0)
        liveness.every_position_has_its_stop(world, strangers=True)
        assert world.exchange.quantity(SYMBOL)
        world.pass_time(10.0)
        assert [p.id for p in world.owners()] == [p.id for p in world.database.positions.values()]

    assert broken(live(script)) == set()
