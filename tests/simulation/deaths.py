"""Deaths: one actor dies in one way in one moment of a position's life, and nothing else happens.

The life is always the same: a signal opens it, the price runs ahead so that its stop trails, then an operator closes it
or the price falls through its stop. The moment is waited for in steps of a millisecond.
"""

from __future__ import annotations

import gc
import multiprocessing
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from loguru import logger

from actors import messages
from actors.supervision import Crash
from domain.catalogue import EventType
from tests.simulation import liveness
from tests.simulation.faults import Fault, Nth, Step
from tests.simulation.market import Walk
from tests.simulation.plan import SYMBOLS, Wish, settings
from tests.simulation.process import ACCOUNT
from tests.simulation.verdict import violations
from tests.simulation.workload import Workload
from tests.simulation.world import World

SYMBOL = SYMBOLS[0]
OWNER = "position"
KINDS: Mapping[str, str] = {
    "journal": messages.JOURNAL,
    "notifier": messages.NOTIFIER,
    "warden": messages.WARDEN,
    "entry desk": messages.ENTRY_DESK,
    "signal feed": messages.SIGNAL_FEED,
    "gateway": messages.gateway(ACCOUNT),
    "market feed": messages.market_feed(ACCOUNT),
    "account feed": messages.account_feed(ACCOUNT),
    "reconciler": messages.reconciler(ACCOUNT),
    "positions": messages.positions(ACCOUNT),
    OWNER: "",
}
HOWS = ("exception", "BaseException", "exit", "hang")
MOMENTS = (
    Step.ENTRY_SENT,
    Step.FIRST_STOP,
    Step.COVERED,
    Step.MOVING,
    Step.CANCELLING,
    Step.EXITING,
    Step.SETTLING,
    Step.TRIGGERED,
)
# Longer than anybody may hang before it is replaced.
HANG_S = 6.0
AFTERWARDS_S = 9.0
SEARCHED_S = 6.0
RUN_PCT = (Decimal("0.4"), Decimal("0.5"), Decimal("0.5"))


@dataclass(frozen=True, slots=True)
class Death:
    """Who dies, how, when."""

    kind: str
    how: str
    moment: Step

    def __str__(self) -> str:
        """For a report."""
        return f"{self.kind} dies by {self.how} at {self.moment}"


class _Fatal(str):
    """An order that ends in what is no `Exception`."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise KeyboardInterrupt("ordered by chaos")


def deaths() -> Sequence[Death]:
    """All of them."""
    return [Death(kind, how, moment) for kind in KINDS for how in HOWS for moment in MOMENTS]


def live_through(death: Death) -> tuple[bool, list[str]]:
    """Whether the actor fell in that moment, and what was wrong then or afterwards."""
    market = Walk(random.Random(f"death {death.moment}"), 0.001)
    world = World(seed=7, faults=Nth(Fault.STARVED, 0), markets={SYMBOL: market}, settings=settings(0))
    fallen: list[str] = []
    world.live(lambda w: fallen.extend(_script(w, death)))
    wrong = [*violations(world, world.exchange.judge.verdict().breaches), *world.violations]
    if fallen and not any(e.type in _FALLS and e.data.get("name") in fallen for e in world.database.events):
        wrong_text = [f"nobody noticed the death of {fallen[0]}"]
    else:
        wrong_text = []
    return bool(fallen), wrong_text + [f"{v.law} at {v.at:.3f} s: {v.text}" for v in wrong]


_FALLS = (EventType.ACTOR_CRASHED, EventType.ACTOR_HUNG)


def _script(world: World, death: Death) -> list[str]:
    world.pass_time(1.5)
    workload = Workload(world)
    workload.wish(Wish.OPEN, SYMBOL)
    fallen = _look_for(world, death)
    if not fallen and death.moment in (Step.MOVING, Step.CANCELLING, Step.TRIGGERED):
        fallen = _run_ahead(world, death)
    if not fallen and death.moment is Step.TRIGGERED:
        world.pass_time(3.0)
        (stop,) = world.exchange.resting(SYMBOL)
        beyond = Decimal("0.999") if stop.side == "SELL" else Decimal("1.001")
        world.exchange.price(SYMBOL, stop.trigger_price * beyond)
        fallen = _look_for(world, death)
    if not fallen and death.moment in (Step.EXITING, Step.SETTLING):
        workload.wish(Wish.CLOSE, SYMBOL)
        fallen = _look_for(world, death)
    world.pass_time(HANG_S + AFTERWARDS_S)
    liveness.every_position_has_its_stop(world, strangers=True)
    liveness.nothing_is_left_over(world)
    liveness.memory_is_whole(world)
    liveness.nobody_fell_by_itself(world)
    return fallen


def _run_ahead(world: World, death: Death) -> list[str]:
    side = 1 if world.exchange.quantity(SYMBOL) > 0 else -1
    for pct in RUN_PCT:
        mark = world.exchange.engine.book.prices[SYMBOL].mark
        world.exchange.price(SYMBOL, mark * (1 + side * pct / 100))
        if fallen := _look_for(world, death):
            return fallen
    return []


def _look_for(world: World, death: Death) -> list[str]:
    """Wait for the moment, then strike; the names of those who were struck."""
    patience = 1.5 if death.moment in (Step.MOVING, Step.CANCELLING) else SEARCHED_S / 4
    until = world.now_s + patience
    while world.now_s < until:
        if world.step_of(SYMBOL) is death.moment:
            return _strike(world, death)
        world.pass_time(0.001)
    return []


def _strike(world: World, death: Death) -> list[str]:
    process, owner = world.process, world.owner_of(SYMBOL)
    if process is None or process.tree is None or (death.kind == OWNER and owner is None):
        return []
    name = messages.position(owner) if death.kind == OWNER and owner is not None else KINDS[death.kind]
    how: Any = _Fatal() if death.how == "BaseException" else death.how
    world.network.disturb(None, "an actor died")
    process.tree.directory.tell(name, Crash(how=how, hang_s=HANG_S))
    return [name]


def table(workers: int | None = None) -> tuple[list[str], list[str]]:
    """Live through all deaths: who fell how and when, as lines, and what was wrong."""
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        lived = pool.map(_lived, deaths(), chunksize=8)
    fell = Counter((death.kind, death.how, death.moment) for death, fallen, _ in lived if fallen)
    lines = [f"  {number} = {moment}" for number, moment in enumerate(MOMENTS, 1)]
    lines.append(" " * 32 + "".join(f"{number:3d}" for number in range(1, len(MOMENTS) + 1)))
    for kind in KINDS:
        for how in HOWS:
            row = "".join(f"{'x' if fell[kind, how, moment] else '.':>3}" for moment in MOMENTS)
            lines.append(f"  {kind:14} {how:15}{row}")
    return lines, [f"{death}: {text}" for death, _, texts in lived for text in texts]


def _lived(death: Death) -> tuple[Death, bool, list[str]]:
    logger.remove()
    gc.disable()
    fell, wrong = live_through(death)
    gc.collect()
    return death, fell, wrong
