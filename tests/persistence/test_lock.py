"""Who holds an account: one at a time, provably, under a term that only grows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from persistence.lock import AccountLock, Held, LockLost, fingerprint

ROOT = Path(__file__).parents[2]
KEY = fingerprint("an api key")
HOLDER = """
import sys
sys.path.insert(0, sys.argv[2])
from persistence.lock import AccountLock
lock = AccountLock(sys.argv[1], "binanceusdm", sys.argv[3], "the other")
print(lock.acquire(), flush=True)
sys.stdin.readline()
"""


def lock(database: str, holder: str, exchange: str = "binanceusdm", key: str = KEY) -> AccountLock:
    return AccountLock(database, exchange, key, holder)


def cut(rows: Any, holder: str) -> None:
    """Break a holder's connection behind its back."""
    name = f"holdfast lock {holder}"
    rows("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", name)


def test_the_key_itself_is_nowhere() -> None:
    assert fingerprint("k") == fingerprint("k") != fingerprint("l")
    assert len(fingerprint("an api key")) == 16
    assert "api" not in fingerprint("an api key")


def test_of_two_one_holds_and_the_other_learns_who(database: str) -> None:
    first, second = lock(database, "one"), lock(database, "two")
    assert first.acquire() == 1
    assert first.predecessor is None
    with pytest.raises(Held) as held:
        second.acquire()
    assert held.value.holder == "one"
    assert held.value.since is not None
    first.beat()
    first.release()


def test_other_accounts_are_other_locks(database: str) -> None:
    locks = [
        lock(database, "one"),
        lock(database, "two", key=fingerprint("another key")),
        lock(database, "three", exchange="bybit"),
    ]
    assert [held.acquire() for held in locks] == [1, 1, 1]
    for held in locks:
        held.release()


def test_terms_grow_and_an_orderly_leave_can_be_seen(database: str) -> None:
    for term in (1, 2, 3):
        holder = lock(database, f"holder {term}")
        assert holder.acquire() == term
        if term > 1:
            assert holder.predecessor is not None
            assert (holder.predecessor.holder, holder.predecessor.term) == (f"holder {term - 1}", term - 1)
            assert holder.predecessor.released is True
        holder.release()


def test_a_term_seen_elsewhere_is_exceeded(database: str) -> None:
    holder = lock(database, "one")
    assert holder.acquire(above=41) == 42
    holder.release()
    assert holder.acquire(above=7) == 43
    holder.release()


def test_a_killed_holder_frees_the_lock_and_its_silence_is_known(database: str) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, database, str(ROOT), KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    )
    assert other.stdout is not None
    assert other.stdout.readline().strip() == b"1"
    successor = lock(database, "successor")
    with pytest.raises(Held, match="the other"):
        successor.acquire()
    other.send_signal(signal.SIGKILL)
    other.communicate()
    deadline = time.monotonic() + 10
    while successor.term == 0:
        try:
            successor.acquire()
        except Held:
            assert time.monotonic() < deadline, "the killed holder's lock was not freed"
            os.sched_yield()
    assert successor.term == 2
    assert successor.predecessor is not None
    assert successor.predecessor.released is False
    assert 0 <= successor.predecessor.silent_s < 10
    successor.release()


def test_a_lost_connection_shows_at_the_next_beat_and_can_be_mended(database: str, rows: Any) -> None:
    holder = lock(database, "one")
    holder.acquire()
    cut(rows, "one")
    with pytest.raises(LockLost) as lost:
        holder.beat()
    assert lost.value.higher_term is None
    with pytest.raises(LockLost):
        holder.beat()
    assert holder.regain() == 1
    holder.beat()
    holder.release()


