"""Taking over accounts: all that a process is to have, or none, and nothing sent while a holder may still be heard.

Rules of this file: locks are taken in one order that is the same for every process, and given back when one of them is
held, so two that each want several never wait for each other. A term is taken only when all locks are held. A holder
that is silent for longer than the lease is put out: its connection may outlive it (DESIGN 3, 'The lock decides').
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from loguru import logger

from domain.lease import LEASE_S, successor_waits
from persistence.database import DatabaseAway
from persistence.lock import AccountLock, Held, LockLost

LOOK_EVERY_S = 0.25
DATABASE_AGAIN_S = 1.0
BEAT_EVERY_S = 1.0
SILENT_LOOKS_APART_S = 0.5


class AccountHeld(Exception):
    """Another process has the state directory or the account; the message says who."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a process waits for: an account and who has it, or (account None) the database."""

    account: str | None
    holder: str
    since: str


class Room(Protocol):
    """Where a process waits."""

    def tell(self, waiting: Waiting) -> None:
        """What is waited for has changed."""

    def alive(self) -> None:
        """The waiting goes on."""


class TakeOver:
    """One process's. Used by the main thread."""

    def __init__(
        self,
        locks: Mapping[str, AccountLock],
        above: Callable[[str], int],
        ending: threading.Event,
        *,
        prepare: Callable[[], object],
        surely_dead: bool,
    ) -> None:
        """`above`: the highest term known of an account from elsewhere. `ending` breaks every wait off.

        `prepare` makes the database right before the first look into it. Raises DatabaseAway.

        `surely_dead`: whoever held the accounts before is proven dead by something else (the state directory's lock).
        """
        self._locks = {name: locks[name] for name in sorted(locks, key=lambda name: locks[name].order)}
        self._above = above
        self._ending = ending
        self._prepare = prepare
        self._prepared = False
        self._surely_dead = surely_dead
        self._silent: dict[str, float] = {}

    def at_once(self) -> None:
        """Take all accounts now. Raises AccountHeld, DatabaseAway."""
        refused = self._seize_all()
        if refused is not None:
            account, held = refused
            logger.error("RUN_LOCKED account={} holder={!r}", account, held.holder)
            raise AccountHeld(f"{account}: {held}") from held
        self._take_terms()

    def stand_by(self, room: Room) -> bool:
        """Wait until all accounts can be had, and take them; False when the end was asked for meanwhile."""
        told: Waiting | None = None
        while not self._ending.is_set():
            room.alive()
            try:
                refused = self._seize_all()
                if refused is None:
                    self._take_terms()
                    return True
                now = self._refused(*refused)
                pause_s = LOOK_EVERY_S
            except (DatabaseAway, LockLost) as away:
                self.let_go()
                now, pause_s = Waiting(account=None, holder=f"the database: {away}", since=""), DATABASE_AGAIN_S
            if now is not None:
                if told is None or (told.account, told.since) != (now.account, now.since):
                    told = now
                    room.tell(now)
                self._ending.wait(pause_s)
        return False

    def let_go(self) -> None:
        """Hold no lock any more; whatever terms were taken stay taken."""
        for lock in self._locks.values():
            lock.let_go()

    def await_silence(self, alive: Callable[[], object]) -> None:
        """Send nothing while a holder before us may still be heard; we beat meanwhile. Raises LockLost."""
        until = time.monotonic()
        for account, lock in self._locks.items():
            before = lock.predecessor
            if before is None:
                continue
            silent = timedelta(seconds=before.silent_s)
            waits = successor_waits(silent, released=before.released, surely_dead=self._surely_dead)
            if (wait_s := waits.total_seconds()) > 0:
                logger.info("TAKE_OVER account={} from={!r} wait_s={:.1f}", account, before.holder, wait_s)
                until = max(until, time.monotonic() + wait_s)
        while (left := until - time.monotonic()) > 0 and not self._ending.wait(min(left, BEAT_EVERY_S)):
            alive()
            for lock in self._locks.values():
                lock.beat()

    def _seize_all(self) -> tuple[str, Held] | None:
        """Hold all locks, or none: then by whom which one is held. Raises DatabaseAway, holding none."""
        try:
            if not self._prepared:
                self._prepare()
                self._prepared = True
            for account, lock in self._locks.items():
                try:
                    lock.seize()
                except Held as held:
                    self.let_go()
                    return account, held
        except DatabaseAway:
            self.let_go()
            raise
        return None

    def _take_terms(self) -> None:
        for account, lock in self._locks.items():
            lock.take_term(self._above(account))

    def _refused(self, account: str, held: Held) -> Waiting | None:
        """What is waited for; None when the holder was put out, so that the lock is free. Raises DatabaseAway."""
        silent = held.silent_s is not None and held.silent_s > LEASE_S
        first = self._silent.setdefault(account, time.monotonic()) if silent else None
        if first is None:
            self._silent.pop(account, None)
        elif time.monotonic() - first >= SILENT_LOOKS_APART_S:  # a database that was stuck itself gets this long
            self._silent.pop(account)
            ended = self._locks[account].oust()
            logger.warning(
                "HOLDER_OUSTED account={} holder={!r} silent_s={:.1f} connections={}",
                account, held.holder, held.silent_s, ended,
            )  # fmt: skip
            return None
        return Waiting(account=account, holder=held.holder, since=held.since.isoformat() if held.since else "")
