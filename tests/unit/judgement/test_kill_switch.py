"""The kill switch by itself: two steps, one number a change, and what is to be closed."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.judgement import kill_switch
from domain.judgement.kill_switch import OFF, Cause, Switch
from domain.position.state import CloseReason, Phase
from tests.persistence.samples import NOON, position

FIRED = kill_switch.fired(OFF, Cause.OPERATOR, "uid 7", {"reason": "enough"}, NOON)


def test_the_first_reason_stands_and_a_reset_ends_it() -> None:
    again = kill_switch.fired(FIRED, Cause.DRAWDOWN, "itself", {}, NOON + timedelta(hours=1))
    assert again == FIRED
    over = kill_switch.reset(FIRED, "uid 8")
    assert (over.in_force, over.number, over.reason) == (False, 2, None)
    assert kill_switch.reset(over, "uid 9") == over


def test_it_says_why_since_when_and_by_whom() -> None:
    assert FIRED.reason is not None
    for word in ("2026-11-21 12:00:00", "operator", "reason enough", "uid 7", "until reset"):
        assert word in FIRED.reason


@given(st.lists(st.sampled_from(["fire", "reset"]), max_size=20))
def test_of_two_memories_the_one_that_saw_more_is_right(steps: list[str]) -> None:
    history = [OFF]
    for step in steps:
        now = history[-1]
        history.append(
            kill_switch.fired(now, Cause.OPERATOR, "x", {}, NOON) if step == "fire" else kill_switch.reset(now, "x")
        )
    for earlier in history:
        assert kill_switch.newest(earlier, history[-1]) == history[-1] == kill_switch.newest(history[-1], earlier)
    assert kill_switch.newest() == OFF


@given(
    st.builds(
        Switch,
        number=st.integers(0, 2**40),
        fired_at=st.just(NOON),
        cause=st.sampled_from(Cause),
        by=st.text(),
        figures=st.dictionaries(st.text(), st.text()),
    )
    | st.builds(Switch, number=st.integers(0, 5), by=st.text())
)
def test_it_comes_back_from_json_as_it_was(switch: Switch) -> None:
    assert kill_switch.from_row(json.loads(json.dumps(kill_switch.to_row(switch)))) == switch


@pytest.mark.parametrize("wrong", [{"cause": None}, {"fired_at": "yesterday"}, {"figures": None}, {"number": "many"}])
def test_what_is_no_switch_is_told(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        kill_switch.from_row({**kill_switch.to_row(FIRED), **wrong})


def test_all_that_we_own_is_to_be_closed_but_a_stranger_adopted_since() -> None:
    before, after = NOON - timedelta(minutes=1), NOON + timedelta(minutes=1)
    owned = [
        position(1, opened_at=before),
        position(2, opened_at=after),  # begun in the moment of firing
        position(3, opened_at=before, adopted=True),
        position(4, opened_at=after, adopted=True),
        position(5, opened_at=before, close_wanted=CloseReason.SIGNAL),
        position(6, opened_at=before, phase=Phase.CLOSED),
    ]
    assert kill_switch.to_close(FIRED, owned) == (1, 2, 3)
    assert kill_switch.to_close(OFF, owned) == ()


def test_the_second_step_needs_the_code_within_its_time() -> None:
    armed = kill_switch.arm("K7Q2XY", ["main"], "", 100.0)
    assert kill_switch.wrong_confirmation(armed, " k7q2xy", 160.0) is None
    assert "60 s" in str(kill_switch.wrong_confirmation(armed, "K7Q2XY", 160.1))
    assert "XXXXXX" in str(kill_switch.wrong_confirmation(armed, "XXXXXX", 101.0))
    assert "nothing is armed" in str(kill_switch.wrong_confirmation(None, "K7Q2XY", 101.0))
