"""The journal while the database, or the disk too, is away: nothing is lost, nothing is doubled."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from actors import messages
from actors.messages import AlertsRaised, DatabaseIs, SignalsStored
from actors.ticket import Ticket
from persistence.embedded import EmbeddedPostgres
from persistence.spool import Spool
from persistence.writer import Writer
from tests.actors.order_path.journal_bench import Bench, Locked, numbered, numbers, settled
from tests.actors.order_path.stage import Stage, until
from tests.persistence.conftest import Query
from tests.persistence.samples import event, record


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


def test_a_database_that_does_not_answer_leads_to_the_spool(bench: Bench, rows: Query, database: str) -> None:
    lock = Locked(database)
    try:
        ticket = bench.write(numbered(1))
        assert settled(ticket)  # by the spool: the lock is still held
        assert bench.desk.wait(DatabaseIs).up is False
    finally:
        lock.release()
    bench.desk.wait(DatabaseIs, lambda told: told.up)
    assert numbers(rows) == [1]


def test_intents_that_gateways_spooled_are_taken_out_again(bench: Bench, rows: Query) -> None:
    told = numbered(1)
    bench.spool.append([told])
    assert settled(bench.write(told))
    assert settled(bench.write(numbered(2)))
    until(lambda: bench.spool.count == 0, what="an empty spool")
    assert numbers(rows) == [1, 2]
    assert rows("SELECT 1 FROM monitoring.events WHERE event_type = 'database_restored'") == []


def test_a_restart_takes_back_what_a_dead_journal_said(bench: Bench, database: str, rows: Query) -> None:
    """The database comes back while the journal that declared it lost is dead."""
    lock = Locked(database)
    assert settled(bench.write(numbered(1)))
    bench.gateway.wait(DatabaseIs, lambda told: not told.up)
    lock.release()
    bench.stage.kill(messages.JOURNAL)
    assert settled(bench.write(numbered(2)))
    assert until(lambda: bench.gateway.of(DatabaseIs)[-1].up, what="the gateway to hear that it is back")
    assert until(lambda: bench.desk.of(DatabaseIs)[-1].up, what="the desk to hear that it is back")
    assert numbers(rows) == [1, 2]


def test_a_restarted_journal_proves_the_database_before_it_says_so(bench: Bench) -> None:
    """The dead one may have emptied the spool and died before it could say that the database is back."""
    bench.stage.kill(messages.JOURNAL)
    assert bench.gateway.of(DatabaseIs) == []
    assert settled(bench.write(numbered(1)))
    assert bench.gateway.wait(DatabaseIs).up
    assert bench.desk.wait(DatabaseIs).up


def test_who_starts_while_the_database_is_away_hears_of_it(bench: Bench, database: str) -> None:
    lock = Locked(database)
    try:
        assert settled(bench.write(numbered(1)))
        bench.gateway.wait(DatabaseIs, lambda told: not told.up)
        bench.gateway.count(DatabaseIs, 2, lambda told: not told.up)  # a gateway that was started after the first
    finally:
        lock.release()
    bench.gateway.wait(DatabaseIs, lambda told: told.up)


class FullDisk:
    """A spool whose disk takes nothing."""

    def __init__(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = True
        write = os.write

        def no_space(fd: int, data: Any) -> int:
            if self.full and str(spool._directory) in str(Path(f"/proc/self/fd/{fd}").readlink()):
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(fd, data)

        monkeypatch.setattr("persistence.spool.os.write", no_space)


@pytest.mark.parametrize("killed", [False, True])
def test_neither_database_nor_disk(
    bench: Bench, rows: Query, database: str, monkeypatch: pytest.MonkeyPatch, lines: list[str], killed: bool
) -> None:
    disk = FullDisk(bench.spool, monkeypatch)
    lock = Locked(database)
    ticket = bench.write(numbered(1), then=(messages.ENTRY_DESK, SignalsStored(signals=())))
    assert bench.desk.wait(DatabaseIs).up is False
    raised = bench.notifier.wait(AlertsRaised)
    assert raised.alerts[0].severity == "critical"
    assert [line for line in lines if line.startswith("CRITICAL RECORD_POISONED") and "SpoolFull" in line]
    for number in range(2, 301):  # more than one group
        bench.write(numbered(number))
    until(lambda: bench.state().waiting >= 300)
    assert not ticket.settled
    assert bench.desk.of(SignalsStored) == []
    if killed:
        bench.stage.kill(messages.JOURNAL)  # what waits in memory goes on to the successor
    lock.release()
    disk.full = False
    assert settled(ticket)
    bench.desk.wait(SignalsStored)
    assert until(lambda: numbers(rows) == list(range(1, 301)))


def test_a_record_without_a_written_form_costs_itself_alone(bench: Bench, rows: Query, database: str) -> None:
    lock = Locked(database)
    try:
        tickets = [bench.write(numbered(0))]
        bench.gateway.wait(DatabaseIs, lambda told: not told.up)
        odd = record("odd", events=(event(data={"thing": object()}),))
        tickets += [bench.write(numbered(1)), bench.write(odd), bench.write(numbered(2))]
        assert all(settled(ticket) for ticket in tickets)
    finally:
        lock.release()
    bench.gateway.wait(DatabaseIs, lambda told: told.up)
    assert numbers(rows) == [0, 1, 2]
    assert bench.stage.directory.newest_incarnation(messages.JOURNAL) == 1


@contextmanager
def _killed(server: EmbeddedPostgres, database: str) -> Iterator[None]:
    _kill(server)
    try:
        yield
    finally:
        server.ensure()


def _kill(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: server.pid is None)


@contextmanager
def _frozen(server: EmbeddedPostgres, database: str) -> Iterator[None]:
    """The journal's backend and the postmaster stand still, no answer and no new connection, until both are killed."""
    processes = [_backend(database), psutil.Process(server.pid)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        _kill(server)
        processes[0].kill()
        server.ensure()


def _backend(database: str) -> psutil.Process:
    with psycopg.connect(database) as conn:
        found = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name ~ 'writer' AND datname = current_database()"
        ).fetchall()
    (backend,) = (psutil.Process(row[0]) for row in found)
    return backend


