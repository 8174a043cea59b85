"""When the machine comes back to something by itself: retries, questions, limits, each with its pause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from domain.identity import OrderKind
from domain.instrument import PositionSide
from domain.orders import CancelResult, NoAnswer, OrderStatus, RejectReason, Source
from domain.position import tracking
from domain.position.effects import AskCandles, AskFills, AskPosition, Cancel, Effect, Find, Place
from domain.position.inputs import (
    AnswerHeard,
    FillsListed,
    InstrumentHeard,
    OrderHeard,
    QuestionFailed,
    Release,
    StopWanted,
    Wake,
)
from domain.position.plan import Protection
from domain.position.state import CloseReason, OrderState, Phase, Purpose, TrailState
from tests.unit.domain.conversation import (
    ENTRY,
    SIZE,
    Conversation,
    closing,
    exit_like,
    protected,
    stop_like,
)
from tests.unit.domain.samples import D
from tests.unit.domain.telling import told


def until(talk: Conversation, kind: type[Effect], limit: float = 20) -> float:
    """Seconds until the machine, woken when it wants to be, wants an effect of this kind."""
    began = talk.now
    while (talk.now - began).total_seconds() < limit:
        assert talk.last.wake_at is not None
        talk.hear(Wake(), max((talk.last.wake_at - talk.now).total_seconds(), 0.001))
        if talk.wants(kind):
            return round((talk.now - began).total_seconds(), 2)
    raise AssertionError(f"no {kind.__name__} within {limit} s")


def test_pauses_between_questions_double_up_to_five_seconds() -> None:
    assert [tracking.pause(n).total_seconds() for n in range(7)] == [0.25, 0.5, 1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    ("what", "kind", "seconds"),
    [("position", AskPosition, 1.0), ("candles", AskCandles, 2.0), ("weather", AskPosition, 2.95)],
)
def test_a_question_that_failed_is_asked_again(what: str, kind: type[Effect], seconds: float) -> None:
    talk, stop = protected()
    talk.restart()
    talk.found(stop, OrderStatus.ACK)
    talk.hear(QuestionFailed(what=what, text="no"), 0)
    assert until(talk, kind) == seconds


def test_a_listing_that_failed_is_asked_for_again() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, SIZE, D(58_800))
    talk.size(D(0))
    assert talk.wants(AskFills)
    talk.hear(QuestionFailed(what="fills", text="no"))
    assert until(talk, AskFills) == 1.0
    assert until(talk, AskFills) == 6.0


def test_a_life_does_not_end_while_nobody_answers_for_its_executions() -> None:
    """Five refused connections within seconds ended it, and the entry's execution was never written down (S10)."""
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, SIZE, D(58_800))
    talk.size(D(0))
    assert talk.wants(AskFills)
    for _ in range(60):
        talk.hear(QuestionFailed(what="fills", text="connection refused"))
        until(talk, AskFills)
    assert not talk.position.phase.final


def test_after_five_listings_that_do_not_add_up_it_ends_all_the_same() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, SIZE, D(58_800))
    talk.size(D(0))
    asked = 1
    while not talk.hear(FillsListed(fills=())).position.phase.final:
        until(talk, AskFills)
        asked += 1
    assert asked == 5


def test_a_life_does_not_end_while_its_questions_wait_in_a_queue() -> None:
    """Five in a row, none of them sent yet: the budget was used up. The executions were never written down (S10)."""
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, SIZE, D(58_800))
    talk.size(D(0))
    for _ in range(20):
        assert until(talk, AskFills) == 6.0
    assert not talk.position.phase.final


def test_an_order_nobody_answered_for_is_asked_about_after_eight_seconds() -> None:
    talk = Conversation()
    assert until(talk, Find) == 8.0
    assert talk.position.entry is not None
    assert talk.position.entry.state is OrderState.UNKNOWN
    assert talk.position.entry.questions == 1


