"""What INTERFACE says of the control socket, held against a running service: names, types, errors, exit codes.

The service stands on a database of its own that can be taken away: positions must not need it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors import admin
from adapters.admin import methods
from adapters.admin.client import NoService
from adapters.admin.protocol import INVALID_PARAMS, METHOD_NOT_FOUND, NOT_NOW, REFUSED, UNKNOWN_ID, AdminError
from domain.catalogue import EventType
from persistence.embedded import EmbeddedPostgres
from tests.actors.desk.ground import Ground
from tests.end_to_end.command import run_main
from tests.end_to_end.service import ServiceProcess, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
MONEY = re.compile(r"-?\d+(\.\d+)?")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# INTERFACE 'Admin socket', as far as issue 1 builds it. A `?` may be null.
POSITION = {
    "id": int, "account": str, "symbol": str, "side": ("long", "short"), "state": str.isupper, "quantity": MONEY,
    "entry_price": MONEY, "mark_price": MONEY, "stop_price": MONEY, "stop_order_id": str, "take_profits": list,
    "trailing": {"state": str.isupper, "activation_price": MONEY, "extreme_price?": MONEY, "updates": int},
    "unrealized_pnl": MONEY, "liquidation_price?": MONEY, "unprotected_seconds": MONEY, "correlation_id": str,
    "opened_at": MOMENT,
}  # fmt: skip
STATUS = {
    "mode": ("paper",), "version": str, "uptime_s": int, "accounts": list, "components": list, "positions": int,
    "unprotected_seconds_today": MONEY, "entries": {"open": bool, "why?": dict},
}  # fmt: skip
ACTOR = {
    "name": str, "state": str.isupper, "epoch": int, "restarts": int, "last_error?": str, "mailbox": int,
    "heartbeat_age_s": (float, int),
}  # fmt: skip
EVENT = {
    "seq": int, "ts": MOMENT, "type": str, "severity": str, "position_id?": int, "symbol?": str,
    "correlation_id?": str, "data": dict,
}  # fmt: skip


@pytest.fixture(scope="module")
def ground(server: EmbeddedPostgres) -> Iterator[Ground]:
    ground = Ground(server, "contract")
    yield ground
    ground.drop()


@pytest.fixture(scope="module")
def service(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service in a quiet market, on that database."""
    settings = {"entries": {"max_exposure_usd": 20_000}, "reconciler": {"interval_s": 2, "alert_unrepaired_s": 1}}
    environ = {"HOLDFAST_DATABASE__URL": ground.url}
    with running(tmp_path_factory.mktemp("operator"), settings, environ) as service:
        yield service


@pytest.fixture(scope="module")
def opened(service: ServiceProcess) -> dict[str, Any]:
    """A position that stays."""
    return service.open("BTCUSDT")


def misfits(shown: Any, wanted: dict[str, Any], path: str = "") -> list[str]:
    """Where `shown` is not as the interface says."""
    found = []
    for name, kind in wanted.items():
        key, optional = name.removesuffix("?"), name.endswith("?")
        where, value = f"{path}{key}", shown.get(key)
        if key not in shown:
            found.append(f"{where}: missing")
        elif value is None:
            found += [] if optional else [f"{where}: null"]
        elif not _fits(value, kind, f"{where}.", found):
            found.append(f"{where}: {value!r}")
    return found


def _fits(value: Any, kind: Any, path: str, found: list[str]) -> bool:
    if isinstance(kind, dict):
        found += misfits(value, kind, path)
        return True
    if isinstance(kind, re.Pattern):
        return isinstance(value, str) and kind.fullmatch(value) is not None
    if isinstance(kind, tuple):
        return value in kind or any(isinstance(k, type) and isinstance(value, k) for k in kind)
    return isinstance(value, kind) if isinstance(kind, type) else bool(kind(value))


def refusal(service: ServiceProcess, method: str, **params: object) -> AdminError:
    with pytest.raises(AdminError) as refused:
        service.ctl(method, **params)
    return refused.value


def test_help_and_service_know_the_same_methods() -> None:
    assert {method.name for method in methods.METHODS} == set(admin.METHODS)


def test_status(service: ServiceProcess, opened: dict[str, Any]) -> None:
    status = service.ctl("status")
    assert misfits(status, STATUS) == []
    named = {component["name"] for component in status["components"]}
    assert named >= {"database", "notifier", "market_feed/main", "account_feed/main"}
    assert all(c["state"] in ("healthy", "degraded", "down") for c in status["components"])


