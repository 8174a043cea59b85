"""Conversations about what others do, what readings show, and what is left when stops or exits cannot be had."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from domain.catalogue import EventType, Severity
from domain.identity import ClientOrderId, OrderKind
from domain.instrument import PositionSide
from domain.orders import OrderIntent, OrderReport, OrderStatus
from domain.position import ledger
from domain.position.effects import AskPosition, Cancel, Find, Place
from domain.position.inputs import FillHeard, FillsListed, OrderHeard
from domain.position.state import CloseReason, OrderState, Phase, Purpose
from tests.unit.domain.conversation import (
    ENTRY,
    SIZE,
    Conversation,
    closing,
    exit_like,
    protected,
    resting,
    stop_like,
)
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))


@BOTH
def test_a_stop_cancelled_by_hand_is_replaced_at_its_place(side: PositionSide) -> None:
    talk, stop = protected(side)
    talk.see(stop, OrderStatus.CANCELED)
    again = talk.placed(OrderKind.STOP)
    assert again.trigger_price == stop.trigger_price
    talk.accept(again)
    assert EventType.STOP_LOSS_RECOVERED in talk.said()
    assert talk.position.recoveries == 1


@BOTH
def test_a_lost_stop_whose_place_was_passed_comes_back_as_near_as_is_valid_but_never_looser(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.mark(talk.at(61_000))
    moved = talk.placed()
    talk.accept(moved)
    talk.cancelled(talk.wants(Cancel)[0])
    # The stop is at 60,695; an extreme seen meanwhile wants it at 60,794, which the mark has passed again.
    trail = replace(talk.position.trail, wanted=talk.at(60_794))
    talk.position = replace(talk.position, trail=trail, mark_price=talk.at(60_750))
    talk.see(moved, OrderStatus.CANCELED)
    guard = next(s for s in talk.position.stops if s.state is OrderState.SENDING)
    assert guard.purpose is Purpose.GUARD
    assert guard.trigger == moved.trigger_price


@BOTH
def test_closed_by_hand(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.fill("900", side.closing, SIZE, ENTRY, client_id="web_1")
    talk.size(D(0))
    talk.cancelled(talk.wants(Cancel)[0])
    talk.listed()
    assert talk.position.phase is Phase.CLOSED
    assert talk.position.close_reason is CloseReason.OUTSIDE


@BOTH
@pytest.mark.parametrize(("change", "size"), [("-0.005", "0.005"), ("0.010", "0.020")])
def test_halved_or_doubled_by_hand(side: PositionSide, change: str, size: str) -> None:
    talk, stop = protected(side)
    by = side.opening if D(change) > 0 else side.closing
    talk.fill("900", by, abs(D(change)), ENTRY, client_id="web_1")
    new = talk.placed(OrderKind.STOP)
    assert new.quantity == D(size)
    assert new.trigger_price == stop.trigger_price
    talk.accept(new)
    assert [c.client_id for c in talk.wants(Cancel)] == [stop.client_id]


def test_changed_by_hand_while_the_stream_was_silent_needs_two_readings() -> None:
    talk, _ = protected()
    talk.now += timedelta(seconds=5)
    talk.size(D("0.005"), asked=True)
    assert EventType.RECONCILE_FINDING in talk.said()
    assert talk.wants(Place) == []
    assert any(isinstance(e, AskPosition) for e in talk.wait(1.5))
    talk.size(D("0.005"), asked=True)
    assert EventType.POSITION_CHANGED_OUTSIDE in talk.said()
    assert talk.placed(OrderKind.STOP).quantity == D("0.005")


def test_a_snapshot_asked_before_our_own_last_order_says_nothing() -> None:
    talk, stop = protected()
    asked_at = talk.now - timedelta(seconds=10)
    talk.view(D(0), asked_at=asked_at)
    assert talk.last.effects == ()
    assert resting(talk.position)[0].client_id == stop.client_id
    assert ledger.exposure(talk.position) == SIZE


def test_a_phantom_needs_three_readings() -> None:
    talk, _ = protected()
    talk.now += timedelta(seconds=5)
    for seen in (1, 2):
        talk.size(D(0), asked=True)
        assert EventType.POSITION_CHANGED_OUTSIDE not in talk.said(), seen
        assert talk.wants(Cancel) == []
        talk.wait(1.2)
    talk.size(D(0), asked=True)
    assert EventType.POSITION_CHANGED_OUTSIDE in talk.said()


def test_a_stop_that_a_reading_does_not_show_is_asked_about_before_it_is_believed_lost() -> None:
    talk, stop = protected()
    talk.now += timedelta(seconds=5)
    talk.view(SIZE)
    assert talk.wants(Place) == []
    assert [f.ref.client_id for f in talk.wants(Find)] == [stop.client_id]
    talk.absent(stop)
    assert talk.placed(OrderKind.STOP).trigger_price == stop.trigger_price


@BOTH
def test_flipped_by_a_human(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.fill("900", side.closing, D("0.015"), ENTRY, client_id="web_1")
    talk.size(D("-0.005"))
    assert talk.wants(Place) == []
    talk.cancelled(talk.wants(Cancel)[0])
    talk.listed()
    assert talk.position.phase is Phase.CLOSED


@BOTH
@pytest.mark.parametrize("told_first", ["execution", "order"])
def test_what_the_order_of_a_human_goes_on_to_open_the_other_way_round_is_not_ours(
    side: PositionSide, told_first: str
) -> None:
    """It was: what the order that had ended the position went on to execute was booked to it, with its fees."""
    talk, stop = protected(side)
    at = talk.now
    later = at + timedelta(milliseconds=40)
    ended = talk.execution("900", side.closing, D("0.012"), ENTRY, client_id="web_1", at=at)
    if told_first == "execution":
        talk.hear(FillHeard(fill=ended))
    else:
        talk.hear(OrderHeard(report=by_hand(talk, stop, "0.012", at)))
    talk.size(D("-0.002"), at=at)
    talk.cancelled(talk.wants(Cancel)[0])
    assert talk.position.over_at == at
    opened = talk.execution("900", side.closing, D("0.008"), ENTRY, client_id="web_1", at=later)
    talk.hear(OrderHeard(report=by_hand(talk, stop, "0.020", later)))
    talk.hear(FillHeard(fill=opened))
    entry = talk.execution(talk.position.fills[0].exchange_id, side.opening, SIZE, ENTRY)
    # The venue dates an execution a little later than its own row of the position at times.
    listed = replace(ended, at=at + timedelta(milliseconds=3)) if told_first == "order" else ended
    talk.hear(FillsListed(fills=(entry, listed, opened)))
    assert talk.position.phase is Phase.CLOSED
    assert talk.position.close_reason is CloseReason.OUTSIDE
    assert {fills.exchange_id: fills.traded for fills in talk.position.fills}["900"] == D("0.012")
    assert ledger.fees(talk.position) == D("0.2")


def by_hand(talk: Conversation, stop: OrderIntent, filled: str, at: datetime) -> OrderReport:
    """A human's order to the side of a stop of ours, so far."""
    report = talk.order(stop, OrderStatus.PART_FILLED, filled=D(filled), price=ENTRY)
    return replace(report, client_id=ClientOrderId("web_1"), exchange_id="900", conditional=False, at=at)


