"""Life without the database: started without it, met again later, away for a whole trailing stop (DESIGN 3)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import judge
from tests.end_to_end.machines import Common, Machine, common_ground
from tests.end_to_end.service import ServiceProcess, now_ms
from tests.oracle.facts import By

pytestmark = pytest.mark.chaos
NO_SERVER = "postgresql://holdfast:none@127.0.0.1:1/holdfast"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServiceProcess]:
    service = ServiceProcess(tmp_path)
    yield service
    service.clean_up()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Common]:
    with common_ground(tmp_path) as common:
        yield common


def why_closed(service: ServiceProcess) -> str:
    return str(service.ctl("status")["entries"]["why"])


def stop_of(service: ServiceProcess, opened: dict[str, Any]) -> Decimal:
    return Decimal(service.position(opened["id"])["stop_price"])


def trails(service: ServiceProcess, opened: dict[str, Any], percent: str) -> None:
    """The mark moves in favour, and the stop follows."""
    before = stop_of(service, opened)
    service.move_mark(opened["symbol"], percent, steps=2, pause_s=0.4)
    service.wait_position(opened["id"], lambda p: Decimal(p["stop_price"] or 0) > before, 20, "the stop follows")


def test_started_without_its_database_and_met_again(service: ServiceProcess) -> None:
    service.start()
    opened, falling = service.open("BTCUSDT"), service.open("SOLUSDT")
    trails(service, opened, "2")
    book, stop = service.state_dir / "local.json", stop_of(service, opened)
    service.wait_for(lambda: str(stop) in book.read_text() or None, 5, "the local book")
    stale = book.read_bytes()
    trails(service, opened, "1")
    stop = stop_of(service, opened)
    service.kill9()  # in the middle of a move, perhaps: two rest then that the book does not know
    book.write_bytes(stale)  # machine and database died together: the book is a move behind the exchange
    passwords = service.state_dir / "pg" / "pgpass"
    passwords.rename(passwords.with_suffix(".away"))

    service.restart()
    assert "WITHOUT_DATABASE" in service.log_tail()
    assert "protection_only" in why_closed(service)
    service.wait_state(opened["id"], "ACTIVE")
    service.wait_position(opened["id"], lambda p: Decimal(p["stop_price"] or 0) >= stop, 20, "the stop of before")
    trails(service, opened, "1.5")
    service.move_mark("SOLUSDT", "-3")
    service.wait_for(lambda: [p["id"] for p in service.positions()] == [opened["id"]] or None, 20, "SOLUSDT is stopped")
    service.kill9()
    service.restart()
    service.wait_state(opened["id"], "ACTIVE")
    trails(service, opened, "1")

    passwords.with_suffix(".away").rename(passwords)
    service.wait_event("database_restored", 30)
    service.wait_for(lambda: service.ctl("status")["entries"]["open"] or None, 20, "entries open")
    trails(service, opened, "1")
    other = service.open("ETHUSDT")
    for position in (opened, other):
        service.ctl("position.close", id=position["id"])
        service.wait_state(position["id"], "CLOSED")
    assert service.position(falling["id"])["state"] == "CLOSED"
    assert len(service.events(type="started_without_database", severity="critical")) == 2
    judge(service)
    assert [i for i in service.verdict().measures.intervals if i.cause is not By.FILL] == []


def test_a_machine_that_remembers_nothing_does_not_start(service: ServiceProcess) -> None:
    done = service.main("run", environ={"HOLDFAST_DATABASE__URL": NO_SERVER})
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "there is no local book" in said
    assert "the database cannot be had" in said


def test_away_for_a_whole_trailing_stop(ground: Common) -> None:
    one = ground.machine("one")
    one.start()
    opened = one.open("BTCUSDT")
    ground.server.stop()
    one.wait_for(lambda: not one.ctl("status")["entries"]["open"] or None, 20, "entries closed")
    for percent in ("2", "1", "1"):
        trails(one, opened, percent)
    one.move_mark("BTCUSDT", "-2")
    one.wait_for(lambda: not one.positions() or None, 20, "the stop was hit")
    assert any((one.state_dir / "spool").glob("*.jsonl"))
    ground.server.start()
    one.wait_event("database_restored", 30)
    assert one.position(opened["id"])["close_reason"] == "trailing_stop"
    one.assert_lawful()
    one.wait_for(lambda: not spooled(one) or None, 20, "an empty spool")
    moves = one.events(type="trailing_moved", position=opened["id"])
    assert [move["ts"] for move in moves] == sorted(move["ts"] for move in moves)
    assert len(moves) >= 3


def test_a_move_is_withheld_while_another_may_have_the_account(ground: Common) -> None:
    """Cut off from the database beside a stand-by's settings: the resting stop stays as it is, until the lock is held
    again. How one would notice it broken: a request that sets a stop in between, or none after it.
    """
    one = ground.machine("one", standby=True)
    one.start()
    one.wait_leads()
    opened = one.open("BTCUSDT")
    trails(one, opened, "2")
    ground.server.stop()

    def withheld() -> bool | None:
        # While the last proof of the lock is young the stop still follows.
        one.move_mark("BTCUSDT", "0.6", steps=2, pause_s=0.3)
        return one.said("REQUEST_WITHHELD") or None

    one.wait_for(withheld, 40, "a move that is not sent")
    since = now_ms()
    one.move_mark("BTCUSDT", "2", steps=4, pause_s=0.4)
    resting = stop_of(one, opened)
    until = now_ms()
    ground.server.start()
    told = one.wait_event("request_withheld", 40, severity="warning", symbol="BTCUSDT")
    assert told["data"]["deed"] == "upkeep"
    assert "another process may have the account" in told["data"]["error"]
    assert stops_sent(ground, since, until) == []
    one.wait_position(opened["id"], lambda p: Decimal(p["stop_price"] or 0) > resting, 20, "the stop follows again")
    assert len(one.events(type="request_withheld")) == 1, "once for all that wanted to leave meanwhile"
    one.wait_for(lambda: one.ctl("status")["entries"]["open"] or None, 20, "entries open")
    one.assert_lawful()


def stops_sent(ground: Common, since: int, until: int) -> list[dict[str, Any]]:
    """The requests for a stop that came to the exchange in that time (ms)."""
    return [
        line
        for line in ground.lines()
        if line["kind"] == "request"
        and (line.get("method"), line.get("path")) == ("POST", "/fapi/v1/algoOrder")
        and since <= line["t"] <= until
    ]


def spooled(machine: Machine) -> list[str]:
    """What the spool holds."""
    return [line for file in (machine.state_dir / "spool").glob("*.jsonl") for line in file.read_text().splitlines()]


def test_cut_off_while_another_took_over_it_ends(ground: Common) -> None:
    one, two = ground.machine("one"), ground.machine("two", standby=True)
    one.start()
    opened = one.open("BTCUSDT")
    one.kill9()
    two.start()
    two.wait_leads()
    two.wait_state(opened["id"], "ACTIVE")
    trails(two, opened, "2")
    cut_off = ground.machine("cut-off")
    shutil.copytree(one.state_dir, cut_off.state_dir, ignore=shutil.ignore_patterns("*.sock"))
    cut_off._environ["HOLDFAST_DATABASE__URL"] = NO_SERVER
    cut_off.launch()
    assert cut_off.wait_exit(60) == 3, cut_off.log_tail()
    assert cut_off.said("ACCOUNT_SUPERSEDED")
    two.terms = one.terms
    two.assert_lawful()
    two.ctl("position.close", id=opened["id"])
    two.wait_state(opened["id"], "CLOSED")
