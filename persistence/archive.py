"""Old months of events: written to a compressed file, dropped from the database, put back from the file.

A file is gzip of JSON lines: a header (what it is, which month, which columns), a row a line in the order of `id`, a
trailer with the count and the SHA-256 of the rows' lines. `zcat FILE | jq` reads it.

Rules of this file: a month leaves the database only when its file is whole on the disk, was read again from there, and
holds exactly what the table holds while nobody can write to it; a file is never overwritten by a different one. So a
kill between any two steps leaves the month in the table, in the file, or in both, and the next run goes on from there.
What was put back by hand stays until a hand takes it away.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from psycopg import sql

from persistence.database import Connection, away, connect
from persistence.partitions import add_partition, month_of, month_of_partition, month_start

KIND, VERSION = "monitoring.events", 1
_LOCK = 0x686F6C6461726368  # "holdarch": one process at a time archives or restores
_STATEMENT_MS = 600_000
_LOCK_WAIT = "200ms"  # so long at most does a writer stand behind us
_DROP_TRIES = 5
_ROWS = 1_000
_PAUSE_S = 0.005  # between two readings of so many rows: whoever protects positions goes first
_LOG_ROWS = 5_000
RESTORED = "restored from "


class ArchiveDamaged(Exception):
    """The file is not a whole archive, or not what it says; the message says what is wrong."""


class NotArchived(Exception):
    """A month cannot be archived or put back now; nothing was lost, and the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One month in a file."""

    month: str
    file: Path
    rows: int
    sha256: str
    columns: tuple[str, ...] = ()


def due_months(conninfo: str, now: datetime, keep_months: int) -> list[str]:
    """The partitions that are older than this month and the `keep_months` before it, oldest first. Raises DatabaseAway.

    The earlier of the two clocks, ours and the database's, decides: one that runs ahead archives nothing too soon.
    """
    with connect(conninfo, "archive") as conn, away():
        row = conn.execute("SELECT now()").fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        oldest = month_of(min(now, row[0])) - keep_months
        return sorted(
            name
            for name, comment in _partitions(conn).items()
            if (month := month_of_partition(name)) is not None
            and month < oldest
            and not (comment or "").startswith(RESTORED)
        )


def archive_month(
    conninfo: str, partition: str, folder: Path, pulse: Callable[[], object] = lambda: None
) -> Archive | None:
    """Write a month to its file and drop it from the database; None when another process is at it.

    `pulse` is called between the steps, for those who watch or break it. Raises DatabaseAway, NotArchived, OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with connect(conninfo, "archive", statement_timeout_ms=_STATEMENT_MS) as conn, away():
        row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if row is None or not row[0]:
            return None
        if partition not in _partitions(conn):
            return None
        part = folder / f"{partition}.part"
        written, content = _export(conn, partition, part, pulse)
        pulse()
        verified = read_archive(part)
        if (verified.rows, verified.sha256) != (written.rows, written.sha256):
            raise NotArchived(f"{part}: read again from the disk it is another file: {verified} instead of {written}")
        final = _keep(part, partition, folder, written)
        pulse()
        _drop(conn, partition, content)
        return Archive(month=written.month, file=final, rows=written.rows, sha256=written.sha256)


def read_archive(file: Path, each: Callable[[str], object] = lambda _line: None) -> Archive:
    """Read a file to its end and see that it is whole; `each` gets every row's line. Raises ArchiveDamaged, OSError."""
    digest, rows, held = hashlib.sha256(), 0, ""
    try:
        with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
            header = json.loads(next(lines, "null"))
            if not isinstance(header, dict) or (header.get("archive"), header.get("version")) != (KIND, VERSION):
                raise ArchiveDamaged(f"{file}: is no archive of {KIND}, version {VERSION}")
            for line in lines:
                if held:
                    digest.update(held.encode())
                    rows += 1
                    each(held)
                held = line
        trailer = json.loads(held or "null")
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as broken:
        raise ArchiveDamaged(f"{file}: cut short or damaged: {broken}") from broken
    except OSError as broken:
        if broken.errno is not None:
            raise
        raise ArchiveDamaged(f"{file}: damaged: {broken}") from broken
    said = (trailer.get("rows"), trailer.get("sha256")) if isinstance(trailer, dict) else None
    if said != (rows, digest.hexdigest()):
        raise ArchiveDamaged(f"{file}: holds {rows} rows, sha256 {digest.hexdigest()}, but says {said}")
    return Archive(
        month=str(header["month"]), file=file, rows=rows, sha256=digest.hexdigest(), columns=tuple(header["columns"])
    )


