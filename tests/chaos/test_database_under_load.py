"""The database killed, away and hung, the process paused, the disk full, while entries, moves and closes go on.

How one would notice it broken: let the journal drop what it could not commit, replay the spool twice, or wait for the
database before a stop moves: then the books differ, or the exchange shows a time without cover.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.chaos.aftermath import judged, settled
from tests.chaos.busy_market import SETTINGS, SYMBOLS, BusyMarket
from tests.end_to_end.agreement import conninfo
from tests.end_to_end.fault_stage import Watch
from tests.end_to_end.service import ServiceProcess, running
from tests.end_to_end.signal_source import SignalSource

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

EXCHANGES = ("binanceusdm", "bybit")
AWAY_S = 20.0
HUNG_S = 8.0
PAUSED_S = 5.0
BETWEEN_S = 4.0
FULL_S = 6.0
DISK = "400m"
TRAILED = "ETHUSDT"


def test_the_database_fails_in_every_way_while_everything_goes_on(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(fail_the_database, tmp_path / exchange, exchange) for exchange in EXCHANGES]:
            done.result()


def fail_the_database(base: Path, exchange: str) -> None:
    """Killed twice, away for long, hung for a while; in the end nothing is lost, doubled or out of order."""
    with busy(base, exchange) as (service, watch, market):
        service.open(TRAILED)  # whatever becomes of the others: one to be moved while the database is away
        service.move_mark(TRAILED, "1.5")
        service.wait_for(partial(moved_beyond, watch, Decimal(0)), 20, "its first stop")
        for number in (1, 2):
            service.kill_database()
            time.sleep(BETWEEN_S)
            service.wait_for(partial(restored, service, number), 40, f"the database for the {number}. time")
        with away(service):
            service.wait_for(lambda: "database" in closed(service), 20, "entries to be closed")
            before = trigger(watch, TRAILED)
            service.move_mark(TRAILED, "1")
            service.wait_for(partial(moved_beyond, watch, before), AWAY_S, "a move while the database is away")
            time.sleep(AWAY_S)
        service.wait_for(lambda: not closed(service), 20, "entries again")
        with service.database_hung():
            time.sleep(HUNG_S)
        service.wait_for(lambda: not closed(service), 20, "entries again")
        time.sleep(BETWEEN_S)
        market.stop()
        settled(service, watch, (TRAILED, *SYMBOLS), market.sent)
        service.wait_for(lambda: spooled(service) == [], 20, f"an empty spool, still: {spooled(service)}")
        judged(service, market.sent)
        assert out_of_order(service) == []
        lost, back = service.events(type="database_lost"), service.events(type="database_restored")
        assert len(lost) >= 3
        assert len(back) >= 3
        assert sum(event["data"]["replayed"] for event in back) > 0


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_pause_of_the_whole_process_comes_right(tmp_path: Path, exchange: str) -> None:
    """Nobody is judged by the time that did not pass, and what the market did meanwhile is caught up with."""
    with busy(tmp_path / exchange, exchange) as (service, watch, market):
        trailed = service.open(TRAILED)
        service.move_mark(TRAILED, "1.5")
        before = service.wait_position(trailed["id"], lambda p: p["trailing"]["updates"] > 0, 20, "a first move")
        service.pause_for(PAUSED_S, meanwhile=lambda: service.move_mark(TRAILED, "1"))
        service.wait_position(
            trailed["id"], lambda p: Decimal(p["stop_price"]) > Decimal(before["stop_price"]), 20, "the move"
        )
        market.stop()
        settled(service, watch, (TRAILED, *SYMBOLS), market.sent)
        judged(service, market.sent)
        fallen = [*service.events(type="actor_hung"), *service.events(type="actor_crashed")]
        assert fallen == []


def test_a_full_disk_does_not_end_protection(tmp_path: Path) -> None:
    """Neither database nor spool takes anything: stops move all the same, and it is written when there is room."""
    base = tmp_path / "full"
    base.mkdir()
    base.chmod(0o755)
    with small_disk(base / "state") as disk:
        (base / "exchange").mkdir()  # the exchange keeps its own disk: it is not ours that is to fail there
        (disk / "paper").symlink_to(base / "exchange")
        with running(base, {"reconciler": {"interval_s": 30}, "trailing": SETTINGS}) as service:
            watch = Watch(service.timeline)
            trailed, closed_by_hand = service.open(TRAILED), service.open("SOLUSDT")
            filler = fill(disk)
            service.kill_database()
            for percent in ("1.5", "0.6", "0.6"):
                before = trigger(watch, TRAILED)
                service.move_mark(TRAILED, percent)
                service.wait_for(partial(moved_beyond, watch, before), 20, "a move on a full disk")
            service.ctl("position.close", id=closed_by_hand["id"])
            service.wait_for(lambda: not any(watch.resting(("SOLUSDT", "BOTH"))), 20, "the end of the other position")
            time.sleep(FULL_S)
            said = partial(service.output.read_text, errors="replace")
            service.wait_for(lambda: "RECORD_POISONED" in said(), 20, "somebody to shout")
            filler.unlink()
            service.wait_for(lambda: not closed(service), 30, "entries again")
            service.wait_for(lambda: spooled(service) == [], 20, "an empty spool")
            service.wait_state(closed_by_hand["id"], "CLOSED")
            shown = service.position(trailed["id"])
            assert Decimal(shown["stop_price"]) == trigger(watch, TRAILED)
            service.open("BNBUSDT")
            judged(service, ())
            assert [e["severity"] for e in service.events(type="record_poisoned")][:1] == ["critical"]


# What is done


@contextlib.contextmanager
def busy(base: Path, exchange: str) -> Iterator[tuple[ServiceProcess, Watch, BusyMarket]]:
    """A service with a few positions in a market that goes on until `stop`."""
    base.mkdir()
    base.chmod(0o755)
    with SignalSource(resumes=True) as source:
        settings: dict[str, dict[str, Any]] = {
            "accounts.main": {"exchange": exchange},
            "signals": {"url": source.url, "max_age_s": 10_000_000},
            "trailing": SETTINGS,
            "reconciler": {"interval_s": 30},
        }
        with running(base, settings) as service:
            watch = Watch(service.timeline)
            service.wait_price(SYMBOLS[0])
            with BusyMarket(service, watch, source, seed=11) as market:
                service.wait_for(lambda: len(market.active) >= 3, 30, "a few positions")
                yield service, watch, market


@contextlib.contextmanager
def away(service: ServiceProcess) -> Iterator[None]:
    """The server is dead and cannot be started: nobody could log in."""
    passwords = service.state_dir / "pg" / "pgpass"
    aside = passwords.with_suffix(".aside")
    passwords.rename(aside)
    try:
        service.kill_database()
        yield
    finally:
        aside.rename(passwords)


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of its own; whoever may not mount one cannot run this test."""
    place.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a file system that can be full needs the right to mount: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room; returns what has to go to make some."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


