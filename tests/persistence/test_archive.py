"""Old months: into a file, out of the database, back again; killed between any two steps nothing is lost or doubled."""

from __future__ import annotations

import gzip
import json
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from persistence.archive import (
    ArchiveDamaged,
    NotArchived,
    archive_month,
    drop_restored,
    due_months,
    prune_log,
    read_archive,
    restore_month,
)
from persistence.database import DatabaseAway
from persistence.partitions import ensure_partitions
from persistence.reader import Reader
from persistence.writer import Writer
from tests.persistence import samples
from tests.persistence.conftest import Query

JANUARY = datetime(2025, 1, 15, 12, tzinfo=UTC)
PARTITION = "events_2025_01"
ODD = {"text": 'quote " backslash \\ newline \n \u2028 ключ', "price": "0.00000001", "deep": {"list": [1, None, True]}}


def fill(database: str, writer: Writer, rows: int = 2500, at: datetime = JANUARY) -> None:
    ensure_partitions(database, at, months_ahead=0)
    events = tuple(
        samples.event(at=at.replace(minute=n % 60), data={"n": n, **(ODD if n % 7 == 0 else {})}) for n in range(rows)
    )
    writer.write([samples.record(events=events, at=at)])


def everything(rows: Query) -> list[dict[str, object]]:
    return rows("SELECT * FROM monitoring.events ORDER BY id")


def has(rows: Query, table: str) -> bool:
    return rows.one("SELECT to_regclass(%s) IS NOT NULL AS there", f"monitoring.{table}")["there"] is True


def test_there_and_back_again(database: str, writer: Writer, rows: Query, reader: Reader, tmp_path: Path) -> None:
    fill(database, writer)
    writer.write([samples.record(events=(samples.event(data={"now": 1}),))])
    before = everything(rows)
    archive = archive_month(database, PARTITION, tmp_path / "archive")
    assert archive is not None
    assert (archive.month, archive.rows, archive.file.name) == ("2025-01", 2500, f"{PARTITION}.jsonl.gz")
    assert stat.S_IMODE(archive.file.stat().st_mode) == 0o600
    assert [path.name for path in archive.file.parent.iterdir()] == [archive.file.name]
    assert [row["event_data"] for row in everything(rows)] == [{"now": 1}]
    assert not has(rows, PARTITION)
    assert reader.events(limit=10)[0]["data"] == {"now": 1}

    restore_month(database, archive.file)
    assert everything(rows) == before
    assert due_months(database, samples.NOON, 1) == [], "what a hand put back stays"
    with pytest.raises(NotArchived, match="has that month"):
        restore_month(database, archive.file)
    drop_restored(database, archive.file)
    assert len(everything(rows)) == 1
    with pytest.raises(NotArchived, match="not put back"):
        drop_restored(database, archive.file)


def test_lines_are_json_for_everybody(database: str, writer: Writer, tmp_path: Path) -> None:
    fill(database, writer, rows=8)
    archive = archive_month(database, PARTITION, tmp_path)
    assert archive is not None
    lines = [json.loads(line) for line in gzip.open(archive.file, "rt", newline="\n")]  # noqa: SIM115
    assert (lines[0]["month"], lines[-1]["rows"]) == ("2025-01", 8)
    assert lines[1]["event_data"] == {"n": 0, **ODD}


def test_which_months_are_due(database: str) -> None:
    for month in (1, 6, 11):
        ensure_partitions(database, datetime(2025, month, 1, tzinfo=UTC), months_ahead=0)
    assert due_months(database, datetime(2025, 12, 31, tzinfo=UTC), 6) == ["events_2025_01"]
    assert due_months(database, datetime(2025, 12, 1, tzinfo=UTC), 5) == ["events_2025_01", "events_2025_06"]
    assert due_months(database, datetime(2025, 1, 31, tzinfo=UTC), 1) == []


def test_a_clock_that_runs_years_ahead_archives_nothing(database: str) -> None:
    now = datetime.now(UTC)
    ensure_partitions(database, now, months_ahead=0)
    assert due_months(database, now.replace(year=now.year + 30, day=1), 12) == []


KILLED = """
import os, sys
from pathlib import Path
from persistence.archive import archive_month
left = [int(sys.argv[4])]
def pulse():
    left[0] -= 1
    if left[0] < 0:
        os._exit(9)
archive_month(sys.argv[1], sys.argv[2], Path(sys.argv[3]), pulse)
"""


