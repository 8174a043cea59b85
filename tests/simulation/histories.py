"""Small histories, exhausted: up to three operations on one symbol, and one fault alone at each point it can strike.

How many points there are is counted by a run in which nothing strikes. `points` bounds how many of them are tried for a
fault in a history, evenly chosen; unbounded all are.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from loguru import logger

from tests.simulation.faults import Fault, Matrix, Nth
from tests.simulation.plan import Wish, scripted
from tests.simulation.schedule import run

HISTORIES: tuple[tuple[Wish, ...], ...] = (
    (Wish.OPEN,),
    (Wish.OPEN, Wish.CLOSE),
    (Wish.OPEN, Wish.SET_STOP, Wish.CLOSE_HALF),
    (Wish.OPEN, Wish.SET_TRAILING, Wish.CLOSE),
    (Wish.OPEN, Wish.CLOSE, Wish.OPEN_BY_HAND),
    (Wish.OPEN_BY_HAND, Wish.CLOSE_HALF, Wish.CLOSE_SIGNAL),
)


@dataclass(slots=True)
class Exhausted:
    """What came of it. `tried` of `points` there are; what was wrong, each with its place."""

    points: int = 0
    tried: int = 0
    struck: Matrix = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def exhaust(points: int | None = None, workers: int | None = None) -> Exhausted:
    """Every history with every fault. `points`: at most so many of a fault in a history."""
    jobs = [(number, fault) for number in range(len(HISTORIES)) for fault in Fault]
    total = Exhausted()
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for part in pool.imap_unordered(partial(_at_every_point, points), jobs, chunksize=4):
            total.points += part.points
            total.tried += part.tried
            total.struck += part.struck
            total.wrong += part.wrong
    return total


def _at_every_point(most: int | None, job: tuple[int, Fault]) -> Exhausted:
    logger.remove()
    gc.disable()
    number, fault = job
    counting = Nth(fault, 0)
    run(scripted(number, HISTORIES[number], counting))
    part = Exhausted(points=counting.opportunities)
    for point in _spread(part.points, most):
        outcome = run(scripted(number, HISTORIES[number], Nth(fault, point)))
        part.tried += 1
        part.struck += outcome.struck
        where = f"history {number}, {fault} at point {point}"
        part.wrong += [f"{where}: {v.law} at {v.at}: {v.text}" for v in outcome.violations]
    gc.collect()
    return part


def _spread(count: int, most: int | None) -> Sequence[int]:
    """At most so many of the points 1 to `count`, evenly."""
    if most is None or count <= most:
        return range(1, count + 1)
    return sorted({1 + round(place * (count - 1) / (most - 1)) for place in range(most)})
