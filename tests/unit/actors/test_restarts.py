"""Back-off, restart windows, rosters, and what a specification refuses."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.restarts import RestartWindow, Roster, backoff, slow_delay
from actors.supervision import ChildSpec
from tests.unit.actors.specimens import Specimen


def spec(name: str = "a", **options: Any) -> ChildSpec:
    return ChildSpec(name=name, factory=Specimen.start, **options)


@given(st.integers(1, 10_000), st.integers())
def test_backoff_is_immediate_then_jittered_below_a_doubling_ceiling(streak: int, seed: int) -> None:
    child = spec(base_backoff_s=0.1, max_backoff_s=30.0)
    assert backoff(0, child, random.Random(seed)) == 0
    delay = backoff(streak, child, random.Random(seed))
    assert 0 <= delay <= min(30.0, 0.1 * 2.0 ** min(streak - 1, 20))
    assert 15.0 <= slow_delay(child, random.Random(seed)) <= 30.0


def test_backoff_uses_the_whole_range() -> None:
    rng, child = random.Random(1), spec(base_backoff_s=1.0)
    delays = [backoff(3, child, rng) for _ in range(500)]
    assert min(delays) < 0.2
    assert max(delays) > 3.8


@given(st.lists(st.floats(0, 20), max_size=50), st.integers(1, 6))
def test_window_agrees_with_counting(gaps: list[float], limit: int) -> None:
    window, now = RestartWindow(limit, 30.0), 0.0
    times: list[float] = []
    for gap in gaps:
        now += gap
        times.append(now)
        assert window.add(now) == (sum(now - time <= 30.0 for time in times) > limit)


def test_roster_keeps_order_and_names_are_unique() -> None:
    roster = Roster([spec("a"), spec("b")])
    with pytest.raises(ValueError, match="child 'a' is on the roster already"):
        roster.add(spec("a"))
    roster.discard("a")
    roster.discard("unknown")
    roster.add(spec("a"))
    assert [each.name for each in roster.specs()] == ["b", "a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": ""}, "ChildSpec.name is empty"),
        ({"shutdown_s": 0}, "ChildSpec a: shutdown_s=0 must be greater than 0"),
        ({"hang_after_s": -1.0}, "ChildSpec a: hang_after_s=-1.0 must be greater than 0, or None"),
        ({"max_backoff_s": float("nan")}, "ChildSpec a: max_backoff_s=nan must be greater than 0"),
    ],
)
def test_bad_specification_is_refused_by_name_value_and_rule(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec(**options)
