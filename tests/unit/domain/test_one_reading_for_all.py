"""A start with many positions: the one complete reading verifies a stop that stands on its position; no question each.

How one would notice it broken: with 190 positions on Bybit as many questions leave at the start, and the limit of the
address keeps the last answer out for more than the 15 s of L5.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.identity import Epoch, OrderKind
from domain.instrument import PositionSide
from domain.orders import OrderStatus
from domain.position.effects import AskPosition, Find
from domain.position.inputs import Recovered, View
from domain.position.plan import MoveStyle, VenueRules
from domain.position.recovery import READING_S
from domain.position.state import OrderState
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))
BYBIT = VenueRules(attached_stop=True, move=MoveStyle.ATTACHED)
STOP = 58_800


def resting(side: PositionSide = PositionSide.LONG) -> Conversation:
    """A position on Bybit whose stop stands on it, all questions answered."""
    talk = Conversation(side, venue=BYBIT)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry)
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    talk.mark(ENTRY)
    view(talk)
    assert talk.position.stops[-1].state is OrderState.LIVE
    return talk


def view(talk: Conversation, trigger: int = STOP) -> None:
    row = replace(talk.row(SIZE), attached_stop=talk.at(trigger) if trigger else D(0))
    talk.now += timedelta(seconds=0.2)
    talk.hear(View(report=row, orders=(), asked_at=talk.now - timedelta(seconds=0.05)))


def questions(talk: Conversation, seconds: float) -> list[object]:
    asked = [e for e in talk.last.effects if isinstance(e, Find | AskPosition)]
    return [*asked, *(e for e in talk.wait(seconds) if isinstance(e, Find | AskPosition))]


@BOTH
def test_a_reading_that_shows_the_stop_answers_for_it(side: PositionSide) -> None:
    talk = resting(side)
    talk.restart()
    assert questions(talk, 1.0) == []
    view(talk)
    assert questions(talk, 2 * READING_S) == []
    assert talk.position.stops[-1].ask_at is None
    assert not talk.position.verify_wanted


def test_without_a_reading_it_is_asked_about() -> None:
    talk = resting()
    talk.restart()
    assert [type(each) for each in questions(talk, READING_S + 0.5)].count(Find) == 1


@pytest.mark.parametrize("trigger", [STOP - 100, 0], ids=["another price", "none"])
def test_a_reading_that_shows_something_else_answers_nothing(trigger: int) -> None:
    talk = resting()
    talk.restart()
    view(talk, trigger)
    stop = talk.position.stops[-1]
    assert stop.ask_at is not None or stop.state is OrderState.SENDING, "asked about, or set again"


def test_a_reading_from_before_the_start_answers_nothing() -> None:
    talk = resting()
    talk.restart()
    row = replace(talk.row(SIZE), attached_stop=talk.at(STOP))
    before = talk.now - timedelta(seconds=1)
    talk.hear(View(report=row, orders=(), asked_at=before))
    assert talk.position.stops[-1].ask_at is not None


def test_a_move_that_was_under_way_is_asked_about_at_once() -> None:
    """Unknown stays unknown (S12): a reading may be older than what is still on the wire."""
    talk = resting()
    talk.mark(talk.at(61_000))
    talk.placed(OrderKind.STOP)
    talk.restart()
    assert any(isinstance(each, Find) for each in talk.last.effects)
    view(talk)
    unknown = [s for s in talk.position.stops if s.state is OrderState.UNKNOWN]
    assert unknown
    assert all(s.ask_at is not None for s in unknown)


def test_one_owner_that_fell_by_itself_asks_at_once() -> None:
    talk = resting()
    talk.hear(Recovered(epoch=Epoch(talk.position.epoch.term, 2)))
    assert any(isinstance(each, Find) for each in talk.last.effects)


def test_a_state_that_may_be_stale_is_asked_about_at_once() -> None:
    talk = resting()
    talk.hear(Recovered(epoch=Epoch(talk.position.epoch.term + 1, 1), stale=True))
    assert any(isinstance(each, Find) for each in talk.last.effects)
