"""The warden over a real server, a real paper exchange and a real lock."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from actors import messages
from actors.attachment import Attachment
from actors.lease import Lease
from actors.messages import LockIs, Show, Write
from actors.warden import Warden, Wiring
from adapters.paper_launcher import PaperExchangeFailed
from domain.catalogue import EventType
from persistence.embedded import EmbeddedPostgres
from persistence.local_book import LocalBook
from persistence.lock import AccountLock
from tests.actors.order_path.house import ACCOUNT, Exchange, House
from tests.actors.order_path.stage import Stage, until


class Bench:
    """A warden with the ears of desk and gateway."""

    def __init__(self, **wired: Any) -> None:
        self.stage = Stage()
        self.desk = self.stage.ear(messages.ENTRY_DESK)
        self.gateway = self.stage.ear(messages.gateway("main"))
        self.journal = self.stage.ear(messages.JOURNAL)
        self.superseded: list[str] = []
        nothing: dict[str, Any] = {"database": None, "exchanges": {}}
        given = {**nothing, **{name: value for name, value in wired.items() if name != "locks"}}
        self.leases = {name: self.lease(name, lock) for name, lock in wired.get("locks", {}).items()}
        wiring = Wiring(
            locks={name: (lock, self.leases[name]) for name, lock in wired.get("locks", {}).items()},
            ground=Attachment("", self.stage.clock, instance="ab12"),
            book=LocalBook(Path("unused")),
            recorder=self.stage.recorder,
            **given,
        )
        self.stage.add(messages.WARDEN, lambda context: Warden.start(context, wiring))
        self.stage.start()

    def lease(self, account: str, lock: AccountLock) -> Lease:
        lease = Lease(
            account,
            self.stage.clock,
            instance="ab12",
            term=lock.term,
            standby=False,
            superseded=lambda reason, _: self.superseded.append(reason),
        )
        lease.proven(self.stage.clock.now())
        return lease

    def events(self, kind: EventType) -> list[Any]:
        self.stage.worked_off(messages.JOURNAL)
        return [e for write in self.journal.of(Write) for e in write.record.events if e.type is kind]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks more often than once a second."""
    monkeypatch.setattr("actors.warden.WATCH_S", 0.05)


@pytest.fixture
def lock(database: str) -> Iterator[AccountLock]:
    lock = AccountLock(database, "binanceusdm", "0123456789abcdef", "test")
    lock.acquire()
    yield lock
    lock._drop()


@pytest.fixture
def bench(lock: AccountLock) -> Iterator[Bench]:
    bench = Bench(locks={"main": lock})
    yield bench
    bench.stage.stop()


def end_lock_connection(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        done = conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'holdfast lock%' AND datname = current_database()"
        ).fetchall()
    assert done


def test_a_dead_server_is_started_again(server: EmbeddedPostgres) -> None:
    bench = Bench(database=server)
    try:
        before = server.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        until(lambda: server.pid not in (None, before))
        until(lambda: _answers(server.conninfo))
    finally:
        bench.stage.stop()


def _answers(conninfo: str) -> bool:
    try:
        with psycopg.connect(conninfo):
            return True
    except psycopg.OperationalError:
        return False


def test_a_lock_that_is_held_says_nothing(bench: Bench, lock: AccountLock, database: str) -> None:
    bench.stage.ask(messages.WARDEN, Show())
    with psycopg.connect(database) as conn:
        first = conn.execute("SELECT beat_at FROM monitoring.account_terms").fetchone()

    def beats() -> bool:
        with psycopg.connect(database) as conn:
            return conn.execute("SELECT beat_at FROM monitoring.account_terms").fetchone() != first

    until(beats)
    assert bench.desk.of(LockIs) == bench.gateway.of(LockIs) == []


