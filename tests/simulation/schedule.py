"""One schedule from its plan to its outcome: trouble, healing, calm, and the questions that are asked then."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.oracle.measures import Measures
from tests.simulation import liveness
from tests.simulation.faults import Matrix
from tests.simulation.plan import Plan, Wish
from tests.simulation.scheduler import SECOND, Livelock
from tests.simulation.verdict import violations
from tests.simulation.weather import Weather
from tests.simulation.workload import Workload
from tests.simulation.world import Violation, World

L1_AFTER_S = 10.0
START_LIMIT_S = 15.0


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a schedule. `digest` stands for all that the exchange saw and all that was written down."""

    seed: int
    violations: list[Violation]
    struck: Matrix
    excuses: Counter[tuple[str, str]]
    digest: str
    virtual_s: float
    real_s: float
    steps: int
    positions: int
    moves: int
    stopped_out: int
    orders: int
    processes: int
    unprotected_ms: list[int] = field(default_factory=list)
    slowest: dict[str, int] = field(default_factory=dict)


def run(plan: Plan, say: Callable[[str], object] | None = None, watch: Callable[[World], object] | None = None) \
        -> Outcome:  # fmt: skip
    """Run a schedule. `say` is told its history, `watch` gets the world before time passes."""
    began = time.perf_counter()
    world = World(seed=plan.seed, faults=plan.faults, markets=plan.markets, settings=plan.settings, say=say)
    if watch is not None:
        watch(world)
    try:
        world.live(lambda w: _script(w, plan))
    except Livelock as lock:
        world.violate("L6", str(lock))
    return _outcome(world, plan, time.perf_counter() - began)


def _script(world: World, plan: Plan) -> None:
    world.pass_time(1.0)
    weather, workload = Weather(world), Workload(world)
    weather.begin()
    spent = 0.0
    for wait, wish, symbol in plan.wishes:
        world.pass_time(wait)
        workload.wish(wish, symbol)
        spent += wait
    world.pass_time(max(plan.trouble_s - spent, 1.0))
    world.tell("HEALED")
    weather.heal()
    workload.wish(Wish.RESUME, "")
    world.pass_time(L1_AFTER_S)
    late = _last_start_s(world) + START_LIMIT_S - world.now_s
    if late > 0:
        world.pass_time(late)
    liveness.every_position_has_its_stop(world, strangers=False)
    world.pass_time(max(plan.calm_s - L1_AFTER_S - max(late, 0.0), 1.0))
    liveness.every_position_has_its_stop(world, strangers=True)
    liveness.nothing_is_left_over(world)
    workload.wish(Wish.RESUME, "")
    world.pass_time(2.0)
    liveness.memory_is_whole(world)
    liveness.nobody_fell_by_itself(world)


def _last_start_s(world: World) -> float:
    return max(process.born for process in world.processes) / SECOND


def _outcome(world: World, plan: Plan, real_s: float) -> Outcome:
    judge = world.exchange.judge
    verdict = judge.verdict()
    breaches = violations(world, verdict.breaches)
    digest = hashlib.blake2b(world.exchange.digest.encode(), digest_size=16)
    for event in world.database.events:
        digest.update(f"{event.type} {event.at} {event.symbol} {event.order_id}".encode())
    lives = [life for life in (*verdict.lives, *verdict.open_lives) if life.owner is not None]
    measures: Measures = verdict.measures
    return Outcome(
        seed=plan.seed,
        violations=sorted([*breaches, *world.violations], key=lambda v: v.at),
        struck=plan.faults.struck,
        excuses=verdict.excuses,
        digest=digest.hexdigest(),
        virtual_s=world.now_s,
        real_s=real_s,
        steps=world.scheduler.steps,
        positions=len(lives),
        moves=sum(life.moves for life in lives),
        stopped_out=sum(life.ended_by == "stop" for life in verdict.lives),
        orders=sum(count for path, count in measures.requests.items() if path.startswith(("POST", "DELETE"))),
        processes=len(world.processes),
        unprotected_ms=[i.length for i in measures.intervals if i.excuse is None],
    )