def test_whoever_was_overtaken_learns_the_higher_term(database: str, rows: Any) -> None:
    sleeper, successor = lock(database, "sleeper"), lock(database, "successor")
    sleeper.acquire()
    cut(rows, "sleeper")
    assert successor.acquire() == 2
    with pytest.raises(LockLost):
        sleeper.beat()
    with pytest.raises(LockLost) as lost:
        sleeper.regain()
    assert lost.value.higher_term == 2
    successor.beat()
    successor.release()
    with pytest.raises(LockLost) as lost:
        sleeper.regain()
    assert lost.value.higher_term == 2
    sleeper.release()
    assert rows.one("SELECT holder, term, released FROM monitoring.account_terms") == {
        "holder": "successor",
        "term": 2,
        "released": True,
    }


def test_a_beat_is_written(database: str, rows: Any) -> None:
    holder = lock(database, "one")
    holder.acquire()
    before = rows.one("SELECT beat_at FROM monitoring.account_terms")["beat_at"]
    holder.beat()
    assert rows.one("SELECT beat_at FROM monitoring.account_terms")["beat_at"] > before
    holder.release()


def test_nothing_is_held_before_it_is_acquired(database: str) -> None:
    holder = lock(database, "one")
    assert holder.term == 0
    for act in (holder.beat, holder.regain):
        with pytest.raises(LockLost):
            act()
    holder.release()


def test_a_silent_holder_is_put_out_and_learns_it(database: str) -> None:
    """Paused or cut off, its open connection holds the lock: the successor ends that, and takes the next term."""
    sleeper, successor = lock(database, "sleeper"), lock(database, "successor")
    sleeper.acquire()
    with pytest.raises(Held) as held:
        successor.seize()
    assert held.value.silent_s is not None
    assert held.value.silent_s < 5
    assert successor.oust() == 1
    assert successor.acquire() == 2
    with pytest.raises(LockLost):
        sleeper.beat()
    with pytest.raises(LockLost) as lost:
        sleeper.regain()
    assert lost.value.higher_term == 2
    successor.beat()
    successor.release()


def test_only_the_holder_of_this_account_is_put_out(database: str) -> None:
    other, mine = lock(database, "other", exchange="bybit"), lock(database, "mine")
    other.acquire()
    assert mine.oust() == 0
    other.beat()
    other.release()


def test_a_lock_held_without_a_term_replaces_nobody(database: str, rows: Any) -> None:
    first, second = lock(database, "one"), lock(database, "two")
    first.seize()
    with pytest.raises(Held, match="just starting"):
        second.seize()
    first.let_go()
    assert rows("SELECT * FROM monitoring.account_terms") == []
    assert second.acquire() == 1
    second.release()


def test_our_own_cut_off_connection_does_not_lock_us_out(database: str) -> None:
    """The line broke and the server has not noticed: it still holds the lock for us."""
    holder = lock(database, "one")
    holder.acquire()
    old, holder._conn = holder._conn, None
    assert old is not None
    with pytest.raises(LockLost):
        holder.beat()
    assert holder.regain() == 1
    holder.beat()
    holder.release()
    old.close()


def test_a_term_is_resumed_by_another_process_of_the_same_machine(database: str, rows: Any) -> None:
    before = lock(database, "one")
    before.acquire()
    before.let_go()
    after = lock(database, "one again")
    after.resume(1)
    assert after.regain() == 1
    assert rows.one("SELECT holder, term FROM monitoring.account_terms") == {"holder": "one again", "term": 1}
    after.release()


def test_nobody_resumes_a_term_that_was_exceeded(database: str) -> None:
    first, second, late = lock(database, "one"), lock(database, "two"), lock(database, "late")
    first.acquire()
    first.let_go()
    second.acquire()
    late.resume(1)
    with pytest.raises(LockLost) as lost:
        late.regain()
    assert lost.value.higher_term == 2
    second.release()
    with pytest.raises(LockLost) as lost:
        late.regain()
    assert lost.value.higher_term == 2


def test_a_database_that_came_back_without_our_term_gets_it(database: str, rows: Any) -> None:
    holder = lock(database, "one")
    holder.resume(7)
    assert holder.regain() == 7
    assert rows.one("SELECT term FROM monitoring.account_terms") == {"term": 7}
    holder.release()
    successor = lock(database, "two")
    assert successor.acquire() == 8
    successor.release()
