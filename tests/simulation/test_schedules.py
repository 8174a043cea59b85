"""Two thousand random schedules, some days, and every fault at points of small histories: no law is broken."""

from __future__ import annotations

import sys
import time

import pytest

from tests.simulation.explore import Drawing, explore, matrix, report
from tests.simulation.faults import Fault
from tests.simulation.histories import HISTORIES, exhaust
from tests.simulation.plan import SWITCHED_OF

FIRST, SCHEDULES = 100_000, 2_000
DAYS = 8
MOST_FAULTS = 3
POINTS = 8


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_schedules_break_no_law(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    drawing = Drawing(most_faults=MOST_FAULTS, sort="short")
    total = explore(range(FIRST, FIRST + SCHEDULES), drawing)
    text = report(total, time.monotonic() - began, drawing)
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")
    assert total.schedules == SCHEDULES
    assert not total.bad, text
    assert total.switched >= SCHEDULES // SWITCHED_OF // 2
    missed = [fault for fault in Fault if not any(total.struck[key] for key in total.struck if key[0] is fault)]
    assert not missed, f"never struck: {missed}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_days_break_no_law(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    drawing = Drawing(sort="day")
    total = explore(range(FIRST, FIRST + DAYS), drawing)
    text = report(total, time.monotonic() - began, drawing)
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")
    assert total.long.schedules == DAYS
    assert total.moves > DAYS
    assert not total.bad, text


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_fault_at_every_point_of_small_histories(capsys: pytest.CaptureFixture[str]) -> None:
    done = exhaust(POINTS)
    with capsys.disabled():
        head = f"{len(HISTORIES)} histories of up to three operations: {done.tried} of {done.points} points tried"
        sys.stdout.write("\n".join(("", head, *matrix(done.struck), "")))
    assert not done.wrong, "\n".join(done.wrong[:20])
    missed = [fault for fault in Fault if not any(done.struck[key] for key in done.struck if key[0] is fault)]
    assert len(missed) < len(Fault) // 4, f"never struck: {missed}"
