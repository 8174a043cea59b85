"""A copy of the whole book in one file, and an empty database filled from it: pg_dump and pg_restore of the wheel.

Rules of this file: a backup has its name only once it was read again to its end; a restore fills an empty database in
one transaction or not at all; no password stands on a command line. A restored book is older than what happened since:
its terms are raised, so that whoever starts on it is newer than anybody who ever sent an order.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from persistence.binaries import BinariesMissing, find_binaries
from persistence.database import away, connect

SCHEMAS = ("monitoring", "fas")
TERMS_RAISED_BY = 1000
_LIMIT_S = 6 * 3600


class BackupFailed(Exception):
    """No backup was made, or nothing was restored; the message says why."""


def back_up(conninfo: str, file: Path) -> int:
    """Write the book as it is at one instant to `file`, beside a running service or not; its size in bytes.

    Raises BackupFailed, OSError.
    """
    if file.exists():
        raise BackupFailed(f"{file}: exists; a backup is never written over")
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    schemas = [f"--schema={name}" for name in SCHEMAS]
    try:
        _run("pg_dump", conninfo, "--format=custom", "--no-owner", *schemas, f"--file={part}")
        _run("pg_restore", None, f"--file={os.devnull}", str(part))
    except BackupFailed:
        part.unlink(missing_ok=True)
        raise
    part.rename(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file.stat().st_size


def put_back(conninfo: str, file: Path) -> None:
    """Fill an empty database from a backup. Raises BackupFailed, DatabaseAway, OSError."""
    if not file.is_file():
        raise BackupFailed(f"{file}: no such file")
    with connect(conninfo, "restore") as conn, away():
        found = conn.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema = ANY(%s) "
            "LIMIT 1",
            (list(SCHEMAS),),
        ).fetchone()
        if found is not None:
            raise BackupFailed(f"the database is not empty ({found[0]} is there): nothing is restored over a book")
    _run("pg_restore", conninfo, "--exit-on-error", "--single-transaction", "--no-owner", str(file))
    with connect(conninfo, "restore") as conn, away():
        conn.execute("UPDATE monitoring.account_terms SET term = term + %s", (TERMS_RAISED_BY,))


def _run(program: str, conninfo: str | None, *words: str) -> None:
    """Raises BackupFailed with what the program said."""
    try:
        command = [str(find_binaries() / program)]
    except BinariesMissing as missing:
        raise BackupFailed(str(missing)) from missing
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    if conninfo is not None:
        parts = conninfo_to_dict(conninfo)
        password = parts.pop("password", None)
        if password is not None:
            environment["PGPASSWORD"] = str(password)
        command.append(f"--dbname={make_conninfo('', **parts)}")
    done = subprocess.run(
        [*command, *words], env=environment, capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    if done.returncode != 0:
        said = " | ".join(done.stderr.strip().splitlines()[-5:]) or f"exit {done.returncode}"
        raise BackupFailed(f"{program}: {said}")