def restore_month(conninfo: str, file: Path) -> Archive:
    """Put a month back: all of it or nothing. Raises ArchiveDamaged, NotArchived, DatabaseAway, OSError."""
    archive = read_archive(file)
    partition = f"events_{archive.month.replace('-', '_')}"
    month = month_of_partition(partition)
    if month is None:
        raise ArchiveDamaged(f"{file}: its month is {archive.month}")
    with _alone(conninfo) as conn, conn.transaction():
        if partition in _partitions(conn):
            raise NotArchived(f"{archive.month}: the database has that month: {partition} is there")
        strange = set(archive.columns) - set(_columns(conn))
        if strange:
            raise NotArchived(f"{file}: the events of this database have no column {', '.join(sorted(strange))}")
        add_partition(conn, partition, month_start(month), month_start(month + 1))
        table = sql.Identifier("monitoring", partition)
        put = sql.SQL(
            "INSERT INTO {} OVERRIDING SYSTEM VALUE "
            "SELECT * FROM jsonb_populate_recordset(NULL::monitoring.events, %s::jsonb)"
        )
        batch: list[str] = []

        def flush() -> None:
            conn.execute(put.format(table), ("[" + ",".join(batch) + "]",))
            batch.clear()

        def take(line: str) -> None:
            batch.append(line)
            if len(batch) == _ROWS:
                flush()

        again = read_archive(file, take)
        flush()
        if again.sha256 != archive.sha256:
            raise ArchiveDamaged(f"{file}: changed while it was read")
        told = sql.Literal(f"{RESTORED}{file.name}")
        conn.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, told))
    return archive


def drop_restored(conninfo: str, file: Path) -> Archive:
    """Take a month that was put back away again; it stays in its file. Raises as `restore_month`."""
    archive = read_archive(file)
    partition = f"events_{archive.month.replace('-', '_')}"
    with _alone(conninfo) as conn:
        comment = _partitions(conn).get(partition)
        if not (comment or "").startswith(RESTORED):
            raise NotArchived(f"{archive.month}: was not put back from an archive")
        rows, _ = _content(conn, partition)
        if rows != archive.rows:
            raise NotArchived(f"{archive.month}: the database has {rows} rows of it, the file {archive.rows}")
        with conn.transaction():
            _detach(conn, partition)
    return archive


def prune_log(conninfo: str, now: datetime, keep_days: int) -> int:
    """Forget which records were written longer ago than that, a few at a time; how many. Raises DatabaseAway."""
    gone = 0
    with connect(conninfo, "archive") as conn, away():
        while True:
            done = conn.execute(
                "DELETE FROM monitoring.transaction_log WHERE record_id IN (SELECT record_id "
                "FROM monitoring.transaction_log WHERE written_at < least(now(), %s) - %s "
                "ORDER BY written_at LIMIT %s)",
                (now, timedelta(days=keep_days), _LOG_ROWS),
            ).rowcount
            gone += done
            if done < _LOG_ROWS:
                return gone
            time.sleep(_PAUSE_S)


def _partitions(conn: Connection) -> dict[str, str | None]:
    """The partitions of the events, each with its comment."""
    rows = conn.execute(
        "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'monitoring.events'::regclass"
    )
    return dict(rows.fetchall())


