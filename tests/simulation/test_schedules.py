"""Two thousand random schedules, and every fault at every point of small histories: no law is broken."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from loguru import logger

from tests.simulation.explore import explore, matrix, report
from tests.simulation.faults import Fault, Matrix, Nth
from tests.simulation.plan import Wish, scripted
from tests.simulation.schedule import Outcome, run

FIRST, SCHEDULES = 100_000, 2_000
MOST_FAULTS = 3
POINTS = 16
HISTORIES: tuple[tuple[Wish, ...], ...] = (
    (Wish.OPEN,),
    (Wish.OPEN, Wish.CLOSE),
    (Wish.OPEN, Wish.SET_STOP, Wish.CLOSE_HALF),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_schedules_break_no_law(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    total = explore(range(FIRST, FIRST + SCHEDULES), with_tapes=False, most_faults=MOST_FAULTS)
    text = report(total, time.monotonic() - began)
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")
    assert total.schedules == SCHEDULES
    assert not total.bad, text
    missed = [fault for fault in Fault if not any(total.struck[key] for key in total.struck if key[0] is fault)]
    assert not missed, f"never struck: {missed}"


def _opportunities(number: int, fault: Fault) -> int:
    faults = Nth(fault, 0)
    run(scripted(number, HISTORIES[number], faults))
    return faults.opportunities


def _at_every_point(job: tuple[int, Fault]) -> tuple[list[str], Matrix]:
    """One fault at (a bounded choice of) all its opportunities in one history."""
    logger.remove()
    number, fault = job
    found: list[str] = []
    struck: Matrix = Counter()
    there_are = _opportunities(number, fault)
    for point in _spread(there_are):
        outcome: Outcome = run(scripted(number, HISTORIES[number], Nth(fault, point)))
        struck += outcome.struck
        where = f"history {number}, {fault} at point {point}"
        found += [f"{where}: {v.law} at {v.at}: {v.text}" for v in outcome.violations]
    return found, struck


def _spread(count: int) -> Sequence[int]:
    """At most POINTS of the points 1 to `count`, evenly."""
    if count <= POINTS:
        return range(1, count + 1)
    return sorted({1 + round(place * (count - 1) / (POINTS - 1)) for place in range(POINTS)})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_fault_at_every_point_of_small_histories(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [(number, fault) for number in range(len(HISTORIES)) for fault in Fault]
    struck: Matrix = Counter()
    found: list[str] = []
    with multiprocessing.get_context("fork").Pool() as pool:
        for wrong, hit in pool.imap_unordered(_at_every_point, jobs, chunksize=4):
            found += wrong
            struck += hit
    with capsys.disabled():
        head = f"{struck.total()} faults, each alone in a history of up to three wishes"
        sys.stdout.write("\n".join(("", head, *matrix(struck), "")))
    assert not found, "\n".join(found[:20])