def test_positions(service: ServiceProcess, opened: dict[str, Any]) -> None:
    shown = service.ctl("positions")
    assert MOMENT.fullmatch(shown["as_of"])
    assert [misfits(position, POSITION) for position in shown["positions"]] == [[]]
    assert service.ctl("positions", account="main", symbol="btc/usdt")["positions"][0]["id"] == opened["id"]
    assert service.ctl("positions", symbol="ETHUSDT")["positions"] == []
    assert service.ctl("positions", all="true")["positions"][-1]["id"] == opened["id"]


def test_position_methods_answer_with_the_position(service: ServiceProcess, opened: dict[str, Any]) -> None:
    number = opened["id"]
    shown = service.ctl("position.show", id=number)
    assert misfits(shown, POSITION) == []
    assert {order["kind"] for order in shown["orders"]} == {"entry", "stop"}
    nearer = service.on_tick("BTCUSDT", Decimal(shown["stop_price"]) * Decimal("1.001"))
    assert service.ctl("position.set_stop", id=number, price=str(nearer))["id"] == number
    service.wait_position(number, lambda p: Decimal(p["stop_price"]) == nearer, 20, "the operator's stop")
    trailing = service.ctl("position.set_trailing", id=number, callback_pct="0.7", enabled="true")
    assert misfits(trailing, {"id": int, "trailing": dict}) == []


def test_open_and_close_answer_with_the_position(service: ServiceProcess) -> None:
    service.wait_price("ETHUSDT")
    made = service.ctl("position.open", symbol="ETHUSDT", side="short", usd="300", stop_pct="3")
    assert misfits(made, {"id": int, "state": str.isupper, "symbol": ("ETHUSDT",), "side": ("short",)}) == []
    service.wait_state(made["id"], "ACTIVE")
    assert service.ctl("position.close", id=made["id"], fraction="1")["id"] == made["id"]
    service.wait_state(made["id"], "CLOSED")
    over = refusal(service, "position.close", id=made["id"])
    assert (over.code, over.data) == (REFUSED, {"id": made["id"], "state": "CLOSED"})


def test_release_leaves_stop_and_position_to_the_human(service: ServiceProcess) -> None:
    """Neither is the stop taken away as an orphan nor the position adopted again (LAWS S1, S9)."""
    before = service.control("state")["open_conditionals"]
    made = service.open("LTCUSDT")
    cycle = service.ctl("reconcile")["accounts"][0]["cycle"]
    assert service.ctl("position.release", id=made["id"])["state"] == "RELEASED"
    service.wait_for(
        lambda: service.ctl("reconcile")["accounts"][0]["cycle"] > cycle + 3 or None, 20, "three readings more"
    )
    assert service.control("state")["positions"]["LTCUSDT"] == made["quantity"].rstrip("0").rstrip(".")
    assert service.ctl("positions", symbol="LTCUSDT")["positions"] == []
    assert service.control("state")["open_conditionals"] == before + 1
    refused = refusal(service, "position.open", symbol="LTCUSDT", side="long", usd="300")
    assert (refused.code, (refused.data or {})["code"]) == (REFUSED, "untracked_position")
    _raises_no_alarm(service, "LTCUSDT")


def _raises_no_alarm(service: ServiceProcess, symbol: str) -> None:
    """That it has no owner is told, but is nothing to put right: an alarm that stands for good hides the next one."""

    def believed() -> str | None:
        found = service.events(type="reconcile_finding", symbol=symbol)
        return next((event["ts"] for event in found if event["data"]["seen"] == "2/2"), None)

    at = datetime.fromisoformat(service.wait_for(believed, 20, "the finding to be believed"))
    service.wait_for(
        lambda: [
            event
            for event in service.events(type="reconcile_finished")
            if datetime.fromisoformat(event["ts"]) > at + timedelta(seconds=2)
        ],
        20,
        "a reading after which it would be one",
    )
    assert [e["data"] for e in service.events(type="reconcile_alarm") if symbol in e["data"]["symbols"]] == []


def test_actors_events_signals(service: ServiceProcess, opened: dict[str, Any]) -> None:
    shown = service.ctl("actors")["actors"]
    assert [misfits(actor, ACTOR) for actor in shown] == [[]] * len(shown)
    assert {"journal", "entry_desk", "gateway/main", f"position/{opened['id']}"} <= {a["name"] for a in shown}
    page = service.ctl("events", position=opened["id"])
    assert [misfits(event, EVENT) for event in page["events"]] == [[]] * len(page["events"])
    assert {event["correlation_id"] for event in page["events"]} == {opened["correlation_id"]}
    assert page["next_since"] == page["events"][-1]["seq"]
    two = service.ctl("events", since=0, limit=2)
    assert [e["seq"] for e in two["events"]] == sorted(e["seq"] for e in two["events"])
    assert service.ctl("events", since=two["next_since"], limit=1)["events"][0]["seq"] > two["next_since"]
    assert service.ctl("events", type=EventType.POSITION_CREATED.value, severity="INFO")["events"]
    assert service.ctl("signals") == {"signals": []}


