"""The endpoints of a running service: what INTERFACE says of them, over a real database and exchange."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from persistence.inspection import running_embedded
from tests.end_to_end.command import ROOT
from tests.end_to_end.service import Sections, ServiceProcess, running

KEY = "audit-key-planted-3141592653"
API_KEY = "api-key-planted-2718281828"
SECRET = "secret-planted-1414213562"
TOKEN = "token-planted-5772156649"
PLANTED = (KEY, API_KEY, SECRET, TOKEN)
POSITION = {
    "id", "account", "symbol", "side", "state", "quantity", "entry_price", "mark_price", "stop_price", "stop_order_id",
    "take_profits", "trailing", "unrealized_pnl", "liquidation_price", "unprotected_seconds", "correlation_id",
    "opened_at",
}  # fmt: skip
AUDITED = {
    "symbol", "alert_enabled", "alert_enabled_source", "buy_alert_enabled", "sell_alert_enabled", "trade_enabled",
    "min_trade_usd", "min_qty", "step_size", "cooldown_seconds", "last_alert_at", "symbol_normalized",
}  # fmt: skip


class WebService:
    """The service, and what it says over HTTP."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service

    @property
    def url(self) -> str:
        """As announced."""
        told: dict[str, Any] = json.loads((self.service.state_dir / "web.json").read_text())
        return str(told["url"])

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, headers=sent)  # noqa: S310 - our own service
        try:
            with urllib.request.urlopen(request, timeout=15) as reply:  # noqa: S310
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path: str, **headers: str) -> Any:
        status, text = self.get(path, **headers)
        assert status == 200, (path, status, text)
        return json.loads(text)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, by name and labels as they stand."""
        status, text = self.get("/metrics")
        assert status == 200, text
        rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebService]:
    overrides: Sections = {"web": {"enabled": True, "port": 0}, "chaos": {"enabled": True}}
    planted = {
        "DIAGNOSTICS_API_KEY": KEY,
        "HOLDFAST_ACCOUNTS__MAIN__API_KEY": API_KEY,
        "HOLDFAST_ACCOUNTS__MAIN__SECRET": SECRET,
        "HOLDFAST_SIGNALS__TOKEN": TOKEN,
        "DEBUG_TRADING": "1",
        "HOLDFAST_LOG__LEVEL": "DEBUG",
    }
    with running(tmp_path_factory.mktemp("web"), overrides, planted) as service:
        site = WebService(service)
        service.wait_for(lambda: _answers(site), 20, "the web server")
        yield site


def whole_lines(file: Path) -> list[str]:
    """The lines of a file that goes on being written."""
    return file.read_text().rpartition("\n")[0].splitlines()


def _answers(site: WebService) -> bool:
    try:
        return site.get("/live")[0] == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def opened(web: WebService) -> dict[str, Any]:
    """A position that trails."""
    position = web.service.open("BTCUSDT")
    top = web.service.move_mark("BTCUSDT", "2", steps=2, pause_s=0.4)
    web.service.wait_trailed(position["id"], top)
    web.service.wait_event("trailing_moved", position=position["id"])
    return position


def test_health_names_every_part(web: WebService, opened: dict[str, Any]) -> None:
    said = web.json("/health")
    assert said["status"] == "healthy", said["reasons"]
    assert said["database"]["state"] == said["websocket"]["state"] == said["exchanges"][0]["state"] == "healthy"
    assert said["positions"] == {"open": 1, "protected": 1, "unprotected": 0, "need_intervention": 0}
    assert said["trailing_stops"]["trailing"] == 1
    assert {"last_signal", "uptime_seconds"} <= said.keys()
    names = {each["name"] for each in said["components"]}
    assert {"database", "notifier", "market_feed/main", "account_feed/main", "exchange/main"} <= names


def test_positions_are_those_of_the_control_socket(web: WebService, opened: dict[str, Any]) -> None:
    shown = web.json("/api/positions")["positions"]
    assert [each["id"] for each in shown] == [opened["id"]]
    assert shown[0].keys() >= POSITION
    told = web.service.position(opened["id"])
    for name in ("symbol", "side", "state", "quantity", "entry_price", "stop_price", "correlation_id", "opened_at"):
        assert shown[0][name] == told[name], name
    assert web.json("/api/positions?symbol=BTC/USDT:USDT")["positions"][0]["id"] == opened["id"]
    assert web.json("/api/positions?symbol=ETHUSDT")["positions"] == []
    assert web.get("/api/positions?account=nobody")[0] == 400
    assert web.get("/api/positions?symbol=NOSUCH")[0] == 400


def test_events_can_be_filtered_and_followed(web: WebService, opened: dict[str, Any]) -> None:
    whole = web.json(f"/api/events?position={opened['id']}&limit=500")["events"]
    assert {"position_created", "entry_filled", "stop_loss_placed", "trailing_moved"} <= {e["type"] for e in whole}
    first = web.json("/api/events?since=0&limit=3")
    after = web.json(f"/api/events?since={first['next_since']}&limit=3")
    assert after["events"][0]["seq"] > first["events"][-1]["seq"]
    assert {e["type"] for e in web.json("/api/events?type=trailing_moved")["events"]} == {"trailing_moved"}
    assert web.get("/api/events?type=nonsense")[0] == 400


def test_a_drawing_has_the_stairs_of_the_stop(web: WebService, opened: dict[str, Any]) -> None:
    drawing = web.service.wait_for(
        lambda: len((found := web.json(f"/api/positions/{opened['id']}/drawing"))["points"]) > 2 and found, 20, "points"
    )
    stops = [price for _, price in drawing["stops"]]
    assert len(stops) >= 2
    assert stops == sorted(stops), "a long's stop only rises"
    assert Decimal(str(stops[-1])) == Decimal(web.service.position(opened["id"])["stop_price"])
    assert drawing["fills"]
    assert drawing["missing"] is None


def test_stats_and_trend(web: WebService, opened: dict[str, Any]) -> None:
    stats = web.json("/stats")
    assert (stats["mode"], stats["positions"]["open"]) == ("paper", 1)
    assert Decimal(stats["unprotected_seconds_today"]) > 0
    assert Decimal(stats["accounts"][0]["equity"]) > 0
    trend = web.json("/api/trend")
    assert len(trend["buckets"]) * trend["bucket_minutes"] == 24 * 60


def test_the_audit_is_that_of_the_control_socket_and_needs_its_key(web: WebService) -> None:
    path = "/api/diagnostics/alerts_audit"
    assert web.get(path)[0] == web.get(path, X_API_Key="wrong")[0] == 403
    audit = web.json(path, X_API_Key=KEY)
    assert {each["symbol"] for each in audit["symbols"]} >= {"BTCUSDT", "ETHUSDT"}
    told = {each["symbol"]: each for each in web.service.ctl("alerts_audit")["symbols"]}
    for row in audit["symbols"]:
        assert row.keys() >= AUDITED
        assert {name: row[name] for name in AUDITED} == {name: told[row["symbol"]][name] for name in AUDITED}
    assert web.json(f"{path}?symbol=BTC_USDT", X_API_Key=KEY)["symbols"][0]["symbol_normalized"] == "BTCUSDT"


def test_metrics_tell_what_happened(web: WebService, opened: dict[str, Any]) -> None:
    found = web.metrics()
    assert found["holdfast_health"] == 1
    assert found['holdfast_positions_open{account="main",side="long"}'] == 1
    assert found['holdfast_orders_total{account="main",kind="entry"}'] == 1
    assert found['holdfast_orders_total{account="main",kind="stop"}'] >= 2
    assert found['holdfast_order_round_trip_seconds_count{account="main",kind="entry"}'] == 1
    assert found["holdfast_unprotected_duration_seconds_count"] == 1
    assert 0 < found["holdfast_unprotected_duration_seconds_sum"] < 3
    assert found['holdfast_events_total{severity="info",type="trailing_moved"}'] >= 1
    assert found['holdfast_actor_running{actor="position"}'] == 1
    assert found['holdfast_equity_usd{account="main"}'] > 0
    assert found['holdfast_trailing_stops{account="main",state="trailing"}'] == 1


@pytest.mark.parametrize("how", ["exception", "hang"])
def test_a_dead_or_hung_web_actor_is_replaced_and_serves_again(web: WebService, how: str) -> None:
    before = web.url
    web.service.ctl("actors.kill", name="web", how=how)
    web.service.wait_for(lambda: _answers(web) and web.url != before, 20, "a new server")


def test_another_host_is_turned_away(web: WebService) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(web.url.rsplit(":", 1)[1]), timeout=10)
    connection.request("GET", "/api/positions", headers={"Host": "evil.example"})
    assert connection.getresponse().status == 421
    connection.close()


def test_no_planted_key_stands_in_any_sink(web: WebService, opened: dict[str, Any]) -> None:
    """Somebody's text holds a key, as errors of libraries do: it is hidden wherever text goes."""
    with pytest.raises(Exception, match=r"\*\*\*"):
        web.service.ctl("entries.pause", account=f"x{API_KEY}")
    web.service.ctl("entries.pause", reason=f"the venue said: bad {SECRET} and {TOKEN}")
    web.service.wait_event("entries_paused")
    web.service.ctl("entries.resume")
    paths = ["/health", "/stats", "/metrics", "/api/positions?closed=5", "/api/events?limit=1000", "/openapi.json", "/"]
    sinks = {path: web.get(path)[1] for path in paths}
    sinks["audit"] = web.get("/api/diagnostics/alerts_audit", X_API_Key=KEY)[1]
    sinks["wrong"] = web.get(f"/api/events?type={KEY}")[1] + web.get(f"/api/events?limit={SECRET}")[1]
    sinks["ctl events"] = json.dumps(web.service.events())
    sinks["ctl status"] = json.dumps(web.service.ctl("status"))
    sinks["terminal"] = web.service.output.read_text()
    for file in (web.service.state_dir / "logs").iterdir():
        sinks[file.name] = file.read_text()
    for file in (web.service.state_dir / "spool").rglob("*"):
        if file.is_file():
            sinks[f"spool {file.name}"] = file.read_text(errors="replace")
    sinks["local book"] = (web.service.state_dir / "local.json").read_text()
    conninfo = running_embedded(web.service.state_dir / "pg")
    assert conninfo is not None
    with psycopg.connect(conninfo) as conn:
        for table in ("monitoring.events", "monitoring.alerts"):
            sinks[table] = str(conn.execute(f"SELECT * FROM {table}").fetchall())
    assert "the venue said: bad *** and ***" in sinks["monitoring.events"]
    assert "the venue said: bad *** and ***" in sinks["/api/events?limit=1000"]
    found = {name: key for name, text in sinks.items() for key in PLANTED if key in text}
    assert found == {}