@pytest.mark.parametrize("harm", [_killed, _frozen])
def test_a_server_that_is_gone_costs_nothing(
    server: EmbeddedPostgres,
    bench: Bench,
    database: str,
    harm: Callable[[EmbeddedPostgres, str], AbstractContextManager[None]],
) -> None:
    """Killed or frozen in the middle of a stream: everything is written once, in order, and those waiting know."""
    stop = threading.Event()
    tickets: list[Ticket] = []

    def stream() -> None:
        while not stop.wait(0.002):
            tickets.append(bench.write(numbered(len(tickets))))

    stream_of = threading.Thread(target=stream, daemon=True)
    stream_of.start()
    try:
        until(lambda: len(tickets) > 50 and tickets[20].settled)
        with harm(server, database):
            assert bench.desk.wait(DatabaseIs).up is False
            bench.gateway.wait(DatabaseIs, lambda told: not told.up)
            assert settled(tickets[-1])
            bench.notifier.wait(AlertsRaised, lambda m: any(a.type == "database_lost" for a in m.alerts))
        bench.desk.wait(DatabaseIs, lambda told: told.up)
    finally:
        stop.set()
        stream_of.join()
    assert all(settled(ticket) for ticket in tickets)
    with psycopg.connect(database, autocommit=True) as conn:
        rows = Query(conn)
        until(lambda: len(numbers(rows)) >= len(tickets))
        assert numbers(rows) == list(range(len(tickets)))
        # Once, unless the server that has just come up kept a write waiting for longer than the limit.
        told = rows("SELECT event_type AS type FROM monitoring.events WHERE event_type ~ 'database_' ORDER BY id")
        assert [each["type"] for each in told] == ["database_lost", "database_restored"] * (len(told) // 2)
        assert told
    until(lambda: bench.spool.count == 0)


def test_a_backend_that_hangs_is_left(bench: Bench, rows: Query, database: str) -> None:
    """The server lives, so the journal goes on with another connection and nobody needs to be told."""
    assert settled(bench.write(numbered(0)))
    backend = _backend(database)
    backend.suspend()
    try:
        assert settled(bench.write(numbered(1)))
    finally:
        backend.resume()
    assert numbers(rows) == [0, 1]
    assert bench.desk.of(DatabaseIs) == []
