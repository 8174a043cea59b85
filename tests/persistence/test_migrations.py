"""The schema's own history: once, in order, by one process at a time, and never against an unknown past."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from persistence import database as db
from persistence.database import DatabaseAway, MigrationRefused
from persistence.partitions import ensure_partitions
from persistence.writer import Writer
from tests.persistence import samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of our migrations that a test may spoil."""
    return shutil.copytree(db.MIGRATIONS, tmp_path / "migrations")


OURS = [f"{step.version:04}.{step.name}" for step in db.migrations()]
LATER = f"{len(OURS) + 1:04}.later"


def add_step(folder: Path, apply: str = "CREATE TABLE monitoring.later (n int)") -> None:
    (folder / f"{LATER}.sql").write_text(apply)
    (folder / f"{LATER}.rollback.sql").write_text("DROP TABLE monitoring.later")


def tables(conninfo: str) -> set[str]:
    with psycopg.connect(conninfo) as conn:
        found = conn.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('monitoring', 'fas')"
        )
        return {row[0] for row in found}


def test_migrating_twice_does_nothing_more(empty_database: str) -> None:
    assert db.migrate(empty_database) == OURS
    assert db.migrate(empty_database) == []
    assert {"fas.signals", "monitoring.positions", "monitoring.trailing_stop_state"} <= tables(empty_database)


def test_of_four_at_once_one_migrates(empty_database: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(db.migrate, [empty_database] * 4))
    assert sorted(done, key=len) == [[], [], [], OURS]


def test_an_edited_step_is_refused(empty_database: str, folder: Path) -> None:
    db.migrate(empty_database, folder)
    with (folder / "0001.init.sql").open("a") as step:
        step.write("-- a word more\n")
    with pytest.raises(MigrationRefused, match=r"0001\.init: the file was edited"):
        db.migrate(empty_database, folder)


def test_a_newer_database_is_refused(empty_database: str, folder: Path) -> None:
    add_step(folder)
    assert db.migrate(empty_database, folder) == [*OURS, LATER]
    with pytest.raises(MigrationRefused, match="newer than the program"):
        db.migrate(empty_database)


def test_a_failing_step_leaves_no_trace(empty_database: str, folder: Path) -> None:
    add_step(folder, "CREATE TABLE monitoring.later (n int); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        db.migrate(empty_database, folder)
    assert "monitoring.later" not in tables(empty_database)
    add_step(folder)
    assert db.migrate(empty_database, folder) == [LATER]


def test_rolling_back_takes_everything_away_and_forward_again(empty_database: str, folder: Path) -> None:
    add_step(folder)
    db.migrate(empty_database, folder)
    assert db.roll_back(empty_database, len(OURS), folder) == [LATER]
    assert db.roll_back(empty_database, 0, folder) == OURS[::-1]
    assert tables(empty_database) == {"monitoring.schema_migrations"}
    assert db.migrate(empty_database, folder) == [*OURS, LATER]


@pytest.mark.parametrize(
    ("spoil", "says"), [(f"{LATER}.rollback.sql", "missing"), ("0001.init.sql", "number 1 was expected")]
)
def test_an_incomplete_folder_is_refused(folder: Path, spoil: str, says: str) -> None:
    add_step(folder)
    (folder / spoil).unlink()
    with pytest.raises(MigrationRefused, match=says):
        db.migrations(folder)


def test_the_instance_is_drawn_once(database: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        codes = set(threads.map(db.instance_code, [database] * 3))
    assert len(codes) == 1
    assert len(codes.pop()) == 4


def test_partitions_of_this_month_and_two_more(empty_database: str) -> None:
    db.migrate(empty_database)
    december = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert ensure_partitions(empty_database, december) == ["events_2026_12", "events_2027_01", "events_2027_02"]
    assert ensure_partitions(empty_database, december) == []


def test_a_new_partition_takes_its_rows_from_the_default(empty_database: str) -> None:
    db.migrate(empty_database)
    writer = Writer(empty_database)
    writer.write([samples.record(events=tuple(samples.event(data={"n": n}) for n in range(3)))])
    writer.write([samples.record(events=(samples.event(at=samples.NOON.replace(year=2031)),))])
    assert "events_2026_11" in ensure_partitions(empty_database, samples.NOON)
    writer.write([samples.record(events=(samples.event(data={"n": 3}),))])
    writer.close()
    with psycopg.connect(empty_database) as conn:
        found = conn.execute("SELECT event_data->>'n' FROM monitoring.events_2026_11 ORDER BY id").fetchall()
        assert [row[0] for row in found] == ["0", "1", "2", "3"]
        rest: Any = conn.execute("SELECT count(*) FROM monitoring.events_default").fetchone()
        assert rest[0] == 1


def test_a_step_that_adds_is_taken_under_a_program_that_does_not_know_it(empty_database: str, folder: Path) -> None:
    """A stand-by of the next version migrates while the holder writes (docs/operations.md, 'Upgrades')."""
    db.migrate(empty_database)
    writer = Writer(empty_database)
    writer.write([samples.record(position=samples.protected(), events=(samples.event(),))])
    add_step(
        folder,
        "CREATE TABLE monitoring.later (n int); ALTER TABLE monitoring.events ADD COLUMN later text; "
        "ALTER TABLE monitoring.positions ADD COLUMN later numeric; ALTER TABLE fas.signals ADD COLUMN later text;",
    )
    assert db.migrate(empty_database, folder) == [LATER]
    later = samples.protected(version=3)
    assert writer.write([samples.record(position=later, events=(samples.event(),), signals=(samples.signal(),))]) == []
    writer.close()
    with pytest.raises(MigrationRefused, match="newer than the program"):
        db.migrate(empty_database)


def test_sessions_are_named_and_bounded(database: str) -> None:
    with db.connect(database, "writer", statement_timeout_ms=50) as conn:
        found = {
            name: conn.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("application_name", "timezone", "client_connection_check_interval")
        }
        assert {name: row[0] for name, row in found.items() if row} == {
            "application_name": "holdfast writer",
            "timezone": "UTC",
            "client_connection_check_interval": "2s",
        }
        with pytest.raises(DatabaseAway, match="statement timeout"), db.away():
            conn.execute("SELECT pg_sleep(5)")


def test_the_users_own_words_in_the_url_win() -> None:
    merged = psycopg.conninfo.conninfo_to_dict(
        db.settings("postgresql://h/d?connect_timeout=9&options=-c%20statement_timeout%3D1", "x")
    )
    assert merged["connect_timeout"] == "9"
    assert str(merged["options"]).endswith("-c statement_timeout=1")


def test_nobody_there_is_away() -> None:
    with pytest.raises(DatabaseAway):
        db.connect("postgresql://127.0.0.1:1/none", "x")
