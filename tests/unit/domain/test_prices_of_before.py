"""A mark price from before the position was filled says nothing of it: it neither trails by it nor is closed by it.

Seen in `make chaos SEED=31`: the price stream had died some seconds before an entry, and the price that the entry was
decided on, 1.2 % better than its fill, became the extreme of the new position. Its stop was sent to the wrong side of
the market (S13), and it was closed at a loss a moment after it had been opened.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.orders import OrderStatus
from domain.position.effects import Place
from domain.position.inputs import PriceRange, Wake
from domain.position.plan import MoveStyle, VenueRules
from domain.position.state import TrailState
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, protected
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))
BYBIT = VenueRules(attached_stop=True, move=MoveStyle.ATTACHED)


def opened(side: PositionSide) -> Conversation:
    """A position on Bybit that has just been filled at 60,000, decided on 62,000 of some seconds before."""
    talk = Conversation(side, venue=BYBIT)
    entry = talk.placed(OrderKind.ENTRY)
    talk.position = talk.position.changed(mark_price=talk.at(62_000), mark_at=talk.now - timedelta(seconds=4))
    talk.accept(entry)
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    return talk


def stops_sent(talk: Conversation) -> list[object]:
    return [each.intent.trigger_price for each in talk.wants(Place) if each.intent.kind is OrderKind.STOP]


@BOTH
def test_the_price_of_the_decision_is_no_extreme_of_the_position(side: PositionSide) -> None:
    talk = opened(side)
    talk.hear(Wake())
    assert talk.position.trail.state is TrailState.INACTIVE
    assert talk.position.trail.extreme is None
    assert stops_sent(talk) == []


@BOTH
def test_nor_is_what_a_late_stream_tells_of_the_time_before(side: PositionSide) -> None:
    talk = opened(side)
    before = talk.position.first_fill_at
    assert before is not None
    late = talk.at(61_900)
    talk.hear(PriceRange(last=late, low=late, high=late, at=before - timedelta(milliseconds=1)))
    assert talk.position.trail.extreme is None
    talk.mark(talk.at(61_800))
    assert talk.position.trail.extreme == talk.at(61_800)
    assert talk.position.trail.state is TrailState.TRAILING
    assert len(stops_sent(talk)) == 1


@BOTH
def test_of_a_range_that_began_before_only_the_last_price_counts(side: PositionSide) -> None:
    talk = opened(side)
    before = talk.position.first_fill_at
    assert before is not None
    last, wild = talk.at(60_100), talk.at(65_000)
    prices = PriceRange(last=last, low=min(last, wild), high=max(last, wild), at=talk.now, since=before)
    talk.hear(replace(prices, since=before - timedelta(seconds=1)))
    assert talk.position.trail.extreme == last
    talk.hear(prices)
    assert talk.position.trail.extreme == wild


@BOTH
def test_a_price_of_before_beyond_the_stop_does_not_make_it_a_stuck_one(side: PositionSide) -> None:
    talk = opened(side)
    talk.position = talk.position.changed(mark_price=talk.at(50_000))
    talk.wait(30)
    assert talk.position.beyond_stop_since is None
    assert talk.position.close_wanted is None


def test_a_first_stop_is_not_measured_by_a_price_of_before() -> None:
    """Else the last check takes an order that the market has overtaken for a decision gone wrong, and calls a human."""
    talk = Conversation()
    entry = talk.placed(OrderKind.ENTRY)
    talk.position = talk.position.changed(mark_price=D(59_000), mark_at=talk.now - timedelta(seconds=1))
    talk.accept(entry, filled=SIZE)
    assert talk.placed(OrderKind.STOP).reference_price is None


def test_states_stored_before_the_first_fill_was_dated_go_on_as_they_were() -> None:
    talk, _ = protected()
    talk.position = talk.position.changed(first_fill_at=None)
    talk.mark(D(61_000))
    assert talk.position.trail.state is TrailState.TRAILING
