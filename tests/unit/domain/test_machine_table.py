"""Every cell of `machine.ANSWERS` with real positions: each phase as lives have reached it, each input as it was heard.

The inputs come from the position's own life and from those of others (late news, strangers' orders), so that a cell is
tried with what fits it and with what does not. In each: no exception, the table respected, nothing uncovered by us.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

import pytest

from domain.position import ledger, machine, stops
from domain.position.effects import Cancel, Effect, Place, Transition
from domain.position.inputs import Input, InstrumentHeard, Release
from domain.position.plan import MoveStyle
from domain.position.state import OrderState, Phase, Position, StopOrder
from domain.position.turn import Turn
from tests.unit.domain.real_lives import Answered, lives
from tests.unit.domain.samples import BTC

LIVES = 120
MORE_LIVES = 400
POSITIONS = 8
INPUTS = 6
LATER = timedelta(seconds=1)
ZERO = Decimal(0)
Thing = TypeVar("Thing")


@lru_cache(maxsize=1)
def positions() -> dict[Phase, list[Answered]]:
    """For each phase the answers in which a position came to be as it is, spread over all lives."""
    found: dict[Phase, list[Answered]] = defaultdict(list)
    for answer in lives(LIVES):
        found[answer.said.position.phase].append(answer)
    if any(phase not in found for phase in Phase):
        for answer in lives(MORE_LIVES):
            if answer.said.position.phase not in found or answer.said.position.phase.final:
                found[answer.said.position.phase].append(answer)
    return {phase: spread(answers, POSITIONS) for phase, answers in found.items()}


@lru_cache(maxsize=1)
def inputs() -> dict[type, list[Input]]:
    """For each kind of input some that were heard, spread over all lives."""
    found: dict[type, list[Input]] = defaultdict(list)
    for answer in lives(LIVES):
        found[type(answer.heard)].append(answer.heard)
    found[InstrumentHeard] = [InstrumentHeard(instrument=BTC)]
    return {kind: spread(heard, INPUTS) for kind, heard in found.items()}


def spread(things: list[Thing], count: int) -> list[Thing]:
    """So many of them, evenly chosen."""
    return [things[len(things) * place // count] for place in range(count)] if len(things) > count else things


def own_inputs(answer: Answered, kind: type) -> list[Input]:
    """Inputs of this kind out of the same life: what fits this very position."""
    own = [
        other.heard
        for other in lives(LIVES)
        if type(other.heard) is kind and other.before.id == answer.before.id and other.before.plan is answer.before.plan
    ]
    return spread(own, INPUTS // 2)


def test_every_phase_was_reached_and_every_input_heard() -> None:
    assert set(positions()) == set(Phase)
    assert set(inputs()) == set(machine.ANSWERS)
    assert min(len(found) for found in positions().values()) >= 2


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("kind", list(machine.ANSWERS), ids=lambda kind: kind.__name__)
def test_a_cell_with_real_positions(kind: type, phase: Phase) -> None:
    for answer in positions()[phase]:
        position, now = answer.said.position, answer.at + LATER
        for heard in (*inputs()[kind], *own_inputs(answer, kind)):
            said = machine.handle(position, heard, now)
            if phase not in machine.ANSWERS[kind].phases:
                assert_unmoved(position, said)
            assert_told(position, said)
            assert_no_uncovering(position, said)


@pytest.mark.parametrize("kind", [kind for kind in machine.ANSWERS if kind is not Release], ids=lambda k: k.__name__)
def test_whoever_ends_gives_no_more_orders(kind: type) -> None:
    """Nobody would hear what came of them."""
    for answer in lives(LIVES):
        if type(answer.heard) is kind and answer.said.position.phase.final:
            assert orders(answer.said) == []


def test_a_release_gives_no_orders() -> None:
    """Handed to a human, its stop left in place: nothing is sent or cancelled any more (INTERFACE, release)."""
    for answer in lives(LIVES):
        position = answer.said.position
        if position.phase in machine.ANSWERS[Release].phases:
            assert orders(machine.handle(position, Release(), answer.at + LATER)) == []


def cancels_at_once(turn: Turn, keep: StopOrder) -> None:
    """A move that takes the old stop away first."""
    stops._cancel(turn, keep)


def cancels_the_better(turn: Turn, live: list[StopOrder], keep: StopOrder) -> None:
    """Of two stops the one that covers is not kept."""
    for stop in live:
        stops._cancel(turn, stop)


@pytest.mark.parametrize(
    ("module", "name", "bug"),
    [(stops, "_improve", cancels_at_once), (stops, "_cancel_others", cancels_the_better)],
)
def test_a_machine_that_uncovers_is_seen(
    module: object, name: str, bug: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [answer for answer in lives(LIVES) if len(answer.said.position.stops) > 1]
    monkeypatch.setattr(module, name, bug)
    with pytest.raises(AssertionError):
        for answer in told:
            assert_no_uncovering(answer.before, machine.handle(answer.before, answer.heard, answer.at))


def test_the_lives_uncovered_nothing() -> None:
    for answer in lives(LIVES):
        assert_told(answer.before, answer.said)
        assert_no_uncovering(answer.before, answer.said)


def orders(said: Transition) -> list[Effect]:
    """What it wants sent or cancelled."""
    return [effect for effect in said.effects if isinstance(effect, Place | Cancel)]


def assert_unmoved(position: Position, said: Transition) -> None:
    """A phase that the table does not name has heard nothing."""
    assert said.position is position
    assert (said.effects, said.happenings, said.orders, said.trades, said.record) == ((), (), (), (), False)
    assert not position.phase.final or said.wake_at is None


def assert_told(position: Position, said: Transition) -> None:
    """Whatever is done or said is in a record, and a record is a new version."""
    assert said.record or not (orders(said) or said.happenings or said.orders or said.trades)
    assert said.position.version == position.version + said.record


def assert_no_uncovering(before: Position, said: Transition) -> None:
    """No cancel and no change in place takes away cover that is needed and not replaced (S1, S4).

    While two stops overlap their sum says little: what has to be left is the larger of them, or the whole size.
    """
    p = said.position
    cancelled = {effect.client_id for effect in said.effects if isinstance(effect, Cancel)}
    size = ledger.exposure(p)
    known = {stop.client_id: stop for stop in before.stops}
    taken = [stop for stop in p.stops if {stop.client_id, stop.wire_id} & cancelled]
    left = [stop for stop in p.stops if stop.state is OrderState.LIVE and stop not in taken]
    if not taken or size == ZERO or p.plan.venue.move is MoveStyle.CANCEL_THEN_PLACE:
        return
    held = max(closes(known.get(stop.client_id, stop), size) for stop in (*taken, *left))
    assert sum((closes(stop, size) for stop in left), ZERO) >= min(size, held), (taken, left, size)


def closes(stop: StopOrder, size: Decimal) -> Decimal:
    """What a stop would close of a position of this size."""
    return size if stop.whole else min(stop.quantity, size)
