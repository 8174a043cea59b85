"""The gateway refuses who is no longer the owner, and sends nothing that is not written down."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.messages import (
    Claim,
    Disown,
)
from domain.catalogue import EventType
from domain.identity import Epoch, OrderKind
from domain.orders import (
    Accepted,
    CancelResult,
    Rejected,
    RejectReason,
)
from domain.position.effects import Cancel
from domain.position.inputs import (
    CancelHeard,
)
from tests.actors.order_path.gateway_bench import NAME, Bench, hang, waiting_ticket
from tests.actors.order_path.scripted import Owner, ref_of
from tests.actors.order_path.stage import until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that a test hangs do not hold up its end."""
    monkeypatch.setattr("actors.gateway.DRAIN_S", 0.6)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.stop()


def test_an_older_epoch_is_refused(bench: Bench) -> None:
    bench.stage.tell(NAME, Claim(fence=Owner(epoch=Epoch(1, 2)).fence))
    old = bench.place()
    refused = bench.outcome(old)
    assert isinstance(refused, Rejected)
    assert refused.reason is RejectReason.FENCED
    assert bench.sent() == []
    until(lambda: len(bench.events(EventType.REQUEST_FENCED)) == 1)


def test_an_older_term_is_refused_whatever_its_incarnation(bench: Bench) -> None:
    bench.stage.tell(NAME, Claim(fence=Owner(epoch=Epoch(2, 1)).fence))
    assert bench.outcome(bench.place(owner=Owner(epoch=Epoch(1, 9)))).reason is RejectReason.FENCED
    assert isinstance(bench.outcome(bench.place(owner=Owner(epoch=Epoch(2, 1), sequence=20))), Accepted)


def test_an_older_claim_takes_nothing_back(bench: Bench) -> None:
    bench.stage.tell(NAME, Claim(fence=Owner(epoch=Epoch(1, 3)).fence))
    bench.stage.tell(NAME, Claim(fence=Owner(epoch=Epoch(1, 2)).fence))
    assert bench.outcome(bench.place(owner=Owner(epoch=Epoch(1, 2)))).reason is RejectReason.FENCED


@pytest.mark.usefixtures("unhurried")
def test_a_claim_overtakes_an_order_that_waits_for_its_ticket(bench: Bench) -> None:
    ticket = waiting_ticket()
    old = bench.place(ticket=ticket)
    bench.settle()
    bench.stage.tell(NAME, Claim(fence=Owner(epoch=Epoch(1, 2)).fence))
    bench.settle()
    ticket.settle()
    assert bench.outcome(old).reason is RejectReason.FENCED
    assert bench.sent() == []


@pytest.mark.usefixtures("unhurried")
def test_a_claim_overtakes_a_cancel_that_waits_for_its_ticket(bench: Bench) -> None:
    ticket = waiting_ticket()
    stop = bench.owner.intent()
    bench.perform(Cancel(ref=ref_of(stop.client_id), client_id=stop.client_id), ticket)
    bench.settle()
    bench.stage.tell(NAME, Claim(fence=Owner(epoch=Epoch(1, 2)).fence))
    bench.settle()
    ticket.settle()
    assert bench.position.wait(CancelHeard).outcome.result is CancelResult.REFUSED
    assert bench.client.called("cancel") == []


def test_a_claim_overtakes_an_order_in_the_queue(bench: Bench) -> None:
    bench.client.script["place"] = hang
    for number in range(12):
        bench.place(owner=Owner(number=100 + number))
    bench.client.wait("place", 12)
    old = bench.place()
    bench.settle()
    bench.stage.tell(NAME, Claim(fence=Owner(epoch=Epoch(1, 2)).fence))
    bench.settle()
    assert old.client_id not in bench.sent()
    bench.client.script.clear()
    bench.stage.kill(NAME)
    assert old.client_id not in bench.sent()


def test_a_disowned_position_starts_afresh(bench: Bench) -> None:
    bench.stage.tell(NAME, Claim(fence=Owner(epoch=Epoch(1, 2)).fence))
    bench.stage.tell(NAME, Disown(position_id=bench.owner.id))
    bench.settle()
    assert isinstance(bench.outcome(bench.place()), Accepted)


@pytest.mark.usefixtures("unhurried")
def test_nothing_leaves_before_the_journal_says_so(bench: Bench) -> None:
    ticket = waiting_ticket()
    intent = bench.place(ticket=ticket)
    bench.settle()
    assert bench.sent() == []
    ticket.settle()
    assert isinstance(bench.outcome(intent), Accepted)
    assert bench.spool.count == 0


@pytest.mark.parametrize("kind", [OrderKind.ENTRY, OrderKind.STOP, OrderKind.EXIT])
def test_a_stuck_journal_is_overtaken_by_the_spool(bench: Bench, kind: OrderKind) -> None:
    ticket = waiting_ticket()
    spooled: list[int] = []
    bench.client.script["place"] = lambda _: spooled.append(bench.spool.count)
    begun = bench.stage.clock.monotonic()
    intent = bench.place(kind, ticket=ticket)
    assert isinstance(bench.outcome(intent), Accepted)
    assert bench.stage.clock.monotonic() - begun >= 0.05
    assert spooled == [1]
    assert [each.record_id for each in bench.spool.pending()] == [ticket.record.record_id]
    assert ticket.settled
    assert until(lambda: bench.events(EventType.INTENT_SPOOLED))


def test_a_cancel_is_durable_first(bench: Bench) -> None:
    spooled: list[int] = []
    bench.client.script["cancel"] = lambda _: spooled.append(bench.spool.count)
    stop = bench.owner.intent()
    bench.perform(Cancel(ref=ref_of(stop.client_id), client_id=stop.client_id), waiting_ticket())
    bench.position.wait(CancelHeard)
    assert spooled == [1]


def _no_space(records: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_with_neither_journal_nor_disk_only_protection_leaves(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.spool, "append", _no_space)
    entry = bench.place(OrderKind.ENTRY, ticket=waiting_ticket())
    stop = bench.place(OrderKind.STOP, ticket=waiting_ticket())
    assert bench.outcome(entry).reason is RejectReason.ENTRIES_CLOSED
    assert isinstance(bench.outcome(stop), Accepted)
    assert bench.sent() == [stop.client_id]
    assert until(lambda: len(bench.events(EventType.RECORD_POISONED)) == 2)


@pytest.mark.usefixtures("unhurried")
def test_an_entry_whose_record_the_database_refuses_never_leaves(bench: Bench) -> None:
    """Two processes around a take-over act on one signal: the second one's position is refused by its unique key."""
    tickets = [waiting_ticket(), waiting_ticket()]
    entry = bench.place(OrderKind.ENTRY, ticket=tickets[0])
    stop = bench.place(OrderKind.STOP, ticket=tickets[1])
    for ticket in tickets:
        ticket.settle(refused=True)
    refused = bench.outcome(entry)
    assert (refused.reason, "refuses the position" in refused.text) == (RejectReason.ENTRIES_CLOSED, True)
    assert isinstance(bench.outcome(stop), Accepted), "what protects leaves all the same"
    assert bench.sent() == [stop.client_id]


def test_a_disk_that_hangs_does_not_keep_a_stop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.sending.DISK_WITHIN_S", 0.1)
    release = threading.Event()
    monkeypatch.setattr(bench.spool, "append", lambda records: release.wait(10))
    try:
        assert isinstance(bench.outcome(bench.place(ticket=waiting_ticket())), Accepted)
    finally:
        release.set()
