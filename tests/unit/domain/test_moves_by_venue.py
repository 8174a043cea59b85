"""A stop is moved by what the venue can do: set on the position, amended, beside the old one, or cancelled first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.orders import Found, NotFound, OrderIntent, OrderReport, OrderStatus, RejectReason, Source
from domain.position import cover
from domain.position.effects import Cancel, Find, Place
from domain.position.inputs import AnswerHeard, OrderHeard, PositionHeard, View
from domain.position.plan import MoveStyle, VenueRules
from domain.position.state import OrderState, Phase, Purpose
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing, protected, resting
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))
ATTACHED = VenueRules(attached_stop=True, move=MoveStyle.ATTACHED)
AMEND = VenueRules(move=MoveStyle.AMEND)
CANCEL_FIRST = VenueRules(move=MoveStyle.CANCEL_THEN_PLACE)
CLOSE_POSITION = VenueRules(close_position_stop=True)


def on_position(talk: Conversation, stop: OrderIntent, trigger: Decimal, at: datetime, source: Source) -> OrderReport:
    """The stop that stands on the position, as the venue shows it: without an id of ours."""
    shown = talk.order(stop, OrderStatus.NEW, source=source)
    return replace(shown, client_id=None, exchange_id="v1", trigger_price=trigger, attached=True, at=at)


def row(talk: Conversation, quantity: Decimal, stop: Decimal) -> PositionHeard:
    """The position's own row, pushed."""
    return PositionHeard(report=replace(talk.row(quantity), attached_stop=stop))


def attached(side: PositionSide) -> tuple[Conversation, OrderIntent]:
    """A filled position whose stop came with the entry, and the entry."""
    talk = Conversation(side, venue=ATTACHED)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry, filled=SIZE)
    talk.hear(row(talk, SIZE, talk.at(58_800)))
    talk.mark(ENTRY)
    return talk, entry


def moving(talk: Conversation) -> OrderIntent:
    """The price makes the stop worth moving; the order that does it."""
    talk.mark(talk.at(61_000))
    return talk.placed(OrderKind.STOP)


@BOTH
def test_an_attached_stop_leaves_with_the_entry_and_no_moment_is_unprotected(side: PositionSide) -> None:
    talk, entry = attached(side)
    assert entry.attached_stop == talk.at(58_800)
    assert talk.wants(Place) == []
    assert talk.position.phase is Phase.ACTIVE
    assert talk.position.unprotected_seconds == 0
    assert talk.position.unprotected_since is None
    assert cover.cover(talk.position) == SIZE


def test_a_fill_before_the_acknowledgement_proves_that_its_stop_stands() -> None:
    talk = Conversation(venue=ATTACHED)
    entry = talk.placed(OrderKind.ENTRY)
    talk.fill("x-1e", entry.side, D("0.004"), ENTRY, client_id=entry.client_id)
    assert talk.position.phase is Phase.ACTIVE
    assert talk.position.unprotected_since is None
    assert [find.ref.attached for find in talk.wants(Find)] == [True]  # to be seen on the position itself
    talk.accept(entry)
    assert len(resting(talk.position)) == 1


def test_an_entry_that_was_refused_takes_its_stop_along() -> None:
    talk = Conversation(venue=ATTACHED)
    talk.refuse(talk.placed(OrderKind.ENTRY), RejectReason.NO_FUNDS)
    assert [s.state for s in talk.position.stops] == [OrderState.REFUSED]
    talk.size(D(0), asked=True)
    talk.wait(5)
    assert talk.position.phase is Phase.FAILED


def test_nothing_on_the_position_says_nothing_before_the_fill() -> None:
    talk = Conversation(venue=ATTACHED)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry)  # acknowledged, not filled yet
    talk.size(D(0), asked=True)
    wanted = talk.wait(2)
    assert any(isinstance(w, Find) and w.ref.attached for w in wanted)
    stop = replace(entry, kind=OrderKind.STOP, client_id=talk.position.stops[0].client_id)
    talk.absent(stop)
    assert [s.state for s in talk.position.stops] == [OrderState.LIVE]
    assert talk.wants(Place) == []


