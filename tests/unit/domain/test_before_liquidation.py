"""A stop has to fire before the venue liquidates: where it goes when a liquidation price comes nearer than that."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.catalogue import EventType, Severity
from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.orders import OrderStatus
from domain.position import places
from domain.position.effects import Cancel, Place
from domain.position.inputs import PositionHeard, StopWanted
from domain.position.state import Purpose
from tests.unit.domain.conversation import SIZE, Conversation, protected
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", [PositionSide.LONG, PositionSide.SHORT])


def liquidated_at(talk: Conversation, price: int | None, size: Decimal = SIZE) -> None:
    """The venue says where it would liquidate; in a long's prices."""
    at = None if price is None else talk.at(price) if price else D(0)
    talk.hear(PositionHeard(report=replace(talk.row(size), liquidation_price=at)))


def moved_to(talk: Conversation, price: int, purpose: Purpose = Purpose.GUARD, size: Decimal = SIZE) -> None:
    """The stop goes to this place, a long's, beside the old one, which is cancelled when it is accepted."""
    stop = talk.placed(OrderKind.STOP)
    assert (stop.trigger_price, stop.quantity) == (talk.at(price), size)
    assert talk.position.stops[-1].purpose is purpose
    talk.accept(stop)
    (cancel,) = talk.wants(Cancel)
    talk.cancelled(cancel)
    assert talk.wants(Place) == []


@BOTH
def test_a_stop_beyond_the_liquidation_price_comes_nearer_and_stays_there(side: PositionSide) -> None:
    talk, _ = protected(side)
    liquidated_at(talk, 59_400)
    (told,) = [h for h in talk.last.happenings if h.type is EventType.LIQUIDATION_NEAR]
    figures = (told.data["liquidation_price"], told.data["old_stop"], told.data["new_stop"])
    assert [D(str(figure)) for figure in figures] == [talk.at(59_400), talk.at(58_800), talk.at(59_460)]
    assert told.grave is Severity.WARNING
    moved_to(talk, 59_460)
    for fires_in_time in (59_400, 59_450, 59_200):
        liquidated_at(talk, fires_in_time)
        assert talk.last.effects == ()
        assert EventType.LIQUIDATION_NEAR not in talk.said()
    liquidated_at(talk, 59_500)
    moved_to(talk, 59_550)


@BOTH
@pytest.mark.parametrize("liquidation", [None, 0, 58_000, 58_799])
def test_a_stop_that_fires_in_time_stays(side: PositionSide, liquidation: int | None) -> None:
    talk, stop = protected(side)
    liquidated_at(talk, liquidation)
    assert talk.wants(Place) == []
    assert places.wanted_trigger(talk.position) == stop.trigger_price


@BOTH
def test_one_that_is_lost_later_comes_back_where_it_was_brought(side: PositionSide) -> None:
    talk, _ = protected(side)
    liquidated_at(talk, 59_400)
    nearer = talk.placed(OrderKind.STOP)
    talk.accept(nearer)
    talk.cancelled(talk.wants(Cancel)[0])
    liquidated_at(talk, 50_000)
    talk.see(nearer, OrderStatus.CANCELED)
    assert talk.placed(OrderKind.STOP).trigger_price == talk.at(59_460)


@BOTH
def test_a_position_that_was_enlarged_gets_one_stop_of_its_size_in_time(side: PositionSide) -> None:
    talk, _ = protected(side)
    liquidated_at(talk, 59_400, SIZE * 3)
    moved_to(talk, 59_460, size=SIZE * 3)


@BOTH
def test_an_operators_stop_is_no_exception(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.hear(StopWanted(price=talk.at(58_000)))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.cancelled(talk.wants(Cancel)[0])
    liquidated_at(talk, 58_500)
    moved_to(talk, 58_650, Purpose.OPERATOR)


@BOTH
@pytest.mark.parametrize(
    ("mark", "liquidation", "wanted"),
    [
        (70_000, 60_500, 61_450),  # the entry price is beyond it: counted from the mark
        (59_425, 59_400, 59_401),  # the mark has passed its place: the nearest valid one, short of liquidation
        (60_400, 60_500, 58_800),  # the mark is beyond it as well: there is no place
    ],
)
def test_where_there_is_little_way_left(side: PositionSide, mark: int, liquidation: int, wanted: int) -> None:
    talk, _ = protected(side)
    talk.position = replace(talk.position, mark_price=talk.at(mark))
    liquidated_at(talk, liquidation)
    place = places.wanted_trigger(talk.position)
    assert place is not None
    assert abs(place - talk.at(wanted)) < 1
