"""Found by a second reading: what could go wrong with real money behind it, each told as the shortest conversation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from adapters.exchange import bybit_rows
from adapters.exchange.venue import attached_id
from domain.catalogue import EventType
from domain.entries.opening import adopted_position
from domain.identity import Epoch, OrderKind
from domain.instrument import PositionSide
from domain.orders import CancelResult, Found, NotFound, OrderIntent, OrderReport, OrderStatus, RejectReason, Source
from domain.position import attached as on_the_position
from domain.position import cover, ledger
from domain.position.effects import AskFills, AskPosition, Cancel, Effect, Find, Place
from domain.position.inputs import (
    AnswerHeard,
    InstrumentHeard,
    OrderHeard,
    PositionHeard,
    Recovered,
    StopWanted,
    View,
)
from domain.position.plan import TakeProfit, VenueRules
from domain.position.state import CloseReason, OrderState, Phase, Purpose, TrailState
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing, protected, resting
from tests.unit.domain.samples import BTC, D
from tests.unit.domain.test_moves_by_venue import (
    ATTACHED,
    BOTH,
    CLOSE_POSITION,
    amendable,
    attached,
    moving,
    on_position,
    row,
)
from tests.unit.domain.test_targets import resting as with_targets

LONG = PositionSide.LONG
PART = D("0.004")


def intents(effects: Iterable[Effect], kind: OrderKind | None = None) -> list[OrderIntent]:
    return [e.intent for e in effects if isinstance(e, Place) and kind in (None, e.intent.kind)]


def reading(talk: Conversation, trigger: Decimal, source: Source = Source.QUERY) -> OrderReport:
    """The stop on the position, read from the position: it goes by the position's name, not by an order's id."""
    return OrderReport(
        symbol="BTCUSDT",
        client_id=None,
        exchange_id=attached_id("BTCUSDT", talk.side),
        conditional=True,
        side=talk.side.closing,
        status=OrderStatus.ACK,
        quantity=SIZE,
        filled=D(0),
        average_price=None,
        trigger_price=trigger,
        reduce_only=True,
        close_position=True,
        position_side=None,
        child_id=None,
        reason="",
        at=talk.now,
        source=source,
        attached=True,
    )


def answer(talk: Conversation, find: Find, trigger: Decimal) -> None:
    talk.hear(AnswerHeard(answer=Found(ref=find.ref, report=reading(talk, trigger), asked_at=talk.now)))


def bybit_says(talk: Conversation, status: str, executed: str = "0") -> None:
    """A row of the order stream about the stop on the position: one id before and after the trigger."""
    moment = str(int(talk.now.timestamp() * 1000))
    order = {
        "symbol": "BTCUSDT",
        "orderId": "V",
        "orderLinkId": "",
        "side": talk.side.closing.capitalize(),
        "qty": str(SIZE),
        "cumExecQty": executed,
        "avgPrice": "58790" if executed != "0" else "",
        "orderStatus": status,
        "stopOrderType": "StopLoss",
        "createType": "CreateByStopLoss",
        "tpslMode": "Full",
        "triggerPrice": "58800",
        "reduceOnly": True,
        "positionIdx": 0,
        "updatedTime": moment,
        "rejectReason": "EC_NoError",
        "cancelType": "UNKNOWN",
    }
    for report in bybit_rows.orders(order, Source.STREAM):
        talk.hear(OrderHeard(report=report))


# Stops on the position itself.


def test_the_core_and_the_venue_call_the_stop_on_a_position_the_same() -> None:
    talk, _ = attached(LONG)
    assert on_the_position.name(talk.position) == attached_id("BTCUSDT", LONG)


@BOTH
def test_a_reading_of_the_stop_on_the_position_is_of_the_one_in_question_not_of_a_lost_one(side: PositionSide) -> None:
    talk, _ = attached(side)
    talk.now += timedelta(seconds=4)
    talk.hear(row(talk, SIZE, D(0)))
    again = talk.placed(OrderKind.STOP)
    assert again.trigger_price is not None
    talk.lose(again)
    (find,) = talk.wants(Find)
    answer(talk, find, again.trigger_price)
    assert [(s.client_id, s.trigger) for s in resting(talk.position)] == [(again.client_id, again.trigger_price)]
    assert talk.position.unprotected_since is None


def test_late_news_of_a_lost_stops_own_order_are_not_the_next_ones() -> None:
    talk, _ = attached(LONG)
    bybit_says(talk, "Triggered")
    bybit_says(talk, "Rejected")
    (find,) = talk.wants(Find)
    talk.now += timedelta(seconds=0.1)
    talk.position = talk.position.changed(
        stops=tuple(replace(s, sent_at=s.sent_at - timedelta(seconds=9)) for s in talk.position.stops)
    )
    talk.hear(AnswerHeard(answer=NotFound(ref=find.ref, asked_at=talk.now)))
    talk.accept(talk.placed(OrderKind.STOP))
    bybit_says(talk, "Triggered")
    assert [s.state for s in resting(talk.position)] == [OrderState.LIVE]


def adopted(side: PositionSide) -> Conversation:
    """A position that was just adopted at a venue where stops stand on the position."""
    talk = Conversation(side, adopted=True, venue=ATTACHED)
    p = talk.position
    talk.position = adopted_position(
        position_id=p.id,
        account="main",
        exchange="bybit",
        instance="ab12",
        instrument=BTC,
        side=side,
        quantity=SIZE,
        entry_price=ENTRY,
        mark_price=ENTRY,
        plan=p.plan,
        epoch=p.epoch,
        now=talk.now,
        correlation_id="c",
    )
    talk.hear(Recovered(epoch=Epoch(1, 1)))
    return talk


@BOTH
def test_adoption_overwrites_no_tighter_stop_and_trails_from_it(side: PositionSide) -> None:
    talk = adopted(side)
    assert intents(talk.last.effects) == []
    talk.hear(PositionHeard(report=replace(talk.row(SIZE), attached_stop=talk.at(59_400)), asked_at=talk.now))
    assert intents(talk.last.effects) == []
    assert [s.trigger for s in resting(talk.position)] == [talk.at(59_400)]
    assert talk.position.trail.state is TrailState.INACTIVE


def test_adoption_does_not_wait_long_for_a_reading() -> None:
    talk = adopted(LONG)
    (stop,) = intents(talk.wait(1.1), OrderKind.STOP)
    assert stop.trigger_price == D(58_800)


def test_adoption_of_a_bare_position_protects_it_with_the_first_reading() -> None:
    talk = adopted(LONG)
    talk.now += timedelta(milliseconds=10)
    talk.hear(PositionHeard(report=replace(talk.row(SIZE), attached_stop=D(0)), asked_at=talk.now))
    assert talk.placed(OrderKind.STOP).trigger_price == D(58_800)


@BOTH
def test_what_a_human_tightened_after_an_operators_stop_is_not_loosened(side: PositionSide) -> None:
    talk, _ = attached(side)
    talk.hear(StopWanted(price=talk.at(59_000)))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.now += timedelta(seconds=4)
    tighter = talk.at(59_500)
    shown = replace(talk.row(SIZE), attached_stop=tighter)
    talk.hear(View(report=shown, orders=(reading(talk, tighter, Source.SNAPSHOT),), asked_at=talk.now))
    assert intents(talk.last.effects) == []
    assert [s.trigger for s in resting(talk.position)] == [tighter]


def test_what_a_human_loosened_after_an_operators_stop_is_put_right() -> None:
    talk, _ = attached(LONG)
    talk.hear(StopWanted(price=D(59_000)))
    talk.accept(talk.placed(OrderKind.STOP))
    talk.now += timedelta(seconds=4)
    shown = replace(talk.row(SIZE), attached_stop=D(58_000))
    talk.hear(View(report=shown, orders=(reading(talk, D(58_000), Source.SNAPSHOT),), asked_at=talk.now))
    assert talk.placed(OrderKind.STOP).trigger_price == D(59_000)


def test_a_stop_on_a_strangers_position_after_the_end_is_not_taken() -> None:
    talk, _ = attached(LONG)
    talk.hear(closing())
    talk.accept(talk.placed(OrderKind.EXIT), filled=SIZE)
    talk.size(D(0))
    assert talk.position.over_at is not None
    talk.hear(row(talk, SIZE, D(59_000)))
    assert EventType.STOP_LOSS_EXISTS not in talk.said()


def test_an_unknown_change_a_crash_and_another_hand_end_at_the_better_stop() -> None:
    talk, _ = attached(LONG)
    talk.now += timedelta(seconds=10)
    move = moving(talk)
    talk.lose(move)
    talk.restart()
    value, wanted = D(58_000), list(talk.last.effects)  # a human has set it looser meanwhile
    for _ in range(40):
        following: list[Effect] = []
        for effect in wanted:
            if isinstance(effect, Find):
                answer(talk, effect, value)
            elif isinstance(effect, AskPosition):
                talk.hear(PositionHeard(report=replace(talk.row(SIZE), attached_stop=value), asked_at=talk.now))
            elif isinstance(effect, Place):
                assert effect.intent.trigger_price is not None
                value = effect.intent.trigger_price
                talk.accept(effect.intent)
            else:
                continue
            following += talk.last.effects
        wanted = following or talk.wait(0.5)
    assert value == move.trigger_price
    assert [s.trigger for s in resting(talk.position)] == [value]


def test_a_change_accepted_after_the_loss_of_what_it_changed_is_verified() -> None:
    talk, stop = amendable(LONG)
    move = moving(talk)
    talk.see(stop, OrderStatus.CANCELED)
    talk.accept(move)
    (find,) = talk.wants(Find)
    assert find.ref.exchange_id == talk.id_of(stop)


def test_an_amendment_accepted_after_the_trigger_is_of_the_order_that_triggered() -> None:
    talk, stop = amendable(LONG)
    move = moving(talk)
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.accept(move)
    fired = [(s.client_id, s.child_id) for s in talk.position.stops if s.state is OrderState.TRIGGERED]
    assert fired == [(move.client_id, "77")]
    assert resting(talk.position) == []
    assert [i.quantity for i in intents(talk.wait(1.5), OrderKind.EXIT)] == [SIZE]


def test_what_an_attached_stop_left_open_is_closed_though_a_change_was_accepted_after_its_trigger() -> None:
    talk, _ = attached(LONG)
    move = moving(talk)
    fired = replace(
        on_position(talk, move, D(58_800), talk.now, Source.STREAM), status=OrderStatus.TRIGGERED, child_id="v1"
    )
    talk.hear(OrderHeard(report=fired))
    talk.accept(move)
    assert [i.quantity for i in intents(talk.wait(1.5), OrderKind.EXIT)] == [SIZE]


# Bybit: one id before and after the trigger.


def test_the_rest_of_an_attached_stop_that_filled_in_part_is_closed() -> None:
    talk, _ = attached(LONG)
    bybit_says(talk, "Untriggered")
    bybit_says(talk, "Triggered")
    assert talk.position.phase is Phase.CLOSING
    bybit_says(talk, "PartiallyFilled", "0.004")
    talk.fill("V", talk.side.closing, PART, D(58_790))
    talk.hear(row(talk, SIZE - PART, D(0)))
    bybit_says(talk, "PartiallyFilledCanceled", "0.004")
    wanted = [*talk.last.effects, *talk.wait(1.5)]
    assert [i.quantity for i in intents(wanted, OrderKind.EXIT)][:1] == [SIZE - PART]


def test_a_zero_row_before_the_stops_own_news_is_a_stop_loss_all_the_same() -> None:
    talk, _ = attached(LONG)
    talk.hear(row(talk, D(0), D(0)))
    assert intents(talk.last.effects) == []
    bybit_says(talk, "Filled", str(SIZE))
    talk.fill("V", talk.side.closing, SIZE, D(58_790))
    talk.size(D(0), asked=True)
    talk.listed()
    assert (talk.position.phase, talk.position.close_reason) == (Phase.CLOSED, CloseReason.STOP_LOSS)


def test_a_partly_filled_entry_whose_rest_was_cancelled_keeps_its_stop() -> None:
    talk = Conversation(venue=ATTACHED)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry)
    talk.see(entry, OrderStatus.PART_FILLED, filled=PART, price=ENTRY)
    talk.hear(row(talk, PART, D(58_800)))
    talk.see(entry, OrderStatus.CANCELED, filled=PART, price=ENTRY)
    assert talk.position.phase is Phase.ACTIVE
    assert (cover.cover(talk.position), len(resting(talk.position))) == (PART, 1)


# What is refused, lost or expires.


@pytest.mark.parametrize("attaches", [False, True])
def test_a_stop_refused_for_want_of_a_position_asks_for_its_size_at_once(attaches: bool) -> None:
    if attaches:
        talk, _ = attached(LONG)
        stop = moving(talk)
    else:
        talk = Conversation()
        talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
        stop = talk.placed(OrderKind.STOP)
    talk.refuse(stop, RejectReason.REDUCE_ONLY)
    assert talk.wants(AskPosition)


@pytest.mark.parametrize("venue", [VenueRules(), ATTACHED])
def test_stops_that_vanish_as_soon_as_they_stand_are_set_again_without_a_storm(venue: VenueRules) -> None:
    talk = Conversation(venue=venue)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    talk.mark(ENTRY)
    sent, until = 0, talk.now + timedelta(minutes=1)
    wanted: list[OrderIntent] = intents(talk.last.effects, OrderKind.STOP)
    if venue.attached_stop:
        talk.hear(row(talk, SIZE, D(0)))
        wanted = [talk.placed(OrderKind.STOP)]
    else:
        wanted = intents(talk.wait(2), OrderKind.STOP)
    while talk.now < until:
        for stop in wanted:
            sent += 1
            talk.accept(stop)
            if venue.attached_stop:
                talk.now += timedelta(milliseconds=10)
                talk.hear(row(talk, SIZE, D(0)))
            else:
                talk.see(stop, OrderStatus.EXPIRED)
        wanted = intents(talk.last.effects, OrderKind.STOP) if wanted else []
        wanted = wanted or intents(talk.wait(0.25), OrderKind.STOP)
    assert 40 < sent < 80  # once a second: an outsider's act is made good within a second (S1), and no more often


def test_exits_that_expire_unfilled_call_for_the_emergency_stop() -> None:
    talk = Conversation()
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    pending = [talk.placed(OrderKind.STOP)]
    talk.mark(ENTRY)
    for _ in range(40):
        following: list[OrderIntent] = []
        for intent in pending:
            if intent.kind is OrderKind.STOP:
                talk.refuse(intent)
                following += intents(talk.last.effects)
                continue
            talk.accept(intent)
            talk.see(intent, OrderStatus.EXPIRED)
            talk.size(SIZE, asked=True)
            following += intents(talk.last.effects)
        pending = following or intents(talk.wait(0.3))
        if talk.position.stops[-1].purpose is Purpose.EMERGENCY:
            break
    assert talk.position.stops[-1].purpose is Purpose.EMERGENCY


def test_the_pause_between_exits_that_expire_unfilled_grows() -> None:
    talk, _ = protected()
    talk.hear(closing())
    sent, until = 0, talk.now + timedelta(minutes=1)
    pending = [talk.placed(OrderKind.EXIT)]
    while talk.now < until:
        for leave in pending:
            sent += 1
            talk.accept(leave)
            talk.see(leave, OrderStatus.EXPIRED)
            talk.size(SIZE, asked=True)
        pending = intents(talk.last.effects, OrderKind.EXIT) or intents(talk.wait(0.3), OrderKind.EXIT)
    assert 8 < sent < 30


def test_a_refused_stop_that_closes_the_position_is_followed_by_one_of_a_quantity() -> None:
    talk = Conversation(venue=CLOSE_POSITION)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=PART)
    first = talk.placed(OrderKind.STOP)
    assert first.close_position
    talk.refuse(first, RejectReason.LIMIT)  # a stranger's stands in this direction
    (second,) = intents(talk.wait(1), OrderKind.STOP)
    assert (second.close_position, second.quantity) == (False, PART)


def test_a_stop_that_closes_the_position_its_reduction_by_hand_its_move_and_an_unknown_cancel() -> None:
    talk = Conversation(venue=CLOSE_POSITION)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry, filled=PART)
    first = talk.placed(OrderKind.STOP)
    talk.accept(first)
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    talk.size(SIZE)
    talk.mark(ENTRY)
    talk.fill("h1", talk.side.closing, SIZE - PART, ENTRY)
    talk.size(PART)
    assert intents(talk.last.effects) == []
    move = moving(talk)
    assert (move.quantity, move.close_position) == (PART, False)
    talk.accept(move)
    (cancel,) = talk.wants(Cancel)
    assert cancel.client_id == first.client_id
    talk.cancelled(cancel, CancelResult.UNKNOWN)
    assert len(resting(talk.position)) == 2
    talk.found(first, OrderStatus.ACK)
    assert first.client_id in [e.client_id for e in talk.wait(3) if isinstance(e, Cancel)]


@BOTH
def test_a_trigger_that_the_venue_rejected_does_not_end_the_trailing(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.mark(talk.at(61_000))
    moved = talk.placed(OrderKind.STOP)
    talk.accept(moved)
    talk.cancelled(talk.wants(Cancel)[0])
    talk.see(moved, OrderStatus.TRIGGERING)
    talk.see(moved, OrderStatus.REJECTED)
    talk.accept(talk.placed(OrderKind.STOP))
    talk.mark(talk.at(62_000))
    assert talk.placed(OrderKind.STOP).trigger_price == talk.position.trail.wanted


@BOTH
def test_after_a_change_of_the_tick_a_stop_is_set_again_on_the_new_one(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.hear(StopWanted(price=talk.at(59_000) + D("0.1")))
    set_by_operator = talk.placed(OrderKind.STOP)
    talk.accept(set_by_operator)
    talk.cancelled(talk.wants(Cancel)[0])
    talk.hear(InstrumentHeard(instrument=replace(BTC, tick=D(1))))
    assert intents(talk.last.effects) == []  # what rests stays as it is
    talk.see(set_by_operator, OrderStatus.EXPIRED)
    again = talk.placed(OrderKind.STOP)
    assert again.trigger_price == talk.position.instrument.stop_price(side, talk.at(59_000) + D("0.1"))
    talk.accept(again)
    talk.mark(ENTRY)
    assert intents(talk.last.effects) == []  # not forced back to where it cannot be


# What exists after all.


def test_an_entry_that_has_filled_was_taken_whatever_the_venue_answers() -> None:
    talk = Conversation(venue=ATTACHED)
    entry = talk.placed(OrderKind.ENTRY)
    talk.lose(entry)
    talk.fill("x-1e", entry.side, SIZE, ENTRY, client_id=entry.client_id)
    talk.now += timedelta(seconds=4)
    talk.absent(entry)
    assert EventType.ENTRY_REFUSED not in talk.said()
    assert talk.position.entry is not None
    assert (talk.position.entry.state, talk.position.entry.exchange_id) == (OrderState.DONE, "x-1e")
    assert intents(talk.last.effects) == []
    assert [s.state for s in talk.position.stops] == [OrderState.LIVE]


def test_a_part_sold_at_market_is_not_sold_again_because_the_venue_denies_the_order() -> None:
    talk = Conversation(enabled=False)
    plan = replace(talk.position.plan, take_profits=(TakeProfit(pct=D(1), fraction=D("0.4")),))
    talk.position = talk.position.changed(plan=plan)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    talk.size(SIZE)
    talk.mark(D(60_700))  # past the target before its order rests
    talk.accept(stop)
    sale = talk.placed(OrderKind.EXIT)
    talk.lose(sale)
    talk.fill("x9", sale.side, PART, D(60_700), client_id=sale.client_id)
    talk.size(SIZE - PART)
    talk.now += timedelta(seconds=4)
    talk.absent(sale)
    wanted = [*talk.last.effects, *talk.wait(5)]
    assert intents(wanted, OrderKind.EXIT) == []


def test_the_order_of_a_triggered_target_is_asked_for_until_it_is_known() -> None:
    talk, (near, _) = with_targets()
    talk.see(near, OrderStatus.TRIGGERING)
    asked = 0
    for _ in range(6):
        for effect in talk.wait(10):
            if isinstance(effect, Find) and effect.ref.client_id == near.client_id:
                asked += 1
                talk.found(near, OrderStatus.TRIGGERING)
    assert 3 <= asked <= 12
    talk.found(near, OrderStatus.TRIGGERED, child="77")
    assert "77" in [e.ref.exchange_id for e in talk.wait(2) if isinstance(e, Find)]


def test_a_life_does_not_end_while_a_target_is_stuck_at_its_trigger() -> None:
    talk, (near, far) = with_targets()
    talk.see(near, OrderStatus.TRIGGERING)
    talk.fill("h1", talk.side.closing, SIZE, D(60_600))  # sold by hand
    talk.size(D(0))
    cancels = talk.wants(Cancel)
    assert far.client_id in [cancel.client_id for cancel in cancels]
    for cancel in cancels:
        talk.cancelled(cancel)
    talk.listed()
    assert not talk.position.phase.final
    talk.see(near, OrderStatus.TRIGGERED, child="77")
    assert not talk.position.phase.final  # what its order has executed, on whatever came to the symbol, is to be listed
    assert talk.wants(AskFills)
    talk.listed()
    assert talk.position.phase is Phase.CLOSED


def test_the_row_of_the_other_side_of_a_hedge_says_nothing_of_this_one() -> None:
    talk, _ = protected()
    other = replace(talk.row(SIZE), position_side=PositionSide.SHORT, quantity=-SIZE, attached_stop=D(61_000))
    for _ in range(4):
        talk.hear(PositionHeard(report=other, asked_at=talk.now), 1)
        talk.hear(View(report=other, orders=(), asked_at=talk.now), 1)
    assert ledger.book(talk.position) == ledger.exposure(talk.position) == SIZE
    assert talk.position.reported is not None
    assert talk.position.reported.quantity == SIZE


# A predecessor whose clock was hours ahead (LAWS, fault 12).


def two_hours_back(talk: Conversation) -> None:
    talk.now -= timedelta(hours=2)
    talk.restart()


@BOTH
def test_a_lost_stop_is_believed_lost_though_it_is_dated_in_the_future(side: PositionSide) -> None:
    talk, stop = protected(side)
    two_hours_back(talk)
    again: list[OrderIntent] = []
    for _ in range(10):
        talk.hear(AnswerHeard(answer=NotFound(ref=talk.ref(stop), asked_at=talk.now)), 0.5)
        again += intents(talk.last.effects, OrderKind.STOP)
    assert len(again) == 1


def test_the_stop_trails_though_its_last_move_is_dated_in_the_future() -> None:
    talk, _ = protected(min_interval_s=D(5))
    talk.mark(D(61_000))
    move = talk.placed(OrderKind.STOP)
    talk.accept(move)
    talk.cancelled(talk.wants(Cancel)[0])
    two_hours_back(talk)
    talk.found(move, OrderStatus.ACK)
    talk.size(SIZE, asked=True)
    talk.now += timedelta(seconds=6)
    talk.mark(D(62_000))
    assert talk.placed(OrderKind.STOP).kind is OrderKind.STOP


def test_a_triggered_stop_is_given_a_second_though_its_trigger_is_dated_in_the_future() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    two_hours_back(talk)
    assert len(intents(talk.wait(2), OrderKind.EXIT)) == 1


def test_unprotected_time_is_never_negative() -> None:
    talk = Conversation()
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    assert EventType.POSITION_UNPROTECTED in talk.said()
    two_hours_back(talk)
    talk.found(stop, OrderStatus.ACK)
    assert EventType.POSITION_PROTECTED in talk.said()
    assert 0 <= talk.position.unprotected_seconds < 1


# What a position remembers of itself.


def test_a_price_that_touched_the_stop_calms_nobody() -> None:
    talk, _ = protected(breakeven_pct=D("0.15"), activation_pct=D(5))
    talk.mark(D(60_080))  # not yet worth the break-even
    p = talk.position
    assert p.reported is not None
    talk.position = p.changed(
        adopted_quantity=SIZE,
        adopted_price=D(59_000),  # bought more by hand, lower
        stops=tuple(replace(s, quantity=2 * SIZE) for s in p.stops),
        reported=replace(p.reported, quantity=2 * SIZE),
    )
    talk.mark(D(59_500), low=D(58_800), high=D(59_500))
    assert talk.position.calm is None
    talk.mark(D(59_500))
    assert EventType.TRAILING_BREAKEVEN in talk.said()
