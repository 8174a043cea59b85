"""The events by month: a partition each, made ahead of time."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from psycopg import sql

from persistence.database import MIGRATION_LOCK, Connection, away, connect

_NAME = re.compile(r"events_(\d{4})_(0[1-9]|1[0-2])")


def ensure_partitions(conninfo: str, now: datetime, months_ahead: int = 2) -> list[str]:
    """Make the event partitions of this month and the next ones; the names of those made. Raises DatabaseAway.

    Rows that meanwhile fell into the default partition move to their month.
    """
    made = []
    with connect(conninfo, "partitions", statement_timeout_ms=60_000) as conn, away():
        conn.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        first = month_of(now)
        for month in range(first, first + months_ahead + 1):
            name = partition_name(month)
            row = conn.execute("SELECT to_regclass(%s)", (f"monitoring.{name}",)).fetchone()
            if row is None or row[0] is None:
                with conn.transaction():
                    add_partition(conn, name, month_start(month), month_start(month + 1))
                made.append(name)
    return made


def month_of(moment: datetime) -> int:
    """The month (UTC) as a number: one more is the next month."""
    utc = moment.astimezone(UTC)
    return utc.year * 12 + utc.month - 1


def partition_name(month: int) -> str:
    """The table that holds a month's events."""
    return f"events_{month // 12:04}_{month % 12 + 1:02}"


def month_of_partition(name: str) -> int | None:
    """The month whose events a table of this name holds; None: it is no month's."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found[1]) * 12 + int(found[2]) - 1


def month_start(month: int) -> datetime:
    """The first instant of a month, which is counted from the year 0."""
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)


def add_partition(conn: Connection, name: str, start: datetime, end: datetime) -> None:
    """A month's partition, with what the default one had of it; within a transaction of the caller's."""
    table = sql.Identifier("monitoring", name)
    bounds = {"table": table, "start": sql.Literal(start), "end": sql.Literal(end)}
    # Attached only when it holds what the default partition had of its month: the server refuses it otherwise.
    conn.execute("LOCK TABLE monitoring.events_default IN ACCESS EXCLUSIVE MODE")
    made = sql.SQL("CREATE TABLE {table} (LIKE monitoring.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    conn.execute(made.format(**bounds))
    conn.execute(
        sql.SQL(
            "WITH moved AS (DELETE FROM monitoring.events_default WHERE created_at >= {start} AND created_at < {end} "
            "RETURNING *) INSERT INTO {table} SELECT * FROM moved"
        ).format(**bounds)
    )
    conn.execute(
        sql.SQL("ALTER TABLE monitoring.events ATTACH PARTITION {table} FOR VALUES FROM ({start}) TO ({end})").format(
            **bounds
        )
    )