@pytest.mark.parametrize(
    ("tag", "keys"),
    [
        ("RUN_START", "run_id pid host cycle"),
        ("RUN_END", "cycle"),
        ("GUARD cooldown_passed", "symbol"),
        ("ORDER_PLACED", "side symbol order_id"),
        ("ORDER_FILLED", "side symbol order_id"),
        ("SLTP_PLACED", "symbol order_id sl_order_id"),
        ("[UNPROTECTED_POSITION]", "symbol"),
        ("[ALERT_CONFIG]", "symbol normalized alert_enabled source"),
        ("[STATUS_RESOLUTION]", "order status cumulative_qty resolved"),
        ("ACTOR_CRASHED", "name epoch error"),
        ("ACTOR_RESTARTED", "name epoch restarts"),
    ],
)
def test_the_log_has_the_lines_of_interface(
    web: WebService, opened: dict[str, Any], tag: str, keys: str
) -> None:
    """In the file, one JSON object a line. Rarer ones: test_signals_answered, test_incident, test_operator."""
    web.service.ctl("symbol.get", symbol="BTCUSDT")
    if tag.startswith("ACTOR"):
        web.service.ctl("actors.kill", name="reconciler/main", how="exception")
        web.service.wait_event("actor_restarted")
    file = web.service.state_dir / "logs" / "holdfast.jsonl"
    said = [json.loads(line)["record"]["message"] for line in whole_lines(file)]
    lines = [line for line in said if line.startswith(f"{tag} ")]
    assert lines, f"no {tag} in the log"
    for key in keys.split():
        assert f" {key}=" in lines[0], (key, lines[0])


