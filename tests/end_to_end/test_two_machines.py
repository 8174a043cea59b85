"""Two machines at one account: one sends at any time, whatever becomes of the other (SYSTEM A9, F4; LAWS S8)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from domain.identity import parse_client_id
from tests.end_to_end.machines import Common, Machine, common_ground
from tests.end_to_end.service import now_ms

pytestmark = pytest.mark.chaos
TAKES_OVER_S = 10.0
AFTER_RELEASE_S = 2.0
STARTING_S = 20.0


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Common]:
    with common_ground(tmp_path_factory.mktemp("machines")) as common:
        yield common


def pair(ground: Common, name: str) -> tuple[Machine, Machine]:
    """One that has the account, and one that stands by."""
    first, second = ground.machine(f"{name}-one", standby=True), ground.machine(f"{name}-two", standby=True)
    first.start()
    first.wait_leads()
    second.start()
    second.wait_said("RUN_LOCKED")
    return first, second


def terms_sent(ground: Common, since_ms: int) -> list[int]:
    """The terms in the client ids of what was sent since then, in the order of arrival."""
    found = []
    for line in ground.lines():
        if line.get("kind") == "request" and line.get("t", 0) >= since_ms:
            params = line.get("params") or {}
            ours = parse_client_id(params.get("newClientOrderId") or params.get("clientAlgoId"))
            if ours is not None and line.get("method") == "POST":
                found.append(ours.epoch.term)
    return found


def test_a_killed_holder_is_replaced_and_its_position_goes_on(ground: Common) -> None:
    first, second = pair(ground, "kill")
    shown = second.ctl("status")
    assert shown["standby"]["account"] == "main"
    assert f"pid {first.pid}" in shown["standby"]["holder"]
    assert shown["entries"]["open"] is False
    opened = first.open("BTCUSDT")
    first.kill9()
    killed = time.monotonic()
    second.wait_leads()
    assert time.monotonic() - killed < TAKES_OVER_S
    second.wait_state(opened["id"], "ACTIVE")
    stop = Decimal(second.position(opened["id"])["stop_price"])
    second.move_mark("BTCUSDT", "2", steps=2, pause_s=0.3)
    second.wait_position(opened["id"], lambda p: Decimal(p["stop_price"] or stop) != stop, 20, "the stop trails on")
    second.ctl("position.close", id=opened["id"])
    second.wait_state(opened["id"], "CLOSED")
    second.terms = first.terms
    assert second.interrupt() == 0
    assert "SHUTDOWN_DONE" in second.log_tail()
    second.assert_lawful()


def test_after_a_clean_release_nobody_waits(ground: Common) -> None:
    first, second = pair(ground, "release")
    first.interrupt()
    released = time.monotonic()
    second.wait_leads()
    assert time.monotonic() - released < AFTER_RELEASE_S
    second.interrupt()


def test_a_paused_holder_wakes_up_and_sends_nothing(ground: Common) -> None:
    first, second = pair(ground, "pause")
    opened = first.open("ETHUSDT")
    first.pause()
    second.wait_leads(TAKES_OVER_S + STARTING_S)
    second.wait_state(opened["id"], "ACTIVE")
    second.move_mark("ETHUSDT", "2", steps=2, pause_s=0.3)
    woken = now_ms()
    mine = second.ctl("status")["accounts"][0]["term"]
    first.go_on()
    second.move_mark("ETHUSDT", "1", steps=4, pause_s=0.3)
    assert first.wait_exit(30) == 3, first.log_tail()
    assert set(terms_sent(ground, woken)) == {mine}, "the stop trailed on, and one machine alone moved it"
    second.ctl("position.close", id=opened["id"])
    second.wait_state(opened["id"], "CLOSED")
    second.terms = first.terms
    second.interrupt()
    second.assert_lawful()
    assert first.said("SUPERSEDED")
