"""Clocks: order, cancelling, steps of the wall clock, callbacks that fail."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.clock import SystemClock, VirtualClock
from tests.unit.actors.specimens import WAIT_S

START = datetime(2026, 3, 1, tzinfo=UTC)


@given(st.lists(st.integers(0, 50), max_size=30))
def test_virtual_timers_fire_in_order_of_deadline_then_of_setting(delays: list[int]) -> None:
    clock = VirtualClock(START)
    fired: list[tuple[int, int]] = []
    for order, delay in enumerate(delays):
        clock.call_after(delay, partial(fired.append, (delay, order)))
    clock.advance(50)
    assert fired == sorted((delay, order) for order, delay in enumerate(delays))


def test_virtual_time_is_what_the_callback_sees() -> None:
    clock = VirtualClock(START)
    seen: list[datetime] = []

    def again() -> None:
        seen.append(clock.now())
        if len(seen) < 3:
            clock.call_after(10, again)

    clock.call_at(START + timedelta(seconds=5), again)
    clock.advance(START + timedelta(seconds=20))
    assert seen == [START + timedelta(seconds=5), START + timedelta(seconds=15)]
    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=20), 20)


def test_virtual_cancel_and_past() -> None:
    clock = VirtualClock(START)
    fired: list[str] = []
    clock.call_after(1, lambda: fired.append("cancelled")).cancel()
    clock.call_at(START - timedelta(days=1), lambda: fired.append("overdue"))
    clock.advance(0)
    assert fired == ["overdue"]
    clock.advance(5)
    assert fired == ["overdue"]
    with pytest.raises(ValueError, match="in the past"):
        clock.advance(-1)


@pytest.mark.parametrize("clock", [SystemClock(), VirtualClock(START)])
def test_naive_time_is_refused(clock: SystemClock | VirtualClock) -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001 - the point of the test
    with pytest.raises(ValueError, match="2026-03-01T00:00:00 has no time zone"):
        clock.call_at(naive, lambda: None)


def test_system_timers_fire_in_order_and_survive_a_failing_one(clock: SystemClock) -> None:
    fired: list[str] = []
    done = threading.Event()

    def fail(error: BaseException) -> None:
        fired.append(type(error).__name__)
        raise error

    clock.call_after(0.03, done.set)
    clock.call_after(0.02, lambda: fail(SystemExit(1)))
    clock.call_after(0.01, lambda: fail(ValueError("boom")))
    clock.call_after(0.015, lambda: fired.append("cancelled")).cancel()
    clock.call_at(clock.now(), lambda: fired.append("now"))
    assert done.wait(WAIT_S)
    assert fired == ["now", "ValueError", "SystemExit"]


def test_system_sooner_timer_overtakes_a_later_one(clock: SystemClock) -> None:
    done = threading.Event()
    clock.call_after(1000, lambda: None)
    clock.call_after(0.005, done.set)
    assert done.wait(WAIT_S)


def test_step_of_the_wall_clock_moves_no_timer(clock: SystemClock, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = threading.Event(), threading.Event()
    clock.call_at(clock.now() + timedelta(seconds=0.05), near.set)
    clock.call_at(clock.now() + timedelta(hours=1), far.set)
    for hours in (-5, 5):
        monkeypatch.setattr(SystemClock, "now", lambda _self, hours=hours: datetime.now(UTC) + timedelta(hours=hours))
        clock.call_after(0, lambda: None)
    assert near.wait(WAIT_S)
    assert not far.is_set()


def test_system_clock_stops_with_timers_open_and_starts_once() -> None:
    clock = SystemClock()
    clock.start()
    fired = threading.Event()
    clock.call_after(0.02, fired.set)
    with pytest.raises(RuntimeError, match="runs already"):
        clock.start()
    begun = time.monotonic()
    assert clock.stop()
    assert time.monotonic() - begun < 5
    assert not fired.is_set()
    assert clock.stop()
