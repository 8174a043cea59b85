"""A reading shows a size where all of ours is closed: whose it is, by the venue's list of executions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.position import ledger
from domain.position.effects import AskFills, Cancel, Place
from domain.position.inputs import FillsListed
from domain.position.state import Phase
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing, protected
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))
HALF = SIZE / 2


def exited(side: PositionSide) -> Conversation:
    """Our exit has filled, no row of the position was heard since, and two seconds later a reading shows a half."""
    talk, _ = protected(side)
    talk.now += timedelta(seconds=5)
    talk.hear(closing())
    talk.accept(talk.placed(OrderKind.EXIT), filled=SIZE)
    talk.now += timedelta(seconds=2)
    talk.size(HALF, asked=True)
    assert talk.wants(Place) == []
    assert talk.wants(AskFills)
    return talk


def listed(talk: Conversation, human_s: float, *, without_exit: bool = False) -> None:
    """The whole list: ours, and what a human has bought so many seconds after our exit."""
    p = talk.position
    entry, out = p.fills
    assert p.last_fill_at is not None
    at = p.last_fill_at + timedelta(seconds=human_s)
    ours = (
        talk.execution(entry.exchange_id, entry.side, SIZE, ENTRY, client_id=entry.client_id, at=p.opened_at),
        talk.execution(out.exchange_id, out.side, SIZE, ENTRY, client_id=out.client_id, at=p.last_fill_at),
    )
    his = talk.execution("900", entry.side, HALF, ENTRY, client_id="web_1", at=at)
    talk.hear(FillsListed(fills=(*ours[: 1 if without_exit else 2], his)))


@BOTH
def test_what_a_human_opened_after_our_exit_is_not_closed(side: PositionSide) -> None:
    """It was taken for a rest of ours, for streams and readings had been silent in between, and closed (S9)."""
    talk = exited(side)
    listed(talk, human_s=1)
    assert ledger.exposure(talk.position) == 0
    assert talk.wants(Place) == []
    talk.cancelled(talk.wants(Cancel)[0])
    assert talk.position.phase is Phase.CLOSED
    assert ledger.opened_quantity(talk.position) == SIZE


@BOTH
def test_what_a_human_had_added_before_our_exit_is_closed_too(side: PositionSide) -> None:
    talk = exited(side)
    listed(talk, human_s=-1)
    assert talk.placed(OrderKind.EXIT).quantity == HALF


def test_a_list_without_our_exit_does_not_say_when_it_was_over() -> None:
    talk = exited(PositionSide.LONG)
    listed(talk, human_s=1, without_exit=True)
    assert talk.placed(OrderKind.EXIT).quantity == HALF


def test_what_no_list_explains_is_closed_when_a_second_reading_shows_it() -> None:
    talk = exited(PositionSide.LONG)
    talk.wait(1.5)
    talk.size(HALF, asked=True)
    assert talk.placed(OrderKind.EXIT).quantity == D("0.005")
