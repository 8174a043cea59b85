"""A stop that is gone after a cancel of ours whose fate nobody knew is not called lost.

How one would notice it broken: a warning that a stop is gone 'though nobody of us cancelled it', for one that we did.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.catalogue import EventType
from domain.identity import Epoch
from domain.orders import Answer, CancelOutcome, CancelResult, Found, NotFound, OrderIntent, OrderStatus
from domain.position.effects import Cancel, Find
from domain.position.inputs import AnswerHeard, CancelHeard, OrderHeard, Recovered
from domain.position.state import OrderState, StopOrder
from tests.unit.domain.conversation import SIZE, Conversation, protected
from tests.unit.domain.samples import D

GONE = (EventType.STOP_LOSS_CANCELLED, EventType.STOP_LOSS_LOST)


def moving() -> tuple[Conversation, OrderIntent, OrderIntent]:
    """The better stop rests, and the old one is being cancelled."""
    talk, old = protected()
    talk.mark(D(61_000))
    new = talk.placed()
    talk.accept(new)
    assert state_of(talk, old).state is OrderState.CANCELLING
    return talk, old, new


def state_of(talk: Conversation, intent: OrderIntent) -> StopOrder:
    return next(stop for stop in talk.position.stops if stop.client_id == intent.client_id)


def succeeded(talk: Conversation) -> None:
    epoch = talk.position.epoch
    talk.hear(Recovered(epoch=Epoch(epoch.term, epoch.incarnation + 1)))


def answered(talk: Conversation, intent: OrderIntent, status: OrderStatus) -> list[EventType]:
    """What is said of the answer to a question asked just now."""
    answer = Found(ref=talk.ref(intent), report=talk.order(intent, status), asked_at=talk.now)
    return said(talk, answer)


def said(talk: Conversation, answer: Answer) -> list[EventType]:
    talk.hear(AnswerHeard(answer=answer))
    return [happening.type for happening in talk.last.happenings if happening.type in GONE]


@pytest.mark.parametrize("status", [OrderStatus.CANCELED, OrderStatus.EXPIRED])
def test_a_successor_knows_that_its_predecessor_had_cancelled_it(status: OrderStatus) -> None:
    talk, old, _ = moving()
    succeeded(talk)
    assert answered(talk, old, status) == [EventType.STOP_LOSS_CANCELLED]


def test_a_successor_knows_it_of_one_that_the_venue_has_forgotten() -> None:
    talk, old, _ = moving()
    succeeded(talk)
    talk.now += timedelta(seconds=10)
    assert said(talk, NotFound(ref=talk.ref(old), asked_at=talk.now)) == [EventType.STOP_LOSS_CANCELLED]


def test_the_successor_of_a_successor_knows_it_too() -> None:
    talk, old, _ = moving()
    succeeded(talk)
    succeeded(talk)
    assert answered(talk, old, OrderStatus.CANCELED) == [EventType.STOP_LOSS_CANCELLED]


def test_a_cancel_without_an_answer_is_known_by_who_sent_it() -> None:
    talk, old, _ = moving()
    lost = CancelOutcome(
        ref=talk.ref(old), result=CancelResult.UNKNOWN, code="", text="timed out", answered_at=talk.now
    )
    talk.hear(CancelHeard(outcome=lost))
    assert state_of(talk, old).state is OrderState.LIVE
    assert answered(talk, old, OrderStatus.CANCELED) == [EventType.STOP_LOSS_CANCELLED]


def test_a_refused_cancel_is_no_doubtful_one() -> None:
    talk, old, _ = moving()
    no = CancelOutcome(ref=talk.ref(old), result=CancelResult.REFUSED, code="-1", text="no", answered_at=talk.now)
    talk.hear(CancelHeard(outcome=no))
    assert answered(talk, old, OrderStatus.CANCELED) == [EventType.STOP_LOSS_LOST]


def relying_on_the_old() -> tuple[Conversation, OrderIntent]:
    """The better one is gone, so that the one whose cancel is in doubt is all there is."""
    talk, old, new = moving()
    succeeded(talk)
    assert answered(talk, new, OrderStatus.CANCELED) == [EventType.STOP_LOSS_LOST]
    return talk, old


def test_what_rests_within_the_receive_window_is_asked_about_just_after_it() -> None:
    talk, old = relying_on_the_old()
    until = state_of(talk, old).cancel_until
    assert until is not None
    assert answered(talk, old, OrderStatus.NEW) == []
    assert state_of(talk, old).cancel_until == until
    asked = [want for want in talk.wait((until - talk.now).total_seconds() + 0.05) if isinstance(want, Find)]
    assert [want.ref.client_id for want in asked] == [old.client_id]
    assert talk.now > until


def test_what_rests_after_the_receive_window_was_not_cancelled_by_us() -> None:
    """What becomes of it then is another's doing, and is told of as such."""
    talk, old = relying_on_the_old()
    talk.now += timedelta(seconds=4)
    assert answered(talk, old, OrderStatus.NEW) == []
    assert state_of(talk, old).cancel_until is None
    talk.hear(OrderHeard(report=talk.order(old, OrderStatus.CANCELED)))
    assert EventType.STOP_LOSS_LOST in [happening.type for happening in talk.last.happenings]


def test_a_clock_that_was_ahead_leaves_no_doubt_for_hours() -> None:
    talk, old, _ = moving()
    succeeded(talk)
    late = replace(state_of(talk, old), cancel_until=talk.now + timedelta(hours=3))
    others = tuple(stop for stop in talk.position.stops if stop.client_id != old.client_id)
    talk.position = talk.position.changed(stops=(late, *others))
    succeeded(talk)
    until = state_of(talk, old).cancel_until
    assert until is not None
    assert until <= talk.now + timedelta(seconds=3)


def test_it_is_cancelled_again_where_it_rests_beside_the_better_one() -> None:
    talk, old, new = moving()
    succeeded(talk)
    talk.now += timedelta(seconds=1)
    talk.size(SIZE, asked=True)
    answered(talk, new, OrderStatus.NEW)
    wanted = [*talk.wants(Cancel), *(want for want in talk.wait(5) if isinstance(want, Cancel))]
    assert [want.client_id for want in wanted] == [old.client_id]
    assert state_of(talk, old).cancel_until is None