@pytest.mark.parametrize(("what", "seconds"), [("first stop", 1.2), ("move", 8.0), ("exit", 8.0)])
def test_whatever_was_sent_is_asked_about_though_nothing_else_is_heard(what: str, seconds: float) -> None:
    if what == "first stop":
        talk = Conversation()
        talk.accept(talk.placed(), filled=SIZE)
    else:
        talk, _ = protected()
        talk.hear(closing()) if what == "exit" else talk.mark(D(61_000))
    sent = talk.placed().client_id
    began = talk.now
    while not any(find.ref.client_id == sent for find in talk.wants(Find)):
        assert talk.last.wake_at is not None
        talk.hear(Wake(), max((talk.last.wake_at - talk.now).total_seconds(), 0.001))
    assert (talk.now - began).total_seconds() == pytest.approx(seconds, abs=0.01)


def test_a_resting_entry_is_asked_about_after_a_second() -> None:
    talk = Conversation()
    talk.accept(talk.placed())
    assert talk.position.phase is Phase.ENTRY_PLACED
    assert until(talk, Find) == 1.0


def test_a_question_without_an_answer_is_asked_again_later_and_later() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    move = talk.placed()
    talk.lose(move)
    waits = []
    for _ in range(4):
        talk.hear(AnswerHeard(answer=NoAnswer(ref=talk.ref(move), text="no")), 0)
        waits.append(until(talk, Find))
    assert waits == [0.5, 1.0, 2.0, 4.0]
    talk.hear(AnswerHeard(answer=NoAnswer(ref=talk.ref(move), text="no", retry_after_s=9)), 0)
    assert until(talk, Find) == 9.0
    talk.hear(AnswerHeard(answer=NoAnswer(ref=talk.ref(move), text="no", retry_after_s=900)), 0)
    assert until(talk, Find, 40) == 30.0


def test_exits_that_are_refused_are_tried_again_with_pauses_up_to_five_seconds() -> None:
    talk, _ = protected()
    talk.hear(closing())
    waits = []
    for _ in range(6):
        talk.refuse(exit_like(talk))
        waits.append(until(talk, Place))
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_an_exit_refused_as_reduce_only_makes_it_ask_for_the_size() -> None:
    talk, _ = protected()
    talk.hear(closing())
    talk.refuse(exit_like(talk), RejectReason.REDUCE_ONLY)
    assert talk.wants(AskPosition)


def test_a_predecessors_exit_is_decided_anew_at_once() -> None:
    talk, _ = protected()
    talk.hear(closing())
    talk.refuse(exit_like(talk), RejectReason.FENCED)
    assert talk.placed(OrderKind.EXIT).quantity == SIZE
    assert talk.position.exit_refusals == 0
    assert [event for event, _, _ in told(talk)] == ["exit_placed"]


def test_a_predecessors_stop_is_decided_anew_at_once() -> None:
    talk = Conversation()
    talk.accept(talk.placed(), filled=SIZE)
    talk.refuse(talk.placed(), RejectReason.FENCED)
    assert talk.placed(OrderKind.STOP).quantity == SIZE
    assert talk.position.stop_refusals == 0


def test_an_emergency_stop_is_tried_again_with_pauses_up_to_five_seconds() -> None:
    talk = Conversation()
    plan = replace(talk.position.plan, protection=Protection(retries=1))
    talk.position = replace(talk.position, plan=plan)
    talk.accept(talk.placed(), filled=SIZE)
    talk.mark(ENTRY)
    talk.refuse(stop_like(talk, talk.position.stops[-1].client_id))
    assert talk.position.close_wanted is CloseReason.ROLLBACK
    for _ in range(2):
        talk.refuse(exit_like(talk))
        if not any(s.state is OrderState.SENDING for s in talk.position.stops):
            talk.wait(0.5)
    pauses = []
    for _ in range(4):
        while not any(s.state is OrderState.SENDING for s in talk.position.stops):
            assert talk.last.wake_at is not None
            talk.hear(Wake(), max((talk.last.wake_at - talk.now).total_seconds(), 0.001))
        stop = next(s for s in talk.position.stops if s.state is OrderState.SENDING)
        assert stop.purpose is Purpose.EMERGENCY
        talk.refuse(stop_like(talk, stop.client_id))
        assert talk.position.stop_retry_at is not None
        pauses.append((talk.position.stop_retry_at - talk.now).total_seconds())
    assert pauses == [2.0, 4.0, 5.0, 5.0]


