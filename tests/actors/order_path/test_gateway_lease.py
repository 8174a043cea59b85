"""What leaves while the account's lock cannot be proven, and that nothing does once another process has it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from actors import messages
from actors.messages import AskSnapshot
from actors.zombie_messages import CancelZombie
from domain.catalogue import EventType
from domain.identity import Epoch, OrderKind
from domain.lease import LEASE_S
from domain.orders import Accepted, AccountSnapshot, CancelResult, Found, OrderIntent, Rejected, RejectReason
from domain.position.effects import Cancel, Find
from domain.position.inputs import CancelHeard
from domain.position.state import OrderState, Position, Purpose
from tests.actors.order_path.gateway_bench import NAME, Bench
from tests.actors.order_path.scripted import Owner, ref_of
from tests.actors.order_path.stage import until
from tests.actors.order_path.test_feeds import report
from tests.persistence.samples import protected


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.gateway.DRAIN_S", 0.6)


@pytest.fixture(params=[False, True], ids=["alone", "standby"])
def standby(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def bench(tmp_path: Path, standby: bool) -> Iterator[Bench]:
    bench = Bench(tmp_path, standby=standby)
    yield bench
    bench.stop()


def lapse(bench: Bench, *, looked: bool = True) -> None:
    """The lock was proven longer ago than the lease. `looked`: the keeper has just found no database."""
    now = bench.stage.clock.now()
    bench.lease.proven(now - timedelta(seconds=LEASE_S + 30))
    if looked:
        bench.lease.unproven(now, "the database cannot be reached", rival=False)


def known(bench: Bench, intent: OrderIntent, purpose: Purpose, *, resting: bool = True) -> None:
    """The owner has handed over a state in which this stop is being sent, beside one that rests."""
    p: Position = protected(bench.owner.number, version=50)
    (stop,) = p.stops
    sent = replace(stop, client_id=intent.client_id, purpose=purpose, state=OrderState.SENDING)
    bench.stage.owners.handed_over(p.changed(stops=(stop, sent) if resting else (sent,)))


def move(bench: Bench, purpose: Purpose = Purpose.TRAIL, *, resting: bool = True) -> OrderIntent:
    bench.owner.sequence += 20
    known(bench, replace(bench.owner).intent(), purpose, resting=resting)
    return bench.place()


def test_entries_never_leave_unproven(bench: Bench) -> None:
    lapse(bench)
    refused = bench.outcome(bench.place(OrderKind.ENTRY))
    assert refused.reason is RejectReason.ENTRIES_CLOSED
    assert "protection_only" in refused.text
    assert bench.sent() == []


@pytest.mark.parametrize("purpose", [Purpose.FIRST, Purpose.EMERGENCY])
def test_a_first_cover_leaves_at_once(bench: Bench, purpose: Purpose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.lease.URGENT_WITHIN_S", 60.0)
    lapse(bench)
    assert isinstance(bench.outcome(move(bench, purpose)), Accepted)


def test_a_guard_of_a_bare_position_leaves(bench: Bench) -> None:
    lapse(bench)
    assert isinstance(bench.outcome(move(bench, Purpose.GUARD, resting=False)), Accepted)


def test_an_exit_leaves(bench: Bench) -> None:
    lapse(bench)
    assert isinstance(bench.outcome(bench.place(OrderKind.EXIT)), Accepted)


def test_a_move_leaves_unless_somebody_stands_by(bench: Bench, standby: bool) -> None:
    lapse(bench)
    outcome = bench.outcome(move(bench))
    if not standby:
        assert isinstance(outcome, Accepted)
        return
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.WITHHELD
    assert bench.sent() == []
    bench.outcome(bench.place(owner=replace(bench.owner, sequence=40)))
    assert until(lambda: len(bench.events(EventType.REQUEST_WITHHELD)) == 1), "once, not for each"


def test_a_cancel_is_part_of_a_move_while_the_position_is_open(bench: Bench, standby: bool) -> None:
    lapse(bench)
    stop = bench.owner.intent()
    bench.stage.owners.handed_over(protected(bench.owner.number, version=50))
    bench.perform(Cancel(ref=ref_of(stop.client_id), client_id=stop.client_id))
    result = bench.position.wait(CancelHeard).outcome.result
    assert result is (CancelResult.REFUSED if standby else CancelResult.DONE)


def test_whoever_else_holds_the_lock_is_a_rival_even_where_nobody_was_to_stand_by(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    try:
        lapse(bench)
        bench.lease.unproven(bench.stage.clock.now(), "held by another", rival=True)
        assert bench.outcome(move(bench)).reason is RejectReason.WITHHELD
    finally:
        bench.stop()


def test_one_that_wakes_up_waits_for_the_keepers_word(bench: Bench) -> None:
    """Nobody has looked since the pause: what is in hand waits, and leaves when the lock is proven."""
    lapse(bench, looked=False)
    rung = threading.Event()
    bench.lease.ring = rung.set
    intent = move(bench)
    assert rung.wait(5)
    bench.settle()
    assert bench.sent() == []
    bench.lease.proven(bench.stage.clock.now())
    assert isinstance(bench.outcome(intent), Accepted)


def test_one_that_wakes_up_after_a_take_over_sends_nothing_and_answers_nobody(bench: Bench) -> None:
    lapse(bench, looked=False)
    rung = threading.Event()
    bench.lease.ring = rung.set
    kinds = (OrderKind.STOP, OrderKind.EXIT, OrderKind.ENTRY)
    for number, kind in enumerate(kinds):
        bench.place(kind, owner=replace(bench.owner, sequence=100 * number))
    assert rung.wait(5)
    bench.lease.take_over("term 2 was taken by another machine", 2)
    bench.settle()
    bench.place(OrderKind.EXIT, owner=replace(bench.owner, sequence=900))
    bench.settle()
    assert bench.sent() == []
    assert bench.position.messages == []
    assert bench.superseded == ["term 2 was taken by another machine"]


def test_no_word_in_time_keeps_a_move_and_not_a_cover(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.lease.WORD_WITHIN_S", 0.2)
    monkeypatch.setattr("actors.lease.URGENT_WITHIN_S", 0.1)
    lapse(bench, looked=False)
    assert bench.outcome(move(bench)).reason is RejectReason.WITHHELD
    assert isinstance(bench.outcome(move(bench, Purpose.FIRST)), Accepted)


def test_what_became_untrue_while_it_waited_is_seen(bench: Bench) -> None:
    lapse(bench, looked=False)
    intent = move(bench)
    bench.settle()
    bench.stage.tell(NAME, messages.Claim(fence=Owner(epoch=Epoch(1, 2)).fence))
    bench.settle()
    bench.lease.proven(bench.stage.clock.now())
    assert bench.outcome(intent).reason is RejectReason.FENCED


def test_a_zombie_is_left_to_whoever_has_the_account(bench: Bench, standby: bool) -> None:
    lapse(bench)
    ref = ref_of(bench.owner.intent().client_id)
    bench.stage.tell(NAME, CancelZombie(key="z", ref=ref, reply_to=messages.reconciler("main")))
    bench.settle()
    assert len(bench.client.called("cancel")) == (0 if standby else 1)


HIGHER = Owner(epoch=Epoch(2, 1)).intent().client_id


@pytest.mark.parametrize("client_id", [HIGHER, HIGHER.replace("hfab12", "hfzz99"), "hfab12-7-1_9-1s", "x", None])
def test_a_higher_term_of_ours_in_a_reading_ends_everything(tmp_path: Path, client_id: str | None) -> None:
    bench = Bench(tmp_path)
    try:

        def seen(_: object) -> AccountSnapshot:
            now = bench.stage.clock.now()
            return AccountSnapshot(
                account="main", asked_at=now, answered_at=now, positions=(), orders=(report(client_id),)
            )

        bench.client.script["snapshot"] = seen
        bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
        bench.client.wait("snapshot")
        bench.settle()
        assert len(bench.superseded) == (1 if client_id == HIGHER else 0)
        bench.place(OrderKind.EXIT)
        bench.settle()
        assert len(bench.sent()) == (0 if client_id == HIGHER else 1)
    finally:
        bench.stop()


def test_a_higher_term_in_an_answer_ends_everything(bench: Bench) -> None:
    ref = ref_of(bench.owner.intent().client_id)
    bench.client.script["find"] = lambda _: Found(ref=ref, report=report(HIGHER))
    bench.perform(Find(ref=ref))
    until(lambda: bench.superseded)
    assert "asked for" in bench.superseded[0]


def test_a_start_without_the_database_looks_at_the_exchange_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    try:
        assert bench.client.called("snapshot") == []
        bench.lease._proven_at = None
        bench.stage.kill(NAME)
        assert len(bench.client.called("snapshot")) == 1
    finally:
        bench.stop()


