"""A stop that was taken away may have gone with its position: the owner asks for its own size, and waits with nothing.

How one would notice it broken: a human closes the position, his execution is lost on the stream, and the venue takes
the stop away; the one that follows rests beside nothing until the next reading of the account, which may have to wait
for its budget. Or: stops do not follow the price while the question waits; or one answer alone ends a life (LAWS S11).
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.catalogue import EventType
from domain.identity import Epoch, OrderKind
from domain.instrument import PositionSide
from domain.orders import OrderIntent, OrderStatus
from domain.position import ledger
from domain.position.effects import AskFills, AskPosition
from domain.position.inputs import PositionHeard, QuestionFailed, Recovered
from domain.position.ledger import ANSWER_LIMIT_S, SETTLE_S, SOON_S
from domain.position.state import Phase
from tests.unit.domain.conversation import SIZE, Conversation, protected
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))


def taken_away(side: PositionSide = PositionSide.LONG) -> tuple[Conversation, OrderIntent]:
    """An owner whose stop the venue has just ended, and the next one, which rests already."""
    talk, stop = protected(side)
    talk.see(stop, OrderStatus.EXPIRED)
    another = talk.placed(OrderKind.STOP)
    talk.accept(another)
    return talk, another


def answer(talk: Conversation, quantity: object = SIZE) -> None:
    talk.now += timedelta(milliseconds=10)
    talk.size(D(str(quantity)), asked=True)


def questions(talk: Conversation, seconds: float) -> int:
    return sum(isinstance(each, AskPosition) for each in talk.wait(seconds))


@BOTH
def test_a_close_that_nobody_told_is_found_by_its_owners_own_question(side: PositionSide) -> None:
    talk, _ = taken_away(side)
    assert questions(talk, SETTLE_S) == 1
    answer(talk, 0)
    assert talk.wants(AskFills), "what explains it"
    assert talk.position.phase is Phase.ACTIVE, "one answer is no proof (S11)"
    unheard = talk.now - timedelta(seconds=0.3)
    talk.fill("900", talk.side.closing, SIZE, D(60_000), client_id="web_1", at=unheard)
    assert ledger.flat(talk.position)


@BOTH
def test_without_an_execution_it_takes_three_answers_a_second_apart(side: PositionSide) -> None:
    talk, _ = taken_away(side)
    assert questions(talk, SETTLE_S) == 1
    began = talk.now
    for _ in range(2):
        answer(talk, 0)
        assert not ledger.flat(talk.position)
        assert EventType.POSITION_CHANGED_OUTSIDE not in talk.said()
        assert questions(talk, 1.05) == 1
    answer(talk, 0)
    assert EventType.POSITION_CHANGED_OUTSIDE in talk.said()
    assert (talk.now - began).total_seconds() >= 2


def test_where_the_stream_tells_of_the_end_in_the_same_moment_nobody_asks() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.EXPIRED)
    talk.fill("900", talk.side.closing, SIZE, D(60_000), client_id="web_1")
    talk.size(D(0))
    assert questions(talk, 3 * ANSWER_LIMIT_S) == 0


def test_a_reading_that_comes_first_answers_for_it() -> None:
    talk, another = taken_away()
    talk.now += timedelta(milliseconds=10)
    talk.view(SIZE, talk.order(another, OrderStatus.ACK))
    assert questions(talk, 3 * ANSWER_LIMIT_S) == 0


def test_what_the_stream_says_of_the_size_answers_nothing() -> None:
    """It may have been on its way before the stop went."""
    talk, _ = taken_away()
    talk.size(SIZE)
    assert questions(talk, SETTLE_S) == 1


def test_an_answer_that_shows_it_whole_is_enough() -> None:
    talk, _ = taken_away()
    assert questions(talk, SETTLE_S) == 1
    answer(talk)
    assert questions(talk, 3 * ANSWER_LIMIT_S) == 0


def test_no_answer_is_asked_for_again_now_and_then() -> None:
    talk, _ = taken_away()
    assert questions(talk, SETTLE_S) == 1
    talk.hear(QuestionFailed(what="position", text="502"))
    assert questions(talk, 5 * ANSWER_LIMIT_S) in (4, 5)


def test_an_answer_that_was_overtaken_is_asked_for_again_soon() -> None:
    talk, _ = taken_away()
    assert questions(talk, SETTLE_S) == 1
    asked_at = talk.now
    talk.mark(D(61_000))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.hear(PositionHeard(report=talk.row(SIZE), asked_at=asked_at), 0.001)
    assert questions(talk, SOON_S) == 1


@BOTH
def test_a_stop_moves_while_the_question_waits(side: PositionSide) -> None:
    talk, _ = taken_away(side)
    assert questions(talk, SETTLE_S) == 1
    talk.mark(talk.at(61_000))
    assert talk.placed(OrderKind.STOP).trigger_price is not None


def test_a_stop_that_we_cancelled_ourselves_raises_no_doubt() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.cancelled(talk.last.effects[0])  # type: ignore[arg-type]
    assert talk.position.doubt_at is None


def test_a_successor_asks_anyhow() -> None:
    talk, _ = taken_away()
    talk.hear(Recovered(epoch=Epoch(talk.position.epoch.term, 2)))
    assert talk.wants(AskPosition)
    answer(talk)
    assert questions(talk, 3 * ANSWER_LIMIT_S) == 0