def test_a_cancel_without_an_outcome_is_asked_about_after_eight_seconds() -> None:
    talk, stop = protected()
    talk.mark(D(61_000))
    talk.accept(talk.placed())
    assert [c.client_id for c in talk.wants(Cancel)] == [stop.client_id]
    assert until(talk, Find) == 8.0
    talk.found(stop, OrderStatus.ACK)
    assert until(talk, Cancel) == 0.5


@pytest.mark.parametrize("result", [CancelResult.REFUSED, CancelResult.UNKNOWN])
def test_a_cancel_that_failed_is_tried_again(result: CancelResult) -> None:
    talk, stop = protected()
    talk.mark(D(61_000))
    talk.accept(talk.placed())
    talk.cancelled(talk.wants(Cancel)[0], result)
    assert [find.ref.client_id for find in talk.wants(Find)] == [stop.client_id]
    talk.found(stop, OrderStatus.ACK)
    assert until(talk, Cancel) == pytest.approx(0.45, abs=0.01)


def test_a_triggered_stop_without_a_child_is_asked_about_soon() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERING)
    assert until(talk, Find) == 0.3
    assert talk.wants(Find)[0].ref.client_id == stop.client_id
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    (fired,) = talk.position.stops
    assert fired.child_id == "77"
    assert fired.triggered_at is not None


def test_one_with_a_child_is_not_asked_about() -> None:
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    assert talk.position.stops[0].ask_at is None
    assert talk.wants(AskFills) == []
    assert talk.position.last_activity_at == talk.now


def test_one_that_a_reading_shows_as_triggered_may_have_fired_long_ago() -> None:
    talk, stop = protected()
    talk.hear(OrderHeard(report=talk.order(stop, OrderStatus.TRIGGERED, child="77", source=Source.SNAPSHOT)))
    assert talk.wants(AskFills)


def test_a_trailing_stop_that_fired_is_done_trailing() -> None:
    talk, _ = protected()
    talk.mark(D(61_000))
    moved = talk.placed()
    talk.accept(moved)
    talk.cancelled(talk.wants(Cancel)[0])
    talk.see(moved, OrderStatus.TRIGGERED, child="77")
    assert talk.position.trail.state is TrailState.TRIGGERED
    talk, stop = protected()
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    assert talk.position.trail.state is TrailState.INACTIVE


def test_the_end_of_a_stop_loss_and_of_a_trailing_stop_are_called_so() -> None:
    for extreme, reason in ((60_100, CloseReason.STOP_LOSS), (61_000, CloseReason.TRAILING_STOP)):
        talk, stop = protected()
        talk.mark(D(extreme))
        if extreme > 60_900:
            stop = talk.placed()
            talk.accept(stop)
            talk.cancelled(talk.wants(Cancel)[0])
        talk.see(stop, OrderStatus.TRIGGERED, child="77")
        talk.fill("77", stop.side, SIZE, D(58_800))
        talk.size(D(0))
        talk.listed()
        assert (talk.position.phase, talk.position.close_reason) == (Phase.CLOSED, reason)


@pytest.mark.parametrize("end", ["operator", "outside"])
def test_the_last_that_closed_some_of_it_gives_the_reason(end: str) -> None:
    talk, _ = protected()
    talk.hear(closing())
    exit_order = talk.placed()
    part = SIZE if end == "operator" else D("0.004")
    talk.accept(exit_order, filled=part)
    if end == "outside":
        talk.see(exit_order, OrderStatus.EXPIRED, filled=part, price=ENTRY)
        talk.fill("900", talk.side.closing, D("0.006"), ENTRY, client_id="web_1")
    talk.size(D(0))
    for _ in range(3):
        for cancel in talk.wants(Cancel):
            talk.cancelled(cancel)
        talk.listed()
    assert talk.position.close_reason is CloseReason(end)


def test_a_released_position_is_over_for_us() -> None:
    talk, _ = protected()
    talk.hear(Release())
    p = talk.position
    assert (p.phase, p.close_reason, p.closed_at) == (Phase.RELEASED, CloseReason.RELEASED, talk.now)