def _columns(conn: Connection) -> list[str]:
    rows = conn.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'monitoring' "
        "AND table_name = 'events' ORDER BY ordinal_position"
    )
    return [row[0] for row in rows]


def _content(conn: Connection, partition: str) -> tuple[int, str]:
    """How many rows there are and what they add up to: two equal answers are one content, in whatever order."""
    row = conn.execute(
        sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(row_to_json(e)::text, 0)::numeric), 0)::text FROM {} e"
        ).format(sql.Identifier("monitoring", partition))
    ).fetchone()
    return (0, "0") if row is None else (int(row[0]), str(row[1]))


def _export(
    conn: Connection, partition: str, part: Path, pulse: Callable[[], object]
) -> tuple[Archive, tuple[int, str]]:
    """Everything that the table holds at one instant, in a file that is on the disk."""
    month = partition.removeprefix("events_").replace("_", "-")
    digest, rows = hashlib.sha256(), 0
    columns = _columns(conn)
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        content = _content(conn, partition)
        with _private(part) as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as out:
            out.write(_line({"archive": KIND, "version": VERSION, "month": month, "columns": columns}))
            query = sql.SQL("SELECT row_to_json(e)::text FROM {} e ORDER BY id, created_at")
            with conn.cursor(name="archive") as cursor:
                cursor.execute(query.format(sql.Identifier("monitoring", partition)))
                while batch := cursor.fetchmany(_ROWS):
                    text = "".join(f"{row[0]}\n" for row in batch).encode()
                    digest.update(text)
                    out.write(text)
                    rows += len(batch)
                    pulse()
                    time.sleep(_PAUSE_S)
            out.write(_line({"rows": rows, "sha256": digest.hexdigest()}))
    if rows != content[0]:
        raise NotArchived(f"{partition}: {content[0]} rows were counted, {rows} were read")
    return Archive(month=month, file=part, rows=rows, sha256=digest.hexdigest()), content


def _keep(part: Path, partition: str, folder: Path, written: Archive) -> Path:
    """Give the file its name; one that an earlier run left and that says the same is the one that stays."""
    number = 1
    while True:
        final = folder / f"{partition}{'' if number == 1 else f'-{number}'}.jsonl.gz"
        if not final.exists():
            part.rename(final)
            _sync_folder(folder)
            return final
        try:
            if read_archive(final).sha256 == written.sha256:
                part.unlink()
                return final
        except ArchiveDamaged:
            pass  # not ours to throw away: the next name is tried
        number += 1


def _drop(conn: Connection, partition: str, content: tuple[int, str]) -> None:
    for left in range(_DROP_TRIES - 1, -1, -1):
        try:
            with conn.transaction(), away():
                conn.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'".encode())
                conn.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(sql.Identifier("monitoring", partition)))
                if _content(conn, partition) != content:
                    raise NotArchived(f"{partition}: was written to meanwhile; it is archived anew")
                _detach(conn, partition)
        except Exception as busy:
            if not _locked_out(busy) or left == 0:
                raise
            time.sleep(1)
        else:
            return


def _detach(conn: Connection, partition: str) -> None:
    table = sql.Identifier("monitoring", partition)
    conn.execute(sql.SQL("ALTER TABLE monitoring.events DETACH PARTITION {}").format(table))
    conn.execute(sql.SQL("DROP TABLE {}").format(table))


def _locked_out(error: Exception) -> bool:
    """Whether somebody else held a lock for longer than we want to make others wait."""
    state = getattr(error, "sqlstate", None) or getattr(error.__cause__, "sqlstate", None)
    return state in ("55P03", "40P01")  # lock_not_available, deadlock_detected


@contextmanager
def _alone(conninfo: str) -> Iterator[Connection]:
    with connect(conninfo, "archive", statement_timeout_ms=_STATEMENT_MS) as conn, away():
        conn.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        yield conn


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    """A file of mode 0600, on the disk when the block ends."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
