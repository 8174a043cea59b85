"""What a span came to, against rows that are known one by one."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from domain.catalogue import EventType
from persistence.reader import Reader
from persistence.report import report
from persistence.writer import Writer
from tests.persistence import samples

DAY = samples.NOON.replace(hour=0)
NEXT = DAY + timedelta(days=1)
ADD = """
INSERT INTO monitoring.positions (id, account, exchange, symbol, side, status, open, quantity, has_stop_loss,
    has_trailing_stop, trailing_activated, realized_pnl, fees, unprotected_seconds, needs_intervention, adopted,
    correlation_id, term, incarnation, version, state, opened_at, closed_at, last_update, entry_price)
VALUES (%(id)s, %(account)s, 'binanceusdm', 'BTCUSDT', 'long', %(status)s, %(closed_at)s::timestamptz IS NULL, 0, false,
    false, false, %(pnl)s, %(fees)s, %(bare)s, false, false, 'c', 1, 1, 1, '{}', %(opened_at)s, %(closed_at)s, now(),
    CASE %(status)s WHEN 'failed' THEN NULL ELSE 100 END)
"""


@pytest.fixture
def book(database: str, writer: Writer) -> None:
    rows: list[tuple[int, str, str, str, str, str, datetime, datetime | None]] = [
        (1, "main", "closed", "10.10", "1.05", "0.5", DAY, NEXT - timedelta(milliseconds=1)),
        (2, "main", "closed", "1.00", "1.00", "0", DAY - timedelta(days=1), DAY),
        (3, "main", "rolled_back", "-3.00", "0.50", "2.25", DAY, DAY + timedelta(hours=1)),
        (4, "main", "closed", "99", "0", "7", DAY, NEXT),
        (5, "main", "failed", "0", "0", "0", DAY, DAY + timedelta(hours=2)),
        (6, "main", "active", "0", "0.20", "0.25", DAY, None),
        (7, "other", "closed", "-1", "0.1", "0", DAY, DAY + timedelta(hours=3)),
    ]
    names = ("id", "account", "status", "pnl", "fees", "bare", "opened_at", "closed_at")
    with psycopg.connect(database) as conn:
        for row in rows:
            conn.execute(ADD, dict(zip(names, row, strict=True)))
        for number, outcome in enumerate(("opened", "cooldown", "cooldown", "spread")):
            conn.execute(
                "INSERT INTO fas.signals (id, pair_symbol, exchange_name, recommended_action, raw, created_at, "
                "received_at, outcome, processed_at, wave_account) VALUES (%s, 'X', 'x', 'BUY', '{}', %s, %s, %s, %s, "
                "'main')",
                (f"s{number}", DAY, DAY, outcome, DAY),
            )
    moved = samples.event(EventType.TRAILING_MOVED, at=samples.NOON)
    writer.write([samples.record(events=(moved, moved, samples.event(at=samples.NOON)))])


@pytest.mark.usefixtures("book")
def test_a_day_of_one_account(reader: Reader) -> None:
    found = report(reader.pool, DAY, NEXT, "main")
    assert found["positions"] == {
        "opened": 4, "failed": 1, "closed": 3, "rolled_back": 1, "liquidated": 0, "won": 1, "lost": 1,
        "win_rate_pct": Decimal("33.33"),
    }  # fmt: skip
    figures = ("realized_pnl", "fees", "net_pnl", "best", "worst", "unprotected_seconds", "longest_unprotected_s")
    assert [str(found[name]) for name in figures] == ["8.10", "2.55", "5.55", "9.05", "-3.50", "10.00", "7"]
    assert found["stop_moves"] == 2
    assert found["signals"] == {"answered": 4, "acted_on": 1}
    assert found["refused"] == {"cooldown": 2, "spread": 1}
    assert [row["id"] for row in found["closed"]] == [2, 3, 1]
    assert report(reader.pool, DAY, NEXT)["positions"]["closed"] == 4


def test_nothing_happened(reader: Reader) -> None:
    found = report(reader.pool, DAY, NEXT)
    assert (found["positions"]["closed"], found["positions"]["win_rate_pct"], found["best"]) == (0, None, None)
    assert found["stop_moves"] == 0
    assert found["closed"] == []


@pytest.mark.usefixtures("book")
def test_moves_in_months_that_were_archived_are_not_counted_as_none(reader: Reader, writer: Writer) -> None:
    archived = samples.event(EventType.EVENTS_ARCHIVED, at=samples.NOON)
    writer.write([samples.record(events=(archived,))])
    earlier = DAY - timedelta(days=60)
    assert report(reader.pool, earlier, earlier + timedelta(days=1))["stop_moves"] is None
    assert report(reader.pool, samples.NOON, NEXT)["stop_moves"] == 2


@pytest.mark.usefixtures("book")
def test_a_list_that_is_cut_says_so(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = report(reader.pool, DAY, NEXT, "main")
    monkeypatch.setattr("persistence.report.MOST_POSITIONS", len(whole["closed"]))
    assert report(reader.pool, DAY, NEXT, "main") == whole
    monkeypatch.setattr("persistence.report.MOST_POSITIONS", 1)
    cut = report(reader.pool, DAY, NEXT, "main")
    assert (whole["closed_cut"], cut["closed_cut"]) == (False, True)
    assert cut["closed"] == whole["closed"][:1]
    assert cut["net_pnl"] == whole["net_pnl"]
