"""Who goes first, and what never leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors import messages
from actors.messages import (
    AskSnapshot,
    DatabaseIs,
    LockIs,
    SnapshotTaken,
)
from actors.zombie_messages import CancelZombie, ZombieAnswered
from adapters.exchange.interface import VenueFailure
from domain.catalogue import EventType
from domain.identity import OrderKind
from domain.orders import (
    Accepted,
    CancelResult,
    NoAnswer,
    OrderIntent,
    Rejected,
    RejectReason,
)
from domain.position.effects import AskFills, AskPosition, Cancel, Find, Place
from domain.position.inputs import (
    AnswerHeard,
    CancelHeard,
    FillsListed,
    PositionHeard,
    QuestionFailed,
)
from tests.actors.order_path.gateway_bench import NAME, Bench, hang, waiting_ticket
from tests.actors.order_path.scripted import MARK, Owner, flat, ref_of
from tests.actors.order_path.stage import until

RETRY_S = 2


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that a test hangs do not hold up its end."""
    monkeypatch.setattr("actors.gateway.DRAIN_S", 0.6)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.stop()


def test_protection_overtakes_queries_and_never_waits_for_them(bench: Bench) -> None:
    bench.client.script["position"] = hang
    for number in range(50):
        bench.perform(AskPosition(), owner=Owner(number=300 + number))
    bench.client.wait("position", 1)
    intents = [bench.place(owner=Owner(number=100 + n)) for n in range(5)]
    exits = [bench.place(OrderKind.EXIT, owner=Owner(number=200 + n)) for n in range(5)]
    bench.client.wait("place", 10)
    assert set(bench.sent()) == {intent.client_id for intent in intents + exits}
    assert len(bench.client.called("position")) <= 6


def test_protection_goes_before_closing_before_entry_before_queries(bench: Bench) -> None:
    gate: asyncio.Future[None] | None = None

    def closed(_: object) -> asyncio.Future[None]:
        nonlocal gate
        gate = gate or asyncio.get_running_loop().create_future()
        return asyncio.shield(gate)

    bench.client.script.update(place=closed, position=closed)
    for number in range(12):
        bench.place(owner=Owner(number=100 + number))
    for number in range(6):
        bench.perform(AskPosition(), owner=Owner(number=300 + number))
    bench.client.wait("place", 12)
    bench.client.wait("position", 6)
    bench.perform(AskFills(since=datetime.now(UTC)))
    entry = bench.place(OrderKind.ENTRY)
    leave = bench.place(OrderKind.EXIT)
    stop = bench.place(OrderKind.STOP)
    bench.settle()
    before = len(bench.client.calls)
    actor = bench.stage.actor(NAME)
    actor._loop.call(lambda: gate.set_result(None))  # type: ignore[union-attr]
    bench.position.wait(FillsListed)
    after = [(name, getattr(about, "client_id", None)) for name, about in bench.client.calls[before:]]
    assert after.index(("place", stop.client_id)) < after.index(("place", leave.client_id))
    assert after.index(("place", leave.client_id)) < after.index(("place", entry.client_id))
    assert after.index(("place", entry.client_id)) < after.index(("fills", None))


def test_a_hung_order_stops_nobody_else(bench: Bench) -> None:
    hung = bench.owner.intent()
    bench.client.script["place"] = lambda intent: hang(intent) if intent.client_id == hung.client_id else None
    bench.perform(Place(intent=hung))
    bench.client.wait("place")
    assert isinstance(bench.outcome(bench.place()), Accepted)
    bench.perform(AskPosition())
    bench.position.wait(PositionHeard)


