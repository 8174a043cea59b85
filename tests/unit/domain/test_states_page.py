"""docs/states.md shows the machine as it is: its tables word for word, its life step by step."""

from __future__ import annotations

import pytest

from domain.position import machine
from domain.position.inputs import Wake
from domain.position.state import Phase
from tests.unit.domain import states_page
from tests.unit.domain.real_lives import lives, transitions

WRITE_IT = "docs/states.md no longer fits the code: run `python -m tests.unit.domain.states_page`"
FRESH = 120
# A step that so many of a hundred lives take is no matter of luck.
COMMON_PERCENT = 10


@pytest.fixture(scope="module")
def text() -> str:
    return states_page.PAGE.read_text()


def test_every_phase_and_input_has_its_line() -> None:
    assert set(states_page.MEANS) == set(Phase)
    assert set(states_page.DOES) == set(machine.ANSWERS), "states_page.DOES: one line for each input of the machine"


def test_tables_are_those_of_the_code(text: str) -> None:
    assert text.startswith(states_page.static()), WRITE_IT


def test_no_step_is_taken_that_the_diagram_lacks(text: str) -> None:
    shown = set(states_page.steps_on(text))
    taken = {(a.name, b.name) for a, b in transitions(lives(FRESH))}
    assert taken <= shown, f"{WRITE_IT}; new: {sorted(taken - shown)}"


def test_every_common_step_of_the_diagram_is_still_taken(text: str) -> None:
    taken = {(a.name, b.name) for a, b in transitions(lives(FRESH))}
    least = states_page.LIVES * COMMON_PERCENT // 100
    common = {step for step, times in states_page.steps_on(text).items() if times >= least}
    assert len(common) >= 4
    assert common <= taken, f"{WRITE_IT}; no longer taken: {sorted(common - taken)}"


def test_final_phases_are_left_by_nobody(text: str) -> None:
    final = {phase.name for phase in Phase if phase.final}
    assert not {a for a, _ in states_page.steps_on(text)} & final
    assert {b for _, b in states_page.steps_on(text)} >= final


def test_a_changed_table_is_noticed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = machine.ANSWERS[Wake]
    fewer = machine.Answer(answer.phases - {Phase.CLOSING}, answer.hear)
    monkeypatch.setitem(machine.ANSWERS, Wake, fewer)
    assert not text.startswith(states_page.static())