def test_debug_trading_repeats_the_trail(web: WebService, opened: dict[str, Any]) -> None:
    lines = [line for line in web.service.output.read_text().splitlines() if line.startswith("[DEBUG_TRADING] ")]
    tags = {line.split()[1] for line in lines}
    assert {"POSITION_CREATED", "ORDER_PLACED", "ORDER_FILLED", "SLTP_PLACED", "TRAILING_MOVED"} <= tags


def test_every_query_of_the_monitoring_kit_names_a_metric_that_exists(web: WebService, opened: dict[str, Any]) -> None:
    names = {re.split(r"[{ ]", name)[0] for name in web.metrics()}
    asked = set()
    for file in (ROOT / "deploy").rglob("*"):
        if file.suffix in (".json", ".yaml"):
            asked |= set(re.findall(r"\bholdfast_[a-z_]+\b", file.read_text()))
    assert len(asked) > 20
    seldom = {"holdfast_refusals_total", "holdfast_dead_letters_total"}  # told of when there is a first one
    missing = {name for name in asked - names - seldom if f"{name}_bucket" not in names}  # named by its base in a text
    assert missing == set()


def test_the_alert_rules_are_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool is installed: apt-get install prometheus")
    rules = ROOT / "deploy" / "prometheus" / "holdfast-rules.yaml"
    checked = subprocess.run([promtool, "check", "rules", rules], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.chaos
def test_without_its_database_it_is_alive_says_why_and_shows_what_it_protects(tmp_path: Path) -> None:
    with running(tmp_path, {"web": {"enabled": True, "port": 0}}) as service:
        web = WebService(service)
        position = service.open("BTCUSDT")
        web.json("/health")
        passwords = service.state_dir / "pg" / "pgpass"
        passwords.rename(passwords.with_suffix(".away"))
        service.kill_database()

        def sick() -> Any:
            status, text = web.get("/health")
            return status == 503 and json.loads(text)

        said = service.wait_for(sick, 20, "503")
        assert said["status"] == "unhealthy"
        assert any("database" in reason for reason in said["reasons"])
        assert web.get("/live")[0] == 200
        assert [each["id"] for each in web.json("/api/positions")["positions"]] == [position["id"]]
        assert web.get("/metrics")[0] == 200
        status, text = web.get("/api/events")
        assert (status, "database" in json.loads(text)["error"]) == (503, True)
        passwords.with_suffix(".away").rename(passwords)
        service.wait_for(lambda: web.get("/health")[0] == 200, 40, "healthy again")
