"""The keeper over a real lock, and the way back to a database that the service started without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from actors.attachment import Attachment
from actors.clock import SystemClock
from actors.keeper import Keeper, KeeperBroke, LockLooked
from actors.lease import Lease
from persistence.database import DatabaseAway, instance_code
from persistence.lock import AccountLock
from tests.actors.order_path.stage import until
from tests.actors.order_path.test_warden import end_lock_connection


class Bench:
    """One account's keeper."""

    def __init__(self, database: str, *, attachment: Attachment | None = None, every_s: float = 0.05) -> None:
        self.clock = SystemClock()
        self.lock = AccountLock(database, "binanceusdm", "0123456789abcdef", "test")
        self.superseded: list[tuple[str, int]] = []
        self.heard: list[Any] = []
        self.lease = Lease(
            "main",
            self.clock,
            instance="ab12",
            term=1,
            standby=False,
            superseded=lambda reason, term: self.superseded.append((reason, term)),
        )
        self.attachment = attachment or Attachment(database, self.clock, instance="ab12")
        self.keeper = Keeper(self.lock, self.lease, self.clock, every_s, self.heard.append, self.attachment)

    def looks(self, *, held: bool) -> list[LockLooked]:
        return [heard for heard in self.heard if isinstance(heard, LockLooked) and heard.held is held]

    def end(self) -> None:
        self.keeper.end()
        self.lock.let_go()


@pytest.fixture
def bench(database: str) -> Iterator[Bench]:
    bench = Bench(database)
    bench.lock.acquire()
    bench.lease.proven(bench.clock.now())
    yield bench
    bench.end()


def test_each_look_renews_the_lease(bench: Bench) -> None:
    bench.keeper.start()
    until(lambda: len(bench.looks(held=True)) > 2)
    assert bench.lease.fresh
    assert not any(look.again for look in bench.looks(held=True))


def test_a_broken_connection_is_mended_at_once(database: str) -> None:
    """Not a second later: whoever was ousted learns who has the account before anything leaves."""
    bench = Bench(database, every_s=60)
    bench.lock.acquire()
    bench.lease.proven(bench.clock.now())
    bench.keeper.start()
    until(lambda: bench.looks(held=True))
    end_lock_connection(database)
    bench.keeper.ring()
    until(lambda: any(look.again for look in bench.looks(held=True)))
    assert len(bench.looks(held=False)) == 1
    assert bench.lease.fresh
    bench.end()


def test_a_higher_term_stops_the_lease_before_anybody_hears_of_it(bench: Bench, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("UPDATE monitoring.account_terms SET term = 5, holder = 'another machine'")
    bench.keeper.start()
    until(lambda: bench.looks(held=False))
    assert bench.lease.gone is not None
    assert not bench.lease.fresh
    assert [term for _, term in bench.superseded] == [5]
    until(lambda: len(bench.looks(held=False)) > 2)
    assert len(bench.superseded) == 1


def test_an_error_of_ours_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(bench.lock, "beat", broken)
    bench.keeper.start()
    until(lambda: [heard for heard in bench.heard if isinstance(heard, KeeperBroke)])


def test_an_empty_database_takes_on_what_rests_on_the_exchange(empty_database: str) -> None:
    clock = SystemClock()
    attachment = Attachment(empty_database, clock, instance="zz99", awaited=("main", "other"))
    bench = Bench(empty_database, attachment=attachment)
    bench.lock.resume(4)
    closed = [attachment.closed_because]
    bench.keeper.start()
    until(lambda: bench.looks(held=True))
    assert bench.looks(held=True)[0].again
    closed.append(attachment.closed_because)
    attachment.held("other")
    closed.append(attachment.closed_because)
    begin = "started without it, not held yet: "
    assert closed == [f"{begin}main, other", f"{begin}other", None]
    assert instance_code(empty_database) == "zz99"
    with psycopg.connect(empty_database) as conn:
        assert conn.execute("SELECT term FROM monitoring.account_terms").fetchall() == [(4,)]
    bench.end()


def test_another_database_is_not_ours(database: str) -> None:
    theirs = instance_code(database)
    attachment = Attachment(database, SystemClock(), instance="zz99" if theirs != "zz99" else "zz98", awaited=("main",))
    with pytest.raises(DatabaseAway, match=f"another database: its orders are hf{theirs}"):
        attachment.attach()
    assert attachment.closed_because is not None
