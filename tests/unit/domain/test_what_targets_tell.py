"""What is told and written down of take-profits, and of stops that stand on the position or are changed in place."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from domain.catalogue import Severity
from domain.identity import Epoch, OrderKind, mint_client_id
from domain.instrument import PositionSide
from domain.orders import Found, OrderIntent, OrderReport, OrderStatus, RejectReason, Source
from domain.position.effects import AskFills, Cancel, Find
from domain.position.inputs import AnswerHeard, OrderHeard, PositionHeard, StopWanted, Wake
from domain.position.plan import MoveStyle, TakeProfit, VenueRules
from domain.position.state import OrderState, Phase
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing, exit_like
from tests.unit.domain.samples import POSITION, D
from tests.unit.domain.telling import due, rows, severities, told

HALF = SIZE / 2
PLACED = {"symbol": "BTCUSDT", "order_id": "x-1e", "sl_order_id": "x-2s"}
ATTACHED = VenueRules(attached_stop=True, move=MoveStyle.ATTACHED)


def with_targets(*goals: tuple[str, str]) -> Conversation:
    talk = Conversation(enabled=False)
    rungs = tuple(TakeProfit(pct=D(pct), fraction=D(fraction)) for pct, fraction in goals)
    talk.position = talk.position.changed(plan=replace(talk.position.plan, take_profits=rungs))
    return talk


def opened(*goals: tuple[str, str], mark: int | None = None) -> tuple[Conversation, list[OrderIntent]]:
    """A position whose stop was accepted just now; its take-profits on their way."""
    talk = with_targets(*(goals or (("1", "0.5"), ("2", "0.5"))))
    talk.accept(talk.placed(), filled=SIZE)
    stop = talk.placed()
    talk.size(SIZE)
    if mark is not None:
        talk.mark(D(mark))
    talk.accept(stop)
    sent = [effect.intent for effect in talk.last.effects if hasattr(effect, "intent")]
    return talk, [intent for intent in sent if intent.kind is OrderKind.TAKE_PROFIT]


def resting() -> tuple[Conversation, OrderIntent, OrderIntent]:
    talk, (near, far) = opened()
    talk.accept(near)
    talk.accept(far)
    talk.mark(ENTRY)
    return talk, near, far


def sent(price: str, order: str, quantity: str = "0.005") -> tuple[str, dict[str, Any], str]:
    return ("take_profit_sent", {"target_price": price, "quantity": quantity}, order)


def test_they_are_sent_and_placed() -> None:
    talk, (near, far) = opened()
    assert told(talk)[1:3] == [sent("60600", "3t"), sent("61200", "4t")]
    assert rows(talk)[1:] == [("3t", "new", None, None), ("4t", "new", None, None)]
    talk.accept(near)
    figures = {**PLACED, "tp_order_id": "x-3t", "target_price": "60600", "quantity": "0.005", "source": "1/3 reply"}
    assert told(talk) == [("take_profit_placed", figures, "3t")]
    assert rows(talk) == [("3t", "ack", "x-3t", None)]
    talk.refuse(far)
    refused = {"reason": "other", "code": "-1", "error": "no", "target_price": "61200", "quantity": "0.005"}
    assert told(talk) == [("take_profit_refused", {**refused, "refusals": 1}, "4t")]
    assert severities(talk)["take_profit_refused"] is Severity.WARNING
    assert due(talk) == 2.0
    talk.hear(Wake(), 2)
    assert told(talk) == [sent("61200", "5t")]
    (again,) = [effect.intent for effect in talk.last.effects if hasattr(effect, "intent")]
    talk.refuse(again)
    assert told(talk) == [("take_profit_refused", {**refused, "refusals": 2}, "5t")]
    assert severities(talk)["take_profit_refused"] is Severity.INFO  # told once, then only noted
    assert due(talk) == 4.0


def test_it_is_sent_whole() -> None:
    talk, (near, _) = opened()
    assert near == OrderIntent(
        client_id=mint_client_id("ab12", POSITION, Epoch(1, 1), 3, OrderKind.TAKE_PROFIT),
        position_id=POSITION,
        account="main",
        symbol="BTCUSDT",
        kind=OrderKind.TAKE_PROFIT,
        side=talk.side.closing,
        position_side=talk.side,
        quantity=HALF,
        reduce_only=True,
        trigger_price=D(60_600),
    )


def test_one_that_is_placed_after_refusals_begins_anew() -> None:
    talk, (near, far) = opened()
    talk.refuse(far)
    talk.accept(near)
    talk.hear(Wake(), 2)
    (again,) = [effect.intent for effect in talk.last.effects if hasattr(effect, "intent")]
    talk.accept(again)
    assert talk.position.ladder is not None
    assert [(rung.refusals, rung.retry_at) for rung in talk.position.ladder] == [(0, None), (0, None)]


def test_one_triggers_and_fills() -> None:
    talk, near, _ = resting()
    talk.see(near, OrderStatus.TRIGGERED, child="77")
    fired = {"target_price": "60600", "mark_price": "60000", "child_order_id": "77"}
    assert told(talk) == [("take_profit_triggered", fired, "3t")]
    assert rows(talk) == [("3t", "triggered", "x-3t", None)]
    assert due(talk) == 1.0
    assert talk.wants(AskFills) == []
    assert talk.position.last_activity_at == talk.now
    talk.fill("77", near.side, HALF, D(60_600))
    figures = {"symbol": "BTCUSDT", "order_id": "x-3t", "target_price": "60600", "quantity": "0.005"}
    assert told(talk)[-1] == ("take_profit_filled", {**figures, "wanted": "0.005", "left": "0.005"}, "3t")
    row = talk.last.orders[-1]
    assert (row.status, row.exchange_id, row.cumulative_quantity) == (OrderStatus.FILLED, "x-3t", HALF)
    assert next((t.state, t.ask_at, t.child_id) for t in talk.position.targets) == (OrderState.DONE, None, "77")


def test_one_that_a_reading_shows_as_triggered_may_have_filled_long_ago() -> None:
    talk, near, _ = resting()
    talk.hear(OrderHeard(report=talk.order(near, OrderStatus.TRIGGERED, child="77", source=Source.SNAPSHOT)))
    assert talk.wants(AskFills)
    assert told(talk)[0][0] == "take_profit_triggered"


def test_the_child_is_learned_later() -> None:
    talk, near, _ = resting()
    talk.see(near, OrderStatus.TRIGGERING)
    talk.see(near, OrderStatus.TRIGGERED, child="77")
    assert told(talk) == []
    assert talk.position.targets[0].child_id == "77"


def test_one_cancelled_by_hand_is_put_back_after_a_pause() -> None:
    talk, _, far = resting()
    talk.see(far, OrderStatus.CANCELED)
    lost = {"target_price": "61200", "quantity": "0.005", "status": "canceled", "error": ""}
    assert told(talk) == [("take_profit_lost", lost, "4t")]
    assert severities(talk)["take_profit_lost"] is Severity.WARNING
    assert rows(talk) == [("4t", "canceled", "x-4t", None)]
    assert talk.position.last_activity_at == talk.now
    assert due(talk) == 2.0
    talk.hear(Wake(), 2)
    assert told(talk) == [sent("61200", "5t")]


def test_a_smaller_position_takes_the_farthest_away() -> None:
    talk, near, far = resting()
    talk.hear(closing("0.5"))
    talk.accept(talk.placed(OrderKind.EXIT), filled=HALF)
    talk.size(HALF)
    assert due(talk) == 1.95
    talk.found(near, OrderStatus.ACK)
    talk.found(far, OrderStatus.ACK)
    talk.hear(Wake(), 2)
    reduced = {"target_price": "61200", "old_quantity": "0.005", "quantity": "0", "left": "0.005"}
    assert told(talk) == [
        ("take_profit_reduced", reduced, None),
        ("take_profit_cancel_sent", {"target_price": "61200"}, "4t"),
    ]


def test_one_passed_before_it_rested_is_closed_at_market() -> None:
    talk, targets = opened(mark=60_700)
    assert [target.trigger_price for target in targets] == [D(61_200)]
    passed = {"symbol": "BTCUSDT", "target_price": "60600", "quantity": "0.005", "mark_price": "60700"}
    assert told(talk)[1] == ("take_profit_passed", passed, None)
    event, figures, order = told(talk)[3]
    assert (event, figures["reason"], figures["quantity"], order) == ("exit_placed", "take_profit", "0.005", "4x")


def test_one_too_small_for_the_venue_goes_into_the_next() -> None:
    talk, targets = opened(("1", "0.15"), ("2", "0.85"))
    assert [(t.trigger_price, t.quantity) for t in targets] == [(D(61_200), SIZE)]
    merged = {"symbol": "BTCUSDT", "target_price": "60600", "quantity": "0.001", "into": "61200"}
    assert told(talk)[1] == ("take_profit_merged", {**merged, "min_quantity": "0.001", "min_notional": "100"}, None)


def test_one_of_unknown_fate_that_never_arrived() -> None:
    talk, (near, _) = opened()
    talk.lose(near)
    assert told(talk) == [("take_profit_unknown", {"error": "timed out"}, "3t")]
    assert rows(talk) == [("3t", "unknown", None, "timed out")]
    talk.now += timedelta(seconds=4)
    talk.absent(near)
    absent = {"reason": "absent", "code": "", "error": "never reached the venue"}
    assert told(talk)[0][:2] == ("take_profit_refused", absent)
    assert rows(talk) == [("3t", "rejected", None, "absent after the receive window")]
    assert talk.position.ladder is not None
    assert talk.position.ladder[0].retry_at == talk.now + timedelta(seconds=2)


# Stops on the position itself, and changes in place.


def on_position(talk: Conversation, trigger: str, source: Source) -> OrderReport:
    """The stop on the position as the venue shows it: without an id of ours."""
    entry = talk.position.entry
    assert entry is not None
    return OrderReport(
        symbol="BTCUSDT",
        client_id=None,
        exchange_id="v1",
        conditional=True,
        side=talk.side.closing,
        status=OrderStatus.NEW,
        quantity=SIZE,
        filled=D(0),
        average_price=None,
        trigger_price=D(trigger),
        reduce_only=True,
        close_position=False,
        position_side=None,
        child_id=None,
        reason="",
        at=talk.now,
        source=source,
        attached=True,
    )


def attached() -> Conversation:
    talk = Conversation(venue=ATTACHED)
    talk.accept(talk.placed(), filled=SIZE)
    talk.hear(PositionHeard(report=replace(talk.row(SIZE), attached_stop=D(58_800))))
    talk.mark(ENTRY)
    return talk


def test_a_stop_that_leaves_with_the_entry() -> None:
    talk = Conversation(venue=ATTACHED)
    assert told(talk)[0] == ("stop_loss_sent", {"stop_price": "58800", "purpose": "first"}, "2s")
    assert rows(talk) == [("2s", "new", None, None), ("1e", "new", None, None)]
    (stop,) = talk.position.stops
    assert (stop.whole, stop.attached, stop.with_entry, stop.quantity) == (True, True, True, SIZE)
    assert talk.position.initial_stop == D(58_800)
    talk.accept(talk.placed(), filled=SIZE)
    events = {event: figures for event, figures, _ in told(talk)}
    assert events["stop_loss_placed"]["sl_order_id"] == "on BTCUSDT long"
    assert rows(talk)[1] == ("2s", "ack", "on BTCUSDT long", None)
    assert due(talk) == 1.0  # the position itself is looked at then


def test_a_stop_whose_entry_was_refused() -> None:
    talk = Conversation(venue=ATTACHED)
    talk.refuse(talk.placed(), RejectReason.NO_FUNDS)
    assert rows(talk) == [("1e", "rejected", None, "no_funds -1"), ("2s", "rejected", None, "the entry was refused")]
    assert talk.position.phase is Phase.FAILED


def test_a_move_in_place_ends_the_old_values() -> None:
    talk = attached()
    talk.mark(D(61_000))
    talk.accept(talk.placed())
    assert rows(talk) == [
        ("3s", "ack", "x-3s", None),
        ("2s", "canceled", "on BTCUSDT long", "moved in place"),
    ]
    assert told(talk)[0][0] == "trailing_moved"


def test_a_move_that_never_took_effect() -> None:
    talk = attached()
    talk.mark(D(61_000))
    move = talk.placed()
    talk.lose(move)
    (find,) = [find for find in talk.wants(Find) if find.ref.client_id == move.client_id]
    talk.now += timedelta(seconds=4)
    report = on_position(talk, "58800", Source.QUERY)
    talk.hear(AnswerHeard(answer=Found(ref=find.ref, report=report, asked_at=talk.now)))
    why = "not in effect after the receive window"
    assert told(talk)[0] == ("trailing_move_failed", {"stop_price": "60695", "error": why}, "3s")
    assert rows(talk)[0] == ("3s", "rejected", None, why)
    assert told(talk)[1] == ("stop_loss_sent", {"stop_price": "60695", "quantity": "0.01", "purpose": "trail"}, "4s")


def test_a_stop_that_stands_though_we_hold_none() -> None:
    talk = Conversation(adopted=True, venue=ATTACHED)
    talk.position = replace(talk.position, phase=Phase.PENDING_SL, adopted_quantity=SIZE, adopted_price=ENTRY)
    talk.hear(PositionHeard(report=replace(talk.row(SIZE), attached_stop=D(59_000))))
    assert told(talk)[0] == ("stop_loss_exists", {"symbol": "BTCUSDT", "stop_price": "59000"}, "1s")
    (stop,) = talk.position.stops
    assert (stop.quantity, stop.attached, stop.whole, stop.accepted_at) == (SIZE, True, True, talk.now)
    assert talk.position.protected_once


def test_a_stop_that_another_hand_has_moved() -> None:
    talk = attached()
    talk.now += timedelta(seconds=3)
    talk.hear(OrderHeard(report=on_position(talk, "58000", Source.STREAM)))
    assert told(talk) == []
    (find,) = talk.wants(Find)
    report = on_position(talk, "58000", Source.QUERY)
    talk.hear(AnswerHeard(answer=Found(ref=find.ref, report=report, asked_at=talk.now)))
    changed = {"old_stop": "58800", "new_stop": "58000", "old_quantity": "0.01", "quantity": "0.01"}
    assert told(talk)[0] == ("stop_loss_changed_outside", changed, "2s")


def test_nothing_said_of_a_stop_is_no_doubt() -> None:
    talk = attached()
    for shown in (None, D(58_800)):
        before = talk.position.stops
        talk.hear(PositionHeard(report=replace(talk.row(SIZE), attached_stop=shown)))
        assert talk.position.stops == before


def test_a_short_mirrors_it() -> None:
    talk = Conversation(PositionSide.SHORT, venue=ATTACHED)
    assert talk.placed().attached_stop == D(61_200)
    talk.accept(talk.placed(), filled=SIZE)
    assert rows(talk)[1] == ("2s", "ack", "on BTCUSDT short", None)


def test_the_farthest_gives_way_to_a_stop_that_finds_no_slot() -> None:
    talk, _, _ = resting()
    talk.hear(StopWanted(price=D(59_000)))
    talk.refuse(talk.placed(OrderKind.STOP), RejectReason.LIMIT)
    (cancel,) = talk.wants(Cancel)
    assert ("take_profit_cancel_sent", {"target_price": "61200"}, "4t") in told(talk)
    talk.cancelled(cancel)
    figures = {"target_price": "61200", "quantity": "0.005", "reason": "a stop needs its slot"}
    assert ("take_profit_cancelled", figures, "4t") in told(talk)
    assert talk.placed(OrderKind.STOP).trigger_price == D(59_000)  # at once, into the slot that is free now


def test_a_passed_one_that_cannot_be_closed_is_tried_again_with_growing_pauses() -> None:
    talk, _ = opened(mark=60_700)
    pauses = []
    for _ in range(3):
        order = talk.position.exits[-1]
        intent = replace(exit_like(talk), client_id=order.client_id)
        talk.refuse(intent)
        assert told(talk)[0] == (
            "exit_refused",
            {"reason": "other", "code": "-1", "error": "no"},
            order.client_id.rpartition("-")[2],
        )
        assert talk.position.exit_refusals == 0  # says nothing of whether a close would be taken
        while talk.position.exits[-1].client_id == order.client_id:
            assert talk.last.wake_at is not None
            talk.hear(Wake(), max((talk.last.wake_at - talk.now).total_seconds(), 0.001))
        pauses.append((talk.position.exits[-1].sent_at - order.sent_at).total_seconds())
    assert pauses == [2.0, 4.0, 8.0]
