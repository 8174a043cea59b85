"""An answer about the size that news of the same moment has overtaken is asked for again soon; once, then each second.

How one would notice it broken: an owner that died in the middle of a move leaves two stops; its successor learns of the
second one in the instant in which it is told the size, drops the size as older than that, and for more than a second
both stand (LAWS S5 allows two). Or a venue whose every answer is overtaken is asked without end.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from domain.identity import Epoch
from domain.instrument import PositionSide
from domain.orders import OrderIntent, OrderStatus
from domain.position import ledger
from domain.position.effects import AskPosition, Cancel
from domain.position.inputs import PositionHeard, Recovered, View, Wake
from domain.position.ledger import ASK_AGAIN_S, SOON_S
from tests.unit.domain.conversation import SIZE, Conversation, protected
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))


def successor_in_a_move(side: PositionSide) -> tuple[Conversation, OrderIntent, OrderIntent, datetime]:
    """The owner of two stops, one of them of unknown fate, that has just asked for its size; and when it asked."""
    talk, old = protected(side)
    talk.mark(talk.at(61_000))
    new = talk.placed()
    talk.hear(Recovered(epoch=Epoch(talk.position.epoch.term, 2)))
    assert talk.wants(AskPosition)
    return talk, old, new, talk.now + timedelta(milliseconds=1)


def answer(talk: Conversation, asked_at: datetime) -> None:
    talk.hear(PositionHeard(report=talk.row(SIZE), asked_at=asked_at), 0.001)


def next_question(talk: Conversation, limit: float = 20) -> float:
    """Seconds until the size is asked for, now included."""
    began = talk.now
    while not talk.wants(AskPosition):
        assert talk.last.wake_at is not None
        talk.hear(Wake(), max((talk.last.wake_at - talk.now).total_seconds(), 0.001))
        assert (talk.now - began).total_seconds() < limit, "never asked again"
    return (talk.now - began).total_seconds()


@BOTH
def test_a_successor_undoes_the_second_stop_without_waiting_a_second(side: PositionSide) -> None:
    talk, old, new, asked_at = successor_in_a_move(side)
    talk.found(old, OrderStatus.ACK)
    talk.found(new, OrderStatus.ACK)
    answer(talk, asked_at)
    assert talk.position.verify_wanted, "older than the news of the second stop: it is not believed"
    assert talk.wants(Cancel) == []
    assert next_question(talk) <= SOON_S
    answer(talk, talk.now)
    assert [each.client_id for each in talk.wants(Cancel)] == [old.client_id]


@BOTH
def test_where_news_overtake_every_answer_it_is_asked_once_soon_and_then_each_second(side: PositionSide) -> None:
    talk, old, new, asked_at = successor_in_a_move(side)
    talk.found(old, OrderStatus.ACK)
    talk.found(new, OrderStatus.ACK)
    pauses = []
    for _ in range(8):
        answer(talk, asked_at)
        pauses.append(next_question(talk))
        asked_at = talk.now
        talk.position = replace(talk.position, last_activity_at=talk.now)
    assert pauses == pytest.approx([SOON_S] + [ASK_AGAIN_S] * 7, abs=0.002)


def test_after_an_answer_that_was_believed_the_next_overtaken_one_is_asked_again_soon() -> None:
    talk, old, new, asked_at = successor_in_a_move(PositionSide.LONG)
    talk.found(old, OrderStatus.ACK)
    talk.found(new, OrderStatus.ACK)
    answer(talk, asked_at)
    next_question(talk)
    answer(talk, talk.now)
    assert not talk.position.verify_wanted
    talk.hear(Recovered(epoch=Epoch(talk.position.epoch.term, 3)))
    asked_at = talk.now
    talk.position = replace(talk.position, last_activity_at=talk.now)
    answer(talk, asked_at)
    assert next_question(talk) <= SOON_S


def test_one_that_is_older_than_the_streams_word_is_asked_again_soon() -> None:
    talk, _, _, asked_at = successor_in_a_move(PositionSide.LONG)
    talk.size(SIZE, at=asked_at + timedelta(milliseconds=5))
    assert talk.position.verify_wanted, "what the stream says answers no question"
    row = talk.row(SIZE, asked_at)
    talk.hear(PositionHeard(report=row, asked_at=asked_at), 0.001)
    assert talk.position.verify_wanted
    assert next_question(talk) <= SOON_S


def test_a_row_from_before_the_last_execution_is_not_asked_again_soon() -> None:
    """The venue's own cache: it would give the same row again."""
    talk, _ = protected()
    talk.fill("900", talk.side.closing, D("0.004"), D(60_000), client_id="web_1")
    talk.size(SIZE)
    assert next_question(talk) == pytest.approx(ledger.SETTLE_S, abs=0.01)
    cached = replace(talk.row(SIZE), changed_at=talk.now - timedelta(seconds=5))
    talk.hear(PositionHeard(report=cached, asked_at=talk.now), 0.001)
    assert next_question(talk) == pytest.approx(ASK_AGAIN_S, abs=0.002)


def test_a_reading_of_the_account_that_is_overtaken_makes_nobody_ask_soon() -> None:
    """It goes to every owner: at a start they would use up the budget of questions."""
    talk, _ = protected()
    talk.restart()
    asked_at = talk.now - timedelta(seconds=1)
    talk.hear(View(report=talk.row(SIZE), orders=(), asked_at=asked_at), 0.001)
    assert talk.wants(AskPosition) == []
    assert next_question(talk) == pytest.approx(ASK_AGAIN_S, abs=0.002)


def test_such_a_reading_puts_no_question_off() -> None:
    talk, old, new, asked_at = successor_in_a_move(PositionSide.LONG)
    talk.found(old, OrderStatus.ACK)
    talk.found(new, OrderStatus.ACK)
    answer(talk, asked_at)
    talk.hear(View(report=talk.row(SIZE), orders=(), asked_at=asked_at), 0.001)
    assert next_question(talk) <= SOON_S
