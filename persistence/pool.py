"""A few shared connections for reading: asked by the admin socket, the entry desk and whoever looks something up.

Our own, as psycopg_pool waits and backs off in worker threads of its own: while the server is away every question
would take the whole time-out, and for seconds after it is back (measured). Here both show at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from persistence.database import CONNECT_LIMIT_S, Connection, DatabaseAway, away, connect

_SIZE = 2
_WAIT_S = 2.0

Row = dict[str, Any]
Parameters = Sequence[object] | Mapping[str, object]


class ReadPool:
    """Runs queries that change nothing, two at a time. Connects with the first one; thread-safe."""

    def __init__(
        self,
        conninfo: str,
        away_because: Callable[[], str | None] = lambda: None,
        *,
        pulse: Callable[[float], object] = lambda _limit_s: None,
    ) -> None:
        """`away_because`: why nothing may be read yet; None: it may.

        `pulse` is told before each wait, in the thread that waits, how long it may take.
        """
        self._conninfo = conninfo
        self._away_because = away_because
        self._pulse = pulse
        self._places = threading.BoundedSemaphore(_SIZE)
        self._mutex = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False

    def rows(self, query: str, parameters: Parameters = ()) -> list[Row]:
        """The rows of `query`. Raises DatabaseAway, also when all connections are busy for 2 s.

        A connection that a restart of the server made stale is found out by its first query: then all idle ones are
        closed, and the query, which changes nothing, is asked once more on a fresh one.
        """
        reason = self._away_because()
        if reason is not None:
            raise DatabaseAway(reason)
        self._pulse(2 * _WAIT_S)
        if not self._places.acquire(timeout=_WAIT_S):
            raise DatabaseAway(f"all {_SIZE} reading connections are busy for {_WAIT_S:g} s")
        try:
            with away():
                return self._ask(query, parameters)
        finally:
            self._places.release()

    def row(self, query: str, parameters: Parameters = ()) -> Row | None:
        """The first row of `query`, if it has any. Raises DatabaseAway."""
        found = self.rows(query, parameters)
        return found[0] if found else None

    def close(self) -> None:
        """Close all connections; later questions raise DatabaseAway."""
        self._closed = True
        self._close_idle()

    def _ask(self, query: str, parameters: Parameters) -> list[Row]:
        with self._mutex:
            reused = self._idle.pop() if self._idle else None
        if reused is not None:
            try:
                return self._ask_on(reused, query, parameters)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                if not reused.closed:
                    raise
                self._close_idle()
        if self._closed:
            raise DatabaseAway("the reader is closed")
        self._pulse(CONNECT_LIMIT_S)
        fresh = connect(self._conninfo, "reader")
        fresh.pulse = self._pulse
        return self._ask_on(fresh, query, parameters)

    def _ask_on(self, conn: Connection, query: str, parameters: Parameters) -> list[Row]:
        try:
            with conn.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(query.encode(), parameters).fetchall()
        finally:
            with self._mutex:
                keep = not conn.closed and not self._closed
                if keep:
                    self._idle.append(conn)
            if not keep:
                conn.close()

    def _close_idle(self) -> None:
        with self._mutex:
            stale, self._idle = self._idle, []
        for conn in stale:
            conn.close()
