"""A human's own order at the exchange under each policy, three accounts of one service: adopted and protected, told, or
closed; what is excluded is not touched by any."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from persistence.embedded import EmbeddedPostgres
from tests.actors.desk.ground import Ground
from tests.end_to_end.service import ServiceProcess, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
CYCLE_S = 2
POLICIES = {"main": "adopt", "watched": "alert", "cleared": "close"}


@pytest.fixture(scope="module")
def service(server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """An account for each policy, each with an exchange of its own."""
    ground = Ground(server, "untracked")
    settings: dict[str, dict[str, Any]] = {
        f"accounts.{name}": {"exchange": "binanceusdm", "untracked": policy, "exclude": ["XRP/USDT:USDT"]}
        for name, policy in POLICIES.items()
    }
    settings |= {"reconciler": {"interval_s": CYCLE_S}, "paper": {"symbols": ["BTCUSDT", "XRPUSDT"]}}
    with running(tmp_path_factory.mktemp("policies"), settings, {"HOLDFAST_DATABASE__URL": ground.url}) as service:
        yield service
    ground.drop()


def control(service: ServiceProcess, account: str, command: str, **asked: object) -> dict[str, Any]:
    """Do something at an account's exchange."""
    endpoint = json.loads((service.state_dir / "paper" / account / "endpoint.json").read_text())
    url = f"{endpoint['rest_url']}/control/{command}"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(asked).encode(), method="POST")) as reply:  # noqa: S310
        done: dict[str, Any] = json.load(reply)
        return done


def by_a_human(service: ServiceProcess, account: str, side: str) -> None:
    control(service, account, "order", symbol="BTCUSDT", side=side, quantity="0.02")
    control(service, account, "order", symbol="XRPUSDT", side="BUY", quantity="100")


def sightings(service: ServiceProcess, account: str) -> list[str]:
    found = [e["data"] for e in service.events(type="reconcile_finding") if e["symbol"] == "BTCUSDT"]
    side = {"main": "short", "watched": "long", "cleared": "long"}[account]
    return [data["seen"] for data in found if data["finding"].startswith(f"untracked BTCUSDT {side}")]


def quantity(service: ServiceProcess, account: str, symbol: str) -> Decimal:
    """What stands at the exchange."""
    return Decimal(control(service, account, "state")["positions"].get(symbol, "0"))


def test_adopted_and_protected_within_a_cycle_and_three_seconds(service: ServiceProcess) -> None:
    service.disturb("a human's order")
    by_a_human(service, "main", "SELL")
    began = time.monotonic()
    position = service.wait_for(lambda: next(iter(service.positions(account="main")), None), CYCLE_S + 3, "an owner")
    held = service.wait_position(position["id"], lambda p: p["stop_price"] is not None, CYCLE_S + 3, "a stop")
    assert time.monotonic() - began < CYCLE_S + 3
    assert (held["symbol"], held["side"], Decimal(held["quantity"])) == ("BTCUSDT", "short", Decimal("0.02"))
    assert Decimal(held["stop_price"]) > Decimal(held["mark_price"])
    service.wait_for(lambda: len(sightings(service, "main")) >= 2 or None, 20, "two sightings in the database")
    assert sightings(service, "main") == ["1/2", "2/2"]
    service.ctl("position.close", id=position["id"])
    service.wait_state(position["id"], "CLOSED")
    assert quantity(service, "main", "BTCUSDT") == 0
    assert quantity(service, "main", "XRPUSDT") == 100
    assert control(service, "main", "state")["open_conditionals"] == 0
    service.assert_lawful()


def test_alert_tells_and_touches_nothing(service: ServiceProcess) -> None:
    by_a_human(service, "watched", "BUY")
    service.wait_for(lambda: len(sightings(service, "watched")) >= 2 or None, 20, "two sightings")
    cycle = service.ctl("reconcile", account="watched")["accounts"][0]["cycle"]
    service.wait_for(
        lambda: service.ctl("reconcile", account="watched")["accounts"][0]["cycle"] > cycle + 2 or None, 20, "cycles"
    )
    assert sightings(service, "watched") == ["1/2", "2/2"], "said twice, not for ever"
    assert service.positions(account="watched") == []
    assert quantity(service, "watched", "BTCUSDT") == Decimal("0.02")
    assert quantity(service, "watched", "XRPUSDT") == 100
    assert control(service, "watched", "state")["open_conditionals"] == 0
    control(service, "watched", "order", symbol="BTCUSDT", side="SELL", quantity="0.02")


def test_closed_where_that_is_the_policy(service: ServiceProcess) -> None:
    by_a_human(service, "cleared", "BUY")
    service.wait_for(lambda: quantity(service, "cleared", "BTCUSDT") == 0 or None, CYCLE_S + 8, "the close")
    adopted = service.wait_for(
        lambda: next((e for e in service.events(type="position_adopted") if e["data"]["side"] == "long"), None), 5, "it"
    )
    service.wait_state(adopted["position_id"], "CLOSED")
    assert quantity(service, "cleared", "XRPUSDT") == 100
    assert control(service, "cleared", "state")["open_conditionals"] == 0
