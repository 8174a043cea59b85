"""Which orders may wait for the account's writes, who of them goes first, and what becomes of a move given back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.catalogue import EventType
from domain.identity import ClientOrderId, OrderKind
from domain.instrument import PositionSide
from domain.orders import OrderIntent, OrderStatus, RejectReason
from domain.position import urgency
from domain.position.state import OrderState
from domain.position.urgency import FARTHEST, Standing
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing, end_by_stop, protected, resting
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))


def moving(side: PositionSide = PositionSide.LONG) -> tuple[Conversation, OrderIntent, OrderIntent]:
    """A covered position whose move is under way; its first stop, and the move."""
    talk, stop = protected(side)
    talk.mark(talk.at(61_000))
    return talk, stop, talk.placed(OrderKind.STOP)


@BOTH
def test_a_move_of_a_covered_position_waits_and_nothing_else_does(side: PositionSide) -> None:
    talk = Conversation(side)
    entry = talk.placed()
    assert urgency.standing(entry, talk.position) is Standing.PROTECTS
    talk.accept(entry, filled=SIZE)
    assert urgency.standing(talk.placed(), talk.position) is Standing.PROTECTS, "the first cover"
    talk, stop, move = moving(side)
    assert urgency.standing(move, talk.position) is Standing.WAITS
    assert urgency.standing(move, None) is Standing.PROTECTS, "nobody knows what it is"
    assert urgency.standing(replace(move, client_id=ClientOrderId("other")), talk.position) is Standing.PROTECTS
    talk.hear(closing())
    assert urgency.standing(talk.placed(OrderKind.EXIT), talk.position) is Standing.PROTECTS
    talk, stop = protected(side)
    talk.see(stop, OrderStatus.CANCELED)
    assert urgency.standing(talk.placed(OrderKind.STOP), talk.position) is Standing.PROTECTS, "the guard"


def test_a_waiting_move_protects_once_the_other_stop_is_gone_or_too_small() -> None:
    talk, stop, move = moving()
    talk.see(stop, OrderStatus.CANCELED)
    assert urgency.standing(move, talk.position) is Standing.PROTECTS
    talk, stop, move = moving()
    talk.size(2 * SIZE)
    assert urgency.standing(move, talk.position) is Standing.PROTECTS


def test_a_waiting_move_is_pointless_once_the_position_is_flat() -> None:
    talk, stop, move = moving()
    end_by_stop(talk, stop, D(58_800))
    assert urgency.standing(move, talk.position) is not Standing.WAITS


@BOTH
def test_the_nearest_stop_goes_first(side: PositionSide) -> None:
    talk, _, _ = moving(side)
    near, far = (urgency.nearness(talk.position, talk.at(price)) for price in (59_000, 61_000))
    assert near < far < FARTHEST
    assert near == D(200) / talk.at(59_000)
    assert urgency.nearness(talk.position, None) == FARTHEST
    assert urgency.nearness(None, ENTRY) == FARTHEST


@BOTH
def test_a_move_that_was_given_back_is_replaced_in_the_same_turn_by_its_newer_self(side: PositionSide) -> None:
    talk, stop, move = moving(side)
    talk.position = replace(talk.position, mark_price=talk.at(62_000))  # heard by its owner, outside any band
    talk.refuse(move, RejectReason.BUDGET)
    newer = talk.placed(OrderKind.STOP)
    assert newer.client_id != move.client_id
    assert newer.trigger_price is not None
    assert move.trigger_price is not None
    assert side.better(newer.trigger_price, move.trigger_price)
    assert EventType.TRAILING_MOVE_FAILED not in talk.said()
    assert [s.client_id for s in resting(talk.position)] == [stop.client_id]
    assert [s.state for s in talk.position.stops].count(OrderState.SENDING) == 1
    assert (talk.position.stop_refusals, talk.position.close_wanted) == (0, None)


def test_a_move_that_was_given_back_though_nothing_covers_any_more_is_no_refusal() -> None:
    talk, stop, move = moving()
    talk.see(stop, OrderStatus.CANCELED)
    talk.refuse(move, RejectReason.BUDGET)
    assert talk.placed(OrderKind.STOP).trigger_price == move.trigger_price
    assert (talk.position.stop_refusals, talk.position.close_wanted) == (0, None)
