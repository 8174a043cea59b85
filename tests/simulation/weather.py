"""What befalls a world from outside its requests: each half second every such fault has its opportunity.

Deaths of actors and of the process, pauses, dead connections, the database, humans, the venue's own mischief, prices.
`heal` ends all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Literal

from actors.supervision import Crash
from adapters.paper_exchange.orders import Side
from tests.simulation.faults import Fault
from tests.simulation.scheduler import SECOND
from tests.simulation.world import World

EVERY_S = 0.5
HANG_S = (2.0, 25.0)
STEPS_S = (-7200, -30, -3, -0.5, 0, 0, 0, 0.5, 3, 30, 7200)
UNTOUCHED = ("root",)
_DEATHS: tuple[tuple[Fault, Literal["exception", "exit", "hang"]], ...] = (
    (Fault.ACTOR_EXCEPTION, "exception"),
    (Fault.ACTOR_EXIT, "exit"),
    (Fault.ACTOR_HANG, "hang"),
)
_HUMANS = (Fault.HUMAN_CLOSE, Fault.HUMAN_HALVE, Fault.HUMAN_DOUBLE, Fault.HUMAN_FLIP)


class Weather:
    """The weather of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ended = False

    def begin(self) -> None:
        """From now on things happen."""
        if not self._ended:
            self._befall()
            self._world.scheduler.after(EVERY_S, self.begin)

    def heal(self) -> None:
        """Nothing is broken any more, and nothing breaks any more; what was stuck comes to its end."""
        world = self._world
        self._ended = world.faults.healed = True
        network, scheduler = world.network, world.scheduler
        network.weather.rest_dead_until = network.weather.streams_dead_until = 0
        world.database.away_until = world.database.slow_until = 0
        world.paused_markets = True
        process = world.process
        if process is not None:
            process.host.paused_until = scheduler.now
        world.exchange.release_stuck()

    def _befall(self) -> None:
        self._actors()
        self._process()
        self._connections()
        self._venue()
        self._humans()
        self._prices()

    def _strikes(self, fault: Fault, symbol: str | None = None) -> bool:
        return self._world.faults.strikes(fault, symbol)

    def _actors(self) -> None:
        world, process = self._world, self._world.process
        tree = None if process is None or process.ready_at is None else process.tree
        if tree is None:
            return
        for fault, how in _DEATHS:
            if self._strikes(fault):
                names = [name for name in tree.directory.names() if name not in UNTOUCHED]
                name = world.chance.choice(names)
                world.tell(f"ACTOR {name} is to die: {how}")
                world.network.disturb(None, "an actor died")
                tree.directory.tell(name, Crash(how=how, hang_s=world.chance.uniform(*HANG_S)))

    def _process(self) -> None:
        world, process = self._world, self._world.process
        if process is None or process.ready_at is None:
            return
        if self._strikes(Fault.PROCESS_PAUSED):
            world.pause_process(world.chance.uniform(1.0, 10.0))
        if self._strikes(Fault.CLOCK_STEP):
            world.clock_ahead = timedelta(seconds=world.chance.choice(STEPS_S))
            process.clock.ahead = world.clock_ahead
            world.network.disturb(None, "our clock was stepped")

    def _connections(self) -> None:
        world = self._world
        network, chance = world.network, world.chance
        if self._strikes(Fault.REST_DEAD):
            seconds = chance.uniform(0.5, 8.0)
            network.weather.rest_dead_until = world.scheduler.now + round(seconds * SECOND)
            self._repeat_until(network.weather.rest_dead_until, lambda: network.disturb(None, "REST is dead"))
        if self._strikes(Fault.STREAMS_DEAD):
            network.streams_die(chance.uniform(0.5, 8.0))
            self._repeat_until(
                network.weather.streams_dead_until, lambda: network.disturb(None, "the streams are dead")
            )
        if self._strikes(Fault.DATABASE_AWAY):
            world.database.away_until = world.scheduler.now + round(chance.uniform(0.3, 10.0) * SECOND)
            world.database.hangs = chance.random() < 0.5

    def _venue(self) -> None:
        world = self._world
        for symbol in world.markets:
            resting = world.exchange.resting(symbol)
            if resting and self._strikes(Fault.STOP_EXPIRED, symbol):
                world.exchange.expire(world.chance.choice(resting))
        stuck = world.exchange.engine.stuck
        if stuck and world.chance.random() < 0.15:
            world.exchange.release_stuck()

    def _humans(self) -> None:
        world, chance = self._world, self._world.chance
        for symbol in world.markets:
            held = world.exchange.quantity(symbol)
            ours = world.owner_of(symbol) is not None
            if not held:
                if not ours and self._strikes(Fault.HUMAN_OPEN, symbol):
                    self._human(symbol, self._sized(symbol) * chance.choice((1, -1)))
                continue
            for fault in _HUMANS:
                if self._strikes(fault, symbol):
                    step = world.exchange.engine.contracts[symbol].step
                    half = (held / 2 / step).to_integral_value() * step
                    part = {
                        Fault.HUMAN_CLOSE: -held,
                        Fault.HUMAN_HALVE: -half,
                        Fault.HUMAN_DOUBLE: held,
                        Fault.HUMAN_FLIP: -2 * held,
                    }[fault]
                    self._human(symbol, part)
                    break
            resting = world.exchange.resting(symbol)
            if resting and self._strikes(Fault.HUMAN_CANCEL, symbol):
                world.exchange.human_cancel(chance.choice(resting))

    def _human(self, symbol: str, quantity: Decimal) -> None:
        if quantity:
            side = Side.BUY if quantity > 0 else Side.SELL
            self._world.exchange.human(symbol, side, abs(quantity))

    def _sized(self, symbol: str) -> Decimal:
        contract = self._world.exchange.engine.contracts[symbol]
        mark = self._world.exchange.engine.book.prices[symbol].mark
        return (Decimal(300) / mark / contract.step).to_integral_value() * contract.step

    def _prices(self) -> None:
        world, chance = self._world, self._world.chance
        if self._strikes(Fault.PRICE_FROZEN):
            world.paused_markets = True
            world.scheduler.after(chance.uniform(2.0, 20.0), self._thaw)
        for symbol in world.markets:
            mark = world.exchange.engine.book.prices[symbol].mark
            if self._strikes(Fault.PRICE_WILD, symbol):
                world.exchange.price(symbol, mark * (1 + Decimal(chance.choice((-5, -2, 2, 5))) / 100))
                world.scheduler.after(0.05, partial(world.exchange.price, symbol, mark))
            if self._strikes(Fault.PRICE_GAP, symbol):
                world.exchange.price(symbol, mark * (1 + Decimal(chance.choice((-4, -2, 2, 4))) / 100))

    def _thaw(self) -> None:
        if not self._world.faults.healed:
            self._world.paused_markets = False

    def _repeat_until(self, until: int, act: Callable[[], object]) -> None:
        """Tell the oracle again and again while something lasts: its excuse for each telling is short."""
        act()
        if self._world.scheduler.now < until and not self._ended:
            self._world.scheduler.after(1.0, lambda: self._repeat_until(until, act))