@pytest.mark.parametrize("by", ["place", "question", "find", "leverage"])
def test_a_venue_that_says_too_much_gets_stops_only(tmp_path: Path, by: str) -> None:
    bench = Bench(tmp_path, leverage=5 if by == "leverage" else 0)
    try:
        told_at = bench.stage.clock.monotonic()
        limited = VenueFailure(RejectReason.RATE_LIMIT, "-1003", "too many", certain=True, retry_after_s=RETRY_S)

        def fail(_: object) -> object:
            bench.client.script.clear()
            raise limited

        def refuse(intent: OrderIntent) -> Rejected:
            bench.client.script.clear()
            now = datetime.now(UTC)
            return Rejected(
                client_id=intent.client_id, reason=RejectReason.RATE_LIMIT, code="", text="", sent_at=now,
                retry_after_s=RETRY_S,
            )  # fmt: skip

        if by == "place":
            bench.client.script["place"] = refuse
            bench.outcome(bench.place())
        elif by == "question":
            bench.client.script["position"] = fail
            bench.perform(AskPosition())
            bench.position.wait(QuestionFailed)
        elif by == "leverage":
            bench.client.script["leverage"] = fail
            assert bench.outcome(bench.place(OrderKind.ENTRY)).reason is RejectReason.RATE_LIMIT
        else:
            ref = ref_of(bench.owner.intent().client_id)
            bench.client.script["find"] = lambda _: NoAnswer(ref=ref, text="too many", retry_after_s=RETRY_S)
            bench.perform(Find(ref=ref))
            bench.position.wait(AnswerHeard)
        bench.client.calls.clear()
        bench.perform(AskFills(since=datetime.now(UTC)))
        entry = bench.place(OrderKind.ENTRY)
        stop = bench.place(OrderKind.STOP)
        assert isinstance(bench.outcome(stop), Accepted)
        assert [name for name, _ in bench.client.calls] == ["place"]
        assert isinstance(bench.outcome(entry), Accepted)
        bench.position.wait(FillsListed)
        assert bench.stage.clock.monotonic() - told_at >= RETRY_S
        assert until(lambda: len(bench.events(EventType.RATE_LIMITED)) == 1)
    finally:
        bench.stop()


@pytest.mark.parametrize(
    "closed",
    [DatabaseIs(up=False), LockIs(account="main", held=False, reason="protection_only: no connection holds the lock")],
)
def test_no_entry_while_database_or_lock_is_away(bench: Bench, closed: Any) -> None:
    bench.stage.tell(NAME, closed)
    refused = bench.outcome(bench.place(OrderKind.ENTRY))
    assert refused.reason is RejectReason.ENTRIES_CLOSED
    assert "database" in refused.text or "protection_only" in refused.text
    assert isinstance(bench.outcome(bench.place(OrderKind.STOP)), Accepted)
    assert isinstance(bench.outcome(bench.place(OrderKind.EXIT)), Accepted)
    opened = DatabaseIs(up=True) if isinstance(closed, DatabaseIs) else LockIs(account="main", held=True)
    bench.stage.tell(NAME, opened)
    assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY)), Accepted)


def test_both_must_be_back(bench: Bench) -> None:
    bench.stage.tell(NAME, DatabaseIs(up=False))
    bench.stage.tell(NAME, LockIs(account="main", held=False, reason="protection_only"))
    bench.stage.tell(NAME, DatabaseIs(up=True))
    assert bench.outcome(bench.place(OrderKind.ENTRY)).reason is RejectReason.ENTRIES_CLOSED


@pytest.mark.usefixtures("unhurried")
def test_an_entry_that_waits_is_refused_when_the_database_goes(bench: Bench) -> None:
    ticket = waiting_ticket()
    entry = bench.place(OrderKind.ENTRY, ticket=ticket)
    bench.settle()
    bench.stage.tell(NAME, DatabaseIs(up=False))
    bench.settle()
    ticket.settle()
    assert bench.outcome(entry).reason is RejectReason.ENTRIES_CLOSED
    assert bench.sent() == []


INSANE: list[tuple[OrderKind, dict[str, Any], RejectReason]] = [
    (OrderKind.STOP, {"trigger_price": Decimal(50_001)}, RejectReason.WOULD_TRIGGER),
    (OrderKind.STOP, {"trigger_price": Decimal(10_000)}, RejectReason.INSANE),
    (OrderKind.STOP, {"trigger_price": Decimal("49000.05")}, RejectReason.INSANE),
    (OrderKind.STOP, {"reduce_only": False}, RejectReason.INSANE),
    (OrderKind.STOP, {"quantity": Decimal("NaN")}, RejectReason.INSANE),
    (OrderKind.ENTRY, {"quantity": Decimal(0)}, RejectReason.INSANE),
    (OrderKind.EXIT, {"symbol": "DOGE/USDT:USDT"}, RejectReason.SYMBOL),
]


@pytest.mark.parametrize(("kind", "changes", "reason"), INSANE)
def test_what_is_not_sane_never_reaches_the_client(
    bench: Bench, kind: OrderKind, changes: dict[str, Any], reason: RejectReason
) -> None:
    intent = bench.place(kind, **changes)
    assert bench.outcome(intent).reason is reason
    assert bench.client.called("place") == []
    if reason is not RejectReason.SYMBOL:
        told = until(lambda: bench.events(EventType.ORDER_REFUSED_UNSAFE))
        assert (told[0].severity, told[0].position_id) == ("critical", intent.position_id)


