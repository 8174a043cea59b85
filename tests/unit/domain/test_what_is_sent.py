"""Every order whole, as it goes to the gateway, and how an order is named to the venue afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.identity import Epoch, OrderKind, mint_client_id
from domain.instrument import PositionSide
from domain.orders import OrderIntent, OrderRef, OrderStatus, TriggerBy
from domain.position.effects import AskFills, Cancel, Find
from domain.position.inputs import Begin, StopWanted
from domain.position.plan import Plan, Protection, TrailingRules
from domain.position.state import CloseReason, OrderState, Position
from domain.records import OrderChange
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing, protected
from tests.unit.domain.samples import POSITION, START, D

BOTH = pytest.mark.parametrize("side", list(PositionSide))


def order(side: PositionSide, sequence: int, kind: OrderKind, **changes: Any) -> OrderIntent:
    """An order of the position of these tests, with what every one has."""
    common: dict[str, Any] = {
        "client_id": mint_client_id("ab12", POSITION, Epoch(1, 1), sequence, kind),
        "position_id": POSITION,
        "account": "main",
        "symbol": "BTCUSDT",
        "kind": kind,
        "side": side.opening if kind is OrderKind.ENTRY else side.closing,
        "position_side": side,
        "quantity": SIZE,
        "reduce_only": kind is not OrderKind.ENTRY,
    }
    return OrderIntent(**{**common, **changes})


@BOTH
def test_the_entry(side: PositionSide) -> None:
    talk = Conversation(side)
    assert talk.placed() == order(side, 1, OrderKind.ENTRY, reference_price=ENTRY)
    assert talk.last.orders == (
        OrderChange(
            client_id=talk.placed().client_id,
            position_id=POSITION,
            status=OrderStatus.NEW,
            at=talk.now,
            intent=talk.placed(),
        ),
    )
    assert talk.last.record
    entry = talk.position.entry
    assert entry is not None
    assert (entry.quantity, entry.state, entry.sent_at) == (SIZE, OrderState.SENDING, talk.now)


def test_an_entry_is_sent_once() -> None:
    talk = Conversation()
    assert talk.hear(Begin()).effects == ()


@BOTH
def test_the_first_stop_and_its_move(side: PositionSide) -> None:
    talk = Conversation(side)
    talk.accept(talk.placed(), filled=SIZE)
    first = talk.placed()
    assert first == order(side, 2, OrderKind.STOP, trigger_price=talk.at(58_800), urgent=True)
    talk.size(SIZE)
    talk.accept(first)
    talk.mark(ENTRY)
    talk.mark(talk.at(61_000))
    trigger = talk.position.trail.wanted
    assert talk.placed() == order(side, 3, OrderKind.STOP, trigger_price=trigger, reference_price=talk.at(61_000))


@BOTH
def test_the_stop_that_replaces_a_lost_one_is_urgent(side: PositionSide) -> None:
    talk, stop = protected(side)
    talk.see(stop, OrderStatus.CANCELED)
    guard = order(side, 3, OrderKind.STOP, trigger_price=talk.at(58_800), reference_price=ENTRY, urgent=True)
    assert talk.placed() == guard


@BOTH
def test_the_price_that_triggers_is_the_plans(side: PositionSide) -> None:
    plan = Plan(
        quantity=SIZE,
        protection=Protection(trigger_by=TriggerBy.LAST, stop_pct=D(1)),
        trailing=TrailingRules(),
        reference_price=ENTRY,
    )
    talk = Conversation(side)
    talk.position = Position(
        id=POSITION, account="main", exchange="binanceusdm", instance="ab12", instrument=talk.position.instrument,
        side=side, plan=plan, epoch=Epoch(1, 1), correlation_id="c", opened_at=START,
    )  # fmt: skip
    talk.hear(Begin())
    assert talk.placed().trigger_by is TriggerBy.LAST
    talk.accept(talk.placed(), filled=SIZE)
    expected = order(side, 2, OrderKind.STOP, trigger_price=talk.at(59_400), urgent=True, trigger_by=TriggerBy.LAST)
    assert talk.placed() == expected


@BOTH
def test_the_exit(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.hear(closing())
    assert talk.placed() == order(side, 3, OrderKind.EXIT, reference_price=ENTRY)
    (sent,) = talk.position.exits
    assert (sent.quantity, sent.sent_at, sent.reason, sent.final) == (SIZE, talk.now, CloseReason.OPERATOR, True)


def test_a_part_is_cut_to_the_step_and_is_not_final() -> None:
    talk, _ = protected()
    talk.hear(closing("0.55"))
    assert talk.placed().quantity == D("0.005")
    assert not talk.position.exits[0].final
    assert talk.position.close_wanted is None
    assert talk.position.close_fraction is None


def test_a_part_smaller_than_the_step_is_nothing() -> None:
    talk, _ = protected()
    talk.hear(closing("0.05"))
    assert talk.last.effects == ()
    assert talk.position.close_fraction is None


def test_a_wish_to_close_is_not_weakened_by_a_later_one() -> None:
    talk, _ = protected()
    talk.hear(closing())
    assert talk.hear(closing("0.5")).happenings == ()
    assert talk.position.close_fraction is None


def test_one_market_order_carries_no_more_than_the_venue_takes() -> None:
    talk, _ = protected()
    talk.position = replace(
        talk.position, instrument=replace(talk.position.instrument, max_market_quantity=D("0.006"))
    )
    talk.hear(closing())
    first = talk.placed()
    assert first.quantity == D("0.006")
    talk.accept(first, filled=D("0.006"))
    talk.size(D("0.004"))
    talk.wait(0.3)
    assert [x.quantity for x in talk.position.exits] == [D("0.006"), D("0.004")]


@BOTH
def test_an_operators_stop_comes_onto_the_tick_towards_the_mark(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.hear(StopWanted(price=talk.at("59000.04")))
    assert talk.placed().trigger_price == talk.at("59000.1")
    assert not talk.placed().urgent


@BOTH
def test_a_resting_order_is_named_by_both_ids(side: PositionSide) -> None:
    talk, stop = protected(side)
    named = OrderRef(
        symbol="BTCUSDT", client_id=stop.client_id, exchange_id=talk.id_of(stop), conditional=True, position_side=side
    )
    talk.mark(talk.at(61_000))
    talk.accept(talk.placed())
    (cancel,) = talk.wants(Cancel)
    assert (cancel.ref, cancel.client_id) == (named, stop.client_id)
    talk.restart()
    assert named in [find.ref for find in talk.wants(Find)]


def test_a_market_order_of_unknown_fate_is_named_by_ours() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.lose(entry)
    (find,) = talk.wants(Find)
    assert find.ref == OrderRef(
        symbol="BTCUSDT",
        client_id=entry.client_id,
        exchange_id=None,
        conditional=False,
        position_side=PositionSide.LONG,
    )


def test_executions_are_asked_for_from_just_before_the_opening() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, SIZE, D(58_800))
    talk.size(D(0))
    assert talk.wants(AskFills) == [AskFills(since=START - timedelta(seconds=5))]


def test_the_record_counts_versions_and_notes_do_not() -> None:
    talk, _ = protected()
    version = talk.position.version
    assert not talk.mark(D(60_010)).record
    assert talk.position.version == version
    assert talk.hear(closing()).record
    assert talk.position.version == version + 1