@BOTH
def test_liquidated(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.fill("900", side.closing, SIZE, talk.at(50_000), client_id="autoclose-1", liquidation=True)
    talk.size(D(0))
    talk.cancelled(talk.wants(Cancel)[0])
    talk.listed()
    assert talk.position.phase is Phase.LIQUIDATED
    assert talk.last.happenings[-1].grave is Severity.CRITICAL


@BOTH
def test_a_stop_that_stays_while_the_mark_is_beyond_it_is_asked_about_and_then_closed(side: PositionSide) -> None:
    talk, stop = protected(side)
    talk.mark(talk.at(58_000))
    assert talk.last.effects == ()
    wanted = talk.wait(0.6)
    assert [e.ref.client_id for e in wanted if isinstance(e, Find)] == [stop.client_id]
    assert [e.intent.kind for e in talk.wait(1.2) if isinstance(e, Place)] == [OrderKind.EXIT]
    assert talk.position.close_wanted is CloseReason.STOP_STUCK


def test_a_stop_that_the_mark_came_back_from_is_not_stuck() -> None:
    talk, _ = protected()
    talk.mark(D(58_000))
    talk.position = replace(talk.position, mark_price=D(60_000))  # the owner freshens the mark before each turn
    assert [e for e in talk.wait(5) if isinstance(e, Place)] == []
    assert talk.position.close_wanted is None


def test_a_stop_that_triggered_and_left_something_is_finished_by_us() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, D("0.004"), D(58_800))
    (exit_order,) = (e.intent for e in talk.wait(1.2) if isinstance(e, Place))
    assert exit_order.kind is OrderKind.EXIT
    assert exit_order.quantity == D("0.006")


def test_what_triggered_and_was_rejected_is_no_cover_and_is_replaced() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERING)
    talk.see(stop, OrderStatus.REJECTED)
    assert talk.placed(OrderKind.STOP).quantity == SIZE


