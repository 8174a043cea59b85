"""The incident drill: the exchange refuses stops for one symbol for a while. Telegram hears of it within 5 s, whoever
looks is told, nothing is said twice, a killed service does not say it again, and everybody is told when it is over.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from persistence.inspection import running_embedded
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running
from tests.unit.channels.servers import CHAT, TOKEN, Answer, Site, Slack, Telegram, serving, slack, telegram

__all__ = ["slack", "telegram"]

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

SICK, WELL = "SOLUSDT", "ETHUSDT"
HEARD_WITHIN_S = 5.0
STOP = {"method": "POST", "path": "/fapi/v1/algoOrder", "symbol": SICK}
REFUSED = "STOPS_REFUSED the exchange of account main refuses stops for SOLUSDT"


@pytest.fixture
def service(tmp_path: Path, telegram: Telegram, slack: Slack) -> Iterator[ServiceProcess]:
    environ = {
        "HOLDFAST_NOTIFIER__URLS__PHONE": f"tgram://{TOKEN}/{CHAT}",
        "HOLDFAST_NOTIFIER__URLS__DESK": f"slack+{slack.url}/services/T00/B00/secretpart",
    }
    settings: dict[str, dict[str, Any]] = {
        "notifier": {
            "telegram_url": telegram.url,
            "group_window_s": 2,
            "routes": [{"channel": "desk", "severity": "critical"}],
        },
        "web": {"enabled": True, "port": 0},
    }
    with running(tmp_path, settings, environ) as service:
        yield service


def heard(service: ServiceProcess, telegram: Telegram, words: str, limit_s: float = HEARD_WITHIN_S) -> float:
    """How long Telegram took to hear of it."""
    began = time.monotonic()
    service.wait_for(lambda: any(words in text for text in telegram.texts()), limit_s, f"Telegram to hear {words!r}")
    return time.monotonic() - began


def standing(service: ServiceProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.ctl("alerts")["standing"]
    return found


def sent_at(service: ServiceProcess, alert_id: str) -> str | None:
    """When it reached every channel that it was for, as the database has it."""
    rows = service.ctl("alerts", limit=200)["latest"]
    return next((row["sent_at"] for row in rows if row["id"] == alert_id), None)


def page_says(service: ServiceProcess) -> list[str]:
    """What `/health` finds wrong with the alarms."""
    url = json.loads((service.state_dir / "web.json").read_text())["url"]
    answer = httpx.get(f"{url}/health", timeout=10)
    return [reason for reason in answer.json()["reasons"] if reason.startswith("alarms")]


def attempt(service: ServiceProcess) -> int:
    """A position that gets no stop and is closed for it."""
    opened = service.ctl("position.open", account="main", symbol=SICK, side="long", usd="500")
    service.wait_state(opened["id"], "ROLLED_BACK", "CLOSED")
    return int(opened["id"])


def test_an_incident_is_told_shown_and_called_over(service: ServiceProcess, telegram: Telegram, slack: Slack) -> None:
    service.wait_price(SICK)
    service.wait_price(WELL)
    service.open(WELL)
    fault = service.exchange("POST", "/control/reject", {**STOP, "code": -4045, "msg": "no", "for_ms": 120_000})
    began = time.monotonic()
    opened = service.ctl("position.open", account="main", symbol=SICK, side="long", usd="500")
    heard(service, telegram, REFUSED, HEARD_WITHIN_S - (time.monotonic() - began))
    service.wait_for(lambda: any(REFUSED in text for text in slack.texts()), 5, "Slack to hear it too")
    service.wait_state(opened["id"], "ROLLED_BACK", "CLOSED")

    (alert,) = [each for each in standing(service) if each["type"] == "stops_refused"]
    assert (alert["severity"], alert["symbol"]) == ("critical", SICK)
    parts = {part["name"]: part for part in service.ctl("status")["components"]}
    assert "refuses stops for SOLUSDT" in parts["alarms"]["reason"]
    service.wait_for(lambda: "refuses stops for SOLUSDT" in str(page_says(service)), 10, "the page to say so")
    story = [event["type"] for event in service.events(symbol=SICK)]
    assert {"stop_loss_refused", "rollback_started", "alert_raised"} <= set(story)
    service.ctl("alerts.ack", id=alert["id"])
    service.wait_for(lambda: sent_at(service, alert["id"]), 20, "it is written that it was sent")
    service.wait_event("alert_acknowledged")

    attempt(service)
    service.kill9()
    service.restart()
    service.wait_price(SICK)
    attempt(service)  # at once: whoever has not read yet what stands would tell it again
    service.wait_for(lambda: standing(service), 10, "it stands in the next life")
    (again,) = [each for each in standing(service) if each["type"] == "stops_refused"]
    assert (again["id"], bool(again["acknowledged_by"])) == (alert["id"], True)

    service.exchange("POST", "/control/clear", {"fault": fault["fault"]})
    service.open(SICK)
    heard(service, telegram, "STOPS_REFUSED OVER after")
    service.wait_for(lambda: any("OVER after" in text for text in slack.texts()), 5, "Slack to hear it too")
    assert standing(service) == []
    service.wait_event("alert_cleared", symbol=SICK)
    healthy = {part["name"]: part["state"] for part in service.ctl("status")["components"]}
    assert healthy["alarms"] == "healthy"
    service.wait_for(lambda: not page_says(service), 10, "the page to find nothing any more")
    for channel in (telegram, slack):  # in the order of their telling: what was said twice had been said by now
        assert sum(REFUSED in text for text in channel.texts()) == 1
    judge(service)

    log = service.output.read_text()
    assert "TG_SENT type=STOPS_REFUSED symbol=SOLUSDT" in log
    assert TOKEN not in log
    assert "secretpart" not in log


@pytest.fixture
def pulse() -> Iterator[Site]:
    """Who is asked as long as the service lives."""
    with serving(Site()) as site:
        yield site


@pytest.fixture
def noisy(tmp_path: Path, telegram: Telegram, slack: Slack, pulse: Site) -> Iterator[ServiceProcess]:
    """A service that repeats itself soon, tells every channel everything, and has a heart."""
    environ = {
        "HOLDFAST_NOTIFIER__URLS__PHONE": f"tgram://{TOKEN}/{CHAT}",
        "HOLDFAST_NOTIFIER__URLS__DESK": f"slack+{slack.url}/services/T00/B00/secretpart",
        "HOLDFAST_NOTIFIER__HEARTBEAT_URL": f"{pulse.url}/ping/secretpart",
    }
    notifier = {
        "telegram_url": telegram.url,
        "group_window_s": 0,
        "repeat_minutes": Decimal("0.02"),
        "heartbeat_every_s": 1,
        "digest_hour": 0,
        "routine": True,
    }
    with running(tmp_path, {"notifier": notifier}, environ) as service:
        yield service


def test_what_else_is_told(noisy: ServiceProcess, telegram: Telegram, slack: Slack, pulse: Site) -> None:
    """A channel that fails and one that refuses, the heartbeat, routine notices, repeats, the digest."""
    service = noisy
    tried = {each["channel"]: each for each in service.ctl("notify.test")["channels"]}
    assert [tried[name]["error"] for name in ("phone", "desk")] == [None, None]
    service.wait_for(lambda: len(pulse.requests) >= 2, 10, "two heartbeats")

    slack.next.extend([Answer(500, "no")] * 100)
    pulse.next.extend([Answer(404, "no such check")] * 100)
    tried = {each["channel"]: each for each in service.ctl("notify.test")["channels"]}
    assert [tried[name]["error"] for name in ("phone", "desk")] == [None, "HTTP 500: no"]
    assert "HTTP 500: no" in service.main("ctl", "notify.test").stdout
    service.ctl("entries.pause", reason="drill")
    heard(service, telegram, "CHANNEL_FAILED channel=desk", 15)
    heard(service, telegram, "HEARTBEAT_FAILED", 15)
    parts = {part["name"]: part for part in service.ctl("status")["components"]}
    assert "desk takes nothing (HTTP 500: no)" in parts["notifier"]["reason"]
    slack.next.clear()
    pulse.next.clear()
    service.wait_event("channel_restored")
    service.wait_event("heartbeat_restored")
    service.wait_for(lambda: any("ENTRIES_PAUSED" in text for text in slack.texts()), 20, "what waited for Slack")

    slack.next.extend([Answer(400, "invalid_payload")] * 3)
    service.ctl("entries.resume")
    service.ctl("entries.pause", reason="again")
    heard(service, telegram, "ALERT_UNDELIVERED channel=desk", 20)
    service.ctl("entries.resume")

    opened = service.open(WELL)
    heard(service, telegram, f"SLTP_CREATED {WELL}: stop ")
    heard(service, telegram, f"ORDER_FILLED {WELL}: buy ")
    code = service.ctl("kill_switch.arm", reason="drill")["code"]
    service.ctl("kill_switch.confirm", code=code)
    heard(service, telegram, f"POSITION_CLOSED {WELL} long: net P&L ", 20)
    heard(service, telegram, "KILL_SWITCH STILL, for", 20)
    service.wait_state(opened["id"], "CLOSED")
    service.ctl("kill_switch.reset")
    heard(service, telegram, "KILL_SWITCH OVER after", 20)

    service.kill9()
    conninfo = running_embedded(service.state_dir / "pg")
    assert conninfo is not None
    with psycopg.connect(conninfo) as conn:
        conn.execute("UPDATE monitoring.service_facts SET value = '\"2026-01-01\"' WHERE key = 'digest_day'")
    service.restart()
    heard(service, telegram, "DAILY_DIGEST 20", 20)
    shown = service.main("ctl", "alerts", "limit=200")
    assert "nothing stands" in shown.stdout
    assert "desk: sent" in shown.stdout
    for text in (service.output.read_text(), shown.stdout, *map(str, service.events())):
        assert TOKEN not in text
        assert "secretpart" not in text
