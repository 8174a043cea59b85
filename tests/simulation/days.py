"""Days: long schedules, hours of ordinary trading in a recorded (or made) market with some episodes of trouble.

What a day has that a short schedule has not: positions that trail for hours, dozens of lives one after another on the
same symbols, memory that grows, timers that meet. Between the episodes time leaps (`pace`), prices come as the points
of bars of a minute; around each episode everything runs at its own rhythm, one price a second.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from adapters.paper_exchange.candles import Bar
from tests.simulation import liveness
from tests.simulation.faults import USUAL, Fault, Swarm
from tests.simulation.market import DayPlayer, made_bars
from tests.simulation.plan import SYMBOLS, WEIGHTS, Day, Episode, Plan, Wish, settings
from tests.simulation.scheduler import SECOND
from tests.simulation.weather import Weather
from tests.simulation.workload import Workload
from tests.simulation.world import World

HOURS = 8.0
EVERY_S = (1_500.0, 4_500.0)
BEFORE_S = 2.5
L1_AFTER_S = 10.0
START_LIMIT_S = 15.0
SETTLED_S = 37.0
LOOK_S = 0.5
AFFORDABLE = 900
WRITTEN_S = 3.0
MOST_FAULTS = 3
# What is a property of the whole world, or has no end: a venue that splits fills, a clock that stays wrong.
NOT_HERE = frozenset({Fault.CLOCK_STEP, Fault.PART_FILL})


def drawn_day(seed: int, tapes: Mapping[str, Sequence[Bar]] | None = None, hours: float = HOURS) -> Plan:
    """The long schedule of a seed."""
    chance = random.Random(f"day {seed}")
    symbols = SYMBOLS[: chance.choice((1, 1, 1, 2))]
    episodes: list[Episode] = []
    at = 0.0
    while at < hours * 3600:
        episodes.append(_episode(chance, symbols, chance.uniform(*EVERY_S) if episodes else 0.0))
        at += episodes[-1].after_s + episodes[-1].trouble_s + SETTLED_S
    return Plan(
        seed=seed,
        settings=settings(chance.choice((0, 1, 2, 3)), judged=bool(seed % 2)),
        markets={symbol: _market(chance, symbol, tapes or {}, hours) for symbol in symbols},
        faults=Swarm({}, random.Random(f"faults of day {seed}")),
        wishes=(),
        trouble_s=0.0,
        day=Day(
            episodes=episodes,
            signals=sorted((chance.uniform(0.1, 0.9), chance.choice(symbols)) for _ in range(2)),
        ),
    )


def _episode(chance: random.Random, symbols: Sequence[str], after_s: float) -> Episode:
    usual = [fault for fault in USUAL if fault not in NOT_HERE]
    strength = chance.choice((0.5, 1.0, 2.0))
    struck = chance.sample(usual, chance.randrange(MOST_FAULTS + 1))
    trouble_s = chance.choice((8.0, 12.0, 16.0))
    wishes = [(0.2, Wish.OPEN, symbols[0])]
    for _ in range(chance.randrange(1, 4)):
        (wish,) = chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        wishes.append((chance.uniform(0.1, trouble_s / 2), wish, chance.choice(symbols)))
    return Episode(
        after_s=after_s,
        chances={fault: min(USUAL[fault] * strength, 1.0) for fault in struck},
        wishes=wishes,
        trouble_s=trouble_s,
    )


def _market(chance: random.Random, symbol: str, tapes: Mapping[str, Sequence[Bar]], hours: float) -> DayPlayer:
    bars = tapes.get(symbol) if chance.random() < 0.7 else None
    minutes = int(hours * 60) + 30
    if bars is None or len(bars) <= minutes:
        bars = made_bars(chance, minutes, chance.choice((0.05, 0.1, 0.2)))
    begin = chance.randrange(len(bars) - minutes + 1)
    return DayPlayer(bars[begin : begin + minutes], low_first=chance.random() < 0.5)


def live_day(world: World, day: Day) -> None:
    """Live through it."""
    world.faults.healed = True
    world.pass_time(1.0)
    workload = Workload(world)
    for episode in day.episodes:
        _calm(world, workload, day, episode.after_s)
        _trouble(world, workload, episode)
    liveness.memory_is_whole(world)
    liveness.nobody_fell_by_itself(world)


def _calm(world: World, workload: Workload, day: Day, seconds: float) -> None:
    """No fault; who has something to do does it, and nobody looks whether all is well more often than needed."""
    if not seconds:
        return
    world.pace.calm, world.paused_markets = True, False
    began, over = world.scheduler.now, world.scheduler.now + round(seconds * SECOND)
    for share, symbol in day.signals:
        world.pass_time((began + round(share * seconds * SECOND) - world.scheduler.now) / SECOND)
        workload.wish(Wish.OPEN, symbol)
    world.pass_time((over - world.scheduler.now) / SECOND)
    world.pace.stir()
    world.pass_time(BEFORE_S)


def _trouble(world: World, workload: Workload, episode: Episode) -> None:
    world.tell("TROUBLE")
    weather, spent = Weather(world), 0.0
    world.arm(episode.chances)
    weather.begin()
    for wait, wish, symbol in episode.wishes:
        world.pass_time(wait)
        workload.wish(wish, symbol)
        spent += wait
    world.pass_time(max(episode.trouble_s - spent, 1.0))
    heal(world, weather, workload, SETTLED_S)


def heal(world: World, weather: Weather, workload: Workload, calm_s: float) -> None:
    """Every fault ends; then L1, L2 and L5 are asked in their time. The markets stand still."""
    world.tell("HEALED")
    weather.heal()
    healed = world.now_s

    def l1_over() -> float:
        born = max(process.born for process in world.processes) / SECOND
        return max(healed + L1_AFTER_S, born + START_LIMIT_S)

    workload.wish(Wish.RESUME, "")
    _questions_are_affordable(world)
    healed = world.now_s
    unheard = liveness.unheard(world)
    _within(world, "L1", l1_over, lambda: liveness.unprotected(world, strangers=False, unheard=unheard))
    if unheard and liveness.unprotected(world, strangers=False):
        world.exchange.judge.court.excuse("L1", "news was lost: one cycle of the reconciler")
    l2_over = max(healed + calm_s, world.now_s + 1.0)
    _within(world, "L2", lambda: l2_over, lambda: wrong_at_last(world))
    workload.wish(Wish.RESUME, "")
    world.pass_time(2.0)
    written = world.now_s + WRITTEN_S
    while liveness.behind(world) and world.now_s < written:
        world.pass_time(LOOK_S)


def _questions_are_affordable(world: World) -> None:
    """LAWS S15 goes before L1: who has used up the requests of the minute asks nothing before there are new ones."""
    if world.exchange.weight_of_last_minute() > AFFORDABLE:
        world.exchange.judge.court.excuse("L1", "the requests of the minute were used up (S15)")
    while (spent := world.exchange.weight_of_last_minute()) > AFFORDABLE:
        world.tell(f"WAITING: {spent} of the venue's weight were used within a minute")
        world.pass_time(5.0)


def _within(world: World, law: str, over: Callable[[], float], wrong: Callable[[], liveness.Found]) -> None:
    """Something comes right before a time, and is right then; notes how long it took."""
    began = right_at = world.now_s
    while world.now_s < over() - 0.001:
        if wrong():
            right_at = world.now_s + LOOK_S
        world.pass_time(min(LOOK_S, over() - world.now_s))
    world.note_slowest(law, right_at - began, over() - began)
    for broken, text in wrong():
        world.violate(broken, text)


def wrong_at_last(world: World) -> liveness.Found:
    """All that L1 and L2 speak of, what a human opened included."""
    return [*liveness.unprotected(world, strangers=True), *liveness.left_over(world)]
