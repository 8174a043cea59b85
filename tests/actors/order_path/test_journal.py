"""The journal: order, tickets, crashes, poison."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from actors import messages
from actors.guard import abandon
from actors.messages import AlertsRaised, DatabaseIs, Show, SignalsStored, Write
from actors.supervision import Crash, Ping
from actors.ticket import Ticket
from domain.catalogue import EventType
from persistence.spool import Spool
from persistence.writer import Writer
from tests.actors.order_path.journal_bench import LIMIT_S, Bench, Locked, numbered, numbers, poison, settled
from tests.actors.order_path.stage import Stage, until
from tests.persistence.conftest import Query
from tests.persistence.samples import event


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, shorter: a lock is waited for half a second, an answer two, the next try comes at once."""
    monkeypatch.setattr("actors.journal.PROBE_S", 0.1)
    monkeypatch.setattr("actors.journal.Writer", partial(Writer, statement_timeout_ms=1_000))


@pytest.fixture
def bench(database: str, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(Stage(), database, tmp_path)
    bench.stage.start()
    yield bench
    bench.stop()


@pytest.fixture
def patient(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench whose journal waits for a lock as long as the test holds it."""
    monkeypatch.setattr("actors.journal.Writer", partial(Writer, statement_timeout_ms=30_000))
    bench = Bench(Stage(), database, tmp_path, lock_timeout_ms=30_000)
    bench.stage.start()
    yield bench
    bench.stop()


def test_records_are_committed_in_order_and_the_ticket_says_when(patient: Bench, rows: Query, database: str) -> None:
    bench, lock = patient, Locked(database)
    tickets = [bench.write(numbered(n)) for n in range(450)]
    assert not any(ticket.settled for ticket in tickets)
    lock.release()
    assert all(settled(ticket) for ticket in tickets)
    assert numbers(rows) == list(range(450))
    assert rows.one("SELECT count(*) AS n FROM monitoring.transaction_log")["n"] == 450


def test_what_waits_is_one_transaction(patient: Bench, rows: Query, database: str) -> None:
    bench, lock = patient, Locked(database)
    first = bench.write(numbered(0))
    lock.in_hand()
    rest = [bench.write(numbered(n)) for n in range(1, 101)]
    lock.release()
    assert settled(first)
    assert all(settled(ticket) for ticket in rest)
    groups = rows("SELECT xmin::text AS x, count(*) AS n FROM monitoring.transaction_log GROUP BY 1 ORDER BY 2")
    assert [group["n"] for group in groups] == [1, 100]


@pytest.mark.parametrize("last", [Show(), Ping()], ids=lambda m: type(m).__name__)
def test_a_record_does_not_wait_for_another_behind_a_question(
    patient: Bench, rows: Query, database: str, last: object
) -> None:
    bench, lock = patient, Locked(database)
    first = bench.write(numbered(0))
    lock.in_hand()
    second = bench.write(numbered(1))
    bench.stage.tell(messages.JOURNAL, last)
    lock.release()
    assert settled(first)
    assert settled(second)
    assert numbers(rows) == [0, 1]


def test_a_ticket_is_settled_after_the_commit(bench: Bench, rows: Query) -> None:
    seen: list[object] = []
    told = numbered(1)
    ticket = Ticket(told)
    ticket._waiting.append(lambda: seen.append(numbers(rows)))
    bench.stage.tell(messages.JOURNAL, Write(record=told, ticket=ticket))
    assert settled(ticket)
    assert until(lambda: seen) == [[1]]


@pytest.mark.parametrize("how", ["hang", "exception"])
def test_what_no_journal_read_before_the_stop_waits_in_the_spool(
    database: str, tmp_path: Path, rows: Query, how: Literal["hang", "exception"]
) -> None:
    """One that hangs is left behind, one that fell waits for its restart: nobody reads what it was told."""
    bench = Bench(Stage(), database, tmp_path, max_backoff_s=600.0, intensity=1, shutdown_s=0.1)
    bench.stage.start()
    assert settled(bench.write(numbered(0)))
    if how == "exception":
        bench.stage.kill(messages.JOURNAL)  # the first restart comes at once, the second after minutes
    bench.stage.tell(messages.JOURNAL, Crash(how=how, hang_s=3))
    if how == "exception":
        until(lambda: bench.stage.directory.ref(messages.JOURNAL) is None, what="it to lie")
    for number in (1, 2):
        bench.write(numbered(number))
    bench.stop()
    assert numbers(rows) == [0]
    spool = Spool(tmp_path / "spool")
    assert [record.record_id for record in spool.pending()] == ["n-00001", "n-00002"]
    spool.close()


def test_a_crash_with_half_a_group_loses_nothing(bench: Bench, rows: Query, database: str) -> None:
    lock = Locked(database)
    tickets = [bench.write(numbered(n)) for n in range(20)]
    tickets[0]._waiting.append(lambda: bench.stage.actor(messages.JOURNAL)._group.extend([object()]))  # breaks it
    lock.release()
    bench.stage.risen(messages.JOURNAL, above=1)
    tickets += [bench.write(numbered(n)) for n in range(20, 30)]
    assert all(settled(ticket) for ticket in tickets)
    assert numbers(rows) == list(range(30))


@pytest.mark.parametrize("how", ["exception", "exit"])
def test_a_kill_loses_nothing(bench: Bench, rows: Query, how: Any) -> None:
    tickets = [bench.write(numbered(n)) for n in range(200)]
    bench.stage.kill(messages.JOURNAL, how)
    tickets += [bench.write(numbered(n)) for n in range(200, 210)]
    assert all(settled(ticket) for ticket in tickets)
    assert numbers(rows) == list(range(210))


def test_a_collected_group_survives_the_crash_that_its_successor_writes(bench: Bench, rows: Query) -> None:
    """The group is in the actor alone when it dies; whoever waited for it is told all the same."""
    entered = threading.Event()
    leave = threading.Event()

    class Stuck:
        def write(self, records: object) -> list[object]:
            entered.set()
            leave.wait(LIMIT_S)
            raise RuntimeError("the writer broke")

        def close(self) -> None:
            leave.set()

    bench.stage.actor(messages.JOURNAL)._writer = Stuck()
    ticket = bench.write(numbered(1), then=(messages.ENTRY_DESK, SignalsStored(signals=())))
    assert entered.wait(LIMIT_S)
    later = bench.write(numbered(2))
    leave.set()
    assert settled(ticket)
    assert settled(later)
    bench.desk.wait(SignalsStored)
    assert numbers(rows) == [1, 2]
    until(lambda: bench.spool.count == 0, what="an empty spool")


def test_a_hung_journal_is_replaced_and_its_group_is_not_lost(database: str, tmp_path: Path, rows: Query) -> None:
    stage = Stage()
    bench = Bench(stage, database, tmp_path)
    stage.start()
    release = threading.Event()

    class Hung:
        def write(self, records: object) -> list[object]:
            release.wait(LIMIT_S)
            return []

        def close(self) -> None:
            raise AssertionError("whoever fences a hung journal must not wait for its writer")

    actor = stage.actor(messages.JOURNAL)
    actor._writer = Hung()
    try:
        ticket = bench.write(numbered(1), then=(messages.ENTRY_DESK, SignalsStored(signals=())))
        until(lambda: actor._group, what="the group in hand")
        ref = stage.directory.ref(messages.JOURNAL)
        assert ref is not None
        leftovers = abandon(ref)  # type: ignore[arg-type]
        assert leftovers == ()
        assert settled(ticket)
        bench.desk.wait(SignalsStored)
        assert bench.spool.count == 1
    finally:
        release.set()
        actor._writer = type("Closed", (), {"close": lambda self: None, "write": lambda self, r: []})()
        bench.stop()


def test_poison_is_put_aside_and_the_rest_commits(bench: Bench, rows: Query) -> None:
    bad = poison()
    tickets = [bench.write(numbered(1)), bench.write(bad, then=(messages.ENTRY_DESK, SignalsStored(signals=())))]
    tickets.append(bench.write(numbered(2), then=(messages.ENTRY_DESK, DatabaseIs(up=True))))
    assert all(settled(ticket) for ticket in tickets)
    assert [ticket.refused for ticket in tickets] == [False, True, False]
    bench.desk.wait(DatabaseIs)
    assert numbers(rows) == [1, 2]
    assert bench.desk.of(SignalsStored) == []
    raised = bench.notifier.wait(AlertsRaised)  # without anything else being written
    assert raised.alerts[0].severity == "critical"
    kept = list(Spool(bench.directory / "refused").pending())
    assert [each.record_id for each in kept] == ["bad"]
    row = rows.one("SELECT severity FROM monitoring.events WHERE event_type = %s", "record_poisoned")
    assert row["severity"] == "critical"


def test_poison_that_cannot_be_put_aside_is_loud_and_kills_nobody(bench: Bench, rows: Query, lines: list[str]) -> None:
    (bench.directory / "refused").write_text("a file where a directory should be")
    tickets = [bench.write(poison()), bench.write(numbered(1))]
    assert all(settled(ticket) for ticket in tickets)
    assert numbers(rows) == [1]
    until(lambda: [line for line in lines if line.startswith("CRITICAL RECORD_POISONED") and "unkept" in line])
    assert bench.stage.directory.newest_incarnation(messages.JOURNAL) == 1


def test_a_poisoned_report_of_poison_ends_there(bench: Bench, rows: Query) -> None:
    bad = poison(events=(event(EventType.RECORD_POISONED),))
    assert settled(bench.write(bad))
    assert settled(bench.write(numbered(1)))
    assert rows("SELECT 1 FROM monitoring.events WHERE event_type = 'record_poisoned'") == []


def test_a_ticket_of_a_dead_waiter_harms_nobody(bench: Bench, rows: Query) -> None:
    told = numbered(1)
    ticket = Ticket(told)
    loop = asyncio.new_event_loop()

    async def give_up() -> None:
        with suppress(asyncio.CancelledError):
            await ticket.wait(0.01)

    loop.run_until_complete(give_up())
    loop.close()
    bench.stage.tell(messages.JOURNAL, Write(record=told, ticket=ticket))
    assert settled(bench.write(numbered(2)))
    assert bench.stage.directory.newest_incarnation(messages.JOURNAL) == 1


def test_a_later_life_replays_before_anything_newer(database: str, tmp_path: Path, rows: Query) -> None:
    left = Spool(tmp_path / "spool")
    left.append([numbered(n) for n in range(300)])
    left.close()
    bench = Bench(Stage(), database, tmp_path)
    bench.stage.start()
    try:
        assert numbers(rows) == list(range(300))
        found = rows.one("SELECT event_data FROM monitoring.events WHERE event_type = 'database_restored'")
        assert found["event_data"] == {"replayed": 300}
        assert settled(bench.write(numbered(300)))
    finally:
        bench.stop()
    assert numbers(rows) == list(range(301))


def test_a_line_of_the_spool_that_cannot_be_read_any_more_is_shouted_once(
    database: str, tmp_path: Path, rows: Query
) -> None:
    left = Spool(tmp_path / "spool")
    left.append([numbered(n) for n in range(3)])
    left.close()
    (segment,) = (tmp_path / "spool").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + lines[1].replace(b"{", b"[", 1) + lines[2])
    bench = Bench(Stage(), database, tmp_path)
    bench.stage.start()
    try:
        bench.stage.kill(messages.JOURNAL)
        assert settled(bench.write(numbered(3)))
    finally:
        bench.stop()
    assert numbers(rows) == [0, 2, 3]
    found = rows.one(
        "SELECT severity, event_data->>'record' AS record FROM monitoring.events WHERE event_type = 'record_poisoned'"
    )
    assert found["severity"] == "critical"
    assert "line 2" in str(found["record"])


def test_stopping_writes_what_is_left(database: str, tmp_path: Path, rows: Query) -> None:
    bench = Bench(Stage(), database, tmp_path)
    bench.stage.start()
    for number in range(500):
        bench.write(numbered(number))
    bench.write(poison())
    bench.stop()
    assert numbers(rows) == list(range(500))
    assert len(rows("SELECT 1 FROM monitoring.events WHERE event_type = 'record_poisoned'")) == 1