def filling() -> tuple[Conversation, OrderIntent]:
    """A third of an entry has filled, under the stop that came with it."""
    talk = Conversation(venue=ATTACHED)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry)
    talk.see(entry, OrderStatus.PART_FILLED, filled=D("0.004"), price=ENTRY)
    return talk, entry


def test_a_close_waits_for_an_entry_that_still_fills_under_a_stop_that_goes_with_a_flat_position() -> None:
    talk, entry = filling()
    talk.hear(closing())
    assert talk.wants(Place) == []
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    assert talk.placed(OrderKind.EXIT).quantity == SIZE


def test_a_close_does_not_wait_for_ever_for_an_entry_that_does_not_end() -> None:
    talk, _ = filling()
    talk.hear(closing())
    talk.wait(2)
    assert talk.placed(OrderKind.EXIT).quantity == D("0.004")


@BOTH
def test_an_attached_stop_moves_in_place_without_a_second_order_or_a_cancel(side: PositionSide) -> None:
    talk, _ = attached(side)
    move = moving(talk)
    assert move.attached
    assert move.replaces is not None
    assert move.replaces.attached
    assert cover.cover(talk.position) == SIZE
    talk.accept(move)
    assert talk.wants(Cancel) == []
    assert [(s.trigger, s.state) for s in resting(talk.position)] == [(move.trigger_price, OrderState.LIVE)]
    assert EventType.TRAILING_MOVED in talk.said()
    assert talk.position.trail.updates == 1


@BOTH
def test_after_doubt_the_position_itself_is_asked_and_only_a_late_reading_proves_that_nothing_changed(
    side: PositionSide,
) -> None:
    talk, _ = attached(side)
    move = moving(talk)
    talk.lose(move)
    (find,) = talk.wants(Find)
    assert find.ref.attached
    old = on_position(talk, move, talk.at(58_800), talk.now, Source.QUERY)
    talk.hear(AnswerHeard(answer=Found(ref=find.ref, report=old, asked_at=talk.now)))
    assert talk.position.stops[-1].state is OrderState.UNKNOWN  # it may still arrive
    assert talk.wants(Place) == []
    talk.now += timedelta(seconds=4)
    talk.hear(AnswerHeard(answer=Found(ref=find.ref, report=old, asked_at=talk.now)))
    again = talk.placed(OrderKind.STOP)
    assert again.trigger_price == move.trigger_price
    assert again.client_id != move.client_id


def test_after_doubt_a_reading_with_the_new_value_is_the_acceptance() -> None:
    talk, _ = attached(PositionSide.LONG)
    move = moving(talk)
    talk.lose(move)
    (find,) = talk.wants(Find)
    assert move.trigger_price is not None
    new = on_position(talk, move, move.trigger_price, talk.now, Source.QUERY)
    talk.hear(AnswerHeard(answer=Found(ref=find.ref, report=new, asked_at=talk.now)))
    assert [s.client_id for s in resting(talk.position)] == [move.client_id]
    assert talk.wants(Place) == []


def test_the_stop_taken_off_the_position_by_hand_is_set_again() -> None:
    talk, entry = attached(PositionSide.LONG)
    (verify,) = (w for w in talk.wait(2) if isinstance(w, Find))
    stop = replace(entry, kind=OrderKind.STOP, side=PositionSide.LONG.closing)
    stands = on_position(talk, stop, D(58_800), talk.now, Source.QUERY)
    talk.hear(AnswerHeard(answer=Found(ref=verify.ref, report=stands, asked_at=talk.now)))
    talk.now += timedelta(seconds=4)
    talk.hear(row(talk, SIZE, D(0)))
    again = talk.placed(OrderKind.STOP)
    assert again.attached
    assert again.replaces is None
    assert again.trigger_price == D(58_800)
    assert EventType.STOP_LOSS_LOST in talk.said()


