"""Who owns an account: an advisory lock that says it now, and a term that says it for ever (DESIGN 3).

Rules of this file: the lock is held by one connection that does nothing else; whoever cannot beat on it has lost it,
noticed or not. Terms only grow, and a beat succeeds only while no higher term is written. All times are the database's
own, so machines with different clocks agree on how long a holder has been silent.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from persistence.database import Connection, DatabaseAway, away, connect

_STATEMENT_LIMIT_MS = 2_000


class Held(Exception):
    """Another process holds the account. `since`: when it took it over; None when it has not said so yet."""

    def __init__(self, account: str, holder: str, since: datetime | None, term: int) -> None:
        super().__init__(f"{account}: held by {holder} since {since.isoformat() if since else 'just now'}")
        self.holder = holder
        self.since = since
        self.term = term


class LockLost(Exception):
    """We cannot prove the lock. `higher_term`: another process has taken the account over, so stop wholly."""

    def __init__(self, reason: str, higher_term: int | None = None) -> None:
        super().__init__(reason)
        self.higher_term = higher_term


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The holder before us. `silent_s`: seconds from its last beat to our taking over; `released`: it left in order."""

    holder: str
    term: int
    taken_at: datetime
    beat_at: datetime
    silent_s: float
    released: bool


def fingerprint(api_key: str) -> str:
    """What stands for an API key in the database; the key cannot be found from it."""
    return hashlib.blake2b(api_key.encode(), digest_size=8, person=b"holdfast").hexdigest()


class AccountLock:
    """The lock of one account at one exchange. One thread uses it."""

    def __init__(self, conninfo: str, exchange: str, fingerprint: str, holder: str) -> None:
        """`holder` names this process to people and to the successor: host, pid and the like."""
        self._conninfo = conninfo
        self._exchange = exchange
        self._fingerprint = fingerprint
        self._holder = holder
        self._conn: Connection | None = None
        self._term = 0
        self._predecessor: Predecessor | None = None

    @property
    def term(self) -> int:
        """The term taken; 0 before `acquire`."""
        return self._term

    @property
    def predecessor(self) -> Predecessor | None:
        """Who held the account before `acquire`; None when nobody ever did."""
        return self._predecessor

    def acquire(self, above: int = 0) -> int:
        """Take the account over: the new term, durable on return. Raises Held, DatabaseAway.

        The term exceeds the predecessor's and `above`, the highest seen elsewhere (client ids on the exchange). The
        predecessor may still be sending: it is for the caller to wait as `predecessor` tells.
        """
        with away():
            conn = self._lock()
            try:
                with conn.transaction():
                    self._predecessor = self._read(conn)
                    self._term = self._write_term(conn, above)
            except BaseException:
                self._drop()
                raise
        return self._term

    def regain(self) -> int:
        """After LockLost: lock again under the same term, if nobody took the account over meanwhile.

        Raises LockLost with the higher term if somebody did, Held while somebody is about to, DatabaseAway.
        """
        if self._term == 0:
            raise LockLost(f"{self._account}: never acquired")
        try:
            with away():
                self._lock()
        except Held as held:
            if held.term > self._term:
                raise LockLost(f"{self._account}: term {held.term} was taken by {held.holder}", held.term) from held
            raise
        self.beat()
        return self._term

    def beat(self) -> None:
        """Prove that the lock is ours; to be called each second. Raises LockLost: act as one who has not the lock."""
        conn = self._conn
        if conn is None:
            raise LockLost(f"{self._account}: no connection holds the lock")
        try:
            with away():
                row = conn.execute(
                    "UPDATE monitoring.account_terms SET beat_at = clock_timestamp(), released = false "
                    "WHERE exchange = %s AND fingerprint = %s AND term = %s RETURNING term",
                    (self._exchange, self._fingerprint, self._term),
                ).fetchone()
                seen = self._read(conn) if row is None else None
        except DatabaseAway as lost:
            self._drop()
            raise LockLost(f"{self._account}: {lost}") from lost
        if row is None:
            self._drop()
            if seen is None or seen.term < self._term:
                raise LockLost(f"{self._account}: term {self._term} is no longer written in the database")
            raise LockLost(f"{self._account}: term {seen.term} was taken by {seen.holder}", seen.term)

    def release(self) -> None:
        """Give the account back in order, so that a successor need not wait. Raises DatabaseAway; unlocked anyway."""
        if self._conn is None:
            return
        try:
            with away():
                self._conn.execute(
                    "UPDATE monitoring.account_terms SET beat_at = clock_timestamp(), released = true "
                    "WHERE exchange = %s AND fingerprint = %s AND term = %s",
                    (self._exchange, self._fingerprint, self._term),
                )
        finally:
            self._drop()

    @property
    def _account(self) -> str:
        return f"account {self._fingerprint} at {self._exchange}"

    def _lock(self) -> Connection:
        self._drop()
        conn = connect(self._conninfo, f"lock {self._holder}", statement_timeout_ms=_STATEMENT_LIMIT_MS)
        try:
            row = conn.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"{self._exchange}:{self._fingerprint}",)
            ).fetchone()
            if row is None or not row[0]:
                holder = self._read(conn)
                raise Held(
                    self._account,
                    holder.holder if holder else "a process that is just starting",
                    holder.taken_at if holder else None,
                    holder.term if holder else 0,
                )
        except BaseException:
            conn.close()
            raise
        self._conn = conn
        return conn

    def _read(self, conn: Connection) -> Predecessor | None:
        row = conn.execute(
            "SELECT holder, term, taken_at, beat_at, extract(epoch FROM clock_timestamp() - beat_at)::float8, released "
            "FROM monitoring.account_terms WHERE exchange = %s AND fingerprint = %s",
            (self._exchange, self._fingerprint),
        ).fetchone()
        if row is None:
            return None
        holder, term, taken_at, beat_at, silent_s, released = row
        return Predecessor(
            holder=holder, term=term, taken_at=taken_at, beat_at=beat_at, silent_s=silent_s, released=released
        )

    def _write_term(self, conn: Connection, above: int) -> int:
        row = conn.execute(
            "INSERT INTO monitoring.account_terms AS t (exchange, fingerprint, term, holder, taken_at, beat_at) "
            "VALUES (%s, %s, %s, %s, clock_timestamp(), clock_timestamp()) "
            "ON CONFLICT (exchange, fingerprint) DO UPDATE SET term = greatest(t.term + 1, excluded.term), "
            "holder = excluded.holder, taken_at = excluded.taken_at, beat_at = excluded.beat_at, released = false "
            "RETURNING term",
            (self._exchange, self._fingerprint, above + 1, self._holder),
        ).fetchone()
        if row is None:
            raise DatabaseAway(f"{self._account}: the term was not written")
        return int(row[0])

    def _drop(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
