"""The performance records of the running service against the exchange's own timeline and its own account."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.end_to_end.agreement import conninfo
from tests.end_to_end.service import ServiceProcess, running

pytestmark = pytest.mark.chaos


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    with running(tmp_path, {"risk": {"performance_interval_s": 1}}) as started:
        yield started


def rows(service: ServiceProcess, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(conninfo(service.state_dir), row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def metrics(service: ServiceProcess) -> dict[str, Decimal]:
    day = datetime.now(UTC).date()
    found = rows(service, f"SELECT metric, value FROM monitoring.performance_metrics WHERE day = '{day}'")
    return {row["metric"]: row["value"] for row in found}


def test_figures_are_the_exchanges_and_outlive_a_restart(service: ServiceProcess) -> None:
    winner, loser = service.open("BTCUSDT"), service.open("SOLUSDT", "short")
    service.move_mark("BTCUSDT", "1")
    service.move_mark("SOLUSDT", "0.8")
    for position in (winner, loser):
        service.ctl("position.close", id=position["id"])
        service.wait_state(position["id"], "CLOSED")
    held = service.open("ETHUSDT")
    lives = [*service.verdict().lives, *service.verdict().open_lives]
    trades = [trade for life in lives for trade in life.trades]
    expected = {
        "realized_pnl": sum(trade.realized_pnl for trade in trades),
        "fees": sum(trade.fee for trade in trades),
        "volume": sum(trade.quantity * trade.price for trade in trades),
        "closed": Decimal(2),
        "opened": Decimal(3),
        "won": Decimal(sum(life.realized - life.fees > 0 for life in service.verdict().lives)),
    }

    def agrees() -> bool | None:
        found = metrics(service)
        if not expected.keys() <= found.keys():
            return None
        return all(abs(found[name] - value) < Decimal("1e-6") for name, value in expected.items()) or None

    service.wait_for(agrees, 40, f"{expected}, not {metrics(service)}")
    assert metrics(service)["win_rate_percent"] == 100 * expected["won"] / 2

    def money() -> dict[str, Any] | None:
        last = rows(service, "SELECT * FROM monitoring.performance ORDER BY taken_at DESC LIMIT 1")[0]
        wallet = Decimal(service.control("state")["wallet"])
        return last if abs(last["balance"] - wallet) < Decimal("1e-6") else None

    last = service.wait_for(money, 40, "the wallet as the exchange has it")
    mark, quantity = service.mark("ETHUSDT"), Decimal(held["quantity"])
    assert last["open_positions"] == 1
    assert abs(last["exposure"] - quantity * mark) < quantity * mark / 100
    assert abs(last["unrealized_pnl"] - (last["equity"] - last["balance"])) < Decimal("1e-9")
    peak = metrics(service)["peak_equity"]
    assert peak >= Decimal(10000), "nothing was lost before the first position"
    service.move_mark("ETHUSDT", "-1.5")
    service.kill9()
    service.restart()
    before = last["taken_at"]

    def deeper() -> dict[str, Any] | None:
        now = rows(service, "SELECT * FROM monitoring.performance ORDER BY taken_at DESC LIMIT 1")[0]
        return now if now["taken_at"] > before and now["equity"] < last["equity"] else None

    now = service.wait_for(deeper, 40, "a snapshot of the next life")
    assert metrics(service)["peak_equity"] == peak, "the highest equity is that of before the kill"
    assert abs(now["drawdown_percent"] - (peak - now["equity"]) / peak * 100) < Decimal("1e-6")