def test_reconcile_tells_findings_of_a_reading_made_now(service: ServiceProcess) -> None:
    before = service.ctl("reconcile")["accounts"][0]
    after = service.ctl("reconcile", account="main")["accounts"][0]
    assert after["cycle"] > before["cycle"]
    assert misfits(after, {"account": ("main",), "positions": int, "findings": list, "error?": str}) == []


def test_pause_and_resume_tell_what_is_open(service: ServiceProcess) -> None:
    assert service.ctl("entries.pause", reason="lunch") == {"main": {"open": False, "why": "lunch"}}
    refused = refusal(service, "position.open", symbol="XRPUSDT", side="long", usd="300")
    assert (refused.code, refused.data) == (REFUSED, {"code": "entries_closed", "reason": "lunch"})
    assert service.ctl("entries.resume", account="main", reason="back") == {"main": {"open": False, "why": "lunch"}}
    assert service.ctl("entries.resume") == {"main": {"open": True, "why": None}}


@pytest.mark.parametrize(
    ("method", "params", "parameter", "rule"),
    [
        ("positions", {"account": "nobody"}, "account", "must be one of main"),
        ("positions", {"all": "perhaps"}, "all", "must be true or false"),
        ("positions", {"colour": "red"}, "colour", "is not a parameter of this method"),
        ("position.show", {}, "id", "is required"),
        ("position.show", {"id": "x"}, "id", "must be a number"),
        ("position.close", {"id": 1, "fraction": "1.5"}, "fraction", "must be at most 1"),
        ("position.set_stop", {"id": 1, "price": "-1"}, "price", "must be greater than 0"),
        ("position.set_trailing", {"id": 1, "callback_pct": 100}, "callback_pct", "must be less than 100 per cent"),
        ("position.open", {"side": "long"}, "symbol", "is required"),
        ("position.open", {"symbol": "BTCUSDT", "side": "up"}, "side", "must be one of long, short"),
        ("position.open", {"symbol": "X", "side": "long", "usd": 1, "quantity": 1}, "usd", "not both"),
        ("events", {"limit": 0}, "limit", "must be a whole number from 1 to 1000"),
        ("events", {"type": "nonsense"}, "type", "is no event type"),
        ("events", {"severity": "loud"}, "severity", "must be one of"),
        ("signal.show", {}, "id", "is required"),
        ("reconcile", {"account": "nobody"}, "account", "must be one of main"),
        ("entries.pause", {"account": "nobody"}, "account", "must be one of main"),
        ("actors.kill", {"name": "x", "how": "gently"}, "how", "must be one of exception, exit, hang"),
        ("status", {"x": 1}, "x", "this method takes none"),
    ],
)
def test_bad_parameters_are_named_with_value_and_rule(
    service: ServiceProcess, method: str, params: dict[str, object], parameter: str, rule: str
) -> None:
    refused = refusal(service, method, **params)
    assert refused.code == INVALID_PARAMS
    assert (refused.data or {})["parameter"] == parameter
    assert rule in refused.message
    if parameter in params:
        assert str(params[parameter]) in refused.message


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("position.show", {"id": 12345}),
        ("position.close", {"id": 12345}),
        ("position.set_stop", {"id": 12345, "price": 1}),
        ("position.set_trailing", {"id": 12345}),
        ("position.release", {"id": 12345}),
        ("signal.show", {"id": "12345"}),
    ],
)
def test_unknown_ids(service: ServiceProcess, method: str, params: dict[str, object]) -> None:
    refused = refusal(service, method, **params)
    assert refused.code == UNKNOWN_ID
    assert "12345" in refused.message


def test_refusals_carry_their_figures(service: ServiceProcess, opened: dict[str, Any]) -> None:
    held = refusal(service, "position.open", symbol="BTCUSDT", side="short", usd="300")
    assert (held.code, held.data) == (REFUSED, {"code": "opposite_position", "symbol": "BTCUSDT", "side": "long"})
    small = refusal(service, "position.open", symbol="SOLUSDT", side="long", usd="0.01")
    assert small.code == REFUSED
    assert {"code", "min_notional", "needed_usd", "allowed_usd"} <= set(small.data or {})
    wrong = refusal(service, "position.set_stop", id=opened["id"], price="99999999")
    assert (wrong.code, "losing side" in wrong.message) == (REFUSED, True)
    assert refusal(service, "actors.kill", name="journal").code == REFUSED
    assert refusal(service, "position.explode").code == METHOD_NOT_FOUND