@pytest.mark.parametrize("step", range(5))
def test_killed_between_any_two_steps(
    database: str, writer: Writer, rows: Query, tmp_path: Path, step: int
) -> None:
    """Three groups of rows are read, the file is whole, it has its name: a pulse after each."""
    fill(database, writer)
    before = everything(rows)
    words = [sys.executable, "-c", KILLED, database, PARTITION, str(tmp_path), str(step)]
    killed = subprocess.run(words, timeout=30, check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == 9
    assert everything(rows) == before
    archive = archive_month(database, PARTITION, tmp_path)
    assert archive is not None
    assert everything(rows) == []
    assert [path.name for path in tmp_path.iterdir()] == [f"{PARTITION}.jsonl.gz"]
    restore_month(database, archive.file)
    assert everything(rows) == before


def test_what_is_written_meanwhile_keeps_the_month(
    database: str, writer: Writer, rows: Query, tmp_path: Path
) -> None:
    fill(database, writer, rows=10)
    late = samples.record(events=(samples.event(at=JANUARY, data={"late": True}),))
    with pytest.raises(NotArchived, match="written to meanwhile"):
        archive_month(database, PARTITION, tmp_path, lambda: writer.write([late]) and None)
    assert len(everything(rows)) == 11
    archive = archive_month(database, PARTITION, tmp_path)
    assert archive is not None
    assert archive.rows == 11
    assert archive.file.name == f"{PARTITION}-2.jsonl.gz", "the first file stays as it was"
    assert read_archive(tmp_path / f"{PARTITION}.jsonl.gz").rows == 10


def test_a_long_reading_holds_it_up_and_nobody_behind_it(
    database: str, writer: Writer, rows: Query, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.archive._DROP_TRIES", 1)
    fill(database, writer, rows=10)
    with psycopg.connect(database) as reading:
        reading.execute("SELECT count(*) FROM monitoring.events")
        with pytest.raises(DatabaseAway, match="lock timeout"):
            archive_month(database, PARTITION, tmp_path)
    assert has(rows, PARTITION)
    assert archive_month(database, PARTITION, tmp_path) is not None
    assert [path.name for path in tmp_path.iterdir()] == [f"{PARTITION}.jsonl.gz"]


def test_the_journal_writes_on_beside_it(database: str, writer: Writer, rows: Query, tmp_path: Path) -> None:
    fill(database, writer, rows=5000)
    over = threading.Event()
    written = 0

    def archive() -> None:
        archive_month(database, PARTITION, tmp_path)
        over.set()

    threading.Thread(target=archive, daemon=True).start()
    while not over.is_set():
        assert writer.write([samples.record(events=(samples.event(data={"w": written}),))]) == []
        written += 1
    assert written > 0
    assert len(everything(rows)) == written


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda raw: raw[: len(raw) // 2], "cut short or damaged"),
        (lambda raw: raw[:40] + b"\x00\x01\x02" + raw[43:], "damaged|sha256"),
        (lambda raw: gzip.compress(gzip.decompress(raw).replace(b'"n": 3', b'"n": 4', 1)), "sha256"),
        (lambda raw: gzip.compress(b"".join(gzip.decompress(raw).splitlines(keepends=True)[:-1])), "says"),
        (lambda raw: gzip.compress(b'{"archive": "recipes"}\n'), "is no archive"),
        (lambda raw: b"", "is no archive"),
        (lambda raw: b"text", "damaged"),
    ],
)
def test_a_damaged_file_restores_nothing(
    database: str, writer: Writer, rows: Query, tmp_path: Path, spoil: Any, says: str
) -> None:
    fill(database, writer, rows=20)
    archive = archive_month(database, PARTITION, tmp_path)
    assert archive is not None
    archive.file.write_bytes(spoil(archive.file.read_bytes()))
    with pytest.raises(ArchiveDamaged, match=says):
        restore_month(database, archive.file)
    assert everything(rows) == []
    assert not has(rows, PARTITION)


def test_a_folder_that_cannot_be_written_changes_nothing(
    database: str, writer: Writer, rows: Query, tmp_path: Path
) -> None:
    fill(database, writer, rows=3)
    (tmp_path / "archive").write_text("in the way")
    with pytest.raises(OSError, match="archive"):
        archive_month(database, PARTITION, tmp_path / "archive")
    assert len(everything(rows)) == 3


def test_which_records_were_written_is_forgotten_in_time(database: str, writer: Writer, rows: Query) -> None:
    writer.write([samples.record("old"), samples.record("new")])
    aged = "UPDATE monitoring.transaction_log SET written_at = now() - interval '31 days' WHERE record_id = 'old'"
    rows(f"{aged} RETURNING 1")
    assert prune_log(database, datetime.now(UTC).replace(year=2090), 30) == 1
    assert [row["record_id"] for row in rows("SELECT record_id FROM monitoring.transaction_log")] == ["new"]


def test_a_second_process_leaves_it_to_the_first(database: str, writer: Writer, rows: Query, tmp_path: Path) -> None:
    fill(database, writer, rows=3)
    second: list[object] = []

    def meanwhile() -> None:
        if not second:
            second.append(archive_month(database, PARTITION, tmp_path / "other"))

    assert archive_month(database, PARTITION, tmp_path, meanwhile) is not None
    assert second == [None]
    assert not list((tmp_path / "other").iterdir())
