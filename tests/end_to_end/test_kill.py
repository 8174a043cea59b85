"""kill -9 with positions open; the market moves while nobody watches; the next run owns everything again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from domain.identity import PositionId
from persistence.inspection import running_embedded
from persistence.positions import load
from persistence.reader import Reader
from persistence.writer import Writer
from tests.end_to_end.conftest import judge
from tests.end_to_end.service import ServiceProcess, running
from tests.oracle.facts import By
from tests.persistence import samples

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


def test_a_life_whose_last_record_was_lost_is_closed_in_the_book(service: ServiceProcess) -> None:
    """Its place has a newer owner, which goes on; that is told once, and the start after it finds nothing."""
    opened = service.open("XRPUSDT")
    service.kill9()
    conninfo = running_embedded(service.state_dir / "pg")
    assert conninfo is not None
    reader, writer = Reader(conninfo), Writer(conninfo)
    try:
        newer = load(reader.pool, PositionId(opened["id"]))
        assert newer is not None
        lost = newer.changed(id=PositionId(newer.id - 4096), opened_at=newer.opened_at - timedelta(minutes=1))
        assert writer.write([samples.record(position=lost)]) == []
    finally:
        reader.close()
        writer.close()
    service.restart()
    told = service.wait_event("position_superseded", position=lost.id)
    assert (told["severity"], told["data"]["owner"]) == ("warning", newer.id)
    shown = service.wait_position(lost.id, lambda p: p["state"] == "RELEASED", 20, "closed in the book")
    assert shown["close_reason"] == "superseded"
    service.wait_state(opened["id"], "ACTIVE", limit_s=OWNED_AGAIN_LIMIT_S)
    service.kill9()
    service.restart()
    service.wait_state(opened["id"], "ACTIVE", limit_s=OWNED_AGAIN_LIMIT_S)
    assert len(service.events(type="position_superseded")) == 1
