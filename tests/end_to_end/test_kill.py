"""kill -9 with positions open; the market moves while nobody watches; the next run owns everything again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running
from tests.oracle.facts import By

OWNED_AGAIN_LIMIT_S = 15


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with running(tmp_path_factory.mktemp("kill")) as started:
        yield started


def test_killed_and_started_again(service: ServiceProcess) -> None:
    trailing, resting, falling = service.open("BTCUSDT"), service.open("ETHUSDT", "short"), service.open("SOLUSDT")
    service.move_mark("BTCUSDT", "2", steps=4, pause_s=0.3)
    before = service.wait_position(
        trailing["id"], lambda p: Decimal(p["stop_price"]) > Decimal(p["entry_price"]), 20, "a stop in profit"
    )

    service.kill9()
    service.move_mark("BTCUSDT", "1.5")
    seen_again = service.move_mark("BTCUSDT", "-0.2")
    service.move_mark("SOLUSDT", "-2.5")
    begun = time.monotonic()
    service.restart()

    again = service.wait_state(trailing["id"], "ACTIVE", limit_s=OWNED_AGAIN_LIMIT_S)
    rests = service.wait_state(resting["id"], "ACTIVE", limit_s=OWNED_AGAIN_LIMIT_S)
    assert Decimal(rests["stop_price"]) == Decimal(resting["stop_price"])
    service.wait_state(falling["id"], "CLOSED", limit_s=OWNED_AGAIN_LIMIT_S)
    assert time.monotonic() - begun < OWNED_AGAIN_LIMIT_S + 5
    assert Decimal(again["stop_price"]) >= Decimal(before["stop_price"])
    # The minute in which the position was opened counts by its close only: its high may be older than the position.
    service.wait_position(
        trailing["id"], lambda p: Decimal(p["trailing"]["extreme_price"]) >= seen_again, 20, f"extreme {seen_again}"
    )
    recovered = service.wait_event("position_recovered", position=trailing["id"])
    assert recovered["correlation_id"] == trailing["correlation_id"]

    stop = Decimal(service.position(trailing["id"])["stop_price"])
    service.move_mark("BTCUSDT", "2", steps=2, pause_s=0.3)
    service.wait_position(trailing["id"], lambda p: Decimal(p["stop_price"]) > stop, 20, "trailing resumed")
    judge(service)
    verdict = service.verdict()
    assert {life.owner for life in verdict.open_lives} == {trailing["id"], resting["id"]}
    assert [i for i in verdict.measures.intervals if i.cause is not By.FILL] == []
    assert len([p for p in service.positions() if p["symbol"] == "BTCUSDT"]) == 1


def test_killed_in_the_middle_of_moves(service: ServiceProcess) -> None:
    opened = service.open("LTCUSDT")
    service.move_mark("LTCUSDT", "1.6")
    for _ in range(3):
        service.move_mark("LTCUSDT", "0.4")
        service.kill9()
        service.restart()
        service.wait_state(opened["id"], "ACTIVE", limit_s=OWNED_AGAIN_LIMIT_S)
    judge(service)
    assert [i for i in service.verdict().measures.intervals if i.cause is not By.FILL] == []
