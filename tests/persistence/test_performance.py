"""Performance records in the real database: a day's figures out of executions and endings, snapshots, metrics."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from domain.judgement.performance import Day
from domain.position.state import Phase
from domain.records import DayMetric, Performance, Record
from persistence.codec import record_from_json, record_to_json
from persistence.reader import Reader
from persistence.writer import Writer
from tests.persistence import samples
from tests.persistence.samples import NOON, record

D = Decimal
DAY = NOON.date()
MIDNIGHT = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)


def snapshot(at: datetime = NOON, **changes: Any) -> Performance:
    values: dict[str, Any] = {
        "account": "main", "taken_at": at, "balance": D("1000.01"), "equity": D("990.5"), "exposure": D(300),
        "open_positions": 2, "realized_pnl": D(-4), "unrealized_pnl": D("-9.51"), "fees": D("0.3"),
        "drawdown_percent": D("2.5"),
    }  # fmt: skip
    return Performance(**{**values, **changes})


def metric(name: str, value: Decimal, day: date = DAY) -> DayMetric:
    return DayMetric(account="main", day=day, metric=name, value=value)


def records() -> Record:
    return record("p-1", performance=(snapshot(),), metrics=(metric("peak_equity", D(1010)), metric("won", D(1))))


def test_a_record_with_them_survives_the_spool() -> None:
    assert record_from_json(record_to_json(records())) == records()


def test_snapshots_stay_and_a_metric_is_replaced(writer: Writer, reader: Reader, rows: Any) -> None:
    assert reader.peak_equity("main") == 0
    assert writer.write([records(), record("p-2", metrics=(metric("won", D(2)),))]) == []
    later = record("p-3", metrics=(metric("peak_equity", D(1500), DAY + timedelta(days=1)),), performance=(snapshot(),))
    assert writer.write([later]) == []
    taken = rows.one("SELECT * FROM monitoring.performance")
    assert {name: taken[name] for name in ("balance", "open_positions", "drawdown_percent")} == {
        "balance": D("1000.01"), "open_positions": 2, "drawdown_percent": D("2.5"),
    }  # fmt: skip
    assert rows.one("SELECT value FROM monitoring.performance_metrics WHERE metric = 'won'")["value"] == 2
    assert reader.peak_equity("main") == 1500
    assert reader.peak_equity("other") == 0


def test_the_figures_of_a_day_are_those_of_its_executions_and_endings(writer: Writer, reader: Reader) -> None:
    ended: dict[str, Any] = {"phase": Phase.CLOSED, "closed_at": NOON, "opened_at": NOON}
    writer.write(
        [
            record(position=samples.position(7, **ended, unprotected_seconds=D("0.5"))),
            record(position=samples.position(8, **{**ended, "closed_at": MIDNIGHT - timedelta(seconds=1)})),
            record(position=samples.position(9, **{**ended, "phase": Phase.FAILED, "fills": ()})),
        ]
    )
    writer.write(
        [
            record(trades=(samples.trade("a", realized_pnl=D(9), fee=D(1), quantity=D(2), price=D(10)),)),
            record(trades=(samples.trade("b", realized_pnl=D(-2), at=MIDNIGHT, quantity=D(1), price=D(5)),)),
            record(trades=(samples.trade("c", realized_pnl=D(50), at=MIDNIGHT - timedelta(microseconds=1)),)),
            record(trades=(samples.trade("d", realized_pnl=D(50), at=MIDNIGHT + timedelta(days=1)),)),
            record(performance=(snapshot(), snapshot(MIDNIGHT, drawdown_percent=D(3)))),
        ]
    )
    day = reader.day_of("main", DAY)
    assert day == Day(
        realized_pnl=D(7), fees=D("1.00000001"), volume=D(25), opened=2, closed=1, won=0,
        unprotected_seconds=D("0.5"), max_drawdown_percent=D(3),
    )  # fmt: skip
    assert reader.day_of("other", DAY) == Day()
    assert reader.realized("main", []) == D(107) - D("1.00000003")
    assert reader.realized("main", [7]) == 0
