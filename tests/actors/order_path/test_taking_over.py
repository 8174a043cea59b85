"""Taking accounts over at a real server: all or none, in one order, and not while a holder may be heard."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest

from actors import taking_over
from actors.taking_over import AccountHeld, TakeOver, Waiting
from persistence.lock import AccountLock, Held
from tests.actors.order_path.stage import until

# Whoever waits for the lease or for the wire without need takes at least so long; a slow machine takes less.
LEASE_S = 5
WIRE_S = 2


class Room:
    """Where somebody waits, remembered."""

    def __init__(self) -> None:
        self.told: list[Waiting] = []
        self.looks = 0

    def tell(self, waiting: Waiting) -> None:
        self.told.append(waiting)

    def alive(self) -> None:
        self.looks += 1


class Process:
    """One that wants accounts A and B, in whichever order its settings name them."""

    def __init__(self, database: str, name: str, accounts: str = "ab", *, surely_dead: bool = False) -> None:
        self.locks = {each: AccountLock(database, "binanceusdm", each * 16, name) for each in accounts}
        self.ending = threading.Event()
        self.room = Room()
        self.prepared = 0
        self.taking = TakeOver(
            self.locks, lambda account: 0, self.ending, prepare=self._prepare, surely_dead=surely_dead
        )
        self.won: list[bool] = []
        self._thread = threading.Thread(target=lambda: self.won.append(self.taking.stand_by(self.room)), daemon=True)

    def _prepare(self) -> None:
        self.prepared += 1

    def stand_by(self) -> None:
        self._thread.start()
        until(lambda: self.room.looks)

    @property
    def terms(self) -> list[int]:
        return [lock.term for lock in self.locks.values()]

    def end(self) -> None:
        self.ending.set()
        if self._thread.ident is not None:
            self._thread.join(10)
        self.taking.let_go()


def silent(database: str, seconds: float) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "UPDATE monitoring.account_terms SET beat_at = clock_timestamp() - make_interval(secs => %s)", (seconds,)
        )


def test_of_two_accounts_both_or_none(database: str) -> None:
    holder, wanting = Process(database, "holder", "b"), Process(database, "wanting", "ab")
    holder.taking.at_once()
    with pytest.raises(AccountHeld, match=r"b: .*held by holder"):
        wanting.taking.at_once()
    assert wanting.terms == [0, 0]
    third = Process(database, "third", "a")
    third.taking.at_once()
    assert third.terms == [1]
    for each in (holder, wanting, third):
        each.end()


def test_two_that_name_them_the_other_way_round_do_not_block_each_other(database: str) -> None:
    pairs = [Process(database, "one", "ab"), Process(database, "two", "ba")]
    for each in pairs:
        each.stand_by()
    first = until(lambda: next((each for each in pairs if each.won), None))
    second = next(each for each in pairs if each is not first)
    assert first.terms == [1, 1]
    assert second.terms == [0, 0]
    until(lambda: second.room.told)
    for lock in first.locks.values():
        lock.release()
    until(lambda: second.won)
    assert second.terms == [2, 2]
    for each in pairs:
        each.end()


def test_a_stand_by_says_who_holds_it_once_and_takes_over_what_is_released(database: str) -> None:
    holder, waiting = Process(database, "holder"), Process(database, "waiting")
    holder.taking.at_once()
    waiting.stand_by()
    until(lambda: waiting.room.looks > 4)
    assert [(told.account, told.holder) for told in waiting.room.told] == [("a", "holder")]
    for lock in holder.locks.values():
        lock.release()
    begun = time.monotonic()
    until(lambda: waiting.won)
    assert time.monotonic() - begun < LEASE_S
    begun = time.monotonic()
    waiting.taking.await_silence(lambda: None)
    assert time.monotonic() - begun < WIRE_S
    waiting.end()


def test_a_holder_that_beats_is_never_put_out(database: str) -> None:
    holder, waiting = Process(database, "holder", "a"), Process(database, "waiting", "a")
    holder.taking.at_once()
    waiting.stand_by()
    silent(database, 6)
    until(lambda: waiting.taking._silent)
    holder.locks["a"].beat()  # it had only been stuck, as had the database
    until(lambda: not waiting.taking._silent)
    looks = waiting.room.looks
    until(lambda: waiting.room.looks > looks + 3)
    holder.locks["a"].beat()
    assert not waiting.won
    waiting.end()
    holder.end()


def test_a_silent_holder_is_put_out(database: str) -> None:
    holder, waiting = Process(database, "holder", "a"), Process(database, "waiting", "a")
    holder.taking.at_once()
    silent(database, 6)
    waiting.stand_by()
    until(lambda: waiting.won)
    assert waiting.terms == [2]
    begun = time.monotonic()
    waiting.taking.await_silence(lambda: None)
    assert time.monotonic() - begun < LEASE_S, "it was silent for longer than the lease: only the wire is left"
    with pytest.raises(Held):
        Process(database, "third", "a").locks["a"].acquire()
    waiting.end()


def test_we_beat_while_we_wait_for_silence(database: str, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking_over, "BEAT_EVERY_S", 0.1)
    holder, successor = Process(database, "holder", "a"), Process(database, "successor", "a", surely_dead=True)
    holder.taking.at_once()
    holder.end()
    successor.taking.at_once()
    first = rows.one("SELECT beat_at FROM monitoring.account_terms")["beat_at"]
    alive: list[bool] = []
    begun = time.monotonic()
    successor.taking.await_silence(lambda: alive.append(True))
    assert 1.5 < time.monotonic() - begun < LEASE_S, "only the wire is waited for"
    assert rows.one("SELECT beat_at FROM monitoring.account_terms")["beat_at"] > first
    assert alive
    successor.end()


def test_a_database_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking_over, "DATABASE_AGAIN_S", 0.05)
    waiting = Process("postgresql://nobody@127.0.0.1:1/none", "waiting", "a")
    waiting.stand_by()
    until(lambda: waiting.room.looks > 3)
    assert [told.account for told in waiting.room.told] == [None]
    assert waiting.prepared == 1
    waiting.end()
    assert waiting.won == [False]
