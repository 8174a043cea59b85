"""Connections and migrations: what has to be right before anything is written or read."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import ReadOnlySqlTransaction

MIGRATIONS = Path(__file__).with_name("migrations")
MIGRATION_LOCK = 0x686F6C6466617374  # "holdfast" in ASCII: one number for all versions of this program
CONNECT_LIMIT_S = 10.0  # two seconds for each address that a host's name may have
_GRACE_S = 1.0  # what a server that is only slow gets to say that it cancelled the statement
_INSTANCE_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class DatabaseAway(Exception):
    """The database cannot be reached or cannot work now; nothing is known to be committed. Trying again is harmless."""


class MigrationRefused(Exception):
    """The database's schema and this program do not fit together; nothing was changed."""


class Connection(psycopg.Connection[Any]):
    """A connection that is given up when the server does not answer, dead or hung: the server's own time-outs cannot
    help then, and on a local socket the kernel never says so either. `answer_limit_s` holds for each statement."""

    answer_limit_s: float = 6.0
    pulse: Callable[[float], object] | None = None
    """Told before each wait how long it may take at most: its caller is slow then, and does not hang."""

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        began = time.monotonic()
        if self.pulse is not None:
            self.pulse(self.answer_limit_s + _GRACE_S)
        try:
            return super().wait(gen, interval, self.answer_limit_s if timeout is None else timeout)
        except psycopg.OperationalError as fault:
            if timeout is None and time.monotonic() - began >= self.answer_limit_s and not self.closed:
                self.pgconn.finish()
                raise psycopg.OperationalError(f"no answer within {self.answer_limit_s:g} s") from fault
            raise


@contextmanager
def away() -> Iterator[None]:
    """Turn the driver's 'not now' into DatabaseAway. What is wrong with the data or the statement passes through."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, ReadOnlySqlTransaction) as error:
        raise DatabaseAway(f"{type(error).__name__}: {str(error).strip()}") from error


def settings(
    conninfo: str,
    application: str,
    *,
    statement_timeout_ms: int = 5_000,
    lock_timeout_ms: int = 2_000,
    more: str = "",
) -> str:
    """`conninfo` with our time-outs, UTC and a name that pg_stat_activity shows; what it sets itself wins.

    A server that no longer answers is given up after 3 s also where it is reached over TCP.
    """
    given = conninfo_to_dict(conninfo)
    options = (
        f"-c statement_timeout={statement_timeout_ms} -c lock_timeout={lock_timeout_ms} -c TimeZone=UTC "
        f"-c idle_in_transaction_session_timeout=10000 -c client_connection_check_interval=2000 {more}"
    )
    ours = {
        "application_name": f"holdfast {application}",
        "connect_timeout": 2,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "tcp_user_timeout": 3_000,
    }
    merged: dict[str, Any] = {**ours, **given, "options": f"{options} {given.get('options', '')}".strip()}
    return make_conninfo("", **merged)


def connect(
    conninfo: str,
    application: str,
    *,
    statement_timeout_ms: int = 5_000,
    autocommit: bool = True,
    options: str = "",
) -> Connection:
    """A connection of one's own; `options` are more of the server's settings for it. Raises DatabaseAway."""
    with away():
        conn = Connection.connect(
            settings(conninfo, application, statement_timeout_ms=statement_timeout_ms, more=options),
            autocommit=autocommit,
        )
    conn.answer_limit_s = statement_timeout_ms / 1000 + _GRACE_S
    return conn


def probe(conninfo: str) -> None:
    """See, within seconds, that the server answers: a migration has all the time it needs. Raises DatabaseAway."""
    with connect(conninfo, "probe") as conn, away():
        conn.execute("SELECT 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema: `0001.init.sql`, undone by `0001.init.rollback.sql`."""

    version: int
    name: str
    apply: str
    rollback: str

    @property
    def sha256(self) -> str:
        """What tells an edited file from the applied one."""
        return hashlib.sha256(self.apply.encode()).hexdigest()


def migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The steps in `folder`, in order. Raises MigrationRefused for a gap, a double number or a missing rollback."""
    steps = []
    for path in sorted(folder.glob("[0-9]*.sql")):
        if path.name.endswith(".rollback.sql"):
            continue
        number, name = path.name.removesuffix(".sql").split(".", 1)
        undo = path.with_name(f"{number}.{name}.rollback.sql")
        if not undo.exists():
            raise MigrationRefused(f"migration {path.name}: {undo.name} is missing")
        steps.append(Migration(version=int(number), name=name, apply=path.read_text(), rollback=undo.read_text()))
    for expected, step in enumerate(steps, 1):
        if step.version != expected:
            raise MigrationRefused(f"migration {step.version}.{step.name}: number {expected} was expected")
    return steps


def migrate(conninfo: str, folder: Path = MIGRATIONS) -> list[str]:
    """Bring the schema up to date; the names of the steps applied. Several processes may call it at once.

    Raises MigrationRefused when an applied file was edited or the database is newer, DatabaseAway.
    """
    steps = migrations(folder)
    with away(), _migrating(conninfo) as conn:
        steps_left = missing(steps, applied_steps(conn))
        for step in steps_left:
            with conn.transaction():
                # Without parameters the whole file goes by the simple protocol: many statements, no splitting.
                conn.execute(step.apply.encode())
                conn.execute(
                    "INSERT INTO monitoring.schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
                    (step.version, step.name, step.sha256),
                )
        return [f"{step.version:04}.{step.name}" for step in steps_left]


def missing(steps: list[Migration], applied: dict[int, tuple[str, str]]) -> list[Migration]:
    """The steps that a database with these applied ones lacks. Raises MigrationRefused when it cannot be brought up."""
    known = {step.version: step for step in steps}
    for version, (name, sha256) in applied.items():
        if version not in known:
            raise MigrationRefused(
                f"the database has migration {version:04}.{name}, this program knows {len(steps)}: "
                "it is newer than the program; update the program or use another database"
            )
        if known[version].sha256 != sha256:
            raise MigrationRefused(
                f"migration {version:04}.{name}: the file was edited after it was applied "
                f"(sha256 {known[version].sha256[:12]}, applied {sha256[:12]}); add a new step instead"
            )
    return [step for step in steps if step.version not in applied]


def roll_back(conninfo: str, to_version: int, folder: Path = MIGRATIONS) -> list[str]:
    """Undo the steps above `to_version`, newest first; their names. Data of undone tables is lost.

    Raises MigrationRefused when a step to undo has no file here, DatabaseAway.
    """
    known = {step.version: step for step in migrations(folder)}
    undone = []
    with away(), _migrating(conninfo) as conn:
        for version, (name, _) in sorted(applied_steps(conn).items(), reverse=True):
            if version <= to_version:
                break
            if version not in known:
                raise MigrationRefused(f"migration {version:04}.{name}: this program has no rollback for it")
            with conn.transaction():
                conn.execute(known[version].rollback.encode())
                conn.execute("DELETE FROM monitoring.schema_migrations WHERE version = %s", (version,))
            undone.append(f"{version:04}.{name}")
    return undone


@contextmanager
def _migrating(conninfo: str) -> Iterator[Connection]:
    with connect(conninfo, "migrate", statement_timeout_ms=600_000) as conn:
        conn.execute("SET lock_timeout = '60s'")
        conn.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        with conn.transaction():
            conn.execute("CREATE SCHEMA IF NOT EXISTS monitoring")
            conn.execute(
                "CREATE TABLE IF NOT EXISTS monitoring.schema_migrations (version integer PRIMARY KEY, "
                "name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            )
        yield conn


def applied_steps(conn: Connection) -> dict[int, tuple[str, str]]:
    """Name and hash of each step that the database has, by version."""
    rows = conn.execute("SELECT version, name, sha256 FROM monitoring.schema_migrations ORDER BY version")
    return {version: (name, sha256) for version, name, sha256 in rows}


def instance_code(conninfo: str, known: str | None = None) -> str:
    """The four characters of this database's client order ids, drawn once (DESIGN 3). Raises DatabaseAway.

    A database that has none yet takes on what is `known` already of orders that rest on an exchange.
    """
    drawn = known or "".join(secrets.choice(_INSTANCE_DIGITS) for _ in range(4))
    with connect(conninfo, "instance") as conn, away():
        conn.execute("INSERT INTO monitoring.instance (code) VALUES (%s) ON CONFLICT DO NOTHING", (drawn,))
        row = conn.execute("SELECT code FROM monitoring.instance").fetchone()
    if row is None:
        raise DatabaseAway("monitoring.instance has no row after it was written")
    return str(row[0])