@pytest.mark.usefixtures("unhurried")
def test_the_newest_mark_is_judged_by_at_the_last_moment(bench: Bench) -> None:
    ticket = waiting_ticket()
    stop = bench.place(ticket=ticket, reference_price=Decimal(50_000))
    bench.settle()
    bench.mark(Decimal(48_900))
    ticket.settle()
    assert bench.outcome(stop).reason is RejectReason.WOULD_TRIGGER
    assert bench.events(EventType.ORDER_REFUSED_UNSAFE) == [], "it was sane when it was decided"


@pytest.fixture
def unpriced(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, priced=False)
    yield bench
    bench.stop()


def test_a_stop_is_judged_by_a_price_that_is_asked_for_when_none_was_heard(unpriced: Bench) -> None:
    """Right after a start: the market may have passed the place of a stop while nobody watched (LAWS S13)."""
    passed = unpriced.place(trigger_price=MARK + 1, reference_price=None)
    assert unpriced.outcome(passed).reason is RejectReason.WOULD_TRIGGER
    assert unpriced.sent() == []
    assert unpriced.events(EventType.ORDER_REFUSED_UNSAFE) == [], "its owner could not know better"
    good = unpriced.place(trigger_price=MARK - 1, reference_price=None)
    assert isinstance(unpriced.outcome(good), Accepted)
    assert len(unpriced.client.called("mark")) == 1, "the answer is young enough for both"


@pytest.mark.parametrize("failure", ["silent", "failing"])
def test_a_stop_goes_out_when_nobody_tells_a_price(unpriced: Bench, failure: str) -> None:
    if failure == "silent":
        unpriced.client.script["mark"] = hang
    else:
        unpriced.client.script["mark"] = failing
    assert isinstance(unpriced.outcome(unpriced.place(reference_price=None)), Accepted)


def failing(_: object) -> None:
    raise VenueFailure(RejectReason.TRANSIENT, "503", "no price now", certain=True)


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, dry_run=True)
    try:
        assert isinstance(bench.outcome(bench.place(OrderKind.ENTRY)), Rejected)
        stop = bench.owner.intent()
        bench.perform(Cancel(ref=ref_of(stop.client_id), client_id=stop.client_id))
        assert bench.position.wait(CancelHeard).outcome.result is CancelResult.REFUSED
        bench.stage.tell(NAME, CancelZombie(key="z", ref=ref_of(stop.client_id), reply_to=messages.reconciler("main")))
        assert bench.reconciler.wait(ZombieAnswered).outcome.result is CancelResult.REFUSED
        assert {name for name, _ in bench.client.calls} == {"connect", "facts"}
    finally:
        bench.stop()


def test_leverage_is_read_before_each_entry_and_set_where_it_differs(tmp_path: Path) -> None:
    """A human may have changed it since the last entry (seen: what was set once was never looked at again)."""
    bench = Bench(tmp_path, leverage=5)
    shown = Decimal(20)
    bench.client.script["position"] = lambda symbol: replace(flat(symbol), leverage=shown)
    try:
        bench.outcome(bench.place(OrderKind.STOP))
        assert bench.client.called("position") == []
        bench.outcome(bench.place(OrderKind.ENTRY))
        assert bench.client.called("leverage") == [5]
        shown = Decimal(5)
        bench.outcome(bench.place(OrderKind.ENTRY))
        assert bench.client.called("leverage") == [5]
        shown = Decimal(3)
        bench.outcome(bench.place(OrderKind.ENTRY))
        assert bench.client.called("leverage") == [5, 5]
        assert len(bench.client.called("position")) == 3
    finally:
        bench.stop()


def test_questions_that_say_the_same_wait_as_one(bench: Bench) -> None:
    """Asked again every few seconds while the budget was used up, they came before what else their owner had to ask."""
    desk = bench.stage.actor(NAME)._desk
    bench.stage.actor(NAME)._loop.call(lambda: desk._turns.pause(0.5))
    bench.settle()
    ref, other = (ref_of(bench.owner.intent().client_id) for _ in range(2))
    for _ in range(20):
        for effect in (AskPosition(), Find(ref=ref), Find(ref=other), AskFills(since=datetime.now(UTC))):
            bench.perform(effect)
            bench.perform(effect, owner=Owner(number=77))
        bench.stage.tell(NAME, AskSnapshot(reply_to=messages.reconciler("main")))
    bench.reconciler.wait(SnapshotTaken)
    bench.settle()
    counts = [len(bench.client.called(what)) for what in ("position", "find", "fills", "snapshot")]
    assert counts == [2, 4, 2, 1]
    bench.perform(AskPosition())
    bench.client.wait("position", 3)
