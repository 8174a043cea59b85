"""Every line of INTERFACE 'Log lines' in the log of a running service, and the trail repeated for DEBUG_TRADING=1.

One service lives through all that the lines tell of; each test then looks for its line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from adapters.admin.protocol import AdminError
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import Sections, ServiceProcess, running
from tests.end_to_end.signal_source import SignalSource, signal_row
from tests.unit.channels.servers import CHAT, TOKEN, Answer, Telegram, serving

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

BY_SIGNAL, SICK, FOREIGN = "BTCUSDT", "SOLUSDT", "ETHUSDT"
STOP = {"method": "POST", "path": "/fapi/v1/algoOrder", "symbol": SICK}
LINES = {
    "RUN_START": "run_id pid host cycle",
    "RUN_END": "cycle",
    "GUARD cooldown_passed": "symbol",
    "GUARD cooldown_blocked": "symbol seconds_remaining",
    "GUARD idempotency_passed": "signal_key",
    "GUARD idempotency_blocked": "signal_key existing_order_id",
    "GUARD exposure_passed": "symbol",
    "ORDER_PLACED": "side symbol order_id",
    "ORDER_FILLED": "side symbol order_id",
    "SLTP_PLACED": "symbol order_id sl_order_id tp_order_id",
    "SLTP_SKIPPED_ALREADY_EXISTS": "symbol order_id existing_orders",
    "TG_SENT": "type symbol order_id",
    "TG_FAILED": "type error stack",
    "[ALERT_CONFIG]": "symbol normalized alert_enabled source",
    "[STATUS_RESOLUTION]": "order status cumulative_qty resolved",
    "[UNPROTECTED_POSITION]": "symbol",
    "[AUTO_CLOSE]": "symbol",
    "ACTOR_CRASHED": "name epoch error",
    "ACTOR_RESTARTED": "name epoch restarts",
}


@dataclass(frozen=True)
class Told:
    """What was written: in the file, on the terminal, and by a second service that found the first."""

    file: list[str]
    terminal: list[str]
    second: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The log of a service to which all of it has happened."""
    telegram = Telegram()
    with serving(telegram), SignalSource() as source:
        settings: Sections = {
            "signals": {"url": source.url},
            "entries": {"cooldown_s": 300},
            "chaos": {"enabled": True},
            "notifier": {"telegram_url": telegram.url, "group_window_s": 0},
            "protection": {"take_profits": [{"pct": 5, "fraction": 1}]},
        }
        environ = {
            "HOLDFAST_NOTIFIER__URLS__PHONE": f"tgram://{TOKEN}/{CHAT}",
            "HOLDFAST_LOG__LEVEL": "DEBUG",
            "DEBUG_TRADING": "1",
        }
        with running(tmp_path_factory.mktemp("lines"), settings, environ) as service:
            live(service, source, telegram)
            second = service.main("run")
            judge(service)
            file = (service.state_dir / "logs" / "holdfast.jsonl").read_text().splitlines()
            yield Told(
                file=[json.loads(line)["record"]["message"] for line in file],
                terminal=service.output.read_text().splitlines(),
                second=second.stdout + second.stderr,
            )


def live(service: ServiceProcess, source: SignalSource, telegram: Telegram) -> None:
    """All that the lines tell of."""
    for symbol in (BY_SIGNAL, SICK, FOREIGN):
        service.wait_price(symbol)
    signal = signal_row("line-1", BY_SIGNAL)
    source.signals(signal)
    service.wait_event("take_profit_placed", symbol=BY_SIGNAL)
    source.signals(signal)

    telegram.next.extend([Answer(500, "not now")] * 2)
    fault = service.exchange("POST", "/control/reject", {**STOP, "code": -4045, "msg": "no", "for_ms": 120_000})
    opened = service.ctl("position.open", account="main", symbol=SICK, side="long", usd="500")
    service.wait_state(opened["id"], "ROLLED_BACK", "CLOSED")
    service.exchange("POST", "/control/clear", {"fault": fault["fault"]})
    with pytest.raises(AdminError, match="cooldown"):
        service.ctl("position.open", account="main", symbol=SICK, side="long", usd="500")

    trigger = service.on_tick(FOREIGN, service.mark(FOREIGN) * 96 / 100)
    service.control("order", symbol=FOREIGN, side="BUY", quantity="0.2")
    service.control("stop", symbol=FOREIGN, side="SELL", trigger=str(trigger), quantity="0.2")
    service.wait_event("stop_loss_exists", 60, symbol=FOREIGN)
    service.operator_acts(FOREIGN)

    service.ctl("actors.kill", name="reconciler/main", how="exception")
    service.wait_event("actor_restarted")
    service.wait_event("reconcile_finished")
    said = service.output.read_text
    service.wait_for(lambda: "TG_SENT" in said() and "idempotency_blocked" in said(), 60, "what waits for nobody")


@pytest.mark.parametrize("tag", LINES)
def test_the_log_has_the_line(told: Told, tag: str) -> None:
    """In the file, one JSON object a line."""
    lines = [line for line in told.file if line.startswith(f"{tag} ")]
    assert any(all(f" {key}=" in line for key in LINES[tag].split()) for line in lines), (tag, lines[:3])


def test_a_second_service_says_who_holds_the_account(told: Told) -> None:
    (line,) = [line for line in told.second.splitlines() if "RUN_LOCKED" in line]
    assert " account=main" in line
    assert " holder=" in line


def test_the_trail_is_repeated_for_debug_trading(told: Told) -> None:
    """From the first check to the alert that arrived: all but what tells of the service itself."""
    repeated = [line.removeprefix("[DEBUG_TRADING] ") for line in told.terminal if line.startswith("[DEBUG_TRADING] ")]
    for tag in (tag for tag in LINES if not tag.startswith("ACTOR")):
        assert any(line.startswith(f"{tag} ") for line in repeated), f"no {tag} in the trail"


def test_no_line_has_the_key_of_a_channel(told: Told) -> None:
    assert not any(TOKEN in line for line in (*told.file, *told.terminal))