@BOTH
def test_a_looser_stop_set_by_hand_is_seen_and_put_right_in_place(side: PositionSide) -> None:
    talk, entry = attached(side)
    talk.now += timedelta(seconds=3)
    looser = talk.at(58_000)
    stop = replace(entry, kind=OrderKind.STOP, side=side.closing)
    talk.hear(OrderHeard(report=on_position(talk, stop, looser, talk.now, Source.STREAM)))
    (find,) = talk.wants(Find)  # news may be late: it is asked about before it is believed
    report = on_position(talk, stop, looser, talk.now, Source.QUERY)
    talk.hear(AnswerHeard(answer=Found(ref=find.ref, report=report, asked_at=talk.now)))
    assert EventType.STOP_LOSS_CHANGED_OUTSIDE in talk.said()
    assert talk.placed(OrderKind.STOP).trigger_price == talk.at(58_800)


def test_a_tighter_stop_set_by_hand_stays() -> None:
    talk, entry = attached(PositionSide.LONG)
    talk.now += timedelta(seconds=3)
    stop = replace(entry, kind=OrderKind.STOP, side=PositionSide.LONG.closing)
    report = on_position(talk, stop, D(59_500), talk.now, Source.SNAPSHOT)
    shown = replace(talk.row(SIZE), attached_stop=D(59_500))
    talk.hear(View(report=shown, orders=(report,), asked_at=talk.now))
    assert [s.trigger for s in resting(talk.position)] == [D(59_500)]
    assert talk.wants(Place) == []


def test_the_stop_that_the_venue_replaced_under_another_id_is_not_lost() -> None:
    talk, _ = attached(PositionSide.LONG)
    move = moving(talk)
    talk.accept(move)
    old = replace(
        on_position(talk, move, D(58_800), talk.now, Source.STREAM), exchange_id="v0", status=OrderStatus.CANCELED
    )
    talk.hear(OrderHeard(report=old))
    assert EventType.STOP_LOSS_LOST not in talk.said()
    assert len(resting(talk.position)) == 1
    assert talk.wants(Find)  # whether one stands only the position can tell


def test_a_stop_found_on_a_position_that_holds_none_is_taken_as_ours() -> None:
    talk = Conversation(adopted=True, venue=ATTACHED)
    talk.position = replace(talk.position, phase=Phase.PENDING_SL, adopted_quantity=SIZE, adopted_price=ENTRY)
    talk.hear(row(talk, SIZE, D(59_000)))
    assert [(s.trigger, s.whole, s.purpose) for s in resting(talk.position)] == [(D(59_000), True, Purpose.GUARD)]
    assert talk.wants(Place) == []


def test_a_row_from_before_the_stop_was_set_takes_nothing_away() -> None:
    talk, _ = attached(PositionSide.LONG)
    older = replace(talk.row(SIZE, talk.now - timedelta(seconds=5)), attached_stop=D(0))
    talk.hear(PositionHeard(report=older))
    assert EventType.STOP_LOSS_LOST not in talk.said()
    assert len(resting(talk.position)) == 1


def test_nothing_found_on_the_position_after_the_receive_window_is_a_lost_stop() -> None:
    talk, _ = attached(PositionSide.LONG)
    (verify,) = (w for w in talk.wait(2) if isinstance(w, Find))
    talk.now += timedelta(seconds=4)
    talk.hear(AnswerHeard(answer=NotFound(ref=verify.ref, asked_at=talk.now)))
    assert talk.placed(OrderKind.STOP).trigger_price == D(58_800)


def test_flat_ends_an_attached_stop_without_a_cancel() -> None:
    talk, _ = attached(PositionSide.LONG)
    talk.hear(closing())
    leave = talk.placed(OrderKind.EXIT)
    talk.accept(leave, filled=SIZE)
    talk.size(D(0))
    assert talk.wants(Cancel) == []
    talk.listed()
    assert talk.position.phase is Phase.CLOSED