def test_a_lost_lock_closes_entries_until_it_is_regained(bench: Bench, lock: AccountLock, database: str) -> None:
    end_lock_connection(database)
    for ear in (bench.desk, bench.gateway):
        lost = ear.wait(LockIs)
        assert not lost.held
        assert lost.reason.startswith("protection_only: ")
        ear.wait(LockIs, lambda told: told.held)
    assert len(bench.events(EventType.LOCK_LOST)) == 1
    until(lambda: len(bench.events(EventType.LOCK_TAKEN)) == 1)
    assert lock.term == 1
    assert bench.superseded == []
    lock.beat()


def test_who_starts_while_the_lock_is_lost_hears_of_it(bench: Bench, database: str) -> None:
    with psycopg.connect(database) as other:
        end_lock_connection(database)
        other.execute("LOCK TABLE monitoring.account_terms IN ACCESS EXCLUSIVE MODE")
        bench.gateway.count(LockIs, 2, lambda told: not told.held)
        assert len(bench.events(EventType.LOCK_LOST)) == 1
    bench.gateway.wait(LockIs, lambda told: told.held)


def test_a_restart_takes_back_what_a_dead_warden_said(bench: Bench, database: str) -> None:
    """The lock is regained by a warden that dies before it can say so."""
    actor = bench.stage.actor(messages.WARDEN)
    actor._tell = lambda account, *, held, reason="": (_ for _ in ()).throw(RuntimeError("died")) if held else None
    end_lock_connection(database)
    bench.stage.risen(messages.WARDEN, above=1)
    bench.gateway.wait(LockIs, lambda told: told.held)
    bench.desk.wait(LockIs, lambda told: told.held)


def test_a_higher_term_ends_the_process(bench: Bench, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE monitoring.account_terms SET term = term + 1, holder = 'another machine'")
    assert not bench.gateway.wait(LockIs).held
    reason = until(lambda: bench.superseded)[0]
    assert "term 2 was taken by another machine" in reason


def test_what_cannot_be_started_is_said_once_and_stops_nothing_else(
    lock: AccountLock, database: str, lines: list[str]
) -> None:
    class Broken:
        tries = 0

        def ensure(self) -> bool:
            self.tries += 1
            raise PaperExchangeFailed("the port is taken")

    broken = Broken()
    bench = Bench(exchanges={"main": broken}, locks={"main": lock})
    try:
        until(lambda: broken.tries >= 3)
        end_lock_connection(database)
        bench.gateway.wait(LockIs, lambda told: told.held)
        shown = bench.stage.ask(messages.WARDEN, Show())
        assert shown["failing"] == {"paper exchange main": "PaperExchangeFailed: the port is taken"}
    finally:
        bench.stage.stop()
    assert len([line for line in lines if line.startswith("CRITICAL WATCHED_FAILED")]) == 1


@pytest.mark.wire
def test_a_dead_exchange_comes_back_and_trading_goes_on(house: House, exchange: Exchange, tmp_path: Path) -> None:
    symbol = house.symbol()
    position_id = house.open(symbol)
    house.protected(position_id)
    wiring = Wiring(
        database=None,
        exchanges={ACCOUNT: exchange.launcher},
        locks={},
        ground=Attachment("", house.stage.clock, instance="ab12"),
        book=LocalBook(Path("unused")),
        recorder=house.stage.recorder,
    )
    house.stage.add(messages.WARDEN, lambda context: Warden.start(context, wiring))
    os.kill(exchange.endpoint.pid, signal.SIGKILL)
    again = until(
        lambda: (now := exchange.launcher.running()) is not None and now.pid != exchange.endpoint.pid and now
    )
    assert (again.port, again.rest_url) == (exchange.endpoint.port, exchange.endpoint.rest_url)
    exchange.endpoint = again
    assert len(exchange.live_orders(symbol)) == 1
    exchange.move(symbol, "2")
    trailed = house.wait(position_id, lambda p: p.trail.updates and p.epoch.incarnation == 1, seconds=20)
    assert trailed.protected_once
    other = house.open(house.symbol())
    house.protected(other)
    for owned in (position_id, other):
        house.close(owned)
    assert exchange.breaches(symbol) == []
