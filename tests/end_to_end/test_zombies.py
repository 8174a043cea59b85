"""Zombie orders on the running service of each dialect: a human's order is his, until an operator says otherwise.

How one would notice it broken: a stranger's order gone without an order of an operator, one that protects a position of
ours gone at all, or one of no use still there after an aggressive scan.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running

pytestmark = pytest.mark.chaos
FLAT, HELD = "ETHUSDT", "BTCUSDT"
YOUNG_S = 11


@pytest.fixture(scope="module", params=["binanceusdm", "bybit"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with running(tmp_path_factory.mktemp("zombies"), {"accounts.main": {"exchange": request.param}}) as service:
        yield service


def lay(service: ServiceProcess, symbol: str, percent: str, side: str, quantity: str) -> str:
    """A human's stop so far from the mark, by hand; gives its id at the venue."""
    mark = service.mark(symbol)
    trigger = service.on_tick(symbol, mark * (100 + Decimal(percent)) / 100)
    done = service.control("stop", symbol=symbol, side=side, trigger=str(trigger), quantity=quantity)
    return str(done["algoId"])


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


def lay_as(service: ServiceProcess, client_id: str) -> None:
    """A stop on the flat symbol under any client id, by a signed request, as a bot with the same key would."""
    trigger = str(service.on_tick(FLAT, service.mark(FLAT) * Decimal("0.94")))
    if service.bybit:
        asked = {"category": "linear", "symbol": FLAT, "side": "Sell", "orderType": "Market", "qty": "0.05"}
        asked |= {"triggerPrice": trigger, "triggerBy": "MarkPrice", "orderLinkId": client_id}
        body = json.dumps({**asked, "triggerDirection": 2, "positionIdx": 0})
        stamp = str(time.time_ns() // 1_000_000)
        sign = hmac.new(b"paper", (stamp + "paper" + "5000" + body).encode(), hashlib.sha256).hexdigest()
        names = ("X-BAPI-API-KEY", "X-BAPI-SIGN", "X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW", "Content-Type")
        headers = dict(zip(names, ("paper", sign, stamp, "5000", "application/json"), strict=True))
        url, data = f"{service.endpoint()['rest_url']}/v5/order/create", body.encode()
    else:
        wanted = {"symbol": FLAT, "side": "SELL", "algoType": "CONDITIONAL", "type": "STOP_MARKET", "quantity": "0.05"}
        wanted |= {"triggerPrice": trigger, "workingType": "MARK_PRICE", "clientAlgoId": client_id}
        text = urlencode({**wanted, "recvWindow": 5_000, "timestamp": time.time_ns() // 1_000_000})
        text += "&signature=" + hmac.new(b"paper", text.encode(), hashlib.sha256).hexdigest()
        url, data = f"{service.endpoint()['rest_url']}/fapi/v1/algoOrder?{text}", b""
        headers = {"X-MBX-APIKEY": "paper"}
    request = urllib.request.Request(url, data=data, headers=headers, method="POST")  # noqa: S310 - our own exchange
    with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
        answer = json.load(reply)
    assert answer.get("retCode", 0) == 0, answer


def test_an_order_of_a_past_position_of_ours_goes_and_one_of_another_instance_stays(service: ServiceProcess) -> None:
    opened = service.open("SOLUSDT", usd="300")
    entry = next(o["client_id"] for o in service.position(opened["id"])["orders"] if o["kind"] == "entry")
    prefix, _position, epoch, _rest = entry.split("-")
    service.operator_acts(FLAT)
    lay_as(service, f"{prefix}-1-{epoch}-1s")
    lay_as(service, f"hfzz99-1-{epoch}-1s")
    service.ctl("reconcile", account="main")
    gone = service.wait_for(
        lambda: [e for e in service.events(type="zombie_cancelled") if e["data"]["whose"] == "ours"], 25, "its end"
    )
    assert [e["data"]["client_id"] for e in gone] == [f"{prefix}-1-{epoch}-1s"]
    listed = service.ctl("zombies.scan", account="main")
    assert listed["zombies"] == []
    assert service.position(opened["id"])["state"] == "ACTIVE"
    service.control("cancel_all", symbol=FLAT)
