"""Stops that another hand made wrong, strangers' stops that are taken over, averages that part, old answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.catalogue import EventType, Severity
from domain.entries.opening import adopted_position
from domain.identity import Epoch, OrderKind, mint_client_id
from domain.instrument import PositionSide
from domain.orders import OrderIntent, OrderReport, OrderStatus, Source
from domain.position import ledger
from domain.position.effects import AskFills, Cancel, Place
from domain.position.inputs import PositionHeard, PriceRange, Recovered, View
from domain.position.plan import MoveStyle, VenueRules
from domain.position.state import Phase, Purpose
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, protected, resting
from tests.unit.domain.samples import BTC, POSITION, D

BOTH = pytest.mark.parametrize("side", list(PositionSide))


def recoveries(talk: Conversation) -> list[tuple[object, object, Severity | None]]:
    """What was wrong, how often by now, and how loudly it was said."""
    said = [h for h in talk.last.happenings if h.type is EventType.STOP_LOSS_RECOVERED]
    return [(h.data["what"], h.data["recoveries"], h.severity) for h in said]


def next_stop(talk: Conversation) -> OrderIntent:
    """The stop that is sent now, or after whatever pause."""
    sent = [*talk.last.effects, *talk.wait(3)]
    return next(effect.intent for effect in sent if isinstance(effect, Place))


# The guard.


def test_a_stop_that_keeps_vanishing_is_said_louder_from_the_third_time_on() -> None:
    talk, stop = protected()
    said = []
    for _ in range(4):
        talk.see(stop, OrderStatus.CANCELED)
        stop = next_stop(talk)
        talk.accept(stop)
        said += recoveries(talk)
    assert said == [
        ("missing", 1, None),
        ("missing", 2, None),
        ("missing", 3, Severity.WARNING),
        ("missing", 4, Severity.WARNING),
    ]


@BOTH
def test_a_stop_that_another_hand_loosened_is_back_at_its_place(side: PositionSide) -> None:
    talk, stop = protected(side)
    talk.now += timedelta(seconds=4)
    loose = replace(talk.order(stop, OrderStatus.ACK), trigger_price=talk.at(55_000))
    talk.view(SIZE, loose)
    assert EventType.STOP_LOSS_CHANGED_OUTSIDE in talk.said()
    again = talk.placed(OrderKind.STOP)
    assert again.trigger_price == stop.trigger_price
    talk.accept(again)
    assert recoveries(talk) == [("price", 1, None)]


@BOTH
def test_a_stop_that_another_hand_tightened_stays(side: PositionSide) -> None:
    talk, stop = protected(side)
    talk.now += timedelta(seconds=4)
    talk.view(SIZE, replace(talk.order(stop, OrderStatus.ACK), trigger_price=talk.at(59_500)))
    assert talk.wants(Place) == []
    assert talk.position.recoveries == 0


@BOTH
def test_a_stop_that_another_hand_shrank_is_whole_again(side: PositionSide) -> None:
    talk, stop = protected(side)
    talk.now += timedelta(seconds=4)
    talk.view(SIZE, replace(talk.order(stop, OrderStatus.ACK), quantity=D("0.004")))
    again = talk.placed(OrderKind.STOP)
    assert again.quantity == SIZE
    talk.accept(again)
    assert recoveries(talk) == [("size", 1, None)]


def test_a_second_stop_of_ours_is_cancelled_and_counted() -> None:
    talk, stop = protected()
    talk.now += timedelta(seconds=4)
    second = replace(
        talk.order(stop, OrderStatus.ACK),
        client_id=mint_client_id("ab12", POSITION, Epoch(1, 1), 99, OrderKind.STOP),
        exchange_id="777",
        source=Source.SNAPSHOT,
        trigger_price=D(58_000),
    )
    talk.view(SIZE, talk.order(stop, OrderStatus.ACK), second)
    assert EventType.STOP_LOSS_DUPLICATE in talk.said()
    (cancel,) = talk.wants(Cancel)
    assert cancel.client_id == second.client_id
    talk.cancelled(cancel)
    assert recoveries(talk) == [("doubled", 1, None)]
    assert [s.client_id for s in resting(talk.position)] == [stop.client_id]


# Strangers' stops.


def stranger(talk: Conversation, trigger: int = 58_500, **changes: Any) -> OrderReport:
    """A stop that a human placed."""
    _, model = protected(talk.side)
    report = replace(
        talk.order(model, OrderStatus.ACK), client_id=None, exchange_id="555", trigger_price=talk.at(trigger)
    )
    return replace(report, **changes)


def adopted(
    side: PositionSide = PositionSide.LONG,
    *stops: dict[str, Any],
    takes: bool = False,
    bare_for_s: float | None = None,
    venue: VenueRules | None = None,
    marked: int = 60_000,
    begins_after_s: float = 0.05,
) -> Conversation:
    """A position of a human's, just adopted, with these stops of his; its row showed the mark price `marked`."""
    talk = Conversation(side, adopted=True)
    plan = replace(talk.position.plan, adopt_stops=takes, venue=venue or VenueRules())
    talk.position = adopted_position(
        position_id=talk.position.id,
        account="main",
        exchange="binanceusdm",
        instance="ab12",
        instrument=BTC,
        side=side,
        quantity=SIZE,
        entry_price=ENTRY,
        mark_price=talk.at(marked),
        mark_at=talk.now,
        plan=plan,
        epoch=Epoch(1, 1),
        now=talk.now,
        correlation_id="c",
        bare_since=None if bare_for_s is None else talk.now - timedelta(seconds=bare_for_s),
        orders=[stranger(talk, **each) for each in stops],
    )
    talk.hear(Recovered(epoch=Epoch(1, 1)), begins_after_s)
    return talk


