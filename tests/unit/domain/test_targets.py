"""Take-profits told as conversations: when they are placed, what becomes of them, that they never are in the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from domain.catalogue import EventType, Severity
from domain.identity import Epoch, OrderKind, mint_client_id
from domain.instrument import PositionSide
from domain.orders import CancelResult, OrderIntent, OrderReport, OrderStatus, RejectReason, Source
from domain.position import ladder, ledger, trailing
from domain.position.effects import AskFills, Cancel, Effect, Find, Place
from domain.position.inputs import InstrumentHeard, OrderHeard, StopWanted
from domain.position.plan import TakeProfit
from domain.position.state import CloseReason, OrderState, Phase, StopOrder, TargetOrder
from tests.unit.domain.conversation import ENTRY, SIZE, Conversation, closing
from tests.unit.domain.samples import BTC, POSITION, D, intent

HALVES = (("1", "0.5"), ("2", "0.5"))
NEAR, FAR = D(60_600), D(61_200)  # one and two per cent of 60,000
HALF = SIZE / 2


def planned(side: PositionSide, *goals: tuple[str, str]) -> Conversation:
    talk = Conversation(side, enabled=False)
    rungs = tuple(TakeProfit(pct=D(pct), fraction=D(fraction)) for pct, fraction in goals)
    talk.position = talk.position.changed(plan=replace(talk.position.plan, take_profits=rungs))
    return talk


def opened(side: PositionSide = PositionSide.LONG, *goals: tuple[str, str]) -> tuple[Conversation, OrderIntent]:
    """A protected position whose take-profits the last turn wanted placed; and its stop."""
    talk = planned(side, *(goals or HALVES))
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    talk.size(SIZE)
    talk.accept(stop)
    return talk, stop


def resting(side: PositionSide = PositionSide.LONG, *goals: tuple[str, str]) -> tuple[Conversation, list[OrderIntent]]:
    """A protected position whose take-profits rest."""
    talk, _ = opened(side, *goals)
    targets = targets_of(talk)
    for target in targets:
        talk.accept(target)
    talk.mark(ENTRY)
    return talk, targets


def targets_of(talk: Conversation) -> list[OrderIntent]:
    return [e.intent for e in talk.wants(Place) if e.intent.kind is OrderKind.TAKE_PROFIT]


def of_kind(effects: list[Effect], kind: OrderKind) -> list[OrderIntent]:
    return [e.intent for e in effects if isinstance(e, Place) and e.intent.kind is kind]


def hear_order(talk: Conversation, report: OrderReport) -> None:
    talk.hear(OrderHeard(report=report))


def like(stop: StopOrder) -> OrderIntent:
    """The intent that a stop was made of, as far as a report repeats it."""
    return intent(client_id=stop.client_id, quantity=stop.quantity, trigger_price=stop.trigger)


def states(talk: Conversation) -> list[tuple[Decimal, OrderState]]:
    return [(t.trigger, t.state) for t in talk.position.targets]


def filled(talk: Conversation, target: OrderIntent, quantity: Decimal, left: Decimal, child: str = "77") -> None:
    """A target triggers, its child executes, the venue tells what is left."""
    assert target.trigger_price is not None
    talk.see(target, OrderStatus.TRIGGERED, child=child)
    talk.fill(child, target.side, quantity, target.trigger_price)
    talk.size(left)


# When they are placed.


@pytest.mark.parametrize("side", PositionSide)
def test_they_follow_the_accepted_stop(side: PositionSide) -> None:
    talk = planned(side, *HALVES)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    talk.size(SIZE)
    assert targets_of(talk) == []
    talk.accept(stop)
    near, far = targets_of(talk)
    assert [(i.trigger_price, i.quantity) for i in (near, far)] == [(talk.at(60_600), HALF), (talk.at(61_200), HALF)]
    for sent in (near, far):
        assert (sent.side, sent.reduce_only, sent.position_side) == (side.closing, True, side)
        assert sent.client_id.endswith("t")
        assert sent.trigger_by is talk.position.plan.protection.trigger_by


def test_not_before_the_entry_is_over() -> None:
    talk = planned(PositionSide.LONG, *HALVES)
    entry = talk.placed(OrderKind.ENTRY)
    talk.accept(entry, filled=HALF)
    stop = talk.placed(OrderKind.STOP)
    talk.size(HALF)
    talk.accept(stop)
    assert targets_of(talk) == []
    talk.see(entry, OrderStatus.FILLED, filled=SIZE, price=ENTRY)
    grown = talk.placed(OrderKind.STOP)
    assert grown.quantity == SIZE
    talk.size(SIZE)
    assert targets_of(talk) == []  # the stop is still too small
    talk.accept(grown)
    assert [t.quantity for t in targets_of(talk)] == [HALF, HALF]


def test_not_while_the_size_is_in_doubt() -> None:
    talk = planned(PositionSide.LONG, *HALVES)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    talk.size(HALF)  # the venue shows less than was executed
    talk.accept(stop)
    assert targets_of(talk) == []
    talk.size(SIZE)
    assert len(targets_of(talk)) == 2


def test_the_line_of_a_placed_one_names_entry_stop_and_target() -> None:
    talk, stop = opened()
    near, far = targets_of(talk)
    talk.accept(near)
    (told,) = [h for h in talk.last.happenings if h.type is EventType.TAKE_PROFIT_PLACED]
    assert told.data["symbol"] == "BTCUSDT"
    assert told.data["sl_order_id"] == talk.id_of(stop)
    assert told.data["tp_order_id"] == talk.id_of(near)
    assert told.data["order_id"] == talk.position.entry.exchange_id  # type: ignore[union-attr]
    talk.accept(far)
    talk.mark(ENTRY)
    talk.see(stop, OrderStatus.CANCELED)  # by a human
    again = talk.placed(OrderKind.STOP)
    talk.accept(again)
    (line,) = [h for h in talk.last.happenings if h.type is EventType.STOP_LOSS_PLACED]
    assert line.data["tp_order_id"] == f"{talk.id_of(near)},{talk.id_of(far)}"


# The ladder's figures.


@pytest.mark.parametrize(
    ("goals", "rungs"),
    [
        ((("1", "1"),), [("60600", "0.010")]),
        ((("2", "0.33"), ("1", "0.33"), ("3", "0.34")), [("60600", "0.003"), ("61200", "0.003"), ("61800", "0.004")]),
        ((("1", "0.25"), ("2", "0.25")), [("60600", "0.002"), ("61200", "0.002")]),  # half is left to the stop
        ((("1", "0.15"), ("2", "0.5")), [("61200", "0.006")]),  # 0.001 is worth 60.6, less than 100: into the next
        ((("1", "0.5"), ("2", "0.1")), [("60600", "0.006")]),  # the last one into the one before it
        ((("1", "0.1"), ("2", "0.1"), ("3", "0.1")), [("61200", "0.003")]),  # two of them are enough, the third joins
        ((("1", "0.1"),), []),
        ((("1.00011", "1"),), [("60600.1", "0.010")]),  # rounded so that the profit is reached
    ],
)
@pytest.mark.parametrize("side", PositionSide)
def test_rungs_by_hand(goals: tuple[tuple[str, str], ...], rungs: list[tuple[str, str]], side: PositionSide) -> None:
    talk, _ = opened(side, *goals)
    assert talk.position.ladder is not None
    assert [(r.trigger, r.quantity) for r in talk.position.ladder] == [(talk.at(p), D(q)) for p, q in rungs]


def test_what_is_merged_is_said() -> None:
    talk, _ = opened(PositionSide.LONG, ("1", "0.1"), ("2", "0.5"))
    (told,) = [h for h in talk.last.happenings if h.type is EventType.TAKE_PROFIT_MERGED]
    assert told.data["target_price"] == "60600"
    assert (told.data["quantity"], told.data["into"]) == ("0.001", "61200")
    alone, _ = opened(PositionSide.LONG, ("1", "0.1"))
    (lost,) = [h for h in alone.last.happenings if h.type is EventType.TAKE_PROFIT_MERGED]
    assert lost.data["into"] is None


# What becomes of them.


@pytest.mark.parametrize("side", PositionSide)
def test_a_filled_one_shrinks_the_stop_and_leaves_the_other(side: PositionSide) -> None:
    talk, (near, far) = resting(side)
    filled(talk, near, HALF, HALF)
    assert talk.position.phase is Phase.ACTIVE
    assert [s.quantity for s in talk.position.stops if s.state is OrderState.SENDING] == [HALF]
    assert states(talk) == [(talk.at(60_600), OrderState.DONE), (talk.at(61_200), OrderState.LIVE)]
    assert of_kind(talk.wait(10), OrderKind.TAKE_PROFIT) == []
    assert far.client_id in {t.client_id for t in talk.position.targets if t.state is OrderState.LIVE}


def test_a_fill_is_told_with_its_figures() -> None:
    talk, (near, _) = resting()
    talk.see(near, OrderStatus.TRIGGERED, child="77")
    assert EventType.TAKE_PROFIT_TRIGGERED in talk.said()
    talk.fill("77", near.side, HALF, NEAR)
    (told,) = [h for h in talk.last.happenings if h.type is EventType.TAKE_PROFIT_FILLED]
    assert (told.data["quantity"], told.data["wanted"], told.data["left"]) == ("0.005", "0.005", "0.005")


def test_the_last_one_ends_the_position_and_the_stop_goes() -> None:
    talk, _ = opened(PositionSide.LONG, ("1", "1"))
    (target,) = targets_of(talk)
    talk.accept(target)
    talk.see(target, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", target.side, SIZE, NEAR)
    talk.size(D(0))
    (cancel,) = talk.wants(Cancel)
    assert cancel.client_id == talk.position.stops[-1].client_id
    talk.cancelled(cancel)
    talk.listed()
    assert (talk.position.phase, talk.position.close_reason) == (Phase.CLOSED, CloseReason.TAKE_PROFIT)


def test_the_size_may_be_heard_before_the_trigger() -> None:
    talk, (near, _) = resting()
    talk.fill("77", near.side, HALF, NEAR)  # of an order that nobody has spoken of yet
    assert {f.ref.client_id for f in talk.wants(Find)} == {t.client_id for t in talk.position.targets}
    talk.size(HALF)
    talk.see(near, OrderStatus.TRIGGERED, child="77")
    assert [t.state for t in talk.position.targets] == [OrderState.DONE, OrderState.LIVE]
    found = [e for e in talk.wait(5) if isinstance(e, Cancel)]
    assert found == []


def test_a_rest_that_the_child_left_is_tried_again() -> None:
    talk, (near, _) = resting()
    talk.see(near, OrderStatus.TRIGGERED, child="77")
    part = D("0.002")
    talk.fill("77", near.side, part, NEAR)
    talk.size(SIZE - part)
    child = replace(talk.order(near, OrderStatus.EXPIRED, filled=part, price=NEAR), exchange_id="77", client_id=None)
    hear_order(talk, replace(child, conditional=False, trigger_price=None))
    again = [t for t in talk.position.targets if t.state is OrderState.SENDING]
    assert [(t.trigger, t.quantity) for t in again] == [(NEAR, HALF - part)]


def test_a_triggered_one_is_asked_about_by_its_child_until_that_is_over() -> None:
    talk, (near, _) = resting()
    talk.see(near, OrderStatus.TRIGGERED, child="77")
    asked = [e.ref for e in talk.wait(2) if isinstance(e, Find)]
    assert [(ref.exchange_id, ref.client_id, ref.conditional) for ref in asked] == [("77", None, False)]


# Refusals.


def test_one_that_the_mark_has_passed_is_closed_at_market() -> None:
    talk, _ = opened()
    near, far = targets_of(talk)
    talk.refuse(near, RejectReason.WOULD_TRIGGER)
    exit_order = talk.placed(OrderKind.EXIT)
    assert (exit_order.quantity, exit_order.reduce_only) == (HALF, True)
    assert talk.position.exits[-1].reason is CloseReason.TAKE_PROFIT
    assert EventType.TAKE_PROFIT_PASSED in talk.said()
    assert talk.position.close_wanted is None
    assert ladder.wished(talk.position) == SIZE
    talk.accept(far)
    talk.accept(exit_order, filled=HALF, price=NEAR)
    talk.size(HALF)
    assert ladder.owed(talk.position) == 0
    assert of_kind(talk.wait(30), OrderKind.EXIT) == []
    assert talk.position.close_reason is None


def test_a_passed_one_is_known_without_asking_the_venue() -> None:
    talk = planned(PositionSide.LONG, *HALVES)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    talk.size(SIZE)
    talk.mark(D(60_700))
    talk.accept(stop)
    assert [i.trigger_price for i in targets_of(talk)] == [FAR]
    assert [i.quantity for i in of_kind(list(talk.last.effects), OrderKind.EXIT)] == [HALF]


def test_a_refused_market_close_of_a_passed_one_is_tried_again_with_growing_pauses() -> None:
    talk, _ = opened()
    near, far = targets_of(talk)
    talk.accept(far)
    talk.refuse(near, RejectReason.WOULD_TRIGGER)
    begun, times = talk.now, []
    for _ in range(4):
        talk.refuse(talk.placed(OrderKind.EXIT))
        assert talk.position.exit_refusals == 0
        while not talk.wants(Place):
            assert talk.last.wake_at is not None
            talk.wait((talk.last.wake_at - talk.now).total_seconds())
        times.append((talk.now - begun).total_seconds())
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 2 * pauses[0]


def test_an_operator_s_close_does_not_wait_for_such_a_pause() -> None:
    talk, _ = opened()
    near, far = targets_of(talk)
    talk.accept(far)
    talk.refuse(near, RejectReason.WOULD_TRIGGER)
    talk.refuse(talk.placed(OrderKind.EXIT))
    talk.hear(closing())
    whole = talk.placed(OrderKind.EXIT)
    assert whole.quantity == SIZE
    assert talk.position.exits[-1].reason is CloseReason.OPERATOR


def test_other_refusals_are_tried_again_with_growing_pauses_and_alert_once() -> None:
    talk, _ = opened(PositionSide.LONG, ("1", "1"))
    gaps, severities = [], []
    for _ in range(8):
        (target,) = targets_of(talk)
        talk.refuse(target, RejectReason.LIMIT)
        severities += [h.grave for h in talk.last.happenings if h.type is EventType.TAKE_PROFIT_REFUSED]
        began = talk.now
        while not targets_of(talk):
            assert talk.last.wake_at is not None
            talk.wait((talk.last.wake_at - talk.now).total_seconds())
        gaps.append(round((talk.now - began).total_seconds()))
    assert gaps == [2, 4, 8, 16, 32, 60, 60, 60]
    assert severities == [Severity.WARNING] + [Severity.INFO] * 7


def test_a_price_that_passes_one_that_waits_is_not_missed() -> None:
    talk, _ = opened(PositionSide.LONG, ("1", "1"))
    (target,) = targets_of(talk)
    talk.refuse(target, RejectReason.LIMIT)
    assert ladder.unguarded(talk.position) == NEAR
    talk.mark(NEAR)
    assert talk.placed(OrderKind.EXIT).quantity == SIZE


@pytest.mark.parametrize("side", PositionSide)
def test_the_nearest_of_those_that_wait_ends_the_band(side: PositionSide) -> None:
    talk, _ = opened(side)
    for target in reversed(targets_of(talk)):
        talk.refuse(target, RejectReason.LIMIT)
    assert ladder.unguarded(talk.position) == talk.at(60_600)
    low, high = trailing.band(talk.position)
    assert (high if side is PositionSide.LONG else low) == talk.at(60_600)


# They never stand in the way of a stop.


def test_with_no_slot_free_the_farthest_goes_first() -> None:
    talk, (near, far) = resting()
    talk.hear(StopWanted(price=D(59_000)))
    moved = talk.placed(OrderKind.STOP)
    talk.refuse(moved, RejectReason.LIMIT)
    (cancel,) = talk.wants(Cancel)
    assert cancel.client_id == far.client_id
    assert talk.position.stop_refusals == 0
    talk.cancelled(cancel)
    again = talk.placed(OrderKind.STOP)
    assert (again.trigger_price, again.quantity) == (D(59_000), SIZE)
    assert targets_of(talk) == []
    talk.accept(again)
    assert of_kind(talk.wait(30), OrderKind.TAKE_PROFIT) == []
    assert [i.trigger_price for i in of_kind(talk.wait(40), OrderKind.TAKE_PROFIT)] == [FAR]
    assert near.client_id in {t.client_id for t in talk.position.targets if t.state is OrderState.LIVE}


def test_a_lost_stop_that_finds_no_slot_is_no_reason_to_close() -> None:
    talk, _ = resting()
    (stop,) = talk.position.stops
    talk.see(like(stop), OrderStatus.CANCELED)
    for _ in range(2):
        talk.refuse(talk.placed(OrderKind.STOP), RejectReason.LIMIT)
        (cancel,) = talk.wants(Cancel)
        talk.cancelled(cancel)
    talk.accept(talk.placed(OrderKind.STOP))
    assert talk.position.close_wanted is None
    assert ledger.exposure(talk.position) == SIZE


# The end of the position.


def test_a_close_leaves_them_until_it_is_flat_and_then_cancels_them() -> None:
    talk, targets = resting()
    talk.hear(closing())
    assert talk.wants(Cancel) == []
    talk.accept(talk.placed(OrderKind.EXIT), filled=SIZE)
    talk.size(D(0))
    cancels = talk.wants(Cancel)
    assert {c.client_id for c in cancels} >= {t.client_id for t in targets}
    talk.listed()
    for cancel in sorted(cancels, key=lambda c: c.client_id.endswith("t")):  # the stop's first
        assert not talk.position.phase.final
        assert cancel.ref.conditional
        talk.cancelled(cancel)
    assert talk.position.phase is Phase.CLOSED
    assert talk.position.close_reason is CloseReason.OPERATOR


def test_a_cancel_that_found_nothing_is_looked_into() -> None:
    talk, (near, _) = resting()
    talk.hear(closing())
    talk.accept(talk.placed(OrderKind.EXIT), filled=SIZE)
    talk.size(D(0))
    (cancel,) = [c for c in talk.wants(Cancel) if c.client_id == near.client_id]
    talk.cancelled(cancel, CancelResult.GONE)
    assert [f.ref.client_id for f in talk.wants(Find)] == [near.client_id]
    talk.wait(0.1)
    talk.absent(near)
    assert [t.state for t in talk.position.targets if t.client_id == near.client_id] == [OrderState.DONE]


def test_nobody_who_closes_is_joined_by_them() -> None:
    talk = planned(PositionSide.LONG, *HALVES)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    stop = talk.placed(OrderKind.STOP)
    talk.size(SIZE)
    talk.hear(closing())
    talk.refuse(talk.placed(OrderKind.EXIT))
    talk.accept(stop)
    assert targets_of(talk) == []


def test_a_fill_of_its_child_counts_whatever_the_venue_s_clock_says() -> None:
    talk, (near, _) = resting()
    talk.see(near, OrderStatus.TRIGGERED, child="77")
    talk.fill("77", near.side, HALF, NEAR, at=talk.position.opened_at - timedelta(seconds=1))
    assert ledger.book(talk.position) == HALF


# What others do.


def test_a_smaller_position_shrinks_the_farthest_after_a_moment() -> None:
    talk, (near, far) = resting()
    talk.hear(closing("0.3"))
    talk.accept(talk.placed(OrderKind.EXIT), filled=D("0.003"))
    (smaller,) = of_kind(list(talk.last.effects), OrderKind.STOP)
    talk.size(D("0.007"))
    talk.accept(smaller)
    for target in (near, far):
        talk.found(target, OrderStatus.NEW)
    wanted = talk.wait(3)
    (cancel,) = [e for e in wanted if isinstance(e, Cancel) and e.client_id.endswith("t")]
    assert cancel.client_id == far.client_id
    talk.cancelled(cancel)
    assert [(i.trigger_price, i.quantity) for i in targets_of(talk)] == [(FAR, D("0.002"))]


def test_a_larger_position_leaves_them_as_they_are() -> None:
    talk, _ = resting()
    talk.fill("901", talk.side.opening, SIZE, ENTRY)
    talk.size(SIZE * 2)
    assert targets_of(talk) == []
    assert [e for e in talk.wait(10) if isinstance(e, Cancel) and e.client_id.endswith("t")] == []
    assert ladder.wished(talk.position) == SIZE


def test_one_cancelled_by_hand_comes_back() -> None:
    talk, (near, _) = resting()
    talk.see(near, OrderStatus.CANCELED)
    assert EventType.TAKE_PROFIT_LOST in talk.said()
    assert targets_of(talk) == []
    assert [i.trigger_price for i in of_kind(talk.wait(3), OrderKind.TAKE_PROFIT)] == [NEAR]


def test_what_was_taken_is_remembered_when_another_is_placed_anew() -> None:
    talk, (near, far) = resting()
    filled(talk, near, HALF, HALF)
    talk.accept(like(next(s for s in talk.position.stops if s.state is OrderState.SENDING)))
    talk.see(far, OrderStatus.CANCELED)
    (again,) = of_kind(talk.wait(3), OrderKind.TAKE_PROFIT)
    assert again.trigger_price == FAR
    assert [ladder.taken(talk.position, rung) for rung in (0, 1)] == [HALF, 0]


def test_an_accepted_one_has_its_patience_back() -> None:
    talk, _ = opened(PositionSide.LONG, ("1", "1"))
    for _ in range(3):
        talk.refuse(targets_of(talk)[0], RejectReason.LIMIT)
        while not targets_of(talk):
            assert talk.last.wake_at is not None
            talk.wait((talk.last.wake_at - talk.now).total_seconds())
    (target,) = targets_of(talk)
    talk.accept(target)
    assert talk.position.ladder is not None
    assert [(r.refusals, r.retry_at) for r in talk.position.ladder] == [(0, None)]


def test_one_that_a_reading_does_not_show_is_asked_about() -> None:
    talk, (near, far) = resting()
    (stop,) = talk.position.stops
    shown = (talk.order(like(stop), OrderStatus.NEW), talk.order(far, OrderStatus.NEW))
    talk.now = talk.now.replace(minute=1)
    talk.view(SIZE, *shown)
    assert [f.ref.client_id for f in talk.wants(Find)] == [near.client_id]


# After a crash.


def test_one_under_way_in_a_crash_is_found_again() -> None:
    talk, _ = opened()
    near, far = targets_of(talk)
    talk.restart()
    assert {f.ref.client_id for f in talk.wants(Find)} >= {near.client_id, far.client_id}
    assert targets_of(talk) == []
    talk.found(near, OrderStatus.NEW)
    assert [t.state for t in talk.position.targets if t.client_id == near.client_id] == [OrderState.LIVE]
    talk.size(SIZE, asked=True)
    talk.absent(far)
    assert targets_of(talk) == []  # asked too early to prove anything
    talk.wait(4)
    talk.found(like(talk.position.stops[0]), OrderStatus.NEW)
    talk.absent(far)
    talk.size(SIZE, asked=True)
    assert [i.trigger_price for i in of_kind(talk.wait(3), OrderKind.TAKE_PROFIT)] == [FAR]


def test_one_that_triggered_meanwhile_is_booked() -> None:
    talk, (near, _) = resting()
    talk.restart()
    talk.found(near, OrderStatus.TRIGGERED, child="77")
    assert len(talk.wants(AskFills)) == 1  # it may have fired long ago
    talk.size(HALF, asked=True)
    talk.fill("77", near.side, HALF, NEAR)
    assert [t.state for t in talk.position.targets] == [OrderState.DONE, OrderState.LIVE]
    assert ladder.left(talk.position, 0) == 0


def test_one_that_no_rung_knows_is_taken_back_and_cancelled() -> None:
    talk, (near, _) = resting()
    strange = replace(near, client_id=mint_client_id("ab12", POSITION, Epoch(0, 9), 40, OrderKind.TAKE_PROFIT))
    report = replace(talk.order(strange, OrderStatus.NEW, source=Source.SNAPSHOT), trigger_price=D(60_900))
    hear_order(talk, report)
    assert [c.client_id for c in talk.wants(Cancel)] == [strange.client_id]
    assert len(talk.position.stops) == 1


def test_one_of_an_earlier_life_is_taken_back_by_its_rung() -> None:
    talk, _ = opened()
    near, far = targets_of(talk)
    talk.accept(near)
    talk.refuse(far, RejectReason.LIMIT)
    earlier = replace(far, client_id=mint_client_id("ab12", POSITION, Epoch(0, 9), 40, OrderKind.TAKE_PROFIT))
    hear_order(talk, talk.order(earlier, OrderStatus.NEW, source=Source.SNAPSHOT))
    assert [(t.client_id, t.rung) for t in talk.position.targets if t.state is OrderState.LIVE] == [
        (near.client_id, 0),
        (earlier.client_id, 1),
    ]
    talk.found(earlier, OrderStatus.NEW)
    wanted = talk.wait(70)
    assert of_kind(wanted, OrderKind.TAKE_PROFIT) == []
    assert [e for e in wanted if isinstance(e, Cancel)] == []


def test_a_cancel_under_way_in_a_crash_is_sent_again() -> None:
    talk, (near, far) = resting()
    talk.hear(closing())
    talk.accept(talk.placed(OrderKind.EXIT), filled=SIZE)
    talk.size(D(0))
    talk.restart()
    assert {f.ref.client_id for f in talk.wants(Find)} >= {near.client_id, far.client_id}
    again = talk.wants(Cancel)
    talk.size(D(0), asked=True)
    assert {c.client_id for c in [*again, *talk.wants(Cancel)]} >= {near.client_id, far.client_id}


def test_the_grid_may_change_in_mid_life() -> None:
    talk, (near, _) = resting(PositionSide.LONG, ("1.0005", "0.5"), ("2", "0.5"))
    assert near.trigger_price == D("60600.3")
    talk.hear(InstrumentHeard(instrument=replace(BTC, tick=D(1))))
    talk.see(near, OrderStatus.CANCELED)
    assert [i.trigger_price for i in of_kind(talk.wait(3), OrderKind.TAKE_PROFIT)] == [D(60_601)]


# For people's eyes.


def test_what_is_shown_of_them() -> None:
    talk = planned(PositionSide.LONG, *HALVES)
    talk.accept(talk.placed(OrderKind.ENTRY), filled=SIZE)
    assert [(r.trigger, q, s, i) for r, q, s, i in ladder.shown(talk.position)] == [
        (NEAR, HALF, "PLANNED", None),
        (FAR, HALF, "PLANNED", None),
    ]
    talk, (near, far) = resting()
    filled(talk, near, HALF, HALF)
    assert [(r.trigger, q, s, i) for r, q, s, i in ladder.shown(talk.position)] == [
        (NEAR, D(0), "DONE", talk.id_of(near)),
        (FAR, HALF, "LIVE", talk.id_of(far)),
    ]
    talk.see(far, OrderStatus.CANCELED)
    assert [s for _, _, s, _ in ladder.shown(talk.position)] == ["DONE", "PENDING"]
    talk.mark(FAR)
    assert [s for _, _, s, _ in ladder.shown(talk.position)] == ["DONE", "PASSED"]


def test_a_position_without_targets_has_none() -> None:
    talk = Conversation()
    assert list(ladder.shown(talk.position)) == []
    assert isinstance(talk.position.targets, tuple)
    assert not any(isinstance(order, TargetOrder) for order in (talk.position.entry,))
