"""One schedule from its plan to its outcome: trouble, healing, calm, and the questions that are asked then."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.catalogue import EventType
from tests.oracle.cover import MOST_UNPROTECTED_MS
from tests.oracle.measures import Measures
from tests.simulation import liveness
from tests.simulation.days import START_LIMIT_S, heal, live_day
from tests.simulation.faults import Matrix
from tests.simulation.plan import Plan
from tests.simulation.scheduler import SECOND, Livelock
from tests.simulation.switch import Operator
from tests.simulation.verdict import violations
from tests.simulation.weather import Weather
from tests.simulation.workload import Workload
from tests.simulation.world import Violation, World


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a schedule. `digest` stands for all that the exchange saw and all that was written down."""

    seed: int
    long: bool
    violations: list[Violation]
    struck: Matrix
    excuses: Counter[tuple[str, str]]
    digest: str
    virtual_s: float
    work_s: float
    steps: int
    positions: int
    moves: int
    stopped_out: int
    orders: int
    processes: int
    switched: int
    unprotected_ms: list[int] = field(default_factory=list)
    slowest: dict[str, tuple[float, float]] = field(default_factory=dict)


def run(plan: Plan, say: Callable[[str], object] | None = None, watch: Callable[[World], object] | None = None) \
        -> Outcome:  # fmt: skip
    """Run a schedule. `say` is told its history, `watch` gets the world before time passes."""
    began = time.process_time()
    world = World(seed=plan.seed, faults=plan.faults, markets=plan.markets, settings=plan.settings, say=say)
    if watch is not None:
        watch(world)
    try:
        world.live(lambda w: _script(w, plan))
    except Livelock as lock:
        world.violate("L6", str(lock))
    return _outcome(world, plan, time.process_time() - began)


def _script(world: World, plan: Plan) -> None:
    if plan.day is not None:
        live_day(world, plan.day)
        return
    world.pass_time(1.0)
    weather, workload = Weather(world), Workload(world)
    weather.begin()
    operator = None if plan.switching is None else Operator(world, plan.switching)
    spent = 0.0
    for wait, wish, symbol in plan.wishes:
        world.pass_time(wait)
        workload.wish(wish, symbol)
        spent += wait
    world.pass_time(max(plan.trouble_s - spent, 1.0))
    heal(world, weather, workload, plan.calm_s)
    if operator is not None:
        operator.ends()
    liveness.memory_is_whole(world)
    liveness.nobody_fell_by_itself(world)


def _outcome(world: World, plan: Plan, work_s: float) -> Outcome:
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
        long=plan.day is not None,
        violations=sorted([*breaches, *world.violations], key=lambda v: v.at),
        struck=plan.faults.struck,
        excuses=verdict.excuses,
        digest=digest.hexdigest(),
        virtual_s=world.now_s,
        work_s=work_s,
        steps=world.scheduler.steps,
        positions=len(lives),
        moves=sum(life.moves for life in lives),
        stopped_out=sum(life.ended_by == "stop" for life in verdict.lives),
        orders=sum(count for path, count in measures.requests.items() if path.startswith(("POST", "DELETE"))),
        processes=len(world.processes),
        switched=sum(event.type is EventType.KILL_SWITCH_FIRED for event in world.database.events),
        unprotected_ms=[i.length for i in measures.intervals if i.excuse is None],
        slowest=_slowest(world, measures),
    )


def _slowest(world: World, measures: Measures) -> dict[str, tuple[float, float]]:
    for process in world.processes:
        if process.ready_at is not None:
            world.note_slowest("L5", (process.ready_at - process.born) / SECOND, START_LIMIT_S)
    for interval in measures.intervals:
        if interval.excuse is None:
            world.note_slowest("S1", interval.length / 1000, MOST_UNPROTECTED_MS / 1000)
    return world.slowest
