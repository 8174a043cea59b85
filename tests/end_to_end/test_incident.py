"""The incident drill: the exchange refuses stops for one symbol for a while. Telegram hears of it within 5 s, whoever
looks is told, nothing is said twice, a killed service does not say it again, and everybody is told when it is over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running
from tests.unit.channels.servers import CHAT, TOKEN, Answer, Slack, Telegram, serving

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

SICK, WELL = "SOLUSDT", "ETHUSDT"
HEARD_WITHIN_S = 5.0
STOP = {"method": "POST", "path": "/fapi/v1/algoOrder", "symbol": SICK}
REFUSED = "STOPS_REFUSED the exchange of account main refuses stops for SOLUSDT"


@pytest.fixture
def telegram() -> Iterator[Telegram]:
    with serving(Telegram()) as site:
        assert isinstance(site, Telegram)
        yield site


@pytest.fixture
def slack() -> Iterator[Slack]:
    with serving(Slack()) as site:
        assert isinstance(site, Slack)
        yield site


@pytest.fixture
def service(tmp_path: Path, telegram: Telegram, slack: Slack) -> Iterator[ServiceProcess]:
    environ = {
        "HOLDFAST_NOTIFIER__URLS__PHONE": f"tgram://{TOKEN}/{CHAT}",
        "HOLDFAST_NOTIFIER__URLS__DESK": f"slack+{slack.url}/services/T00/B00/secretpart",
    }
    settings = {
        "notifier": {
            "telegram_url": telegram.url,
            "group_window_s": 2,
            "routes": [{"channel": "desk", "severity": "critical"}],
        }
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
    story = [event["type"] for event in service.events(symbol=SICK)]
    assert {"stop_loss_refused", "rollback_started", "alert_raised"} <= set(story)
    service.ctl("alerts.ack", id=alert["id"])

    attempt(service)
    service.kill9()
    service.restart()
    service.wait_price(SICK)
    attempt(service)
    assert sum(REFUSED in text and "OVER" not in text for text in telegram.texts()) == 1
    service.wait_for(lambda: [each["acknowledged_by"] for each in standing(service)], 10, "it stands in the next life")

    service.exchange("POST", "/control/clear", {"fault": fault["fault"]})
    service.open(SICK)
    heard(service, telegram, "STOPS_REFUSED OVER after")
    service.wait_for(lambda: any("OVER after" in text for text in slack.texts()), 5, "Slack to hear it too")
    assert standing(service) == []
    service.wait_event("alert_cleared", symbol=SICK)
    healthy = {part["name"]: part["state"] for part in service.ctl("status")["components"]}
    assert healthy["alarms"] == "healthy"
    judge(service)

    log = service.output.read_text()
    assert "TG_SENT type=STOPS_REFUSED symbol=SOLUSDT" in log
    assert TOKEN not in log
    assert "secretpart" not in log


def test_a_trial_says_of_each_channel_what_is_wrong(service: ServiceProcess, telegram: Telegram, slack: Slack) -> None:
    slack.next.append(Answer(403, "action_prohibited"))
    tried = {each["channel"]: each for each in service.ctl("notify.test")["channels"]}
    assert (tried["phone"]["delivered"], tried["phone"]["error"]) == (True, None)
    assert (tried["desk"]["delivered"], tried["desk"]["error"]) == (False, "HTTP 403: action_prohibited")
    shown = service.main("ctl", "notify.test")
    assert shown.returncode == 0
    assert "phone" in shown.stdout
