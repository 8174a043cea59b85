"""Commands that look after the book: `backup`, `restore`, `restore-archive`. None of them is part of the service.

Each returns what it has to say; what went wrong is a CareFailed that says what to do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from config.settings import Settings
from persistence.archive import ArchiveDamaged, NotArchived, drop_restored, restore_month
from persistence.at_hand import at_hand
from persistence.backup import BackupFailed, back_up, put_back
from persistence.database import DatabaseAway, MigrationRefused
from persistence.embedded import AlreadyRunning, EmbeddedFailed, EmbeddedPostgres

_FAULTS = (
    AlreadyRunning, ArchiveDamaged, BackupFailed, DatabaseAway, EmbeddedFailed, MigrationRefused, NotArchived, OSError,
)  # fmt: skip


class CareFailed(Exception):
    """Nothing was done; the message says why."""


def carry_out(command: str, words: Sequence[str], load: Callable[[Path | None], Settings]) -> str:
    """Carry out one command; what it did, in words. Raises CareFailed, SettingsError; SystemExit for wrong usage."""
    parser = argparse.ArgumentParser(prog=f"main.py {command}")
    parser.add_argument("file", type=Path, metavar="FILE", help=_FILES[command])
    parser.add_argument("--settings", type=Path, help="the settings file, ./settings.toml if not given")
    if command == "restore-archive":
        parser.add_argument("--drop", action="store_true", help="take a month that was put back away again")
    given = parser.parse_args(list(words))
    settings = load(given.settings)
    try:
        if command == "backup":
            return _backup(settings, given.file)
        if command == "restore":
            return _restore(settings, given.file)
        return _archive(settings, given.file, drop=given.drop)
    except _FAULTS as fault:
        raise CareFailed(f"{command}: {fault}") from fault


_FILES = {
    "backup": "where the copy goes; it must not exist",
    "restore": "a copy that `backup` made",
    "restore-archive": "a month of events that the service archived (events_YYYY_MM.jsonl.gz)",
}


def _backup(settings: Settings, file: Path) -> str:
    with at_hand(_url(settings), _base(settings)) as conninfo:
        size = back_up(conninfo, file)
    return f"{file}: {size} bytes, read again and whole"


def _restore(settings: Settings, file: Path) -> str:
    url = _url(settings)
    if url:
        put_back(url, file)
        return f"{file}: restored into database.url"
    base = _base(settings)
    settings.service.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = EmbeddedPostgres(base)
    try:
        put_back(server.start(), file)
    finally:
        server.stop()
    return f"{file}: restored into {base}"


def _archive(settings: Settings, file: Path, *, drop: bool) -> str:
    with at_hand(_url(settings), _base(settings)) as conninfo:
        archive = drop_restored(conninfo, file) if drop else restore_month(conninfo, file)
    what = "taken away again" if drop else "put back; it stays until `restore-archive FILE --drop`"
    return f"{archive.month}: {archive.rows} events {what}"


def _url(settings: Settings) -> str:
    return settings.database.url.get_secret_value()


def _base(settings: Settings) -> Path:
    return settings.service.state_dir / "pg"
