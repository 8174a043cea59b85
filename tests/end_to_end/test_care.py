"""Old months, copies of the book, and what puts them back: beside a running service, and on a fresh machine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from persistence.at_hand import at_hand
from persistence.backup import TERMS_RAISED_BY
from persistence.inspection import running_embedded
from persistence.partitions import ensure_partitions
from tests.end_to_end.service import ServiceProcess, running

OVERRIDES: dict[str, dict[str, Any]] = {"chaos": {"enabled": True}, "retention": {"events_months": 1}}
ADD = """
INSERT INTO monitoring.events (event_type, event_data, severity, correlation_id, created_at)
SELECT 'price_range', jsonb_build_object('count', n), 'debug', 'old', %s + n * interval '1 minute'
FROM generate_series(1, 50) n
"""


def add_month(conninfo: str, year: int, month: int) -> None:
    begin = datetime(year, month, 1, tzinfo=UTC)
    ensure_partitions(conninfo, begin, months_ahead=0)
    with psycopg.connect(conninfo) as conn:
        conn.execute(ADD, (begin,))


def look_again(service: ServiceProcess) -> None:
    """The archivist looks 5 s after its start."""
    service.ctl("actors.kill", name="archivist", how="exit")


def counts(conninfo: str) -> dict[str, int]:
    tables = ("events", "positions", "orders", "trades", "transaction_log", "account_terms")
    with psycopg.connect(conninfo) as conn:
        found = {name: conn.execute(f"SELECT count(*) FROM monitoring.{name}").fetchone() for name in tables}
    return {name: row[0] for name, row in found.items() if row is not None}


@pytest.mark.chaos
def test_old_months_leave_and_come_back(tmp_path: Path) -> None:
    with running(tmp_path, OVERRIDES) as service:
        conninfo = running_embedded(service.state_dir / "pg")
        assert conninfo is not None
        add_month(conninfo, 2025, 1)
        with psycopg.connect(conninfo) as conn:
            named = conn.execute("SELECT relname FROM pg_class WHERE relname ~ '^events_2[0-9]{3}_[0-9]{2}$'")
            ahead = max(row[0] for row in named)
            conn.execute(f"DROP TABLE monitoring.{ahead}".encode())
            conn.execute("UPDATE monitoring.transaction_log SET written_at = now() - interval '99 days'")
        look_again(service)
        told = service.wait_event("events_archived")["data"]
        assert (told["month"], told["rows"]) == ("2025-01", 50)
        assert service.wait_event("partitions_made")["data"]["partitions"] == ahead
        assert service.wait_event("records_forgotten")["data"]["rows"] > 0
        assert service.events(correlation="old") == []

        back = service.main("restore-archive", told["file"])
        assert (back.returncode, "2025-01: 50 events put back" in back.stdout) == (0, True), back.stderr
        assert len(service.events(correlation="old")) == 50
        again = service.main("restore-archive", told["file"])
        assert (again.returncode, "has that month" in again.stderr) == (1, True)
        assert service.main("restore-archive", told["file"], "--drop").returncode == 0

        add_month(conninfo, 2025, 2)
        folder = service.state_dir / "archive"
        folder.rename(tmp_path / "elsewhere")
        folder.write_text("in the way")
        look_again(service)
        failed = service.wait_event("archive_failed")
        assert failed["severity"].lower() == "warning"
        assert "archive" in failed["data"]["error"]
        assert len(service.events(correlation="old")) == 50


@pytest.mark.chaos
def test_a_backup_of_a_running_service_starts_another_one(tmp_path: Path) -> None:
    copy = tmp_path / "book.backup"
    with running(tmp_path) as service:
        opened = service.open("BTCUSDT")
        made = service.main("backup", str(copy))
        assert made.returncode == 0, made.stderr
        assert (copy.stat().st_mode & 0o777, service.main("backup", str(copy)).returncode) == (0o600, 1)
        conninfo = running_embedded(service.state_dir / "pg")
        assert conninfo is not None
        term = service.ctl("status")["accounts"][0]["term"]
        at_least = counts(conninfo)["orders"]
        over = service.main("restore", str(copy))
        assert over.returncode == 1
        assert "in use" in over.stderr
        assert service.interrupt() == 0

    (tmp_path / "fresh").mkdir()
    fresh = ServiceProcess(tmp_path / "fresh")
    try:
        restored = fresh.main("restore", str(copy))
        assert restored.returncode == 0, restored.stderr
        with at_hand("", fresh.state_dir / "pg") as conninfo:
            assert counts(conninfo)["orders"] == at_least
        twice = fresh.main("restore", str(copy))
        assert (twice.returncode, "not empty" in twice.stderr) == (1, True)
        fresh.start()
        assert fresh.ctl("status")["accounts"][0]["term"] == term + TERMS_RAISED_BY + 1
        assert fresh.position(opened["id"])["symbol"] == "BTCUSDT"
        assert next(e["type"] for e in fresh.events(position=opened["id"])) == "position_created"
    finally:
        fresh.clean_up()