def sized(talk: Conversation) -> None:
    """The answer to the new owner's question about the size."""
    talk.now += timedelta(seconds=0.1)
    talk.size(SIZE, asked=True)


@BOTH
@pytest.mark.parametrize(("begins_after_s", "believed"), [(1, True), (3, False)])
def test_the_stop_of_what_was_just_adopted_goes_by_the_mark_of_its_row(
    side: PositionSide, begins_after_s: float, believed: bool
) -> None:
    """The mark had passed the stop's place, and streams were dead: it was sent there all the same (S13)."""
    talk = adopted(side, marked=58_000, begins_after_s=begins_after_s)
    stop = talk.placed(OrderKind.STOP).trigger_price
    assert stop is not None
    assert side.better(talk.at(58_000), stop) is believed


def test_an_older_price_than_that_of_its_row_changes_nothing() -> None:
    talk = adopted(marked=58_000)
    talk.hear(PriceRange(last=ENTRY, low=ENTRY, high=ENTRY, at=talk.now - timedelta(seconds=30)))
    assert talk.position.mark_price == D(58_000)


@BOTH
def test_nothing_is_placed_beside_a_strangers_stop_that_covers_all(side: PositionSide) -> None:
    """Ours was sent in the turn of the adoption, before any reading had told the owner of his."""
    talk = adopted(side, {})
    assert talk.wants(Place) == []
    assert [(s.purpose, s.exchange_id) for s in resting(talk.position)] == [(Purpose.FOREIGN, "555")]
    sized(talk)
    talk.mark(talk.at(62_000))
    talk.wait(10)
    assert [(s.purpose, s.trigger) for s in resting(talk.position)] == [(Purpose.FOREIGN, talk.at(58_500))]
    assert talk.position.phase is Phase.ACTIVE


@BOTH
def test_the_tightest_of_his_stops_that_cover_all_is_the_stop(side: PositionSide) -> None:
    small = {"trigger": 59_500, "quantity": D("0.004"), "exchange_id": "1"}
    talk = adopted(side, small, {"trigger": 58_000, "exchange_id": "2"}, {"trigger": 59_000, "exchange_id": "3"})
    assert [s.exchange_id for s in resting(talk.position)] == ["3"]


def test_a_strangers_stop_that_covers_a_part_is_left_and_ours_covers_all() -> None:
    talk = adopted(PositionSide.LONG, {"quantity": D("0.004")})
    stop = talk.placed(OrderKind.STOP)
    assert stop.quantity == SIZE
    talk.accept(stop)
    assert talk.wants(Cancel) == []


@BOTH
@pytest.mark.parametrize("trigger", [58_500, 59_300])
def test_with_adopt_stops_ours_is_accepted_first_and_then_his_is_cancelled(side: PositionSide, trigger: int) -> None:
    talk = adopted(side, {"trigger": trigger}, takes=True)
    assert talk.wants(Cancel) == []
    sized(talk)
    ours = talk.placed(OrderKind.STOP)
    assert ours.trigger_price == talk.at(max(trigger, 58_800)), "never looser than his, nor than our own place (S3)"
    assert talk.wants(Cancel) == []
    talk.accept(ours)
    (cancel,) = talk.wants(Cancel)
    assert (cancel.ref.exchange_id, cancel.ref.conditional) == ("555", True)
    talk.cancelled(cancel)
    assert [s.client_id for s in resting(talk.position)] == [ours.client_id]
    assert talk.position.protected_once
    assert talk.position.trail.extreme is not None or talk.position.trail.state.value == "inactive"


def test_with_adopt_stops_all_of_his_go_and_what_he_places_later_stays() -> None:
    talk = adopted(PositionSide.LONG, {"exchange_id": "1", "quantity": D("0.004")}, {"exchange_id": "2"}, takes=True)
    sized(talk)
    ours = talk.placed(OrderKind.STOP)
    talk.accept(ours)
    gone = talk.wants(Cancel)
    assert {cancel.ref.exchange_id for cancel in gone} == {"1", "2"}
    for cancel in gone:
        talk.cancelled(cancel)
    talk.now += timedelta(seconds=4)
    talk.view(SIZE, talk.order(ours, OrderStatus.ACK), stranger(talk, exchange_id="9"))
    assert talk.wants(Cancel) == []
    assert [s.client_id for s in resting(talk.position)] == [ours.client_id]


