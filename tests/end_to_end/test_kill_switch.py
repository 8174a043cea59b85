"""The kill switch at the running service: fired in the middle of things, killed -9 in between, without its database.

Each time the exchange is flat in the end, nothing of ours rests there, and nothing is entered until the reset.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.admin.protocol import REFUSED, AdminError
from domain.judgement.losses import Source
from tests.end_to_end.agreement import conninfo
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running
from tests.end_to_end.signal_source import SignalSource, signal_row

pytestmark = pytest.mark.chaos
WAVE = ("DOGEUSDT", "XRPUSDT", "AVAXUSDT", "LTCUSDT", "BCHUSDT")


@pytest.fixture
def signals() -> Iterator[SignalSource]:
    with SignalSource(resumes=True) as started:
        yield started


@pytest.fixture
def service(tmp_path: Path, signals: SignalSource) -> Iterator[ServiceProcess]:
    with running(tmp_path, {"signals": {"url": signals.url}, "reconciler": {"interval_s": 3}}) as started:
        started.wait_price("BTCUSDT")
        yield started


def fire(service: ServiceProcess) -> None:
    code = service.ctl("kill_switch.arm", reason="test")["code"]
    service.ctl("kill_switch.confirm", code=code)


def overloaded(service: ServiceProcess) -> None:
    """The venue takes no market order for now: nothing can be closed."""
    service.control("reject", path="order", code=-1008, status=503, for_ms=60_000)


def wait_flat(service: ServiceProcess, limit_s: float = 40) -> None:
    """Nothing is held and nothing rests at the exchange, and nobody owns anything."""

    def look() -> bool | None:
        state = service.control("state")
        held = [symbol for symbol, quantity in state["positions"].items() if Decimal(quantity)]
        return (not held and not state["open_conditionals"] and not service.positions()) or None

    service.wait_for(look, limit_s, "flat, and no order left")


def closed_by_it(service: ServiceProcess, *positions: dict[str, Any]) -> None:
    """It is written down of each."""
    for each in positions:
        assert service.wait_state(each["id"], "CLOSED", limit_s=40)["close_reason"] == "kill_switch"


def assert_closed(service: ServiceProcess) -> None:
    """No entry by hand or by signal."""
    with pytest.raises(AdminError) as refusal:
        service.ctl("position.open", account="main", symbol="ETHUSDT", side="long", usd="300")
    assert refusal.value.code == REFUSED
    assert "kill switch" in refusal.value.message
    assert "kill switch" in str(service.ctl("status")["entries"]["why"])


def fired_for(service: ServiceProcess, cause: str) -> dict[str, Any] | None:
    """What it says of having fired for that."""
    return next((e for e in service.events(type="kill_switch_fired") if e["data"]["cause"] == cause), None)


def entries_of(service: ServiceProcess) -> int:
    return len(service.verdict().lives) + len(service.verdict().open_lives)


def day_begun(service: ServiceProcess) -> bool | None:
    """Whether it is written down, by both sources, where the account began: what a start goes on from."""
    with psycopg.connect(conninfo(service.state_dir)) as database:
        found = database.execute("SELECT value FROM monitoring.service_facts WHERE key = 'loss_watch'").fetchone()
    return (found is not None and len(found[0]["accounts"].get("main", {})) == len(Source)) or None


def wave(*symbols: str, exchange: str = "binanceusdm") -> list[dict[str, Any]]:
    return [signal_row(f"s-{uuid.uuid4().hex[:8]}", symbol, exchange=exchange) for symbol in symbols]


def fired_in_a_wave(service: ServiceProcess, signals: SignalSource, exchange: str) -> None:
    """Two positions and their moves, and a wave whose first entry is made: flat, nothing entered until the reset."""
    opened = service.open("BTCUSDT"), service.open("SOLUSDT", "short")
    service.move_mark("BTCUSDT", "2", steps=2, pause_s=0.2)
    signals.signals(*wave(*WAVE, exchange=exchange))
    service.wait_for(lambda: len(service.positions()) > 2 or None, 40, "the wave's first entry")
    service.move_mark("BTCUSDT", "1")
    service.move_mark("SOLUSDT", "-2")
    fire(service)
    wait_flat(service)
    assert_closed(service)
    closed_by_it(service, *opened)
    before = entries_of(service)
    signals.signals(*wave("ETHUSDT", exchange=exchange))
    refused = service.wait_event("signal_refused", 40, symbol="ETHUSDT")
    assert "kill switch" in str(refused["data"])
    assert service.wait_event("kill_switch_fired", 40, severity="critical")["data"]["reason"] == "test"
    assert service.wait_event("kill_switch_flat", 40)
    assert entries_of(service) == before
    service.ctl("kill_switch.reset")
    assert service.ctl("status")["kill_switch"] is None
    service.open("ETHUSDT")


def test_in_the_middle_of_a_wave_and_of_moves(service: ServiceProcess, signals: SignalSource) -> None:
    fired_in_a_wave(service, signals, "binanceusdm")
    judge(service)


@pytest.mark.timeout(300)
def test_on_bybit_in_the_middle_of_a_wave_and_then_by_itself_for_a_drawdown(
    tmp_path: Path, signals: SignalSource
) -> None:
    """Where stops stand on the positions, in hedge mode. The drawdown is one from a peak of before the kill -9."""
    sections: dict[str, dict[str, Any]] = {
        "accounts.main": {"exchange": "bybit", "hedge_mode": True},
        "signals": {"url": signals.url},
        "reconciler": {"interval_s": 3},
        "risk": {"kill_switch_drawdown_pct": Decimal("0.5")},
    }
    with running(tmp_path, sections) as service:
        service.wait_price("BTCUSDT")
        fired_in_a_wave(service, signals, "bybit")
        service.wait_for(lambda: day_begun(service), 30, "what the account had is written down")
        service.kill9()
        service.restart()
        held = [service.open(symbol, side, usd="4000") for symbol, side in (("BTCUSDT", "long"), ("SOLUSDT", "short"))]
        service.move_mark("BTCUSDT", "-1")
        service.move_mark("SOLUSDT", "1")
        fired = service.wait_for(lambda: fired_for(service, "drawdown"), 40, "the kill switch fires by itself")
        assert fired["data"]["by"] == "itself"
        limit = Decimal(fired["data"]["limit"])
        assert all(Decimal(fired["data"][f"lost_by_{source}"]) >= limit > 0 for source in ("book", "account"))
        wait_flat(service)
        assert_closed(service)
        closed_by_it(service, *held)
        judge(service)


def test_in_the_middle_of_a_roll_back(service: ServiceProcess) -> None:
    """The stop of an entry is refused, and for now what would close it: undone once, not entered again."""
    other = service.open("BTCUSDT")
    service.wait_price("SOLUSDT")
    service.disturb("stops and closes of SOLUSDT are refused", "SOLUSDT")
    stops = {"method": "POST", "path": "/fapi/v1/algoOrder", "symbol": "SOLUSDT", "code": -4045, "for_ms": 60_000}
    closes = {"method": "POST", "path": "/fapi/v1/order", "where": {"symbol": "SOLUSDT", "reduceOnly": "true"}}
    service.exchange("POST", "/control/reject", {**stops, "msg": "no"})
    service.exchange("POST", "/control/reject", {**closes, "code": -2019, "msg": "no", "for_ms": 60_000})
    undone = service.ctl("position.open", account="main", symbol="SOLUSDT", side="long", usd="500")
    service.wait_event("exit_refused", position=undone["id"])
    fire(service)
    service.wait_state(other["id"], "CLOSED")
    service.control("clear")
    wait_flat(service)
    assert_closed(service)
    service.wait_state(undone["id"], "ROLLED_BACK", "CLOSED")
    assert len(service.events(type="rollback_started", position=undone["id"])) == 1
    assert len([life for life in service.verdict().lives if life.owner == undone["id"]]) == 1
    judge(service)


def test_killed_between_firing_and_closing(service: ServiceProcess, signals: SignalSource) -> None:
    """The exchange refuses for a moment, so that nothing can be closed before the kill."""
    for symbol in ("BTCUSDT", "SOLUSDT"):
        service.open(symbol)
    signals.signals(*wave("DOGEUSDT"))
    overloaded(service)
    fire(service)
    service.kill9()
    service.control("clear")
    signals.signals(*wave("XRPUSDT"))
    service.restart()
    wait_flat(service)
    assert_closed(service)
    assert len(service.events(type="kill_switch_fired")) == 1
    service.wait_event("signal_refused", symbol="XRPUSDT")
    judge(service)


def test_started_without_the_database_it_is_in_force(service: ServiceProcess) -> None:
    service.open("BTCUSDT")
    passwords = service.state_dir / "pg" / "pgpass"
    service.kill_database()
    passwords.rename(passwords.with_suffix(".away"))
    overloaded(service)
    fire(service)
    service.kill9()
    service.control("clear")
    service.restart()
    assert "kill switch" in str(service.ctl("status")["entries"]["why"])
    wait_flat(service)
    service.kill9()
    service.restart()
    assert service.ctl("status")["kill_switch"][0]["in_force"]
    passwords.with_suffix(".away").rename(passwords)
    service.wait_event("database_restored", 30)
    service.wait_event("kill_switch_fired")
    service.kill9()
    service.restart()
    assert_closed(service)
    service.ctl("kill_switch.reset")
    service.wait_for(lambda: service.ctl("status")["entries"]["open"] or None, 20, "entries open")
    judge(service)


def test_close_all_leaves_strangers_alone_unless_told(service: ServiceProcess) -> None:
    service.open("BTCUSDT")
    released = service.open("LTCUSDT")
    service.ctl("position.release", id=released["id"])
    assert len(service.ctl("close_all")["closing"]) == 1
    service.wait_for(lambda: not service.positions() or None, 20, "ours are closed")
    time.sleep(4)  # a reading of the account and a half: nothing more is to happen
    assert Decimal(service.control("state")["positions"]["LTCUSDT"])
    assert service.ctl("close_all", all="true")["closing"] == []

    def gone() -> bool | None:
        return not Decimal(service.control("state")["positions"].get("LTCUSDT", 0)) or None

    service.wait_for(gone, 20, "the stranger's is closed")


def test_it_fires_by_itself_where_book_and_account_agree(tmp_path: Path) -> None:
    """Half of the limit is lost for good, the rest stands open; before the kill -9 in between as after it."""
    with running(tmp_path, {"risk": {"kill_switch_daily_loss_usd": 60}, "reconciler": {"interval_s": 3}}) as service:
        service.wait_for(lambda: day_begun(service), 30, "what the account had when the day began is written down")
        counted = service.wait_event("losses_counted_from")
        assert counted["data"]["account"] == "main", "nobody looked at midnight: it says from where it counts"
        first = service.open("BTCUSDT", usd="4000")
        service.move_mark("BTCUSDT", "-1")
        service.ctl("position.close", id=first["id"])
        service.wait_state(first["id"], "CLOSED")
        service.open("ETHUSDT", usd="4000")
        assert service.ctl("status")["kill_switch"] is None
        service.kill9()
        service.restart()
        service.move_mark("ETHUSDT", "-1")
        fired = service.wait_event("kill_switch_fired", 40, severity="critical")
        assert (fired["data"]["cause"], fired["data"]["by"]) == ("daily_loss", "itself")
        assert all(Decimal(fired["data"][f"lost_by_{source}"]) >= 60 for source in ("book", "account"))
        wait_flat(service)
        assert_closed(service)
        service.ctl("kill_switch.reset")
        service.open("ETHUSDT", usd="500")
        time.sleep(8)  # what was lost before the reset does not count again: nothing tells that nothing happens
        assert len(service.events(type="kill_switch_fired")) == 1
        judge(service)
