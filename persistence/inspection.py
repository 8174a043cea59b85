"""What can be said of the database without changing it: `python main.py check`."""

from __future__ import annotations

from pathlib import Path

import psutil
from psycopg.conninfo import make_conninfo

from persistence.database import MIGRATIONS, MigrationRefused, applied_steps, away, connect, migrations, missing
from persistence.embedded import EmbeddedPostgres


def pending(conninfo: str, folder: Path = MIGRATIONS) -> list[str]:
    """The steps that `migrate` would apply. Raises MigrationRefused when it could not, DatabaseAway."""
    steps = migrations(folder)
    with connect(conninfo, "check") as conn, away():
        row = conn.execute(
            "SELECT to_regclass('monitoring.schema_migrations') IS NOT NULL, "
            "has_database_privilege(current_database(), 'CREATE'), current_user, current_database()"
        ).fetchone()
        exists, may_create, role, database = row if row is not None else (False, False, "", "")
        applied = applied_steps(conn) if exists else {}
    steps_left = missing(steps, applied)
    if not exists and not may_create:
        raise MigrationRefused(
            f"role {role} may not make schemas in database {database}: GRANT CREATE ON DATABASE {database} TO {role}"
        )
    return [f"{step.version:04}.{step.name}" for step in steps_left]


def running_embedded(base: Path) -> str | None:
    """How to connect to the embedded server that some process runs in `base` now; None when there is none.

    The server's own file says where it listens: process id in the first line, socket directory in the fifth.
    """
    try:
        lines = (base / "pgdata" / "postmaster.pid").read_text().splitlines()
        pid, socket_dir = int(lines[0]), lines[4]
    except (OSError, ValueError, IndexError):
        return None
    if not psutil.pid_exists(pid):
        return None
    return make_conninfo(EmbeddedPostgres(base).conninfo, host=socket_dir)