@BOTH
def test_a_resting_order_is_amended_in_place_and_keeps_the_id_that_the_venue_knows(side: PositionSide) -> None:
    talk, stop = amendable(side)
    move = moving(talk)
    assert move.replaces is not None
    assert move.replaces.exchange_id == talk.id_of(stop)
    assert not move.attached
    talk.accept(move)
    assert talk.wants(Cancel) == []
    (held,) = resting(talk.position)
    assert (held.trigger, held.exchange_id, held.wire_id) == (move.trigger_price, talk.id_of(stop), stop.client_id)
    talk.see(replace(stop, trigger_price=move.trigger_price), OrderStatus.TRIGGERED, child="77")
    assert talk.position.stops[-1].state is OrderState.TRIGGERED


def amendable(side: PositionSide) -> tuple[Conversation, OrderIntent]:
    """A protected position at a venue that amends."""
    talk = Conversation(side, venue=AMEND)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    talk.size(SIZE)
    talk.accept(stop)
    talk.mark(ENTRY)
    return talk, stop


def test_an_amendment_that_was_refused_leaves_the_old_stop_and_is_tried_again() -> None:
    talk, stop = amendable(PositionSide.LONG)
    talk.refuse(moving(talk))
    assert [s.client_id for s in resting(talk.position)] == [stop.client_id]
    assert EventType.TRAILING_MOVE_FAILED in talk.said()
    wanted = talk.wait(3)
    assert [w.intent.replaces is not None for w in wanted if isinstance(w, Place)] == [True]


def test_a_stop_that_triggers_while_it_is_being_amended_is_a_triggered_stop() -> None:
    talk, stop = amendable(PositionSide.LONG)
    move = moving(talk)
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.refuse(move)
    talk.fill("77", stop.side, SIZE, D(58_790))
    talk.size(D(0))
    talk.listed()
    assert talk.position.phase is Phase.CLOSED


@BOTH
def test_cancel_then_place_measures_the_hole_that_it_leaves(side: PositionSide) -> None:
    talk = Conversation(side, venue=CANCEL_FIRST)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    talk.size(SIZE)
    talk.accept(stop)
    talk.mark(ENTRY)
    before = talk.position.unprotected_seconds
    talk.mark(talk.at(61_000))
    assert talk.wants(Place) == []
    (cancel,) = talk.wants(Cancel)
    talk.cancelled(cancel)
    move = talk.placed(OrderKind.STOP)
    assert talk.position.stops[-1].purpose is Purpose.TRAIL
    talk.accept(move)
    assert EventType.TRAILING_MOVED in talk.said()
    assert EventType.STOP_LOSS_RECOVERED not in talk.said()
    assert talk.position.unprotected_seconds > before
    assert talk.position.trail.updates == 1


@BOTH
def test_the_first_cover_of_an_entry_that_still_fills_closes_whatever_there_will_be(side: PositionSide) -> None:
    talk = Conversation(side, venue=CLOSE_POSITION)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry, filled=D("0.004"))
    first = talk.placed(OrderKind.STOP)
    assert first.close_position
    talk.accept(first)
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    assert talk.wants(Place) == []  # it need not grow
    assert cover.cover(talk.position) == SIZE
    talk.size(SIZE)
    talk.mark(ENTRY)
    move = moving(talk)
    assert not move.close_position
    assert move.quantity == SIZE
    talk.accept(move)
    (cancel,) = talk.wants(Cancel)
    assert cancel.client_id == first.client_id


def test_a_filled_entry_gets_a_stop_of_its_own_quantity() -> None:
    talk, stop = protected()
    assert not stop.close_position
    talk = Conversation(venue=CLOSE_POSITION)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    assert not talk.placed(OrderKind.STOP).close_position
