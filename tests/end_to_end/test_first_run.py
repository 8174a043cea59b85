"""The service as somebody meets it: started fresh on its demo signals, looked at, stopped by Ctrl-C, started again."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest

from tests.end_to_end.command import run_main
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running

FIRST_POSITION_LIMIT_S = 40
FIELDS = {
    "id", "account", "symbol", "side", "state", "quantity", "entry_price", "mark_price", "stop_price", "stop_order_id",
    "take_profits", "trailing", "unrealized_pnl", "liquidation_price", "unprotected_seconds", "correlation_id",
    "opened_at",
}  # fmt: skip
MONEY = ("quantity", "entry_price", "mark_price", "stop_price", "unrealized_pnl", "unprotected_seconds")


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[socket.socket]:
    """The end of NOTIFY_SOCKET that systemd would read."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        listening.bind(str(tmp_path_factory.mktemp("systemd") / "notify"))
        yield listening


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, systemd: socket.socket) -> Iterator[ServiceProcess]:
    lively = {"paper": {"demo_signals": True, "demo_signal_interval_s": 2, "volatility": Decimal(1)}}
    told = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "30000000"}
    with running(tmp_path_factory.mktemp("demo"), lively, told) as service:
        yield service


def test_systemd_hears_that_it_is_ready_and_then_that_it_lives(demo: ServiceProcess, systemd: socket.socket) -> None:
    while not (said := systemd.recv(1000)).startswith(b"READY=1\n"):
        assert said.startswith(b"WATCHDOG=1"), "before it is ready it only asks for patience"
    assert said.startswith(b"READY=1\nSTATUS=mode paper")
    assert systemd.recv(1000) == b"WATCHDOG=1"


def protected(service: ServiceProcess) -> list[dict[str, object]]:
    return [p for p in service.positions() if p["state"] == "ACTIVE" and p["stop_price"]]


def test_first_position_is_protected_within_the_limit(demo: ServiceProcess) -> None:
    demo.wait_for(lambda: protected(demo), FIRST_POSITION_LIMIT_S, "a protected position")
    judge(demo)


def test_positions_show_every_field(demo: ServiceProcess) -> None:
    position = demo.wait_for(lambda: protected(demo), FIRST_POSITION_LIMIT_S, "a protected position")[0]
    shown = demo.ctl("positions")
    assert datetime.fromisoformat(shown["as_of"]).utcoffset() is not None
    for position in shown["positions"]:
        assert position.keys() >= FIELDS
        assert {"state", "activation_price", "extreme_price", "updates"} <= position["trailing"].keys()
        assert position["side"] in ("long", "short")
        assert position["state"] == position["state"].upper()
        assert datetime.fromisoformat(position["opened_at"]).utcoffset() is not None
    for field in MONEY:
        assert isinstance(position[field], str), field
        assert Decimal(str(position[field])).is_finite()
    entry, stop = Decimal(str(position["entry_price"])), Decimal(str(position["stop_price"]))
    assert isinstance(position["id"], int)
    assert stop != entry


def test_ctl_prints_a_table_and_with_json_the_raw_result(demo: ServiceProcess) -> None:
    position = demo.wait_for(lambda: protected(demo), FIRST_POSITION_LIMIT_S, "a protected position")[0]
    table = demo.main("ctl", "positions")
    assert table.returncode == 0, table.stderr
    assert str(position["symbol"]) in table.stdout
    raw = demo.main("ctl", "positions", "--json")
    assert {p["id"] for p in json.loads(raw.stdout)["positions"]} >= {position["id"]}


def test_events_tell_a_whole_life_under_one_correlation_id(demo: ServiceProcess) -> None:
    chosen = demo.wait_for(lambda: protected(demo), FIRST_POSITION_LIMIT_S, "a protected position")[0]
    demo.ctl("position.close", id=chosen["id"])
    demo.wait_state(int(str(chosen["id"])), "CLOSED")
    demo.wait_event("position_closed", position=chosen["id"])
    events = demo.events(position=chosen["id"])
    assert {e["correlation_id"] for e in events} == {chosen["correlation_id"]}
    types = [e["type"] for e in events]
    story = ["position_created", "entry_placed", "entry_filled", "stop_loss_placed", "exit_placed", "position_closed"]
    places = [types.index(name) for name in story]
    assert places == sorted(places), types
    by_correlation = demo.events(correlation=chosen["correlation_id"])
    assert {e["seq"] for e in events} <= {e["seq"] for e in by_correlation}
    assert "signal_received" in {e["type"] for e in by_correlation}
    shown = demo.main("ctl", "events", f"position={chosen['id']}")
    assert shown.returncode == 0, shown.stderr
    assert "position_closed" in shown.stdout
    judge(demo)


def test_status_and_actors(demo: ServiceProcess) -> None:
    status = demo.ctl("status")
    keys = {
        "mode",
        "version",
        "uptime_s",
        "accounts",
        "components",
        "positions",
        "unprotected_seconds_today",
        "entries",
    }
    assert keys <= status.keys()
    assert status["mode"] == "paper"
    actors = demo.ctl("actors")["actors"]
    assert len(actors) > 5
    assert all({"name", "state", "epoch", "restarts", "mailbox"} <= actor.keys() for actor in actors)


def test_ctrl_c_says_what_stays_and_a_second_run_picks_it_up(demo: ServiceProcess) -> None:
    before = {
        p["id"]: p for p in demo.wait_for(lambda: protected(demo), FIRST_POSITION_LIMIT_S, "a protected position")
    }
    assert demo.interrupt() == 0
    said = demo.output.read_text()
    assert re.search(r"\d+ positions?, \d+ stops? remains? on the exchange", said), demo.log_tail()
    assert "Traceback" not in said
    gone = run_main("ctl", "status", "--settings", str(demo.settings))
    assert gone.returncode == 3, gone.stdout
    assert "no service" in gone.stderr.lower()
    demo.restart()
    for position_id, position in before.items():
        again = demo.wait_state(int(str(position_id)), "ACTIVE", "CLOSING", "CLOSED", limit_s=30)
        if again["state"] == "ACTIVE":
            better = 1 if again["side"] == "long" else -1
            assert (Decimal(again["stop_price"]) - Decimal(str(position["stop_price"]))) * better >= 0
    judge(demo)
