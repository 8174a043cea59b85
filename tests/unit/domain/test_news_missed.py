"""A private stream that was away: the owner asks for its size by itself, where no reading of the account comes first.

How one would notice it broken: a human closed the position while the stream was away, and the book says so only when
the reading has had its turn; or every owner asks each time a stream comes back, though the reading is there; or stops
do not follow the price meanwhile. Or: the venue takes our stop away, with the position of which nothing was heard, and
the stop that follows rests beside nothing.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.catalogue import EventType
from domain.identity import Epoch, OrderKind
from domain.instrument import PositionSide
from domain.orders import OrderStatus
from domain.position import ledger
from domain.position.effects import AskFills, AskPosition
from domain.position.inputs import NewsMissed, PositionHeard, QuestionFailed, Recovered
from domain.position.ledger import ANSWER_LIMIT_S, READING_S, SOON_S
from domain.position.state import Phase
from tests.unit.domain.conversation import SIZE, Conversation, protected
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))


def answer(talk: Conversation, quantity: object = SIZE) -> None:
    talk.now += timedelta(milliseconds=10)
    talk.size(D(str(quantity)), asked=True)


def questions(talk: Conversation, seconds: float) -> int:
    return sum(isinstance(each, AskPosition) for each in talk.wait(seconds))


@BOTH
def test_a_close_that_nobody_told_is_found_by_its_owners_own_question(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.hear(NewsMissed())
    assert questions(talk, READING_S - 0.1) == 0
    assert questions(talk, 0.2) == 1
    answer(talk, 0)
    assert talk.wants(AskFills), "what explains it"
    assert talk.position.phase is Phase.ACTIVE, "one answer is no proof (S11)"
    while_away = talk.now - timedelta(seconds=1)
    talk.fill("900", talk.side.closing, SIZE, D(60_000), client_id="web_1", at=while_away)
    assert ledger.flat(talk.position)


@BOTH
def test_without_an_execution_it_takes_three_answers_a_second_apart(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.hear(NewsMissed())
    assert questions(talk, READING_S + 0.1) == 1
    began = talk.now
    for _ in range(2):
        answer(talk, 0)
        assert not ledger.flat(talk.position)
        assert EventType.POSITION_CHANGED_OUTSIDE not in talk.said()
        assert questions(talk, 1.05) == 1
    answer(talk, 0)
    assert EventType.POSITION_CHANGED_OUTSIDE in talk.said()
    assert (talk.now - began).total_seconds() >= 2


def test_a_reading_that_comes_first_answers_for_it() -> None:
    talk, _ = protected()
    talk.hear(NewsMissed())
    talk.now += timedelta(seconds=0.3)
    talk.view(SIZE)
    assert questions(talk, 3 * ANSWER_LIMIT_S) == 0


def test_what_the_stream_says_later_answers_nothing() -> None:
    talk, _ = protected()
    talk.hear(NewsMissed())
    talk.size(SIZE)
    assert questions(talk, READING_S + 0.1) == 1


def test_several_gaps_in_a_row_are_one_doubt() -> None:
    talk, _ = protected()
    for _ in range(5):
        talk.hear(NewsMissed(), 0.2)
    assert questions(talk, READING_S) == 1
    answer(talk)
    assert questions(talk, 3 * ANSWER_LIMIT_S) == 0


def test_no_answer_is_asked_for_again_now_and_then() -> None:
    talk, _ = protected()
    talk.hear(NewsMissed())
    assert questions(talk, READING_S) == 1
    talk.hear(QuestionFailed(what="position", text="502"))
    assert questions(talk, 5 * ANSWER_LIMIT_S) in (4, 5)


def test_an_answer_that_was_overtaken_is_asked_for_again_soon() -> None:
    talk, _ = protected()
    talk.hear(NewsMissed())
    assert questions(talk, READING_S) == 1
    asked_at = talk.now
    talk.mark(D(61_000))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.hear(PositionHeard(report=talk.row(SIZE), asked_at=asked_at), 0.001)
    assert questions(talk, SOON_S) == 1


@BOTH
def test_a_stop_moves_all_the_same(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.hear(NewsMissed())
    talk.wait(READING_S)
    talk.mark(talk.at(61_000))
    assert talk.placed(OrderKind.STOP).trigger_price is not None


@BOTH
def test_an_owner_whose_stop_was_taken_away_asks_whether_anything_is_left(side: PositionSide) -> None:
    talk, stop = protected(side)
    talk.see(stop, OrderStatus.EXPIRED)
    talk.accept(talk.placed(OrderKind.STOP))
    assert questions(talk, ledger.SETTLE_S) == 1
    answer(talk, 0)
    assert talk.wants(AskFills)
    assert not ledger.flat(talk.position), "one answer is no proof (S11)"


def test_where_the_stream_tells_of_the_end_in_the_same_moment_nobody_asks() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.EXPIRED)
    talk.fill("900", talk.side.closing, SIZE, D(60_000), client_id="web_1")
    talk.size(D(0))
    assert questions(talk, 3 * ANSWER_LIMIT_S) == 0


def test_a_successor_asks_anyhow() -> None:
    talk, _ = protected()
    talk.hear(NewsMissed())
    talk.hear(Recovered(epoch=Epoch(talk.position.epoch.term, 2)))
    assert talk.wants(AskPosition)
    answer(talk)
    assert questions(talk, 3 * ANSWER_LIMIT_S) == 0