def test_new_rules_of_the_venue_are_told_and_kept_from_then_on() -> None:
    talk, _ = protected()
    old = talk.position.instrument
    new = replace(old, tick=D(1), step=D("0.005"), trading=False)
    talk.hear(InstrumentHeard(instrument=new))
    figures: dict[str, Any] = {"symbol": "BTCUSDT", "tick": "1", "old_tick": "0.1", "step": "0.005"}
    assert told(talk) == [("instrument_changed", {**figures, "old_step": "0.001", "trading": False}, None)]
    talk.hear(StopWanted(price=D("59000.3")))
    assert talk.placed().trigger_price == D(59_001)
    assert talk.hear(InstrumentHeard(instrument=new)).happenings == ()
    assert talk.hear(InstrumentHeard(instrument=replace(old, symbol="ETHUSDT"))).happenings == ()
    assert talk.position.instrument == new


@pytest.mark.parametrize("close_position", [False, True])
def test_an_adopted_positions_own_stop_is_known_by_the_venues_id(close_position: bool) -> None:
    talk = Conversation(adopted=True)
    talk.position = replace(talk.position, phase=Phase.PENDING_SL, adopted_quantity=SIZE, adopted_price=ENTRY)
    _, model = protected()
    report = replace(
        talk.order(model, OrderStatus.ACK),
        client_id=None,
        exchange_id="555",
        close_position=close_position,
        quantity=D(0) if close_position else SIZE,
    )
    talk.view(SIZE, report)
    (stop,) = talk.position.stops
    assert (stop.client_id, stop.exchange_id, stop.quantity) == ("foreign 555", "555", SIZE)
    assert (stop.trigger, stop.purpose, stop.state) == (D(58_800), Purpose.FOREIGN, OrderState.LIVE)
    assert (stop.sent_at, stop.accepted_at) == (report.at, talk.now)
    assert talk.position.protected_once


UNFIT: dict[str, Callable[[Conversation], dict[str, Any]]] = {
    "too small": lambda talk: {"quantity": D("0.009")},
    "on the other side of the mark": lambda talk: {"trigger_price": D(61_000)},
    "able to add": lambda talk: {"reduce_only": False},
    "adding": lambda talk: {"side": PositionSide.LONG.opening},
    "a plain order": lambda talk: {"conditional": False},
    "over": lambda talk: {"status": OrderStatus.CANCELED},
    "without a trigger": lambda talk: {"trigger_price": None},
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_foreign_order_that_is_no_full_cover_is_not_relied_on(name: str) -> None:
    talk = Conversation(adopted=True)
    talk.position = replace(
        talk.position, phase=Phase.PENDING_SL, adopted_quantity=SIZE, adopted_price=ENTRY, mark_price=ENTRY
    )
    _, model = protected()
    report = replace(talk.order(model, OrderStatus.ACK), client_id=None, exchange_id="555", **UNFIT[name](talk))
    talk.view(SIZE, report)
    assert talk.placed(OrderKind.STOP).trigger_price == D(58_800)


def test_a_stop_that_filled_whole_and_left_more_of_the_entry_is_followed_by_a_close_at_once() -> None:
    talk, stop = protected()
    talk.fill("900", talk.side.opening, D("0.004"), ENTRY, client_id="web_1")
    talk.see(stop, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", stop.side, SIZE, D(58_800))
    assert ("close_requested", {"reason": "stop_loss", "quantity": "0.004"}, None) in told(talk)
    assert talk.placed(OrderKind.EXIT).quantity == D("0.004")


def test_nobody_is_called_while_the_venue_has_refused_no_stop() -> None:
    talk, stop = protected()
    talk.hear(closing())
    talk.see(stop, OrderStatus.CANCELED)
    for _ in range(4):
        talk.refuse(exit_like(talk))
        assert not talk.position.needs_intervention
        until(talk, Place)


def test_a_wish_to_close_all_takes_the_place_of_one_to_close_a_part() -> None:
    talk, _ = protected()
    talk.hear(closing("0.5"))
    part = talk.placed(OrderKind.EXIT)
    talk.hear(closing("0.5"))  # the first part is still on its way
    talk.hear(closing())
    talk.accept(part, filled=D("0.005"))
    talk.size(D("0.005"))
    talk.wait(0.3)
    assert [x.quantity for x in talk.position.exits] == [D("0.005"), D("0.005")]
    assert talk.position.exits[-1].final
