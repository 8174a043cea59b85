"""Who owns an account: an advisory lock that says it now, and a term that says it for ever (DESIGN 3).

Rules of this file: the lock is held by one connection that does nothing else; whoever cannot beat on it has lost it,
noticed or not. Terms only grow, and a beat succeeds only while no higher term is written. All times are the database's
own, so machines with different clocks agree on how long a holder has been silent. A connection that outlived its
holder (hung, paused, cut off) holds the lock as well: whoever may take the account over ends it (`oust`).
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime

from persistence.database import Connection, DatabaseAway, away, connect

_STATEMENT_LIMIT_MS = 2_000
# The server gives the lock of a machine that vanished back after four seconds. On a local socket these mean nothing.
_SERVER_KEEPALIVE = (
    "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2 -c tcp_user_timeout=3000"
)


class Held(Exception):
    """Another process holds the account. `since`: when it took it over; None when it has not said so yet.

    `silent_s`: seconds since the last beat on the account, whoever's; None when there never was one.
    """

    def __init__(
        self, account: str, holder: str, since: datetime | None, term: int, silent_s: float | None = None
    ) -> None:
        super().__init__(f"{account}: held by {holder} since {since.isoformat() if since else 'just now'}")
        self.holder = holder
        self.since = since
        self.term = term
        self.silent_s = silent_s


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
    """The lock of one account at one exchange. Thread-safe: an act of one thread waits for that of another."""

    def __init__(self, conninfo: str, exchange: str, fingerprint: str, holder: str) -> None:
        """`holder` names this process to people and to the successor: host, pid and the like."""
        self._conninfo = conninfo
        self._exchange = exchange
        self._fingerprint = fingerprint
        self._holder = holder
        self._conn: Connection | None = None
        self._term = 0
        self._predecessor: Predecessor | None = None
        self._mutex = threading.RLock()

    @property
    def order(self) -> tuple[str, str]:
        """In which order several accounts are to be locked: the same for every process."""
        return self._exchange, self._fingerprint

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
        self.seize()
        return self.take_term(above)

    def seize(self) -> None:
        """Hold the lock, but take no term yet: nobody has been replaced so far. Raises Held, DatabaseAway."""
        with self._mutex, away():
            self._lock()

    def take_term(self, above: int = 0) -> int:
        """Take the account over, the lock being held; see `acquire`. Raises LockLost, DatabaseAway."""
        with self._mutex:
            conn = self._conn
            if conn is None:
                raise LockLost(f"{self._account}: no connection holds the lock")
            try:
                with away(), conn.transaction():
                    self._predecessor = self._read(conn)
                    self._term = self._write_term(conn, above)
            except BaseException:
                self._drop()
                raise
            return self._term

    def let_go(self) -> None:
        """Hold the lock no longer; no term was taken with it, or its beats end here."""
        with self._mutex:
            self._drop()

    def oust(self) -> int:
        """End the connections that hold the lock in place of a holder that is silent; how many. Raises DatabaseAway.

        The holder, should it live, proves nothing on them any more, and finds our term when it asks anew.
        """
        with connect(self._conninfo, f"oust {self._holder}", statement_timeout_ms=_STATEMENT_LIMIT_MS) as conn, away():
            return self._oust(conn)

    def resume(self, term: int) -> None:
        """Go on under a term that was ours when the database went away, though this is another process.

        Until `regain` has proven it, nothing is.
        """
        with self._mutex:
            self._term = term

    def regain(self) -> int:
        """After LockLost: lock again under the same term, if nobody took the account over meanwhile.

        Raises LockLost with the higher term if somebody did, Held while somebody is about to, DatabaseAway.
        """
        with self._mutex:
            if self._term == 0:
                raise LockLost(f"{self._account}: never acquired")
            try:
                with away():
                    self._lock_again()
            except Held as held:
                if held.term > self._term:
                    text = f"{self._account}: term {held.term} was taken by {held.holder}"
                    raise LockLost(text, held.term) from held
                raise
            self.beat()
            return self._term

    def beat(self) -> None:
        """Prove that the lock is ours; to be called each second. Raises LockLost: act as one who has not the lock.

        Where a lower term is written than ours, or none (a database that came back from a back-up), ours is written.
        """
        with self._mutex:
            conn = self._conn
            if conn is None:
                raise LockLost(f"{self._account}: no connection holds the lock")
            try:
                with away():
                    proven = conn.execute(
                        "INSERT INTO monitoring.account_terms AS t (exchange, fingerprint, term, holder, taken_at, "
                        "beat_at) VALUES (%s, %s, %s, %s, clock_timestamp(), clock_timestamp()) "
                        "ON CONFLICT (exchange, fingerprint) DO UPDATE SET beat_at = excluded.beat_at, "
                        "term = excluded.term, holder = excluded.holder, released = false "
                        "WHERE t.term <= excluded.term RETURNING term",
                        (self._exchange, self._fingerprint, self._term, self._holder),
                    ).fetchone()
                    seen = self._read(conn) if proven is None else None
            except DatabaseAway as lost:
                self._drop()
                raise LockLost(f"{self._account}: {lost}") from lost
            if proven is not None:
                return
            self._drop()
            if seen is None:
                raise LockLost(f"{self._account}: term {self._term} is no longer written in the database")
            raise LockLost(f"{self._account}: term {seen.term} was taken by {seen.holder}", seen.term)

    def release(self) -> None:
        """Give the account back in order, so that a successor need not wait. Raises DatabaseAway; unlocked anyway."""
        with self._mutex:
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

    @property
    def _key(self) -> str:
        return f"{self._exchange}:{self._fingerprint}"

    def _lock(self) -> None:
        self._drop()
        conn = connect(
            self._conninfo,
            f"lock {self._holder}",
            statement_timeout_ms=_STATEMENT_LIMIT_MS,
            options=_SERVER_KEEPALIVE,
        )
        try:
            self._try_lock(conn)
        except BaseException:
            conn.close()
            raise
        self._conn = conn

    def _lock_again(self) -> None:
        """A connection of ours that was cut off may hold the lock still: nobody else would have beaten for us."""
        try:
            self._lock()
        except Held as held:
            if held.holder != self._holder or held.term != self._term:
                raise
            self.oust()
            self._lock()

    def _try_lock(self, conn: Connection) -> None:
        row = conn.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (self._key,)).fetchone()
        if row is None or not row[0]:
            holder = self._read(conn)
            raise Held(
                self._account,
                holder.holder if holder else "a process that is just starting",
                holder.taken_at if holder else None,
                holder.term if holder else 0,
                holder.silent_s if holder else None,
            )

    def _oust(self, conn: Connection) -> int:
        # A lock on a bigint stands in pg_locks as its two halves.
        ended = conn.execute(
            "SELECT pg_terminate_backend(l.pid, 1000) FROM pg_locks l, hashtextextended(%s, 0) AS key "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
            "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND l.classid::bigint = (key >> 32) & 4294967295 AND l.objid::bigint = key & 4294967295",
            (self._key,),
        ).fetchall()
        return len(ended)

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
