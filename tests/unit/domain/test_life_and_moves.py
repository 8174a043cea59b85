"""Conversations of a position with the venue: entry, first stop, moves, exits; news late, twice or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.catalogue import EventType, Severity
from domain.identity import Epoch, OrderKind, mint_client_id
from domain.instrument import PositionSide
from domain.orders import CancelResult, OrderIntent, OrderStatus, RejectReason
from domain.position import ledger, trailing
from domain.position.effects import AskFills, AskPosition, Cancel, Find, Place
from domain.position.inputs import (
    StopWanted,
    Wake,
)
from domain.position.state import CloseReason, OrderState, Phase
from tests.unit.domain.conversation import (
    ENTRY,
    SIZE,
    Conversation,
    closing,
    end_by_stop,
    protected,
    resting,
    stop_like,
)
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))


@BOTH
def test_a_normal_life(side: PositionSide) -> None:
    talk, stop = protected(side)
    assert stop.trigger_price == talk.at(58_800)
    assert stop.reduce_only
    assert stop.quantity == SIZE
    assert talk.mark(talk.at(60_500)).effects == ()
    talk.mark(talk.at(61_000))
    moved = talk.placed(OrderKind.STOP)
    assert moved.trigger_price == trailing.offset(side, talk.at(61_000), D("-0.5"))
    assert talk.wants(Cancel) == []
    talk.accept(moved)
    (cancel,) = talk.wants(Cancel)
    assert cancel.client_id == stop.client_id
    talk.cancelled(cancel)
    assert [s.client_id for s in resting(talk.position)] == [moved.client_id]
    end_by_stop(talk, moved, talk.at(60_690))
    assert talk.wants(AskFills)
    talk.listed()
    assert talk.position.phase is Phase.CLOSED
    assert talk.position.close_reason is CloseReason.TRAILING_STOP
    assert talk.position.trail.updates == 1


@BOTH
def test_the_stop_grows_with_partial_fills_and_is_never_smaller_than_before(side: PositionSide) -> None:
    talk = Conversation(side)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry, filled=D("0.004"))
    first = talk.placed(OrderKind.STOP)
    assert first.quantity == D("0.004")
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    assert talk.wants(Place) == []  # one stop under way at a time
    talk.accept(first)
    grown = talk.placed(OrderKind.STOP)
    assert grown.quantity == SIZE
    talk.accept(grown)
    assert [c.client_id for c in talk.wants(Cancel)] == [first.client_id]


@BOTH
def test_no_move_while_the_entry_still_fills(side: PositionSide) -> None:
    """Seen on a tape: a move of the old size and the next fill crossed, and either cancel uncovered a half (S1, S4)."""
    talk = Conversation(side)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry, filled=D("0.004"))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.mark(talk.at(61_000))
    assert talk.wants(Place) == []
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    grown = talk.placed(OrderKind.STOP)
    assert grown.quantity == SIZE
    assert grown.trigger_price == trailing.offset(side, talk.at(61_000), D("-0.5"))


def test_a_fill_heard_before_the_entrys_own_acknowledgement_counts_once() -> None:
    talk = Conversation()
    entry = talk.placed(OrderKind.ENTRY)
    talk.fill(talk.id_of(entry), entry.side, SIZE, ENTRY, client_id=entry.client_id)
    stop = talk.placed(OrderKind.STOP)
    assert stop.quantity == SIZE
    talk.accept(entry, filled=SIZE)
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    assert ledger.book(talk.position) == SIZE
    assert talk.wants(Place) == []


def test_a_refused_entry_ends_as_failed_and_sends_nothing_more() -> None:
    talk = Conversation()
    talk.refuse(talk.placed(), RejectReason.NO_FUNDS)
    assert talk.position.phase is Phase.FAILED
    assert talk.position.close_reason is CloseReason.ENTRY_REFUSED
    assert talk.last.effects == ()


@BOTH
def test_the_stop_triggers_while_it_is_being_moved(side: PositionSide) -> None:
    talk, stop = protected(side)
    talk.mark(talk.at(61_000))
    moved = talk.placed()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.accept(moved)
    talk.fill("77", stop.side, SIZE, talk.at(58_800))
    talk.size(D(0))
    assert [c.client_id for c in talk.wants(Cancel)] == [moved.client_id]  # T20: left live on a flat account
    talk.cancelled(talk.wants(Cancel)[0])
    talk.listed()
    assert talk.position.phase is Phase.CLOSED


def test_three_refusals_roll_the_entry_back() -> None:
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    talk.mark(ENTRY)
    stop = [s for s in talk.position.stops if s.state is OrderState.SENDING]
    assert len(stop) == 1
    for n in range(3):
        sending = next(s for s in talk.position.stops if s.state is OrderState.SENDING)
        talk.refuse(stop_like(talk, sending.client_id))
        if n < 2:
            (again,) = (e for e in talk.wait(0.5) if isinstance(e, Place))
            assert again.intent.kind is OrderKind.STOP
    assert EventType.ROLLBACK_STARTED in talk.said()
    exit_order = talk.placed(OrderKind.EXIT)
    assert exit_order.quantity == SIZE
    talk.accept(exit_order, filled=SIZE)
    talk.size(D(0))
    talk.listed()
    assert talk.position.phase is Phase.ROLLED_BACK
    assert talk.last.happenings[-1].grave is Severity.CRITICAL


def test_a_first_stop_that_would_trigger_closes_at_once() -> None:
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    talk.refuse(talk.placed(OrderKind.STOP), RejectReason.WOULD_TRIGGER)
    assert talk.placed(OrderKind.EXIT).quantity == SIZE
    assert talk.position.close_wanted is CloseReason.STOP_PASSED


@BOTH
def test_a_gap_beyond_the_place_of_the_first_stop_closes_without_trying(side: PositionSide) -> None:
    talk = Conversation(side)
    entry = talk.placed()
    talk.mark(talk.at(58_000))
    talk.accept(entry, filled=SIZE)
    assert talk.placed(OrderKind.EXIT).quantity == SIZE
    assert EventType.ROLLBACK_STARTED in talk.said()


def test_a_move_that_would_trigger_closes_and_keeps_the_old_stop() -> None:
    talk, stop = protected()
    talk.mark(D(61_000))
    talk.refuse(talk.placed(), RejectReason.WOULD_TRIGGER)
    assert talk.placed(OrderKind.EXIT).quantity == SIZE
    assert [s.client_id for s in resting(talk.position)] == [stop.client_id]


def test_a_refused_move_is_tried_again_and_the_old_stop_stays() -> None:
    talk, stop = protected()
    talk.mark(D(61_000))
    talk.refuse(talk.placed())
    assert talk.last.effects == ()
    assert [s.client_id for s in resting(talk.position)] == [stop.client_id]
    (again,) = (e for e in talk.wait(2.1) if isinstance(e, Place))
    assert again.intent.trigger_price == D(60_695)


class TestUnknownStop:
    """A stop whose fate nobody knows: asked about; joined by one new one; never by a third (DESIGN 3)."""

    def lost(self) -> tuple[Conversation, OrderIntent]:
        talk = Conversation()
        talk.accept(talk.placed(), filled=SIZE)
        stop = talk.placed()
        talk.size(SIZE)
        talk.lose(stop)
        assert [f.ref.client_id for f in talk.wants(Find)] == [stop.client_id]
        return talk, stop

    def test_found(self) -> None:
        talk, stop = self.lost()
        talk.found(stop, OrderStatus.ACK)
        assert talk.position.phase is Phase.ACTIVE
        assert [s.client_id for s in resting(talk.position)] == [stop.client_id]

    def test_joined_by_one_and_no_third(self) -> None:
        talk, stop = self.lost()
        new = next(s for s in talk.position.stops if s.state is OrderState.SENDING)
        talk.lose(stop_like(talk, new.client_id))
        assert talk.wants(Place) == []
        assert [e for e in talk.wait(2.5) if isinstance(e, Place)] == []
        talk.found(stop, OrderStatus.ACK)
        assert talk.wants(Place) == []

    def test_not_found_within_the_receive_window_proves_nothing(self) -> None:
        talk, stop = self.lost()
        talk.absent(stop)
        assert next(s for s in talk.position.stops if s.client_id == stop.client_id).state is OrderState.UNKNOWN

    def test_not_found_after_the_window_is_proof(self) -> None:
        talk, stop = self.lost()
        new = next(s for s in talk.position.stops if s.state is OrderState.SENDING)
        talk.accept(stop_like(talk, new.client_id))
        talk.now += timedelta(seconds=4)
        talk.absent(stop)
        assert [s.client_id for s in talk.position.stops if not s.state.over] == [new.client_id]

    def test_both_rest_and_one_goes(self) -> None:
        talk, stop = self.lost()
        new = next(s for s in talk.position.stops if s.state is OrderState.SENDING)
        talk.accept(stop_like(talk, new.client_id))
        talk.found(stop, OrderStatus.ACK)
        assert len(talk.wants(Cancel)) == 1
        assert len([s for s in talk.position.stops if s.state is OrderState.LIVE]) == 1


def test_an_unknown_entry_is_asked_about_and_never_sent_again() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.lose(entry)
    wanted = talk.wait(2.5)
    assert not [e for e in wanted if isinstance(e, Place)]
    talk.absent(entry, asked_after=2)
    assert not talk.position.phase.final
    talk.now += timedelta(seconds=4)
    talk.absent(entry)
    assert talk.wants(AskPosition)  # even then the position itself is looked at
    talk.size(D(0), asked=True)
    assert talk.position.phase is Phase.FAILED
    assert talk.position.close_reason is CloseReason.ENTRY_ABSENT


def test_an_unknown_entry_that_was_filled_is_protected() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.lose(entry)
    talk.found(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    assert talk.placed(OrderKind.STOP).quantity == SIZE


def test_an_unknown_exit_is_asked_about_before_another_is_sent() -> None:
    talk, _ = protected()
    talk.hear(closing())
    exit_order = talk.placed(OrderKind.EXIT)
    talk.lose(exit_order)
    assert talk.wants(Find)
    assert [e for e in talk.wait(2.5) if isinstance(e, Place)] == []
    talk.now += timedelta(seconds=4)
    talk.absent(exit_order)
    again = [e.intent for e in (*talk.wants(Place), *(w for w in talk.wait(1) if isinstance(w, Place)))]
    assert [i.kind for i in again] == [OrderKind.EXIT]


def test_a_cancel_that_finds_nothing_is_asked_about_and_may_have_triggered() -> None:
    talk, stop = protected()
    talk.mark(D(61_000))
    talk.accept(talk.placed())
    (cancel,) = talk.wants(Cancel)
    talk.cancelled(cancel, CancelResult.GONE)
    assert [f.ref.client_id for f in talk.wants(Find)] == [stop.client_id]
    talk.found(stop, OrderStatus.TRIGGERED, child="77")
    assert talk.position.phase is Phase.CLOSING
    talk.fill("77", stop.side, SIZE, D(58_800))
    talk.size(D(0))
    assert len(talk.wants(Cancel)) == 1


def test_an_answer_from_before_our_cancel_does_not_bring_the_stop_back() -> None:
    talk, stop = protected()
    talk.hear(StopWanted(price=D(58_000)))
    loose = talk.placed()
    talk.accept(loose)
    assert [c.client_id for c in talk.wants(Cancel)] == [stop.client_id]
    talk.found(stop, OrderStatus.ACK)  # asked before the cancel left
    talk.mark(D(61_000))  # trailing wants more than the operator now, which the old stop is nearer to
    assert talk.wants(Cancel) == []
    assert [s.state for s in talk.position.stops if s.client_id == loose.client_id] == [OrderState.LIVE]


def test_a_refused_cancel_is_tried_again_with_growing_pauses() -> None:
    talk, stop = protected()
    talk.mark(D(61_000))
    talk.accept(talk.placed())
    pauses = []
    for _ in range(4):
        cancel = talk.wants(Cancel)[0]
        assert cancel.client_id == stop.client_id
        talk.cancelled(cancel, CancelResult.REFUSED)
        talk.found(stop, OrderStatus.ACK)
        began = talk.now
        while not talk.wants(Cancel):
            assert talk.last.wake_at is not None
            talk.hear(Wake(), max((talk.last.wake_at - talk.now).total_seconds(), 0.001))
        pauses.append((talk.now - began).total_seconds())
    assert pauses == sorted(pauses)
    assert pauses[-1] > 2 * pauses[0]


def test_late_news_of_a_stop_long_over_do_not_bring_it_back() -> None:
    talk, stop = protected()
    for price in (61_000, 62_000, 63_000):
        talk.mark(D(price))
        talk.accept(talk.placed())
        talk.cancelled(talk.wants(Cancel)[0])
    kept = resting(talk.position)
    talk.see(stop, OrderStatus.NEW)
    assert talk.wants(Cancel) == []
    assert resting(talk.position) == kept


def test_a_stop_of_an_earlier_life_is_asked_about_before_it_is_relied_on() -> None:
    talk, stop = protected()
    earlier = replace(stop, client_id=mint_client_id("ab12", talk.position.id, Epoch(0, 1), 9, OrderKind.STOP))
    better = replace(earlier, trigger_price=D(59_500))
    talk.see(better, OrderStatus.ACK)
    assert [f.ref.client_id for f in talk.wants(Find)] == [better.client_id]
    assert talk.wants(Cancel) == []
    talk.found(better, OrderStatus.ACK)
    assert [c.client_id for c in talk.wants(Cancel)] == [stop.client_id]
