"""News, readings and answers about one order: by whichever id, in whichever order, believed only when they prove it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.identity import OrderKind, PositionId, mint_client_id
from domain.instrument import PositionSide
from domain.orders import CancelOutcome, CancelResult, Found, NotFound, OrderStatus, Source
from domain.position.effects import AskCandles, Cancel, Find
from domain.position.inputs import AnswerHeard, CancelHeard, CandlesHeard, OrderHeard, TrailingWanted, View, Wake
from domain.position.plan import MoveStyle, TrailingRules, VenueRules
from domain.position.state import CloseReason, OrderState, Phase, TrailState
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing, protected, resting
from tests.unit.domain.samples import D
from tests.unit.domain.telling import rows, told


def until_asked(talk: Conversation, limit: float = 20) -> float:
    """Seconds until the next question about an order."""
    began = talk.now
    while (talk.now - began).total_seconds() < limit:
        assert talk.last.wake_at is not None
        talk.hear(Wake(), max((talk.last.wake_at - talk.now).total_seconds(), 0.001))
        if talk.wants(Find):
            return round((talk.now - began).total_seconds(), 3)
    raise AssertionError(f"nothing asked within {limit} s")


def test_an_order_is_known_by_the_venues_id_alone() -> None:
    talk, stop = protected()
    nameless = replace(talk.order(stop, OrderStatus.CANCELED), client_id=None)
    talk.hear(OrderHeard(report=nameless))
    assert told(talk)[0][0] == "stop_loss_lost"


def test_an_answer_is_known_by_the_venues_id_alone() -> None:
    talk, stop = protected()
    ref = replace(talk.ref(stop), client_id=None, exchange_id=talk.id_of(stop))
    talk.now += timedelta(seconds=5)
    talk.hear(AnswerHeard(answer=NotFound(ref=ref, asked_at=talk.now)))
    assert told(talk)[0][:2] == (
        "stop_loss_lost",
        {"stop_price": "58800", "status": "expired", "error": "no such order"},
    )
    assert rows(talk)[0] == ("2s", "expired", "x-2s", "no such order")


def test_a_cancel_is_known_by_the_venues_id_alone() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    talk.accept(talk.placed())
    (cancel,) = talk.wants(Cancel)
    outcome = CancelOutcome(
        ref=replace(cancel.ref, client_id=None), result=CancelResult.DONE, code="", text="", answered_at=talk.now
    )
    talk.hear(CancelHeard(outcome=outcome))
    assert told(talk) == [("stop_loss_cancelled", {"stop_price": "58800"}, "2s")]


def test_absence_within_the_receive_window_is_asked_about_until_just_after_it() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    move = talk.placed()
    talk.lose(move)
    proof_at = talk.position.stops[-1].absence_proof_at
    assert proof_at is not None
    waits = []
    while talk.now < proof_at:
        talk.absent(move)
        assert talk.position.stops[-1].state is OrderState.UNKNOWN
        waits.append(until_asked(talk))
    assert waits[:2] == [0.5, 1.0]
    assert talk.now == proof_at + timedelta(milliseconds=50)
    talk.absent(move)
    assert talk.position.stops[0].client_id != move.client_id
    assert [s.state for s in talk.position.stops if s.client_id == move.client_id] in ([], [OrderState.REFUSED])


def test_an_order_that_the_venue_has_accepted_is_not_absent_because_one_reading_lacks_it() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.accept(entry)
    talk.now += timedelta(seconds=10)
    talk.absent(entry)
    assert talk.position.entry is not None
    assert talk.position.entry.state is OrderState.LIVE
    assert talk.position.phase is Phase.ENTRY_PLACED
    assert until_asked(talk) == 0.25


def test_an_amendment_whose_order_is_gone_was_not_made() -> None:
    talk = Conversation(venue=VenueRules(move=MoveStyle.AMEND))
    talk.accept(talk.placed(), filled=SIZE)
    stop = talk.placed()
    talk.size(SIZE)
    talk.accept(stop)
    talk.mark(ENTRY)
    talk.mark(D(61_000))
    move = talk.placed()
    talk.lose(move)
    talk.now += timedelta(seconds=4)
    talk.absent(move)
    why = "what it was to change is gone"
    assert told(talk)[0] == ("trailing_move_failed", {"stop_price": "60695", "error": why}, "3s")
    assert stop.client_id in [find.ref.client_id for find in talk.wants(Find)]


def test_an_order_of_another_position_of_ours_is_not_taken() -> None:
    talk, stop = protected()
    others = mint_client_id("ab12", PositionId(talk.position.id + 1), talk.position.epoch, 9, OrderKind.STOP)
    report = replace(
        talk.order(stop, OrderStatus.ACK, source=Source.SNAPSHOT), client_id=others, exchange_id="900"
    )
    talk.hear(OrderHeard(report=report))
    assert told(talk) == []
    assert [s.client_id for s in talk.position.stops] == [stop.client_id]


def test_a_stop_of_ours_that_we_did_not_hold_is_told() -> None:
    talk, stop = protected()
    earlier = mint_client_id("ab12", talk.position.id, replace(talk.position.epoch, term=0), 9, OrderKind.STOP)
    report = replace(talk.order(stop, OrderStatus.ACK), client_id=earlier, exchange_id="900", trigger_price=D(59_000))
    talk.hear(OrderHeard(report=report))
    ((event, figures, order),) = told(talk)
    assert (event, figures) == ("stop_loss_duplicate", {"order_id": "900", "stop_price": "59000"})
    assert order == "9s"


@pytest.mark.parametrize("source", ["news", "reading"])
def test_a_stop_that_is_shown_with_another_size_is_believed_from_a_reading_only(source: str) -> None:
    talk, stop = protected()
    talk.now += timedelta(seconds=3)
    shown = replace(talk.order(stop, OrderStatus.ACK, source=Source.SNAPSHOT), quantity=D("0.005"))
    if source == "news":
        talk.hear(OrderHeard(report=shown))
        assert told(talk) == []
        assert [find.ref.client_id for find in talk.wants(Find)] == [stop.client_id]
        talk.hear(AnswerHeard(answer=Found(ref=talk.ref(stop), report=shown, asked_at=talk.now)))
    else:
        talk.hear(View(report=talk.row(SIZE), orders=(shown,), asked_at=talk.now))
    changed = {"old_stop": "58800", "new_stop": "58800", "old_quantity": "0.01", "quantity": "0.005"}
    assert told(talk)[0] == ("stop_loss_changed_outside", changed, "2s")
    assert talk.placed(OrderKind.STOP).quantity == SIZE


def test_what_a_predecessor_sent_is_absent_only_after_a_window_of_its_successor() -> None:
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    stop = talk.placed()
    talk.restart()
    taken_over = talk.now
    talk.now = taken_over + timedelta(seconds=2)
    talk.absent(stop)
    assert talk.position.stops[0].state is OrderState.UNKNOWN
    talk.now = taken_over + timedelta(seconds=3, milliseconds=100)
    talk.absent(stop)
    assert [s.state for s in talk.position.stops if s.client_id == stop.client_id] in ([], [OrderState.REFUSED])


def test_candles_that_came_are_not_asked_for_again() -> None:
    talk, _ = protected()
    talk.restart()
    assert talk.wants(AskCandles)
    talk.hear(CandlesHeard(low=D(59_900), high=D(60_100)))
    p = talk.position
    assert (p.candles_ask_at, p.candles_since) == (None, None)


def test_new_rules_do_not_take_back_what_was_reached() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    talk.accept(talk.placed())
    talk.cancelled(talk.wants(Cancel)[0])
    talk.hear(TrailingWanted(rules=TrailingRules(activation_pct=D(5), callback_pct=D(1))))
    assert talk.position.trail.state is TrailState.TRAILING
    assert talk.position.plan.trailing.callback_pct == D(1)
    assert [s.trigger for s in resting(talk.position)] == [D(60_695)]


def test_at_the_end_no_order_is_left_open() -> None:
    talk, stop = protected()
    talk.hear(closing())
    exit_order = talk.placed()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.accept(exit_order, filled=SIZE)
    talk.size(D(0))
    talk.listed()
    assert talk.position.phase is Phase.CLOSED
    assert all(s.state is OrderState.DONE for s in talk.position.stops)
    assert talk.position.unprotected_since is None


def test_an_entry_that_ended_without_a_fill() -> None:
    talk = Conversation()
    entry = talk.placed()
    talk.accept(entry)
    talk.hear(OrderHeard(report=replace(talk.order(entry, OrderStatus.EXPIRED), reason="post only")))
    assert told(talk)[0][:2] == ("entry_refused", {"reason": "expired", "code": "", "error": "post only"})
    assert rows(talk) == [("1e", "expired", "x-1e", "post only")]
    talk.size(D(0), asked=True)
    assert (talk.position.phase, talk.position.close_reason) == (Phase.FAILED, CloseReason.ENTRY_EXPIRED)


def test_an_entry_that_ended_without_a_fill_takes_its_stop_along() -> None:
    talk = Conversation(venue=VenueRules(attached_stop=True, move=MoveStyle.ATTACHED))
    entry = talk.placed()
    talk.accept(entry)
    talk.see(entry, OrderStatus.EXPIRED)
    assert ("2s", "rejected", None, "the entry ended without a fill") in rows(talk)
    talk = Conversation(venue=VenueRules(attached_stop=True, move=MoveStyle.ATTACHED))
    entry = talk.placed()
    talk.lose(entry)
    talk.now += timedelta(seconds=4)
    talk.absent(entry)
    assert ("2s", "rejected", None, "the entry never reached the venue") in rows(talk)


def test_a_stop_that_rests_otherwise_than_it_was_sent_is_known_as_it_rests() -> None:
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    stop = talk.placed()
    shown = replace(talk.order(stop, OrderStatus.ACK), trigger_price=D(58_900), quantity=D("0.008"))
    talk.hear(OrderHeard(report=shown))
    (held, *_) = talk.position.stops
    assert (held.trigger, held.quantity, held.state) == (D(58_900), D("0.008"), OrderState.LIVE)
    assert talk.placed(OrderKind.STOP).quantity == SIZE


def test_what_nobody_answered_for_is_absent_only_when_read_after_that_time() -> None:
    talk = Conversation()
    entry = talk.placed()
    sent_at = talk.now
    assert until_asked(talk) == 8.0
    talk.now = sent_at + timedelta(seconds=8, milliseconds=200)
    talk.absent(entry, asked_after=0.2)
    assert not talk.position.phase.final
    assert talk.position.entry is not None
    assert talk.position.entry.state is OrderState.UNKNOWN
    talk.absent(entry)
    assert rows(talk) == [("1e", "rejected", None, "absent after the receive window")]


def test_a_change_in_doubt_that_a_reading_lacks_is_asked_about_after_the_window() -> None:
    talk = Conversation(venue=VenueRules(move=MoveStyle.AMEND))
    talk.accept(talk.placed(), filled=SIZE)
    stop = talk.placed()
    talk.size(SIZE)
    talk.accept(stop)
    talk.mark(ENTRY)
    talk.mark(D(61_000))
    move = talk.placed()
    talk.lose(move)
    proof_at = talk.position.stops[-1].absence_proof_at
    assert proof_at is not None
    old = talk.order(stop, OrderStatus.ACK, source=Source.QUERY)
    talk.hear(AnswerHeard(answer=Found(ref=talk.ref(move), report=old, asked_at=talk.now)))
    assert talk.position.stops[-1].ask_at == proof_at + timedelta(milliseconds=50)


def test_a_word_of_the_stream_and_one_reading_are_enough() -> None:
    talk, _ = protected()
    talk.now += timedelta(seconds=5)
    talk.size(D("0.005"))
    assert talk.position.disagreements == 2
    talk.wait(0.5)
    talk.size(D("0.005"), asked=True)
    assert "position_changed_outside" in [event for event, _, _ in told(talk)]


@pytest.mark.parametrize("side", list(PositionSide))
def test_the_extreme_that_nobody_watched_is_the_favourable_end(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.restart()
    low, high = sorted((talk.at(59_500), talk.at(60_700)))
    talk.hear(CandlesHeard(low=low, high=high))
    assert talk.position.trail.extreme == talk.at(60_700)


@pytest.mark.parametrize("side", list(PositionSide))
def test_each_better_price_becomes_the_extreme_though_it_moves_nothing(side: PositionSide) -> None:
    """Between two such prices the machine rests: what it must not miss is the next better one."""
    talk, _ = protected(side)
    for price in (60_050, 60_040, 60_100, 60_099, 60_300, 60_100, 60_301):
        talk.mark(talk.at(price))
    assert talk.position.trail.extreme == talk.at(60_301)
    assert talk.position.mark_price == talk.at(60_301)


def test_at_its_age_a_position_in_profit_trails_at_once() -> None:
    talk, _ = protected(time_activation_minutes=10)
    talk.mark(D(60_100))
    talk.now = talk.position.opened_at + timedelta(minutes=10)
    talk.hear(Wake(), 0)
    assert talk.position.trail.state is TrailState.TRAILING
    assert talk.position.trail.aged


def test_new_rules_begin_the_waiting_for_its_age_anew() -> None:
    talk, _ = protected(time_activation_minutes=10)
    talk.mark(D(59_900))
    talk.now = talk.position.opened_at + timedelta(minutes=10)
    talk.hear(Wake(), 0)
    aged = talk.position.trail.aged
    talk.hear(TrailingWanted(rules=TrailingRules(time_activation_minutes=60)))
    assert (aged, talk.position.trail.aged) == (True, False)
    talk.mark(D(60_100))
    assert talk.position.trail.state is TrailState.INACTIVE


# What a restart and a reading mean for what was known before, and how a quiet price is remembered.


def test_after_a_restart_old_prices_and_old_readings_say_nothing() -> None:
    talk, _ = protected()
    talk.now += timedelta(seconds=5)
    before = talk.now
    talk.restart()
    assert talk.position.mark_price is None
    talk.view(D("0.004"), asked_at=before)
    assert told(talk) == []
    assert talk.position.disagreements == 0


def test_a_whole_reading_counts_like_an_answer_about_the_size() -> None:
    talk, stop = protected()
    talk.now += timedelta(seconds=5)
    shown = talk.order(stop, OrderStatus.ACK, source=Source.SNAPSHOT)
    talk.view(D("0.005"), shown)
    found = {"finding": "quantity", "book": "0.01", "exchange": "0.005", "seen": "1/2"}
    assert told(talk) == [("reconcile_finding", found, None)]


@pytest.mark.parametrize("side", list(PositionSide))
def test_a_quiet_price_is_remembered_as_quiet_up_to_the_next_extreme(side: PositionSide) -> None:
    talk, _ = protected(side)
    talk.mark(talk.at(59_990))
    calm = talk.position.calm
    assert calm is not None
    assert (calm.low, calm.high) == tuple(sorted((talk.at(58_800), talk.at(60_000))))
    talk.position = talk.position.changed(phase=talk.position.phase)
    assert talk.position.calm is None


def test_nothing_is_quiet_while_something_is_under_way() -> None:
    talk, _ = protected(min_interval_s=D(5))
    talk.mark(D(61_000))
    move = talk.placed()
    talk.mark(D(60_990))
    assert talk.position.calm is None  # a move is on its way
    talk.accept(move)
    (cancel,) = talk.wants(Cancel)
    talk.mark(D(60_980))
    assert talk.position.calm is None  # the old one is being cancelled
    talk.cancelled(cancel)
    talk.mark(D(62_000))
    talk.mark(D(61_990))
    assert talk.position.calm is None  # the next move waits for its time
    talk, _ = protected()
    talk.hear(closing())
    talk.mark(D(59_990))
    assert talk.position.calm is None