def test_exit_codes_of_ctl(service: ServiceProcess, opened: dict[str, Any], tmp_path: Path) -> None:
    done = service.main("ctl", "positions")
    assert (done.returncode, str(opened["id"]) in done.stdout) == (0, True)
    assert service.main("ctl", "position.show", "12345").returncode == 1
    usage = service.main("ctl", "position.close", str(opened["id"]), "fraction=2")
    assert (usage.returncode, "fraction = 2: must be at most 1" in usage.stderr) == (2, True)
    nowhere = tmp_path / "settings.toml"
    nowhere.write_text(f'[service]\nstate_dir = "{tmp_path}"\n')
    assert run_main("ctl", "status", "--settings", str(nowhere)).returncode == 3


def test_positions_do_not_need_the_database(service: ServiceProcess, ground: Ground, opened: dict[str, Any]) -> None:
    made = service.open("SOLUSDT", usd="300")
    ground.away()
    try:
        service.wait_for(lambda: "down" in str(_component(service, "database")) or None, 20, "the loss to be noticed")
        status = service.ctl("status")
        assert status["unprotected_seconds_today"] is None
        assert status["entries"]["open"] is False
        assert "database" in str(status["entries"]["why"])
        shown = {position["id"]: position for position in service.ctl("positions")["positions"]}
        assert misfits(shown[opened["id"]], POSITION) == []
        alone = service.ctl("position.show", id=opened["id"])
        assert (alone["orders"], "cannot be reached" in alone["orders_missing"]) == (None, True)
        assert service.ctl("actors")["actors"]
        for method, params in (
            ("events", {}), ("signals", {}), ("signal.show", {"id": "x"}), ("positions", {"all": True}),
            ("position.show", {"id": 12345}),
        ):  # fmt: skip
            refused = refusal(service, method, **params)
            assert (refused.code, "the database cannot be reached" in refused.message) == (NOT_NOW, True)
        closed = refusal(service, "position.open", symbol="XRPUSDT", side="long", usd="300")
        assert (closed.code, (closed.data or {})["code"]) == (REFUSED, "entries_closed")
        nearer = service.on_tick("BTCUSDT", Decimal(shown[opened["id"]]["stop_price"]) * Decimal("1.001"))
        service.ctl("position.set_stop", id=opened["id"], price=str(nearer))
        _stands(service, opened["id"], nearer)
        service.ctl("position.close", id=made["id"])
        service.wait_for(
            lambda: made["id"] not in {p["id"] for p in service.ctl("positions")["positions"]} or None, 20, "the close"
        )
    finally:
        ground.back()
    service.wait_for(lambda: service.ctl("status")["entries"]["open"] or None, 20, "entries to open again")
    assert service.position(made["id"])["state"] == "CLOSED"
    told = [event["type"] for event in service.ctl("events", position=made["id"])["events"]]
    assert told[-1] == "position_closed"
    assert "operator_command" in told


def _component(service: ServiceProcess, name: str) -> dict[str, Any] | None:
    return next((c for c in service.ctl("status")["components"] if c["name"] == name), None)


def _stands(service: ServiceProcess, position_id: int, price: Decimal) -> None:
    deadline = time.monotonic() + 10
    while True:
        shown = {p["id"]: p for p in service.ctl("positions")["positions"]}[position_id]
        if Decimal(shown["stop_price"]) == price:
            return
        assert time.monotonic() < deadline, f"the stop stands at {shown['stop_price']}, not at {price}"
        time.sleep(0.05)


def test_a_socket_that_is_removed_under_the_service_is_opened_anew(service: ServiceProcess) -> None:
    def answered() -> object:
        try:
            return service.ctl("status")
        except NoService:
            return None

    (service.state_dir / "admin.sock").unlink()
    service.wait_for(answered, 20, "the control socket to be back")
    service.wait_for(
        lambda: [e for e in service.events(type="actor_crashed") if e["data"]["name"] == "admin"], 20, "it to be told"
    )


def test_an_operator_right_after_the_start_waits_a_moment_instead_of_being_refused(
    tmp_path_factory: pytest.TempPathFactory, server: EmbeddedPostgres
) -> None:
    ground = Ground(server, "early")
    with running(tmp_path_factory.mktemp("early"), {}, {"HOLDFAST_DATABASE__URL": ground.url}) as service:
        refused = refusal(service, "position.open", symbol="BTCUSDT", side="long", usd="0.001")
        assert refused.code == REFUSED
        assert (refused.data or {})["code"] in ("no_mark_price", "below_minimum")
    ground.drop()
