"""Zombie orders on the running service of each dialect: a human's order is his, until an operator says otherwise.

How one would notice it broken: a stranger's order gone without an order of an operator, one that protects a position of
ours gone at all, or one of no use still there after an aggressive scan.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running
from tests.end_to_end.strangers import lay, lay_as

pytestmark = pytest.mark.chaos
FLAT, HELD = "ETHUSDT", "BTCUSDT"
YOUNG_S = 11


@pytest.fixture(scope="module", params=["binanceusdm", "bybit"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with running(tmp_path_factory.mktemp("zombies"), {"accounts.main": {"exchange": request.param}}) as service:
        yield service


def scan(service: ServiceProcess, **asked: object) -> dict[str, tuple[Any, ...]]:
    """What a scan found and did, by symbol."""
    found = service.ctl("zombies.scan", account="main", **asked)
    assert found["accounts"][0]["error"] is None
    return {zombie["symbol"]: (zombie["kind"], zombie["whose"], zombie["result"]) for zombie in found["zombies"]}


def test_strangers_orders_are_listed_then_cancelled_and_protection_stays(service: ServiceProcess) -> None:
    opened = service.open(HELD, usd="500")
    held = Decimal(opened["quantity"])
    lay(service, HELD, "-5", "SELL", str(held))
    lay(service, FLAT, "-6", "SELL", "0.05")
    time.sleep(YOUNG_S)  # a stranger's order that is young is left alone whoever asks
    assert scan(service) == {}
    listed = scan(service, dry_run=True, aggressive=True)
    assert listed == {FLAT: ("no_position", "stranger", "listed")}
    service.operator_acts(FLAT)
    assert scan(service, aggressive=True) == {FLAT: ("no_position", "stranger", "cancelled")}
    assert scan(service, aggressive=True) == {}
    service.wait_event("zombie_cancelled", symbol=FLAT)
    assert service.events(type="zombie_cancelled", symbol=HELD) == []
    service.ctl("position.close", id=opened["id"])
    service.wait_state(opened["id"], "CLOSED")
    ended = service.wait_for(
        lambda: [e for e in service.events(type="zombie_scan_finished") if e["data"]["reason"] == f"closed {HELD}"],
        15,
        "a look at the symbol after the close",
    )
    assert ended[-1]["data"]["cancelled"] == 0
    service.control("cancel_all", symbol=HELD)
    judge(service)


def test_an_order_of_a_past_position_of_ours_goes_and_one_of_another_instance_stays(service: ServiceProcess) -> None:
    opened = service.open("SOLUSDT", usd="300")
    entry = next(o["client_id"] for o in service.position(opened["id"])["orders"] if o["kind"] == "entry")
    prefix, _position, epoch, _rest = entry.split("-")
    service.operator_acts(FLAT)
    lay_as(service, FLAT, f"{prefix}-1-{epoch}-1s")
    lay_as(service, FLAT, f"hfzz99-1-{epoch}-1s")
    service.ctl("reconcile", account="main")
    gone = service.wait_for(
        lambda: [e for e in service.events(type="zombie_cancelled") if e["data"]["whose"] == "ours"], 25, "its end"
    )
    assert [e["data"]["client_id"] for e in gone] == [f"{prefix}-1-{epoch}-1s"]
    listed = service.ctl("zombies.scan", account="main")
    assert listed["zombies"] == []
    assert service.position(opened["id"])["state"] == "ACTIVE"
    service.control("cancel_all", symbol=FLAT)