def test_with_adopt_stops_his_stays_while_ours_is_refused() -> None:
    talk = adopted(PositionSide.LONG, {}, takes=True)
    sized(talk)
    talk.refuse(talk.placed(OrderKind.STOP))
    assert talk.wants(Cancel) == []
    assert [s.exchange_id for s in resting(talk.position)] == ["555"]
    assert next_stop(talk).kind is OrderKind.STOP


def test_with_adopt_stops_his_is_no_stop_to_be_changed_in_place() -> None:
    talk = adopted(PositionSide.LONG, {}, takes=True, venue=VenueRules(move=MoveStyle.AMEND))
    sized(talk)
    assert talk.placed(OrderKind.STOP).replaces is None


def test_what_is_adopted_bare_counts_from_its_first_sight() -> None:
    talk = adopted(bare_for_s=1.5)
    talk.accept(talk.placed(OrderKind.STOP))
    assert talk.position.unprotected_seconds == D("1.6")


def test_one_whose_stop_is_seen_after_the_adoption_was_never_bare() -> None:
    talk = Conversation(adopted=True)
    talk.position = replace(
        talk.position,
        phase=Phase.PENDING_SL,
        adopted_quantity=SIZE,
        adopted_price=ENTRY,
        unprotected_since=talk.now - timedelta(seconds=1),
    )
    talk.view(SIZE, stranger(talk))
    assert talk.position.unprotected_seconds == 0


# Averages.


def shows(talk: Conversation, stop: OrderIntent, price: Decimal) -> None:
    """A complete reading, a while after our last act, with this average."""
    talk.now += timedelta(seconds=4)
    row = replace(talk.row(SIZE), entry_price=price)
    talk.hear(View(report=row, orders=(talk.order(stop, OrderStatus.ACK),), asked_at=talk.now))


def test_an_average_that_no_execution_explains_is_taken_over_at_the_second_reading() -> None:
    talk, stop = protected()
    shows(talk, stop, D(61_000))
    assert ledger.entry_price(talk.position) == ENTRY
    assert [type(e) for e in talk.last.effects] == [AskFills]
    shows(talk, stop, D(61_000))
    (said,) = [h for h in talk.last.happenings if h.type is EventType.ENTRY_PRICE_CORRECTED]
    assert (said.data["book"], said.data["exchange"]) == ("60000", "61000")
    assert ledger.entry_price(talk.position) == D(61_000)
    assert ledger.executed_price(talk.position) == ENTRY
    talk.fill("900", talk.side.opening, D("0.005"), D(63_000), client_id="web_1")
    assert ledger.entry_price(talk.position) == D(61_000), "enlarged: by its executions again"


def test_another_average_each_time_and_one_within_the_tolerance_are_not_taken_over() -> None:
    talk, stop = protected()
    for price in (61_000, 61_500, 60_020, 61_000):
        shows(talk, stop, D(price))
    assert ledger.entry_price(talk.position) == ENTRY


def test_the_book_of_a_closed_position_goes_by_executions() -> None:
    talk, stop = protected()
    for _ in range(2):
        shows(talk, stop, D(61_000))
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, SIZE, D(58_800))
    talk.size(D(0))
    talk.listed()
    (closed,) = [h for h in talk.last.happenings if h.type is EventType.POSITION_CLOSED]
    assert closed.data["entry_price"] == "60000"


# Old answers that look fresh (S11).


def test_a_row_that_the_venue_dates_before_our_last_fill_proves_nothing() -> None:
    """A cache answers: asked now, and showing what was before the entry. Three such answers closed the book."""
    talk, _ = protected()
    before = talk.position.last_fill_at
    assert before is not None
    for _ in range(6):
        talk.now += timedelta(seconds=1.5)
        row = replace(talk.row(D(0)), changed_at=before - timedelta(seconds=30))
        talk.hear(PositionHeard(report=row, asked_at=talk.now))
    assert ledger.exposure(talk.position) == SIZE
    assert EventType.POSITION_CHANGED_OUTSIDE not in talk.said()
    assert resting(talk.position)


@pytest.mark.parametrize("dated", ["now", "not at all"])
def test_a_row_that_may_hold_our_last_fill_is_believed_after_three(dated: str) -> None:
    talk, _ = protected()
    for _ in range(3):
        talk.now += timedelta(seconds=1.5)
        row = replace(talk.row(D(0)), changed_at=talk.now if dated == "now" else None)
        talk.hear(PositionHeard(report=row, asked_at=talk.now))
    assert ledger.exposure(talk.position) == 0


def test_a_venue_that_goes_on_dating_its_row_so_is_believed_in_the_end() -> None:
    talk, _ = protected()
    before = talk.position.last_fill_at
    assert before is not None
    for _ in range(15):
        talk.now += timedelta(seconds=1.5)
        row = replace(talk.row(D(0)), changed_at=before - timedelta(seconds=30))
        talk.hear(PositionHeard(report=row, asked_at=talk.now))
    assert ledger.exposure(talk.position) == 0
