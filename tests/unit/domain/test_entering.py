"""Entries with a slippage bound: the limit, the second try for what the first left, and when there is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.catalogue import EventType
from domain.identity import OrderKind, parse_client_id
from domain.instrument import PositionSide
from domain.orders import OrderIntent, OrderStatus, RejectReason
from domain.position import cover, entering, ledger
from domain.position.effects import Place
from domain.position.inputs import PositionHeard
from domain.position.plan import MoveStyle, TakeProfit, VenueRules
from domain.position.state import CloseReason, OrderState, Phase
from domain.position.turn import Turn
from persistence import codec
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing, resting
from tests.unit.domain.samples import D

BOTH = pytest.mark.parametrize("side", list(PositionSide))
BINANCE = VenueRules(close_position_stop=True)
BYBIT = VenueRules(attached_stop=True, move=MoveStyle.ATTACHED)
VENUES = pytest.mark.parametrize("venue", [BINANCE, BYBIT], ids=["binance", "bybit"])
HALF = D("0.005")
PART = D("0.004")
REST = SIZE - PART


def begun(
    side: PositionSide = PositionSide.LONG, venue: VenueRules = BINANCE, slippage_pct: str = "0.5", **trailing: Any
) -> tuple[Conversation, OrderIntent]:
    talk = Conversation(side, venue=venue, slippage_pct=D(slippage_pct), **trailing)
    return talk, talk.placed(OrderKind.ENTRY)


def entries(talk: Conversation) -> list[OrderIntent]:
    """The entries that the last turn wanted sent."""
    return [e.intent for e in talk.wants(Place) if e.intent.kind is OrderKind.ENTRY]


def cut(talk: Conversation, entry: OrderIntent, filled: Decimal, status: OrderStatus = OrderStatus.EXPIRED) -> None:
    """The venue says that it filled so much and that the rest is gone."""
    talk.see(entry, status, filled=filled, price=ENTRY if filled else None)


def rungs(talk: Conversation) -> list[Decimal]:
    """The quantities of the ladder, once it is fixed."""
    return [rung.quantity for rung in talk.position.ladder or ()]


def flat_and_over(talk: Conversation) -> None:
    """The venue shows, asked after the last news, that nothing was bought."""
    talk.wait(0.2)
    talk.size(D(0), asked=True)


# The bound


@BOTH
@VENUES
def test_an_entry_is_a_limit_order_at_the_bound(side: PositionSide, venue: VenueRules) -> None:
    _, entry = begun(side, venue)
    assert entry.limit_price == (D(60_300) if side is PositionSide.LONG else D(59_700))
    assert entry.quantity == SIZE


@pytest.mark.parametrize(
    ("side", "pct", "limit"),
    [
        (PositionSide.LONG, "0.50008", "60300"),  # 60,300.048
        (PositionSide.LONG, "0.50024", "60300.1"),  # 60,300.144
        (PositionSide.SHORT, "0.50008", "59700"),  # 59,699.952
        (PositionSide.SHORT, "0.50024", "59699.9"),  # 59,699.856
    ],
)
def test_a_bound_off_the_tick_is_rounded_so_that_nothing_fills_beyond_it(
    side: PositionSide, pct: str, limit: str
) -> None:
    _, entry = begun(side, slippage_pct=pct)
    assert entry.limit_price == D(limit)


@BOTH
def test_no_bound_is_a_market_order_and_one_try(side: PositionSide) -> None:
    talk = Conversation(side, venue=BINANCE)
    entry = talk.placed(OrderKind.ENTRY)
    assert entry.limit_price is None
    talk.mark(ENTRY)
    cut(talk, entry, D(0))
    assert entries(talk) == []
    flat_and_over(talk)
    assert (talk.position.phase, talk.position.close_reason) == (Phase.FAILED, CloseReason.ENTRY_EXPIRED)


def test_without_a_price_decided_on_there_is_no_bound() -> None:
    talk, _ = begun()
    assert entering.bound(talk.position.changed(plan=replace(talk.position.plan, reference_price=None))) is None


# The second try


@BOTH
@VENUES
@pytest.mark.parametrize("status", [OrderStatus.EXPIRED, OrderStatus.CANCELED])
def test_what_filled_nothing_is_tried_once_more_at_the_same_bound(
    side: PositionSide, venue: VenueRules, status: OrderStatus
) -> None:
    talk, first = begun(side, venue)
    cut(talk, first, D(0), status)
    (second,) = entries(talk)
    assert second.client_id != first.client_id
    assert (second.quantity, second.limit_price, second.side) == (SIZE, first.limit_price, first.side)
    assert second.attached_stop == first.attached_stop
    assert (second.attached_stop is not None) is venue.attached_stop
    assert talk.position.phase is Phase.ENTRY_PLACED
    said = [h.data for h in talk.last.happenings if h.type is EventType.ENTRY_PLACED]
    assert [(data["try"], data["quantity"]) for data in said] == [(2, "0.01")]


@BOTH
def test_a_part_on_binance_is_covered_in_the_same_turn_by_a_stop_that_grows_with_the_second_try(
    side: PositionSide,
) -> None:
    talk, first = begun(side)
    cut(talk, first, PART)
    (second,) = entries(talk)
    assert (second.quantity, second.limit_price) == (REST, first.limit_price)
    (stop,) = [e.intent for e in talk.wants(Place) if e.intent.kind is OrderKind.STOP]
    assert stop.close_position
    talk.accept(stop)
    talk.accept(second, filled=REST, price=ENTRY)
    talk.size(SIZE)
    assert ledger.exposure(talk.position) == cover.cover(talk.position) == SIZE
    assert talk.wants(Place) == []
    assert talk.position.phase is Phase.ACTIVE


@BOTH
def test_a_part_on_bybit_keeps_its_stop_and_the_second_try_brings_none(side: PositionSide) -> None:
    talk, first = begun(side, BYBIT)
    talk.accept(first)
    cut(talk, first, PART)
    (second,) = entries(talk)
    assert (second.quantity, second.attached_stop) == (REST, None)
    assert len(resting(talk.position)) == 1
    talk.refuse(second, RejectReason.NO_FUNDS)
    assert len(resting(talk.position)) == 1, "the stop of what was filled does not share the second one's fate"
    assert cover.cover(talk.position) == PART
    assert talk.position.unprotected_since is None
    assert talk.position.phase is Phase.ACTIVE


@BOTH
def test_a_second_try_that_fills_on_bybit_is_covered_by_the_stop_that_stands(side: PositionSide) -> None:
    talk, first = begun(side, BYBIT)
    cut(talk, first, PART)
    (second,) = entries(talk)
    talk.accept(second, filled=REST, price=ENTRY)
    assert ledger.exposure(talk.position) == cover.cover(talk.position) == SIZE
    assert talk.position.unprotected_seconds == 0
    assert talk.position.unprotected_since is None


def test_a_second_try_on_bybit_after_nothing_brings_its_own_stop() -> None:
    talk, first = begun(venue=BYBIT)
    talk.accept(first)
    cut(talk, first, D(0))
    (second,) = entries(talk)
    assert [s.state for s in talk.position.stops] == [OrderState.SENDING]
    talk.accept(second, filled=SIZE, price=ENTRY)
    assert cover.cover(talk.position) == SIZE
    assert talk.position.phase is Phase.ACTIVE


@BOTH
@VENUES
def test_two_tries_and_never_a_third(side: PositionSide, venue: VenueRules) -> None:
    talk, first = begun(side, venue)
    cut(talk, first, D(0))
    (second,) = entries(talk)
    cut(talk, second, D(0))
    assert entries(talk) == []
    flat_and_over(talk)
    assert (talk.position.phase, talk.position.close_reason) == (Phase.FAILED, CloseReason.SLIPPAGE)


@VENUES
def test_what_two_tries_got_is_a_smaller_position(venue: VenueRules) -> None:
    talk, first = begun(venue=venue)
    cut(talk, first, PART)
    (second,) = entries(talk)
    stops = [e.intent for e in talk.wants(Place) if e.intent.kind is OrderKind.STOP]
    for stop in stops:
        talk.accept(stop)
    cut(talk, second, D("0.002"))
    assert entries(talk) == []
    talk.size(D("0.006"))
    assert ledger.exposure(talk.position) == cover.cover(talk.position) == D("0.006")
    assert talk.position.phase is Phase.ACTIVE


def test_the_targets_wait_for_the_second_try() -> None:
    talk, first = begun()
    goals = (TakeProfit(pct=D(1), fraction=D(1)),)
    talk.position = talk.position.changed(plan=replace(talk.position.plan, take_profits=goals))
    cut(talk, first, PART)
    (second,) = entries(talk)
    stop = next(e.intent for e in talk.wants(Place) if e.intent.kind is OrderKind.STOP)
    talk.accept(stop)
    assert rungs(talk) == []
    talk.accept(second, filled=REST, price=ENTRY)
    talk.size(SIZE)
    assert rungs(talk) == [SIZE]


def test_news_of_the_first_one_heard_again_change_nothing() -> None:
    talk, first = begun()
    cut(talk, first, PART)
    (second,) = entries(talk)
    talk.accept(first, filled=PART, price=ENTRY)  # the reply comes after the stream
    talk.fill(talk.id_of(first), first.side, PART, ENTRY, client_id=first.client_id)
    cut(talk, first, PART)
    assert entries(talk) == []
    assert ledger.book(talk.position) == PART
    assert talk.position.entry is not None
    assert (talk.position.entry.client_id, talk.position.entry.state) == (second.client_id, OrderState.SENDING)
    known = Turn(talk.position, talk.now)
    assert known.order(first.client_id) is talk.position.earlier
    talk.restart()
    assert talk.position.earlier is not None
    assert (talk.position.earlier.client_id, talk.position.earlier.state) == (first.client_id, OrderState.DONE)


# No second try


def test_not_while_the_fate_of_the_first_is_unknown() -> None:
    talk, first = begun()
    talk.lose(first)
    wanted = talk.wait(2)
    assert not [w for w in wanted if isinstance(w, Place)]
    talk.absent(first)
    assert entries(talk) == []


def test_not_after_an_absence_is_proven() -> None:
    talk, first = begun()
    talk.lose(first)
    talk.wait(3.2)
    talk.absent(first)
    assert entries(talk) == []
    flat_and_over(talk)
    assert talk.position.close_reason is CloseReason.ENTRY_ABSENT


@pytest.mark.parametrize("reason", [RejectReason.NO_FUNDS, RejectReason.ENTRIES_CLOSED, RejectReason.TRANSIENT])
def test_not_after_a_refusal(reason: RejectReason) -> None:
    talk, first = begun()
    talk.refuse(first, reason)
    assert entries(talk) == []
    flat_and_over(talk)
    assert talk.position.close_reason is CloseReason.ENTRY_REFUSED


def test_not_after_the_venue_rejected_it_later() -> None:
    talk, first = begun(venue=BYBIT)
    talk.accept(first)
    cut(talk, first, D(0), OrderStatus.REJECTED)
    assert entries(talk) == []
    flat_and_over(talk)
    assert talk.position.close_reason is CloseReason.ENTRY_EXPIRED


def test_not_when_it_filled() -> None:
    talk, first = begun()
    talk.accept(first, filled=SIZE, price=ENTRY)
    assert entries(talk) == []


def test_known_to_be_over_by_a_question_it_is_tried_again() -> None:
    talk, first = begun()
    talk.lose(first)
    talk.found(first, OrderStatus.EXPIRED)
    assert [e.quantity for e in entries(talk)] == [SIZE]


@pytest.mark.parametrize(("seconds", "tries"), [(2.9, 1), (3.1, 0), (60, 0)])
def test_only_while_the_entry_is_fresh(seconds: float, tries: int) -> None:
    talk, first = begun()
    talk.accept(first)
    sent_at = talk.position.entry.sent_at if talk.position.entry else talk.now
    talk.now = sent_at + timedelta(seconds=seconds - 0.05)
    cut(talk, first, D(0))
    assert len(entries(talk)) == tries


@BOTH
@pytest.mark.parametrize(("mark", "tries"), [("60300", 1), ("60300.1", 0), ("59900", 1)])
def test_only_while_the_mark_is_within_the_bound(side: PositionSide, mark: str, tries: int) -> None:
    talk, first = begun(side)
    talk.mark(talk.at(mark))
    cut(talk, first, D(0))
    assert len(entries(talk)) == tries
    flat_and_over(talk)
    if not tries:
        assert talk.position.close_reason is CloseReason.SLIPPAGE
        told = next(h.data for h in talk.last.happenings if h.type is EventType.POSITION_FAILED)
        assert {name: told[name] for name in ("reason", "limit_price", "mark_price", "slippage_pct", "tries")} == {
            "reason": "slippage",
            "limit_price": str(talk.at("60300")),
            "mark_price": str(talk.at("60300.1")),
            "slippage_pct": "0.5",
            "tries": 1,
        }


def test_not_in_a_later_turn_than_the_one_that_heard_of_the_end() -> None:
    talk, first = begun()
    talk.mark(D("60300.1"))
    cut(talk, first, D(0))
    talk.mark(ENTRY)
    assert entries(talk) == []
    flat_and_over(talk)
    assert talk.position.close_reason is CloseReason.SLIPPAGE


def test_not_once_the_mark_has_passed_the_stop() -> None:
    talk, first = begun(venue=BYBIT)
    talk.mark(D(58_700))
    cut(talk, first, D(0))
    assert entries(talk) == []


def test_not_when_a_close_is_wanted() -> None:
    talk, first = begun()
    talk.accept(first)
    talk.hear(closing())
    cut(talk, first, PART)
    assert entries(talk) == []


def test_not_when_the_venue_shows_more_than_was_heard_of() -> None:
    talk, first = begun()
    talk.accept(first)
    talk.hear(PositionHeard(report=talk.row(HALF, talk.now + timedelta(seconds=1))))
    cut(talk, first, PART)
    assert entries(talk) == []


def test_not_for_a_rest_that_the_venue_would_not_take() -> None:
    talk, first = begun()
    cut(talk, first, D("0.009"))  # 0.001 at 60,000 is below the 100 that it wants
    assert entries(talk) == []
    assert ledger.exposure(talk.position) == D("0.009")


def test_not_on_bybit_when_the_stop_of_what_was_filled_is_gone() -> None:
    talk, first = begun(venue=BYBIT)
    talk.fill(talk.id_of(first), first.side, PART, ENTRY, client_id=first.client_id)
    talk.now += timedelta(seconds=1)
    talk.hear(PositionHeard(report=replace(talk.row(PART), attached_stop=D(0))))
    assert resting(talk.position) == []
    cut(talk, first, PART)
    assert entries(talk) == []


def test_not_by_a_new_owner() -> None:
    talk, first = begun()
    talk.restart()
    talk.mark(ENTRY)
    talk.found(first, OrderStatus.EXPIRED)
    assert talk.position.epoch != getattr(parse_client_id(first.client_id), "epoch", None)
    assert entries(talk) == []
    flat_and_over(talk)
    assert talk.position.close_reason is CloseReason.SLIPPAGE


@VENUES
def test_killed_between_the_tries_the_position_is_what_was_filled(venue: VenueRules) -> None:
    talk, first = begun(venue=venue)
    cut(talk, first, PART)
    (second,) = entries(talk)
    talk.position = codec.position_from_json(codec.position_to_json(talk.position))
    talk.restart()
    assert entries(talk) == []
    sent = [w.intent for w in talk.wait(4) if isinstance(w, Place)]
    assert all(intent.kind is OrderKind.STOP for intent in sent)
    talk.absent(second)
    assert entries(talk) == []
    assert talk.position.entry is not None
    assert talk.position.entry.state is OrderState.REFUSED
    assert ledger.exposure(talk.position) == PART


def test_a_second_try_in_doubt_is_not_sent_again() -> None:
    talk, first = begun()
    cut(talk, first, D(0))
    (second,) = entries(talk)
    talk.lose(second)
    wanted = talk.wait(3.2)
    assert not [w for w in wanted if isinstance(w, Place)]
    talk.absent(second)
    assert entries(talk) == []
    flat_and_over(talk)
    assert (talk.position.phase, talk.position.close_reason) == (Phase.FAILED, CloseReason.SLIPPAGE)


def test_a_state_that_is_older_than_the_bound_is_read() -> None:
    talk = Conversation()
    stored = codec.position_to_json(talk.position)
    for name in ("entry_got", "earlier"):
        stored = stored.replace(f'"{name}":null,', "")
    stored = stored.replace(',"slippage_pct":"0"', "")
    assert "slippage" not in stored
    assert "earlier" not in stored
    assert codec.position_from_json(stored) == talk.position