def unclosable() -> Conversation:
    """A position whose stop was refused three times and whose exit is refused too."""
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    talk.mark(ENTRY)
    for _ in range(3):
        sending = next(s for s in talk.position.stops if s.state is OrderState.SENDING)
        talk.refuse(stop_like(talk, sending.client_id))
        if not talk.wants(Place):
            talk.wait(0.5)
    for _ in range(2):
        order = next(x for x in talk.position.exits if x.state is OrderState.SENDING)
        refused = OrderIntent(
            client_id=order.client_id,
            position_id=talk.position.id,
            account="main",
            symbol="BTCUSDT",
            kind=OrderKind.EXIT,
            side=talk.side.closing,
            position_side=talk.side,
            quantity=order.quantity,
            reduce_only=True,
        )
        talk.refuse(refused)
        if not any(s.purpose is Purpose.EMERGENCY for s in talk.position.stops):
            talk.wait(1)
    return talk


def test_an_emergency_stop_when_neither_stop_nor_close_can_be_had() -> None:
    talk = unclosable()
    emergency = next(s for s in talk.position.stops if s.purpose is Purpose.EMERGENCY)
    assert emergency.trigger == D(54_000)
    talk.accept(stop_like(talk, emergency.client_id))
    assert EventType.EMERGENCY_STOP in talk.said()


def test_needs_intervention_begins_when_nothing_works_and_ends_when_something_does() -> None:
    talk = unclosable()
    for _ in range(3):
        for s in [s for s in talk.position.stops if s.state is OrderState.SENDING]:
            talk.refuse(stop_like(talk, s.client_id))
        for x in [x for x in talk.position.exits if x.state is OrderState.SENDING]:
            talk.refuse(replace(exit_like(talk), client_id=x.client_id))
        talk.wait(6)
    called = talk.position.needs_intervention
    emergency = next(s for s in talk.position.stops if s.state is OrderState.SENDING)
    talk.accept(stop_like(talk, emergency.client_id))
    assert (called, talk.position.needs_intervention) == (True, False)
    assert EventType.POSITION_INTERVENTION_OVER in talk.said()


def test_a_lost_stop_of_a_closing_position_whose_exit_is_refused_is_put_back_at_its_place() -> None:
    talk, stop = protected()
    talk.hear(closing())
    talk.refuse(talk.placed(OrderKind.EXIT))
    talk.wait(0.6)
    talk.refuse(exit_like(talk))
    talk.see(stop, OrderStatus.CANCELED)
    assert talk.placed(OrderKind.STOP).trigger_price == stop.trigger_price


def test_what_grows_while_its_close_is_refused_is_covered_where_the_emergency_stop_stands() -> None:
    """A human went on buying: for as long as the venue refused the close only the first part of it had a stop (S1)."""
    talk = unclosable()
    emergency = next(s for s in talk.position.stops if s.purpose is Purpose.EMERGENCY)
    talk.accept(stop_like(talk, emergency.client_id))
    for order in [x for x in talk.position.exits if x.state is OrderState.SENDING]:
        talk.refuse(replace(exit_like(talk), client_id=order.client_id))
    talk.fill("77", talk.side.opening, SIZE, ENTRY)
    whole = talk.placed(OrderKind.STOP)
    assert (whole.quantity, whole.trigger_price) == (2 * SIZE, emergency.trigger)
    talk.accept(whole)
    assert [cancel.client_id for cancel in talk.wants(Cancel)] == [emergency.client_id]


@BOTH
@pytest.mark.parametrize("shown", ["0", "-0.005"])
def test_no_stop_is_moved_while_the_venue_shows_nothing_to_protect(side: PositionSide, shown: str) -> None:
    """What a human had turned over got a better stop in the turn that heard of it: on the side that adds (S2)."""
    talk, _ = protected(side)
    talk.size(D(shown))
    talk.mark(talk.at(61_000))
    assert talk.wants(Place) == []
    talk.size(SIZE)
    assert talk.placed(OrderKind.STOP).quantity == SIZE


def test_answers_that_come_in_a_swarm_do_not_multiply_the_questions() -> None:
    talk, _ = protected()
    talk.now += timedelta(seconds=5)
    talk.restart()
    assert [type(effect) for effect in talk.wait(3)].count(AskPosition) == 1
    asked = 0
    for _ in range(20):
        talk.size(D("0.004"), asked=True, at=talk.now - timedelta(seconds=30))
        asked += len(talk.wants(AskPosition))
    assert asked <= 2