# What is looked at


def closed(service: ServiceProcess) -> str:
    """Why there are no entries; empty when there are."""
    entries = service.ctl("status")["entries"]
    return "" if entries["open"] else str(entries["why"])


def restored(service: ServiceProcess, times: int) -> bool:
    """Whether the database has come back so often."""
    return len(service.events(type="database_restored")) >= times


def spooled(service: ServiceProcess) -> list[str]:
    """The segments in the spool."""
    return [file.name for file in (service.state_dir / "spool").glob("*.jsonl")]


def trigger(watch: Watch, symbol: str) -> Decimal:
    """Where the best stop of a long rests; 0 without one."""
    return max((stop.trigger for stop in watch.resting((symbol, "BOTH"))[1]), default=Decimal(0))


def moved_beyond(watch: Watch, before: Decimal) -> bool:
    """Whether the trailed stop is better than that."""
    return trigger(watch, TRAILED) > before


def out_of_order(service: ServiceProcess) -> list[str]:
    """Positions whose events were not written in the order in which they happened."""
    with psycopg.connect(conninfo(service.state_dir)) as connection:
        rows = connection.execute(
            "SELECT position_id, created_at FROM monitoring.events WHERE position_id IS NOT NULL ORDER BY id"
        ).fetchall()
    newest: dict[int, Any] = {}
    found: list[str] = []
    for position, at in rows:
        if position in newest and at < newest[position]:
            found.append(f"position {position}: {at} written after {newest[position]}")
        newest[position] = at
    return found
